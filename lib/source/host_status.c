/* host_status.c - a commit status names a build of CodeBuild, or not.
 *
 * A status is an assertion by anybody who may push: nothing in it is more than a hint which build
 * to ask CodeBuild for. What it says of the commit is kept, for what CodeBuild shows must agree.
 */
#include "host.h"

#include <retrybuild/cleanup.h>
#include <retrybuild/timefmt.h>

enum rb_code rb_host_nothing(struct rb_events *ret_events, struct rb_arena *a, const char *fmt,
                             const char *text)
{
    (void)a;
    *ret_events = (struct rb_events){.delivery_id = ret_events->delivery_id,
                                     .id_unproved = ret_events->id_unproved};
    ret_events->ignored = fmt;
    if (text != NULL) {
        const char *said =
            rb_arena_join(a, (const struct rb_slice[]){rb_slice_str(fmt), rb_slice_str(text)}, 2);
        ret_events->ignored = said == NULL ? fmt : said;
    }
    return RB_OK;
}

/* is_commit - 7 to 64 hex digits. */
static bool is_commit(const char *s)
{
    size_t len = s == NULL ? 0 : strspn(s, "0123456789abcdefABCDEF");
    return len >= 7 && len <= 64 && s[len] == '\0';
}

static enum rb_code no_memory(struct rb_err *err)
{
    return rb_err_set(err, RB_E_NOMEM, "no memory for an event");
}

/* name_build - from the link, the other text, or the context; false: it is no build of CodeBuild,
 * *ret_why says so. */
static bool name_build(const struct rb_source_setting *s, const struct rb_host_status *st,
                       struct rb_arena *a, struct rb_event *ev, const char **ret_why)
{
    struct rb_link link = {.kind = RB_LINK_NONE};
    struct rb_context context = {.region = NULL};
    bool named = rb_context_parse(st->context, a, &context);
    struct rb_build *b = &ev->build;
    if (!rb_link_parse(st->link, &s->console_hosts, a, &link)) {
        (void)rb_link_parse(st->other, &s->console_hosts, a, &link);
    }
    b->region = link.region != NULL ? link.region : context.region;
    b->account = link.account;
    if (link.kind == RB_LINK_BATCH || (named && context.batch && link.kind != RB_LINK_BUILD)) {
        b->project = link.project != NULL ? link.project : context.project;
        b->id = link.kind == RB_LINK_BATCH ? link.id : NULL;
        ev->find = RB_FIND_BATCH;
        if (b->id == NULL && b->resolved_version == NULL) {
            *ret_why = "neither its link nor a commit says which batch failed";
            return false;
        }
        return true;
    }
    if (link.kind == RB_LINK_BUILD) {
        b->project = link.project;
        b->id = link.id;
        return true;
    }
    if (!named) {
        *ret_why = "it is not a status of CodeBuild: neither its link nor its name is of a build";
        return false;
    }
    b->project = context.project;
    if (link.kind == RB_LINK_PUBLIC) {
        b->id = rb_arena_printf(a, "%s:%s", context.project, link.uuid);
        return b->id != NULL;
    }
    if (b->resolved_version == NULL) {
        *ret_why = "neither its link nor a commit says which build failed";
        return false;
    }
    ev->find = RB_FIND_COMMIT;
    return true;
}

enum rb_code rb_host_status_event(const struct rb_source_setting *s,
                                  const struct rb_host_status *st, struct rb_arena *a,
                                  struct rb_events *ret_events, struct rb_err *err)
{
    struct rb_event *ev = rb_arena_alloc(a, sizeof(*ev));
    const char *why = NULL;
    if (ev == NULL) {
        return no_memory(err);
    }
    *ev = (struct rb_event){.kind = RB_EVENT_FAILURE, .build = RB_BUILD_INIT};
    ev->needs_inspection = true;
    if (!st->failed) {
        return rb_host_nothing(ret_events, a, "the status is ",
                               st->state == NULL ? "not given" : st->state);
    }
    ev->build.resolved_version = is_commit(st->sha) ? st->sha : NULL;
    if (!name_build(s, st, a, ev, &why)) {
        return why == NULL ? no_memory(err) : rb_host_nothing(ret_events, a, why, NULL);
    }
    ev->build.branch = st->branch;
    ev->build.author = st->author;
    ev->build.repository = st->repository;
    rb_build_derive(&ev->build, a);
    if (st->time != NULL) {
        (void)rb_time_parse_iso(rb_slice_str(st->time), &ev->at_ms);
    }
    if (ev->find == RB_FIND_NOTHING && ev->build.id != NULL && ev->build.account != NULL &&
        ev->build.region != NULL && !rb_build_make_arn(&ev->build, a)) {
        return no_memory(err);
    }
    *ret_events = (struct rb_events){
        .items = ev,
        .n = 1,
        .delivery_id = ret_events->delivery_id,
        .id_unproved = ret_events->id_unproved,
    };
    return RB_OK;
}

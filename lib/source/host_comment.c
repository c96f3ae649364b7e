/* host_comment.c - what a person says or presses on the pages of a git host. */
#include "host_comment.h"

#include <retrybuild/cleanup.h>
#include <retrybuild/random.h>

#include "host.h"

static enum rb_code no_memory(struct rb_err *err)
{
    return rb_err_set(err, RB_E_NOMEM, "no memory for a command");
}

static int64_t number_of(const char *text)
{
    int64_t n = 0;
    return text != NULL && rb_parse_i64(rb_slice_str(text), &n) && n > 0 ? n : 0;
}

/* place - where it was said, the same for each command of a delivery. */
static void place(struct rb_command *c, const struct rb_host_actor *actor, const char *repository,
                  const char *repository_url, const char *commit, const char *pull_request)
{
    c->actor = (struct rb_actor){.id = actor->id, .name = actor->name, .bot = actor->bot};
    c->place = (struct rb_place){
        .repository = repository,
        .commit = commit,
        .pull_request = number_of(pull_request),
    };
    size_t len = repository_url == NULL ? 0 : strlen(repository_url);
    c->place.repository_url =
        len > 4 && rb_str_ends(repository_url, ".git") ? NULL : repository_url;
}

static bool set_repository_url(struct rb_command *c, const char *url, struct rb_arena *a)
{
    if (url == NULL || c->place.repository_url != NULL) {
        return true;
    }
    c->place.repository_url = rb_arena_strndup(a, url, strlen(url) - 4);
    return c->place.repository_url != NULL;
}

enum rb_code rb_host_comment(const struct rb_source_setting *s, const struct rb_host_comment *c,
                             struct rb_arena *a, struct rb_events *ret_events, struct rb_err *err)
{
    unsigned n = 0;
    (void)s;
    if (c->text == NULL) {
        return rb_host_nothing(ret_events, a, "the comment has no text, or one that is too long",
                               NULL);
    }
    if (c->actor.bot) {
        return rb_host_nothing(ret_events, a, "comments of bots are not read", NULL);
    }
    struct rb_command *commands = rb_arena_alloc(a, RB_MAX_COMMANDS * sizeof(*commands));
    if (commands == NULL) {
        return no_memory(err);
    }
    enum rb_code rc =
        rb_command_parse(rb_slice_str(c->text), false, a, commands, RB_MAX_COMMANDS, &n, err);
    if (rc != RB_OK) {
        return rc;
    }
    if (n == 0) {
        return rb_host_nothing(ret_events, a, "the comment has no command", NULL);
    }
    const char *reply =
        rb_arena_printf(a, "%s %s %s %s", c->repository == NULL ? "" : c->repository, c->kind,
                        c->id == NULL ? "" : c->id, c->pull_request == NULL ? "" : c->pull_request);
    for (unsigned i = 0; i < n; i++) {
        place(&commands[i], &c->actor, c->repository, c->repository_url, c->commit,
              c->pull_request);
        commands[i].place.comment = c->id;
        commands[i].place.comment_kind = c->kind;
        commands[i].place.closed = c->closed;
        commands[i].reply = reply;
        if (reply == NULL || !set_repository_url(&commands[i], c->repository_url, a)) {
            return no_memory(err);
        }
    }
    *ret_events = (struct rb_events){
        .commands = commands,
        .n_commands = n,
        .delivery_id = ret_events->delivery_id,
        .id_unproved = ret_events->id_unproved,
    };
    return RB_OK;
}

/* aim - what the button is about; false: nothing of ours. */
static bool aim(const struct rb_source_setting *s, const char *text, struct rb_arena *a,
                struct rb_command *c)
{
    struct rb_link link;
    struct rb_build build = RB_BUILD_INIT;
    c->target_text = text;
    if (rb_str_empty(text)) {
        return false;
    }
    if (rb_id_shard("rty_", text) >= 0) {
        c->target = RB_TARGET_RETRY;
        return true;
    }
    if (rb_link_parse(text, &s->console_hosts, a, &link) && link.kind == RB_LINK_BUILD) {
        build.region = link.region;
        build.account = link.account;
        build.project = link.project;
        build.id = link.id;
    } else if (rb_build_parse_ref(text, a, &build, NULL) != RB_OK) {
        return false;
    }
    c->target = RB_TARGET_BUILD;
    c->build = build;
    return true;
}

enum rb_code rb_host_press(const struct rb_source_setting *s, const struct rb_host_press *p,
                           struct rb_arena *a, struct rb_events *ret_events, struct rb_err *err)
{
    struct rb_command *c = rb_arena_alloc(a, sizeof(*c));
    if (c == NULL) {
        return no_memory(err);
    }
    *c = (struct rb_command){.verb = p->verb, .build = RB_BUILD_INIT};
    if (p->actor.bot) {
        return rb_host_nothing(ret_events, a, "a bot pressed the button", NULL);
    }
    if (p->failed) {
        c->target = RB_TARGET_FAILED;
    } else if (!aim(s, p->target, a, c) && !aim(s, p->link, a, c)) {
        return rb_host_nothing(ret_events, a, "the check run names no build of CodeBuild", NULL);
    }
    place(c, &p->actor, p->repository, p->repository_url, p->commit, p->pull_request);
    if (!set_repository_url(c, p->repository_url, a)) {
        return no_memory(err);
    }
    *ret_events = (struct rb_events){
        .commands = c,
        .n_commands = 1,
        .delivery_id = ret_events->delivery_id,
        .id_unproved = ret_events->id_unproved,
    };
    return RB_OK;
}

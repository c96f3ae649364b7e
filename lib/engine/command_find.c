/* command_find.c - the retries that a target means: a walk through the store's list, newest first,
 * which ends after a bounded number of pages.
 *
 * A comment sees the builds of its own repository and no others. */
#include "command_internal.h"

#include <stdio.h>
#include <strings.h>

#define RB_FIND_PAGE 100
#define RB_FIND_PAGES 10
#define FULL_COMMIT 40

/* is_mirrored - CodeBuild builds nothing of Bitbucket Data Center, but of what mirrors it: the
 * commit in full shows that. */
static bool is_mirrored(const struct rb_order *o, const struct rb_build *b)
{
    const char *head =
        o->q->facts != NULL && o->q->facts->head != NULL ? o->q->facts->head : o->c->place.commit;
    const char *commit = rb_build_commit(b);
    return rb_str_eq(o->q->source->type, "bitbucket-server") && head != NULL && commit != NULL &&
           strlen(head) >= FULL_COMMIT && rb_str_ieq(head, commit);
}

bool rb_order_same_place(const struct rb_order *o, const struct rb_build *b)
{
    const struct rb_place *p = &o->c->place;
    return p->repository == NULL || rb_repository_same(b->repository, p->repository_url) ||
           is_mirrored(o, b);
}

static bool is_pull(const struct rb_build *b, const char *number)
{
    return b->pull_request != NULL && strcmp(b->pull_request, number) == 0;
}

static bool has_commit(const struct rb_build *b, const char *prefix)
{
    const char *commit = rb_build_commit(b);
    return commit != NULL && prefix != NULL && strncasecmp(commit, prefix, strlen(prefix)) == 0;
}

/* of_change - does the build belong to the pull request or commit where this was said? */
static bool of_change(const struct rb_order *o, const struct rb_build *b)
{
    const struct rb_place *p = &o->c->place;
    char number[24];
    if (p->pull_request > 0) {
        snprintf(number, sizeof number, "%lld", (long long)p->pull_request);
        return is_pull(b, number) || (o->q->facts != NULL && o->q->facts->head != NULL &&
                                      has_commit(b, o->q->facts->head));
    }
    return p->commit == NULL || has_commit(b, p->commit);
}

static bool has_uuid(const char *id, const char *uuid)
{
    const char *at = id == NULL ? NULL : strchr(id, ':');
    return at != NULL && strcasecmp(at + 1, uuid) == 0;
}

static bool is_build(const struct rb_build *b, const struct rb_build *wanted)
{
    return rb_str_eq(b->id, wanted->id) &&
           (wanted->region == NULL || b->region == NULL || rb_str_eq(b->region, wanted->region)) &&
           (wanted->account == NULL || b->account == NULL ||
            rb_str_eq(b->account, wanted->account));
}

static bool is_target(const struct rb_order *o, const struct rb_retry *r)
{
    const struct rb_command *c = o->c;
    switch (c->target) {
    case RB_TARGET_BUILD:
        return is_build(&r->build, &c->build) || (r->has_child && is_build(&r->child, &c->build));
    case RB_TARGET_UUID:
        return has_uuid(r->build.id, c->target_text) ||
               (r->has_child && has_uuid(r->child.id, c->target_text));
    case RB_TARGET_PROJECT:
        return rb_str_eq(r->build.project, c->target_text);
    case RB_TARGET_PULL:
        return is_pull(&r->build, c->target_text + 1);
    case RB_TARGET_COMMIT:
        return has_commit(&r->build, c->target_text) || rb_str_eq(r->build.project, c->target_text);
    case RB_TARGET_RETRY:
        return strcmp(r->id, c->target_text) == 0;
    case RB_TARGET_NONE:
    case RB_TARGET_LAST:
    case RB_TARGET_FAILED:
    default:
        return of_change(o, &r->build);
    }
}

/* Only what is waiting for a person can be approved; only what lives can be cancelled; what has
 * recovered is not what "the last one" to retry means. A build or retry that is named is what is
 * meant, whatever its state: then it is said why not. */
static bool is_wanted(const struct rb_order *o, const struct rb_retry *r)
{
    enum rb_target_kind t = o->c->target;
    if (t == RB_TARGET_BUILD || t == RB_TARGET_UUID || t == RB_TARGET_RETRY) {
        return true;
    }
    switch ((int)o->c->verb) {
    case RB_COMMAND_APPROVE:
    case RB_COMMAND_DENY:
        return r->state == RB_STATE_HELD;
    case RB_COMMAND_CANCEL:
        return !rb_state_terminal(r->state);
    case RB_COMMAND_RETRY:
        return o->several || r->state != RB_STATE_RECOVERED;
    default:
        return true;
    }
}

static bool same_line(const struct rb_build *a, const struct rb_build *b)
{
    return rb_str_eq(a->project, b->project) && rb_str_eq(a->region, b->region) &&
           rb_str_eq(a->account, b->account);
}

/* take - @r if it is meant; of several projects the newest of each, for a list all. True when
 * nothing more is wanted. */
static bool take(struct rb_order *o, struct rb_retry **r)
{
    if (!rb_order_same_place(o, &(*r)->build) || !is_target(o, *r) || !is_wanted(o, *r)) {
        return false;
    }
    if (!rb_order_may(o, o->c->verb, (*r)->build.project)) {
        o->hidden = true;
        return false;
    }
    bool list = o->c->verb == RB_COMMAND_LIST;
    for (unsigned i = 0; !list && i < o->n_found; i++) {
        if (same_line(&o->found[i]->build, &(*r)->build)) {
            return false;
        }
    }
    o->found[o->n_found++] = RB_TAKE(*r);
    return !o->several || o->n_found == RB_COMMAND_FOUND_MAX || (list && o->n_found == 10);
}

static enum rb_code walk(struct rb_order *o)
{
    char cursor[RB_CURSOR_BYTES] = "", next[RB_CURSOR_BYTES] = "";
    struct rb_filter f = {.limit = RB_FIND_PAGE};
    bool enough = false;

    if (o->c->target == RB_TARGET_PROJECT) {
        f.project = o->c->target_text;
    } else if (o->c->target == RB_TARGET_BUILD) {
        f.project = o->c->build.project;
    }
    for (unsigned page = 0; page < RB_FIND_PAGES && !enough; page++) {
        struct rb_retry *items[RB_FIND_PAGE] = {NULL};
        unsigned n = 0;
        f.cursor = page == 0 ? NULL : cursor;
        enum rb_code rc = rb_store_list(o->ses, &f, items, &n, next, o->err);
        if (rc != RB_OK) {
            return rc;
        }
        for (unsigned i = 0; i < n; i++) {
            enough = enough || take(o, &items[i]);
            rb_retry_free(items[i]);
        }
        if (next[0] == '\0') {
            break;
        }
        memcpy(cursor, next, sizeof cursor);
    }
    return RB_OK;
}

enum rb_code rb_order_find(struct rb_order *o)
{
    enum rb_target_kind t = o->c->target;

    o->several = t == RB_TARGET_PULL || t == RB_TARGET_COMMIT || t == RB_TARGET_FAILED ||
                 o->c->verb == RB_COMMAND_LIST ||
                 ((t == RB_TARGET_LAST || t == RB_TARGET_NONE) && o->c->place.pull_request > 0);
    if (t != RB_TARGET_RETRY) {
        return walk(o);
    }
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = NULL;
    enum rb_code rc = rb_store_get(o->ses, o->c->target_text, &r, o->err);
    if (rc == RB_OK) {
        (void)take(o, &r);
    }
    return rc == RB_E_NOT_FOUND ? RB_OK : rc;
}

/* hook_resolve.c - deliveries that do not say which build they mean: asked before they are
 * admitted.
 *
 * A 2xx is a promise, so it waits for the answer of CodeBuild or of the git host. The sender does
 * not wait for ever: within nine seconds it is answered, in the worst case with 503 and when to try
 * again. What nobody knows is ignored with a reason.
 */
#include "hook_find.h"

#include <stdio.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/log.h>

#include "door.h"

#define RESOLVE_MAX_MS 8500 /* GitHub, GitLab and Bitbucket wait ten seconds */

struct rb_resolve {
    struct rb_events *events;
    void (*admit)(struct rb_exchange *ex, struct rb_events *events);
    int64_t until_boot_ms;
    enum rb_code rc;
    struct rb_err err;
};

bool rb_hook_complete(struct rb_exchange *ex, struct rb_events *events)
{
    bool complete = true;
    for (unsigned i = 0; i < events->n; i++) {
        struct rb_event *ev = &events->items[i];
        if (ev->kind == RB_EVENT_NONE) {
            continue;
        }
        if (ev->build.region == NULL) {
            ev->build.region = ex->view->settings->aws.region;
        }
        if (ev->build.account == NULL) {
            ev->build.account = rb_whose_own(ex);
        }
        complete = complete && ev->find == RB_FIND_NOTHING && ev->build.account != NULL;
    }
    return complete;
}

/* ---- in a front-door thread ---- */

static bool for_later(enum rb_code rc)
{
    return rb_code_transient(rc) || rc == RB_E_TIMEOUT || rc == RB_E_AMBIGUOUS ||
           rc == RB_E_UNAVAIL || rc == RB_E_THROTTLED || rc == RB_E_CLOSED || rc == RB_E_NOMEM;
}

/* set_aside - nobody can tell, now or later: the event says why, and the operator is told of what
 * only they can mend. */
static void set_aside(struct rb_exchange *ex, struct rb_event *ev, enum rb_code rc,
                      const struct rb_err *err)
{
    const char *why = rb_arena_strdup(&ex->arena, err->msg);
    if (rc != RB_E_NOT_FOUND) {
        rb_log(RB_LOG_ERROR, "hook.not_resolved", RB_F("source", ex->source->setting->name),
               RB_F("why", err->msg));
    }
    ev->kind = RB_EVENT_NONE;
    ev->why = why != NULL ? why : "the build was not found";
}

/* spread - the event of a commit, or of a batch, becomes one of each build that failed there. */
static enum rb_code spread(struct rb_exchange *ex, unsigned i, const struct rb_build *builds,
                           unsigned n, struct rb_err *err)
{
    struct rb_events *events = ex->resolve->events;
    struct rb_event *ev = &events->items[i];
    struct rb_event *list = rb_arena_alloc(&ex->arena, n * sizeof(*list));
    if (list == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for events");
    }
    for (unsigned k = 0; k < n; k++) {
        list[k] = *ev;
        list[k].find = RB_FIND_NOTHING;
        list[k].find_in = NULL;
        list[k].build = builds[k];
        list[k].build.author = ev->build.author;
        list[k].needs_inspection = true;
    }
    events->items = list; /* such a delivery has one event */
    events->n = n;
    return RB_OK;
}

static enum rb_code of_statuses(struct rb_exchange *ex, const struct rb_finder *f, unsigned i,
                                struct rb_err *err)
{
    const struct rb_event *ev = &ex->resolve->events->items[i];
    const struct rb_find_in in = {.repository = ev->find_in,
                                  .repository_url = ev->build.repository,
                                  .commit = ev->build.resolved_version};
    struct rb_build *builds = NULL;
    unsigned n = 0;
    enum rb_code rc = rb_find_failed(f, ex->source->setting, &in, &ex->arena, &builds, &n, err);
    if (rc == RB_OK && n == 0) {
        return rb_err_set(err, RB_E_NOT_FOUND,
                          "no failed status of this commit is one of CodeBuild");
    }
    return rc == RB_OK ? spread(ex, i, builds, n, err) : rc;
}

static enum rb_code of_batch(struct rb_exchange *ex, const struct rb_finder *f, unsigned i,
                             struct rb_err *err)
{
    struct rb_build *builds = NULL;
    unsigned n = 0;
    enum rb_code rc =
        rb_find_batch(f, &ex->resolve->events->items[i].build, &ex->arena, &builds, &n, err);
    if (rc == RB_OK && n == 0) {
        return rb_err_set(err, RB_E_NOT_FOUND, "no build of this batch failed");
    }
    return rc == RB_OK ? spread(ex, i, builds, n, err) : rc;
}

static enum rb_code resolve_one(struct rb_exchange *ex, const struct rb_finder *f, unsigned i,
                                struct rb_err *err)
{
    struct rb_resolve *r = ex->resolve;
    struct rb_event *ev = &r->events->items[i];
    enum rb_code rc = RB_OK;
    if (ev->kind == RB_EVENT_NONE) {
        return RB_OK;
    }
    switch (ev->find) {
    case RB_FIND_STATUSES:
        return of_statuses(ex, f, i, err);
    case RB_FIND_BATCH:
        return of_batch(ex, f, i, err);
    case RB_FIND_COMMIT:
        rc = rb_find_commit(f, &ev->build, &ex->arena, err);
        break;
    case RB_FIND_NOTHING:
    default:
        if (ev->build.account != NULL) {
            return RB_OK; /* the delivery says so, from which nothing is learnt */
        }
        rc = rb_find_account(f, &ev->build, &ex->arena, err);
        break;
    }
    if (rc == RB_OK) {
        rb_whose_learn(ex, ev->build.account);
    }
    return rc;
}

static void resolve(struct rb_exchange *ex, struct rb_codebuild *c)
{
    struct rb_resolve *r = ex->resolve;
    const struct rb_finder f = rb_finder_of(ex, c, r->until_boot_ms);
    for (unsigned i = 0, n = r->events->n; i < n && r->rc == RB_OK; i++) {
        struct rb_err err = {.code = RB_OK};
        enum rb_code rc = resolve_one(ex, &f, i, &err);
        if (for_later(rc) && rc != RB_OK) {
            r->rc = rc;
            r->err = err;
        } else if (rc != RB_OK) {
            set_aside(ex, &r->events->items[i], rc, &err);
        }
    }
    rb_finder_done(&f);
}

/* ---- in the loop ---- */

static void unavailable(struct rb_exchange *ex, const char *why)
{
    rb_source_result(ex, RB_RESULT_UNAVAILABLE);
    rb_answer_problem(ex, 503, "%s; nothing was accepted, send it again", why);
}

static void after(struct rb_exchange *ex)
{
    struct rb_resolve *r = ex->resolve;
    struct rb_httpd *h = ex->httpd;
    if (ex->status != 0) {
        return; /* there was no client to ask with */
    }
    if (h->admitter == NULL || atomic_load(&h->stopping)) {
        unavailable(ex, "the service is stopping");
        return;
    }
    if (r->rc != RB_OK) {
        rb_log(RB_LOG_WARN, "hook.not_resolved", RB_F("source", ex->source->setting->name),
               RB_F("why", r->err.msg));
        unavailable(ex, "which build failed could not be found out");
        return;
    }
    r->admit(ex, r->events);
}

static bool may_ask(struct rb_httpd *h)
{
    return rb_door_threads(h, NULL) == RB_OK && h->admitter != NULL && !atomic_load(&h->stopping);
}

bool rb_finder_room(struct rb_exchange *ex)
{
    struct rb_httpd *h = ex->httpd;
    if (!may_ask(h) || h->n_resolving >= RB_RESOLVING_MAX) {
        return false;
    }
    if (!ex->asking) {
        h->n_resolving++;
        ex->asking = true;
    }
    rb_conn_hold(ex->conn);
    return true;
}

bool rb_finder_enter(struct rb_exchange *ex, int64_t *ret_until_boot_ms)
{
    if (!may_ask(ex->httpd)) {
        unavailable(ex, "nobody can be asked now");
        return false;
    }
    if (!rb_finder_room(ex)) {
        rb_source_result(ex, RB_RESULT_OVERLOADED);
        rb_answer_problem(ex, 429, "too many deliveries wait for an answer; send it again later");
        return false;
    }
    *ret_until_boot_ms = rb_boot_ms(ex->httpd->deps.clock) + RESOLVE_MAX_MS;
    return true;
}

void rb_hook_resolve(struct rb_exchange *ex, struct rb_events *events,
                     void (*admit)(struct rb_exchange *ex, struct rb_events *events))
{
    struct rb_resolve *r = rb_arena_alloc(&ex->arena, sizeof(*r));
    struct rb_events *kept = rb_arena_alloc(&ex->arena, sizeof(*kept));
    if (r == NULL || kept == NULL) {
        unavailable(ex, "there is no memory");
        return;
    }
    *kept = *events;
    *r = (struct rb_resolve){.events = kept, .admit = admit};
    if (rb_finder_enter(ex, &r->until_boot_ms)) {
        ex->resolve = r;
        ex->finish = after;
        rb_exchange_call(ex, resolve);
    }
}

void rb_hook_resolve_end(struct rb_exchange *ex)
{
    if (ex->asking) {
        ex->httpd->n_resolving--;
        ex->asking = false;
    }
    ex->resolve = NULL;
}

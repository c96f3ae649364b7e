/* What the engine calls and the test owns: CodeBuild, and the git host. */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct world *the_world;

/* ---- CodeBuild ---- */

struct rb_codebuild {
    const atomic_bool *cancel;
    char account[13]; /* whose builds the calls are about; "" = our own */
};

static int64_t aws_clock(const struct world *w)
{
    return world_now_ms(w) + w->offset_ms;
}

enum rb_code rb_codebuild_new(struct rb_aws *aws, const struct rb_settings *s,
                              struct rb_codebuild **ret_c, struct rb_err *err)
{
    (void)aws;
    (void)s;
    (void)err;
    *ret_c = calloc(1, sizeof(**ret_c));
    return *ret_c == NULL ? RB_E_NOMEM : RB_OK;
}

void rb_codebuild_free(struct rb_codebuild *c)
{
    free(c);
}

void rb_codebuild_cancel_on(struct rb_codebuild *c, const atomic_bool *flag)
{
    c->cancel = flag;
}

void rb_codebuild_of_account(struct rb_codebuild *c, const char *account)
{
    assert_true(account == NULL || strlen(account) == 12);
    snprintf(c->account, sizeof(c->account), "%s", account == NULL ? "" : account);
}

/* A call signed for another account than that of the build would be refused, or worse. */
static bool ours_to_see(const struct rb_codebuild *c, const struct world_build *b)
{
    return strcmp(c->account[0] == '\0' ? WORLD_ACCOUNT : c->account, b->b.account) == 0;
}

struct world_build *world_find(struct world *w, const char *id)
{
    for (unsigned i = 0; i < w->n_builds; i++) {
        if (strcmp(w->builds[i].id, id) == 0) {
            return &w->builds[i];
        }
    }
    return NULL;
}

struct world_build *world_started(struct world *w, const char *project, const char *version)
{
    assert_true(w->n_builds < WORLD_BUILDS);
    unsigned n = w->n_builds++;
    struct world_build *b = &w->builds[n];

    snprintf(b->id, sizeof(b->id), "%s:0000-%04u", project, n + 1);
    snprintf(b->arn, sizeof(b->arn), "arn:aws:codebuild:%s:%s:build/%s:0000-%04u", WORLD_REGION,
             WORLD_ACCOUNT, project, n + 1);
    b->b = (struct rb_build)RB_BUILD_INIT;
    b->b.partition = "aws";
    b->b.account = WORLD_ACCOUNT;
    b->b.region = WORLD_REGION;
    b->b.project = project;
    b->b.id = b->id;
    b->b.arn = b->arn;
    b->b.number = n + 1;
    b->b.status = "IN_PROGRESS";
    b->b.source_version = version;
    b->b.initiator = "ann";
    b->b.started_ms = aws_clock(w);
    return b;
}

void world_move(struct world_build *b, const char *account)
{
    b->b.account = account;
    snprintf(b->arn, sizeof(b->arn), "arn:aws:codebuild:%s:%s:build/%s", WORLD_REGION, account,
             b->id);
}

void world_end(struct world *w, struct world_build *b, const char *status)
{
    b->b.status = status;
    b->b.ended_ms = aws_clock(w);
}

struct world_build *world_failed(struct world *w, const char *project, const char *version)
{
    struct world_build *b = world_started(w, project, version);
    b->b.started_ms -= 60000;
    world_end(w, b, "FAILED");
    b->b.phase = "PROVISIONING";
    return b;
}

void world_answer_next(struct world *w, enum rb_code rc, bool effect)
{
    assert_true(w->n_answers < WORLD_ANSWERS);
    w->answers[w->n_answers++] =
        (struct world_answer){.rc = rc, .effect = effect, .retry_after_ms = -1};
}

static void once(struct world *w, void (**hook)(struct world *w))
{
    void (*fn)(struct world * w) = *hook;
    if (fn != NULL) {
        *hook = NULL;
        fn(w);
    }
}

/* The token's first build, while the token lives. */
static struct world_build *known_token(struct world *w, const char *token)
{
    for (unsigned i = 0; i < w->n_calls; i++) {
        if (strcmp(w->calls[i].token, token) == 0 && w->calls[i].child[0] != '\0') {
            return world_find(w, w->calls[i].child);
        }
    }
    return NULL;
}

/* What the next call does: scripted, else by chance, else a child at once. */
struct world_answer world_take_answer(struct world *w)
{
    static const struct world_answer wrong[] = {
        {.rc = RB_E_AMBIGUOUS, .effect = true, .retry_after_ms = -1},
        {.rc = RB_E_AMBIGUOUS, .effect = false, .retry_after_ms = -1},
        {.rc = RB_E_THROTTLED, .effect = false, .retry_after_ms = 50},
        {.rc = RB_E_UNAVAIL, .effect = false, .retry_after_ms = -1},
    };
    struct world_answer answer = {.rc = RB_OK, .effect = true, .retry_after_ms = -1};

    pthread_mutex_lock(&w->lock);
    if (w->at_answer < w->n_answers) {
        answer = w->answers[w->at_answer++];
    } else if (rb_random_below(rb_random_system(), 100) < w->chaos_percent) {
        answer = wrong[rb_random_below(rb_random_system(), RB_ARRAY_LEN(wrong))];
    }
    pthread_mutex_unlock(&w->lock);
    return answer;
}

static struct world_build *take_effect(struct world *w, const struct rb_retry_call *call,
                                       bool effect)
{
    struct world_build *child = known_token(w, call->token);
    struct world_build *parent = world_find(w, call->build_id);
    struct world_effect *e = &w->calls[w->n_calls++];

    assert_non_null(parent);
    snprintf(e->parent, sizeof(e->parent), "%s", call->build_id);
    snprintf(e->token, sizeof(e->token), "%s", call->token);
    e->date_ms = call->date_ms;
    if (effect && child == NULL) {
        child = world_started(w, parent->b.project, parent->b.source_version);
        world_move(child, parent->b.account);
        child->b.initiator = w->initiator;
        if (call->session != NULL && !w->sessions_unnamed) {
            snprintf(child->initiator, sizeof(child->initiator), "retrybuild/%s", call->session);
            child->b.initiator = child->initiator;
        }
        memcpy(child->parent, parent->id, sizeof(child->parent));
        memcpy(e->child, child->id, sizeof(e->child));
        w->n_effects++;
        if (w->real_clock) {
            world_end(w, child, "SUCCEEDED");
        }
    }
    return child;
}

enum rb_code rb_codebuild_retry(struct rb_codebuild *c, const struct rb_retry_call *call,
                                struct rb_arena *a, struct rb_build *ret_child,
                                const char **ret_access_key, int64_t *ret_retry_after_ms,
                                struct rb_err *err)
{
    struct world *w = the_world;
    struct world_answer answer = world_take_answer(w);

    *ret_retry_after_ms = answer.retry_after_ms;
    if (answer.unchecked) {
        return rb_err_set(err, answer.rc, "not sent");
    }
    enum rb_code rc = call->last_check(call->arg, err);
    if (rc != RB_OK) {
        return rc;
    }
    once(w, &w->in_call);
    pthread_mutex_lock(&w->lock);
    assert_true(call->batch_id != NULL || ours_to_see(c, world_find(w, call->build_id)));
    w->n_starts += call->start ? 1 : 0;
    w->n_named += call->session != NULL ? 1 : 0;
    if (call->batch_id != NULL) {
        answer.rc = world_retry_batch(w, call, &answer, a, ret_child);
    } else {
        const struct world_build *child = take_effect(w, call, answer.effect);
        if (answer.rc == RB_OK) {
            assert_non_null(child);
            assert_true(rb_build_copy(ret_child, &child->b, a));
        }
    }
    *ret_access_key = answer.rc == RB_OK ? "AKIDEXAMPLE" : *ret_access_key;
    pthread_mutex_unlock(&w->lock);
    return answer.rc == RB_OK
               ? RB_OK
               : rb_err_set(err, answer.rc, "the answer was %s", rb_code_name(answer.rc));
}

enum rb_code rb_codebuild_stop(struct rb_codebuild *c, const char *region, const char *id,
                               struct rb_arena *a, struct rb_build *ret_build, struct rb_err *err)
{
    struct world *w = the_world;

    assert_string_equal(region, WORLD_REGION);
    w->n_stops++;
    if (w->stop_rc != RB_OK) {
        return rb_err_set(err, w->stop_rc, "no stop today");
    }
    struct world_build *b = world_find(w, id);
    assert_non_null(b);
    assert_true(ours_to_see(c, b));
    if (!rb_build_ended(&b->b) && !w->slow_stop) {
        world_end(w, b, "STOPPED");
    }
    assert_true(rb_build_copy(ret_build, &b->b, a));
    return RB_OK;
}

enum rb_code rb_codebuild_get(struct rb_codebuild *c, const char *region, const char *const *ids,
                              unsigned n, struct rb_arena *a, struct rb_build **ret_builds,
                              unsigned *ret_n, struct rb_err *err)
{
    struct world *w = the_world;
    struct rb_build *out = rb_arena_alloc(a, n * sizeof(*out));
    bool denied = false;

    assert_string_equal(region, WORLD_REGION);
    assert_true(n >= 1 && n <= 100);
    pthread_mutex_lock(&w->lock);
    w->n_gets++;
    w->offset_known = w->offset_known || w->get_rc == RB_OK;
    pthread_mutex_unlock(&w->lock);
    if (w->get_rc != RB_OK) {
        return rb_err_set(err, w->get_rc, "look-ups fail");
    }
    *ret_n = 0;
    pthread_mutex_lock(&w->lock);
    for (unsigned i = 0; i < n; i++) {
        struct world_build *b = world_find(w, ids[i]);
        b = b != NULL && b->elsewhere && !ours_to_see(c, b) ? NULL : b;
        denied = denied || (b != NULL && b->denied);
        assert_true(b == NULL || ours_to_see(c, b));
        if (b != NULL && !b->hidden) {
            assert_true(rb_build_copy(&out[(*ret_n)++], &b->b, a));
        }
    }
    pthread_mutex_unlock(&w->lock);
    if (denied) {
        return rb_err_set(err, RB_E_REFUSED, "not authorized to look at one of these builds");
    }
    *ret_builds = out;
    return RB_OK;
}

enum rb_code rb_codebuild_list(struct rb_codebuild *c, const char *region, const char *project,
                               const char *next, struct rb_arena *a, const char ***ret_ids,
                               unsigned *ret_n, const char **ret_next, struct rb_err *err)
{
    struct world *w = the_world;

    (void)region;
    assert_null(next);
    once(w, &w->in_list);
    if (w->list_rc != RB_OK) {
        return rb_err_set(err, w->list_rc, "look-ups fail");
    }
    pthread_mutex_lock(&w->lock);
    w->n_lists++;
    *ret_ids = rb_arena_alloc(a, (w->n_builds + 1) * sizeof(**ret_ids));
    *ret_n = 0;
    *ret_next = NULL;
    for (unsigned i = w->n_builds; i-- > 0;) {
        if (strcmp(w->builds[i].b.project, project) == 0 && !w->builds[i].hidden &&
            ours_to_see(c, &w->builds[i])) {
            (*ret_ids)[(*ret_n)++] = rb_arena_strdup(a, w->builds[i].id);
        }
    }
    pthread_mutex_unlock(&w->lock);
    return RB_OK;
}

enum rb_code rb_codebuild_log_tail(struct rb_codebuild *c, const char *region, const char *id,
                                   size_t max_bytes, struct rb_arena *a, const char **ret_text,
                                   struct rb_err *err)
{
    struct world *w = the_world;

    (void)c;
    (void)region;
    assert_non_null(world_find(w, id));
    assert_true(max_bytes >= 1024);
    w->n_logs++;
    if (w->log_rc != RB_OK || w->log == NULL) {
        return rb_err_set(err, w->log_rc == RB_OK ? RB_E_NOT_FOUND : w->log_rc, "no log");
    }
    *ret_text = rb_arena_strdup(a, w->log);
    return RB_OK;
}

/* ---- the git host ---- */

enum rb_code rb_forge_head(const struct rb_forge *f, const struct rb_head_place *p,
                           struct rb_arena *a, const char **ret_commit, struct rb_err *err)
{
    struct world *w = the_world;

    assert_non_null(f->http);
    assert_true(f->until_boot_ms > world_now_ms(w)); /* not for ever */
    w->n_heads++;
    if (p->branch != NULL) {
        snprintf(w->head_asked, sizeof(w->head_asked), "%s %s %s", f->type, p->repository,
                 p->branch);
    } else {
        snprintf(w->head_asked, sizeof(w->head_asked), "%s %s %lld", f->type, p->repository,
                 (long long)p->number);
    }
    once(w, &w->in_head);
    if (w->head == NULL) {
        return rb_err_set(err, w->head_rc == RB_OK ? RB_E_UNAVAIL : w->head_rc, "no answer");
    }
    *ret_commit = rb_arena_strdup(a, w->head);
    return RB_OK;
}

/* The batch builds of the world's CodeBuild. */
#include "world.h"

#include <stdio.h>
#include <string.h>

static struct world_batch *find(struct world *w, const char *id)
{
    for (unsigned i = 0; i < w->n_batches; i++) {
        if (strcmp(w->batches[i].id, id) == 0) {
            return &w->batches[i];
        }
    }
    return NULL;
}

static struct world_build *member(struct world *w, struct world_batch *b, const char *project)
{
    struct world_build *one = world_started(w, project, b->version);
    one->b.batch_arn = b->arn;
    one->b.initiator = "service-role/AWSCodeBuild";
    return one;
}

static const char *project_of(const struct world_batch *b)
{
    return b->members[0]->b.project;
}

static struct world_batch *add(struct world *w, const char *project, const char *version,
                               const char *initiator)
{
    assert_true(w->n_batches < WORLD_BATCHES);
    struct world_batch *b = &w->batches[w->n_batches++];
    snprintf(b->id, sizeof(b->id), "%s:b-%04u", project, w->n_batches);
    snprintf(b->arn, sizeof(b->arn), "arn:aws:codebuild:%s:%s:build-batch/%s:b-%04u", WORLD_REGION,
             WORLD_ACCOUNT, project, w->n_batches);
    b->number = w->n_batches;
    b->status = "IN_PROGRESS";
    b->version = version;
    b->initiator = initiator;
    b->started_ms = b->run_ms = world_now_ms(w) + w->offset_ms;
    return b;
}

struct world_batch *world_batch(struct world *w, const char *project, const char *version,
                                unsigned n)
{
    struct world_batch *b = add(w, project, version, "ann");

    assert_true(n <= RB_ARRAY_LEN(b->members));
    for (; b->n_members < n; b->n_members++) {
        b->members[b->n_members] = member(w, b, project);
    }
    return b;
}

void world_batch_end(struct world *w, struct world_batch *b)
{
    b->status = "SUCCEEDED";
    for (unsigned i = 0; i < b->n_members; i++) {
        assert_true(rb_build_ended(&b->members[i]->b));
        if (strcmp(b->members[i]->b.status, "SUCCEEDED") != 0) {
            b->status = "FAILED";
        }
    }
    b->ended_ms = world_now_ms(w) + w->offset_ms;
}

struct world_batch *world_batch_again(struct world *w, struct world_batch *b)
{
    struct world_batch *next = b;

    if (w->new_batch) {
        next = add(w, project_of(b), b->version, w->initiator);
        next->n_members = b->n_members;
    }
    next->run_ms = world_now_ms(w) + w->offset_ms + 1; /* the run before has ended by now */
    for (unsigned i = 0; i < b->n_members; i++) {
        struct world_build *was = b->members[i];
        bool failed = strcmp(was->b.status, "SUCCEEDED") != 0;
        next->prior[i] = failed && next == b ? was : NULL;
        next->members[i] = failed ? member(w, next, was->b.project) : was;
    }
    next->status = "IN_PROGRESS";
    next->ended_ms = 0;
    return next;
}

static void tell(const struct world *w, const struct world_batch *b, struct rb_arena *a,
                 struct rb_batch *ret)
{
    bool before = w->stale_batch && b->prior[0] != NULL; /* shown as it was */

    *ret = (struct rb_batch){.b = RB_BUILD_INIT};
    ret->b.partition = "aws";
    ret->b.account = WORLD_ACCOUNT;
    ret->b.region = WORLD_REGION;
    ret->b.project = project_of(b);
    ret->b.id = rb_arena_strdup(a, b->id);
    ret->b.arn = ret->b.batch_arn = rb_arena_strdup(a, b->arn);
    ret->b.number = b->number;
    ret->b.status = before ? "FAILED" : b->status;
    ret->b.source_version = b->version;
    ret->b.initiator = b->initiator;
    ret->b.started_ms = b->started_ms;
    ret->b.ended_ms = b->ended_ms;
    ret->b.run_ms = before ? b->started_ms : b->run_ms;
    ret->members = rb_arena_alloc(a, 16 * sizeof(*ret->members));
    for (unsigned i = 0; i < b->n_members && !before; i++) {
        ret->members[ret->n_members++] = (struct rb_batch_member){
            .id = b->members[i]->id, .status = b->members[i]->b.status, .newest = true};
        if (b->prior[i] != NULL) {
            ret->members[ret->n_members++] = (struct rb_batch_member){
                .id = b->prior[i]->id, .status = b->prior[i]->b.status, .newest = false};
        }
    }
}

/* The token's first effect, while the token lives. */
static const char *known(const struct world *w, const char *token)
{
    for (unsigned i = 0; i < w->n_calls; i++) {
        if (strcmp(w->calls[i].token, token) == 0 && w->calls[i].child[0] != '\0') {
            return w->calls[i].child;
        }
    }
    return NULL;
}

enum rb_code world_retry_batch(struct world *w, const struct rb_retry_call *call,
                               const struct world_answer *answer, struct rb_arena *a,
                               struct rb_build *ret_child)
{
    struct world_batch *b = find(w, call->batch_id);
    const char *before = known(w, call->token);
    struct world_effect *e = &w->calls[w->n_calls++];
    struct rb_batch told;

    assert_non_null(b);
    assert_false(call->start);
    w->n_batch_calls++;
    snprintf(e->parent, sizeof(e->parent), "%s", call->batch_id);
    snprintf(e->token, sizeof(e->token), "%s", call->token);
    e->date_ms = call->date_ms;
    if (before == NULL && answer->effect) {
        if (strcmp(b->status, "IN_PROGRESS") == 0) {
            return RB_E_REFUSED; /* AWS does not retry one that runs */
        }
        b = world_batch_again(w, b);
        snprintf(e->child, sizeof(e->child), "%s", b->id);
        w->n_effects++;
    } else if (before != NULL) {
        b = find(w, before);
    }
    tell(w, b, a, &told);
    *ret_child = told.b;
    return answer->rc;
}

enum rb_code rb_codebuild_get_batches(struct rb_codebuild *c, const char *region,
                                      const char *const *ids, unsigned n, struct rb_arena *a,
                                      struct rb_batch **ret_batches, unsigned *ret_n,
                                      struct rb_err *err)
{
    struct world *w = the_world;
    struct rb_batch *out = rb_arena_alloc(a, n * sizeof(*out));

    (void)c;
    assert_string_equal(region, WORLD_REGION);
    assert_true(n >= 1 && n <= 100);
    w->n_batch_gets++;
    w->offset_known = w->offset_known || w->get_rc == RB_OK;
    if (w->get_rc != RB_OK) {
        return rb_err_set(err, w->get_rc, "look-ups fail");
    }
    *ret_n = 0;
    for (unsigned i = 0; i < n; i++) {
        const struct world_batch *b = find(w, ids[i]);
        if (b != NULL && !b->hidden) {
            tell(w, b, a, &out[(*ret_n)++]);
        }
    }
    *ret_batches = out;
    return RB_OK;
}

enum rb_code rb_codebuild_list_batches(struct rb_codebuild *c, const char *region,
                                       const char *project, const char *next, struct rb_arena *a,
                                       const char ***ret_ids, unsigned *ret_n,
                                       const char **ret_next, struct rb_err *err)
{
    struct world *w = the_world;

    (void)c;
    (void)region;
    assert_null(next);
    if (w->list_rc != RB_OK) {
        return rb_err_set(err, w->list_rc, "look-ups fail");
    }
    *ret_ids = rb_arena_alloc(a, (w->n_batches + 1) * sizeof(**ret_ids));
    *ret_n = 0;
    *ret_next = NULL;
    for (unsigned i = w->n_batches; i-- > 0;) {
        if (strcmp(project_of(&w->batches[i]), project) == 0 && !w->batches[i].hidden) {
            (*ret_ids)[(*ret_n)++] = rb_arena_strdup(a, w->batches[i].id);
        }
    }
    return RB_OK;
}

enum rb_code rb_codebuild_stop_batch(struct rb_codebuild *c, const char *region, const char *id,
                                     struct rb_arena *a, struct rb_batch *ret_batch,
                                     struct rb_err *err)
{
    struct world *w = the_world;
    struct world_batch *b = find(w, id);

    (void)c;
    (void)region;
    w->n_batch_stops++;
    assert_non_null(b);
    if (w->stop_rc != RB_OK) {
        return rb_err_set(err, w->stop_rc, "no stop today");
    }
    b->status = "STOPPED";
    b->ended_ms = world_now_ms(w) + w->offset_ms;
    tell(w, b, a, ret_batch);
    return RB_OK;
}

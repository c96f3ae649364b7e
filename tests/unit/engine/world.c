#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <retrybuild/config.h>
#include <retrybuild/destination.h>
#include <retrybuild/log.h>

struct world *the_world;

/* ---- clock ---- */

static int64_t read_now(void *arg)
{
    const struct world *w = arg;
    return w->now_ms;
}

static struct rb_clock world_clock = {.unix_ms = read_now, .boot_ms = read_now};

/* ---- AWS ---- */

struct rb_aws {
    int unused;
};
struct rb_codebuild {
    const atomic_bool *cancel;
};
static struct rb_aws the_aws;

enum rb_code rb_aws_credentials(struct rb_aws *aws, struct rb_credentials *ret_c,
                                struct rb_err *err)
{
    (void)aws;
    (void)err;
    *ret_c = (struct rb_credentials){.access_key = strdup("AKIDEXAMPLE")};
    return RB_OK;
}

void rb_credentials_release(struct rb_credentials *c)
{
    free(c->access_key);
    c->access_key = NULL;
}

void rb_aws_credentials_refused(struct rb_aws *aws)
{
    (void)aws;
    the_world->n_refused_credentials++;
}

int64_t rb_aws_offset_ms(const struct rb_aws *aws)
{
    (void)aws;
    return the_world->offset_known ? the_world->offset_ms : 0;
}

bool rb_aws_offset_known(const struct rb_aws *aws)
{
    (void)aws;
    return the_world->offset_known;
}

int64_t rb_aws_now_ms(const struct rb_aws *aws)
{
    return the_world->now_ms + rb_aws_offset_ms(aws);
}

static int64_t aws_clock(const struct world *w)
{
    return w->now_ms + w->offset_ms;
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
    snprintf(b->arn, sizeof(b->arn), "arn:aws:codebuild:%s:%s:build/%s", WORLD_REGION,
             WORLD_ACCOUNT, b->id);
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

enum rb_code rb_codebuild_retry(struct rb_codebuild *c, const struct rb_retry_call *call,
                                struct rb_arena *a, struct rb_build *ret_child,
                                const char **ret_access_key, int64_t *ret_retry_after_ms,
                                struct rb_err *err)
{
    struct world *w = the_world;
    struct world_answer answer = {.rc = RB_OK, .effect = true, .retry_after_ms = -1};
    struct world_build *parent = world_find(w, call->build_id);

    (void)c;
    assert_non_null(parent);
    if (w->at_answer < w->n_answers) {
        answer = w->answers[w->at_answer++];
    }
    *ret_retry_after_ms = answer.retry_after_ms;
    if (answer.unchecked) {
        return rb_err_set(err, answer.rc, "not sent");
    }
    enum rb_code rc = call->last_check(call->arg, err);
    if (rc != RB_OK) {
        return rc;
    }
    once(w, &w->in_call);
    struct world_effect *e = &w->calls[w->n_calls++];
    snprintf(e->parent, sizeof(e->parent), "%s", call->build_id);
    snprintf(e->token, sizeof(e->token), "%s", call->token);
    e->date_ms = call->date_ms;
    struct world_build *child = known_token(w, call->token);
    if (answer.effect && child == NULL) {
        child = world_started(w, parent->b.project, parent->b.source_version);
        child->b.initiator = w->initiator;
        snprintf(child->parent, sizeof(child->parent), "%s", parent->id);
        snprintf(e->child, sizeof(e->child), "%s", child->id);
        w->n_effects++;
    }
    if (answer.rc != RB_OK) {
        return rb_err_set(err, answer.rc, "the answer was %s", rb_code_name(answer.rc));
    }
    assert_non_null(child);
    *ret_access_key = "AKIDEXAMPLE";
    assert_true(rb_build_copy(ret_child, &child->b, a));
    return RB_OK;
}

enum rb_code rb_codebuild_get(struct rb_codebuild *c, const char *region, const char *const *ids,
                              unsigned n, struct rb_arena *a, struct rb_build **ret_builds,
                              unsigned *ret_n, struct rb_err *err)
{
    struct world *w = the_world;
    struct rb_build *out = rb_arena_alloc(a, n * sizeof(*out));

    (void)c;
    assert_string_equal(region, WORLD_REGION);
    assert_true(n >= 1 && n <= 100);
    w->n_gets++;
    if (w->get_rc != RB_OK) {
        return rb_err_set(err, w->get_rc, "look-ups fail");
    }
    *ret_n = 0;
    for (unsigned i = 0; i < n; i++) {
        struct world_build *b = world_find(w, ids[i]);
        if (b != NULL && !b->hidden) {
            assert_true(rb_build_copy(&out[(*ret_n)++], &b->b, a));
        }
    }
    *ret_builds = out;
    w->offset_known = true;
    return RB_OK;
}

enum rb_code rb_codebuild_list(struct rb_codebuild *c, const char *region, const char *project,
                               const char *next, struct rb_arena *a, const char ***ret_ids,
                               unsigned *ret_n, const char **ret_next, struct rb_err *err)
{
    struct world *w = the_world;

    (void)c;
    (void)region;
    assert_null(next);
    w->n_lists++;
    once(w, &w->in_list);
    if (w->list_rc != RB_OK) {
        return rb_err_set(err, w->list_rc, "look-ups fail");
    }
    *ret_ids = rb_arena_alloc(a, (w->n_builds + 1) * sizeof(**ret_ids));
    *ret_n = 0;
    *ret_next = NULL;
    for (unsigned i = w->n_builds; i-- > 0;) {
        if (strcmp(w->builds[i].b.project, project) == 0 && !w->builds[i].hidden) {
            (*ret_ids)[(*ret_n)++] = rb_arena_strdup(a, w->builds[i].id);
        }
    }
    return RB_OK;
}

/* ---- policy ---- */

struct rb_policy {
    int unused;
};

enum rb_code rb_policy_new(struct rb_settings *s, struct rb_policy **ret_p, struct rb_err *err)
{
    (void)s;
    (void)err;
    *ret_p = calloc(1, sizeof(**ret_p));
    return *ret_p == NULL ? RB_E_NOMEM : RB_OK;
}

void rb_policy_free(struct rb_policy *p)
{
    free(p);
}

void rb_policy_decide(const struct rb_policy *p, const struct rb_policy_input *in,
                      struct rb_arena *a, struct rb_decision *ret_d)
{
    const struct world *w = the_world;

    (void)p;
    (void)a;
    *ret_d = w->decision;
    ret_d->limit = w->limit;
    if (in->person) {
        ret_d->action = RB_ACTION_RETRY;
        ret_d->state = w->person_refused ? RB_STATE_REFUSED : RB_STATE_SCHEDULED;
        ret_d->rule = "person";
        ret_d->reason = "a person asked";
    } else if (in->attempt >= w->limit && w->decision.state == RB_STATE_SCHEDULED) {
        ret_d->action = RB_ACTION_IGNORE;
        ret_d->state = RB_STATE_REFUSED;
        ret_d->reason = "the limit of the chain is reached";
    }
}

int64_t rb_policy_delay_ms(const struct rb_delay *d, int64_t attempt, uint64_t random64)
{
    (void)attempt;
    (void)random64;
    return d->list_ms[0];
}

/* ---- receivers ---- */

bool rb_destination_wants(const struct rb_destination_setting *d, const struct rb_retry *r,
                          enum rb_stage stage)
{
    (void)r;
    return d->stages[stage];
}

void rb_destination_post(const struct rb_destination_setting *d, const struct rb_report_view *v,
                         int64_t first_due_ms, const struct rb_settings *s, struct rb_httpc *http,
                         const struct rb_random *rnd, struct rb_post_result *ret)
{
    struct world *w = the_world;

    (void)first_due_ms;
    (void)s;
    (void)rnd;
    assert_non_null(http);
    assert_true(w->n_posts < WORLD_POSTS);
    snprintf(w->posts[w->n_posts].destination, 64, "%s", d->name);
    snprintf(w->posts[w->n_posts].message_id, 64, "%s", v->message_id);
    w->posts[w->n_posts].stage = v->stage;
    w->posts[w->n_posts].state = v->retry->state;
    w->n_posts++;
    *ret = (struct rb_post_result){.verdict = RB_POST_DELIVERED};
    if (w->verdict != WORLD_DELIVERED) {
        ret->verdict = w->verdict == WORLD_AGAIN ? RB_POST_AGAIN : RB_POST_DEAD;
        ret->again_in_ms = 5000;
        snprintf(ret->error, sizeof(ret->error), "the receiver is down");
    }
}

/* ---- setup ---- */

static const char config[] = "store: {url: 'sqlite:%s/store.db'}\n"
                             "aws: {region: us-east-1, account: '123456789012'}\n"
                             "sweep: {projects: [web]}\n"
                             "destinations:\n"
                             "  - {name: hook, type: webhook, url: 'https://example.com/x',\n"
                             "     stages: [held, started, finished, refused]}\n";

static void worker_open(struct world *w, struct rb_worker *k, const struct rb_worker_role *role)
{
    struct rb_err err;

    *k = (struct rb_worker){.e = w->engine, .role = role};
    snprintf(k->name, sizeof(k->name), "%s", role->name);
    assert_int_equal(rb_store_session_open(w->store, &k->ses, &err), RB_OK);
    k->rt = rb_runtime_get(w->engine);
    if (role->needs_codebuild) {
        assert_int_equal(rb_codebuild_new(&the_aws, w->settings, &k->codebuild, &err), RB_OK);
    }
    if (role->needs_http) {
        assert_int_equal(rb_httpc_new(w->settings, &k->http, &err), RB_OK);
    }
}

static void worker_close(struct rb_worker *k)
{
    rb_store_session_close(k->ses);
    rb_codebuild_free(k->codebuild);
    rb_httpc_free(k->http);
    rb_runtime_unref(k->rt);
    if (k->memory_free != NULL) {
        k->memory_free(k->memory);
    }
}

static void world_open(struct world *w)
{
    static const struct rb_store_backend *const backends[] = {&rb_store_backend_sqlite, NULL};
    struct rb_err err = {.code = RB_OK};

    if (rb_store_open(backends, w->settings, &world_clock, &w->store, &err) != RB_OK) {
        fail_msg("store: %s", err.msg);
    }
    const struct rb_engine_deps deps = {.settings = w->settings,
                                        .store = w->store,
                                        .aws = &the_aws,
                                        .clock = &world_clock,
                                        .random = rb_random_system()};
    assert_int_equal(rb_engine_new(&deps, &w->engine, &err), RB_OK);
    assert_int_equal(rb_store_session_open(w->store, &w->ses, &err), RB_OK);
    worker_open(w, &w->submit, &rb_role_submit);
    worker_open(w, &w->other_submit, &rb_role_submit);
    worker_open(w, &w->inspect, &rb_role_inspect);
    worker_open(w, &w->follow, &rb_role_follow);
    worker_open(w, &w->report, &rb_role_report);
    worker_open(w, &w->sweep, &rb_role_sweep);
    worker_open(w, &w->keep, &rb_role_keep);
    (void)world_round(&w->keep); /* the store's memory begins */
}

static void world_close(struct world *w)
{
    struct rb_worker *all[] = {&w->submit, &w->other_submit, &w->inspect, &w->follow,
                               &w->report, &w->sweep,        &w->keep};
    for (size_t i = 0; i < RB_ARRAY_LEN(all); i++) {
        worker_close(all[i]);
    }
    rb_store_session_close(w->ses);
    rb_engine_free(w->engine);
    rb_store_close(w->store);
}

void world_restart(struct world *w)
{
    world_close(w);
    world_open(w);
}

int world_setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    char text[1024];
    struct rb_problems problems = {.n = 0};
    struct rb_err err = {.code = RB_OK};

    assert_non_null(w);
    the_world = w;
    rb_log_setup(RB_LOG_ERROR, RB_LOG_LOGFMT, 2);
    world_clock.arg = w;
    w->now_ms = WORLD_START;
    w->initiator = "retrybuild/one";
    w->limit = 2;
    w->decision = (struct rb_decision){
        .action = RB_ACTION_RETRY,
        .rule = "provisioning",
        .reason = "the machine did not come up",
        .state = RB_STATE_SCHEDULED,
        .delay = {.kind = RB_DELAY_FIXED, .n_list = 1},
    };
    snprintf(w->dir, sizeof(w->dir), "/tmp/rb-engine-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(text, sizeof(text), config, w->dir);
    if (rb_config_parse(text, strlen(text), "test", w->dir, &w->settings, &problems, &err) !=
        RB_OK) {
        fail_msg("%s %s", err.msg, problems.n > 0 ? problems.items[0].text : "");
    }
    rb_problems_release(&problems);
    world_open(w);
    w->now_ms += 60000; /* what ends from now on ended after the memory began */
    *state = w;
    return 0;
}

static void remove_file(const struct world *w, const char *name)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", w->dir, name);
    (void)unlink(path);
}

int world_teardown(void **state)
{
    struct world *w = *state;

    world_close(w);
    remove_file(w, "store.db");
    remove_file(w, "store.db-wal");
    remove_file(w, "store.db-shm");
    remove_file(w, "store.db.lock");
    (void)rmdir(w->dir);
    rb_settings_unref(w->settings);
    free(w);
    return 0;
}

/* ---- driving ---- */

void world_pass(struct world *w, int64_t ms)
{
    w->now_ms += ms;
}

static enum rb_admit_result admit(struct world *w, struct rb_admission *a, char *ret_id)
{
    struct rb_err err = {.code = RB_OK};

    assert_non_null(a);
    if (rb_store_admit(w->ses, &a, 1, w->now_ms, &err) != RB_OK || a->rc != RB_OK) {
        fail_msg("admit: %s", err.msg);
    }
    if (ret_id != NULL) {
        memcpy(ret_id, a->retry_id, RB_ID_BYTES);
    }
    enum rb_admit_result result = a->result;
    rb_engine_admission_free(a);
    return result;
}

static enum rb_admit_result deliver(struct world *w, const struct world_build *b, const char *key,
                                    bool bare, char *ret_id)
{
    struct rb_admission *a = NULL;
    struct rb_err err;
    struct rb_event ev = {
        .kind = rb_build_failed(&b->b) ? RB_EVENT_FAILURE : RB_EVENT_ENDED,
        .build = b->b,
        .needs_inspection = bare,
        .at_ms = b->b.ended_ms,
    };
    const struct rb_delivery d = {
        .source = "eventbridge", .type = "eventbridge", .key = key, .at_ms = w->now_ms};

    ev.build.number = 0; /* events seldom say it */
    assert_int_equal(rb_engine_admission_new(w->engine, &ev, &d, &a, &err), RB_OK);
    return admit(w, a, ret_id);
}

enum rb_admit_result world_deliver(struct world *w, const struct world_build *b, const char *key,
                                   char ret_id[RB_ID_BYTES])
{
    return deliver(w, b, key, false, ret_id);
}

enum rb_admit_result world_deliver_bare(struct world *w, const struct world_build *b,
                                        const char *key, char ret_id[RB_ID_BYTES])
{
    return deliver(w, b, key, true, ret_id);
}

enum rb_admit_result world_ask(struct world *w, const struct world_build *b, const char *token,
                               bool force, char ret_id[RB_ID_BYTES])
{
    struct rb_admission *a = NULL;
    struct rb_err err;
    struct rb_build named = RB_BUILD_INIT;

    named.account = b->b.account;
    named.region = b->b.region;
    named.project = b->b.project;
    named.id = b->id;
    const struct rb_person_request p = {
        .build = &named,
        .token = token,
        .caller = "ops",
        .reason = "it was the network",
        .callback_url = "https://example.com/callback",
        .force = force,
        .delivery = {.source = "api", .type = "api", .key = NULL, .at_ms = w->now_ms},
    };
    assert_int_equal(rb_engine_person_new(w->engine, &p, &a, &err), RB_OK);
    return admit(w, a, ret_id);
}

bool world_round(struct rb_worker *k)
{
    struct rb_round round = {.worked = false};
    struct rb_err err = {.code = RB_OK};

    enum rb_code rc = k->role->round(k, &round, &err);
    if (rc != RB_OK) {
        fail_msg("%s: %s", k->name, err.msg);
    }
    return round.worked;
}

void world_work(struct world *w, struct rb_worker *k, int64_t ms)
{
    int64_t until_ms = w->now_ms + ms;

    while (w->now_ms <= until_ms) {
        struct rb_round round = {.worked = false};
        struct rb_err err = {.code = RB_OK};
        if (k->role->round(k, &round, &err) != RB_OK) {
            fail_msg("%s: %s", k->name, err.msg);
        }
        if (round.worked) {
            continue;
        }
        if (round.next_ms == 0 || round.next_ms > until_ms) {
            w->now_ms = until_ms;
            return;
        }
        w->now_ms = round.next_ms > w->now_ms ? round.next_ms : w->now_ms + 1;
    }
}

struct rb_retry *world_get(struct world *w, const char *id)
{
    struct rb_retry *r = NULL;
    struct rb_err err;

    assert_int_equal(rb_store_get(w->ses, id, &r, &err), RB_OK);
    return r;
}

void world_expect(struct world *w, const char *id, enum rb_state state)
{
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, id);
    if (r->state != state) {
        fail_msg("'%s' is %s, expected %s; newest note: %s", id, rb_state_name(r->state),
                 rb_state_name(state), rb_work_last_note(r));
    }
}

bool world_noted(struct world *w, const char *id, const char *part)
{
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, id);
    for (unsigned i = 0; i < r->n_history; i++) {
        if (r->history[i].note != NULL && strstr(r->history[i].note, part) != NULL) {
            return true;
        }
    }
    return false;
}

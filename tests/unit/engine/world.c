#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <retrybuild/config.h>
#include <retrybuild/log.h>

/* ---- clock ---- */

static int64_t read_now(void *arg)
{
    const struct world *w = arg;
    return w->real_clock ? rb_now_ms(rb_clock_system()) : w->now_ms;
}

static int64_t read_boot(void *arg)
{
    const struct world *w = arg;
    return w->real_clock ? rb_boot_ms(rb_clock_system()) : w->now_ms;
}

static struct rb_clock world_clock = {.unix_ms = read_now, .boot_ms = read_boot};

int64_t world_now_ms(const struct world *w)
{
    return w->real_clock ? rb_now_ms(rb_clock_system()) : w->now_ms;
}

/* ---- setup ---- */

static const char config[] = "store: {url: 'sqlite:%s/store.db'}\n"
                             "aws: {region: us-east-1, account: '123456789012'}\n"
                             "sweep: {projects: [web]}\n"
                             "budgets: {per_commit: 0, per_project: {ratio: 0,"
                             " floor_per_hour: 0}}\n"
                             "breaker: {minimum: 0}\n"
                             "incident: {projects: 0}\n"
                             "destinations:\n%s";
static const char hook[] = "  - {name: hook, type: webhook, url: 'https://example.com/x',\n"
                           "     stages: [held, started, finished, refused]}\n";

static void worker_open(struct world *w, struct rb_worker *k, const struct rb_worker_role *role)
{
    struct rb_err err;

    *k = (struct rb_worker){.e = w->engine, .role = role};
    snprintf(k->name, sizeof(k->name), "%s", role->name);
    assert_int_equal(rb_store_session_open(w->store, &k->ses, &err), RB_OK);
    k->rt = rb_runtime_get(w->engine);
    if (role->needs_codebuild) {
        assert_int_equal(rb_codebuild_new(NULL, w->settings, &k->codebuild, &err), RB_OK);
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

void world_open(struct world *w)
{
    static const struct rb_store_backend *const backends[] = {&rb_store_backend_sqlite, NULL};
    struct rb_err err = {.code = RB_OK};

    if (rb_store_open(backends, w->settings, &world_clock, &w->store, &err) != RB_OK) {
        fail_msg("store: %s", err.msg);
    }
    const struct rb_engine_deps deps = {.settings = w->settings,
                                        .store = w->store,
                                        .aws = NULL,
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

void world_close(struct world *w)
{
    struct rb_worker *all[] = {&w->submit, &w->other_submit, &w->inspect, &w->follow,
                               &w->report, &w->sweep,        &w->keep};
    for (size_t i = 0; i < RB_ARRAY_LEN(all); i++) {
        worker_close(all[i]);
    }
    rb_store_session_close(w->ses);
    rb_store_close(w->store);
    rb_engine_free(w->engine);
}

void world_restart(struct world *w)
{
    world_close(w);
    world_open(w);
}

void world_prepare(struct world *w)
{
    char text[4096];
    struct rb_problems problems = {.n = 0};
    struct rb_err err = {.code = RB_OK};

    the_world = w;
    pthread_mutex_init(&w->lock, NULL);
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
    /* Processes are killed here, not machines: memory is as durable as a disk, and faster. */
    snprintf(w->dir, sizeof(w->dir), "%s/rb-engine-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(w->dir));
    snprintf(text, sizeof(text), config, w->dir, w->destinations == NULL ? hook : w->destinations);
    if (rb_config_parse(text, strlen(text), "test", w->dir, &w->settings, &problems, &err) !=
        RB_OK) {
        fail_msg("%s %s", err.msg, problems.n > 0 ? problems.items[0].text : "");
    }
    rb_problems_release(&problems);
}

int world_setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    world_prepare(w);
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

void world_cleanup(struct world *w)
{
    remove_file(w, "store.db");
    remove_file(w, "store.db-wal");
    remove_file(w, "store.db-shm");
    remove_file(w, "store.db.lock");
    (void)rmdir(w->dir);
    rb_settings_unref(w->settings);
    pthread_mutex_destroy(&w->lock);
}

int world_teardown(void **state)
{
    struct world *w = *state;

    world_close(w);
    world_cleanup(w);
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
    if (rb_store_admit(w->ses, &a, 1, world_now_ms(w), &err) != RB_OK || a->rc != RB_OK) {
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

struct world_build *world_child_of(struct world *w, const char *retry)
{
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, retry);
    assert_int_equal(r->state, RB_STATE_RUNNING);
    return world_find(w, r->child.id);
}

void world_newest(struct world *w, char ret_id[RB_ID_BYTES])
{
    struct rb_retry *items[1] = {NULL};
    char next[RB_CURSOR_BYTES];
    const struct rb_filter f = {.limit = 1};
    struct rb_err err;
    unsigned n = 0;

    assert_int_equal(rb_store_list(w->ses, &f, items, &n, next, &err), RB_OK);
    assert_int_equal(n, 1);
    memcpy(ret_id, items[0]->id, RB_ID_BYTES);
    rb_retry_free(items[0]);
}

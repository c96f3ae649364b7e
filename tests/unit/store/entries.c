/* entries.c - things to admit, and short ways to claim and settle. */
#include <stdio.h>
#include <string.h>

#include <retrybuild/random.h>

#include "harness.h"

static void fill_build(struct rb_build *b, struct rb_arena *a, const char *project, unsigned build)
{
    *b = (struct rb_build)RB_BUILD_INIT;
    b->partition = "aws";
    b->account = "123456789012";
    b->region = "us-east-1";
    b->project = rb_arena_strdup(a, project);
    b->id = rb_arena_printf(a, "%s:00000000-0000-4000-8000-%012u", project, build);
    b->number = build;
    b->status = "FAILED";
    b->phase = "PROVISIONING";
    b->source_version = "refs/heads/main";
}

void build_key_of(const char *project, unsigned build, char ret_key[RB_KEY_BYTES])
{
    struct rb_arena a;
    struct rb_build b;
    rb_arena_init(&a, 4096);
    fill_build(&b, &a, project, build);
    rb_build_key(&b, ret_key);
    rb_arena_release(&a);
}

void entry_init(struct entry *e, const char *project, unsigned build, unsigned delivery,
                int64_t now)
{
    memset(e, 0, sizeof(*e));
    struct rb_retry *r = rb_retry_new();
    assert_non_null(r);
    fill_build(&r->build, &r->arena, project, build);
    rb_id_make(rb_random_system(), "rty_", now, rb_build_shard(&r->build), r->id);
    rb_id_make(rb_random_system(), "chn_", now, rb_build_shard(&r->build), r->chain);
    (void)snprintf(e->delivery_text, sizeof(e->delivery_text), "delivery-%u", delivery);
    e->delivery = (struct rb_delivery){
        .source = "eventbridge", .type = "eventbridge", .key = e->delivery_text, .at_ms = now};
    r->source = e->delivery;
    r->source.key = rb_arena_strdup(&r->arena, e->delivery_text);
    r->state = RB_STATE_SCHEDULED;
    r->attempt = 1;
    r->limit = 2;
    r->created_ms = now;
    r->due_ms = now;
    r->decision = (struct rb_decision){.action = RB_ACTION_RETRY,
                                       .rule = "infrastructure",
                                       .reason = "the host did not come up",
                                       .limit = 2,
                                       .state = RB_STATE_SCHEDULED};
    rb_build_key(&r->build, e->build_key);
    rb_intent_key(&r->build, e->intent_key);
    if (delivery != 0) {
        rb_scoped_key("eventbridge", e->delivery_text, strlen(e->delivery_text), e->delivery_key);
    }
    e->retry = r;
    e->a = (struct rb_admission){
        .mode = RB_ADMIT_EVENT,
        .delivery_key = delivery == 0 ? NULL : e->delivery_key,
        .build_key = e->build_key,
        .intent_key = e->intent_key,
        .delivery = &e->delivery,
        .retry = r,
        .task = RB_TASK_SUBMIT,
        .reports = e->reports,
    };
}

void entry_anonymous(struct entry *e)
{
    e->retry->build.account = NULL;
    e->retry->build.arn = NULL;
    rb_build_key(&e->retry->build, e->build_key);
    rb_intent_key(&e->retry->build, e->intent_key);
}

void entry_release(struct entry *e)
{
    rb_retry_free(e->retry);
    e->retry = NULL;
}

void entry_token(struct entry *e, const char *token, const char *parameters)
{
    rb_scoped_key("token of ops", token, strlen(token), e->token_key);
    rb_scoped_key("parameters", parameters, strlen(parameters), e->fingerprint);
    e->a.token_key = e->token_key;
    e->a.token_fingerprint = e->fingerprint;
}

void entry_report(struct entry *e, const char *destination, enum rb_stage stage, int64_t due)
{
    assert_true(e->a.n_reports < 4);
    e->reports[e->a.n_reports++] =
        (struct rb_report_task){.destination = destination, .stage = stage, .due_ms = due};
}

void entry_state(struct entry *e, enum rb_state state, enum rb_task_kind task)
{
    e->retry->state = state;
    e->retry->finished_ms = rb_state_terminal(state) ? e->retry->created_ms : 0;
    e->a.task = task;
}

enum rb_admit_result admit(struct fix *f, struct entry *e, int64_t now)
{
    struct rb_err err = {0};
    struct rb_admission *items[] = {&e->a};
    if (rb_store_admit(f->ses, items, 1, now, &err) != RB_OK) {
        fail_msg("%s", err.msg);
    }
    assert_int_equal(e->a.rc, RB_OK);
    return e->a.result;
}

void admit_new(struct fix *f, const char *project, unsigned build, int64_t now,
               char ret_id[RB_ID_BYTES])
{
    struct entry e;
    entry_init(&e, project, build, build, now);
    assert_int_equal(admit(f, &e, now), RB_ADMIT_NEW);
    memcpy(ret_id, e.retry->id, RB_ID_BYTES);
    assert_string_equal(e.a.retry_id, ret_id);
    entry_release(&e);
}

enum rb_admit_result admit_ended(struct fix *f, const char *project, unsigned build, int64_t now,
                                 char ret_id[RB_ID_BYTES])
{
    struct entry e;
    entry_init(&e, project, build, 0, now);
    e.a.mode = RB_ADMIT_ENDED;
    e.a.retry = NULL;
    enum rb_admit_result result = admit(f, &e, now);
    if (ret_id != NULL) {
        memcpy(ret_id, e.a.retry_id, RB_ID_BYTES);
    }
    entry_release(&e);
    return result;
}

/* ---- tasks ---- */

struct rb_task *claim(struct fix *f, enum rb_task_kind kind, int64_t now)
{
    struct rb_task *t = NULL;
    struct rb_err err = {0};
    unsigned n = 0;
    if (rb_store_claim(f->ses, kind, 1, LEASE, now, &t, &n, NULL, &err) != RB_OK) {
        fail_msg("%s", err.msg);
    }
    return n == 0 ? NULL : t;
}

struct rb_task *must_claim(struct fix *f, enum rb_task_kind kind, int64_t now)
{
    struct rb_task *t = claim(f, kind, now);
    assert_non_null(t);
    return t;
}

unsigned claim_all(struct fix *f, enum rb_task_kind kind, int64_t now)
{
    unsigned n = 0;
    for (struct rb_task *t = NULL; (t = claim(f, kind, now)) != NULL; n++) {
        rb_task_free(t);
    }
    return n;
}

enum rb_code settle(struct fix *f, struct rb_task *t, struct rb_settle *s, int64_t now)
{
    s->task = t;
    if (s->retry == NULL) {
        s->retry = t->retry;
    }
    return rb_store_settle(f->ses, s, now, NULL);
}

void to_running(struct fix *f, const char *project, unsigned build, unsigned child, int64_t due,
                char ret_id[RB_ID_BYTES])
{
    char child_key[RB_KEY_BYTES];
    admit_new(f, project, build, T0, ret_id);
    struct rb_task *t = must_claim(f, RB_TASK_SUBMIT, T0);
    assert_string_equal(t->retry->id, ret_id);
    build_key_of(project, child, child_key);
    rb_retry_enter(t->retry, RB_STATE_SUBMITTING, T0, NULL);
    rb_retry_enter(t->retry, RB_STATE_RUNNING, T0, NULL);
    fill_build(&t->retry->child, &t->retry->arena, project, child);
    t->retry->has_child = true;
    struct rb_settle s = {.next = RB_TASK_FOLLOW, .next_due_ms = due, .child_key = child_key};
    assert_int_equal(settle(f, t, &s, T0), RB_OK);
    rb_task_free(t);
}

struct rb_retry *get(struct fix *f, const char *id)
{
    struct rb_retry *r = NULL;
    struct rb_err err = {0};
    if (rb_store_get(f->ses, id, &r, &err) != RB_OK) {
        fail_msg("%s", err.msg);
    }
    return r;
}

enum rb_state state_of(struct fix *f, const char *id)
{
    struct rb_retry *r = get(f, id);
    enum rb_state state = r->state;
    rb_retry_free(r);
    return state;
}

void finish(struct fix *f, const char *id, int64_t now)
{
    struct rb_task *t = must_claim(f, RB_TASK_SUBMIT, now);
    assert_string_equal(t->retry->id, id);
    rb_retry_enter(t->retry, RB_STATE_REFUSED, now, NULL);
    struct rb_settle s = {.next = RB_TASK_NONE};
    assert_int_equal(settle(f, t, &s, now), RB_OK);
    rb_task_free(t);
}

void held(struct fix *f, unsigned build, const char *destination, char ret_id[RB_ID_BYTES],
          char ret_chain[RB_ID_BYTES])
{
    struct entry e;
    entry_init(&e, "web", build, build, T0);
    entry_state(&e, RB_STATE_HELD, RB_TASK_NONE);
    entry_report(&e, destination, RB_STAGE_HELD, T0);
    assert_int_equal(admit(f, &e, T0), RB_ADMIT_NEW);
    memcpy(ret_id, e.retry->id, RB_ID_BYTES);
    if (ret_chain != NULL) {
        memcpy(ret_chain, e.retry->chain, RB_ID_BYTES);
    }
    entry_release(&e);
}

void move(struct fix *f, const char *id, enum rb_state to, enum rb_task_kind next,
          const char *destination, enum rb_stage stage, int64_t now)
{
    struct rb_retry *r = get(f, id);
    struct rb_report_task report = {.destination = destination, .stage = stage, .due_ms = now};
    rb_retry_enter(r, to, now, NULL);
    struct rb_settle s = {
        .retry = r, .next = next, .next_due_ms = now, .reports = &report, .n_reports = 1};
    assert_int_equal(settle(f, NULL, &s, now), RB_OK);
    rb_retry_free(r);
}

void held_next(struct fix *f, unsigned build, const char *chain, char ret_id[RB_ID_BYTES])
{
    struct entry e;
    entry_init(&e, "web", build, build, T0 + 1);
    memcpy(e.retry->chain, chain, RB_ID_BYTES);
    entry_state(&e, RB_STATE_HELD, RB_TASK_NONE);
    entry_report(&e, "ci", RB_STAGE_HELD, T0 + 1);
    assert_int_equal(admit(f, &e, T0 + 1), RB_ADMIT_NEW);
    memcpy(ret_id, e.retry->id, RB_ID_BYTES);
    entry_release(&e);
}

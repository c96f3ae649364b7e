/* fill.c - puts many ended retries into a store, by its own admissions, so that its indexes are
 * those that a service would have made.
 *
 * usage: fill STORE_URL RETRIES [DAYS]. They are spread over DAYS (28) up to now, oldest first,
 * over PROJECTS projects of which a few have most, three sources and the states that an end can
 * have; some are held. Each knows its decision, its history and its child.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/clock.h>
#include <retrybuild/secret.h>
#include <retrybuild/store.h>

#include "bench_settings.h"

#define BATCH 256
#define PROJECTS 400
#define RARE_EVERY 100000 /* one of the project that hardly ever fails */
#define TRIES 30          /* of a batch: a busy machine may answer late */
#define HOUR_MS 3600000
#define DAY_MS (24 * HOUR_MS)

struct item {
    struct rb_admission a;
    char delivery_key[RB_KEY_BYTES], build_key[RB_KEY_BYTES], intent_key[RB_KEY_BYTES];
    struct rb_retry *retry;
};

static const struct rb_store_backend *const backends[] = {&rb_store_backend_sqlite,
                                                          &rb_store_backend_redis, NULL};

/* Of a hundred: most recover, some fail again, the rest end otherwise. */
static enum rb_state state_of(uint64_t k)
{
    uint64_t part = k * 7919 % 1000;
    if (part < 5) {
        return RB_STATE_DEAD;
    }
    if (part < 7) {
        return RB_STATE_CANCELLED;
    }
    if (part < 8) {
        return k % 50 == 7 ? RB_STATE_HELD : RB_STATE_REFUSED;
    }
    if (part < 300) {
        return RB_STATE_IGNORED;
    }
    return part < 480 ? RB_STATE_FAILED_AGAIN : RB_STATE_RECOVERED;
}

static const char *project_of(struct rb_arena *a, uint64_t k)
{
    uint64_t spread = k * UINT64_C(2654435761) >> 7;
    if (k % RARE_EVERY == RARE_EVERY / 2) {
        return "rarely";
    }
    uint64_t number = spread % 4 == 0 ? spread / 4 % 5 : spread / 4 % PROJECTS;
    return rb_arena_printf(a, "service-%03" PRIu64, number);
}

static void fill_build(struct rb_arena *a, struct rb_build *b, const char *project, uint64_t k,
                       unsigned part)
{
    b->partition = "aws";
    b->account = k % 3 == 0 ? "123456789012" : "210987654321";
    b->region = "us-east-1";
    b->project = project;
    b->id = rb_arena_printf(a, "%s:%08" PRIx64 "-0000-4000-8000-%012x", project, k, part);
    b->arn = rb_arena_printf(a, "arn:aws:codebuild:us-east-1:%s:build/%s", b->account, b->id);
    b->number = (int64_t)k;
    b->status = part == 0 ? "FAILED" : "SUCCEEDED";
    b->phase = k % 3 == 0 ? "PROVISIONING" : "BUILD";
    b->message = "Build container found dead before completing the build. Build container died "
                 "because it was out of memory, or the Docker image is not supported.";
    b->source_version = "refs/heads/main";
    b->branch = "main";
    b->author = rb_arena_printf(a, "developer-%" PRIu64, k % 97);
    b->repository = rb_arena_printf(a, "https://github.com/example/%s", project);
}

static void fill_history(struct rb_retry *r)
{
    r->history[0].state = RB_STATE_SCHEDULED;
    r->history[0].at_ms = r->created_ms;
    r->history[1].state = r->state;
    r->history[1].at_ms = r->created_ms + 600000;
    r->n_history = 2;
}

static void fill_item(struct item *it, uint64_t k, int64_t at_ms)
{
    struct rb_retry *r = it->retry;
    rb_arena_reset(&r->arena);
    const char *project = project_of(&r->arena, k);
    const char *source = k % 20000 == 3 ? "fallback" : k % 10 == 0 ? "github" : "eventbridge";
    const char *key = rb_arena_printf(&r->arena, "delivery-%" PRIu64 "-%" PRId64, k, at_ms);
    fill_build(&r->arena, &r->build, project, k, 0);
    r->state = state_of(k);
    r->source = (struct rb_delivery){.source = source, .type = source, .key = key, .at_ms = at_ms};
    rb_id_make(rb_random_system(), "rty_", at_ms, (unsigned)(k % 32), r->id);
    rb_id_make(rb_random_system(), "chn_", at_ms, (unsigned)(k % 32), r->chain);
    r->attempt = 1;
    r->limit = 2;
    r->created_ms = at_ms;
    r->finished_ms = rb_state_terminal(r->state) ? at_ms + 600000 : 0;
    r->due_ms = 0;
    r->has_child = r->state == RB_STATE_RECOVERED || r->state == RB_STATE_FAILED_AGAIN;
    if (r->has_child) {
        fill_build(&r->arena, &r->child, project, k, 1);
    }
    r->decision = (struct rb_decision){
        .action = r->state == RB_STATE_IGNORED ? RB_ACTION_IGNORE : RB_ACTION_RETRY,
        .rule = r->state == RB_STATE_IGNORED ? "tests" : "infrastructure",
        .reason = "the host did not come up",
        .limit = 2,
        .state = r->state};
    fill_history(r);
    rb_build_key(&r->build, it->build_key);
    rb_intent_key(&r->build, it->intent_key);
    rb_scoped_key(source, key, strlen(key), it->delivery_key);
    it->a = (struct rb_admission){.mode = RB_ADMIT_EVENT,
                                  .delivery_key = it->delivery_key,
                                  .build_key = it->build_key,
                                  .intent_key = it->intent_key,
                                  .delivery = &r->source,
                                  .retry = r,
                                  .task = RB_TASK_NONE};
}

static bool fill(struct rb_store_session *ses, uint64_t n, int64_t days, struct item *items)
{
    int64_t now_ms = rb_now_ms(rb_clock_system());
    int64_t first_ms = now_ms - days * DAY_MS;
    struct rb_admission *batch[BATCH];
    struct rb_err err = {.code = RB_OK};
    for (uint64_t at = 0; at < n; at += BATCH) {
        unsigned size = n - at < BATCH ? (unsigned)(n - at) : BATCH;
        int64_t at_ms = first_ms;
        for (unsigned i = 0; i < size; i++) {
            at_ms = first_ms + (int64_t)((double)(days * DAY_MS) * (double)(at + i) / (double)n);
            fill_item(&items[i], at + i, at_ms);
            batch[i] = &items[i].a;
        }
        enum rb_code rc = RB_E_UNAVAIL;
        for (int tries = 0; rb_code_transient(rc) && tries < TRIES; tries++) {
            rc = rb_store_admit(ses, batch, size, at_ms, &err); /* a repeat is new again */
        }
        if (rc != RB_OK) {
            (void)fprintf(stderr, "fill: %s\n", err.msg);
            return false;
        }
        for (unsigned i = 0; i < size; i++) {
            if (batch[i]->rc != RB_OK || batch[i]->result != RB_ADMIT_NEW) {
                (void)fprintf(stderr, "fill: retry %" PRIu64 " was not taken\n", at + i);
                return false;
            }
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    static struct item items[BATCH];
    uint64_t n = 0;
    uint64_t days = 28;
    struct rb_err err = {.code = RB_OK};
    struct rb_store *store = NULL;
    struct rb_store_session *ses = NULL;
    if (argc < 3 || !rb_parse_u64(rb_slice_str(argv[2]), &n) ||
        (argc > 3 && !rb_parse_u64(rb_slice_str(argv[3]), &days))) {
        (void)fprintf(stderr, "usage: %s STORE_URL RETRIES [DAYS]\n", argv[0]);
        return 2;
    }
    rb_tune_malloc();
    for (unsigned i = 0; i < BATCH; i++) {
        items[i].retry = rb_retry_new();
    }
    struct rb_settings *settings = bench_settings(argv[1]);
    bool good = settings != NULL &&
                rb_store_open(backends, settings, rb_clock_system(), &store, &err) == RB_OK &&
                rb_store_session_open(store, &ses, &err) == RB_OK;
    if (!good) {
        (void)fprintf(stderr, "fill: %s\n", err.msg);
    }
    good = good && fill(ses, n, (int64_t)days, items);
    int64_t birth_ms = 0; /* the beat of a service */
    good = good && rb_store_epoch(ses, rb_now_ms(rb_clock_system()), &birth_ms, &err) == RB_OK;
    rb_store_session_close(ses);
    rb_store_close(store);
    for (unsigned i = 0; i < BATCH; i++) {
        rb_retry_free(items[i].retry);
    }
    rb_settings_unref(settings);
    return good ? 0 : 1;
}

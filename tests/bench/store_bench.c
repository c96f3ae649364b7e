/* store_bench.c - admissions a second through the asynchronous door, at batches of 1, 64 and 250,
 * on an empty store and with many retries waiting; then claims and pages. Argument: the URL, and
 * how many shall wait (default 100000). Prints a table; judges nothing.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/clock.h>
#include <retrybuild/secret.h>
#include <retrybuild/store.h>

#include "bench_settings.h"

#define BATCH_MAX 256

struct item {
    struct rb_admission a;
    struct rb_delivery delivery;
    char delivery_key[RB_KEY_BYTES], build_key[RB_KEY_BYTES], intent_key[RB_KEY_BYTES];
    struct rb_retry *retry;
};

struct bench {
    struct rb_store *store;
    struct rb_store_session *ses;
    struct rb_admitter *adm;
    int epoll_fd;
    struct item items[BATCH_MAX];
    unsigned done, failed;
    unsigned number; /* of the next build */
};

static const struct rb_store_backend *const backends[] = {
    &rb_store_backend_sqlite,
#ifdef RB_BENCH_REDIS
    &rb_store_backend_redis,
#endif
    NULL,
};

static double seconds(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu_seconds(void)
{
    struct rusage u;
    (void)getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void on_done(void *arg, struct rb_admission *a)
{
    struct bench *b = arg;
    b->done++;
    b->failed += a->rc != RB_OK || a->result != RB_ADMIT_NEW;
}

static void item_init(struct bench *b, struct item *it, int64_t now_ms)
{
    unsigned k = b->number++;
    char text[64];
    struct rb_retry *r = it->retry;
    rb_arena_reset(&r->arena);
    r->build.partition = "aws";
    r->build.account = "123456789012";
    r->build.region = "us-east-1";
    r->build.project = rb_arena_printf(&r->arena, "web-%u", k % 50);
    r->build.id = rb_arena_printf(&r->arena, "web-%u:00000000-0000-4000-8000-%012u", k % 50, k);
    r->build.status = "FAILED";
    r->build.phase = "PROVISIONING";
    r->build.message = "Build container found dead before completing the build";
    r->build.source_version = "refs/heads/main";
    (void)snprintf(text, sizeof(text), "delivery-%u-%" PRId64, k, now_ms);
    it->delivery = (struct rb_delivery){
        .source = "eventbridge", .type = "eventbridge", .key = text, .at_ms = now_ms};
    r->source = it->delivery;
    r->source.key = rb_arena_strdup(&r->arena, text);
    rb_id_make(rb_random_system(), "rty_", now_ms, k % 32, r->id);
    rb_id_make(rb_random_system(), "chn_", now_ms, k % 32, r->chain);
    r->state = RB_STATE_SCHEDULED;
    r->attempt = 1;
    r->limit = 2;
    r->created_ms = now_ms;
    r->due_ms = now_ms + (int64_t)rb_random_below(rb_random_system(), 900000);
    r->decision = (struct rb_decision){.action = RB_ACTION_RETRY,
                                       .rule = "infrastructure",
                                       .reason = "the host did not come up",
                                       .limit = 2,
                                       .state = RB_STATE_SCHEDULED};
    rb_build_key(&r->build, it->build_key);
    rb_intent_key(&r->build, it->intent_key);
    rb_scoped_key("eventbridge", text, strlen(text), it->delivery_key);
    it->a = (struct rb_admission){.mode = RB_ADMIT_EVENT,
                                  .delivery_key = it->delivery_key,
                                  .build_key = it->build_key,
                                  .intent_key = it->intent_key,
                                  .delivery = &it->delivery,
                                  .retry = r,
                                  .task = RB_TASK_SUBMIT};
}

static void one_batch(struct bench *b, unsigned batch)
{
    int64_t now_ms = rb_now_ms(rb_clock_system());
    for (unsigned i = 0; i < batch; i++) {
        item_init(b, &b->items[i], now_ms);
        if (rb_admitter_add(b->adm, &b->items[i].a, NULL) != RB_OK) {
            b->failed++;
        }
    }
    rb_admitter_pump(b->adm, now_ms);
    while (rb_admitter_in_flight(b->adm) > 0) {
        struct epoll_event event;
        (void)epoll_wait(b->epoll_fd, &event, 1, rb_admitter_timeout_ms(b->adm));
        rb_admitter_pump(b->adm, now_ms);
    }
}

/* Runs for @span_s or until @max are in. */
static void measure(struct bench *b, unsigned batch, double span_s, unsigned max, const char *name)
{
    double start = seconds();
    double cpu = cpu_seconds();
    double end = start + span_s;
    unsigned first = b->done;
    while (b->done - first < max && seconds() < end) {
        one_batch(b, batch);
    }
    unsigned n = b->done - first;
    double took = seconds() - start;
    (void)printf("%-28s %6u %10.0f %9.1f\n", name, batch, n / took,
                 (cpu_seconds() - cpu) * 1e6 / n);
    (void)fflush(stdout);
}

static void measure_pages(struct bench *b)
{
    const struct rb_filter filters[] = {
        {.limit = 50},
        {.limit = 50, .project = "web-7"},
        {.limit = 50, .by_state = true, .state = RB_STATE_SCHEDULED},
        {.limit = 50, .by_state = true, .state = RB_STATE_DEAD},
        {.limit = 50, .source = "eventbridge"}};
    const char *const names[] = {"page", "page of a project", "page of a state",
                                 "page of an empty state", "page of a source"};
    for (size_t f = 0; f < RB_ARRAY_LEN(filters); f++) {
        struct rb_retry *items[50];
        char next[RB_CURSOR_BYTES];
        unsigned n = 0;
        double start = seconds();
        if (rb_store_list(b->ses, &filters[f], items, &n, next, NULL) != RB_OK) {
            b->failed++;
            continue;
        }
        (void)printf("%-28s %6u %7.2f ms\n", names[f], n, (seconds() - start) * 1e3);
        while (n > 0) {
            rb_retry_free(items[--n]);
        }
    }
}

static void measure_claims(struct bench *b, unsigned rounds)
{
    double start = seconds();
    unsigned total = 0;
    int64_t now_ms = rb_now_ms(rb_clock_system()) + 900000;
    for (unsigned i = 0; i < rounds; i++) {
        struct rb_task *t[16];
        unsigned n = 0;
        if (rb_store_claim(b->ses, RB_TASK_SUBMIT, 16, 30000, now_ms, t, &n, NULL, NULL) != RB_OK) {
            b->failed++;
            return;
        }
        total += n;
        while (n > 0) {
            rb_task_free(t[--n]);
        }
    }
    (void)printf("%-28s %6u %10.0f\n", "claims of 16, a second", 16, total / (seconds() - start));
}

static bool bench_open(struct bench *b, struct rb_settings *settings)
{
    struct rb_err err = {0};
    double start = seconds();
    if (rb_store_open(backends, settings, rb_clock_system(), &b->store, &err) != RB_OK ||
        rb_store_session_open(b->store, &b->ses, &err) != RB_OK ||
        rb_admitter_open(b->store, b->epoll_fd, b, on_done, b, &b->adm, &err) != RB_OK) {
        (void)fprintf(stderr, "%s\n", err.msg);
        return false;
    }
    (void)printf("%-28s %14.1f ms\n", "open", (seconds() - start) * 1e3);
    return true;
}

static void bench_close(struct bench *b)
{
    rb_admitter_close(b->adm);
    rb_store_session_close(b->ses);
    rb_store_close(b->store);
}

int main(int argc, char **argv)
{
    static struct bench b;
    uint64_t waiting = 100000;
    if (argc < 2 || (argc > 2 && !rb_parse_u64(rb_slice_str(argv[2]), &waiting))) {
        (void)fprintf(stderr, "usage: %s STORE_URL [WAITING]\n", argv[0]);
        return 2;
    }
    rb_tune_malloc();
    b.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct rb_settings *settings = bench_settings(argv[1]);
    for (unsigned i = 0; i < BATCH_MAX; i++) {
        b.items[i].retry = rb_retry_new();
    }
    if (settings == NULL || !bench_open(&b, settings)) {
        return 1;
    }
    (void)printf("%-28s %6s %10s %9s\n", "", "batch", "a second", "CPU us");
    measure(&b, 1, 2, 1000000, "empty");
    measure(&b, 64, 3, 1000000, "empty");
    measure(&b, 250, 3, 1000000, "empty");
    if (b.done < waiting) {
        measure(&b, 250, 1000, (unsigned)waiting - b.done, "filling");
    }
    measure(&b, 1, 2, 1000000, "waiting");
    measure(&b, 64, 3, 1000000, "waiting");
    measure(&b, 250, 3, 1000000, "waiting");
    measure_pages(&b);
    measure_claims(&b, 200);
    bench_close(&b);
    (void)bench_open(&b, settings);
    bench_close(&b);
    struct rusage u;
    (void)getrusage(RUSAGE_SELF, &u);
    (void)printf("%u in, %u failed, %ld MB resident at most\n", b.done, b.failed,
                 u.ru_maxrss / 1024);
    rb_settings_unref(settings);
    for (unsigned i = 0; i < BATCH_MAX; i++) {
        rb_retry_free(b.items[i].retry);
    }
    (void)close(b.epoll_fd);
    return b.failed == 0 ? 0 : 1;
}

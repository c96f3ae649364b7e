/* parse_bench.c - the listener's own work for one delivery, without sockets: reading the body, and
 * the record of the retry.
 *
 * usage: parse_bench BODY_FILE [ROUNDS]; prints microseconds of CPU for a reading and for an
 * encoding.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/record.h>
#include <retrybuild/source.h>

#define ROUNDS 20000

static double cpu_us(void)
{
    struct timespec t = {.tv_sec = 0};
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static const char *no_header(const void *arg, const char *name, unsigned *ret_n)
{
    (void)arg;
    (void)name;
    if (ret_n != NULL) {
        *ret_n = 0;
    }
    return NULL;
}

static bool slurp(const char *path, struct rb_buf *out)
{
    char chunk[8192];
    size_t n = 0;
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        return false;
    }
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0) {
        rb_buf_add(out, chunk, n);
    }
    (void)fclose(f);
    return !rb_buf_failed(out);
}

static bool read_once(const struct rb_source_type *type, const struct rb_request *req,
                      struct rb_arena *a, struct rb_events *ret)
{
    static const struct rb_source_setting setting = {.name = "bench", .type = "eventbridge"};
    struct rb_err err = {.code = RB_OK};
    rb_arena_reset(a);
    *ret = (struct rb_events){.items = NULL};
    return type->parse(&setting, req, a, ret, &err) == RB_OK;
}

int main(int argc, char **argv)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf body = RB_BUF_INIT(1 << 20);
    RB_CLEANUP(rb_buf_release) struct rb_buf record = RB_BUF_INIT(RB_RECORD_MAX_BYTES);
    const struct rb_source_type *type = rb_source_type_find("eventbridge");
    if (argc < 2 || !slurp(argv[1], &body) || type == NULL) {
        (void)fprintf(stderr, "usage: parse_bench BODY_FILE [ROUNDS]\n");
        return 2;
    }
    long rounds = argc > 2 ? strtol(argv[2], NULL, 10) : ROUNDS;
    struct rb_request req = {.method = "POST",
                             .path = "/",
                             .body = {body.data, body.len},
                             .header = no_header,
                             .now_ms = 1};
    struct rb_arena a;
    struct rb_events events;
    rb_arena_init(&a, 1 << 20);
    double start = cpu_us();
    for (long i = 0; i < rounds; i++) {
        if (!read_once(type, &req, &a, &events)) {
            (void)fprintf(stderr, "parse_bench: the body does not parse\n");
            return 1;
        }
    }
    double read_us = (cpu_us() - start) / (double)rounds;
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = rb_retry_new();
    if (r == NULL || events.n == 0 ||
        !rb_build_copy(&r->build, &events.items[0].build, &r->arena)) {
        return 1;
    }
    rb_id_make(rb_random_system(), "rty_", 1, 0, r->id);
    rb_id_make(rb_random_system(), "chn_", 1, 0, r->chain);
    r->source = (struct rb_delivery){
        .source = "eventbridge", .type = "eventbridge", .key = events.delivery_id, .at_ms = 1};
    start = cpu_us();
    for (long i = 0; i < rounds; i++) {
        struct rb_err err = {.code = RB_OK};
        rb_buf_clear(&record);
        if (rb_record_encode(r, &record, &err) != RB_OK) {
            return 1;
        }
    }
    (void)printf("read %.2f us of %zu bytes, encode %.2f us to %zu bytes\n", read_us, body.len,
                 (cpu_us() - start) / (double)rounds, record.len);
    rb_arena_release(&a);
    return 0;
}

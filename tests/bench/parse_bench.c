/* parse_bench.c - the listener's own work for one delivery, without sockets: reading the body, the
 * admission made of it, and the record of the retry.
 *
 * usage: parse_bench BODY_FILE [ROUNDS]; prints microseconds of CPU for each. BODY_FILE may say
 * @ID@ and @BUILD@, which become uuids.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/config.h>
#include <retrybuild/engine.h>
#include <retrybuild/record.h>
#include <retrybuild/source.h>

#define ROUNDS 20000
#define UUID "3f0c9b52-7d41-4e08-9a6b-51c2d8e7f034"
#define NOW_MS INT64_C(1793714840000) /* shortly after the event of payload.json */

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

/* add_filled - @line with its places for uuids filled. */
static void add_filled(struct rb_buf *out, const char *line)
{
    for (const char *at = strchr(line, '@'); at != NULL; at = strchr(line, '@')) {
        size_t name = strncmp(at, "@ID@", 4) == 0 ? 4 : strncmp(at, "@BUILD@", 7) == 0 ? 7 : 0;
        rb_buf_add(out, line, (size_t)(at - line));
        rb_buf_adds(out, name == 0 ? "@" : UUID);
        line = at + (name == 0 ? 1 : name);
    }
    rb_buf_adds(out, line);
}

static bool slurp(const char *path, struct rb_buf *out)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf raw = RB_BUF_INIT(1 << 20);
    char chunk[8192];
    size_t n = 0;
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        return false;
    }
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0) {
        rb_buf_add(&raw, chunk, n);
    }
    (void)fclose(f);
    add_filled(out, rb_buf_str(&raw));
    return !rb_buf_failed(&raw) && !rb_buf_failed(out);
}

static int64_t fixed_now(void *arg)
{
    (void)arg;
    return NOW_MS;
}

static bool read_once(const struct rb_source_type *type, const struct rb_request *req,
                      struct rb_arena *a, struct rb_events *ret)
{
    static const struct rb_source_setting setting = {.name = "bench", .type = "eventbridge"};
    struct rb_err err = {.code = RB_OK};
    rb_arena_reset(a);
    *ret = (struct rb_events){.items = NULL};
    return type->parse(&setting, req, a, ret, &err) == RB_OK && ret->n > 0;
}

static bool admit_once(struct rb_engine *e, const struct rb_events *events,
                       struct rb_admission **ret_a)
{
    struct rb_err err = {.code = RB_OK};
    const struct rb_delivery delivery = {
        .source = "bench", .type = "eventbridge", .key = events->delivery_id, .at_ms = NOW_MS};
    return rb_engine_admission_new(e, &events->items[0], &delivery, ret_a, &err) == RB_OK &&
           *ret_a != NULL;
}

static bool encode_once(const struct rb_retry *r, struct rb_buf *record)
{
    struct rb_err err = {.code = RB_OK};
    rb_buf_clear(record);
    return rb_record_encode(r, record, &err) == RB_OK;
}

static int run(struct rb_engine *e, const struct rb_source_type *type, struct rb_slice body,
               long rounds)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf record = RB_BUF_INIT(RB_RECORD_MAX_BYTES);
    struct rb_request req = {
        .method = "POST", .path = "/", .body = body, .header = no_header, .now_ms = NOW_MS};
    struct rb_arena a;
    struct rb_events events;
    struct rb_admission *admission = NULL;
    bool good = true;
    rb_arena_init(&a, 1 << 20);
    double start = cpu_us();
    for (long i = 0; good && i < rounds; i++) {
        good = read_once(type, &req, &a, &events);
    }
    double read_us = (cpu_us() - start) / (double)rounds;
    start = cpu_us();
    for (long i = 0; good && i < rounds; i++) {
        rb_engine_admission_free(admission);
        admission = NULL;
        good = admit_once(e, &events, &admission);
    }
    double admit_us = (cpu_us() - start) / (double)rounds;
    start = cpu_us();
    for (long i = 0; good && i < rounds; i++) {
        good = encode_once(admission->retry, &record);
    }
    if (good) {
        (void)printf("read %.2f us of %zu bytes, admit %.2f us, encode %.2f us to %zu bytes\n",
                     read_us, body.len, admit_us, (cpu_us() - start) / (double)rounds, record.len);
    } else {
        (void)fprintf(stderr, "parse_bench: the body makes no retry\n");
    }
    rb_engine_admission_free(admission);
    rb_arena_release(&a);
    return good ? 0 : 1;
}

int main(int argc, char **argv)
{
    static const char config[] = "timing: {max_event_age: 365d}\n"
                                 "sources: [{name: bench, type: eventbridge, secrets: [{value: "
                                 "bench-key-0123456789}]}]\n";
    RB_CLEANUP(rb_buf_release) struct rb_buf body = RB_BUF_INIT(1 << 20);
    const struct rb_source_type *type = rb_source_type_find("eventbridge");
    const struct rb_clock clock = {.unix_ms = fixed_now, .boot_ms = fixed_now};
    struct rb_settings *settings = NULL;
    struct rb_engine *e = NULL;
    struct rb_problems problems = {.items = NULL};
    struct rb_err err = {.code = RB_OK};
    if (argc < 2 || !slurp(argv[1], &body) || type == NULL) {
        (void)fprintf(stderr, "usage: parse_bench BODY_FILE [ROUNDS]\n");
        return 2;
    }
    if (rb_config_parse(config, sizeof(config) - 1, "bench", "/", &settings, &problems, &err) !=
            RB_OK ||
        rb_engine_new(&(struct rb_engine_deps){.settings = settings,
                                               .clock = &clock,
                                               .random = rb_random_system()},
                      &e, &err) != RB_OK) {
        (void)fprintf(stderr, "parse_bench: %s\n", err.msg);
        return 1;
    }
    int status = run(e, type, (struct rb_slice){body.data, body.len},
                     argc > 2 ? strtol(argv[2], NULL, 10) : ROUNDS);
    rb_engine_free(e);
    rb_settings_unref(settings);
    return status;
}

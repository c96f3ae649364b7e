/* Bodies of tests/data/source/eventbridge: NAME.body is what arrives, NAME.expect what it means.
 *
 * An expectation names only what is present: {"code", "delivery_id", "events": [{kind, why,
 * needs_inspection, at, build{…}}]}. Whatever else stood in the result fails the comparison. Bodies
 * hold NEVER-KEPT where a secret of a build would stand.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>
#include <retrybuild/source.h>
#include <retrybuild/timefmt.h>

#define MINIMUM_CASES 80
#define FILE_MAX_BYTES (1024 * 1024)
#define SUFFIX ".body"

static void closep(FILE **f)
{
    if (*f != NULL) {
        (void)fclose(*f);
    }
}

static void closedirp(DIR **d)
{
    if (*d != NULL) {
        (void)closedir(*d);
    }
}

static void read_file(const char *name, const char *suffix, struct rb_buf *ret_b)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s%s", RB_CASES, name, suffix);
    RB_CLEANUP(closep) FILE *f = fopen(path, "rb");
    if (f == NULL) {
        fail_msg("cannot open %s", path);
    }
    char block[4096];
    size_t n = 0;
    while ((n = fread(block, 1, sizeof(block), f)) > 0) {
        rb_buf_add(ret_b, block, n);
    }
    assert_false(rb_buf_failed(ret_b));
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

/* parse - the body in memory of exactly its size, so that sanitizers see its end. */
static enum rb_code parse(const char *data, size_t len, struct rb_arena *a,
                          struct rb_events *ret_events, struct rb_err *err)
{
    RB_CLEANUP(rb_freep) char *exact = malloc(len == 0 ? 1 : len);
    assert_non_null(exact);
    if (len > 0) {
        memcpy(exact, data, len);
    }
    const struct rb_source_type *type = rb_source_type_find("eventbridge");
    assert_non_null(type);
    struct rb_source_setting setting = {.name = "eb", .type = "eventbridge"};
    struct rb_request req = {
        .method = "POST", .path = "/", .body = {.ptr = exact, .len = len}, .header = no_header};
    return type->parse(&setting, &req, a, ret_events, err);
}

static void put_text(json_t *o, const char *name, const char *value)
{
    if (value != NULL) {
        assert_int_equal(json_object_set_new(o, name, json_string(value)), 0);
    }
}

static void put_int(json_t *o, const char *name, int64_t value, int64_t absent)
{
    if (value != absent) {
        assert_int_equal(json_object_set_new(o, name, json_integer(value)), 0);
    }
}

static void put_time(json_t *o, const char *name, int64_t ms)
{
    char iso[RB_TIME_ISO_BYTES];
    if (ms != 0) {
        rb_time_iso(ms, iso);
        put_text(o, name, iso);
    }
}

static json_t *build_json(const struct rb_build *b)
{
    json_t *o = json_object();
    put_text(o, "partition", b->partition);
    put_text(o, "account", b->account);
    put_text(o, "region", b->region);
    put_text(o, "project", b->project);
    put_text(o, "id", b->id);
    put_text(o, "arn", b->arn);
    put_int(o, "number", b->number, 0);
    put_text(o, "status", b->status);
    put_text(o, "phase", b->phase);
    put_text(o, "phase_status", b->phase_status);
    put_text(o, "message", b->message);
    put_text(o, "url", b->url);
    put_text(o, "initiator", b->initiator);
    put_text(o, "source_type", b->source_type);
    put_text(o, "source_version", b->source_version);
    put_text(o, "resolved_version", b->resolved_version);
    put_text(o, "repository", b->repository);
    put_text(o, "branch", b->branch);
    put_text(o, "pull_request", b->pull_request);
    put_text(o, "batch_arn", b->batch_arn);
    put_int(o, "exit_code", b->exit_code, -1);
    put_time(o, "started_at", b->started_ms);
    put_time(o, "ended_at", b->ended_ms);
    put_int(o, "auto_retry_limit", b->auto_retry_limit, -1);
    put_int(o, "auto_retry_number", b->auto_retry_number, -1);
    put_text(o, "next_auto_retry", b->next_auto_retry);
    return o;
}

static json_t *event_json(const struct rb_event *ev)
{
    static const char *const kinds[] = {
        [RB_EVENT_FAILURE] = "failure", [RB_EVENT_ENDED] = "ended", [RB_EVENT_NONE] = "none"};
    json_t *o = json_object();
    put_text(o, "kind", kinds[ev->kind]);
    put_text(o, "why", ev->why);
    put_time(o, "at", ev->at_ms);
    if (ev->needs_inspection) {
        assert_int_equal(json_object_set_new(o, "needs_inspection", json_true()), 0);
    }
    json_t *build = build_json(&ev->build);
    if (json_object_size(build) > 0) {
        assert_int_equal(json_object_set_new(o, "build", build), 0);
    } else {
        json_decref(build);
    }
    return o;
}

static json_t *outcome(const struct rb_buf *body)
{
    struct rb_arena a;
    rb_arena_init(&a, 256 * 1024);
    json_t *o = json_object();
    struct rb_events events = {NULL, 0, NULL};
    struct rb_err err = {0};
    enum rb_code rc = parse(body->data, body->len, &a, &events, &err);
    put_text(o, "code", rb_code_name(rc));
    if (rc == RB_OK) {
        put_text(o, "delivery_id", events.delivery_id);
        json_t *list = json_array();
        for (unsigned i = 0; i < events.n; i++) {
            assert_int_equal(json_array_append_new(list, event_json(&events.items[i])), 0);
        }
        assert_int_equal(json_object_set_new(o, "events", list), 0);
    } else {
        assert_string_not_equal(err.msg, "");
    }
    rb_arena_release(&a);
    return o;
}

static bool run_case(const char *name)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf body = RB_BUF_INIT(FILE_MAX_BYTES);
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(FILE_MAX_BYTES);
    read_file(name, SUFFIX, &body);
    read_file(name, ".expect", &text);
    RB_CLEANUP(rb_json_decrefp) json_t *expected = NULL;
    struct rb_err err = {0};
    if (rb_json_load(text.data, text.len, &expected, &err) != RB_OK) {
        fail_msg("%s.expect: %s", name, err.msg);
    }
    RB_CLEANUP(rb_json_decrefp) json_t *got = outcome(&body);
    RB_CLEANUP(rb_freep) char *got_text = json_dumps(got, JSON_INDENT(1));
    RB_CLEANUP(rb_freep) char *expected_text = json_dumps(expected, JSON_INDENT(1));
    bool good = json_equal(got, expected) == 1 && strstr(got_text, "NEVER-KEPT") == NULL;
    if (!good) {
        (void)fprintf(stderr, "%s: expected %s\ngot %s\n", name, expected_text, got_text);
    }
    return good;
}

static void every_body_means_what_its_expectation_says(void **state)
{
    (void)state;
    RB_CLEANUP(closedirp) DIR *dir = opendir(RB_CASES);
    assert_non_null(dir);
    unsigned n = 0;
    unsigned wrong = 0;
    for (struct dirent *e = NULL; (e = readdir(dir)) != NULL;) {
        if (!rb_str_ends(e->d_name, SUFFIX)) {
            continue;
        }
        char name[256];
        (void)snprintf(name, sizeof(name), "%.*s", (int)(strlen(e->d_name) - sizeof(SUFFIX) + 1),
                       e->d_name);
        n++;
        wrong += run_case(name) ? 0 : 1;
    }
    assert_true(n >= MINIMUM_CASES);
    assert_int_equal(wrong, 0);
}

static void every_beginning_of_an_event_is_invalid(void **state)
{
    (void)state;
    RB_CLEANUP(rb_buf_release) struct rb_buf body = RB_BUF_INIT(FILE_MAX_BYTES);
    read_file("failed-compact", SUFFIX, &body);
    struct rb_arena a;
    rb_arena_init(&a, 256 * 1024);
    for (size_t len = 0; len < body.len; len++) {
        struct rb_events events = {NULL, 0, NULL};
        assert_int_equal(parse(body.data, len, &a, &events, NULL), RB_E_INVALID);
        assert_null(events.items);
        rb_arena_reset(&a);
    }
    rb_arena_release(&a);
}

static void any_changed_byte_gives_an_answer(void **state)
{
    (void)state;
    RB_CLEANUP(rb_buf_release) struct rb_buf body = RB_BUF_INIT(FILE_MAX_BYTES);
    read_file("contexts-are-joined-without-noise", SUFFIX, &body);
    static const char bytes[] = {'\0', '"', '\\', '{', ']', '\x80', '9'};
    struct rb_arena a;
    rb_arena_init(&a, 256 * 1024);
    for (size_t at = 0; at < body.len; at += 3) {
        char old = body.data[at];
        for (size_t i = 0; i < sizeof(bytes); i++) {
            body.data[at] = bytes[i];
            struct rb_events events = {NULL, 0, NULL};
            enum rb_code rc = parse(body.data, body.len, &a, &events, NULL);
            assert_true(rc == RB_OK || rc == RB_E_INVALID);
            rb_arena_reset(&a);
        }
        body.data[at] = old;
    }
    rb_arena_release(&a);
}

static void an_arena_that_is_too_small_is_said(void **state)
{
    (void)state;
    RB_CLEANUP(rb_buf_release) struct rb_buf body = RB_BUF_INIT(FILE_MAX_BYTES);
    read_file("failed", SUFFIX, &body);
    unsigned refused = 0;
    for (size_t max = 16; max < 3072; max += 16) {
        struct rb_arena a;
        rb_arena_init(&a, max);
        struct rb_events events = {NULL, 0, NULL};
        enum rb_code rc = parse(body.data, body.len, &a, &events, NULL);
        assert_true(rc == RB_OK || rc == RB_E_NOMEM);
        refused += rc == RB_OK ? 0 : 1;
        rb_arena_release(&a);
    }
    assert_true(refused > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_body_means_what_its_expectation_says),
        cmocka_unit_test(every_beginning_of_an_event_is_invalid),
        cmocka_unit_test(any_changed_byte_gives_an_answer),
        cmocka_unit_test(an_arena_that_is_too_small_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

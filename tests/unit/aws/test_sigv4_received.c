/* The server's side of Signature Version 4 against requests that botocore signed
 * (tests/data/sigv4/make_received.py): each proves itself, and nothing changed in it does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include <cmocka.h>
#include <jansson.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/sigv4.h>

#define MIN_REQUESTS 500
#define HEADERS_MAX 16
#define LINE_MAX_BYTES 8192

static const char *requests_path;

struct request {
    json_t *json;
    struct rb_header headers[HEADERS_MAX];
    struct rb_sigv4_received r;
    const char *key, *secret;
    int64_t date_ms;
};

static const char *text(const json_t *j, const char *name)
{
    const char *s = json_string_value(json_object_get(j, name));
    assert_non_null(s);
    return s;
}

static void open_request(const char *line, struct request *ret)
{
    *ret = (struct request){.json = json_loads(line, JSON_REJECT_DUPLICATES, NULL)};
    assert_non_null(ret->json);
    const json_t *list = json_object_get(ret->json, "headers");
    unsigned n = (unsigned)json_array_size(list);
    assert_in_range(n, 4, HEADERS_MAX - 1);
    for (unsigned i = 0; i < n; i++) {
        const json_t *pair = json_array_get(list, i);
        ret->headers[i].name = rb_slice_str(json_string_value(json_array_get(pair, 0)));
        ret->headers[i].value = rb_slice_str(json_string_value(json_array_get(pair, 1)));
    }
    ret->key = text(ret->json, "key");
    ret->secret = text(ret->json, "secret");
    ret->date_ms = json_integer_value(json_object_get(ret->json, "date_ms"));
    ret->r = (struct rb_sigv4_received){.method = "POST",
                                        .path = text(ret->json, "path"),
                                        .query = text(ret->json, "query"),
                                        .headers = ret->headers,
                                        .n_headers = n,
                                        .body = text(ret->json, "body"),
                                        .body_len = strlen(text(ret->json, "body"))};
}

static void each_request(void (*check)(struct request *q))
{
    FILE *f = fopen(requests_path, "re");
    char line[LINE_MAX_BYTES];
    unsigned n = 0;

    assert_non_null(f);
    for (; fgets(line, sizeof(line), f) != NULL; n++) {
        struct request q;
        open_request(line, &q);
        check(&q);
        json_decref(q.json);
    }
    assert_int_equal(fclose(f), 0);
    assert_true(n >= MIN_REQUESTS);
}

static const char *judge(const struct request *q, const char *secret, struct rb_sigv4_proof *p)
{
    struct rb_err err = {.code = RB_OK};
    const char *type = rb_sigv4_receive(&q->r, p, &err);

    return type != NULL ? type : rb_sigv4_prove(&q->r, p, secret, strlen(secret), &err);
}

static void check_good(struct request *q)
{
    struct rb_sigv4_proof p;

    assert_null(judge(q, q->secret, &p));
    assert_true(rb_slice_eq(p.claim.access_key, q->key));
    assert_string_equal(p.region, text(q->json, "region"));
    assert_string_equal(p.service, text(q->json, "service"));
    assert_true(p.date_ms == q->date_ms);
}

static void what_botocore_signed_is_proved(void **state)
{
    (void)state;
    each_request(check_good);
}

static void assert_invalid(const struct request *q, const char *secret)
{
    struct rb_sigv4_proof p;
    const char *type = judge(q, secret, &p);

    assert_non_null(type);
    assert_string_equal(type, "InvalidSignatureException");
}

static void check_changed_parts(struct request *q)
{
    struct rb_sigv4_received was = q->r;
    RB_CLEANUP(rb_buf_release) struct rb_buf longer = RB_BUF_INIT(4096);

    assert_invalid(q, "another-secret");
    rb_buf_add(&longer, was.body, was.body_len);
    rb_buf_addc(&longer, ' ');
    q->r.body = rb_buf_str(&longer);
    q->r.body_len = longer.len;
    assert_invalid(q, q->secret);
    q->r = was;
    q->r.method = "PUT";
    assert_invalid(q, q->secret);
    q->r = was;
    q->r.path = "/another/path";
    assert_invalid(q, q->secret);
    q->r = was;
    q->r.query = "another=query";
    assert_invalid(q, q->secret);
    q->r = was;
}

static void no_other_body_method_path_query_or_secret_is_proved(void **state)
{
    (void)state;
    each_request(check_changed_parts);
}

static bool is(const struct rb_header *h, const char *name)
{
    return strcasecmp(h->name.ptr, name) == 0;
}

/* Each signed header with another value; then without it. */
static void check_changed_headers(struct request *q)
{
    for (unsigned i = 0; i < q->r.n_headers; i++) {
        struct rb_header was = q->headers[i];
        struct rb_sigv4_proof p;
        if (is(&was, "authorization")) {
            continue;
        }
        q->headers[i].value = rb_slice_str(is(&was, "x-amz-date") ? "20110909T233600Z" : "other");
        const char *type = judge(q, q->secret, &p);
        if (is(&was, "user-agent")) {
            assert_null(type);
        } else {
            assert_non_null(type);
        }
        q->headers[i].name = rb_slice_str("X-Gone");
        type = judge(q, q->secret, &p);
        if (is(&was, "user-agent")) {
            assert_null(type);
        } else {
            assert_non_null(type);
        }
        q->headers[i] = was;
    }
}

static void no_signed_header_can_be_changed_or_dropped_and_others_can(void **state)
{
    (void)state;
    each_request(check_changed_headers);
}

/* One more header: of AWS's kind it must be signed, Authorization must be one. */
static void check_added_headers(struct request *q)
{
    static const struct {
        const char *name, *type;
    } more[] = {
        {"X-Amz-Unsigned", "InvalidSignatureException"},
        {"x-amz-security-token", "InvalidSignatureException"},
        {"X-Amz-Date", "IncompleteSignatureException"},
        {"Authorization", "IncompleteSignatureException"},
        {"Host", "InvalidSignatureException"},
        {"X-Unsigned", NULL},
    };
    struct rb_sigv4_proof p;
    unsigned n = q->r.n_headers;

    for (size_t i = 0; i < RB_ARRAY_LEN(more); i++) {
        q->headers[n] =
            (struct rb_header){.name = rb_slice_str(more[i].name), .value = rb_slice_str("more")};
        q->r.n_headers = n + 1;
        const char *type = judge(q, q->secret, &p);
        if (more[i].type == NULL) {
            assert_null(type);
        } else {
            assert_non_null(type);
            assert_string_equal(type, more[i].type);
        }
    }
    q->r.n_headers = n;
}

static void headers_that_were_added_count_only_where_they_mean_nothing(void **state)
{
    (void)state;
    each_request(check_added_headers);
}

static void a_request_without_authorization_is_missing_its_token(void **state)
{
    struct rb_sigv4_proof p;
    struct rb_err err = {.code = RB_OK};
    const struct rb_sigv4_received r = {.method = "POST", .path = "/", .body = ""};

    (void)state;
    assert_string_equal(rb_sigv4_receive(&r, &p, &err), "MissingAuthenticationTokenException");
    assert_string_equal(err.msg, "Missing Authentication Token");
}

static void the_window_is_closed_a_millisecond_beyond_its_edges(void **state)
{
    static const int64_t now_ms = INT64_C(1795000000000), window_ms = 300000;
    struct rb_err err = {.code = RB_OK};

    (void)state;
    assert_null(rb_sigv4_in_window(now_ms - window_ms, now_ms, window_ms, &err));
    assert_null(rb_sigv4_in_window(now_ms + window_ms, now_ms, window_ms, &err));
    assert_string_equal(rb_sigv4_in_window(now_ms - window_ms - 1, now_ms, window_ms, &err),
                        "InvalidSignatureException");
    assert_non_null(strstr(err.msg, "Signature expired: "));
    assert_string_equal(rb_sigv4_in_window(now_ms + window_ms + 1, now_ms, window_ms, &err),
                        "InvalidSignatureException");
    assert_non_null(strstr(err.msg, "Signature not yet current: "));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_botocore_signed_is_proved),
        cmocka_unit_test(no_other_body_method_path_query_or_secret_is_proved),
        cmocka_unit_test(no_signed_header_can_be_changed_or_dropped_and_others_can),
        cmocka_unit_test(headers_that_were_added_count_only_where_they_mean_nothing),
        cmocka_unit_test(a_request_without_authorization_is_missing_its_token),
        cmocka_unit_test(the_window_is_closed_a_millisecond_beyond_its_edges),
    };
    if (argc != 2) {
        return EXIT_FAILURE;
    }
    requests_path = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}

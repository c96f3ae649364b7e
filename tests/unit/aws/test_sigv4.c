/* Signature Version 4 against vectors that botocore made (tests/data/sigv4/make.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/sigv4.h>

#define MIN_VECTORS 60
#define HEADERS_MAX 16

static const char *vectors_path;

static const char *text(const json_t *vector, const char *name)
{
    const char *s = json_string_value(json_object_get(vector, name));
    assert_non_null(s);
    return s;
}

static struct rb_sigv4_request request_of(const json_t *v, struct rb_header headers[HEADERS_MAX])
{
    const json_t *list = json_object_get(v, "headers");
    unsigned n = (unsigned)json_array_size(list);

    assert_in_range(n, 1, HEADERS_MAX);
    for (unsigned i = 0; i < n; i++) {
        const json_t *pair = json_array_get(list, i);
        headers[i].name = rb_slice_str(json_string_value(json_array_get(pair, 0)));
        headers[i].value = rb_slice_str(json_string_value(json_array_get(pair, 1)));
    }
    return (struct rb_sigv4_request){
        .method = text(v, "method"),
        .path = text(v, "path"),
        .query = text(v, "query"),
        .headers = headers,
        .n_headers = n,
        .payload_hash = text(v, "payload_hash"),
        .region = text(v, "region"),
        .service = text(v, "service"),
        .date_ms = json_integer_value(json_object_get(v, "date_ms")),
    };
}

static void each_vector(void (*check)(const json_t *v, const struct rb_sigv4_request *r))
{
    json_error_t why;
    json_t *root = json_load_file(vectors_path, JSON_REJECT_DUPLICATES, &why);
    json_t *vectors = json_object_get(root, "vectors");
    size_t i;
    json_t *v;

    assert_non_null(root);
    assert_true(json_array_size(vectors) >= MIN_VECTORS);
    json_array_foreach(vectors, i, v)
    {
        struct rb_header headers[HEADERS_MAX];
        struct rb_sigv4_request r = request_of(v, headers);
        check(v, &r);
    }
    json_decref(root);
}

static void check_canonical(const json_t *v, const struct rb_sigv4_request *r)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf out = RB_BUF_INIT(65536);
    RB_CLEANUP(rb_buf_release) struct rb_buf list = RB_BUF_INIT(65536);
    struct rb_err err;

    assert_int_equal(rb_sigv4_canonical(r, &out, &list, &err), RB_OK);
    assert_string_equal(rb_buf_str(&out), text(v, "canonical"));
}

static void check_authorization(const json_t *v, const struct rb_sigv4_request *r)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf out = RB_BUF_INIT(65536);
    const char *secret = text(v, "secret");
    struct rb_err err;

    assert_int_equal(
        rb_sigv4_authorization(r, text(v, "access_key"), secret, strlen(secret), &out, &err),
        RB_OK);
    assert_string_equal(rb_buf_str(&out), text(v, "authorization"));
}

static void check_verify(const json_t *v, const struct rb_sigv4_request *r)
{
    const char *secret = text(v, "secret");
    struct rb_sigv4_claim claim;
    struct rb_err err;

    assert_int_equal(rb_sigv4_parse(text(v, "authorization"), &claim, &err), RB_OK);
    assert_true(rb_slice_eq(claim.access_key, text(v, "access_key")));
    assert_int_equal(rb_sigv4_verify(&claim, r, secret, strlen(secret), &err), RB_OK);
    assert_int_equal(rb_sigv4_verify(&claim, r, "another secret", 14, &err), RB_E_DENIED);

    struct rb_sigv4_request changed = *r;
    changed.payload_hash = "0000000000000000000000000000000000000000000000000000000000000000";
    assert_int_equal(rb_sigv4_verify(&claim, &changed, secret, strlen(secret), &err), RB_E_DENIED);
    changed = *r;
    changed.date_ms += 1000;
    assert_int_equal(rb_sigv4_verify(&claim, &changed, secret, strlen(secret), &err), RB_E_DENIED);
    changed = *r;
    changed.n_headers -= 1;
    assert_int_equal(rb_sigv4_verify(&claim, &changed, secret, strlen(secret), &err), RB_E_DENIED);
    changed = *r;
    changed.region = "other-region-1";
    assert_int_equal(rb_sigv4_verify(&claim, &changed, secret, strlen(secret), &err), RB_E_DENIED);
}

static void canonical_requests_are_those_of_botocore(void **state)
{
    (void)state;
    each_vector(check_canonical);
}

static void authorization_headers_are_those_of_botocore(void **state)
{
    (void)state;
    each_vector(check_authorization);
}

static void what_botocore_signed_verifies_and_nothing_else_does(void **state)
{
    (void)state;
    each_vector(check_verify);
}

#define SIGNATURE "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define CREDENTIAL "Credential=AKID/20261124/us-east-1/codebuild/aws4_request"
#define SIGNED "SignedHeaders=host;x-amz-date"

static void authorization_is_taken_apart_in_any_order_and_spacing(void **state)
{
    static const char *const good[] = {
        "AWS4-HMAC-SHA256 " CREDENTIAL ", " SIGNED ", Signature=" SIGNATURE,
        "AWS4-HMAC-SHA256 " CREDENTIAL "," SIGNED ",Signature=" SIGNATURE,
        "AWS4-HMAC-SHA256 " SIGNED ",  Signature=" SIGNATURE " , " CREDENTIAL,
        "AWS4-HMAC-SHA256   " CREDENTIAL ", Signature=" SIGNATURE ", " SIGNED " ",
    };
    (void)state;
    for (size_t i = 0; i < RB_ARRAY_LEN(good); i++) {
        struct rb_sigv4_claim c;
        struct rb_err err;
        assert_int_equal(rb_sigv4_parse(good[i], &c, &err), RB_OK);
        assert_true(rb_slice_eq(c.access_key, "AKID"));
        assert_true(rb_slice_eq(c.date, "20261124"));
        assert_true(rb_slice_eq(c.region, "us-east-1"));
        assert_true(rb_slice_eq(c.service, "codebuild"));
        assert_true(rb_slice_eq(c.signed_headers, "host;x-amz-date"));
        assert_true(rb_slice_eq(c.signature, SIGNATURE));
    }
}

static void malformed_authorization_is_denied(void **state)
{
    static const char *const bad[] = {
        "",
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 ",
        "Bearer abc",
        "aws4-hmac-sha256 " CREDENTIAL ", " SIGNED ", Signature=" SIGNATURE,
        "AWS4-HMAC-SHA256 " CREDENTIAL ", " SIGNED,
        "AWS4-HMAC-SHA256 " CREDENTIAL ", Signature=" SIGNATURE,
        "AWS4-HMAC-SHA256 " SIGNED ", Signature=" SIGNATURE,
        "AWS4-HMAC-SHA256 " CREDENTIAL ", " SIGNED ", Signature=" SIGNATURE ", " SIGNED,
        "AWS4-HMAC-SHA256 " CREDENTIAL ", " SIGNED ", Signature=" SIGNATURE "0",
        "AWS4-HMAC-SHA256 " CREDENTIAL ", " SIGNED ", Signature=abc",
        "AWS4-HMAC-SHA256 " CREDENTIAL ", " SIGNED ", Signature=" SIGNATURE ",",
        "AWS4-HMAC-SHA256 " CREDENTIAL ", " SIGNED ", Signature=" SIGNATURE ", More=1",
        "AWS4-HMAC-SHA256 " CREDENTIAL ", SignedHeaders=, Signature=" SIGNATURE,
        "AWS4-HMAC-SHA256 " CREDENTIAL ", SignedHeaders=a;;b, Signature=" SIGNATURE,
        "AWS4-HMAC-SHA256 " CREDENTIAL ", SignedHeaders=Host, Signature=" SIGNATURE,
        "AWS4-HMAC-SHA256 " CREDENTIAL "/x, " SIGNED ", Signature=" SIGNATURE,
        "AWS4-HMAC-SHA256 Credential=/20261124/r/s/aws4_request, " SIGNED ", Signature=" SIGNATURE,
        "AWS4-HMAC-SHA256 Credential=A/2026112/r/s/aws4_request, " SIGNED ", Signature=" SIGNATURE,
        "AWS4-HMAC-SHA256 Credential=A/2026112x/r/s/aws4_request, " SIGNED ", Signature=" SIGNATURE,
        "AWS4-HMAC-SHA256 Credential=A/20261124//s/aws4_request, " SIGNED ", Signature=" SIGNATURE,
        "AWS4-HMAC-SHA256 Credential=A/20261124/r/s/aws3_request, " SIGNED ", Signature=" SIGNATURE,
        "AWS4-HMAC-SHA256 Credential=A/20261124/r/s, " SIGNED ", Signature=" SIGNATURE,
    };
    (void)state;
    for (size_t i = 0; i < RB_ARRAY_LEN(bad); i++) {
        struct rb_sigv4_claim c;
        struct rb_err err;
        assert_int_equal(rb_sigv4_parse(bad[i], &c, &err), RB_E_DENIED);
    }
    assert_int_equal(rb_sigv4_parse(NULL, &(struct rb_sigv4_claim){0}, NULL), RB_E_DENIED);
}

static struct rb_sigv4_request small_request(const struct rb_header *headers, unsigned n)
{
    return (struct rb_sigv4_request){.method = "POST",
                                     .path = "/",
                                     .headers = headers,
                                     .n_headers = n,
                                     .payload_hash = SIGNATURE,
                                     .region = "us-east-1",
                                     .service = "codebuild",
                                     .date_ms = 1795000000000};
}

static void headers_that_could_forge_lines_are_refused(void **state)
{
    static const char *const bad[][2] = {
        {"x", "a\nb:c"}, {"x", "a\rb"}, {"x:y", "a"}, {"x y", "a"},
        {"x\n", "a"},    {"", "a"},     {"x;y", "a"}, {"x\x7f", "a"},
    };
    char hex[65];
    struct rb_err err;

    (void)state;
    for (size_t i = 0; i < RB_ARRAY_LEN(bad); i++) {
        struct rb_header h = {rb_slice_str(bad[i][0]), rb_slice_str(bad[i][1])};
        struct rb_sigv4_request r = small_request(&h, 1);
        assert_int_equal(rb_sigv4_signature(&r, "s", 1, hex, &err), RB_E_INVALID);
    }
}

static void what_is_too_large_is_refused_and_the_secret_stays_out_of_errors(void **state)
{
    static struct rb_header many[65];
    char hex[65];
    struct rb_err err;

    (void)state;
    for (size_t i = 0; i < RB_ARRAY_LEN(many); i++) {
        many[i].name = RB_SLICE_LIT("x");
        many[i].value = RB_SLICE_LIT("y");
    }
    struct rb_sigv4_request r = small_request(many, RB_ARRAY_LEN(many));
    assert_int_equal(rb_sigv4_signature(&r, "s", 1, hex, &err), RB_E_TOO_LARGE);
    r.n_headers = 1;
    assert_int_equal(rb_sigv4_signature(&r, "", 0, hex, &err), RB_E_CREDENTIALS);
    static char long_secret[300];
    memset(long_secret, 'q', sizeof(long_secret) - 1);
    assert_int_equal(rb_sigv4_signature(&r, long_secret, sizeof(long_secret) - 1, hex, &err),
                     RB_E_CREDENTIALS);
    assert_null(strstr(err.msg, "qqq"));
    r.path = "relative";
    assert_int_equal(rb_sigv4_signature(&r, "s", 1, hex, &err), RB_E_INVALID);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(canonical_requests_are_those_of_botocore),
        cmocka_unit_test(authorization_headers_are_those_of_botocore),
        cmocka_unit_test(what_botocore_signed_verifies_and_nothing_else_does),
        cmocka_unit_test(authorization_is_taken_apart_in_any_order_and_spacing),
        cmocka_unit_test(malformed_authorization_is_denied),
        cmocka_unit_test(headers_that_could_forge_lines_are_refused),
        cmocka_unit_test(what_is_too_large_is_refused_and_the_secret_stays_out_of_errors),
    };
    if (argc != 2) {
        return 2;
    }
    vectors_path = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}

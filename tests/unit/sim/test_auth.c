/* Signatures: what botocore signed is accepted, anything changed afterwards is not, and the date
 * has a window on the simulator's clock. */
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>

#include "helper.h"

static const char body[] = "{\"projectName\": \"web\", \"sourceVersion\": \"\xc3\xbc\"}";
static const char *const key[] = {"AKIATEST:test/secret+key"};

/* Signed by botocore 1.29.27 at 2026-11-03T14:05:11Z for http://127.0.0.1:4570/. */
#define SIGNED_PLAIN                                                                   \
    "AWS4-HMAC-SHA256 Credential=AKIATEST/20261103/us-east-1/codebuild/aws4_request, " \
    "SignedHeaders=content-type;host;x-amz-date;x-amz-target, "                        \
    "Signature=24b7378d63c57f49286e72ab02f186b03be4355acf7151b607fbc00674e2c128"
#define SIGNED_MORE                                                                          \
    "AWS4-HMAC-SHA256 Credential=AKIATEST/20261103/eu-west-1/codebuild/aws4_request, "       \
    "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target;x-extra, " \
    "Signature=ffeb6ae1127e14dd320884396f6e90f6139ed017150c36896591d5845c5e0e54"

#define SIGNED_BY_NOBODY              \
    "SignedHeaders=host;x-amz-date, " \
    "Signature=0000000000000000000000000000000000000000000000000000000000000000"

static const char *const plain[] = {
    "Host",       "127.0.0.1:4570",   "Content-Type",  "application/x-amz-json-1.1",
    "X-Amz-Date", "20261103T140511Z", "Authorization", SIGNED_PLAIN,
    NULL};
static const char *const more[] = {"host",
                                   "127.0.0.1:4570",
                                   "content-type",
                                   "application/x-amz-json-1.1",
                                   "x-amz-date",
                                   "20261103T140511Z",
                                   "x-extra",
                                   "  a   b  ",
                                   "x-amz-security-token",
                                   "session-token",
                                   "authorization",
                                   SIGNED_MORE,
                                   NULL};

static struct rb_sim *keyed(const char *script)
{
    struct rb_sim_options o = RB_SIM_OPTIONS_INIT;
    o.access_keys = key;
    o.n_access_keys = 1;
    return test_sim_with(&o, script);
}

static void assert_answer(struct rb_sim *sim, const char *text, const char *const *headers,
                          const char *error)
{
    struct answer a = ask_with(sim, "StartBuild", text, headers);
    assert_string_equal(a.reply.error_type, error);
    assert_int_equal(a.reply.status, *error == '\0' ? 200 : 400);
    answer_release(&a);
}

static void what_botocore_signed_is_accepted(void **state)
{
    (void)state;
    RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = keyed("projects: [{name: web}]");
    assert_answer(sim, body, plain, "");
    assert_answer(sim, body, more, "");
    struct answer a = control(sim, "GET", "/_sim/ledger", "");
    json_t *first = json_array_get(json_object_get(a.body, "effects"), 0);
    assert_string_equal(text_at(first, "access_key"), "AKIATEST");
    answer_release(&a);
}

static void what_was_changed_is_refused(void **state)
{
    (void)state;
    RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = keyed("projects: [{name: web}]");
    assert_answer(sim, "{\"projectName\": \"web\"}", plain, "InvalidSignatureException");
    for (size_t i = 1; i < RB_ARRAY_LEN(plain) - 3; i += 2) { /* each signed header in turn */
        const char *changed[RB_ARRAY_LEN(plain)];
        memcpy(changed, plain, sizeof changed);
        changed[i] = i == 5 ? "20261103T140512Z" : "other";
        assert_answer(sim, body, changed, "InvalidSignatureException");
        changed[i - 1] = "X-Gone";
        assert_answer(sim, body, changed,
                      i == 5 ? "IncompleteSignatureException" : "InvalidSignatureException");
    }
    const char *hashed[RB_ARRAY_LEN(plain) + 2];
    memcpy(hashed, plain, sizeof plain);
    hashed[8] = "X-Amz-Content-Sha256";
    hashed[9] = "0000000000000000000000000000000000000000000000000000000000000000";
    hashed[10] = NULL;
    assert_answer(sim, body, hashed, "InvalidSignatureException");
    assert_int_equal(rb_sim_effects(sim, NULL, NULL), 0);
}

static void proofs_that_are_missing_broken_or_of_nobody_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *authorization, *error;
    } cases[] = {
        {"AWS4-HMAC-SHA256 "
         "Credential=AKIAOTHER/20261103/us-east-1/codebuild/aws4_request, " SIGNED_BY_NOBODY,
         "UnrecognizedClientException"},
        {"AWS4-HMAC-SHA256 "
         "Credential=AKIATEST/20261103/us-east-1/codebuild/aws4_request, " SIGNED_BY_NOBODY,
         "InvalidSignatureException"},
        {"AWS4-HMAC-SHA256 "
         "Credential=AKIATEST/20261104/us-east-1/codebuild/aws4_request, " SIGNED_BY_NOBODY,
         "IncompleteSignatureException"},
        {"AWS4-HMAC-SHA256 Credential=AKIATEST/20261103/us-east-1/codebuild, " SIGNED_BY_NOBODY,
         "IncompleteSignatureException"},
        {"AWS4-HMAC-SHA256 Credential=, SignedHeaders=, Signature=",
         "IncompleteSignatureException"},
        {"AWS4-HMAC-SHA256 SignedHeaders=host", "IncompleteSignatureException"},
        {"Bearer token", "IncompleteSignatureException"},
        {"", "IncompleteSignatureException"},
    };
    RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = keyed("projects: [{name: web}]");
    assert_answer(sim, body, NULL, "MissingAuthenticationTokenException");
    for (size_t i = 0; i < RB_ARRAY_LEN(cases); i++) {
        const char *headers[RB_ARRAY_LEN(plain)];
        memcpy(headers, plain, sizeof headers);
        headers[7] = cases[i].authorization;
        assert_answer(sim, body, headers, cases[i].error);
    }
}

static void a_date_is_good_within_the_window_on_both_sides(void **state)
{
    (void)state;
    static const struct {
        const char *script;
        int64_t advance_ms;
        const char *error;
    } cases[] = {
        {"projects: [{name: web}]", 299000, ""},
        {"projects: [{name: web}]", 300000, "InvalidSignatureException"},
        {"projects: [{name: web}]", -300000, ""},
        {"projects: [{name: web}]", -301000, "InvalidSignatureException"},
        {"{projects: [{name: web}], signature_window: 15m}", 890000, ""},
        {"{projects: [{name: web}], signature_dates: never}", 86400000, ""},
    };
    for (size_t i = 0; i < RB_ARRAY_LEN(cases); i++) {
        RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = keyed(cases[i].script);
        rb_sim_advance(sim, cases[i].advance_ms);
        assert_answer(sim, body, plain, cases[i].error);
    }
}

static void an_expired_signature_says_how_far(void **state)
{
    (void)state;
    RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = keyed("projects: [{name: web}]");
    rb_sim_advance(sim, 360000);
    struct answer a = ask_with(sim, "StartBuild", body, plain);
    assert_string_equal(text_at(a.body, "message"),
                        "Signature expired: 20261103T140511Z is now earlier than 20261103T140611Z "
                        "(20261103T141111Z - 5 min.)");
    answer_release(&a);
}

static void without_keys_the_caller_is_believed(void **state)
{
    (void)state;
    RB_CLEANUP(rb_sim_stopp)
    struct rb_sim *sim =
        test_sim("{projects: [{name: web}], initiator: {keys: {AKIATEST: 'r/s'}}}");
    rb_sim_advance(sim, 3600000); /* not even the date is looked at */
    struct answer a = ask_with(sim, "StartBuild", "{\"projectName\":\"web\"}", plain);
    assert_string_equal(text_at(json_object_get(a.body, "build"), "initiator"), "r/s");
    answer_release(&a);
    a = ask(sim, "StartBuild", "{\"projectName\":\"web\"}");
    assert_string_equal(text_at(json_object_get(a.body, "build"), "initiator"),
                        "codebuild-sim/anonymous");
    answer_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_botocore_signed_is_accepted),
        cmocka_unit_test(what_was_changed_is_refused),
        cmocka_unit_test(proofs_that_are_missing_broken_or_of_nobody_are_told_apart),
        cmocka_unit_test(a_date_is_good_within_the_window_on_both_sides),
        cmocka_unit_test(an_expired_signature_says_how_far),
        cmocka_unit_test(without_keys_the_caller_is_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

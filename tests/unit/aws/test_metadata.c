/* Credentials by the container and instance endpoints: hosts, tokens, refusals, old sets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <retrybuild/cleanup.h>

#include "provider_world.h"

#define JSON_SET                                                                         \
    "{\"Code\":\"Success\",\"AccessKeyId\":\"ASIAJSON\",\"SecretAccessKey\":\"canary\"," \
    "\"Token\":\"token\",\"Expiration\":\"2099-01-01T00:00:00Z\"}"

static void container_hosts_are_few_unless_by_https(void **state)
{
    static const struct {
        const char *url;
        bool good;
    } rows[] = {
        {"https://anything.example/x", true},
        {"http://127.0.0.1:80/x", true},
        {"http://127.9.9.9/x", true},
        {"http://[::1]/x", true},
        {"http://localhost/x", true},
        {"http://169.254.170.2/x", true},
        {"http://169.254.170.23/v1", true},
        {"http://[fd00:ec2::23]/v1", true},
        {"http://169.254.169.254/x", false},
        {"http://10.0.0.1/x", false},
        {"http://localhost.example/x", false},
        {"http://[fd00:ec2::254]/", false},
        {"ftp://127.0.0.1/x", false},
        {"http://u@127.0.0.1/", false},
        {"127.0.0.1", false},
        {"http://2130706433/", false},
    };
    struct rb_arena a;
    const char *url = NULL;

    (void)state;
    rb_arena_init(&a, 65536);
    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", rows[i].url, 1);
        if ((rb_container_url(&a, &url, NULL) == RB_OK) != rows[i].good) {
            fail_msg("%s", rows[i].url);
        }
    }
    setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x", 1);
    assert_int_equal(rb_container_url(&a, &url, NULL), RB_OK);
    assert_string_equal(url, "http://169.254.170.2/v2/x");
    setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", ".evil.example/", 1);
    assert_int_equal(rb_container_url(&a, &url, NULL), RB_E_CREDENTIALS);
    rb_arena_release(&a);
}

static void a_container_sends_its_token_as_it_is_and_is_asked_three_times(void **state)
{
    struct world *w = *state;

    setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", script_server_url(w->server), 1);
    setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Basic of-env", 1);
    setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", write_file(w, "token", "of-file"), 1);
    script_server_push_json(w->server, 500, "", "{}");
    script_server_push_json(w->server, 503, "", "{}");
    script_server_push_json(w->server, 200, "", JSON_SET);
    assert_gives(w, "container", "ASIAJSON", "token");
    RB_CLEANUP(rb_freep) char *sent = script_server_header(w->server, 2, "authorization");
    assert_string_equal(sent, "of-file");
    script_server_push_json(w->server, 401, "", "{}");
    assert_refuses(w, "answered 401");
    assert_int_equal(script_server_requests(w->server), 4);
    script_server_push_json(w->server, 200, "", "{\"AccessKeyId\":\"A\"}");
    assert_refuses(w, "the answer has no Token");
    write_file(w, "token", "of-file\n");
    assert_refuses(w, "holds a line break");
    assert_int_equal(script_server_requests(w->server), 5);
}

static void use_instance(struct world *w)
{
    unsetenv("AWS_EC2_METADATA_DISABLED");
    setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", script_server_url(w->server), 1);
}

static void an_instance_is_asked_for_token_role_and_credentials(void **state)
{
    struct world *w = *state;

    use_instance(w);
    script_server_push_json(w->server, 200, "", "imds-token");
    script_server_push_json(w->server, 200, "", "my-role");
    script_server_push_json(w->server, 200, "", JSON_SET);
    assert_gives(w, "instance-metadata", "ASIAJSON", "token");
    assert_non_null(strstr(script_server_request(w->server, 0), "PUT /latest/api/token "));
    RB_CLEANUP(rb_freep)
    char *ttl = script_server_header(w->server, 0, "x-aws-ec2-metadata-token-ttl-seconds");
    RB_CLEANUP(rb_freep)
    char *sent = script_server_header(w->server, 2, "x-aws-ec2-metadata-token");
    assert_string_equal(ttl, "21600");
    assert_string_equal(sent, "imds-token");
    assert_non_null(
        strstr(script_server_request(w->server, 2), "/iam/security-credentials/my-role "));
}

static void an_instance_without_a_token_needs_leave_for_version_1(void **state)
{
    struct world *w = *state;

    use_instance(w);
    script_server_push_json(w->server, 404, "", "");
    assert_refuses(w, "aws.imds_v1");
    w->settings.aws.imds_v1 = true;
    script_server_push_json(w->server, 404, "", "");
    script_server_push_json(w->server, 200, "", "my-role");
    script_server_push_json(w->server, 200, "", JSON_SET);
    assert_gives(w, "instance-metadata", "ASIAJSON", "token");
    assert_null(script_server_header(w->server, 3, "x-aws-ec2-metadata-token"));
    setenv("AWS_EC2_METADATA_V1_DISABLED", "true", 1);
    script_server_push_json(w->server, 403, "", "");
    assert_refuses(w, "status 403");
}

static void what_an_instance_says_wrong_is_explained(void **state)
{
    static const char *const rows[][3] = {
        {"../../x", "{}", "no usable role name"},
        {"my-role", "{\"Code\":\"Failed\",\"Message\":\"not yet\"}", "says Failed: not yet"},
        {"my-role", "{\"Code\":\"Success\",\"Token\":\"t\"}", "the answer has no Expiration"},
        {"my-role", "canary", "not JSON"},
    };
    struct world *w = *state;

    use_instance(w);
    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        script_server_push_json(w->server, 200, "", "imds-token");
        script_server_push_json(w->server, 200, "", rows[i][0]);
        if (i > 0) {
            script_server_push_json(w->server, 200, "", rows[i][1]);
        }
        assert_refuses(w, rows[i][2]);
    }
}

static void an_old_set_of_an_instance_counts_as_good_for_a_while(void **state)
{
    RB_CLEANUP(rb_credentials_release) struct rb_credentials c = {.access_key = NULL};
    RB_CLEANUP(rb_credentials_release) struct rb_credentials again = {.access_key = NULL};
    struct world *w = *state;
    struct rb_err err;

    use_instance(w);
    script_server_push_json(w->server, 200, "", "imds-token");
    script_server_push_json(w->server, 200, "", "my-role");
    script_server_push_json(w->server, 200, "",
                            "{\"Code\":\"Success\",\"AccessKeyId\":\"ASIAOLD\","
                            "\"SecretAccessKey\":\"canary\",\"Token\":\"t\","
                            "\"Expiration\":\"2020-01-01T00:00:00Z\"}");
    assert_int_equal(fetch(w, &c, &err), RB_OK);
    assert_true(c.expires_ms - rb_now_ms(rb_clock_system()) > INT64_C(16) * 60 * 1000);
    w->aws->own.cached.expires_ms = 1; /* long expired, and the service is away */
    script_server_push_json(w->server, 503, "", "");
    assert_int_equal(rb_aws_credentials(w->aws, &again, &err), RB_OK);
    assert_string_equal(again.access_key, "ASIAOLD");
    assert_int_equal(script_server_requests(w->server), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(container_hosts_are_few_unless_by_https),
        ROW(a_container_sends_its_token_as_it_is_and_is_asked_three_times),
        ROW(an_instance_is_asked_for_token_role_and_credentials),
        ROW(an_instance_without_a_token_needs_leave_for_version_1),
        ROW(what_an_instance_says_wrong_is_explained),
        ROW(an_old_set_of_an_instance_counts_as_good_for_a_while),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

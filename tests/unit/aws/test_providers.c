/* Credential providers: what each reads, in which order, and what each refuses with which words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <retrybuild/cleanup.h>

#include "provider_world.h"

#define STS_SET                                                                        \
    "<R xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Result><Credentials>"     \
    "<SessionToken>tok&amp;en</SessionToken><SecretAccessKey>canary</SecretAccessKey>" \
    "<Expiration>2099-01-01T00:00:00Z</Expiration><AccessKeyId>ASIASTS</AccessKeyId>"  \
    "</Credentials></Result></R>"

static void keys_of_the_environment_beat_a_profile_of_the_environment_but_not_of_the_settings(
    void **state)
{
    struct world *w = *state;

    write_file(w, "credentials",
               "# mine\n[ci]\nAWS_Access_Key_Id = AKIAFILE\naws_secret_access_key: canary\n");
    setenv("AWS_PROFILE", "ci", 1);
    assert_gives(w, "shared-credentials-file", "AKIAFILE", "");
    setenv("AWS_ACCESS_KEY_ID", "AKIAENV", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "canary", 1);
    assert_gives(w, "environment", "AKIAENV", "");
    w->settings.aws.profile = "ci";
    assert_gives(w, "shared-credentials-file", "AKIAFILE", "");
}

static void the_config_file_names_its_profiles_with_a_word_before(void **state)
{
    struct world *w = *state;

    write_file(w, "config",
               "[default]\nregion=eu-west-1\ns3 =\n  max = 1\n[profile \"my ci\"]\n"
               "aws_access_key_id=AKIACONF\naws_secret_access_key=canary\naws_session_token=tok\n");
    setenv("AWS_PROFILE", "my ci", 1);
    assert_gives(w, "config-file", "AKIACONF", "tok");
    setenv("AWS_PROFILE", "other", 1);
    assert_refuses(w, "profile 'other' is in neither");
}

static void broken_profile_files_are_refused_with_their_line(void **state)
{
    static const char *const rows[][2] = {
        {"[default]\nno value canary\n", "line 2: expected"},
        {"aws_access_key_id = canary\n", "line 1: expected"},
        {"[default]\nregion = a\nregion = b\n", "line 3: this key comes twice"},
        {"[default]\n[default]\n", "line 2: this profile comes twice"},
        {"[default\n", "line 1: a section needs"},
        {"[default]\naws_access_key_id = A\n  canary\n", "line 3: a value over several lines"},
        {"[default]\naws_access_key_id = A\n", "no aws_secret_access_key"},
        {"[default]\naws_access_key_id = A canary\naws_secret_access_key = canary\n",
         "the access key id is missing or not one"},
    };
    struct world *w = *state;

    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        write_file(w, "credentials", rows[i][0]);
        assert_refuses(w, rows[i][1]);
    }
}

static void an_sso_profile_is_refused_because_it_needs_a_person(void **state)
{
    write_file(*state, "config", "[default]\nsso_start_url = https://example.com\n");
    assert_refuses(*state, "signs in by SSO");
}

static void a_role_is_assumed_with_the_keys_of_its_source_profile(void **state)
{
    struct world *w = *state;

    write_file(w, "config",
               "[default]\nrole_arn = arn:aws:iam::123456789012:role/x\nsource_profile = base\n"
               "external_id = ext/1\n[profile mid]\n");
    write_file(w, "credentials",
               "[base]\naws_access_key_id = AKIABASE\naws_secret_access_key = canary\n");
    script_server_push_json(w->server, 200, "", STS_SET);
    assert_gives(w, "assume-role", "ASIASTS", "tok&en");
    assert_string_equal(script_server_body(w->server, 0),
                        "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A"
                        "123456789012%3Arole%2Fx&RoleSessionName=retrybuild&ExternalId=ext%2F1");
    RB_CLEANUP(rb_freep) char *auth = script_server_header(w->server, 0, "authorization");
    assert_non_null(auth);
    assert_non_null(strstr(auth, "Credential=AKIABASE/"));
    assert_non_null(strstr(auth, "/us-east-1/sts/aws4_request"));
}

static void profiles_that_cannot_give_a_role_say_why(void **state)
{
    static const char *const rows[][2] = {
        {"[default]\nrole_arn=arn:x\n", "needs either source_profile or credential_source"},
        {"[default]\nrole_arn=arn:x\nsource_profile=a\ncredential_source=Environment\n",
         "not both"},
        {"[default]\nrole_arn=arn:x\nsource_profile=a\n", "source_profile 'a' is missing"},
        {"[default]\nrole_arn=arn:x\nsource_profile=default\n", "leads back in a circle"},
        {"[default]\nrole_arn=arn:x\nsource_profile=b\n[profile b]\nrole_arn=arn:y\n"
         "source_profile=default\n",
         "leads back in a circle"},
        {"[default]\nrole_arn=arn:x\nsource_profile=b\n[profile b]\n", "has neither keys nor"},
        {"[default]\nrole_arn=arn:x\nsource_profile=b\nmfa_serial=1\n[profile b]\n", "MFA"},
        {"[default]\nrole_arn=arn:x\ncredential_source=Wallet\n", "is none of Environment"},
        {"[default]\nrole_arn=arn:x\ncredential_source=Environment\n", "AWS_ACCESS_KEY_ID"},
        {"[default]\nrole_arn=arn:x\ncredential_source=EcsContainer\n", "is not set"},
        {"[default]\nrole_arn=arn:x\nduration_seconds=1h\n", "duration_seconds is no number"},
    };
    struct world *w = *state;

    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        write_file(w, "config", rows[i][0]);
        assert_refuses(w, rows[i][1]);
    }
    assert_int_equal(script_server_requests(w->server), 0);
}

static void a_web_identity_is_exchanged_unsigned_and_its_file_is_read_each_time(void **state)
{
    struct world *w = *state;

    setenv("AWS_WEB_IDENTITY_TOKEN_FILE", write_file(w, "token", "jwt-1\n"), 1);
    assert_refuses(w, "AWS_ROLE_ARN");
    setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/web", 1);
    setenv("AWS_ROLE_SESSION_NAME", "pod", 1);
    script_server_push_json(w->server, 200, "", STS_SET);
    assert_gives(w, "web-identity", "ASIASTS", "tok&en");
    assert_string_equal(
        script_server_body(w->server, 0),
        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleSessionName=pod&RoleArn=arn%3Aaws"
        "%3Aiam%3A%3A123456789012%3Arole%2Fweb&WebIdentityToken=jwt-1");
    assert_null(script_server_header(w->server, 0, "authorization"));
    write_file(w, "token", "jwt-2");
    script_server_push_json(w->server, 200, "", STS_SET);
    assert_gives(w, "web-identity", "ASIASTS", "tok&en");
    assert_non_null(strstr(script_server_body(w->server, 1), "WebIdentityToken=jwt-2"));
    unlink(w->path);
    assert_refuses(w, "web identity token");
}

static void what_sts_refuses_or_garbles_is_explained(void **state)
{
    static const struct {
        int status;
        const char *body, *what;
    } rows[] = {
        {403,
         "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no &lt;entry&gt;</Message>"
         "</Error></ErrorResponse>",
         "AccessDenied: no <entry>"},
        {400, "canary", "STS answered 400"},
        {200, "{\"canary\":1}", "not XML that can be read"},
        {200, "<a><Credentials><AccessKeyId>A</AccessKeyId></Credentials>", "not XML"},
        {200, "<a><Credentials><AccessKeyId>A</AccessKeyId></Credentials></a>", "no session token"},
    };
    struct world *w = *state;

    setenv("AWS_WEB_IDENTITY_TOKEN_FILE", write_file(w, "token", "canary"), 1);
    setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/web", 1);
    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        script_server_push_json(w->server, rows[i].status, "", rows[i].body);
        assert_refuses(w, rows[i].what);
    }
}

static void xml_that_is_not_plain_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "text",
        "<a>",
        "<a></b>",
        "<a></a><b></b>",
        "<a></a>x",
        "<!DOCTYPE a [<!ENTITY x \"y\">]><a></a>",
        "<a><!-- c --></a>",
        "<p><n>&x;</n></p>",
        "<p><n>1</n><n>2</n></p>",
        "<p><n><m/></n></p>",
        "<p><n>&#0;</n></p>",
        "<a b=\"<\"></a>",
    };
    const char *paths[] = {"p/n"}, *value = NULL;
    struct rb_arena a;

    (void)state;
    rb_arena_init(&a, 65536);
    for (size_t i = 0; i < RB_ARRAY_LEN(bad); i++) {
        if (rb_xml_read(bad[i], strlen(bad[i]), paths, 1, &a, &value, NULL) != RB_E_INVALID) {
            fail_msg("accepted: %s", bad[i]);
        }
    }
    const char *good = "<?xml version='1.0'?>\n<p x='>'>\n<n >a&#38;b</n ><o/></p>\n";
    assert_int_equal(rb_xml_read(good, strlen(good), paths, 1, &a, &value, NULL), RB_OK);
    assert_string_equal(value, "a&b");
    rb_arena_release(&a);
}

static void a_process_command_is_cut_into_words_as_a_shell_would(void **state)
{
    static const char *const rows[][2] = {
        {"a b  c", "a|b|c|"},
        {"a 'b c' \"d \\\" e\"", "a|b c|d \" e|"},
        {"a\\ b c", "a b|c|"},
        {"'' x", "|x|"},
        {"a $HOME `b` ;c", "a|$HOME|`b`|;c|"},
        {"a \"\\n\"", "a|\\n|"},
        {"a 'b", NULL},
        {"a \\", NULL},
        {"  ", NULL},
    };
    (void)state;
    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        RB_CLEANUP(rb_arena_release) struct rb_arena a;
        RB_CLEANUP(rb_buf_release) struct rb_buf got = RB_BUF_INIT(1000);
        char **argv = NULL;
        rb_arena_init(&a, 65536);
        enum rb_code rc = rb_process_split(rows[i][0], &a, &argv, NULL);
        assert_int_equal(rc, rows[i][1] == NULL ? RB_E_CREDENTIALS : RB_OK);
        for (; rc == RB_OK && *argv != NULL; argv++) {
            rb_buf_addf(&got, "%s|", *argv);
        }
        assert_string_equal(rb_buf_str(&got), rows[i][1] == NULL ? "" : rows[i][1]);
    }
}

static void a_process_gives_credentials_or_a_reason(void **state)
{
#define SAYS(json) "[default]\ncredential_process = /usr/bin/printf '%s' '" json "'\n"
    static const char *const rows[][2] = {
        {SAYS("{\"Version\":2}"), "\"Version\": 1"},
        {SAYS("canary"), "did not print a JSON object"},
        {SAYS("{\"Version\":1,\"AccessKeyId\":\"A\"}"), "secret access key is missing"},
        {SAYS("{\"Version\":1,\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"canary\","
              "\"Expiration\":\"soon\"}"),
         "Expiration is not a time"},
        {"[default]\ncredential_process = /bin/sh -c 'echo canary >&2; exit 3'\n",
         "ended with status 3"},
        {"[default]\ncredential_process = /nonexistent/program\n", "does not start"},
        {"[default]\ncredential_process = /usr/bin/head -c 70000 /dev/zero\n", "more than"},
    };
    struct world *w = *state;

    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        write_file(w, "config", rows[i][0]);
        assert_refuses(w, rows[i][1]);
    }
    write_file(w, "config",
               SAYS("{\"Version\":1,\"AccessKeyId\":\"AKIAPROC\",\"SecretAccessKey\":\"canary\","
                    "\"SessionToken\":\"t\"}"));
    assert_gives(w, "credential-process", "AKIAPROC", "t");
}

static void a_process_that_does_not_end_is_killed(void **state)
{
    struct rb_credentials c;
    struct rb_err err;

    (void)state;
    assert_int_equal(rb_process_run("/bin/sleep 600", 50, &c, &err), RB_E_CREDENTIALS);
    assert_non_null(strstr(err.msg, "did not end within 50 ms"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(keys_of_the_environment_beat_a_profile_of_the_environment_but_not_of_the_settings),
        ROW(the_config_file_names_its_profiles_with_a_word_before),
        ROW(broken_profile_files_are_refused_with_their_line),
        ROW(an_sso_profile_is_refused_because_it_needs_a_person),
        ROW(a_role_is_assumed_with_the_keys_of_its_source_profile),
        ROW(profiles_that_cannot_give_a_role_say_why),
        ROW(a_web_identity_is_exchanged_unsigned_and_its_file_is_read_each_time),
        ROW(what_sts_refuses_or_garbles_is_explained),
        ROW(xml_that_is_not_plain_is_refused),
        ROW(a_process_command_is_cut_into_words_as_a_shell_would),
        ROW(a_process_gives_credentials_or_a_reason),
        ROW(a_process_that_does_not_end_is_killed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Sets that are kept fresh by several threads, and sessions of other accounts' roles. */
#include "provider_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/timefmt.h>

#define MINUTE (60 * 1000)
#define THREADS 4

/* ---- one refresher: the credential process reads from a pipe that the test fills ---- */

static char pipe_path[160];

static void use_pipe(struct world *w)
{
    char text[400];

    snprintf(pipe_path, sizeof(pipe_path), "%s/token", w->dir);
    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    snprintf(text, sizeof(text), "[default]\ncredential_process = /bin/cat %s\n", pipe_path);
    (void)write_file(w, "config", text);
    assert_int_equal(rb_aws_new(&w->settings, rb_clock_system(), &w->aws, NULL), RB_OK);
}

/* Returns when the process has begun to read: then a refresh is under way. */
static int begin(void)
{
    int fd = open(pipe_path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void give(int fd, const char *key, int64_t minutes)
{
    char expires[RB_TIME_ISO_BYTES], text[300];

    rb_time_iso(rb_now_ms(rb_clock_system()) + minutes * MINUTE, expires);
    int n = snprintf(text, sizeof(text),
                     "{\"Version\":1,\"AccessKeyId\":\"%s\",\"SecretAccessKey\":\"canary\","
                     "\"SessionToken\":\"t\",\"Expiration\":\"%s\"}",
                     key, expires);
    assert_int_equal(write(fd, text, (size_t)n), n);
    close(fd);
}

struct asker {
    pthread_t thread;
    struct rb_aws *aws;
    struct rb_credentials got;
    enum rb_code rc;
};

static void *ask(void *arg)
{
    struct asker *a = arg;

    a->rc = rb_aws_credentials(a->aws, &a->got, NULL);
    return NULL;
}

static void start(struct asker *a, struct rb_aws *aws)
{
    *a = (struct asker){.aws = aws};
    assert_int_equal(pthread_create(&a->thread, NULL, ask, a), 0);
}

static void expect(struct asker *a, const char *key)
{
    assert_int_equal(pthread_join(a->thread, NULL), 0);
    assert_int_equal(a->rc, RB_OK);
    assert_string_equal(a->got.access_key, key);
    rb_credentials_release(&a->got);
}

static void expect_now(struct rb_aws *aws, const char *key)
{
    RB_CLEANUP(rb_credentials_release) struct rb_credentials c = {.access_key = NULL};

    assert_int_equal(rb_aws_credentials(aws, &c, NULL), RB_OK);
    assert_string_equal(c.access_key, key);
}

static void within_the_last_quarter_hour_one_refreshes_and_the_others_go_on(void **state)
{
    struct world *w = *state;
    struct asker first;

    use_pipe(w);
    start(&first, w->aws);
    give(begin(), "FIRST", 12);
    expect(&first, "FIRST");

    start(&first, w->aws);
    int under_way = begin();
    for (int i = 0; i < THREADS; i++) {
        expect_now(w->aws, "FIRST");
    }
    give(under_way, "SECOND", 60);
    expect(&first, "SECOND");
    expect_now(w->aws, "SECOND");
    assert_int_equal(w->aws->own.rounds, 2);
}

static void a_refresh_that_fails_early_is_forgotten_for_a_while(void **state)
{
    struct world *w = *state;
    struct asker one;

    use_pipe(w);
    start(&one, w->aws);
    give(begin(), "FIRST", 12);
    expect(&one, "FIRST");
    start(&one, w->aws);
    close(begin()); /* it prints nothing */
    expect(&one, "FIRST");
    expect_now(w->aws, "FIRST"); /* and does not try again at once */
    assert_int_equal(w->aws->own.rounds, 2);
}

static void within_the_last_ten_minutes_all_wait_for_the_one_that_refreshes(void **state)
{
    struct world *w = *state;
    struct asker askers[THREADS];

    use_pipe(w);
    start(&askers[0], w->aws);
    give(begin(), "FIRST", 9);
    expect(&askers[0], "FIRST");

    for (int i = 0; i < THREADS; i++) {
        start(&askers[i], w->aws);
    }
    give(begin(), "SECOND", 60);
    for (int i = 0; i < THREADS; i++) {
        expect(&askers[i], "SECOND");
    }
    assert_int_equal(w->aws->own.rounds, 2);
}

static void all_who_wait_hear_why_the_refresh_failed(void **state)
{
    struct world *w = *state;
    struct asker one;
    struct rb_err err = {.code = RB_OK};
    RB_CLEANUP(rb_credentials_release) struct rb_credentials c = {.access_key = NULL};

    use_pipe(w);
    start(&one, w->aws);
    close(begin());
    assert_int_equal(pthread_join(one.thread, NULL), 0);
    assert_int_equal(one.rc, RB_E_CREDENTIALS);
    start(&one, w->aws);
    int under_way = begin();
    pthread_mutex_lock(&w->aws->lock);
    assert_true(w->aws->own.refreshing);
    pthread_mutex_unlock(&w->aws->lock);
    close(under_way);
    assert_int_equal(pthread_join(one.thread, NULL), 0);
    assert_int_equal(one.rc, RB_E_CREDENTIALS);
    start(&one, w->aws);
    give(begin(), "THIRD", 60);
    expect(&one, "THIRD");
    assert_int_equal(rb_aws_credentials(w->aws, &c, &err), RB_OK);
}

/* ---- sessions of a role ---- */

#define THERE "210987654321"

static struct rb_account_setting rows[] = {
    {.id = THERE, .role_arn = "arn:aws:iam::210987654321:role/ci/there", .exact = true},
    {.id = "333333333333", .role_arn = "arn:aws:iam::333333333333:role/plain"},
};

static void use_accounts(struct world *w)
{
    setenv("AWS_ACCESS_KEY_ID", "AKIDOWN", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "canary", 1);
    w->settings.aws.accounts = rows;
    w->settings.aws.n_accounts = RB_ARRAY_LEN(rows);
    assert_int_equal(rb_aws_new(&w->settings, rb_clock_system(), &w->aws, NULL), RB_OK);
}

static void push_session(struct world *w, const char *key)
{
    char text[600];

    snprintf(text, sizeof(text),
             "<R xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><A><Credentials>"
             "<AccessKeyId>%s</AccessKeyId><SecretAccessKey>canary</SecretAccessKey>"
             "<SessionToken>tok</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>"
             "</Credentials></A></R>",
             key);
    script_server_push_json(w->server, 200, "", text);
}

static void expect_session(struct world *w, const char *account, const char *session,
                           const char *key)
{
    RB_CLEANUP(rb_credentials_release) struct rb_credentials c = {.access_key = NULL};
    struct rb_err err = {.code = RB_OK};

    enum rb_code rc = rb_aws_credentials_as(w->aws, account, "us-east-1", session, &c, &err);
    if (rc != RB_OK) {
        fail_msg("%s", err.msg);
    }
    assert_string_equal(c.access_key, key);
}

static void a_session_is_named_after_its_retry_and_kept_for_its_next_copy(void **state)
{
    struct world *w = *state;

    use_accounts(w);
    push_session(w, "ASIAONE");
    expect_session(w, THERE, "rty_ONE", "ASIAONE");
    expect_session(w, THERE, "rty_ONE", "ASIAONE");
    assert_int_equal(script_server_requests(w->server), 1);
    assert_non_null(strstr(script_server_body(w->server, 0), "&RoleSessionName=rty_ONE"));
    push_session(w, "ASIATWO");
    expect_session(w, THERE, "rty_TWO", "ASIATWO");
    expect_session(w, THERE, "rty_ONE", "ASIAONE");
    push_session(w, "ASIAELSE");
    expect_session(w, "333333333333", "rty_ONE", "ASIAELSE");
    assert_int_equal(script_server_requests(w->server), 3);
    assert_non_null(strstr(script_server_body(w->server, 2), "333333333333"));

    rb_aws_credentials_refused(w->aws); /* AWS no longer takes it: another of the same name */
    push_session(w, "ASIATHREE");
    expect_session(w, THERE, "rty_ONE", "ASIATHREE");
    assert_non_null(strstr(script_server_body(w->server, 3), "&RoleSessionName=rty_ONE"));
}

static void the_session_unused_longest_makes_room_unless_it_is_in_use(void **state)
{
    static const char *const names[] = {"rty_0", "rty_1", "rty_2"};
    struct world *w = *state;
    RB_CLEANUP(rb_credentials_release) struct rb_credentials c = {.access_key = NULL};

    use_accounts(w);
    for (unsigned i = 0; i < RB_ARRAY_LEN(names); i++) {
        push_session(w, names[i]);
        expect_session(w, THERE, names[i], names[i]);
    }
    expect_session(w, THERE, "rty_0", "rty_0");
    for (unsigned i = 0; i < RB_SESSIONS; i++) { /* other threads are in all that are free */
        w->aws->sessions[i].users += w->aws->sessions[i].name[0] == '\0' ? 1 : 0;
    }
    push_session(w, "rty_3");
    expect_session(w, THERE, "rty_3", "rty_3");
    expect_session(w, THERE, "rty_2", "rty_2");
    push_session(w, "AGAIN");
    expect_session(w, THERE, "rty_1", "AGAIN");
    for (unsigned i = 0; i < RB_SESSIONS; i++) {
        w->aws->sessions[i].users = 1;
    }
    assert_int_equal(rb_aws_credentials_as(w->aws, THERE, "us-east-1", "rty_4", &c, NULL),
                     RB_E_UNAVAIL);
}

static void only_an_exact_account_names_the_initiator_and_only_an_account_has_sessions(void **state)
{
    struct world *w = *state;
    RB_CLEANUP(rb_arena_release) struct rb_arena a;
    RB_CLEANUP(rb_credentials_release) struct rb_credentials c = {.access_key = NULL};
    const char *initiator = NULL;
    struct rb_err err;

    rb_arena_init(&a, 4096);
    use_accounts(w);
    assert_int_equal(rb_aws_session_initiator(w->aws, THERE, "rty_X", &a, &initiator, &err), RB_OK);
    assert_string_equal(initiator, "there/rty_X");
    static const char *const plain[] = {"333333333333", "999999999999", "", NULL};
    for (size_t i = 0; i < RB_ARRAY_LEN(plain); i++) {
        assert_int_equal(rb_aws_session_initiator(w->aws, plain[i], "rty_X", &a, &initiator, &err),
                         RB_OK);
        assert_null(initiator);
    }
    assert_int_equal(rb_aws_credentials_as(w->aws, "999999999999", "us-east-1", "rty_X", &c, &err),
                     RB_E_REFUSED);
    assert_non_null(strstr(err.msg, "aws.accounts"));
    assert_int_equal(script_server_requests(w->server), 0);
}

static enum rb_code list_in(struct rb_codebuild *c, const char *account)
{
    RB_CLEANUP(rb_arena_release) struct rb_arena a;
    const char **ids = NULL, *next = NULL;
    unsigned n = 0;

    rb_arena_init(&a, 65536);
    rb_codebuild_of_account(c, account);
    return rb_codebuild_list(c, "us-east-1", "web", NULL, &a, &ids, &n, &next, NULL);
}

static void each_account_has_a_rate_of_its_own_and_ours_has_one_by_whatever_name(void **state)
{
    struct world *w = *state;
    struct rb_codebuild *c = NULL;

    w->settings.aws.rate_per_second = 0.001;
    w->settings.aws.rate_burst = 1;
    w->settings.aws.account = "123456789012";
    w->settings.aws.endpoint_url = script_server_url(w->server);
    use_accounts(w);
    assert_int_equal(rb_codebuild_new(w->aws, &w->settings, &c, NULL), RB_OK);
    script_server_push_json(w->server, 200, "", "{\"ids\":[]}");
    assert_int_equal(list_in(c, NULL), RB_OK);
    assert_int_equal(list_in(c, "123456789012"), RB_E_THROTTLED);
    push_session(w, "ASIATHERE");
    script_server_push_json(w->server, 200, "", "{\"ids\":[]}");
    assert_int_equal(list_in(c, THERE), RB_OK);
    assert_int_equal(list_in(c, THERE), RB_E_THROTTLED);
    assert_int_equal(list_in(c, ""), RB_E_THROTTLED);
    assert_int_equal(script_server_requests(w->server), 3);
    rb_codebuild_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(within_the_last_quarter_hour_one_refreshes_and_the_others_go_on),
        ROW(a_refresh_that_fails_early_is_forgotten_for_a_while),
        ROW(within_the_last_ten_minutes_all_wait_for_the_one_that_refreshes),
        ROW(all_who_wait_hear_why_the_refresh_failed),
        ROW(a_session_is_named_after_its_retry_and_kept_for_its_next_copy),
        ROW(the_session_unused_longest_makes_room_unless_it_is_in_use),
        ROW(each_account_has_a_rate_of_its_own_and_ours_has_one_by_whatever_name),
        ROW(only_an_exact_account_names_the_initiator_and_only_an_account_has_sessions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

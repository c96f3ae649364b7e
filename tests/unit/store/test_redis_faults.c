/* test_redis_faults.c - the Redis backend against a peer that answers badly: every answer becomes a
 * clear error, no late answer is read as another's, and all comes back by itself.
 */
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "redis_help.h"

struct bench {
    struct fake *fake;
    struct fix f;
};

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));
    assert_non_null(b);
    b->fake = fake_start();
    redis_fix_open(&b->f, redis_settings(fake_url(b->fake)));
    wait_until_up(&b->f, true);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    redis_fix_close(&b->f);
    fake_stop(b->fake);
    free(b);
    return 0;
}

/* @mode makes a call fail with @code and a sentence that has @word; then the peer is well again. */
static void fails_and_recovers(struct bench *b, enum fake_mode mode, enum rb_code code,
                               const char *word)
{
    struct rb_err err = {.code = RB_OK};
    assert_int_equal(try_ended(&b->f, &err), RB_OK);
    fake_mode(b->fake, mode);
    assert_int_equal(try_ended(&b->f, &err), code);
    if (strstr(err.msg, word) == NULL) {
        fail_msg("'%s' does not say '%s'", err.msg, word);
    }
    fake_mode(b->fake, FAKE_WELL);
    assert_int_equal(try_ended(&b->f, &err), RB_OK);
    wait_until_up(&b->f, true);
}

static void what_is_no_redis_is_unavailable(void **state)
{
    fails_and_recovers(*state, FAKE_GARBAGE, RB_E_UNAVAIL, "not one of a Redis server");
}

static void half_a_reply_is_unavailable(void **state)
{
    fails_and_recovers(*state, FAKE_HALF, RB_E_UNAVAIL, "closed the connection");
}

static void a_reply_without_end_is_cut_off(void **state)
{
    fails_and_recovers(*state, FAKE_HUGE_BULK, RB_E_UNAVAIL, "too long");
}

static void an_array_of_millions_is_refused_before_memory_is_taken(void **state)
{
    fails_and_recovers(*state, FAKE_HUGE_ARRAY, RB_E_UNAVAIL, "too many elements");
}

static void a_deeply_nested_reply_is_refused(void **state)
{
    fails_and_recovers(*state, FAKE_DEEP, RB_E_UNAVAIL, "nested too deeply");
}

static void loading_is_unavailable(void **state)
{
    fails_and_recovers(*state, FAKE_LOADING, RB_E_UNAVAIL, "loading");
}

static void no_answer_is_a_timeout(void **state)
{
    fails_and_recovers(*state, FAKE_SILENT, RB_E_TIMEOUT, "did not answer in time");
}

static void forgotten_scripts_are_loaded_again_unnoticed(void **state)
{
    struct bench *b = *state;
    fake_mode(b->fake, FAKE_NOSCRIPT_ONCE);
    assert_int_equal(try_ended(&b->f, NULL), RB_OK);
}

static void a_server_that_cannot_keep_scripts_is_unavailable(void **state)
{
    fails_and_recovers(*state, FAKE_NOSCRIPT, RB_E_UNAVAIL, "forgotten our scripts");
}

static void a_late_answer_is_never_the_next_calls(void **state)
{
    struct bench *b = *state;
    assert_int_equal(try_ended(&b->f, NULL), RB_OK);
    unsigned before = fake_connections(b->fake);
    fake_mode(b->fake, FAKE_LATE);
    assert_int_equal(try_ended(&b->f, NULL), RB_E_TIMEOUT);
    assert_int_equal(try_ended(&b->f, NULL), RB_OK);
    assert_true(fake_connections(b->fake) > before);
}

static void errors_of_the_server_have_codes_and_sentences(void **state)
{
    static const struct {
        const char *line;
        enum rb_code code;
        const char *word;
    } rows[] = {
        {"-LOADING Redis is loading the dataset in memory", RB_E_UNAVAIL, "loading"},
        {"-READONLY You can't write against a read only replica.", RB_E_UNAVAIL, "replica"},
        {"-OOM command not allowed when used memory > 'maxmemory'.", RB_E_NO_SPACE, "maxmemory"},
        {"-MISCONF Redis is configured to save RDB snapshots", RB_E_UNAVAIL, "cannot save"},
        {"-NOREPLICAS Not enough good replicas to write.", RB_E_UNAVAIL, "replicas"},
        {"-BUSY Redis is busy running a script.", RB_E_UNAVAIL, "busy"},
        {"-NOAUTH Authentication required.", RB_E_UNAVAIL, "password"},
        {"-WRONGPASS invalid username-password pair", RB_E_UNAVAIL, "password"},
        {"-CLUSTERDOWN Hash slot not served", RB_E_UNAVAIL, "cluster"},
        {"-MASTERDOWN Link with MASTER is down", RB_E_UNAVAIL, "primary"},
        {"-ERR something else", RB_E_INTERNAL, "something else"},
    };
    struct bench *b = *state;
    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        struct rb_err err = {.code = RB_OK};
        fake_error(b->fake, rows[i].line);
        assert_int_equal(try_ended(&b->f, &err), rows[i].code);
        if (strstr(err.msg, rows[i].word) == NULL) {
            fail_msg("'%s' does not say '%s'", err.msg, rows[i].word);
        }
        fake_mode(b->fake, FAKE_WELL);
        assert_int_equal(try_ended(&b->f, &err), RB_OK);
    }
}

/* ---- the asynchronous way in ---- */

struct loop {
    int epoll_fd;
    struct rb_admitter *adm;
    char key[RB_KEY_BYTES];
    unsigned done;
    enum rb_code last;
};

static void count_done(void *arg, struct rb_admission *a)
{
    struct loop *l = arg;
    l->done++;
    l->last = a->rc;
}

static void loop_open(struct loop *l, struct fix *f)
{
    *l = (struct loop){.epoll_fd = epoll_create1(EPOLL_CLOEXEC)};
    build_key_of("web", 1, l->key);
    assert_int_equal(rb_admitter_open(f->store, l->epoll_fd, l, count_done, l, &l->adm, NULL),
                     RB_OK);
}

static void loop_close(struct loop *l)
{
    rb_admitter_close(l->adm);
    (void)close(l->epoll_fd);
}

/* Turn until nothing is under way, and at least once. */
static void turn(struct loop *l)
{
    do {
        struct epoll_event e;
        rb_admitter_pump(l->adm, T0);
        int timeout_ms = rb_admitter_timeout_ms(l->adm);
        if (rb_admitter_in_flight(l->adm) > 0) {
            (void)epoll_wait(l->epoll_fd, &e, 1, timeout_ms < 0 ? 5000 : timeout_ms);
        }
        rb_admitter_pump(l->adm, T0);
    } while (rb_admitter_in_flight(l->adm) > 0);
}

/* Add until it is taken (after a failure the way back takes some turns). */
static void add(struct loop *l, struct rb_admission *a)
{
    *a = (struct rb_admission){.mode = RB_ADMIT_ENDED, .build_key = l->key};
    for (int i = 0; i < 2000 && rb_admitter_add(l->adm, a, NULL) != RB_OK; i++) {
        struct epoll_event e;
        int timeout_ms = rb_admitter_timeout_ms(l->adm);
        (void)epoll_wait(l->epoll_fd, &e, 1, timeout_ms < 0 || timeout_ms > 50 ? 50 : timeout_ms);
        rb_admitter_pump(l->adm, T0);
    }
}

static void items_of_a_bad_answer_complete_and_later_ones_go_well(void **state)
{
    static const struct {
        enum fake_mode mode;
        enum rb_code code;
    } rows[] = {
        {FAKE_GARBAGE, RB_E_UNAVAIL},    {FAKE_HALF, RB_E_UNAVAIL},
        {FAKE_HUGE_ARRAY, RB_E_UNAVAIL}, {FAKE_NOSCRIPT_ONCE, RB_OK},
        {FAKE_DEEP, RB_E_UNAVAIL},       {FAKE_NOSCRIPT, RB_E_UNAVAIL},
        {FAKE_HUGE_BULK, RB_E_UNAVAIL},  {FAKE_SILENT, RB_E_TIMEOUT},
        {FAKE_LATE, RB_E_TIMEOUT},
    };
    struct bench *b = *state;
    struct loop l;
    loop_open(&l, &b->f);
    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        struct rb_admission a;
        struct rb_admission second;
        fake_mode(b->fake, FAKE_WELL);
        add(&l, &a);
        turn(&l);
        assert_int_equal(l.last, RB_OK);
        fake_mode(b->fake, rows[i].mode);
        unsigned done = l.done;
        add(&l, &a);
        second = a;
        assert_int_equal(rb_admitter_add(l.adm, &second, NULL), RB_OK);
        turn(&l);
        assert_int_equal(l.done, done + 2);
        assert_int_equal(l.last, rows[i].code);
    }
    loop_close(&l);
}

static void while_the_server_is_away_nothing_is_taken(void **state)
{
    struct bench *b = *state;
    struct loop l;
    struct rb_admission a;
    struct rb_err err = {.code = RB_OK};
    loop_open(&l, &b->f);
    fake_mode(b->fake, FAKE_LOADING); /* also to whoever connects */
    add(&l, &a);
    turn(&l);
    assert_int_equal(l.last, RB_E_UNAVAIL);
    assert_int_equal(rb_admitter_add(l.adm, &a, &err), RB_E_UNAVAIL);
    assert_non_null(strstr(err.msg, "away"));
    fake_mode(b->fake, FAKE_WELL);
    add(&l, &a);
    turn(&l);
    assert_int_equal(l.last, RB_OK);
    loop_close(&l);
}

static void closing_completes_what_is_under_way(void **state)
{
    struct bench *b = *state;
    struct loop l;
    struct rb_admission a;
    loop_open(&l, &b->f);
    fake_mode(b->fake, FAKE_SILENT);
    add(&l, &a);
    rb_admitter_pump(l.adm, T0);
    loop_close(&l);
    assert_int_equal(l.done, 1);
    assert_int_equal(l.last, RB_E_CLOSED);
}

/* ---- URLs ---- */

static void urls_that_cannot_work_are_refused(void **state)
{
    static const struct {
        const char *url, *word;
    } rows[] = {
        {"redis://", "host"},
        {"redis://host:0", "host"},
        {"redis://host:70000", "host"},
        {"redis://user:secret@host:x", "host"},
        {"redis://a,b", "one host"},
        {"redis://host/x", "database"},
        {"redis+unix://relative/path", "absolute path"},
        {"redis+unix:///tmp/s?x=1", "?db=N"},
        {"redis+sentinel://host", "name of the master"},
        {"redis+cluster://host", "not supported"},
        {"redis:host", "redis://host"},
        {"redis://user%zz@host", "does not decode"},
    };
    static const struct rb_store_backend *const backends[] = {&rb_store_backend_redis, NULL};
    (void)state;
    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        struct rb_settings *settings = redis_settings(rows[i].url);
        struct rb_store *s = NULL;
        struct rb_err err = {.code = RB_OK};
        assert_int_equal(rb_store_open(backends, settings, rb_clock_system(), &s, &err),
                         RB_E_INVALID);
        if (strstr(err.msg, rows[i].word) == NULL) {
            fail_msg("%s: '%s' does not say '%s'", rows[i].url, err.msg, rows[i].word);
        }
        assert_null(strstr(err.msg, "secret"));
        rb_settings_unref(settings);
    }
}

int main(void)
{
#define FAKE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        FAKE_TEST(what_is_no_redis_is_unavailable),
        FAKE_TEST(half_a_reply_is_unavailable),
        FAKE_TEST(a_reply_without_end_is_cut_off),
        FAKE_TEST(an_array_of_millions_is_refused_before_memory_is_taken),
        FAKE_TEST(a_deeply_nested_reply_is_refused),
        FAKE_TEST(loading_is_unavailable),
        FAKE_TEST(no_answer_is_a_timeout),
        FAKE_TEST(forgotten_scripts_are_loaded_again_unnoticed),
        FAKE_TEST(a_server_that_cannot_keep_scripts_is_unavailable),
        FAKE_TEST(a_late_answer_is_never_the_next_calls),
        FAKE_TEST(errors_of_the_server_have_codes_and_sentences),
        FAKE_TEST(items_of_a_bad_answer_complete_and_later_ones_go_well),
        FAKE_TEST(while_the_server_is_away_nothing_is_taken),
        FAKE_TEST(closing_completes_what_is_under_way),
        cmocka_unit_test(urls_that_cannot_work_are_refused),
    };
    return cmocka_run_group_tests_name("store/redis-faults", tests, NULL, NULL);
}

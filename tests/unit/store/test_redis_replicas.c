/* test_redis_replicas.c - the Redis backend, replicas, epochs and sentinels. Exit 77 when
 * redis-server is missing.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "redis_help.h"

static const char *const durable[] = {"--appendonly", "yes", "--appendfsync", "always", NULL};

static void open_on(struct fix *f, const struct server *s)
{
    char url[220];
    (void)snprintf(url, sizeof(url), "redis+unix://%s", s->socket);
    redis_fix_open(f, redis_settings(url));
}

static void start_pair(struct server *primary, struct server *replica)
{
    char port[16];
    primary->port = free_port();
    server_start(primary, durable);
    (void)snprintf(port, sizeof(port), "%u", primary->port);
    const char *const follow[] = {"--appendonly", "yes", "--replicaof", "127.0.0.1", port, NULL};
    replica->port = free_port();
    server_start(replica, follow);
    char answer[32] = "0"; /* WAIT answers 1 as soon as the replica has everything */
    for (int i = 0; i < 100 && strcmp(answer, "1") != 0; i++) {
        server_say(primary, NULL, 0, "SET rb:test x");
        server_say(primary, answer, sizeof(answer), "WAIT 1 100");
    }
    assert_string_equal(answer, "1");
}

static void with_a_replica_a_write_counts_when_the_replica_has_it(void **state)
{
    struct server primary = {.pid = 0};
    struct server replica = {.pid = 0};
    struct fix f;
    struct rb_err err = {.code = RB_OK};
    char id[RB_ID_BYTES];
    (void)state;
    start_pair(&primary, &replica);
    open_on(&f, &primary);
    wait_until_up(&f, true);
    admit_eventually(&f, 1, id);
    (void)kill(replica.pid, SIGSTOP);
    assert_int_equal(try_admit(&f, 2, id, &err), RB_E_UNAVAIL);
    assert_non_null(strstr(err.msg, "no replica has confirmed"));
    (void)kill(replica.pid, SIGCONT);
    admit_eventually(&f, 2, id);
    redis_fix_close(&f);
    server_drop(&replica);
    server_drop(&primary);
}

static int64_t epoch(struct fix *f, int64_t now)
{
    int64_t birth = 0;
    struct rb_err err = {.code = RB_OK};
    enum rb_code rc = RB_E_UNAVAIL;
    for (int i = 0; i < 50 && rc != RB_OK; i++) { /* a replica may confirm too late */
        rc = rb_store_epoch(f->ses, now, &birth, &err);
    }
    if (rc != RB_OK) {
        fail_msg("%s", err.msg);
    }
    return birth;
}

static void the_epoch_survives_a_restart_and_not_a_loss(void **state)
{
    struct server s = {.pid = 0};
    struct fix f;
    char id[RB_ID_BYTES];
    (void)state;
    server_start(&s, durable);
    open_on(&f, &s);
    assert_int_equal(epoch(&f, T0), T0);
    assert_int_equal(epoch(&f, T0 + HOUR), T0);
    server_kill(&s);
    server_restart(&s, durable);
    admit_eventually(&f, 1, id);
    assert_int_equal(epoch(&f, T0 + 2 * HOUR), T0);
    server_say(&s, NULL, 0, "FLUSHALL");
    assert_int_equal(epoch(&f, T0 + 3 * HOUR), T0 + 3 * HOUR);
    redis_fix_close(&f);
    server_drop(&s);
}

static void a_promoted_replica_moves_the_epoch(void **state)
{
    struct server primary = {.pid = 0};
    struct server replica = {.pid = 0};
    struct fix f;
    (void)state;
    start_pair(&primary, &replica);
    open_on(&f, &primary);
    wait_until_up(&f, true);
    assert_int_equal(epoch(&f, T0), T0);
    redis_fix_close(&f);
    server_kill(&primary);
    server_say(&replica, NULL, 0, "REPLICAOF NO ONE");
    open_on(&f, &replica);
    wait_until_up(&f, true);
    assert_int_equal(epoch(&f, T0 + HOUR), T0 + HOUR);
    assert_int_equal(epoch(&f, T0 + 2 * HOUR), T0 + HOUR);
    redis_fix_close(&f);
    server_drop(&replica);
    server_drop(&primary);
}

/* Stopped, the dump of before put back, started: the process has seen later beats. */
static void a_dump_of_before_moves_the_epoch(void **state)
{
    struct server s = {.pid = 0};
    struct fix f;
    char id[RB_ID_BYTES];
    (void)state;
    server_start(&s, NULL);
    open_on(&f, &s);
    wait_until_up(&f, true);
    assert_int_equal(epoch(&f, T0), T0);
    server_say(&s, NULL, 0, "SAVE");
    assert_int_equal(epoch(&f, T0 + MINUTE), T0);
    admit_eventually(&f, 1, id);
    server_kill(&s);
    server_restart(&s, NULL);
    assert_true(epoch(&f, T0 + 2 * MINUTE) != T0); /* the keeper's clock or ours */
    redis_fix_close(&f);
    server_drop(&s);
}

static void the_primary_that_sentinels_name_is_followed(void **state)
{
    struct server primary = {.pid = 0};
    struct server replica = {.pid = 0};
    struct fix f;
    struct rb_err err = {.code = RB_OK};
    char url[120];
    char first[RB_ID_BYTES];
    char second[RB_ID_BYTES];
    (void)state;
    struct fake *sentinel = fake_start();
    start_pair(&primary, &replica);
    fake_master(sentinel, replica.port);
    (void)snprintf(url, sizeof(url), "redis+sentinel://127.0.0.1:1,127.0.0.1:%u/mymaster",
                   fake_port(sentinel));
    redis_fix_open(&f, redis_settings(url));
    assert_int_equal(try_admit(&f, 1, first, &err), RB_E_UNAVAIL);
    assert_non_null(strstr(err.msg, "not the primary"));
    fake_master(sentinel, primary.port);
    admit_eventually(&f, 1, first);
    wait_until_up(&f, true);
    server_kill(&primary);
    server_say(&replica, NULL, 0, "REPLICAOF NO ONE");
    fake_master(sentinel, replica.port);
    admit_eventually(&f, 2, second);
    wait_until_up(&f, true);
    assert_int_equal(state_of(&f, first), RB_STATE_SCHEDULED);
    redis_fix_close(&f);
    fake_stop(sentinel);
    server_drop(&replica);
    server_drop(&primary);
}

int main(void)
{
    if (!server_installed()) {
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_a_replica_a_write_counts_when_the_replica_has_it),
        cmocka_unit_test(the_epoch_survives_a_restart_and_not_a_loss),
        cmocka_unit_test(a_promoted_replica_moves_the_epoch),
        cmocka_unit_test(a_dump_of_before_moves_the_epoch),
        cmocka_unit_test(the_primary_that_sentinels_name_is_followed),
    };
    return cmocka_run_group_tests_name("store/redis-replicas", tests, NULL, NULL);
}

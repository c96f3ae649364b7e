/* test_conns.c - deadlines of connections, with a clock of the test's own and real sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "private.h"

#define N_CONNS 4
#define TIMEOUT_MS 1000

struct world {
    int64_t now_ms;
    struct rb_clock clock;
    struct rb_httpd httpd;
    struct rb_conn conns[N_CONNS];
    int far[N_CONNS]; /* the client's ends */
};

static int64_t now(void *arg)
{
    return ((struct world *)arg)->now_ms;
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    w->clock = (struct rb_clock){now, now, w};
    w->httpd.deps.clock = &w->clock;
    w->httpd.request_timeout_ms = TIMEOUT_MS;
    w->httpd.conns.next = w->httpd.conns.prev = &w->httpd.conns;
    for (unsigned i = 0; i < N_CONNS; i++) {
        int ends[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        w->conns[i].fd = ends[0];
        w->far[i] = ends[1];
        w->conns[i].prev = w->conns[i].next = &w->conns[i];
        w->now_ms = i; /* one each millisecond */
        rb_conn_extend(&w->httpd, &w->conns[i]);
    }
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    for (unsigned i = 0; i < N_CONNS; i++) {
        close(w->conns[i].fd);
        close(w->far[i]);
    }
    free(w);
    return 0;
}

/* is_cut - has the server's end been shut down? */
static bool is_cut(const struct world *w, unsigned i)
{
    char byte;
    return recv(w->far[i], &byte, 1, MSG_DONTWAIT) == 0;
}

static void the_wait_is_until_the_first_deadline(void **state)
{
    struct world *w = *state;
    assert_int_equal(rb_conns_cut(&w->httpd, 100), TIMEOUT_MS - 100);
    for (unsigned i = 0; i < N_CONNS; i++) {
        assert_false(is_cut(w, i));
    }
}

static void what_is_past_its_deadline_is_shut_down_and_nothing_else(void **state)
{
    struct world *w = *state;
    assert_int_equal(rb_conns_cut(&w->httpd, TIMEOUT_MS + 1), 1);
    assert_true(is_cut(w, 0));
    assert_true(is_cut(w, 1));
    assert_false(is_cut(w, 2));
    assert_false(is_cut(w, 3));
}

static void a_new_deadline_moves_behind_the_others(void **state)
{
    struct world *w = *state;
    w->now_ms = 500;
    rb_conn_extend(&w->httpd, &w->conns[0]);
    assert_int_equal(rb_conns_cut(&w->httpd, TIMEOUT_MS + 10), 490);
    assert_false(is_cut(w, 0));
    assert_true(is_cut(w, 1));
    assert_true(is_cut(w, 2));
    assert_true(is_cut(w, 3));
}

static void a_cut_connection_that_lingers_does_not_shield_later_ones(void **state)
{
    struct world *w = *state;
    assert_int_equal(rb_conns_cut(&w->httpd, TIMEOUT_MS + 2), 1); /* 0, 1 and 2; none is closed */
    w->now_ms = TIMEOUT_MS + 5;
    rb_conn_extend(&w->httpd, &w->conns[0]); /* it is cut: no new life */
    rb_conn_extend(&w->httpd, &w->conns[3]);
    assert_int_equal(rb_conns_cut(&w->httpd, TIMEOUT_MS + 5), TIMEOUT_MS);
    assert_int_equal(rb_conns_cut(&w->httpd, 2 * TIMEOUT_MS + 5), -1);
    assert_true(is_cut(w, 3));
}

static void without_connections_there_is_nothing_to_wait_for(void **state)
{
    struct world *w = *state;
    w->httpd.conns.next = w->httpd.conns.prev = &w->httpd.conns;
    assert_int_equal(rb_conns_cut(&w->httpd, 0), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_wait_is_until_the_first_deadline, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_past_its_deadline_is_shut_down_and_nothing_else,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_new_deadline_moves_behind_the_others, setup, teardown),
        cmocka_unit_test_setup_teardown(a_cut_connection_that_lingers_does_not_shield_later_ones,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(without_connections_there_is_nothing_to_wait_for, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

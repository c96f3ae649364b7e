/* test_kill.c - a process that admits is killed at a random moment, many times over: whatever it
 * said was admitted is there afterwards.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <retrybuild/random.h>

#include "harness.h"

#define ROUNDS 50
#define BATCH 8
#define ACKS_MAX 150 /* of one round, before the kill */

/* The child: admits for ever, tells each admitted id. */
static void admit_for_ever(struct fix *f, unsigned round, int pipe_fd)
{
    for (unsigned k = 0;; k++) {
        struct entry e[BATCH];
        struct rb_admission *items[BATCH];
        for (unsigned i = 0; i < BATCH; i++) {
            unsigned build = round * 1000000 + k * BATCH + i + 1;
            entry_init(&e[i], "web", build, build, T0 + round);
            entry_report(&e[i], "ci", RB_STAGE_STARTED, T0);
            items[i] = &e[i].a;
        }
        if (rb_store_admit(f->ses, items, BATCH, T0 + round, NULL) != RB_OK) {
            _exit(3);
        }
        for (unsigned i = 0; i < BATCH; i++) {
            if (items[i]->rc != RB_OK || items[i]->result != RB_ADMIT_NEW ||
                write(pipe_fd, e[i].retry->id, RB_ID_BYTES) != RB_ID_BYTES) {
                _exit(4);
            }
            entry_release(&e[i]);
        }
    }
}

/* One whole id; false: the child is gone. Ids are written at once, and are shorter than what a pipe
 * could tear. */
static bool read_id(int fd, char id[RB_ID_BYTES])
{
    size_t have = 0;
    while (have < RB_ID_BYTES) {
        ssize_t n = read(fd, id + have, RB_ID_BYTES - have);
        if (n <= 0) {
            assert_int_equal(have, 0);
            return false;
        }
        have += (size_t)n;
    }
    return true;
}

static unsigned run_and_kill(struct fix *f, unsigned round, char acked[][RB_ID_BYTES], unsigned max)
{
    int fds[2];
    unsigned n = 0;
    unsigned kill_after = 1 + (unsigned)rb_random_below(rb_random_system(), ACKS_MAX);
    assert_int_equal(pipe(fds), 0);
    pid_t child = fork(); /* no store is open here: no thread to lose */
    assert_true(child >= 0);
    if (child == 0) {
        (void)close(fds[0]);
        fix_reopen(f);
        admit_for_ever(f, round, fds[1]);
    }
    (void)close(fds[1]);
    while (n < max && read_id(fds[0], acked[n])) {
        n++;
        if (n == kill_after) {
            assert_int_equal(kill(child, SIGKILL), 0);
        }
    }
    (void)close(fds[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_true(n >= kill_after);
    return n;
}

static void what_was_admitted_survives_the_death_of_the_process(void **state)
{
    struct fix *f = *state;
    static char acked[ROUNDS * ACKS_MAX * 8][RB_ID_BYTES];
    unsigned total = 0;
    fix_close(f);
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned n = run_and_kill(f, round, acked + total, ACKS_MAX * 8);
        fix_reopen(f);
        for (unsigned i = total; i < total + n; i++) {
            assert_int_equal(state_of(f, acked[i]), RB_STATE_SCHEDULED);
        }
        total += n;
        fix_close(f);
    }
    fix_reopen(f);
    struct rb_counts c;
    assert_int_equal(rb_store_counts(f->ses, &c, NULL), RB_OK);
    assert_true(c.by_state[RB_STATE_SCHEDULED] >= total);
    assert_int_equal(c.tasks[RB_TASK_SUBMIT], c.by_state[RB_STATE_SCHEDULED]);
    assert_int_equal(c.tasks[RB_TASK_REPORT], c.by_state[RB_STATE_SCHEDULED]);
    for (unsigned i = 0; i < total; i += 97) {
        assert_int_equal(state_of(f, acked[i]), RB_STATE_SCHEDULED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(what_was_admitted_survives_the_death_of_the_process),
    };
    if (!harness_start("sqlite")) {
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    harness_stop();
    return failed == 0 ? 0 : 1;
}

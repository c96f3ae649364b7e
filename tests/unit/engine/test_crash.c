/* A process that is killed at a named point, and the next one, which must go on from there: one
 * build, one end, whatever the point and whatever CodeBuild answered. The world (CodeBuild, clock)
 * lives in memory that outlives the processes; the store is the real SQLite file. */
#include "world.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const points[] = {
    "inspect.after_get",   "submit.after_claim",  "submit.after_look",    "submit.after_intent",
    "submit.after_mark",   "submit.after_answer", "submit.after_running", "follow.after_get",
    "follow.after_settle", "report.after_post",   "submit.after_search",
};

static const struct {
    const char *name;
    enum rb_code rc; /* of the first call */
    bool effect;
} firsts[] = {
    {"answered", RB_OK, true},
    {"lost answer", RB_E_AMBIGUOUS, true},
    {"lost call", RB_E_AMBIGUOUS, false},
    {"throttled", RB_E_THROTTLED, false},
    {"not sent", RB_E_UNAVAIL, false},
};

struct shared {
    struct world world;
    char id[RB_ID_BYTES];
    enum rb_state state;
    bool finished_told;
};

static void end_children(struct world *w)
{
    for (unsigned i = 0; i < w->n_builds; i++) {
        if (w->builds[i].parent[0] != '\0' && w->builds[i].b.ended_ms == 0) {
            world_end(w, &w->builds[i], "SUCCEEDED");
        }
    }
}

static bool finished_told(const struct world *w)
{
    for (unsigned i = 0; i < w->n_posts; i++) {
        if (w->posts[i].stage == RB_STAGE_FINISHED) {
            return true;
        }
    }
    return false;
}

/* A process until all is told, and a minute beyond; three minutes at most. */
static void run_process(struct shared *s)
{
    struct world *w = &s->world;
    int64_t until_ms = w->now_ms + 180000;
    bool told = false;

    while (w->now_ms < until_ms) {
        bool worked = world_round(&w->inspect);
        worked = world_round(&w->submit) || worked;
        end_children(w);
        worked = world_round(&w->follow) || worked;
        worked = world_round(&w->report) || worked;
        w->now_ms += worked ? 1 : 3000;
        if (!told && finished_told(w)) {
            told = true;
            until_ms = w->now_ms + 60000 < until_ms ? w->now_ms + 60000 : until_ms;
        }
        w->now_ms += told && !worked ? 12000 : 0;
    }
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, s->id);
    s->state = r->state;
    s->finished_told = finished_told(w);
}

/* A process that runs the child and is told to stop it; or, later, one that only follows. */
static void cancel_process(struct shared *s, bool first)
{
    struct world *w = &s->world;

    if (first) {
        RB_CLEANUP(rb_retry_freep) struct rb_retry *r = NULL;
        while (w->n_effects == 0) {
            bool worked = world_round(&w->inspect);
            worked = world_round(&w->submit) || worked;
            w->now_ms += worked ? 1 : 3000;
        }
        assert_int_equal(rb_engine_act(w->engine, w->ses, s->id, RB_VERB_CANCEL, "ann", &r, NULL),
                         RB_OK);
    } else {
        w->now_ms += 60000; /* the dead process's lease is over */
    }
    (void)world_round(&w->follow);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *seen = world_get(w, s->id);
    s->state = seen->state;
}

enum life { FIRST, DELIVER, WORK, CANCEL, CANCELLED };

static int in_process(struct shared *s, enum life what, const char *fault)
{
    int status = 0;

    (void)fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (fault != NULL) {
            setenv("RB_FAULT_AT", fault, 1);
        }
        world_open(&s->world);
        if (what == DELIVER) {
            (void)world_deliver_bare(&s->world, &s->world.builds[0], "d1", s->id);
        } else if (what == WORK) {
            run_process(s);
        } else if (what == CANCEL || what == CANCELLED) {
            cancel_process(s, what == CANCEL);
        }
        world_close(&s->world);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

/* @exact: the call is signed in the retry's name; then, while the process is dead, somebody else
 * starts a build of the same version, and the next process is no longer told to sign so. */
static bool killed_and_recovered(const char *point, unsigned pass, size_t first, bool exact)
{
    struct shared *s =
        mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char fault[80];

    assert_ptr_not_equal(s, MAP_FAILED);
    world_prepare(&s->world);
    s->world.exact = exact;
    snprintf(fault, sizeof(fault), "%s:%u", point, pass);
    assert_int_equal(in_process(s, FIRST, NULL), 0);
    world_pass(&s->world, 60000);
    (void)world_failed(&s->world, "web", NULL);
    assert_int_equal(in_process(s, DELIVER, NULL), 0);
    if (firsts[first].rc != RB_OK) {
        world_answer_next(&s->world, firsts[first].rc, firsts[first].effect);
    }
    int status = in_process(s, WORK, fault);
    bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    assert_true(killed || status == 0);
    if (exact && killed) {
        (void)world_started(&s->world, "web", NULL);
        s->world.exact = false;
    }
    assert_int_equal(in_process(s, WORK, NULL), 0);
    if (s->world.n_effects != 1 || s->state != RB_STATE_RECOVERED || !s->finished_told) {
        fail_msg("%s, %s: %u builds, %s, the end was %stold", fault, firsts[first].name,
                 s->world.n_effects, rb_state_name(s->state), s->finished_told ? "" : "not ");
    }
    world_cleanup(&s->world);
    (void)munmap(s, sizeof(*s));
    return killed;
}

static void a_kill_at_any_point_neither_loses_nor_doubles(void **state)
{
    unsigned killed = 0;

    (void)state;
    for (size_t p = 0; p < RB_ARRAY_LEN(points); p++) {
        unsigned here = 0;
        for (size_t first = 0; first < RB_ARRAY_LEN(firsts); first++) {
            for (unsigned pass = 1; pass <= 2; pass++) {
                here += killed_and_recovered(points[p], pass, first, false) ? 1 : 0;
            }
        }
        if (here == 0) {
            fail_msg("no process was ever killed at %s", points[p]);
        }
        killed += here;
    }
    print_message("%u kills\n", killed);
    assert_true(killed >= 60);
}

static void a_kill_neither_doubles_nor_takes_another_build_where_calls_are_named(void **state)
{
    unsigned killed = 0;

    (void)state;
    for (size_t p = 0; p < RB_ARRAY_LEN(points); p++) {
        for (size_t first = 0; first < RB_ARRAY_LEN(firsts); first++) {
            bool named = strcmp(points[p], "submit.after_mark") == 0 ||
                         strcmp(points[p], "submit.after_answer") == 0 ||
                         strcmp(points[p], "submit.after_intent") == 0;
            killed += named && killed_and_recovered(points[p], 1, first, true) ? 1 : 0;
        }
    }
    print_message("%u kills\n", killed);
    assert_int_equal(killed, 15);
}

static void a_kill_after_the_stop_of_a_child_leaves_nothing_undone(void **state)
{
    struct shared *s =
        mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    (void)state;
    assert_ptr_not_equal(s, MAP_FAILED);
    world_prepare(&s->world);
    assert_int_equal(in_process(s, FIRST, NULL), 0);
    world_pass(&s->world, 60000);
    (void)world_failed(&s->world, "web", NULL);
    assert_int_equal(in_process(s, DELIVER, NULL), 0);
    int status = in_process(s, CANCEL, "follow.after_stop:1");
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(s->world.n_stops, 1);
    assert_int_equal(in_process(s, CANCELLED, NULL), 0);
    assert_int_equal(s->state, RB_STATE_CANCELLED);
    assert_int_equal(s->world.n_effects, 1);
    world_cleanup(&s->world);
    (void)munmap(s, sizeof(*s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kill_after_the_stop_of_a_child_leaves_nothing_undone),
        cmocka_unit_test(a_kill_at_any_point_neither_loses_nor_doubles),
        cmocka_unit_test(a_kill_neither_doubles_nor_takes_another_build_where_calls_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

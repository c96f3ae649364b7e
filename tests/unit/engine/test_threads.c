/* The workers as threads, all of them at once, while every second call goes wrong. */
#include "world.h"

#include <stdio.h>
#include <string.h>

#include <retrybuild/log.h>

#define FAILURES 40
#define PATIENCE_MS 60000

static bool all_ended(struct world *w)
{
    struct rb_counts c;
    struct rb_err err;

    assert_int_equal(rb_store_counts(w->ses, &c, &err), RB_OK);
    return c.by_state[RB_STATE_RECOVERED] == FAILURES && c.tasks[RB_TASK_REPORT] == 0;
}

static void every_failure_is_retried_exactly_once_by_many_threads(void **state)
{
    struct world *w = *state;
    struct rb_err err;
    char ids[FAILURES][RB_ID_BYTES];

    rb_log_setup(RB_LOG_ERROR, RB_LOG_LOGFMT, 2);
    w->real_clock = true;
    w->chaos_percent = 50;
    w->settings->timing.follow_poll_ms = 200;
    w->offset_known = true;
    world_restart(w); /* a memory that begins now */
    assert_int_equal(rb_engine_start(w->engine, &err), RB_OK);
    for (unsigned i = 0; i < FAILURES; i++) {
        char key[16];
        static const char *const projects[] = {"web", "api", "app", "doc",
                                               "cli", "lib", "bot", "ops"};
        pthread_mutex_lock(&w->lock);
        struct world_build *b = world_failed(w, projects[i % 8], NULL);
        pthread_mutex_unlock(&w->lock);
        snprintf(key, sizeof(key), "d%u", i);
        assert_int_equal(world_deliver(w, b, key, ids[i]), RB_ADMIT_NEW);
    }
    int64_t until_ms = world_now_ms(w) + PATIENCE_MS;
    while (!all_ended(w) && world_now_ms(w) < until_ms) {
        assert_true(rb_engine_pause(w->engine, 20));
    }
    assert_true(rb_engine_stop(w->engine, 20000));
    for (unsigned i = 0; i < FAILURES; i++) {
        world_expect(w, ids[i], RB_STATE_RECOVERED);
    }
    assert_int_equal(w->n_effects, FAILURES);
    assert_true(w->n_calls > FAILURES);
    /* Every end was told; the start too, unless its report was overtaken. */
    assert_true(w->n_posts >= FAILURES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_failure_is_retried_exactly_once_by_many_threads,
                                        world_setup, world_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A destination that is off: its reports are given up, but only where the store says so too. */
#include "world.h"

#include <retrybuild/cleanup.h>

#include "off.h"

static bool is_away;

/* The linker puts this in front of the store's own. */
enum rb_code __real_rb_store_sheets_get(struct rb_store_session *ses, struct rb_sheet *sheets,
                                        unsigned n, int64_t now_ms, struct rb_arena *a,
                                        struct rb_err *err);
enum rb_code __wrap_rb_store_sheets_get(struct rb_store_session *ses, struct rb_sheet *sheets,
                                        unsigned n, int64_t now_ms, struct rb_arena *a,
                                        struct rb_err *err);
enum rb_code __wrap_rb_store_sheets_get(struct rb_store_session *ses, struct rb_sheet *sheets,
                                        unsigned n, int64_t now_ms, struct rb_arena *a,
                                        struct rb_err *err)
{
    return is_away ? rb_err_set(err, RB_E_UNAVAIL, "the store is away")
                   : __real_rb_store_sheets_get(ses, sheets, n, now_ms, a, err);
}

/* report_while_off - the destination said that it is gone; one report of it is due. */
static void report_while_off(struct world *w, char ret_id[RB_ID_BYTES])
{
    const struct rb_destination_setting *d = &w->settings->destinations[0];

    (void)world_round(&w->report); /* which looks at what is off */
    rb_off_gone(&w->report, d);
    pthread_mutex_lock(&w->engine->lock);
    (void)rb_pace_set_off(&w->engine->pace, d->name, true);
    pthread_mutex_unlock(&w->engine->lock);
    w->decision.action = RB_ACTION_ASK;
    w->decision.state = RB_STATE_HELD;
    (void)world_deliver(w, world_failed(w, "web", "main"), "d1", ret_id);
}

static enum rb_report_state report_state(struct world *w, const char *id)
{
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, id);
    assert_int_equal(r->n_reports, 1);
    return r->reports[0].state;
}

static void a_report_to_who_is_gone_is_given_up(void **state)
{
    struct world *w = *state;
    char id[RB_ID_BYTES];

    report_while_off(w, id);
    assert_true(world_round(&w->report));
    assert_int_equal(report_state(w, id), RB_REPORT_DEAD);
    assert_int_equal(w->n_posts, 0);
}

static void a_report_waits_while_the_store_cannot_say_that_its_receiver_is_gone(void **state)
{
    struct world *w = *state;
    char id[RB_ID_BYTES];

    report_while_off(w, id);
    is_away = true;
    assert_true(world_round(&w->report));
    is_away = false;
    assert_int_equal(report_state(w, id), RB_REPORT_PENDING);

    /* it is on again by the time the lease has run out */
    struct rb_err err = {.code = RB_OK};
    assert_int_equal(rb_off_switch_on(w->engine, w->ses, w->settings, &err), RB_OK);
    world_pass(w, 120000);
    assert_true(world_round(&w->report));
    assert_int_equal(report_state(w, id), RB_REPORT_DELIVERED);
    assert_int_equal(w->n_posts, 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_report_to_who_is_gone_is_given_up),
        T(a_report_waits_while_the_store_cannot_say_that_its_receiver_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

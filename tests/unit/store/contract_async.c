/* contract_async.c - the event loop's way in, and several threads at once. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "harness.h"

/* A loop with one admitter. */
struct loop {
    int epoll_fd;
    struct rb_admitter *adm;
    unsigned done, results[RB_ADMIT_UNKNOWN + 1], failed;
    struct rb_admission *last;
};

static void note_done(void *arg, struct rb_admission *a)
{
    struct loop *l = arg;
    l->done++;
    l->last = a;
    if (a->rc == RB_OK) {
        l->results[a->result]++;
    } else {
        l->failed++;
    }
}

static void loop_open(struct fix *f, struct loop *l)
{
    memset(l, 0, sizeof(*l));
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    assert_true(l->epoll_fd >= 0);
    assert_int_equal(rb_admitter_open(f->store, l->epoll_fd, l, note_done, l, &l->adm, NULL),
                     RB_OK);
}

static void loop_close(struct loop *l)
{
    rb_admitter_close(l->adm);
    (void)close(l->epoll_fd);
}

/* One turn as the listener makes it: wait for the event or the time, pump. */
static void turn(struct loop *l, int64_t now)
{
    struct epoll_event event = {0};
    int timeout_ms = rb_admitter_timeout_ms(l->adm);
    int n = epoll_wait(l->epoll_fd, &event, 1, timeout_ms < 0 ? 5000 : timeout_ms);
    if (n == 1) {
        assert_ptr_equal(event.data.ptr, l);
    }
    rb_admitter_pump(l->adm, now);
}

static void run_until_idle(struct loop *l, int64_t now)
{
    for (int i = 0; i < 10000 && rb_admitter_in_flight(l->adm) > 0; i++) {
        turn(l, now);
    }
    assert_int_equal(rb_admitter_in_flight(l->adm), 0);
}

static void an_added_admission_is_done_by_the_loop(void **state)
{
    struct fix *f = *state;
    struct loop l;
    struct entry e;
    int tag = 7;
    loop_open(f, &l);
    entry_init(&e, "web", 1, 1, T0);
    e.a.user = &tag;
    assert_int_equal(rb_admitter_timeout_ms(l.adm), -1);
    assert_int_equal(rb_admitter_add(l.adm, &e.a, NULL), RB_OK);
    assert_int_equal(rb_admitter_in_flight(l.adm), 1);
    assert_int_equal(l.done, 0);
    run_until_idle(&l, T0);
    assert_int_equal(l.done, 1);
    assert_ptr_equal(l.last, &e.a);
    assert_ptr_equal(e.a.user, &tag);
    assert_int_equal(e.a.rc, RB_OK);
    assert_int_equal(e.a.result, RB_ADMIT_NEW);
    assert_string_equal(e.a.retry_id, e.retry->id);
    assert_int_equal(e.a.retry_state, RB_STATE_SCHEDULED);
    assert_int_equal(rb_admitter_timeout_ms(l.adm), -1);
    rb_task_free(must_claim(f, RB_TASK_SUBMIT, T0));
    loop_close(&l);
    entry_release(&e);
}

static void what_is_added_together_has_outcomes_of_its_own(void **state)
{
    struct fix *f = *state;
    struct loop l;
    struct entry e[4];
    char id[RB_ID_BYTES];
    loop_open(f, &l);
    to_running(f, "web", 1, 2, T0 + HOUR, id);
    entry_init(&e[0], "web", 5, 5, T0);
    entry_init(&e[1], "web", 5, 6, T0); /* same build */
    entry_init(&e[2], "web", 2, 7, T0); /* our child */
    entry_init(&e[3], "web", 9, 0, T0); /* nobody's child */
    e[3].a.mode = RB_ADMIT_ENDED;
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(rb_admitter_add(l.adm, &e[i].a, NULL), RB_OK);
    }
    run_until_idle(&l, T0);
    assert_int_equal(e[0].a.result, RB_ADMIT_NEW);
    assert_int_equal(e[1].a.result, RB_ADMIT_DUPLICATE);
    assert_int_equal(e[2].a.result, RB_ADMIT_CHILD);
    assert_string_equal(e[2].a.retry_id, id);
    assert_int_equal(e[3].a.result, RB_ADMIT_UNKNOWN);
    loop_close(&l);
    for (unsigned i = 0; i < 4; i++) {
        entry_release(&e[i]);
    }
}

#define LOAD 1500
#define LOAD_STEP 100

static void a_flood_of_admissions_is_all_there(void **state)
{
    struct fix *f = *state;
    struct loop l;
    struct entry *e = calloc(LOAD, sizeof(*e));
    assert_non_null(e);
    loop_open(f, &l);
    for (unsigned i = 0; i < LOAD; i++) {
        /* each build is told twice, by two deliveries */
        entry_init(&e[i], "web", i / 2 + 1, i + 1, T0 + i);
        assert_int_equal(rb_admitter_add(l.adm, &e[i].a, NULL), RB_OK);
        if (i % LOAD_STEP == LOAD_STEP - 1) {
            rb_admitter_pump(l.adm, T0 + LOAD);
        }
    }
    run_until_idle(&l, T0 + LOAD);
    assert_int_equal(l.done, LOAD);
    assert_int_equal(l.failed, 0);
    assert_int_equal(l.results[RB_ADMIT_NEW], LOAD / 2);
    assert_int_equal(l.results[RB_ADMIT_DUPLICATE], LOAD / 2);
    struct rb_counts c;
    assert_int_equal(rb_store_counts(f->ses, &c, NULL), RB_OK);
    assert_int_equal(c.by_state[RB_STATE_SCHEDULED], LOAD / 2);
    assert_int_equal(c.tasks[RB_TASK_SUBMIT], LOAD / 2);
    loop_close(&l);
    for (unsigned i = 0; i < LOAD; i++) {
        entry_release(&e[i]);
    }
    free(e);
}

static void more_under_way_than_allowed_is_refused(void **state)
{
    struct fix *f = *state;
    struct loop l;
    struct entry e;
    unsigned added = 0;
    loop_open(f, &l);
    entry_init(&e, "web", 1, 1, T0);
    enum rb_code rc = RB_OK;
    while (added < 100000 && (rc = rb_admitter_add(l.adm, &e.a, NULL)) == RB_OK) {
        added++; /* never pumped: nothing leaves */
    }
    assert_int_equal(rc, RB_E_FULL);
    assert_int_equal(rb_admitter_in_flight(l.adm), added);
    loop_close(&l);
    entry_release(&e);
}

static void closing_completes_what_is_under_way(void **state)
{
    struct fix *f = *state;
    struct loop l;
    struct entry e[3];
    loop_open(f, &l);
    for (unsigned i = 0; i < 3; i++) {
        entry_init(&e[i], "web", i + 1, i + 1, T0);
        assert_int_equal(rb_admitter_add(l.adm, &e[i].a, NULL), RB_OK);
        if (i == 1) {
            rb_admitter_pump(l.adm, T0); /* two are sent, the third is not */
        }
    }
    unsigned before = l.done;
    loop_close(&l);
    assert_int_equal(l.done, 3);
    assert_true(l.failed >= 1 && l.failed <= 3 - before);
    assert_int_equal(e[2].a.rc, RB_E_CLOSED);
    for (unsigned i = 0; i < 3; i++) {
        entry_release(&e[i]);
    }
}

static void a_bad_admission_is_not_taken(void **state)
{
    struct fix *f = *state;
    struct loop l;
    struct entry e;
    loop_open(f, &l);
    entry_init(&e, "web", 1, 1, T0);
    e.a.build_key = NULL;
    assert_int_equal(rb_admitter_add(l.adm, &e.a, NULL), RB_E_INVALID);
    assert_int_equal(rb_admitter_in_flight(l.adm), 0);
    loop_close(&l);
    entry_release(&e);
}

static void two_loops_see_each_others_keys(void **state)
{
    struct fix *f = *state;
    struct loop l[2];
    struct entry e[2];
    for (unsigned i = 0; i < 2; i++) {
        loop_open(f, &l[i]);
        entry_init(&e[i], "web", 1, i + 1, T0);
    }
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(rb_admitter_add(l[i].adm, &e[i].a, NULL), RB_OK);
        rb_admitter_pump(l[i].adm, T0);
    }
    for (unsigned i = 0; i < 2; i++) {
        run_until_idle(&l[i], T0);
    }
    assert_int_equal(l[0].results[RB_ADMIT_NEW] + l[1].results[RB_ADMIT_NEW], 1);
    assert_int_equal(l[0].results[RB_ADMIT_DUPLICATE] + l[1].results[RB_ADMIT_DUPLICATE], 1);
    for (unsigned i = 0; i < 2; i++) {
        loop_close(&l[i]);
        entry_release(&e[i]);
    }
}

/* ---- threads ---- */

#define TASKS 200

struct worker {
    struct fix *f;
    struct rb_store_session *ses;
    pthread_t thread;
    unsigned claimed[TASKS + 1]; /* by build number */
    unsigned n;
};

static void *claim_until_empty(void *arg)
{
    struct worker *w = arg;
    unsigned n = 0;
    do {
        struct rb_task *t[3];
        n = 0;
        if (rb_store_claim(w->ses, RB_TASK_SUBMIT, 3, LEASE, T0, t, &n, NULL, NULL) != RB_OK) {
            break;
        }
        for (unsigned i = 0; i < n; i++) {
            w->claimed[t[i]->retry->build.number]++;
            w->n++;
            rb_task_free(t[i]);
        }
    } while (n > 0);
    return NULL;
}

static void threads_never_claim_the_same_task(void **state)
{
    struct fix *f = *state;
    struct worker *w = calloc(4, sizeof(*w));
    char id[RB_ID_BYTES];
    unsigned total = 0;
    assert_non_null(w);
    for (unsigned i = 0; i < TASKS; i++) {
        admit_new(f, "web", i + 1, T0, id);
    }
    for (unsigned i = 0; i < 4; i++) {
        w[i].ses = fix_session(f);
        assert_int_equal(pthread_create(&w[i].thread, NULL, claim_until_empty, &w[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        (void)pthread_join(w[i].thread, NULL);
        rb_store_session_close(w[i].ses);
        total += w[i].n;
    }
    assert_int_equal(total, TASKS);
    for (unsigned b = 1; b <= TASKS; b++) {
        assert_int_equal(w[0].claimed[b] + w[1].claimed[b] + w[2].claimed[b] + w[3].claimed[b], 1);
    }
    free(w);
}

struct deliverer {
    struct rb_store_session *ses;
    pthread_t thread;
    unsigned number;
    unsigned results[RB_ADMIT_UNKNOWN + 1];
    unsigned failed;
};

static void *deliver_the_same(void *arg)
{
    struct deliverer *d = arg;
    for (unsigned i = 0; i < 25; i++) {
        struct entry e;
        struct rb_admission *items[] = {&e.a};
        entry_init(&e, "web", 1, 1, T0);
        if (rb_store_admit(d->ses, items, 1, T0, NULL) != RB_OK || e.a.rc != RB_OK) {
            d->failed++;
        } else {
            d->results[e.a.result]++;
        }
        entry_release(&e);
    }
    return NULL;
}

static void the_same_delivery_from_many_threads_is_one_retry(void **state)
{
    struct fix *f = *state;
    struct deliverer d[4] = {{0}};
    unsigned made = 0;
    unsigned duplicates = 0;
    for (unsigned i = 0; i < 4; i++) {
        d[i].ses = fix_session(f);
        assert_int_equal(pthread_create(&d[i].thread, NULL, deliver_the_same, &d[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        (void)pthread_join(d[i].thread, NULL);
        rb_store_session_close(d[i].ses);
        assert_int_equal(d[i].failed, 0);
        made += d[i].results[RB_ADMIT_NEW];
        duplicates += d[i].results[RB_ADMIT_DUPLICATE];
    }
    assert_int_equal(made, 1);
    assert_int_equal(duplicates, 99);
    assert_int_equal(claim_all(f, RB_TASK_SUBMIT, T0), 1);
}

static void *settle_and_count(void *arg)
{
    struct worker *w = arg;
    for (;;) {
        struct rb_task *t = NULL;
        unsigned n = 0;
        if (rb_store_claim(w->ses, RB_TASK_SUBMIT, 1, LEASE, T0, &t, &n, NULL, NULL) != RB_OK ||
            n == 0) {
            return NULL;
        }
        rb_retry_enter(t->retry, RB_STATE_REFUSED, T0, NULL);
        struct rb_settle s = {.task = t, .retry = t->retry, .next = RB_TASK_NONE};
        w->n += rb_store_settle(w->ses, &s, T0, NULL) == RB_OK;
        rb_task_free(t);
    }
}

static void work_goes_on_while_admissions_flood_in(void **state)
{
    struct fix *f = *state;
    struct loop l;
    struct worker *w = calloc(1, sizeof(*w));
    struct entry *e = calloc(LOAD, sizeof(*e));
    char id[RB_ID_BYTES];
    assert_non_null(w);
    assert_non_null(e);
    for (unsigned i = 0; i < TASKS; i++) {
        admit_new(f, "api", i + 10000, T0, id);
    }
    loop_open(f, &l);
    w->ses = fix_session(f);
    assert_int_equal(pthread_create(&w->thread, NULL, settle_and_count, w), 0);
    for (unsigned i = 0; i < LOAD; i++) {
        entry_init(&e[i], "web", i + 1, i + 1, T0 + DAY); /* not due to that worker */
        assert_int_equal(rb_admitter_add(l.adm, &e[i].a, NULL), RB_OK);
        if (i % LOAD_STEP == 0) {
            turn(&l, T0 + DAY);
        }
    }
    run_until_idle(&l, T0 + DAY);
    (void)pthread_join(w->thread, NULL);
    assert_int_equal(l.results[RB_ADMIT_NEW], LOAD);
    assert_int_equal(w->n, TASKS);
    rb_store_session_close(w->ses);
    loop_close(&l);
    for (unsigned i = 0; i < LOAD; i++) {
        entry_release(&e[i]);
    }
    free(e);
    free(w);
}

const struct CMUnitTest contract_async_tests[] = {
    STORE_TEST(an_added_admission_is_done_by_the_loop),
    STORE_TEST(what_is_added_together_has_outcomes_of_its_own),
    STORE_TEST(a_flood_of_admissions_is_all_there),
    STORE_TEST(more_under_way_than_allowed_is_refused),
    STORE_TEST(closing_completes_what_is_under_way),
    STORE_TEST(a_bad_admission_is_not_taken),
    STORE_TEST(two_loops_see_each_others_keys),
    STORE_TEST(threads_never_claim_the_same_task),
    STORE_TEST(the_same_delivery_from_many_threads_is_one_retry),
    STORE_TEST(work_goes_on_while_admissions_flood_in),
    {0},
};

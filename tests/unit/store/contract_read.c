/* contract_read.c - get, list, counts, switches, projects, epoch, retention. */
#include <stdio.h>
#include <string.h>

#include "harness.h"

static void reading_what_is_not_there_is_not_found(void **state)
{
    struct fix *f = *state;
    struct rb_retry *r = NULL;
    struct entry e;
    entry_init(&e, "web", 1, 1, T0);
    assert_int_equal(rb_store_get(f->ses, e.retry->id, &r, NULL), RB_E_NOT_FOUND);
    assert_int_equal(rb_store_get(f->ses, "rty_nonsense", &r, NULL), RB_E_NOT_FOUND);
    assert_int_equal(rb_store_get(f->ses, "", &r, NULL), RB_E_NOT_FOUND);
    assert_null(r);
    entry_release(&e);
}

/* ---- lists ---- */

struct page {
    struct rb_retry *items[200];
    unsigned n;
    char next[RB_CURSOR_BYTES];
};

static void list(struct fix *f, const struct rb_filter *filter, struct page *p)
{
    struct rb_err err = {0};
    memset(p, 0, sizeof(*p));
    if (rb_store_list(f->ses, filter, p->items, &p->n, p->next, &err) != RB_OK) {
        fail_msg("%s", err.msg);
    }
}

static void page_release(struct page *p)
{
    for (unsigned i = 0; i < p->n; i++) {
        rb_retry_free(p->items[i]);
    }
}

static unsigned count_list(struct fix *f, const struct rb_filter *filter)
{
    struct page p;
    list(f, filter, &p);
    unsigned n = p.n;
    page_release(&p);
    return n;
}

static void an_empty_store_lists_nothing(void **state)
{
    struct page p;
    list(*state, &(struct rb_filter){.limit = 10}, &p);
    assert_int_equal(p.n, 0);
    assert_string_equal(p.next, "");
}

static void a_list_is_newest_first(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    const int64_t offsets[] = {3, 1, 4, 2, 0};
    struct page p;
    for (unsigned i = 0; i < 5; i++) {
        admit_new(f, "web", i + 1, T0 + offsets[i], id);
    }
    list(f, &(struct rb_filter){.limit = 10}, &p);
    assert_int_equal(p.n, 5);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(p.items[i]->created_ms, T0 + 4 - i);
    }
    assert_string_equal(p.next, "");
    page_release(&p);
}

static void pages_join_without_gap_or_repeat(void **state)
{
    struct fix *f = *state;
    char ids[25][RB_ID_BYTES];
    bool seen[25] = {false};
    char cursor[RB_CURSOR_BYTES] = "";
    unsigned pages = 0;
    for (unsigned i = 0; i < 25; i++) {
        admit_new(f, "web", i + 1, T0 + i / 5, ids[i]); /* several of one millisecond */
    }
    do {
        struct page p;
        list(f, &(struct rb_filter){.limit = 7, .cursor = pages == 0 ? NULL : cursor}, &p);
        for (unsigned i = 0; i < p.n; i++) {
            unsigned k = (unsigned)p.items[i]->build.number - 1;
            assert_false(seen[k]);
            seen[k] = true;
        }
        memcpy(cursor, p.next, sizeof(cursor));
        page_release(&p);
        pages++;
    } while (cursor[0] != '\0' && pages < 10);
    assert_int_equal(pages, 4);
    for (unsigned i = 0; i < 25; i++) {
        assert_true(seen[i]);
    }
}

static void a_last_full_page_has_no_cursor(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    struct page p;
    for (unsigned i = 0; i < 4; i++) {
        admit_new(f, "web", i + 1, T0 + i, id);
    }
    list(f, &(struct rb_filter){.limit = 4}, &p);
    assert_int_equal(p.n, 4);
    assert_string_equal(p.next, "");
    page_release(&p);
}

static void a_cursor_stays_where_it_is_while_new_retries_arrive(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    struct page p;
    struct page q;
    for (unsigned i = 0; i < 6; i++) {
        admit_new(f, "web", i + 1, T0 + i, id);
    }
    list(f, &(struct rb_filter){.limit = 3}, &p);
    for (unsigned i = 6; i < 12; i++) {
        admit_new(f, "web", i + 1, T0 + i, id);
    }
    list(f, &(struct rb_filter){.limit = 3, .cursor = p.next}, &q);
    assert_int_equal(q.n, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(q.items[i]->created_ms, T0 + 2 - i);
    }
    page_release(&p);
    page_release(&q);
}

static void a_cursor_that_is_not_ours_is_refused(void **state)
{
    struct fix *f = *state;
    const char *const bad[] = {
        "",
        "x",
        "0000000000000000",
        "00000000000000000000000000000000000000000000000000000000000",
        "000001baaaaaaaaa00000000rty_01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "%00%00",
    };
    for (unsigned i = 0; i < RB_ARRAY_LEN(bad); i++) {
        struct page p = {0};
        struct rb_filter filter = {.limit = 3, .cursor = bad[i]};
        assert_int_equal(rb_store_list(f->ses, &filter, p.items, &p.n, p.next, NULL), RB_E_INVALID);
    }
}

static void a_limit_out_of_range_is_refused(void **state)
{
    struct fix *f = *state;
    struct page p = {0};
    struct rb_filter filter = {.limit = 0};
    assert_int_equal(rb_store_list(f->ses, &filter, p.items, &p.n, p.next, NULL), RB_E_INVALID);
    filter.limit = 201;
    assert_int_equal(rb_store_list(f->ses, &filter, p.items, &p.n, p.next, NULL), RB_E_INVALID);
}

/* Six retries: project web or api, source eventbridge or github, some ended. */
static void mixed(struct fix *f)
{
    for (unsigned i = 0; i < 6; i++) {
        struct entry e;
        entry_init(&e, i % 2 == 0 ? "web" : "api", i + 1, i + 1, T0 + i);
        e.retry->source.source = i < 2 ? "github" : "eventbridge";
        if (i == 0 || i == 3) {
            entry_state(&e, RB_STATE_IGNORED, RB_TASK_NONE);
        }
        assert_int_equal(admit(f, &e, T0 + i), RB_ADMIT_NEW);
        entry_release(&e);
    }
}

static void filters_choose_and_combine(void **state)
{
    struct fix *f = *state;
    mixed(f);
    const struct {
        struct rb_filter filter;
        unsigned want;
    } cases[] = {
        {{.limit = 10}, 6},
        {{.limit = 10, .by_state = true, .state = RB_STATE_IGNORED}, 2},
        {{.limit = 10, .by_state = true, .state = RB_STATE_SCHEDULED}, 4},
        {{.limit = 10, .by_state = true, .state = RB_STATE_DEAD}, 0},
        {{.limit = 10, .project = "web"}, 3},
        {{.limit = 10, .project = "we"}, 0},
        {{.limit = 10, .project = "nobody"}, 0},
        {{.limit = 10, .source = "github"}, 2},
        {{.limit = 10, .source = "eventbridge"}, 4},
        {{.limit = 10, .since_ms = T0 + 4}, 2},
        {{.limit = 10, .since_ms = T0 + 6}, 0},
        {{.limit = 10, .project = "web", .source = "github"}, 1},
        {{.limit = 10, .by_state = true, .state = RB_STATE_IGNORED, .project = "api"}, 1},
        {{.limit = 10,
          .by_state = true,
          .state = RB_STATE_IGNORED,
          .project = "web",
          .source = "github",
          .since_ms = T0},
         1},
        {{.limit = 10, .project = "api", .since_ms = T0 + 2}, 2},
    };
    for (unsigned i = 0; i < RB_ARRAY_LEN(cases); i++) {
        if (count_list(f, &cases[i].filter) != cases[i].want) {
            fail_msg("case %u: %u instead of %u", i, count_list(f, &cases[i].filter),
                     cases[i].want);
        }
    }
}

static void filtered_pages_join(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    char cursor[RB_CURSOR_BYTES] = "";
    unsigned n = 0;
    unsigned pages = 0;
    for (unsigned i = 0; i < 20; i++) {
        admit_new(f, i % 4 == 0 ? "web" : "api", i + 1, T0 + i, id);
    }
    do {
        struct page p;
        list(
            f,
            &(struct rb_filter){.limit = 4, .project = "api", .cursor = pages == 0 ? NULL : cursor},
            &p);
        n += p.n;
        memcpy(cursor, p.next, sizeof(cursor));
        page_release(&p);
        pages++;
    } while (cursor[0] != '\0' && pages < 10);
    assert_int_equal(n, 15);
}

static void a_changed_state_moves_in_the_lists(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    admit_new(f, "web", 1, T0, id);
    finish(f, id, T0);
    struct rb_filter scheduled = {.limit = 5, .by_state = true, .state = RB_STATE_SCHEDULED};
    struct rb_filter refused = {.limit = 5, .by_state = true, .state = RB_STATE_REFUSED};
    assert_int_equal(count_list(f, &scheduled), 0);
    assert_int_equal(count_list(f, &refused), 1);
}

static void a_list_shows_what_stands_beside_the_record(void **state)
{
    struct fix *f = *state;
    struct entry e;
    struct page p;
    entry_init(&e, "web", 1, 1, T0);
    entry_report(&e, "ci", RB_STAGE_STARTED, T0);
    assert_int_equal(admit(f, &e, T0), RB_ADMIT_NEW);
    entry_release(&e);
    entry_init(&e, "web", 1, 2, T0);
    assert_int_equal(admit(f, &e, T0), RB_ADMIT_DUPLICATE);
    entry_release(&e);
    list(f, &(struct rb_filter){.limit = 5}, &p);
    assert_int_equal(p.n, 1);
    assert_int_equal(p.items[0]->duplicates, 1);
    assert_int_equal(p.items[0]->n_reports, 1);
    assert_int_equal(p.items[0]->version, 1);
    page_release(&p);
}

/* ---- counts ---- */

static void counts_follow_what_happens(void **state)
{
    struct fix *f = *state;
    char id[2][RB_ID_BYTES];
    struct entry e;
    struct rb_counts c;
    admit_new(f, "web", 1, T0, id[0]);
    admit_new(f, "web", 2, T0 + 5, id[1]);
    entry_init(&e, "web", 3, 3, T0);
    entry_state(&e, RB_STATE_HELD, RB_TASK_NONE);
    entry_report(&e, "ci", RB_STAGE_HELD, T0 + 7);
    assert_int_equal(admit(f, &e, T0), RB_ADMIT_NEW);
    entry_release(&e);
    assert_int_equal(rb_store_counts(f->ses, &c, NULL), RB_OK);
    assert_int_equal(c.by_state[RB_STATE_SCHEDULED], 2);
    assert_int_equal(c.by_state[RB_STATE_HELD], 1);
    assert_int_equal(c.tasks[RB_TASK_SUBMIT], 2);
    assert_int_equal(c.tasks[RB_TASK_REPORT], 1);
    assert_int_equal(c.oldest_due_ms[RB_TASK_SUBMIT], T0);
    assert_int_equal(c.oldest_due_ms[RB_TASK_REPORT], T0 + 7);
    assert_int_equal(c.oldest_due_ms[RB_TASK_FOLLOW], 0);
    finish(f, id[0], T0);
    struct rb_task *t = must_claim(f, RB_TASK_REPORT, T0 + 7);
    assert_int_equal(rb_store_report_settle(f->ses, t, RB_REPORT_DONE, 0, NULL, T0 + 7, NULL),
                     RB_OK);
    rb_task_free(t);
    fix_reopen(f); /* and they are not only in memory */
    assert_int_equal(rb_store_counts(f->ses, &c, NULL), RB_OK);
    assert_int_equal(c.by_state[RB_STATE_SCHEDULED], 1);
    assert_int_equal(c.by_state[RB_STATE_REFUSED], 1);
    assert_int_equal(c.tasks[RB_TASK_SUBMIT], 1);
    assert_int_equal(c.tasks[RB_TASK_REPORT], 0);
}

/* ---- switches, projects, epoch ---- */

static void assert_paused(struct fix *f, const char *const *want, unsigned n_want)
{
    struct rb_arena a;
    const char **names = NULL;
    unsigned n = 0;
    rb_arena_init(&a, 65536);
    assert_int_equal(rb_store_paused(f->ses, &a, &names, &n, NULL), RB_OK);
    assert_int_equal(n, n_want);
    for (unsigned i = 0; i < n_want; i++) {
        bool found = false;
        for (unsigned k = 0; k < n; k++) {
            found = found || strcmp(names[k], want[i]) == 0;
        }
        assert_true(found);
    }
    rb_arena_release(&a);
}

static void projects_and_everything_can_be_paused_and_resumed(void **state)
{
    struct fix *f = *state;
    const char *const all[] = {"web", "*"};
    assert_paused(f, NULL, 0);
    assert_int_equal(rb_store_pause(f->ses, "web", true, NULL), RB_OK);
    assert_int_equal(rb_store_pause(f->ses, "web", true, NULL), RB_OK);
    assert_int_equal(rb_store_pause(f->ses, NULL, true, NULL), RB_OK);
    fix_reopen(f);
    assert_paused(f, all, 2);
    assert_int_equal(rb_store_pause(f->ses, NULL, false, NULL), RB_OK);
    assert_paused(f, all, 1);
    assert_int_equal(rb_store_pause(f->ses, "web", false, NULL), RB_OK);
    assert_int_equal(rb_store_pause(f->ses, "never", false, NULL), RB_OK);
    assert_paused(f, NULL, 0);
}

static unsigned projects_since(struct fix *f, int64_t since, unsigned max, const char *ret_one[3])
{
    static struct rb_arena a;
    struct rb_project_seen *items = NULL;
    unsigned n = 0;
    rb_arena_release(&a);
    rb_arena_init(&a, 65536);
    assert_int_equal(rb_store_projects(f->ses, since, &a, max, &items, &n, NULL), RB_OK);
    if (n == 1 && ret_one != NULL) {
        ret_one[0] = items[0].account;
        ret_one[1] = items[0].region;
        ret_one[2] = items[0].project;
    }
    if (n != 1) {
        rb_arena_release(&a);
    }
    return n;
}

static void projects_of_recent_admissions_are_known(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    const char *one[3] = {NULL, NULL, NULL};
    admit_new(f, "web", 1, T0, id);
    admit_new(f, "web", 2, T0 + HOUR, id);
    admit_new(f, "api", 3, T0 + SECOND, id);
    assert_int_equal(projects_since(f, T0, 10, NULL), 2);
    assert_int_equal(projects_since(f, T0 + 2 * HOUR, 10, NULL), 0);
    assert_int_equal(projects_since(f, T0 + HOUR, 10, one), 1);
    assert_string_equal(one[0], "123456789012");
    assert_string_equal(one[1], "us-east-1");
    assert_string_equal(one[2], "web");
    assert_int_equal(projects_since(f, T0, 1, one), 1);
    assert_string_equal(one[2], "web"); /* the most recent */
}

static void the_epoch_is_born_once_and_kept(void **state)
{
    struct fix *f = *state;
    int64_t birth = 0;
    assert_int_equal(rb_store_epoch(f->ses, T0, &birth, NULL), RB_OK);
    assert_int_equal(birth, T0);
    assert_int_equal(rb_store_epoch(f->ses, T0 + HOUR, &birth, NULL), RB_OK);
    assert_int_equal(birth, T0);
    fix_reopen(f);
    assert_int_equal(rb_store_epoch(f->ses, T0 + DAY, &birth, NULL), RB_OK);
    assert_int_equal(birth, T0);
}

/* ---- retention ---- */

/* Trims until nothing more goes. */
static void trim(struct fix *f, int64_t before, int64_t now)
{
    unsigned n = 1;
    for (int i = 0; i < 20 && n > 0; i++) {
        assert_int_equal(rb_store_trim(f->ses, before, 100, now, &n, NULL), RB_OK);
        assert_true(n <= 100);
    }
    assert_int_equal(n, 0);
}

static bool exists(struct fix *f, const char *id)
{
    struct rb_retry *r = NULL;
    enum rb_code rc = rb_store_get(f->ses, id, &r, NULL);
    rb_retry_free(r);
    assert_true(rc == RB_OK || rc == RB_E_NOT_FOUND);
    return rc == RB_OK;
}

static void old_terminal_retries_are_trimmed_and_others_stay(void **state)
{
    struct fix *f = *state;
    char ended[RB_ID_BYTES];
    char young[RB_ID_BYTES];
    char alive[RB_ID_BYTES];
    admit_new(f, "web", 1, T0, ended);
    finish(f, ended, T0);
    admit_new(f, "web", 2, T0 + 40 * DAY, young);
    finish(f, young, T0 + 40 * DAY);
    admit_new(f, "web", 3, T0, alive);
    trim(f, T0 + 30 * DAY, T0 + 60 * DAY);
    assert_false(exists(f, ended));
    assert_true(exists(f, young));
    assert_true(exists(f, alive));
    struct rb_counts c;
    assert_int_equal(rb_store_counts(f->ses, &c, NULL), RB_OK);
    assert_int_equal(c.by_state[RB_STATE_REFUSED], 1);
    assert_int_equal(count_list(f, &(struct rb_filter){.limit = 10}), 2);
    assert_int_equal(count_list(f, &(struct rb_filter){.limit = 10, .project = "web"}), 2);
}

static void a_retry_with_a_pending_report_is_not_trimmed(void **state)
{
    struct fix *f = *state;
    struct entry e;
    entry_init(&e, "web", 1, 1, T0);
    entry_state(&e, RB_STATE_REFUSED, RB_TASK_NONE);
    entry_report(&e, "ci", RB_STAGE_REFUSED, T0);
    assert_int_equal(admit(f, &e, T0), RB_ADMIT_NEW);
    trim(f, T0 + 30 * DAY, T0 + 60 * DAY);
    assert_true(exists(f, e.retry->id));
    struct rb_task *t = must_claim(f, RB_TASK_REPORT, T0 + 60 * DAY);
    assert_int_equal(
        rb_store_report_settle(f->ses, t, RB_REPORT_DONE, 0, NULL, T0 + 60 * DAY, NULL), RB_OK);
    rb_task_free(t);
    trim(f, T0 + 30 * DAY, T0 + 60 * DAY);
    assert_false(exists(f, e.retry->id));
    entry_release(&e);
}

static void a_trim_deletes_no_more_than_asked(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    unsigned n = 0;
    for (unsigned i = 0; i < 10; i++) {
        admit_new(f, "web", i + 1, T0 + i, id);
        finish(f, id, T0 + i);
    }
    assert_int_equal(rb_store_trim(f->ses, T0 + DAY, 3, T0 + 60 * DAY, &n, NULL), RB_OK);
    assert_true(n >= 1 && n <= 3);
    assert_true(count_list(f, &(struct rb_filter){.limit = 20}) >= 7);
}

static void what_was_trimmed_can_come_again(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    char key[RB_KEY_BYTES];
    char owner[RB_ID_BYTES] = "x";
    to_running(f, "web", 1, 2, T0, id);
    struct rb_task *t = must_claim(f, RB_TASK_FOLLOW, T0);
    rb_retry_enter(t->retry, RB_STATE_RECOVERED, T0, NULL);
    struct rb_settle s = {.next = RB_TASK_NONE};
    assert_int_equal(settle(f, t, &s, T0), RB_OK);
    rb_task_free(t);
    trim(f, T0 + 30 * DAY, T0 + 60 * DAY);
    build_key_of("web", 2, key);
    assert_int_equal(rb_store_child_of(f->ses, key, owner, NULL), RB_OK);
    assert_string_equal(owner, "");
    struct entry e;
    entry_init(&e, "web", 1, 1, T0 + 60 * DAY);
    assert_int_equal(admit(f, &e, T0 + 60 * DAY), RB_ADMIT_NEW);
    entry_release(&e);
}

static void settling_a_trimmed_retry_is_not_found(void **state)
{
    struct fix *f = *state;
    char id[RB_ID_BYTES];
    admit_new(f, "web", 1, T0, id);
    finish(f, id, T0);
    struct rb_retry *r = get(f, id);
    trim(f, T0 + 30 * DAY, T0 + 60 * DAY);
    struct rb_settle s = {.retry = r, .next = RB_TASK_NONE};
    assert_int_equal(settle(f, NULL, &s, T0 + 60 * DAY), RB_E_NOT_FOUND);
    rb_retry_free(r);
}

const struct CMUnitTest contract_read_tests[] = {
    STORE_TEST(reading_what_is_not_there_is_not_found),
    STORE_TEST(an_empty_store_lists_nothing),
    STORE_TEST(a_list_is_newest_first),
    STORE_TEST(pages_join_without_gap_or_repeat),
    STORE_TEST(a_last_full_page_has_no_cursor),
    STORE_TEST(a_cursor_stays_where_it_is_while_new_retries_arrive),
    STORE_TEST(a_cursor_that_is_not_ours_is_refused),
    STORE_TEST(a_limit_out_of_range_is_refused),
    STORE_TEST(filters_choose_and_combine),
    STORE_TEST(filtered_pages_join),
    STORE_TEST(a_changed_state_moves_in_the_lists),
    STORE_TEST(a_list_shows_what_stands_beside_the_record),
    STORE_TEST(counts_follow_what_happens),
    STORE_TEST(projects_and_everything_can_be_paused_and_resumed),
    STORE_TEST(projects_of_recent_admissions_are_known),
    STORE_TEST(the_epoch_is_born_once_and_kept),
    STORE_TEST(old_terminal_retries_are_trimmed_and_others_stay),
    STORE_TEST(a_retry_with_a_pending_report_is_not_trimmed),
    STORE_TEST(a_trim_deletes_no_more_than_asked),
    STORE_TEST(what_was_trimmed_can_come_again),
    STORE_TEST(settling_a_trimmed_retry_is_not_found),
    {0},
};

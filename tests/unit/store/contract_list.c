/* contract_list.c - pages, cursors and filters. */
#include <string.h>

#include "harness.h"

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

const struct CMUnitTest contract_list_tests[] = {
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
    {0},
};

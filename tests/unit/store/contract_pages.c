/* contract_pages.c - pages of a store that has more than one look takes in, while it changes. */
#include <string.h>

#include "harness.h"

#define MANY 5000 /* more than one range of each index */
#define NEW_MAX 1000
#define BATCH 100
#define LATER (T0 + 40 * DAY)

static const char *const projects[] = {"web", "api", "rare"};
static const char *const sources[] = {"eventbridge", "github", "once"};
static const enum rb_state states[] = {RB_STATE_SCHEDULED, RB_STATE_IGNORED, RB_STATE_REFUSED};

static unsigned project_of(unsigned k)
{
    return k % 701 == 5 ? 2 : k % 3 == 0;
}

static unsigned source_of(unsigned k)
{
    return k == 17 ? 2 : k % 5 == 0;
}

static unsigned state_number(unsigned k)
{
    return k % 997 == 3 ? 2 : k % 2;
}

static void admit_range(struct fix *f, unsigned from, unsigned to)
{
    static struct entry entries[BATCH];
    struct rb_admission *batch[BATCH];
    while (from < to) {
        unsigned n = to - from < BATCH ? to - from : BATCH;
        for (unsigned i = 0; i < n; i++) {
            unsigned k = from + i;
            entry_init(&entries[i], projects[project_of(k)], k + 1, k + 1, T0 + k / 5);
            entries[i].retry->source.source = sources[source_of(k)];
            if (state_number(k) != 0) {
                entry_state(&entries[i], states[state_number(k)], RB_TASK_NONE);
            }
            batch[i] = &entries[i].a;
        }
        assert_int_equal(rb_store_admit(f->ses, batch, n, T0 + from / 5, NULL), RB_OK);
        for (unsigned i = 0; i < n; i++) {
            assert_int_equal(batch[i]->result, RB_ADMIT_NEW);
            entry_release(&entries[i]);
        }
        from += n;
    }
}

static bool fits(unsigned k, const struct rb_filter *f)
{
    return (!f->by_state || states[state_number(k)] == f->state) &&
           (f->project == NULL || strcmp(projects[project_of(k)], f->project) == 0) &&
           (f->source == NULL || strcmp(sources[source_of(k)], f->source) == 0) &&
           T0 + k / 5 >= f->since_ms;
}

/* Follows the pages; @meanwhile happens after each. Nothing comes twice, all in order. */
static void follow(struct fix *f, struct rb_filter filter, bool seen[MANY + NEW_MAX],
                   void (*meanwhile)(struct fix *f, unsigned page))
{
    char cursor[RB_CURSOR_BYTES] = "";
    int64_t before_ms = INT64_MAX;
    unsigned page = 0;
    memset(seen, 0, MANY + NEW_MAX);
    do {
        struct rb_retry *items[200] = {NULL};
        unsigned n = 0;
        filter.cursor = page == 0 ? NULL : cursor;
        assert_int_equal(rb_store_list(f->ses, &filter, items, &n, cursor, NULL), RB_OK);
        assert_true(n <= filter.limit);
        for (unsigned i = 0; i < n; i++) {
            unsigned k = (unsigned)items[i]->build.number - 1;
            assert_true(k < MANY + NEW_MAX && fits(k, &filter) && !seen[k]);
            assert_true(items[i]->created_ms <= before_ms);
            before_ms = items[i]->created_ms;
            seen[k] = true;
            rb_retry_free(items[i]);
        }
        if (meanwhile != NULL) {
            meanwhile(f, page);
        }
        page++;
    } while (cursor[0] != '\0' && page < MANY);
    assert_true(page < MANY);
}

static void each_filter_finds_everything_once_and_in_order(void **state)
{
    struct fix *f = *state;
    static bool seen[MANY + NEW_MAX];
    admit_range(f, 0, MANY);
    for (unsigned c = 0; c < 4 * 4 * 4 * 2; c++) {
        struct rb_filter filter = {
            .limit = 200,
            .by_state = c % 4 != 3,
            .state = c % 4 == 3 ? RB_STATE_RECEIVED : states[c % 4],
            .project = c / 4 % 4 == 3 ? NULL : projects[c / 4 % 4],
            .source = c / 16 % 4 == 3 ? NULL : sources[c / 16 % 4],
            .since_ms = c / 64 == 0 ? 0 : T0 + MANY / 10,
        };
        follow(f, filter, seen, NULL);
        for (unsigned k = 0; k < MANY; k++) {
            if (seen[k] != fits(k, &filter)) {
                fail_msg("filter %u: retry %u", c, k);
            }
        }
    }
}

static void arrive(struct fix *f, unsigned page)
{
    if (page < NEW_MAX / 20) {
        admit_range(f, MANY + page * 20, MANY + page * 20 + 20);
    }
}

static void what_arrives_between_pages_shifts_nothing(void **state)
{
    struct fix *f = *state;
    static bool seen[MANY + NEW_MAX];
    struct rb_filter filter = {.limit = 120, .source = "eventbridge"};
    admit_range(f, 0, MANY);
    follow(f, filter, seen, arrive);
    for (unsigned k = 0; k < MANY + NEW_MAX; k++) {
        assert_int_equal(seen[k], k < MANY && fits(k, &filter));
    }
}

static void go_away(struct fix *f, unsigned page)
{
    unsigned n = 0;
    (void)page;
    /* the newest pages are reached by and by, cursors among them */
    assert_int_equal(rb_store_trim(f->ses, LATER, 300, LATER, &n, NULL), RB_OK);
}

static void what_is_trimmed_between_pages_hides_no_other(void **state)
{
    struct fix *f = *state;
    static bool seen[MANY + NEW_MAX];
    admit_range(f, 0, MANY);
    follow(f, (struct rb_filter){.limit = 113, .project = "api"}, seen, go_away);
    for (unsigned k = 0; k < MANY; k++) {
        bool lives = states[state_number(k)] == RB_STATE_SCHEDULED;
        assert_true(!lives || seen[k] == (project_of(k) == 1));
    }
}

const struct CMUnitTest contract_pages_tests[] = {
    STORE_TEST(each_filter_finds_everything_once_and_in_order),
    STORE_TEST(what_arrives_between_pages_shifts_nothing),
    STORE_TEST(what_is_trimmed_between_pages_hides_no_other),
    {0},
};

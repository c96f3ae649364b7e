/* contract_sheets.c - the ledger's sheets: compared and written together, or not at all. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "harness.h"

#define THREADS 3
#define TAKES 340 /* each: more than a thousand together */
#define LIMIT 100

static struct rb_sheet sheet(const char *name, uint64_t version, uint64_t next, const char *text)
{
    return (struct rb_sheet){.name = name,
                             .version = version,
                             .next = next,
                             .data = (const uint8_t *)text,
                             .len = text == NULL ? 0 : strlen(text),
                             .ttl_ms = MINUTE};
}

static struct rb_sheet read_sheet(struct fix *f, const char *name, int64_t now, struct rb_arena *a)
{
    struct rb_sheet s = {.name = name};
    struct rb_err err = {.code = RB_OK};
    if (rb_store_sheets_get(f->ses, &s, 1, now, a, &err) != RB_OK) {
        fail_msg("%s", err.msg);
    }
    return s;
}

static enum rb_code put(struct fix *f, const struct rb_sheet *sheets, unsigned n, int64_t now)
{
    struct rb_err err = {.code = RB_OK};
    return rb_store_sheets_put(f->ses, sheets, n, now, &err);
}

static void expect_text(struct fix *f, const char *name, int64_t now, const char *text)
{
    struct rb_arena a;
    rb_arena_init(&a, 1 << 20);
    struct rb_sheet s = read_sheet(f, name, now, &a);
    if (text == NULL) {
        assert_int_equal(s.version, 0);
        assert_int_equal(s.len, 0);
    } else {
        assert_int_not_equal(s.version, 0);
        assert_int_equal(s.len, strlen(text));
        assert_memory_equal(s.data, text, s.len);
    }
    rb_arena_release(&a);
}

static void a_sheet_that_is_not_there_has_version_0(void **state)
{
    expect_text(*state, "p:web", T0, NULL);
}

static void what_was_written_is_read(void **state)
{
    struct fix *f = *state;
    const struct rb_sheet two[] = {sheet("p:web", 0, 7, "one"), sheet("a:1", 0, 8, "")};
    assert_int_equal(put(f, two, 2, T0), RB_OK);
    expect_text(f, "p:web", T0, "one");
    expect_text(f, "a:1", T0, "");
    struct rb_arena a;
    rb_arena_init(&a, 1 << 20);
    assert_int_equal(read_sheet(f, "p:web", T0, &a).version, 7);
    rb_arena_release(&a);
}

static void bytes_of_any_value_are_kept(void **state)
{
    struct fix *f = *state;
    struct rb_arena a;
    uint8_t bytes[1000];
    rb_arena_init(&a, 1 << 20);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(i * 7);
    }
    struct rb_sheet s = sheet("p:web", 0, UINT64_MAX, NULL);
    s.data = bytes;
    s.len = sizeof(bytes);
    assert_int_equal(put(f, &s, 1, T0), RB_OK);
    struct rb_sheet got = read_sheet(f, "p:web", T0, &a);
    assert_true(got.version == UINT64_MAX);
    assert_int_equal(got.len, sizeof(bytes));
    assert_memory_equal(got.data, bytes, sizeof(bytes));
    rb_arena_release(&a);
}

static void who_read_an_older_version_writes_nothing(void **state)
{
    struct fix *f = *state;
    const struct rb_sheet first = sheet("p:web", 0, 7, "one");
    assert_int_equal(put(f, &first, 1, T0), RB_OK);
    const struct rb_sheet late[] = {sheet("a:1", 0, 8, "more"), sheet("p:web", 0, 9, "two")};
    assert_int_equal(put(f, late, 2, T0), RB_E_CONFLICT);
    expect_text(f, "p:web", T0, "one");
    expect_text(f, "a:1", T0, NULL);
    const struct rb_sheet good[] = {sheet("a:1", 0, 8, "more"), sheet("p:web", 7, 9, "two")};
    assert_int_equal(put(f, good, 2, T0), RB_OK);
    expect_text(f, "p:web", T0, "two");
}

static void a_sheet_that_is_only_compared_stays_as_it_is(void **state)
{
    struct fix *f = *state;
    const struct rb_sheet first = sheet("p:web", 0, 7, "one");
    assert_int_equal(put(f, &first, 1, T0), RB_OK);
    const struct rb_sheet good[] = {sheet("p:web", 7, 0, NULL), sheet("a:1", 0, 8, "x")};
    assert_int_equal(put(f, good, 2, T0), RB_OK);
    expect_text(f, "p:web", T0, "one");
    const struct rb_sheet late[] = {sheet("p:web", 6, 0, NULL), sheet("a:1", 8, 9, "y")};
    assert_int_equal(put(f, late, 2, T0), RB_E_CONFLICT);
    expect_text(f, "a:1", T0, "x");
}

static void a_repeated_write_is_the_same_write(void **state)
{
    struct fix *f = *state;
    const struct rb_sheet two[] = {sheet("p:web", 0, 7, "one"), sheet("k:1", 0, 8, "x")};
    assert_int_equal(put(f, two, 2, T0), RB_OK);
    assert_int_equal(put(f, two, 2, T0), RB_OK);
    const struct rb_sheet other[] = {sheet("p:web", 0, 7, "one"), sheet("k:2", 0, 9, "x")};
    assert_int_equal(put(f, other, 2, T0), RB_E_CONFLICT); /* a part of it only is no repeat */
    expect_text(f, "k:2", T0, NULL);
}

static void a_sheet_is_gone_after_its_time(void **state)
{
    struct fix *f = *state;
    const struct rb_sheet first = sheet("p:web", 0, 7, "one");
    assert_int_equal(put(f, &first, 1, T0), RB_OK);
    expect_text(f, "p:web", T0 + MINUTE - 1, "one");
    expect_text(f, "p:web", T0 + MINUTE, NULL);
    const struct rb_sheet anew = sheet("p:web", 0, 8, "two");
    assert_int_equal(put(f, &anew, 1, T0 + MINUTE - 1), RB_E_CONFLICT);
    assert_int_equal(put(f, &anew, 1, T0 + MINUTE), RB_OK);
    expect_text(f, "p:web", T0 + MINUTE, "two");
    unsigned n = 0;
    assert_int_equal(rb_store_trim(f->ses, T0, 10, T0 + HOUR, &n, NULL), RB_OK);
    assert_int_equal(n, 0);
    expect_text(f, "p:web", T0 + MINUTE, harness_is_sqlite() ? NULL : "two");
}

static void sheets_survive_a_restart(void **state)
{
    struct fix *f = *state;
    const struct rb_sheet first = sheet("p:web", 0, 7, "one");
    assert_int_equal(put(f, &first, 1, T0), RB_OK);
    fix_reopen(f);
    expect_text(f, "p:web", T0, "one");
}

static void a_bad_name_or_time_is_refused(void **state)
{
    struct fix *f = *state;
    char longer[RB_SHEET_NAME_MAX_BYTES + 2];
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    struct rb_sheet s = sheet("", 0, 7, "one");
    assert_int_equal(put(f, &s, 1, T0), RB_E_INVALID);
    s.name = longer;
    assert_int_equal(put(f, &s, 1, T0), RB_E_INVALID);
    s = sheet("p:web", 0, 7, "one");
    s.ttl_ms = 0;
    assert_int_equal(put(f, &s, 1, T0), RB_E_INVALID);
    assert_int_equal(put(f, &s, 0, T0), RB_E_INVALID);
}

/* ---- many at once ---- */

struct taker {
    pthread_t thread;
    struct rb_store_session *ses;
    unsigned number, taken;
    bool broken;
};

/* take - one of LIMIT, noted beside it by name: read, changed, written, again if it was too late.
 */
static bool take(struct taker *t, const char *mark)
{
    struct rb_arena a;
    bool taken = false;
    rb_arena_init(&a, 1 << 20);
    for (unsigned tries = 0; tries < 10000; tries++) {
        struct rb_sheet s[] = {{.name = "count"}, {.name = mark}};
        rb_arena_reset(&a);
        if (rb_store_sheets_get(t->ses, s, 2, T0, &a, NULL) != RB_OK) {
            break;
        }
        unsigned n = 0;
        if (s[0].len == sizeof(n)) {
            memcpy(&n, s[0].data, sizeof(n));
        }
        if (n >= LIMIT || s[1].version != 0) {
            rb_arena_release(&a);
            return false;
        }
        n++;
        s[0].data = (const uint8_t *)&n;
        s[0].len = sizeof(n);
        s[0].next = rb_random_below(rb_random_system(), UINT64_MAX) + 1;
        s[1].next = rb_random_below(rb_random_system(), UINT64_MAX) + 1;
        s[0].ttl_ms = s[1].ttl_ms = HOUR;
        enum rb_code rc = rb_store_sheets_put(t->ses, s, 2, T0, NULL);
        if (rc == RB_OK) {
            taken = true;
            break;
        }
        if (rc != RB_E_CONFLICT) {
            break;
        }
    }
    rb_arena_release(&a);
    t->broken = t->broken || !taken;
    return taken;
}

static void *take_many(void *arg)
{
    struct taker *t = arg;
    for (unsigned i = 0; i < TAKES; i++) {
        char mark[32];
        (void)snprintf(mark, sizeof(mark), "k:%u", i); /* each asked for by all three */
        t->taken += take(t, mark) ? 1 : 0;
    }
    return NULL;
}

static void a_limit_is_kept_exactly_by_three_at_once(void **state)
{
    struct fix *f = *state;
    struct taker takers[THREADS] = {0};
    unsigned taken = 0;
    for (unsigned i = 0; i < THREADS; i++) {
        takers[i].number = i;
        takers[i].ses = fix_session(f);
        assert_int_equal(pthread_create(&takers[i].thread, NULL, take_many, &takers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(takers[i].thread, NULL), 0);
        assert_false(takers[i].broken);
        taken += takers[i].taken;
        rb_store_session_close(takers[i].ses);
    }
    assert_int_equal(taken, LIMIT);
}

const struct CMUnitTest contract_sheets_tests[] = {
    STORE_TEST(a_sheet_that_is_not_there_has_version_0),
    STORE_TEST(what_was_written_is_read),
    STORE_TEST(bytes_of_any_value_are_kept),
    STORE_TEST(who_read_an_older_version_writes_nothing),
    STORE_TEST(a_sheet_that_is_only_compared_stays_as_it_is),
    STORE_TEST(a_repeated_write_is_the_same_write),
    STORE_TEST(a_sheet_is_gone_after_its_time),
    STORE_TEST(sheets_survive_a_restart),
    STORE_TEST(a_bad_name_or_time_is_refused),
    STORE_TEST(a_limit_is_kept_exactly_by_three_at_once),
    {0},
};

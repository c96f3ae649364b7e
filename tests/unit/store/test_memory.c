/* test_memory.c - what the SQLite store keeps in memory: the book of keys, the agenda of due times;
 * and cursors.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <retrybuild/digest.h>

#include "cursor.h"
#include "sqlite/agenda.h"
#include "sqlite/book.h"

static void key_of(unsigned n, uint8_t key[RB_SHA256_BYTES])
{
    rb_sha256(&n, sizeof(n), key);
}

static unsigned refs_of(const struct rb_sq_book *b, enum rb_sq_domain domain, unsigned n,
                        int64_t *ret_last)
{
    uint8_t key[RB_SHA256_BYTES];
    size_t at = SIZE_MAX;
    unsigned found = 0;
    key_of(n, key);
    for (int64_t ref = 0; (ref = rb_sq_book_next(b, domain, key, &at)) != 0; found++) {
        *ret_last = ref;
    }
    return found;
}

/* Others may come with it: whoever asks compares the whole key. */
static bool leads_to(const struct rb_sq_book *b, unsigned n, int64_t want)
{
    uint8_t key[RB_SHA256_BYTES];
    size_t at = SIZE_MAX;
    int64_t ref = 0;
    key_of(n, key);
    do {
        ref = rb_sq_book_next(b, RB_SQ_EFFECTS, key, &at);
    } while (ref != 0 && ref != want);
    return ref == want;
}

static void enter(struct rb_sq_book *b, enum rb_sq_domain domain, unsigned n, int64_t ref)
{
    uint8_t key[RB_SHA256_BYTES];
    key_of(n, key);
    assert_true(rb_sq_book_enter(b, domain, key, ref));
}

static void strike(struct rb_sq_book *b, enum rb_sq_domain domain, unsigned n, int64_t ref)
{
    uint8_t key[RB_SHA256_BYTES];
    key_of(n, key);
    assert_true(rb_sq_book_strike(b, domain, key, ref));
}

static void a_key_leads_to_everything_that_was_entered_for_it(void **state)
{
    struct rb_sq_book b = {0};
    int64_t ref = 0;
    (void)state;
    assert_int_equal(refs_of(&b, RB_SQ_EFFECTS, 1, &ref), 0);
    enter(&b, RB_SQ_EFFECTS, 1, 11);
    enter(&b, RB_SQ_EFFECTS, 1, 12);
    enter(&b, RB_SQ_DELIVERIES, 1, -13);
    assert_int_equal(refs_of(&b, RB_SQ_EFFECTS, 1, &ref), 2);
    assert_int_equal(refs_of(&b, RB_SQ_DELIVERIES, 1, &ref), 1);
    assert_int_equal(ref, -13);
    strike(&b, RB_SQ_EFFECTS, 1, 11);
    strike(&b, RB_SQ_EFFECTS, 1, 99); /* not there */
    assert_int_equal(refs_of(&b, RB_SQ_EFFECTS, 1, &ref), 1);
    assert_int_equal(ref, 12);
    rb_sq_book_release(&b);
}

static void a_book_keeps_track_through_growth_and_strikes(void **state)
{
    struct rb_sq_book b = {0};
    const unsigned n = 20000;
    (void)state;
    for (unsigned i = 0; i < n; i++) {
        enter(&b, RB_SQ_EFFECTS, i, i + 1);
        if (i % 3 == 0) {
            strike(&b, RB_SQ_EFFECTS, i / 2, i / 2 + 1);
        }
        rb_sq_book_keep(&b);
    }
    for (unsigned i = 0; i < n; i++) {
        /* the last strike of i / 2 came with the greatest i that is a multiple of 3 */
        bool struck = i < n / 2 && (2 * i % 3 == 0 || (2 * i + 1) % 3 == 0);
        assert_int_equal(leads_to(&b, i, i + 1), !struck);
    }
    rb_sq_book_release(&b);
}

static void what_a_transaction_did_to_the_book_can_be_undone(void **state)
{
    struct rb_sq_book b = {0};
    int64_t ref = 0;
    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        enter(&b, RB_SQ_EFFECTS, i, i + 1);
    }
    rb_sq_book_keep(&b);
    for (unsigned i = 0; i < 1000; i++) {
        if (i % 2 == 0) {
            strike(&b, RB_SQ_EFFECTS, i, i + 1);
        }
        enter(&b, RB_SQ_EFFECTS, 5000 + i, i + 1); /* grows meanwhile */
    }
    rb_sq_book_undo(&b);
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(refs_of(&b, RB_SQ_EFFECTS, i, &ref), 1);
        assert_int_equal(refs_of(&b, RB_SQ_EFFECTS, 5000 + i, &ref), 0);
    }
    assert_int_equal(b.n, 1000);
    rb_sq_book_release(&b);
}

static void the_agenda_gives_the_earliest_first(void **state)
{
    struct rb_sq_agenda a;
    struct rb_sq_note note;
    int64_t last = 0;
    unsigned n = 0;
    (void)state;
    memset(&a, 0, sizeof(a));
    for (int64_t i = 0; i < 5000; i++) {
        assert_true(rb_sq_agenda_add(&a, RB_TASK_SUBMIT, i * 7919 % 5003, i));
    }
    assert_false(rb_sq_agenda_first(&a, RB_TASK_FOLLOW, &note));
    while (rb_sq_agenda_first(&a, RB_TASK_SUBMIT, &note)) {
        assert_true(note.due_ms >= last);
        last = note.due_ms;
        assert_true(rb_sq_agenda_take(&a, RB_TASK_SUBMIT));
        n++;
    }
    assert_int_equal(n, 5000);
    rb_sq_agenda_release(&a);
}

static void what_a_transaction_took_from_the_agenda_comes_back(void **state)
{
    struct rb_sq_agenda a;
    struct rb_sq_note note;
    (void)state;
    memset(&a, 0, sizeof(a));
    for (int64_t i = 0; i < 256; i++) { /* as many as there is room for at first */
        assert_true(rb_sq_agenda_add(&a, RB_TASK_SUBMIT, i, i));
    }
    for (int i = 0; i < 100; i++) {
        assert_true(rb_sq_agenda_take(&a, RB_TASK_SUBMIT));
        assert_true(rb_sq_agenda_add(&a, RB_TASK_SUBMIT, 1000 + i, i));
    }
    rb_sq_agenda_undo(&a);
    for (int64_t i = 0; i < 100; i++) {
        assert_true(rb_sq_agenda_first(&a, RB_TASK_SUBMIT, &note));
        assert_int_equal(note.due_ms, i);
        assert_true(rb_sq_agenda_take(&a, RB_TASK_SUBMIT));
    }
    rb_sq_agenda_keep(&a);
    rb_sq_agenda_undo(&a);
    assert_true(rb_sq_agenda_first(&a, RB_TASK_SUBMIT, &note));
    assert_int_equal(note.due_ms, 100);
    rb_sq_agenda_release(&a);
}

static void a_cursor_comes_back_as_it_was_written(void **state)
{
    char text[RB_CURSOR_BYTES];
    char id[RB_ID_BYTES];
    int64_t ms = 0;
    (void)state;
    rb_cursor_write(1900000000123, "rty_01ARZ3NDEKTSV4RRFFQ69G5FAV", text);
    assert_true(rb_cursor_read(text, &ms, id));
    assert_int_equal(ms, 1900000000123);
    assert_string_equal(id, "rty_01ARZ3NDEKTSV4RRFFQ69G5FAV");
}

static void a_changed_cursor_is_refused(void **state)
{
    char text[RB_CURSOR_BYTES];
    char id[RB_ID_BYTES] = "left alone";
    int64_t ms = 7;
    (void)state;
    rb_cursor_write(1900000000123, "rty_01ARZ3NDEKTSV4RRFFQ69G5FAV", text);
    for (size_t i = 0; text[i] != '\0'; i++) {
        char kept = text[i];
        text[i] = kept == '1' ? '2' : '1';
        assert_false(rb_cursor_read(text, &ms, id));
        text[i] = '\0';
        assert_false(rb_cursor_read(text, &ms, id));
        text[i] = kept;
    }
    assert_int_equal(ms, 7);
    assert_string_equal(id, "left alone");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_leads_to_everything_that_was_entered_for_it),
        cmocka_unit_test(a_book_keeps_track_through_growth_and_strikes),
        cmocka_unit_test(what_a_transaction_did_to_the_book_can_be_undone),
        cmocka_unit_test(the_agenda_gives_the_earliest_first),
        cmocka_unit_test(what_a_transaction_took_from_the_agenda_comes_back),
        cmocka_unit_test(a_cursor_comes_back_as_it_was_written),
        cmocka_unit_test(a_changed_cursor_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What people read: sentences, escapes, cuts. */
#include <string.h>

#include "text.h"
#include "told.h"

static const char *summary(struct told *t, enum rb_markup markup, struct rb_buf *out)
{
    rb_buf_clear(out);
    rb_text_summary(&t->f->view, markup, out);
    assert_false(rb_buf_failed(out));
    return rb_buf_str(out);
}

static void the_summary_names_attempt_rule_reason_and_both_builds(void **state)
{
    struct told *t = *state;
    RB_CLEANUP(rb_buf_release) struct rb_buf out = RB_BUF_INIT(65536);

    t->f->retry->build.project = "checkout-api";
    assert_string_equal(summary(t, RB_MARKUP_PLAIN, &out),
                        "checkout-api recovered on retry 1 of 2 (rule provisioning: no capacity). "
                        "Build 31 → 32, 4 min 10 s.");
    told_state(t, RB_STATE_REFUSED, "budget:project");
    assert_string_equal(summary(t, RB_MARKUP_PLAIN, &out),
                        "checkout-api was not retried: budget:project (retry 1 of 2, rule "
                        "provisioning: no capacity). Build 31.");
    rb_buf_clear(&out);
    rb_text_next(&t->f->view, RB_MARKUP_PLAIN, &out);
    assert_non_null(strstr(rb_buf_str(&out), "/retry"));
}

static void every_reported_state_has_its_sentences(void **state)
{
    struct told *t = *state;
    RB_CLEANUP(rb_buf_release) struct rb_buf out = RB_BUF_INIT(65536);
    unsigned n = 0;

    for (int s = 0; s < RB_STATE_COUNT; s++) {
        enum rb_stage stage;
        if (!rb_stage_of((enum rb_state)s, &stage)) {
            continue;
        }
        n++;
        told_state(t, (enum rb_state)s, "the why");
        const char *text = summary(t, RB_MARKUP_PLAIN, &out);
        assert_non_null(strstr(text, "web-app"));
        assert_non_null(strstr(text, "31"));
        assert_null(strchr(text, '<'));
    }
    assert_in_range(n, 9, 12);
}

static void another_attempt_is_announced_and_is_not_the_end(void **state)
{
    struct told *t = *state;
    RB_CLEANUP(rb_buf_release) struct rb_buf out = RB_BUF_INIT(65536);

    told_state(t, RB_STATE_FAILED_AGAIN,
               "the new build ended as FAILED; rty_01JD3V5T9QK8YB6W2E4R7XCZ5N by rule 'r': x");
    assert_false(rb_text_final(t->f->retry));
    rb_text_next(&t->f->view, RB_MARKUP_PLAIN, &out);
    assert_string_equal(rb_buf_str(&out), "Another retry follows.");
    told_state(t, RB_STATE_FAILED_AGAIN, "the new build ended as FAILED; no further attempt");
    assert_true(rb_text_final(t->f->retry));
}

static void nothing_from_outside_becomes_a_mention_or_markup(void **state)
{
    static const struct {
        enum rb_markup markup;
        const char *never[10];
    } rows[] = {
        {RB_MARKUP_SLACK, {"<!channel>", "<@U1>", "<http://x", "*bold*", "_it_", "`x`", "@here"}},
        {RB_MARKUP_DISCORD, {"@everyone", "<@1>", "[a](", " **b**", "`x`", "||s||"}},
        {RB_MARKUP_MARKDOWN, {"@acme/team", "#12", "!7", "[a](", "<img", "`x`", "**b**"}},
        {RB_MARKUP_PLAIN, {"\n", "\x1b"}},
    };
    static const char evil[] =
        "<!channel> <@U1> <http://x|y> *bold* _it_ `x` @here @everyone <@1> [a](http://b) **b** "
        "||s|| @acme/team #12 !7 <img src=x>\n\x1b[0m";
    struct told *t = *state;

    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        RB_CLEANUP(rb_buf_release) struct rb_buf out = RB_BUF_INIT(65536);
        t->f->retry->decision.reason = evil;
        summary(t, rows[i].markup, &out);
        for (size_t k = 0; rows[i].never[k] != NULL; k++) {
            if (strstr(rb_buf_str(&out), rows[i].never[k]) != NULL) {
                fail_msg("%zu: '%s' in %s", i, rows[i].never[k], rb_buf_str(&out));
            }
        }
    }
}

static void a_value_is_no_template(void **state)
{
    struct told *t = *state;
    RB_CLEANUP(rb_buf_release) struct rb_buf out = RB_BUF_INIT(65536);

    t->f->retry->decision.reason = "<project> <account>";
    rb_text_expand("<reason> <nothing> <project", &t->f->view, RB_MARKUP_PLAIN, &out);
    assert_string_equal(rb_buf_str(&out), "<project> <account> <nothing> <project");
}

static void texts_are_cut_at_code_points(void **state)
{
    static const struct {
        const char *text, *cut;
        size_t chars;
    } rows[] = {
        {"abc", "abc", 3},  {"abcd", "ab…", 3}, {"äöü", "äöü", 3},
        {"äöüß", "äö…", 3}, {"😀😀😀", "😀…", 2},   {"a", "…", 0},
    };

    (void)state;
    for (size_t i = 0; i + 1 < RB_ARRAY_LEN(rows); i++) {
        RB_CLEANUP(rb_buf_release) struct rb_buf b = RB_BUF_INIT(100);
        rb_buf_adds(&b, rows[i].text);
        rb_text_cut(&b, rows[i].chars);
        assert_string_equal(rb_buf_str(&b), rows[i].cut);
    }
    RB_CLEANUP(rb_buf_release) struct rb_buf full = RB_BUF_INIT(4);
    rb_buf_adds(&full, "abc");
    rb_buf_adds(&full, "ä");
    assert_true(rb_buf_failed(&full));
    rb_text_cut(&full, 10);
    assert_string_equal(rb_buf_str(&full), "abc");
}

static void a_description_has_at_most_140_characters(void **state)
{
    struct told *t = *state;
    RB_CLEANUP(rb_buf_release) struct rb_buf out = RB_BUF_INIT(65536);
    char reason[601];

    for (size_t i = 0; i < 300; i++) {
        memcpy(reason + 2 * i, "ä", 2);
    }
    reason[600] = '\0';
    t->f->retry->decision.reason = reason;
    rb_text_short(&t->f->view, 140, &out);
    size_t chars = 0;
    for (size_t i = 0; i < out.len; i++) {
        chars += ((unsigned char)out.data[i] & 0xC0) != 0x80;
    }
    assert_int_equal(chars, 140);
    assert_true(rb_utf8_valid(out.data, out.len));
}

static void a_link_that_could_end_its_markup_is_not_made(void **state)
{
    static const char *const bad[] = {"https://x/)[y](z", "https://x/|y>", "javascript:x",
                                      "https://x y",      "https://x/\"",  NULL};

    (void)state;
    for (size_t i = 0; bad[i] != NULL; i++) {
        RB_CLEANUP(rb_buf_release) struct rb_buf out = RB_BUF_INIT(1000);
        rb_text_link(RB_MARKUP_MARKDOWN, "31", bad[i], &out);
        rb_text_link(RB_MARKUP_SLACK, "31", bad[i], &out);
        assert_string_equal(rb_buf_str(&out), "3131");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TOLD_TEST(the_summary_names_attempt_rule_reason_and_both_builds),
        TOLD_TEST(every_reported_state_has_its_sentences),
        TOLD_TEST(another_attempt_is_announced_and_is_not_the_end),
        TOLD_TEST(nothing_from_outside_becomes_a_mention_or_markup),
        TOLD_TEST(a_value_is_no_template),
        TOLD_TEST(texts_are_cut_at_code_points),
        TOLD_TEST(a_description_has_at_most_140_characters),
        TOLD_TEST(a_link_that_could_end_its_markup_is_not_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

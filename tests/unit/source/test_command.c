/* What people type and what it means: one row a case. A meaning is "verb target [+flags]"; several
 * commands are separated by "; "; "!" begins the trouble that must be told (a part of it). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/command.h>

#define MAX_COMMANDS 4
#define ID "web-app:11111111-2222-4333-8444-555555555555"
#define UUID "11111111-2222-4333-8444-555555555555"
#define ARN "arn:aws:codebuild:eu-west-1:123456789012:build/" ID
#define CONSOLE \
    "https://eu-west-1.console.aws.amazon.com/codesuite/codebuild/123456789012/projects/"

struct row {
    const char *text, *meaning;
};

static const char *target_name(const struct rb_command *c)
{
    static const char *const names[] = {
        [RB_TARGET_NONE] = "none", [RB_TARGET_BUILD] = "build",     [RB_TARGET_UUID] = "uuid",
        [RB_TARGET_RETRY] = "rty", [RB_TARGET_PROJECT] = "project", [RB_TARGET_LAST] = "last",
        [RB_TARGET_PULL] = "pull", [RB_TARGET_COMMIT] = "commit",   [RB_TARGET_FAILED] = "failed",
    };
    return names[c->target];
}

static void describe(const struct rb_command *c, struct rb_buf *out)
{
    if (c->trouble != NULL) {
        rb_buf_addf(out, "!%s", c->trouble);
        return;
    }
    rb_buf_addf(out, "%s %s", rb_command_verb_name(c->verb), target_name(c));
    if (c->target == RB_TARGET_BUILD) {
        rb_buf_addf(out, "=%s", c->build.id);
        rb_buf_addf(out, "%s%s", c->build.region == NULL ? "" : "@",
                    c->build.region == NULL ? "" : c->build.region);
        rb_buf_addf(out, "%s%s", c->build.account == NULL ? "" : "/",
                    c->build.account == NULL ? "" : c->build.account);
    } else if (c->target != RB_TARGET_NONE && c->target != RB_TARGET_LAST &&
               c->target != RB_TARGET_FAILED) {
        rb_buf_addf(out, "=%s", c->target_text);
    }
    rb_buf_adds(out, c->force ? " +force" : "");
    rb_buf_adds(out, c->batch ? " +batch" : "");
    rb_buf_adds(out, c->failed_only ? " +failed-only" : "");
    rb_buf_adds(out, c->dry_run ? " +dry-run" : "");
    if (c->region != NULL && c->target != RB_TARGET_BUILD) {
        rb_buf_addf(out, " region=%s", c->region);
    }
    if (c->reason != NULL) {
        rb_buf_addf(out, " reason=%s", c->reason);
    }
}

/* parse - the text in memory of exactly its size, so that sanitizers see its end. */
static enum rb_code parse(const char *text, size_t len, bool bare, struct rb_arena *a,
                          struct rb_command *commands, unsigned *ret_n)
{
    RB_CLEANUP(rb_freep) char *exact = malloc(len == 0 ? 1 : len);
    assert_non_null(exact);
    memcpy(exact, text, len);
    struct rb_err err = {.code = RB_OK};
    return rb_command_parse((struct rb_slice){exact, len}, bare, a, commands, MAX_COMMANDS, ret_n,
                            &err);
}

static bool fits(const char *got, const char *wanted)
{
    return wanted[0] == '!' ? got[0] == '!' && strstr(got, wanted + 1) != NULL
                            : strcmp(got, wanted) == 0;
}

static void check_rows(const struct row *rows, size_t n, bool bare)
{
    for (size_t i = 0; i < n; i++) {
        RB_CLEANUP(rb_arena_release) struct rb_arena a;
        RB_CLEANUP(rb_buf_release) struct rb_buf got = RB_BUF_INIT(16384);
        struct rb_command commands[MAX_COMMANDS];
        unsigned found = 0;
        rb_arena_init(&a, 1 << 20);
        assert_int_equal(parse(rows[i].text, strlen(rows[i].text), bare, &a, commands, &found),
                         RB_OK);
        for (unsigned k = 0; k < found; k++) {
            rb_buf_adds(&got, k == 0 ? "" : "; ");
            describe(&commands[k], &got);
        }
        if (!fits(rb_buf_str(&got), rows[i].meaning)) {
            fail_msg("row %zu: \"%s\" means \"%s\", wanted \"%s\"", i, rows[i].text,
                     rb_buf_str(&got), rows[i].meaning);
        }
    }
}

static const struct row typed[] = {
    /* verbs and their defaults */
    {"", "retry last"},
    {"retry", "retry last"},
    {"RETRY Last", "retry last"},
    {"build " ID, "retry build=" ID},
    {"retry build " ID, "retry build=" ID},
    {"retry build", "retry project=build"},
    {"retry build --force", "retry project=build +force"},
    {"status", "status last"},
    {"list", "list none"},
    {"list web-app", "list project=web-app"},
    {"list #7", "list pull=#7"},
    {"approve rty_01ARZ3NDEKTSV4RRFFQ69G5FAV", "approve rty=rty_01ARZ3NDEKTSV4RRFFQ69G5FAV"},
    {"deny " ID " reason=no", "deny build=" ID " reason=no"},
    {"cancel web-app", "cancel project=web-app"},
    {"pause", "pause none"},
    {"pause web-app", "pause project=web-app"},
    {"resume", "resume none"},
    {"explain " ID, "explain build=" ID},
    {"help", "help none"},
    {"help retry", "help none"},
    {"version", "version none"},
    {"retrybuild retry web-app", "retry project=web-app"},
    {"/rb status", "status last"},
    {"rb", "retry last"},
    {"retest", "retry failed +failed-only"},
    {"retest #12", "retry pull=#12 +failed-only"},
    /* targets */
    {ID, "retry build=" ID},
    {ID ".", "retry build=" ID},
    {UUID, "retry uuid=" UUID},
    {ARN, "retry build=" ID "@eu-west-1/123456789012"},
    {"web-app", "retry project=web-app"},
    {"#12", "retry pull=#12"},
    {"!12", "retry pull=!12"},
    {"6113728", "retry commit=6113728"},
    {"6113728f27ae82c7b1a177c8d03f9e96e0adf246",
     "retry commit=6113728f27ae82c7b1a177c8d03f9e96e0adf246"},
    {CONSOLE "web-app/build/web-app%3A" UUID "/?region=eu-west-1",
     "retry build=" ID "@eu-west-1/123456789012"},
    {"https://us-east-1.console.aws.amazon.com/codebuild/home?region=us-east-1#/builds/" ID
     "/view/new",
     "retry build=" ID "@us-east-1"},
    {"https://console.aws.amazon.com/codebuild/home?region=us-west-2#/builds/" ID "/view/new",
     "retry build=" ID "@us-west-2"},
    {"retry build=" ID, "retry build=" ID},
    {"project=web-app", "retry project=web-app"},
    {"--project web-app", "retry project=web-app"},
    {"`" ID "`", "retry build=" ID},
    /* flags */
    {"retry " ID " --force --dry-run", "retry build=" ID " +force +dry-run"},
    {"retry --batch --failed-only last", "retry last +batch +failed-only"},
    {"last force=true", "retry last +force"},
    {"last --force=false", "retry last"},
    {"retry " ID " --region us-west-2", "retry build=" ID "@us-west-2"},
    {"retry web-app --region=us-west-2", "retry project=web-app region=us-west-2"},
    {"last --reason=\"the registry was down\"", "retry last reason=the registry was down"},
    {"last --reason='a \"b\" c'", "retry last reason=a \"b\" c"},
    {"last --reason=it's", "retry last reason=it's"},
    {"last --reason \"a \\\"b\\\"\"", "retry last reason=a \"b\""},
    /* what keyboards and chats make of it */
    {"retry last \xe2\x80\x94"
     "force",
     "retry last +force"},
    {"retry last \xe2\x80\x93"
     "force",
     "retry last +force"},
    {"last --reason=\xe2\x80\x9cnode lost\xe2\x80\x9d", "retry last reason=node lost"},
    {"retry\xc2\xa0last", "retry last"},
    {"  retry \t last  ", "retry last"},
    {"<@U123|bot> retry last", "retry last"},
    {"<at>retrybuild</at> retry last", "retry last"},
    {"<at>retrybuild</at>&nbsp;status", "status last"},
    {"retry <https://us-east-1.console.aws.amazon.com/codebuild/home?region=us-east-1#/builds/" ID
     "/view/new|the build>",
     "retry build=" ID "@us-east-1"},
    {"retry [it](" CONSOLE "web-app/build/web-app%3A" UUID "/)",
     "retry build=" ID "@eu-west-1/123456789012"},
    {"last --reason=\"a &amp; b &lt;c&gt;\"", "retry last reason=a & b <c>"},
    /* what is wrong is said, with the nearest right word */
    {"retry last --forse", "!did you mean '--force'"},
    {"retry last -force", "!did you mean '--force'"},
    {"retry last --zzz", "!unknown flag '--zzz'. Usage: retry"},
    {"retry last frce=true", "!did you mean '--force'"},
    {"staus", "!did you mean 'status'"},
    {"retyr", "!did you mean 'retry'"},
    {"retyr last", "!did you mean 'retry'"},
    {"retry web-app other", "!'other' is one too many"},
    {"retry <@U123>", "!is no target"},
    {"retry rty_123", "!no id of a retry"},
    {"retry a:b:c:d", "!is no build"},
    {"retry https://example.com/builds/" ID, "!no build of the CodeBuild console"},
    {"retry https://us-east-1.console.aws.amazon.com.evil.example/codebuild/home#/builds/" ID,
     "!no build of the CodeBuild console"},
    {"retry https://u@us-east-1.console.aws.amazon.com/codebuild/home#/builds/" ID,
     "!no build of the CodeBuild console"},
    {"retry https://us-east-1.console.aws.amazon.com/codebuild/home#/builds/web%00app:" UUID,
     "!no build of the CodeBuild console"},
    {"retry last --reason=\"open", "!not closed"},
    {"retry last --reason", "!needs a value"},
    {"retry last --region=US_EAST", "!is no region"},
    {"retry " ARN " --region=us-west-2", "!the build is one of eu-west-1"},
    {"retry last --force=maybe", "!true or false"},
    {"status --force", "!does not go with 'status'"},
    {"pause last", "!does not go with 'last'"},
    {"list " ID, "!'list' does not go with"},
    {"version 2x", "!does not go with"},
    {"retest web-app", "!takes no target but '#pr'"},
    {"retry %%", "!is no target"},
    {"retry --", "!unknown flag '--'"},
    {"retry \"\"", "!is no target"},
};

static void words_of_a_slash_command_mean_what_they_say(void **state)
{
    (void)state;
    assert_true(RB_ARRAY_LEN(typed) >= 85);
    check_rows(typed, RB_ARRAY_LEN(typed), true);
}

static const struct row written[] = {
    {"/retry", "retry last"},
    {"/retry " ID, "retry build=" ID},
    {"/retry " ID "\r\n", "retry build=" ID},
    {"/Retry LAST", "retry last"},
    {"   /retry", "retry last"},
    {"/retrybuild status", "status last"},
    {"/rb list", "list none"},
    {"/rb", "retry last"},
    {"/retest", "retry failed +failed-only"},
    {"/retest\n", "retry failed +failed-only"},
    {"/retry help", "help none"},
    {"/retry list", "list none"},
    {"This looks flaky.\n/retry\nThanks!", "retry last"},
    {"/retry one-app\n\n/retry two-app", "retry project=one-app; retry project=two-app"},
    {"/retry a1\n/retry a2\n/retry a3\n/retry a4\n/retry a5",
     "retry project=a1; retry project=a2; retry project=a3; "
     "!there are too many commands in one comment"},
    {"/retry --forse", "!did you mean '--force'"},
    {"/rb staus", "!did you mean 'status'"},
    {"/retry \xe2\x80\x94"
     "force",
     "retry last +force"},
    /* was not said */
    {"", ""},
    {"retry", ""},
    {"please /retry", ""},
    {"/retrying is fun", ""},
    {"/retry-all", ""},
    {"//retry", ""},
    {"/approve", ""},
    {"> /retry", ""},
    {"  > /retry", ""},
    {"`/retry`", ""},
    {"    /retry", ""},
    {"\t/retry", ""},
    {"```\n/retry\n```", ""},
    {"```sh\n/retry\n```\n", ""},
    {"~~~\n/retry\n~~~", ""},
    {"````\n```\n/retry\n````", ""},
    {"```\n/retry", ""},
    {"~~~\n```\n/retry\n~~~", ""},
    {"`code that\n/retry\nends here`", ""},
    {"``a ` b\n/retry\n``", ""},
    {"<!-- a template:\n/retry\n-->", ""},
    {"text <!-- a template:\n/retry\n-->", ""},
    {"<pre>\n/retry\n</pre>", ""},
    {"<!-- /retry -->", ""},
    /* was said all the same */
    {"```\ncode\n```\n/retry", "retry last"},
    {"```\n``\n```\n/retry", "retry last"},
    {"a ` that stands alone\n\n/retry", "retry last"},
    {"a ` that stands alone\n/retry", "retry last"},
    {"`one` and `two`\n/retry", "retry last"},
    {"``` not a fence ``` \n/retry", "retry last"},
    {"> quoted\n\n/retry", "retry last"},
    {"<!-- hidden -->\n/retry", "retry last"},
    {"<!-- never closed\n/retry", "retry last"},
    {"a <pre in the text\n/retry", "retry last"},
    {"/retry `" ID "`", "retry build=" ID},
};

static void lines_of_a_comment_mean_what_they_say(void **state)
{
    (void)state;
    assert_true(RB_ARRAY_LEN(written) >= 50);
    check_rows(written, RB_ARRAY_LEN(written), false);
}

static void fill(struct rb_buf *b, const char *piece, size_t len)
{
    while (b->len + strlen(piece) <= len) {
        rb_buf_adds(b, piece);
    }
}

/* Each of these would cost the square of its length if anything were looked for again and again. */
static void long_comment_is_read_in_passes(void **state)
{
    (void)state;
    static const char *const pieces[] = {"`",   "` ",     "``` ",  "a\n",          "<!--",
                                         "<!",  "\n> x",  "/r",    "/retry ",      "`a``b```c````",
                                         "<at", "<pre\n", "\n\n`", "\xe2\x80\x94", "/rb \"\n"};
    for (size_t i = 0; i < RB_ARRAY_LEN(pieces); i++) {
        RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(1 << 19);
        RB_CLEANUP(rb_arena_release) struct rb_arena a;
        struct rb_command commands[MAX_COMMANDS];
        unsigned n = 0;
        rb_arena_init(&a, 256 * 1024);
        fill(&text, pieces[i], 250 * 1024);
        rb_buf_adds(&text, "\n\n/rb status\n");
        assert_false(rb_buf_failed(&text));
        assert_int_equal(parse(rb_buf_str(&text), text.len, false, &a, commands, &n), RB_OK);
        assert_true(n <= MAX_COMMANDS);
    }
}

static void command_behind_64_kib_of_text_is_found(void **state)
{
    (void)state;
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(1 << 17);
    RB_CLEANUP(rb_arena_release) struct rb_arena a;
    struct rb_command commands[MAX_COMMANDS];
    unsigned n = 0;
    rb_arena_init(&a, 64 * 1024);
    fill(&text, "a line of a log\n", 65536 - 32);
    rb_buf_adds(&text, "/retry last\n");
    assert_int_equal(parse(rb_buf_str(&text), text.len, false, &a, commands, &n), RB_OK);
    assert_int_equal(n, 1);
    assert_int_equal(commands[0].target, RB_TARGET_LAST);
}

static void text_beyond_its_bound_is_refused(void **state)
{
    (void)state;
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(1 << 19);
    RB_CLEANUP(rb_arena_release) struct rb_arena a;
    struct rb_command commands[MAX_COMMANDS];
    unsigned n = 7;
    rb_arena_init(&a, 64 * 1024);
    fill(&text, "x", 256 * 1024 + 1);
    assert_int_equal(parse(rb_buf_str(&text), text.len, false, &a, commands, &n), RB_E_TOO_LARGE);
    assert_int_equal(n, 0);
}

static void every_verb_has_a_name_and_a_usage(void **state)
{
    (void)state;
    for (unsigned v = 0; v < RB_COMMAND_VERB_COUNT; v++) {
        enum rb_command_verb back = RB_COMMAND_VERB_COUNT;
        const char *name = rb_command_verb_name((enum rb_command_verb)v);
        assert_true(rb_command_verb_parse(name, &back));
        assert_int_equal(back, v);
        assert_true(rb_str_starts(rb_command_usage((enum rb_command_verb)v), name));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_of_a_slash_command_mean_what_they_say),
        cmocka_unit_test(lines_of_a_comment_mean_what_they_say),
        cmocka_unit_test(long_comment_is_read_in_passes),
        cmocka_unit_test(command_behind_64_kib_of_text_is_found),
        cmocka_unit_test(text_beyond_its_bound_is_refused),
        cmocka_unit_test(every_verb_has_a_name_and_a_usage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

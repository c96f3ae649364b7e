/* Commands of people, carried out on a real store: who may, what is meant, what is told. */
#include "world.h"

#include <string.h>

#include <retrybuild/command_run.h>

#define ANN "U100"

static struct rb_who_setting rows[2];
static struct rb_source_setting source;
static struct rb_arena arena;
static char id[RB_ID_BYTES];
static unsigned deliveries;
static char key[32];

static int setup(void **state)
{
    static const char *ann[] = {ANN};
    memset(rows, 0, sizeof rows);
    rows[0].users = (struct rb_strings){ann, 1};
    source = (struct rb_source_setting){.name = "chat", .type = "slack", .who = rows, .n_who = 1};
    rb_arena_init(&arena, 1 << 20);
    id[0] = '\0';
    return world_setup(state);
}

static int teardown(void **state)
{
    rb_arena_release(&arena);
    return world_teardown(state);
}

/* say - one command line of @who; the same delivery again when @again. */
static struct rb_command_answer say_at(struct world *w, const char *who, const char *text,
                                       const struct rb_place *place,
                                       const struct rb_command_facts *facts, bool again)
{
    struct rb_command c;
    unsigned n = 0;
    struct rb_command_answer answer;
    struct rb_err err = {.code = RB_OK};
    deliveries += again ? 0 : 1;
    (void)snprintf(key, sizeof key, "delivery-%u", deliveries);
    struct rb_delivery d = {
        .source = "chat", .type = "slack", .key = key, .at_ms = world_now_ms(w)};

    assert_int_equal(rb_command_parse(rb_slice_str(text), true, &arena, &c, 1, &n, &err), RB_OK);
    assert_int_equal(n, 1);
    c.actor = (struct rb_actor){.id = who, .name = "Ann"};
    if (place != NULL) {
        c.place = *place;
    }
    struct rb_command_request q = {
        .source = &source, .delivery = &d, .command = &c, .facts = facts, .version = "1.2.3"};
    enum rb_code rc = rb_command_run(w->engine, w->ses, &q, &arena, &answer, &err);
    if (rc != RB_OK) {
        fail_msg("'%s' broke: %s", text, err.msg);
    }
    return answer;
}

static struct rb_command_answer say(struct world *w, const char *who, const char *text)
{
    return say_at(w, who, text, NULL, NULL, false);
}

static void expect(const struct rb_command_answer *a, enum rb_command_outcome outcome,
                   const char *part)
{
    if (a->outcome != outcome || strstr(a->text, part) == NULL) {
        fail_msg("%s: \"%s\", wanted %s: \"%s\"", rb_command_outcome_name(a->outcome), a->text,
                 rb_command_outcome_name(outcome), part);
    }
}

/* A failure that the policy ignored: nothing is under way. */
static struct world_build *ignored(struct world *w, const char *project, const char *d)
{
    struct world_build *b = world_failed(w, project, "main");
    w->decision = (struct rb_decision){.action = RB_ACTION_IGNORE,
                                       .rule = "real",
                                       .reason = "looks like a real failure",
                                       .state = RB_STATE_IGNORED};
    (void)world_deliver(w, b, d, id);
    return b;
}

static void retry_last_starts_the_failure_and_names_everything(void **state)
{
    struct world *w = *state;
    struct world_build *b = ignored(w, "web", "d1");

    struct rb_command_answer a = say(w, ANN, "retry last --reason=\"node lost\"");
    expect(&a, RB_COMMAND_DONE, b->b.id);
    expect(&a, RB_COMMAND_DONE, "project web");
    expect(&a, RB_COMMAND_DONE, "attempt 1 of ");
    expect(&a, RB_COMMAND_DONE, "https://us-east-1.console.aws.amazon.com/codesuite/codebuild/");
    assert_true(a.in_public);
    assert_string_not_equal(a.retry, id);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, a.retry);
    assert_string_equal(r->requested_by, "Ann (U100)");
    assert_string_equal(r->request_reason, "node lost");
    assert_true(world_round(&w->inspect));
    assert_true(world_round(&w->submit));
    world_expect(w, a.retry, RB_STATE_RUNNING);
    assert_int_equal(w->n_effects, 1);
}

static void a_repeated_delivery_starts_nothing_twice(void **state)
{
    struct world *w = *state;
    (void)ignored(w, "web", "d1");

    struct rb_command_answer first = say(w, ANN, "retry web --force");
    struct rb_command_answer second = say_at(w, ANN, "retry web --force", NULL, NULL, true);
    expect(&first, RB_COMMAND_DONE, "Retrying");
    expect(&second, RB_COMMAND_ALREADY, "Already retrying");
    assert_string_equal(first.retry, second.retry);
}

static void what_is_under_way_is_said_to_be(void **state)
{
    struct world *w = *state;
    (void)ignored(w, "web", "d1");

    struct rb_command_answer first = say(w, ANN, "retry last");
    struct rb_command_answer second = say(w, ANN, "retry last");
    expect(&second, RB_COMMAND_ALREADY, "Already retrying");
    assert_string_equal(first.retry, second.retry);
}

static void a_stranger_is_told_what_is_missing_and_nothing_happens(void **state)
{
    struct world *w = *state;
    (void)ignored(w, "web", "d1");

    struct rb_command_answer a = say(w, "U666", "retry last");
    expect(&a, RB_COMMAND_DENIED, "you (U666) may not use 'retry'");
    expect(&a, RB_COMMAND_DENIED, "one of the listed users");
    assert_false(a.in_public);
    char newest[RB_ID_BYTES];
    world_newest(w, newest);
    assert_string_equal(newest, id);
}

static void without_who_nobody_in_a_chat_may(void **state)
{
    struct world *w = *state;
    source.n_who = 0;
    (void)ignored(w, "web", "d1");
    struct rb_command_answer a = say(w, ANN, "retry last");
    expect(&a, RB_COMMAND_DENIED, "Nobody is allowed to yet");
    a = say(w, ANN, "list");
    expect(&a, RB_COMMAND_DENIED, "Nobody is allowed to yet");
    a = say(w, ANN, "help");
    expect(&a, RB_COMMAND_TOLD, "retry [target]");
}

static void a_row_names_commands_projects_and_channels(void **state)
{
    static const char *verbs[] = {"retry"}, *projects[] = {"web*"}, *channels[] = {"C1"};
    struct world *w = *state;
    struct rb_place here = {.channel = "C1"}, there = {.channel = "C2"};

    rows[0] = (struct rb_who_setting){
        .channels = {channels, 1}, .commands = {verbs, 1}, .projects = {projects, 1}};
    (void)ignored(w, "api", "d1");
    (void)ignored(w, "web", "d2");
    struct rb_command_answer a = say_at(w, "U7", "retry web", &there, NULL, false);
    expect(&a, RB_COMMAND_DENIED, "one of the listed channels");
    a = say_at(w, "U7", "retry api", &here, NULL, false);
    expect(&a, RB_COMMAND_DENIED, "for api");
    a = say_at(w, "U7", "pause", &here, NULL, false);
    expect(&a, RB_COMMAND_DENIED, "'pause'");
    a = say_at(w, "U7", "retry web", &here, NULL, false);
    expect(&a, RB_COMMAND_DONE, "project web");
}

static void verbs_that_are_not_listed_are_off(void **state)
{
    static const char *verbs[] = {"status"};
    struct world *w = *state;
    source.commands = (struct rb_strings){verbs, 1};
    struct rb_command_answer a = say(w, ANN, "retry last");
    expect(&a, RB_COMMAND_REFUSED, "not switched on");
}

static void a_bot_is_not_listened_to(void **state)
{
    struct world *w = *state;
    struct rb_command c = {.verb = RB_COMMAND_PAUSE, .build = RB_BUILD_INIT};
    struct rb_delivery d = {.source = "chat", .type = "slack", .key = "k"};
    struct rb_command_answer a;
    struct rb_err err;
    const char **names = NULL;
    unsigned n = 7;

    c.actor = (struct rb_actor){.id = ANN, .bot = true};
    struct rb_command_request q = {.source = &source, .delivery = &d, .command = &c};
    assert_int_equal(rb_command_run(w->engine, w->ses, &q, &arena, &a, &err), RB_OK);
    assert_int_equal(a.outcome, RB_COMMAND_IGNORED);
    assert_int_equal(rb_store_paused(w->ses, &arena, &names, &n, &err), RB_OK);
    assert_int_equal(n, 0);
}

static void what_is_held_is_approved_denied_and_cancelled(void **state)
{
    struct world *w = *state;
    char text[64];

    w->decision = (struct rb_decision){.action = RB_ACTION_ASK,
                                       .rule = "ask",
                                       .reason = "a person decides",
                                       .limit = 2,
                                       .state = RB_STATE_HELD};
    (void)world_deliver(w, world_failed(w, "web", "main"), "d1", id);
    struct rb_command_answer a = say(w, ANN, "approve");
    expect(&a, RB_COMMAND_WRONG, "Which one?");
    (void)snprintf(text, sizeof text, "approve %s", id);
    a = say(w, ANN, text);
    expect(&a, RB_COMMAND_DONE, "Approved");
    world_expect(w, id, RB_STATE_SCHEDULED);
    a = say(w, ANN, text);
    expect(&a, RB_COMMAND_REFUSED, "only a retry that is held");
    a = say(w, ANN, "cancel web");
    expect(&a, RB_COMMAND_DONE, "Cancelled");
    world_expect(w, id, RB_STATE_CANCELLED);

    (void)world_deliver(w, world_failed(w, "api", "main"), "d2", id);
    a = say(w, ANN, "deny api");
    expect(&a, RB_COMMAND_DONE, "Denied");
    world_expect(w, id, RB_STATE_CANCELLED);
    (void)world_deliver(w, world_failed(w, "cli", "main"), "d3", id);
    a = say(w, ANN, "retry cli");
    expect(&a, RB_COMMAND_DONE, "Approved");
    world_expect(w, id, RB_STATE_SCHEDULED);
}

static void pause_and_resume_switch_and_are_told_to_all(void **state)
{
    struct world *w = *state;
    const char **names = NULL;
    unsigned n = 0;
    struct rb_err err;

    struct rb_command_answer a = say(w, ANN, "pause web");
    expect(&a, RB_COMMAND_DONE, "Paused web");
    assert_true(a.in_public);
    assert_int_equal(rb_store_paused(w->ses, &arena, &names, &n, &err), RB_OK);
    assert_int_equal(n, 1);
    assert_string_equal(names[0], "web");
    a = say(w, ANN, "resume web");
    expect(&a, RB_COMMAND_DONE, "Resumed web");
    assert_int_equal(rb_store_paused(w->ses, &arena, &names, &n, &err), RB_OK);
    assert_int_equal(n, 0);
}

static void questions_are_answered_in_private(void **state)
{
    struct world *w = *state;
    struct world_build *b = ignored(w, "web", "d1");

    struct rb_command_answer a = say(w, ANN, "status");
    expect(&a, RB_COMMAND_TOLD, b->b.id);
    assert_false(a.in_public);
    a = say(w, ANN, "list");
    expect(&a, RB_COMMAND_TOLD, "looks like a real failure");
    a = say(w, ANN, "explain web");
    expect(&a, RB_COMMAND_TOLD, "Rule `real` said ignore");
    a = say(w, ANN, "version");
    expect(&a, RB_COMMAND_TOLD, "retrybuild 1.2.3");
    a = say(w, ANN, "status nothing-of-the-kind");
    expect(&a, RB_COMMAND_TOLD, "No failed build is known for 'nothing-of-the-kind'");
    a = say(w, ANN, "staus");
    expect(&a, RB_COMMAND_WRONG, "did you mean 'status'");
}

static void dry_run_has_no_effect(void **state)
{
    struct world *w = *state;
    (void)ignored(w, "web", "d1");
    char newest[RB_ID_BYTES];

    struct rb_command_answer a = say(w, ANN, "retry web --dry-run");
    expect(&a, RB_COMMAND_TOLD, "Would retry `web:");
    world_newest(w, newest);
    assert_string_equal(newest, id);
}

static void a_build_nobody_told_of_is_asked_for_in_a_chat(void **state)
{
    struct world *w = *state;
    struct world_build *b = world_failed(w, "web", "main");
    char text[128];

    (void)snprintf(text, sizeof text, "retry %s", b->b.id);
    struct rb_command_answer a = say(w, ANN, text);
    expect(&a, RB_COMMAND_DONE, b->b.id);
    assert_true(world_round(&w->inspect));
    world_expect(w, a.retry, RB_STATE_SCHEDULED);
}

static void what_has_recovered_is_not_failed(void **state)
{
    struct world *w = *state;
    struct world_build *b = world_failed(w, "web", "main");
    char text[128];

    w->limit = 2;
    (void)world_deliver(w, b, "d1", id);
    assert_true(world_round(&w->submit));
    world_end(w, world_child_of(w, id), "SUCCEEDED");
    world_work(w, &w->follow, 60000);
    world_expect(w, id, RB_STATE_RECOVERED);
    (void)snprintf(text, sizeof text, "retry %s", b->b.id);
    struct rb_command_answer a = say(w, ANN, text);
    expect(&a, RB_COMMAND_REFUSED, "Not failed");
    a = say(w, ANN, "retry last");
    expect(&a, RB_COMMAND_REFUSED, "No failed build is known");
}

/* ---- in a comment of a git host ---- */

static const struct rb_place pull = {
    .repository = "o/r", .repository_url = "https://git.example/o/r", .pull_request = 12};

static struct world_build *of_pull(struct world *w, const char *project, const char *repository,
                                   const char *number, const char *d)
{
    struct world_build *b = world_failed(w, project, "pr/12");
    b->b.repository = repository;
    b->b.pull_request = number;
    w->decision = (struct rb_decision){.action = RB_ACTION_IGNORE,
                                       .rule = "real",
                                       .reason = "looks like a real failure",
                                       .state = RB_STATE_IGNORED};
    (void)world_deliver(w, b, d, id);
    return b;
}

static void retest_runs_what_failed_of_the_pull_request_and_only_that(void **state)
{
    struct world *w = *state;
    struct rb_command_facts f = {.permission = RB_PERMISSION_WRITE};
    source.n_who = 0;
    struct world_build *one = of_pull(w, "one", "https://git.example/o/r", "12", "d1");
    struct world_build *two = of_pull(w, "two", "https://git.example/O/R", "12", "d2");
    struct world_build *other = of_pull(w, "three", "https://git.example/o/r", "13", "d3");
    struct world_build *foreign = of_pull(w, "four", "https://git.example/x/y", "12", "d4");

    struct rb_command_answer a = say_at(w, "ann", "/retest", &pull, &f, false);
    expect(&a, RB_COMMAND_DONE, one->b.id);
    expect(&a, RB_COMMAND_DONE, two->b.id);
    assert_null(strstr(a.text, other->b.id));
    assert_null(strstr(a.text, foreign->b.id));
}

static void who_may_only_read_may_not_retry(void **state)
{
    struct world *w = *state;
    struct rb_command_facts f = {.permission = RB_PERMISSION_READ};
    source.n_who = 0;
    (void)of_pull(w, "one", "https://git.example/o/r", "12", "d1");
    struct rb_command_answer a = say_at(w, "bob", "/retest", &pull, &f, false);
    expect(&a, RB_COMMAND_DENIED, "permission 'write' on the repository");
    a = say_at(w, "bob", "/retest", &pull, NULL, false);
    expect(&a, RB_COMMAND_DENIED, "permission 'write' on the repository");
}

static void a_comment_cannot_reach_another_repository(void **state)
{
    struct world *w = *state;
    struct rb_command_facts f = {.permission = RB_PERMISSION_ADMIN};
    char text[128];
    source.n_who = 0;
    struct world_build *foreign = of_pull(w, "four", "https://git.example/x/y", "12", "d4");
    struct world_build *unknown = world_failed(w, "five", "main");

    (void)snprintf(text, sizeof text, "retry %s", foreign->b.id);
    struct rb_command_answer a = say_at(w, "ann", text, &pull, &f, false);
    expect(&a, RB_COMMAND_REFUSED, "in this repository");
    (void)snprintf(text, sizeof text, "retry %s", unknown->b.id);
    a = say_at(w, "ann", text, &pull, &f, false);
    expect(&a, RB_COMMAND_REFUSED, "in this repository");
    a = say_at(w, "ann", "pause", &pull, &f, false);
    expect(&a, RB_COMMAND_DENIED, "may not use 'pause'");
}

static void what_the_host_shows_as_failed_is_retried_too(void **state)
{
    struct world *w = *state;
    struct world_build *b = world_failed(w, "five", "main");
    struct rb_command_facts f = {.permission = RB_PERMISSION_WRITE, .builds = &b->b, .n_builds = 1};
    source.n_who = 0;
    struct rb_command_answer a = say_at(w, "ann", "/retest", &pull, &f, false);
    expect(&a, RB_COMMAND_DONE, b->b.id);
    struct rb_command_answer again = say_at(w, "ann", "/retest", &pull, &f, true);
    expect(&again, RB_COMMAND_ALREADY, b->b.id);
    assert_string_equal(a.retry, again.retry);
}

static void a_closed_pull_request_is_left_alone(void **state)
{
    struct world *w = *state;
    struct rb_command_facts f = {.permission = RB_PERMISSION_WRITE, .closed = true};
    source.n_who = 0;
    (void)of_pull(w, "one", "https://git.example/o/r", "12", "d1");
    struct rb_command_answer a = say_at(w, "ann", "/retest", &pull, &f, false);
    expect(&a, RB_COMMAND_REFUSED, "closed");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(retry_last_starts_the_failure_and_names_everything),
        TEST(a_repeated_delivery_starts_nothing_twice),
        TEST(what_is_under_way_is_said_to_be),
        TEST(a_stranger_is_told_what_is_missing_and_nothing_happens),
        TEST(without_who_nobody_in_a_chat_may),
        TEST(a_row_names_commands_projects_and_channels),
        TEST(verbs_that_are_not_listed_are_off),
        TEST(a_bot_is_not_listened_to),
        TEST(what_is_held_is_approved_denied_and_cancelled),
        TEST(pause_and_resume_switch_and_are_told_to_all),
        TEST(questions_are_answered_in_private),
        TEST(dry_run_has_no_effect),
        TEST(a_build_nobody_told_of_is_asked_for_in_a_chat),
        TEST(what_has_recovered_is_not_failed),
        TEST(retest_runs_what_failed_of_the_pull_request_and_only_that),
        TEST(who_may_only_read_may_not_retry),
        TEST(a_comment_cannot_reach_another_repository),
        TEST(what_the_host_shows_as_failed_is_retried_too),
        TEST(a_closed_pull_request_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

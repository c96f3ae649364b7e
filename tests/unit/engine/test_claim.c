/* What a git host asserts of a build must be shown by the build itself. */
#include "world.h"

#include <stdio.h>
#include <string.h>

#define COMMIT "1111111111111111111111111111111111111111"
#define OURS "https://github.com/o/r"
#define THEIRS "https://github.com/o/other"

static char id[RB_ID_BYTES];
static char key[32];
static unsigned deliveries;
static struct rb_source_setting source;
static struct rb_who_setting row;

/* A build without a commit, such as one that failed before its source was there. */
static struct world_build *bare(struct world *w, const char *type, const char *location)
{
    struct world_build *b = world_failed(w, "web", "main");
    b->b.resolved_version = NULL;
    b->b.source_type = type;
    b->b.repository = location;
    return b;
}

/* told - by the status of a commit in @repository. */
static void told(struct world *w, const struct world_build *b, const char *type,
                 const char *repository, const char *commit)
{
    struct rb_admission *a = NULL;
    struct rb_err err;
    struct rb_event ev = {.kind = RB_EVENT_FAILURE, .build = RB_BUILD_INIT, .at_ms = w->now_ms};
    const struct rb_delivery d = {.source = "hooks", .type = type, .key = key};

    (void)snprintf(key, sizeof key, "d%u", deliveries++);
    ev.needs_inspection = true;
    ev.build.account = b->b.account;
    ev.build.region = b->b.region;
    ev.build.project = b->b.project;
    ev.build.id = b->id;
    ev.build.repository = repository;
    ev.build.resolved_version = commit;
    assert_int_equal(rb_engine_admission_new(w->engine, &ev, &d, &a, &err), RB_OK);
    assert_int_equal(rb_store_admit(w->ses, &a, 1, w->now_ms, &err), RB_OK);
    memcpy(id, a->retry_id, RB_ID_BYTES);
    rb_engine_admission_free(a);
    assert_true(world_round(&w->inspect));
}

static void who(struct world *w, struct rb_who_setting r)
{
    row = r;
    source = (struct rb_source_setting){.name = "hooks", .type = "github", .who = &row, .n_who = 1};
    w->settings->sources = &source;
    w->settings->n_sources = 1;
}

static void refused(struct world *w, const char *why)
{
    world_expect(w, id, RB_STATE_REFUSED);
    if (!world_noted(w, id, why)) {
        fail_msg("the note does not say: %s", why);
    }
}

static void without_a_commit_the_repository_shows_whose_a_build_is(void **state)
{
    struct world *w = *state;
    told(w, bare(w, "GITHUB", OURS ".git"), "github", OURS, COMMIT);
    world_expect(w, id, RB_STATE_SCHEDULED);
}

static void a_build_of_another_repository_is_refused(void **state)
{
    struct world *w = *state;
    told(w, bare(w, "GITHUB", THEIRS), "github", OURS, COMMIT);
    refused(w, "the delivery is of repository " OURS ", but the build is of " THEIRS);
}

static void a_delivery_without_a_repository_shows_nothing(void **state)
{
    struct world *w = *state;
    told(w, bare(w, "GITHUB", THEIRS), "gitlab", NULL, COMMIT);
    refused(w, "names no repository");
}

static void the_full_commit_shows_it_too(void **state)
{
    struct world *w = *state;
    struct world_build *b = bare(w, "CODECOMMIT",
                                 "https://git-codecommit.us-east-1.amazonaws.com/"
                                 "v1/repos/mirror");
    b->b.resolved_version = COMMIT;
    told(w, b, "gitea", OURS, COMMIT);
    world_expect(w, id, RB_STATE_SCHEDULED);
}

static void a_part_of_the_commit_does_not(void **state)
{
    struct world *w = *state;
    struct world_build *b = bare(w, "GITHUB", THEIRS);
    b->b.resolved_version = COMMIT;
    told(w, b, "bitbucket", OURS, "11111111");
    refused(w, "but the build is of");
}

static void a_build_without_a_repository_is_refused_with_what_would_allow_it(void **state)
{
    struct world *w = *state;
    who(w, (struct rb_who_setting){.permission = RB_PERMISSION_WRITE});
    told(w, bare(w, "S3", "bucket/key.zip"), "github", OURS, COMMIT);
    refused(w, "has no repository (source type S3)");
    assert_true(world_noted(w, id, "lists project web"));
}

static void a_row_that_lists_the_project_allows_it(void **state)
{
    static const char *web[] = {"we?"};
    struct world *w = *state;
    who(w, (struct rb_who_setting){.permission = RB_PERMISSION_WRITE, .projects = {web, 1}});
    told(w, bare(w, "NO_SOURCE", NULL), "github", OURS, COMMIT);
    world_expect(w, id, RB_STATE_SCHEDULED);
}

static void a_row_of_few_does_not_speak_for_all_who_may_write(void **state)
{
    static const char *web[] = {"web"}, *ann[] = {"ann"}, *status[] = {"status"};
    const struct rb_who_setting rows[] = {
        {.permission = RB_PERMISSION_WRITE, .projects = {web, 1}, .users = {ann, 1}},
        {.permission = RB_PERMISSION_WRITE, .projects = {web, 1}, .groups = {ann, 1}},
        {.permission = RB_PERMISSION_WRITE, .projects = {web, 1}, .commands = {status, 1}},
        {.permission = RB_PERMISSION_WRITE, .projects = {ann, 1}},
        {.permission = RB_PERMISSION_ADMIN, .projects = {web, 1}},
        {.projects = {web, 1}},
    };
    struct world *w = *state;
    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        who(w, rows[i]);
        told(w, bare(w, "S3", "bucket/key.zip"), "github", OURS, COMMIT);
        refused(w, "has no repository");
    }
}

static void what_aws_itself_tells_needs_no_repository(void **state)
{
    struct world *w = *state;
    told(w, bare(w, "S3", "bucket/key.zip"), "eventbridge", NULL, NULL);
    world_expect(w, id, RB_STATE_SCHEDULED);
}

#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(without_a_commit_the_repository_shows_whose_a_build_is),
        T(a_build_of_another_repository_is_refused),
        T(a_delivery_without_a_repository_shows_nothing),
        T(the_full_commit_shows_it_too),
        T(a_part_of_the_commit_does_not),
        T(a_build_without_a_repository_is_refused_with_what_would_allow_it),
        T(a_row_that_lists_the_project_allows_it),
        T(a_row_of_few_does_not_speak_for_all_who_may_write),
        T(what_aws_itself_tells_needs_no_repository),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

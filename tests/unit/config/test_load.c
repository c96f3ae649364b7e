/* test_load.c - where settings come from: files, environment, folders; and what a reload says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/config.h>
#include <retrybuild/str.h>

#define MAX_TEXT ((size_t)1 << 20)
#define CANARY "CANARY-0123456789-abcdef"

static char dir[64];

static int make_dir(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/retrybuild-config-XXXXXX");
    (void)unsetenv("STATE_DIRECTORY");
    (void)unsetenv("AWS_REGION");
    (void)unsetenv("AWS_DEFAULT_REGION");
    (void)unsetenv("RETRYBUILD_CONFIG");
    return mkdtemp(dir) == NULL ? -1 : 0;
}

static void in_dir(const char *name, char *ret_path, size_t len)
{
    (void)snprintf(ret_path, len, "%s/%s", dir, name);
}

static int remove_dir(void **state)
{
    static const char *const names[] = {"a.yaml", "ca.pem", "key", "large.yaml"};
    (void)state;
    for (unsigned i = 0; i < RB_ARRAY_LEN(names); i++) {
        char path[128];
        in_dir(names[i], path, sizeof path);
        (void)unlink(path);
    }
    return rmdir(dir);
}

static void put(const char *name, const char *text)
{
    char path[128];
    in_dir(name, path, sizeof path);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

/* parse - @text, which must be good, as if it stood in the test's folder. */
static struct rb_settings *parse(const char *text)
{
    struct rb_settings *s = NULL;
    struct rb_problems problems;
    struct rb_err err = {0};
    enum rb_code rc = rb_config_parse(text, strlen(text), "a.yaml", dir, &s, &problems, &err);
    if (rc != RB_OK) {
        fail_msg("%s", problems.n > 0 ? problems.items[0].text : err.msg);
    }
    rb_problems_release(&problems);
    return s;
}

static void without_a_file_the_defaults_hold(void **state)
{
    (void)state;
    RB_CLEANUP(rb_settings_unrefp) struct rb_settings *s = NULL;
    struct rb_problems problems;
    assert_int_equal(rb_config_load(NULL, &s, &problems, NULL), RB_OK);
    assert_string_equal(s->listen.address, "127.0.0.1:8080");
    assert_int_equal(s->listen.max_body, 1024 * 1024);
    assert_string_equal(rb_secret_data(s->store.url), "sqlite:retrybuild.db");
    assert_string_equal(s->aws.region, "us-east-1");
    assert_int_equal(s->timing.lease_ms, 30000);
    assert_int_equal(s->projects_allow.n, 1);
    assert_null(s->path);
    rb_problems_release(&problems);
}

static void a_missing_file_is_not_found(void **state)
{
    (void)state;
    struct rb_settings *s = NULL;
    struct rb_problems problems;
    struct rb_err err = {0};
    char path[128];
    in_dir("absent.yaml", path, sizeof path);
    assert_int_equal(rb_config_load(path, &s, &problems, &err), RB_E_NOT_FOUND);
    assert_non_null(strstr(err.msg, "absent.yaml"));
    assert_int_equal(problems.n, 0);
}

static void a_folder_or_a_file_beyond_1_mib_is_an_error(void **state)
{
    (void)state;
    struct rb_settings *s = NULL;
    struct rb_problems problems;
    struct rb_err err = {0};
    char path[128];
    assert_int_equal(rb_config_load(dir, &s, &problems, &err), RB_E_IO);
    char *large = malloc(RB_CONFIG_MAX_BYTES + 2);
    memset(large, '#', RB_CONFIG_MAX_BYTES + 1);
    large[RB_CONFIG_MAX_BYTES + 1] = '\0';
    put("large.yaml", large);
    free(large);
    in_dir("large.yaml", path, sizeof path);
    assert_int_equal(rb_config_load(path, &s, &problems, &err), RB_E_TOO_LARGE);
    assert_null(s);
}

static void paths_are_relative_to_the_file(void **state)
{
    (void)state;
    char path[128];
    put("key", "the-secret\n");
    put("ca.pem", "");
    put("a.yaml", "network: {ca_file: ca.pem}\n"
                  "sources: [{name: a, type: eventbridge, secrets: [{file: key}]}]\n");
    in_dir("a.yaml", path, sizeof path);
    RB_CLEANUP(rb_settings_unrefp) struct rb_settings *s = NULL;
    struct rb_problems problems;
    assert_int_equal(rb_config_load(path, &s, &problems, NULL), RB_OK);
    in_dir("ca.pem", path, sizeof path);
    assert_string_equal(s->network.ca_file, path);
    assert_string_equal(rb_secret_data(s->sources[0].secrets.items[0].secret), "the-secret");
    assert_string_equal(s->base_dir, dir);
}

static void an_absolute_path_stays(void **state)
{
    (void)state;
    RB_CLEANUP(rb_settings_unrefp)
    struct rb_settings *s = parse("network: {ca_file: /dev/null}\n");
    assert_string_equal(s->network.ca_file, "/dev/null");
}

static void a_relative_store_lies_in_the_state_directory_or_beside_the_file(void **state)
{
    (void)state;
    char wanted[128];
    (void)snprintf(wanted, sizeof wanted, "sqlite:%s/x.db", dir);
    struct rb_settings *s = parse("store: {url: \"sqlite:x.db\"}\n");
    assert_string_equal(rb_secret_data(s->store.url), wanted);
    rb_settings_unref(s);
    assert_int_equal(setenv("STATE_DIRECTORY", "/var/lib/retrybuild:/var/lib/other", 1), 0);
    s = parse("store: {url: \"sqlite:x.db\"}\n");
    assert_string_equal(rb_secret_data(s->store.url), "sqlite:/var/lib/retrybuild/x.db");
    rb_settings_unref(s);
    s = parse("store: {url: \"sqlite:/srv/x.db\"}\n");
    assert_string_equal(rb_secret_data(s->store.url), "sqlite:/srv/x.db");
    rb_settings_unref(s);
    assert_int_equal(unsetenv("STATE_DIRECTORY"), 0);
}

static void a_folder_with_a_colon_keeps_its_store(void **state)
{
    (void)state;
    struct rb_settings *s = NULL;
    struct rb_problems problems;
    assert_int_equal(rb_config_parse("", 0, "a.yaml", "/srv/a:b", &s, &problems, NULL), RB_OK);
    assert_string_equal(rb_secret_data(s->store.url), "sqlite:/srv/a:b/retrybuild.db");
    rb_settings_unref(s);
}

static void variables_expand_with_and_without_a_default(void **state)
{
    (void)state;
    assert_int_equal(setenv("RB_TEST_PORT", "9000", 1), 0);
    assert_int_equal(unsetenv("RB_TEST_ABSENT"), 0);
    RB_CLEANUP(rb_settings_unrefp)
    struct rb_settings *s =
        parse("listen: {address: \"${RB_TEST_ABSENT:-127.0.0.1}:${RB_TEST_PORT}\"}\n"
              "aws: {endpoint_url: \"http://a$b/$\"}\n"
              "store: {retention: \"${RB_TEST_ABSENT:-7d}\", "
              "password: \"${RB_TEST_ABSENT:-a}${RB_TEST_PORT}\"}\n");
    assert_string_equal(s->listen.address, "127.0.0.1:9000");
    assert_string_equal(s->aws.endpoint_url, "http://a$b/$");
    assert_int_equal(s->store.retention_ms, INT64_C(7) * 86400000);
    assert_string_equal(rb_secret_data(s->store.password), "a9000");
}

static void the_region_comes_from_the_environment_when_the_file_has_none(void **state)
{
    (void)state;
    assert_int_equal(setenv("AWS_DEFAULT_REGION", "eu-west-1", 1), 0);
    struct rb_settings *s = parse("");
    assert_string_equal(s->aws.region, "eu-west-1");
    rb_settings_unref(s);
    assert_int_equal(setenv("AWS_REGION", "eu-north-1", 1), 0);
    s = parse("");
    assert_string_equal(s->aws.region, "eu-north-1");
    rb_settings_unref(s);
    s = parse("aws: {region: us-west-2}");
    assert_string_equal(s->aws.region, "us-west-2");
    rb_settings_unref(s);
    assert_int_equal(unsetenv("AWS_REGION") + unsetenv("AWS_DEFAULT_REGION"), 0);
}

static void a_date_counts_to_the_end_of_its_day(void **state)
{
    (void)state;
    RB_CLEANUP(rb_settings_unrefp)
    struct rb_settings *s =
        parse("sources: [{name: a, type: eventbridge, secrets: [{value: x, not_after: 1970-01-01}, "
              "{value: y, not_after: \"1970-01-01T00:00:01Z\"}, {value: z}]}]\n");
    assert_int_equal(s->sources[0].secrets.items[0].not_after_ms, 86400000);
    assert_int_equal(s->sources[0].secrets.items[1].not_after_ms, 1000);
    assert_int_equal(s->sources[0].secrets.items[2].not_after_ms, 0);
}

static void a_reload_names_each_change_once(void **state)
{
    (void)state;
    RB_CLEANUP(rb_buf_release) struct rb_buf diff = RB_BUF_INIT(MAX_TEXT);
    RB_CLEANUP(rb_settings_unrefp)
    struct rb_settings *before = parse(
        "listen: {max_body: 1MiB}\nrules: [{name: a, limit: 1}, {name: b}]\nworkers: {submit: 2}\n"
        "projects: {deny: [x]}\n");
    RB_CLEANUP(rb_settings_unrefp)
    struct rb_settings *after =
        parse("listen: {max_body: 2MiB}\nrules: [{name: a, limit: 3, delay: {fixed: 0s}}]\n"
              "workers: {submit: 4}\nprojects: {deny: [x, y]}\nmode: ask\n");
    rb_config_diff(before, after, &diff);
    assert_string_equal(rb_buf_str(&diff), "listen.max_body: 1048576 -> 2097152\n"
                                           "mode: auto -> ask\n"
                                           "workers.submit: 2 -> 4 (needs a restart)\n"
                                           "projects.deny: [x] -> [x, y]\n"
                                           "rules: 2 entries -> 1\n"
                                           "rules[0].limit: 1 -> 3\n"
                                           "rules[0].delay: changed\n");
    rb_buf_clear(&diff);
    rb_config_diff(after, after, &diff);
    assert_string_equal(rb_buf_str(&diff), "");
}

static void a_reload_shows_no_secret(void **state)
{
    (void)state;
    static const char *const text =
        "api: {tokens: [{name: a, role: viewer, secret: \"%s-one-secret\"}]}\n"
        "store: {url: \"redis://u:%s@h\", password: \"%s\"}\n"
        "sources: [{name: a, type: eventbridge, secrets: [{value: \"%s\"}]}]\n"
        "destinations: [{name: a, type: webhook, url: \"https://h/%s\", secrets: [{value: "
        "\"%s\"}]}]\n"
        "network: {proxy: \"http://u:%s@proxy:3128\"}\n"
        "aws: {endpoint_url: \"http://%s@host/\"}\n";
    struct rb_settings *s[2];
    for (int i = 0; i < 2; i++) {
        static const char *const words[] = {CANARY "-1", CANARY "-2"};
        const char *w = words[i];
        RB_CLEANUP(rb_freep) char *made = NULL;
        assert_true(asprintf(&made, text, w, w, w, w, w, w, w, w) > 0);
        s[i] = parse(made);
    }
    RB_CLEANUP(rb_buf_release) struct rb_buf diff = RB_BUF_INIT(MAX_TEXT);
    rb_config_diff(s[0], s[1], &diff);
    assert_string_equal(rb_buf_str(&diff),
                        "api.tokens[0].secret: changed\n"
                        "store.url: changed (needs a restart)\n"
                        "store.password: changed (needs a restart)\n"
                        "aws.endpoint_url: http://***@host/ -> http://***@host/ (needs a restart)\n"
                        "sources[0].secrets: changed\n"
                        "destinations[0].url: changed\n"
                        "destinations[0].secrets: changed\n"
                        "network.proxy: http://***@proxy:3128 -> http://***@proxy:3128 (needs a "
                        "restart)\n");
    rb_settings_unref(s[0]);
    rb_settings_unref(s[1]);
}

static void a_rule_holds_what_was_written(void **state)
{
    (void)state;
    RB_CLEANUP(rb_settings_unrefp)
    struct rb_settings *s =
        parse("rules:\n"
              "  - name: one\n"
              "    when: {project: [a, \"!b\"], repository: r, branch: [main], account: [\"1\"], "
              "region: [x], source: [s], status: [FAULT], phase: [BUILD], phase_status: [FAILED], "
              "initiator: [i], message: 'a.*b'}\n"
              "    then: ask\n    limit: 3\n    delay: {list: [1s, 2m]}\n"
              "  - then: ignore\n    delay: {base: 1s, cap: 2s}\n"
              "  - delay: {fixed: 0s}\n");
    assert_int_equal(s->n_rules, 3);
    const struct rb_rule_setting *r = &s->rules[0];
    assert_string_equal(r->name, "one");
    assert_int_equal(r->when.project.n, 2);
    assert_string_equal(r->when.project.items[1], "!b");
    const struct rb_strings *each[] = {
        &r->when.repository, &r->when.branch,       &r->when.account,
        &r->when.region,     &r->when.source,       &r->when.status,
        &r->when.phase,      &r->when.phase_status, &r->when.initiator,
    };
    static const char *const words[] = {"r",     "main",  "1",      "x", "s",
                                        "FAULT", "BUILD", "FAILED", "i"};
    for (unsigned i = 0; i < RB_ARRAY_LEN(each); i++) {
        assert_int_equal(each[i]->n, 1);
        assert_string_equal(each[i]->items[0], words[i]);
    }
    assert_string_equal(r->when.message, "a.*b");
    assert_int_equal(r->then, RB_ACTION_ASK);
    assert_int_equal(r->limit, 3);
    assert_int_equal(r->delay.kind, RB_DELAY_LIST);
    assert_int_equal(r->delay.n_list, 2);
    assert_int_equal(r->delay.list_ms[1], 120000);
    assert_int_equal(r->line, 2);
    r = &s->rules[1];
    assert_string_equal(r->name, "rule-2");
    assert_int_equal(r->then, RB_ACTION_IGNORE);
    assert_int_equal(r->limit, 1);
    assert_int_equal(r->delay.kind, RB_DELAY_JITTER);
    assert_int_equal(r->delay.base_ms, 1000);
    assert_int_equal(r->delay.cap_ms, 2000);
    assert_int_equal(s->rules[2].then, RB_ACTION_RETRY);
    assert_int_equal(s->rules[2].delay.kind, RB_DELAY_FIXED);
    assert_int_equal(s->rules[2].delay.list_ms[0], 0);
}

static void a_destination_holds_what_was_written(void **state)
{
    (void)state;
    RB_CLEANUP(rb_settings_unrefp)
    struct rb_settings *s =
        parse("destinations:\n"
              "  - {name: a, type: webhook, url: 'https://h/p', secrets: [{value: k}], "
              "stages: [held, finished], timeout: 3s, give_up: 1h, schedule: [1s, 5m], "
              "max_in_flight: 2, when: {project: [p], branch: [b], repository: [r], "
              "outcome: [dead], source: [s]}}\n"
              "  - {name: b, type: webhook, url: 'https://h/p'}\n");
    const struct rb_destination_setting *d = s->destinations;
    assert_int_equal(s->n_destinations, 2);
    assert_string_equal(rb_secret_data(d->url), "https://h/p");
    assert_int_equal(d->secrets.n, 1);
    assert_true(d->stages[RB_STAGE_HELD] && d->stages[RB_STAGE_FINISHED]);
    assert_false(d->stages[RB_STAGE_STARTED] || d->stages[RB_STAGE_REFUSED]);
    assert_int_equal(d->timeout_ms, 3000);
    assert_int_equal(d->give_up_ms, 3600000);
    assert_int_equal(d->n_schedule, 2);
    assert_int_equal(d->schedule_ms[1], 300000);
    assert_int_equal(d->max_in_flight, 2);
    assert_string_equal(d->when_outcome.items[0], "dead");
    assert_int_equal(d->when_project.n + d->when_branch.n + d->when_repository.n + d->when_source.n,
                     4);
    d++;
    assert_int_equal(d->timeout_ms, 0);
    assert_int_equal(d->give_up_ms, 86400000);
    assert_int_equal(d->n_schedule, 0);
    for (unsigned i = 0; i < RB_STAGE_COUNT; i++) {
        assert_true(d->stages[i]);
    }
}

static void a_place_is_found_for_keys_items_and_forms(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        unsigned line, column;
    } cases[] = {{"network.allow[1]", 3, 5}, {"network.allow[7]", 1, 11}, {"network", 1, 1},
                 {"network.proxy", 1, 1},    {"store.url", 5, 3},         {"timing.lease", 0, 0}};
    assert_int_equal(setenv("RB_TEST_URL", "sqlite:/x", 1), 0);
    RB_CLEANUP(rb_settings_unrefp)
    struct rb_settings *s = parse(
        "network: {allow: [\n    127.0.0.1,\n    \"::1\"]}\nstore:\n  url_env: RB_TEST_URL\n");
    for (unsigned i = 0; i < RB_ARRAY_LEN(cases); i++) {
        unsigned line = 99;
        unsigned column = 99;
        rb_config_place(s, cases[i].path, &line, &column);
        if (line != cases[i].line || column != cases[i].column) {
            fail_msg("%s: %u:%u", cases[i].path, line, column);
        }
    }
}

static void the_environment_names_the_file(void **state)
{
    (void)state;
    assert_int_equal(setenv("RETRYBUILD_CONFIG", "/srv/mine.yaml", 1), 0);
    assert_string_equal(rb_config_find(), "/srv/mine.yaml");
    assert_int_equal(unsetenv("RETRYBUILD_CONFIG"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_file_the_defaults_hold),
        cmocka_unit_test(a_missing_file_is_not_found),
        cmocka_unit_test(a_folder_or_a_file_beyond_1_mib_is_an_error),
        cmocka_unit_test(paths_are_relative_to_the_file),
        cmocka_unit_test(an_absolute_path_stays),
        cmocka_unit_test(a_relative_store_lies_in_the_state_directory_or_beside_the_file),
        cmocka_unit_test(a_folder_with_a_colon_keeps_its_store),
        cmocka_unit_test(variables_expand_with_and_without_a_default),
        cmocka_unit_test(the_region_comes_from_the_environment_when_the_file_has_none),
        cmocka_unit_test(a_date_counts_to_the_end_of_its_day),
        cmocka_unit_test(a_reload_names_each_change_once),
        cmocka_unit_test(a_reload_shows_no_secret),
        cmocka_unit_test(a_rule_holds_what_was_written),
        cmocka_unit_test(a_destination_holds_what_was_written),
        cmocka_unit_test(a_place_is_found_for_keys_items_and_forms),
        cmocka_unit_test(the_environment_names_the_file),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}

/* explain.c - retrybuild explain: what would be decided, and why, without effect.
 *
 * A payload is explained here, by the configuration, and so is a build that CodeBuild is asked
 * about; a past retry is the service's to explain, whose store knows it.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/clock.h>
#include <retrybuild/codebuild.h>
#include <retrybuild/config.h>
#include <retrybuild/explain.h>
#include <retrybuild/json.h>

#include "client.h"
#include "problems.h"

#define PAYLOAD_MAX_BYTES ((size_t)32 * 1024 * 1024)
#define ARENA_MAX_BYTES ((size_t)64 * 1024 * 1024)
#define ANSWER_MAX_BYTES ((size_t)4 * 1024 * 1024)
#define LOG_TAIL_BYTES ((size_t)64 * 1024)

struct explaining {
    struct rb_client client;
    const char *config, *source;
    struct rb_settings *settings;
    struct rb_policy *policy;
    struct rb_arena arena;
};

static const char *no_header(const void *arg, const char *name, unsigned *ret_n)
{
    (void)arg;
    (void)name;
    if (ret_n != NULL) {
        *ret_n = 0;
    }
    return NULL;
}

static int failed(const struct rb_err *err)
{
    rb_cli_error(&rb_command_explain, "%s", err->msg);
    return err->code == RB_E_NOT_FOUND ? RB_EXIT_USAGE : RB_EXIT_FAILED;
}

/* ---- text for people ---- */

static void print_rules(const json_t *rules)
{
    size_t i = 0;
    json_t *row = NULL;
    json_array_foreach(rules, i, row)
    {
        const json_t *matched = json_object_get(row, "matched");
        const char *failed_by = rb_member(row, "failed");
        RB_CLEANUP(rb_freep) char *name = rb_cli_printable(rb_member(row, "name"));
        RB_CLEANUP(rb_freep) char *why = rb_cli_printable(failed_by);
        (void)printf("  %2zu  %-24s  %s%s\n", i + 1, name,
                     json_is_null(matched)   ? "not tried"
                     : json_is_true(matched) ? "matches"
                                             : "no: ",
                     json_is_false(matched) ? why : "");
    }
}

static void print_budget(const char *name, const json_t *b)
{
    const json_t *limit = json_object_get(b, "limit");
    const json_t *used = json_object_get(b, "used");
    if (json_is_number(limit) && json_is_number(used)) {
        (void)printf("  budget %-8s %.12g of %.12g used\n", name, json_number_value(used),
                     json_number_value(limit));
    }
}

static void print_text(const json_t *x)
{
    const json_t *build = json_object_get(x, "build");
    const json_t *d = json_object_get(x, "decision");
    const char *name = NULL;
    json_t *value = NULL;
    size_t i = 0;
    if (json_is_object(build)) {
        RB_CLEANUP(rb_freep) char *id = rb_cli_printable(rb_member(build, "id"));
        RB_CLEANUP(rb_freep) char *status = rb_cli_printable(rb_member(build, "status"));
        RB_CLEANUP(rb_freep) char *phase = rb_cli_printable(rb_member(build, "phase"));
        RB_CLEANUP(rb_freep) char *message = rb_cli_printable(rb_member(build, "message"));
        (void)printf("%s  %s%s%s\n%s%s", id, status, phase[0] == '\0' ? "" : " in ", phase, message,
                     message[0] == '\0' ? "" : "\n");
    }
    print_rules(json_object_get(x, "rules"));
    RB_CLEANUP(rb_freep) char *action = rb_cli_printable(rb_member(d, "action"));
    RB_CLEANUP(rb_freep) char *rule = rb_cli_printable(rb_member(d, "rule"));
    RB_CLEANUP(rb_freep) char *state = rb_cli_printable(rb_member(d, "state"));
    RB_CLEANUP(rb_freep) char *reason = rb_cli_printable(rb_member(d, "reason"));
    (void)printf("decision: %s by '%s', the retry would be %s\n  %s\n", action, rule, state,
                 reason);
    json_object_foreach(json_object_get(x, "budgets"), name, value)
    {
        print_budget(name, value);
    }
    json_array_foreach(json_object_get(x, "breakers"), i, value)
    {
        RB_CLEANUP(rb_freep) char *scope = rb_cli_printable(rb_member(value, "scope"));
        RB_CLEANUP(rb_freep) char *how = rb_cli_printable(rb_member(value, "state"));
        (void)printf("  breaker %s is %s\n", scope, how);
    }
    if (rb_member(x, "note") != NULL) {
        RB_CLEANUP(rb_freep) char *note = rb_cli_printable(rb_member(x, "note"));
        (void)printf("note: %s\n", note);
    }
}

static int show(const struct explaining *e, const json_t *answer)
{
    if (e->client.json) {
        rb_client_print_json(answer);
    } else {
        print_text(answer);
    }
    return RB_EXIT_OK;
}

static int show_explanation(const struct explaining *e, const struct rb_explanation *x)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(ANSWER_MAX_BYTES);
    RB_CLEANUP(rb_json_decrefp) json_t *answer = NULL;
    struct rb_err err = {.code = RB_OK};
    rb_explanation_write_json(x, &text);
    if (rb_buf_failed(&text) || rb_json_load(rb_buf_str(&text), text.len, &answer, &err) != RB_OK) {
        rb_cli_error(&rb_command_explain, "no memory for the explanation");
        return RB_EXIT_FAILED;
    }
    return show(e, answer);
}

/* ---- a payload ---- */

static int explain_payload(struct explaining *e, const char *path)
{
    struct rb_err err = {.code = RB_OK};
    struct rb_explanation x = {.build = NULL};
    size_t len = 0;
    RB_CLEANUP(rb_freep)
    char *body = rb_cli_read_file(&rb_command_explain, path, PAYLOAD_MAX_BYTES, &len);
    if (body == NULL) {
        return RB_EXIT_FAILED;
    }
    const struct rb_request req = {
        .method = "POST",
        .path = "/",
        .body = {body, len},
        .header = no_header,
        .now_ms = rb_now_ms(rb_clock_system()),
    };
    const char *source = e->source;
    if (source == NULL) {
        source = e->settings->n_sources == 1 ? e->settings->sources[0].name : "eventbridge";
    }
    if (rb_explain_payload(e->policy, e->settings, source, &req, false, &e->arena, &x, &err) !=
        RB_OK) {
        return failed(&err);
    }
    return show_explanation(e, &x);
}

/* ---- a build ---- */

static enum rb_code ask_build(struct explaining *e, struct rb_codebuild *c,
                              const struct rb_build *ref, struct rb_err *err)
{
    const char *region = ref->region == NULL ? e->settings->aws.region : ref->region;
    struct rb_build *builds = NULL;
    unsigned n = 0;
    struct rb_explanation x = {.build = NULL};
    rb_codebuild_of_account(c, ref->account);
    enum rb_code rc = rb_codebuild_get(c, region, &ref->id, 1, &e->arena, &builds, &n, err);
    if (rc != RB_OK) {
        return rc;
    }
    if (n == 0) {
        return rb_err_set(err, RB_E_NOT_FOUND, "CodeBuild does not know '%s' in %s", ref->id,
                          region);
    }
    struct rb_policy_input in = {.build = &builds[0],
                                 .source = "api",
                                 .event_at_ms = builds[0].ended_ms,
                                 .now_ms = rb_now_ms(rb_clock_system())};
    rc = rb_explain(e->policy, e->settings, &in, &e->arena, &x, err);
    if (rc == RB_OK && x.decision.needs_log) {
        struct rb_err why = {.code = RB_OK};
        enum rb_code log_rc =
            rb_codebuild_log_tail(c, region, ref->id, LOG_TAIL_BYTES, &e->arena, &in.log, &why);
        in.log_known = true;
        rc = rb_explain(e->policy, e->settings, &in, &e->arena, &x, err);
        if (log_rc != RB_OK) {
            x.note = rb_arena_printf(&e->arena, "the build's log could not be read: %s", why.msg);
        }
    }
    if (rc == RB_OK && !rb_build_failed(&builds[0])) {
        x.note = rb_arena_printf(&e->arena, "the build is %s: serve would ask no rule about it",
                                 builds[0].status == NULL ? "unknown" : builds[0].status);
    }
    return rc == RB_OK && show_explanation(e, &x) != RB_EXIT_OK ? RB_E_NOMEM : rc;
}

static int explain_build(struct explaining *e, const struct rb_build *ref)
{
    struct rb_err err = {.code = RB_OK};
    struct rb_aws *aws = NULL;
    struct rb_codebuild *c = NULL;
    enum rb_code rc = rb_aws_new(e->settings, rb_clock_system(), &aws, &err);
    if (rc == RB_OK) {
        rc = rb_codebuild_new(aws, e->settings, &c, &err);
    }
    if (rc == RB_OK) {
        rc = ask_build(e, c, ref, &err);
    }
    rb_codebuild_free(c);
    rb_aws_free(aws);
    return rc == RB_OK ? RB_EXIT_OK : failed(&err);
}

/* ---- a past retry ---- */

static int explain_retry(struct explaining *e, const char *id)
{
    RB_CLEANUP(rb_json_decrefp) json_t *answer = NULL;
    RB_CLEANUP(rb_buf_release) struct rb_buf path = RB_BUF_INIT(1024);
    int status = rb_client_open(&e->client, &rb_command_explain);
    rb_buf_adds(&path, "/v1/explain");
    rb_query_add(&path, "retry", id);
    if (status == RB_EXIT_OK) {
        status = rb_client_call(&e->client, "POST", rb_buf_str(&path), NULL, &answer, NULL);
    }
    if (status == RB_EXIT_OK) {
        status = show(e, answer);
    }
    rb_client_close(&e->client);
    return status;
}

static int explain_here(struct explaining *e, const char *what)
{
    struct rb_err err = {.code = RB_OK};
    struct rb_build ref = RB_BUILD_INIT;
    int status = rb_load_settings(&rb_command_explain, e->config, &e->settings);
    if (status != RB_EXIT_OK) {
        return status;
    }
    if (rb_policy_new(e->settings, &e->policy, &err) != RB_OK) {
        return failed(&err);
    }
    if (strcmp(what, "-") != 0 && access(what, F_OK) != 0 &&
        rb_build_parse_ref(what, &e->arena, &ref, &err) == RB_OK) {
        return explain_build(e, &ref);
    }
    return explain_payload(e, what);
}

static int run(int argc, char **argv)
{
    struct explaining e = {.config = rb_config_find(), .client = {.command = &rb_command_explain}};
    const struct rb_option options[] = {
        {"--config", RB_OPTION_TEXT,
         "FILE; default: RETRYBUILD_CONFIG, then /etc/retrybuild/retrybuild.yaml",
         .text = &e.config},
        {"--source", RB_OPTION_TEXT,
         "TYPE or name of the source of a payload; default: the only configured one, else "
         "eventbridge",
         .text = &e.source},
        RB_CLIENT_OPTIONS(&e.client)};
    struct rb_words words = {NULL, 0};
    int status = RB_EXIT_OK;
    if (!rb_cli_parse(&rb_command_explain, argc, argv, options, RB_ARRAY_LEN(options), 1, 1, &words,
                      &status)) {
        return status;
    }
    const char *what = words.items[0];
    if (rb_str_starts(what, "rty_") && access(what, F_OK) != 0) {
        return explain_retry(&e, what);
    }
    rb_arena_init(&e.arena, ARENA_MAX_BYTES);
    status = explain_here(&e, what);
    rb_policy_free(e.policy);
    rb_settings_unref(e.settings);
    rb_arena_release(&e.arena);
    return status;
}

const struct rb_command rb_command_explain = {
    .name = "explain",
    .usage = "[--config FILE] [--source TYPE] [--json] FILE|-|BUILD|RETRY",
    .summary = "say what would be decided, and why, without effect",
    .run = run,
};

/* doctor_send.c - a test message to one destination, by the path that reports take. */
#include <stdio.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/clock.h>
#include <retrybuild/codebuild.h>
#include <retrybuild/destination.h>
#include <retrybuild/engine.h>
#include <retrybuild/httpc.h>

#include "client.h"
#include "doctor.h"

#define TEST_BUILD                                    \
    "arn:aws:codebuild:us-east-1:123456789012:build/" \
    "retrybuild-test:00000000-0000-0000-0000-000000000000"
#define TEST_SAYS "This is a test by `retrybuild doctor --send`: no build has failed"
#define TEST_REPOSITORY "https://github.com/example/retrybuild-test"

static bool fill(struct rb_retry *r, int64_t now_ms)
{
    struct rb_err ignored;

    if (rb_build_parse_ref(TEST_BUILD, &r->arena, &r->build, &ignored) != RB_OK ||
        !rb_build_copy(&r->child, &r->build, &r->arena)) {
        return false;
    }
    rb_id_make(rb_random_system(), "rty_", now_ms, 0, r->id);
    rb_id_make(rb_random_system(), "chn_", now_ms, 0, r->chain);
    r->build.number = 1;
    r->build.status = "FAILED";
    r->build.message = TEST_SAYS;
    r->build.repository = TEST_REPOSITORY;
    r->build.branch = "retrybuild-test";
    r->build.resolved_version = "0000000000000000000000000000000000000000";
    r->has_child = true;
    r->child.number = 2;
    r->child.status = "SUCCEEDED";
    r->attempt = 1;
    r->limit = 1;
    r->source =
        (struct rb_delivery){.source = "doctor", .type = "test", .key = r->id, .at_ms = now_ms};
    r->decision =
        (struct rb_decision){.action = RB_ACTION_RETRY, .rule = "test", .reason = TEST_SAYS};
    r->requested_by = "doctor";
    r->request_reason = TEST_SAYS;
    r->created_ms = r->due_ms = r->submitted_ms = now_ms;
    r->state = RB_STATE_RUNNING;
    rb_retry_enter(r, RB_STATE_RECOVERED, now_ms, TEST_SAYS);
    return true;
}

struct rb_retry *rb_doctor_test_retry(int64_t now_ms)
{
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = rb_retry_new();

    return r != NULL && fill(r, now_ms) ? RB_TAKE(r) : NULL;
}

static void say(const char *name, const struct rb_post_result *said, bool as_json)
{
    bool delivered = said->verdict == RB_POST_DELIVERED;
    static const char *const words[] = {[RB_POST_DELIVERED] = "delivered",
                                        [RB_POST_AGAIN] = "failed, a report would be sent again",
                                        [RB_POST_DEAD] =
                                            "failed, a report would not be sent again"};

    if (as_json) {
        json_t *out = json_pack("{s:s, s:b, s:s, s:I, s:s?}", "destination", name, "delivered",
                                delivered, "verdict", words[said->verdict], "status",
                                (json_int_t)said->status, "error", delivered ? NULL : said->error);
        rb_client_print_json(out);
        json_decref(out);
        return;
    }
    RB_CLEANUP(rb_freep) char *error = rb_cli_printable(said->error);
    (void)printf("%s: %s%s%s\n", name, words[said->verdict], error[0] == '\0' ? "" : ": ", error);
}

/* A git host judges the test by a repository; the one that the destination is for, where it says
 * so, else one that is not there. */
static const char *repository_of(const struct rb_destination_setting *d)
{
    for (unsigned i = 0; i < d->when_repository.n; i++) {
        if (strpbrk(d->when_repository.items[i], "*?[!") == NULL) {
            return d->when_repository.items[i];
        }
    }
    return TEST_REPOSITORY;
}

struct sending {
    struct rb_httpc *http;
    struct rb_retry *test;
    struct rb_forge_tokens *tokens;
    struct rb_aws *aws;
    struct rb_codebuild *codebuild;
};

static void sending_release(struct sending *x)
{
    rb_codebuild_free(x->codebuild);
    rb_aws_free(x->aws);
    rb_forge_tokens_free(x->tokens);
    rb_retry_free(x->test);
    rb_httpc_free(x->http);
}

static enum rb_code sending_init(struct sending *x, struct rb_settings *s, int64_t now_ms,
                                 bool by_aws, struct rb_err *err)
{
    x->test = rb_doctor_test_retry(now_ms);
    x->tokens = rb_forge_tokens_new();
    if (x->test == NULL || x->tokens == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a test message");
    }
    enum rb_code rc = rb_httpc_new(s, &x->http, err);
    if (rc == RB_OK && by_aws) {
        rb_aws_settle_region(s, rb_clock_system());
        rc = rb_aws_new(s, rb_clock_system(), &x->aws, err);
    }
    return rc == RB_OK && by_aws ? rb_codebuild_new(x->aws, s, &x->codebuild, err) : rc;
}

int rb_doctor_send(const struct rb_command *command, struct rb_settings *s, const char *name,
                   bool as_json)
{
    int64_t now_ms = rb_now_ms(rb_clock_system());
    RB_CLEANUP(sending_release) struct sending x = {.http = NULL};
    const struct rb_destination_setting *d = NULL;
    struct rb_post_result said = {.verdict = RB_POST_DEAD};
    struct rb_err err = {.code = RB_OK};

    for (unsigned i = 0; i < s->n_destinations; i++) {
        d = rb_str_eq(s->destinations[i].name, name) ? &s->destinations[i] : d;
    }
    if (d == NULL) {
        rb_cli_error(command, "there is no destination '%s' in the configuration", name);
        return RB_EXIT_USAGE;
    }
    const struct rb_destination_type *type = rb_destination_type_find(d->type);
    if (sending_init(&x, s, now_ms, type != NULL && type->by_aws, &err) != RB_OK) {
        rb_cli_error(command, "%s", err.msg);
        return RB_EXIT_FAILED;
    }
    char id[RB_ID_BYTES + 16];
    (void)snprintf(id, sizeof id, "msg_test_%s", x.test->id + 4);
    x.test->build.repository = repository_of(d);
    const struct rb_report_view view = {.retry = x.test,
                                        .stage = RB_STAGE_FINISHED,
                                        .message_id = id,
                                        .now_ms = now_ms,
                                        .forge_tokens = x.tokens};
    if (!rb_report_by_aws(x.codebuild, s, d, &view, now_ms, &said)) {
        rb_destination_post(d, &view, now_ms, s, x.http, rb_random_system(), &said);
    }
    say(name, &said, as_json);
    return said.verdict == RB_POST_DELIVERED ? RB_EXIT_OK : RB_EXIT_FAILED;
}

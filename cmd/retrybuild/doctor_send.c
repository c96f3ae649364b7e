/* doctor_send.c - a test message to one destination, by the path that reports take. */
#include <stdio.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/clock.h>
#include <retrybuild/destination.h>
#include <retrybuild/httpc.h>

#include "client.h"
#include "doctor.h"

#define TEST_BUILD                                    \
    "arn:aws:codebuild:us-east-1:123456789012:build/" \
    "retrybuild-test:00000000-0000-0000-0000-000000000000"
#define TEST_SAYS "This is a test by `retrybuild doctor --send`: no build has failed"

static void httpc_freep(struct rb_httpc **c)
{
    rb_httpc_free(*c);
}

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
    r->build.repository = "https://github.com/example/retrybuild-test";
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
        json_t *out =
            json_pack("{s:s, s:b, s:s, s:s?}", "destination", name, "delivered", delivered,
                      "verdict", words[said->verdict], "error", delivered ? NULL : said->error);
        rb_client_print_json(out);
        json_decref(out);
        return;
    }
    RB_CLEANUP(rb_freep) char *error = rb_cli_printable(said->error);
    (void)printf("%s: %s%s%s\n", name, words[said->verdict], error[0] == '\0' ? "" : ": ", error);
}

int rb_doctor_send(const struct rb_command *command, const struct rb_settings *s, const char *name,
                   bool as_json)
{
    int64_t now_ms = rb_now_ms(rb_clock_system());
    RB_CLEANUP(httpc_freep) struct rb_httpc *http = NULL;
    RB_CLEANUP(rb_retry_freep) struct rb_retry *test = rb_doctor_test_retry(now_ms);
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
    if (test == NULL || rb_httpc_new(s, &http, &err) != RB_OK) {
        rb_cli_error(command, "%s", test == NULL ? "no memory for a test message" : err.msg);
        return RB_EXIT_FAILED;
    }
    char id[RB_ID_BYTES + 16];
    (void)snprintf(id, sizeof id, "msg_test_%s", test->id + 4);
    const struct rb_report_view view = {
        .retry = test, .stage = RB_STAGE_FINISHED, .message_id = id, .now_ms = now_ms};
    rb_destination_post(d, &view, now_ms, s, http, rb_random_system(), &said);
    say(name, &said, as_json);
    return said.verdict == RB_POST_DELIVERED ? RB_EXIT_OK : RB_EXIT_FAILED;
}

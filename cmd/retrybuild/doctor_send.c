/* doctor_send.c - a test message to one destination, by the path that reports take. */
#include <stdio.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/clock.h>
#include <retrybuild/destination.h>
#include <retrybuild/httpc.h>

#include "client.h"
#include "doctor.h"

static void httpc_freep(struct rb_httpc **c)
{
    rb_httpc_free(*c);
}

struct rb_retry *rb_doctor_test_retry(int64_t now_ms)
{
    return rb_destination_test_retry("`retrybuild doctor --send`", now_ms);
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

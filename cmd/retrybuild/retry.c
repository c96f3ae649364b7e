/* retry.c - retrybuild retry TARGET: ask for a build to run again. */
#include <stdio.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>

#include "client.h"

struct ask {
    const char *account, *region, *reason, *token;
    bool force;
};

static void add_text(json_t *body, const char *key, const char *value)
{
    if (value != NULL) {
        (void)json_object_set_new(body, key, json_string(value));
    }
}

static int ask_for(struct rb_client *c, const char *target, const struct ask *a)
{
    RB_CLEANUP(rb_json_decrefp) json_t *body = json_object();
    add_text(body, "id", target);
    add_text(body, "account", a->account);
    add_text(body, "region", a->region);
    add_text(body, "reason", a->reason);
    add_text(body, "idempotencyToken", a->token);
    if (a->force) {
        (void)json_object_set_new(body, "force", json_true());
    }
    RB_CLEANUP(rb_json_decrefp) json_t *answer = NULL;
    long http_status = 0;
    int status = rb_client_call(c, "POST", "/v1/retries", body, &answer, &http_status);
    if (status != RB_EXIT_OK) {
        return status;
    }
    if (c->json) {
        rb_client_print_json(answer);
        return RB_EXIT_OK;
    }
    const char *id = rb_member(answer, "id");
    const char *state = rb_member(answer, "state");
    (void)printf("%s %s (%s); 'retrybuild show %s' follows it\n",
                 http_status == 202 ? "accepted as" : "known already as", id == NULL ? "?" : id,
                 state == NULL ? "?" : state, id == NULL ? "ID" : id);
    return RB_EXIT_OK;
}

static int run(int argc, char **argv)
{
    struct rb_client c = {.command = &rb_command_retry};
    struct ask a = {.force = false};
    const struct rb_option options[] = {
        {"--account", RB_OPTION_TEXT, "account id, when TARGET is no ARN", .text = &a.account},
        {"--region", RB_OPTION_TEXT, "region, when TARGET is no ARN", .text = &a.region},
        {"--reason", RB_OPTION_TEXT, "why, for those who read it later", .text = &a.reason},
        {"--token", RB_OPTION_TEXT, "idempotency token: the same one again is the same retry",
         .text = &a.token},
        {"--force", RB_OPTION_FLAG, "a new retry although one is under way", .flag = &a.force},
        RB_CLIENT_OPTIONS(&c),
    };
    struct rb_words words = {NULL, 0};
    int status = RB_EXIT_OK;
    if (!rb_cli_parse(&rb_command_retry, argc, argv, options, RB_ARRAY_LEN(options), 1, 1, &words,
                      &status)) {
        return status;
    }
    status = rb_client_open(&c, &rb_command_retry);
    if (status == RB_EXIT_OK) {
        status = ask_for(&c, words.items[0], &a);
    }
    rb_client_close(&c);
    return status;
}

const struct rb_command rb_command_retry = {
    .name = "retry",
    .usage = "TARGET [--force] [--reason TEXT] [--token T]",
    .summary = "run a build again (TARGET: project:uuid or build ARN)",
    .run = run,
};

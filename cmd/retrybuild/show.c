/* show.c - retrybuild show ID: one retry in full, as text for people. */
#include <stdio.h>
#include <string.h>

#include <retrybuild/buf.h>
#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>
#include <retrybuild/url.h>

#include "client.h"

static void line(const char *label, const char *value)
{
    if (value != NULL) {
        RB_CLEANUP(rb_freep) char *shown = rb_cli_printable(value);
        (void)printf("%-12s %s\n", label, shown);
    }
}

static void show_build(const char *label, const json_t *b)
{
    if (!json_is_object(b)) {
        return;
    }
    const char *id = rb_member(b, "id");
    const char *status = rb_member(b, "status");
    const char *phase = rb_member(b, "phase");
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(4096);
    rb_buf_addf(&text, "%s%s%s%s%s", id == NULL ? "?" : id, status == NULL ? "" : "  ",
                status == NULL ? "" : status, phase == NULL ? "" : " in ",
                phase == NULL ? "" : phase);
    line(label, rb_buf_str(&text));
    line("", rb_member(b, "message"));
    line("", rb_member(b, "url"));
}

static void show_list(const json_t *r, const char *member, const char *a, const char *b,
                      const char *c)
{
    const json_t *items = json_object_get(r, member);
    size_t i = 0;
    json_t *x = NULL;
    json_array_foreach(items, i, x)
    {
        const char *va = rb_member(x, a);
        const char *vb = rb_member(x, b);
        const char *vc = rb_member(x, c);
        RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(4096);
        rb_buf_addf(&text, "%-24s  %-12s  %s", va == NULL ? "-" : va, vb == NULL ? "-" : vb,
                    vc == NULL ? "" : vc);
        line(i == 0 ? member : "", rb_buf_str(&text));
    }
}

static void show(const json_t *r)
{
    line("retry", rb_member(r, "id"));
    line("state", rb_member(r, "state"));
    line("chain", rb_member(r, "chain"));
    (void)printf("%-12s %lld of %lld\n", "attempt",
                 (long long)json_integer_value(json_object_get(r, "attempt")),
                 (long long)json_integer_value(json_object_get(r, "limit")));
    line("project", rb_member(r, "project"));
    show_build("build", json_object_get(r, "build"));
    show_build("child", json_object_get(r, "child"));
    line("repository", rb_member(r, "repository"));
    line("commit", rb_member(r, "commit"));
    line("branch", rb_member(r, "branch"));
    line("rule", rb_member2(r, "decision", "rule"));
    line("reason", rb_member2(r, "decision", "reason"));
    line("asked by", rb_member(r, "requested_by"));
    line("trace", rb_member(r, "trace_id"));
    (void)printf("%-12s %lld\n", "duplicates",
                 (long long)json_integer_value(json_object_get(r, "duplicates")));
    show_list(r, "history", "at", "state", "note");
    show_list(r, "reports", "destination", "state", "last_error");
    show_list(r, "deliveries", "at", "source", "key");
}

static int fetch(struct rb_client *c, const char *id)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf path = RB_BUF_INIT(1024);
    rb_buf_adds(&path, "/v1/retries/");
    rb_url_encode(&path, id, strlen(id));
    RB_CLEANUP(rb_json_decrefp) json_t *answer = NULL;
    int status = rb_client_call(c, "GET", rb_buf_str(&path), NULL, &answer, NULL);
    if (status == RB_EXIT_OK && c->json) {
        rb_client_print_json(answer);
    } else if (status == RB_EXIT_OK) {
        show(answer);
    }
    return status;
}

static int run(int argc, char **argv)
{
    struct rb_client c = {.command = &rb_command_show};
    const struct rb_option options[] = {RB_CLIENT_OPTIONS(&c)};
    struct rb_words words = {NULL, 0};
    int status = RB_EXIT_OK;
    if (!rb_cli_parse(&rb_command_show, argc, argv, options, RB_ARRAY_LEN(options), 1, 1, &words,
                      &status)) {
        return status;
    }
    status = rb_client_open(&c, &rb_command_show);
    if (status == RB_EXIT_OK) {
        status = fetch(&c, words.items[0]);
    }
    rb_client_close(&c);
    return status;
}

const struct rb_command rb_command_show = {
    .name = "show",
    .usage = "ID",
    .summary = "show one retry: decision, builds, history, reports",
    .run = run,
};

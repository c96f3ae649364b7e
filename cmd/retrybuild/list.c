/* list.c - retrybuild list: the newest retries, filtered. */
#include <stdio.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>

#include "client.h"

struct filters {
    const char *state, *project, *source, *since, *limit, *cursor;
};

static int list(struct rb_client *c, const struct filters *f)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf path = RB_BUF_INIT(4096);
    rb_buf_adds(&path, "/v1/retries");
    rb_query_add(&path, "state", f->state);
    rb_query_add(&path, "project", f->project);
    rb_query_add(&path, "source", f->source);
    rb_query_add(&path, "since", f->since);
    rb_query_add(&path, "limit", f->limit);
    rb_query_add(&path, "cursor", f->cursor);
    RB_CLEANUP(rb_json_decrefp) json_t *answer = NULL;
    int status = rb_client_call(c, "GET", rb_buf_str(&path), NULL, &answer, NULL);
    if (status != RB_EXIT_OK) {
        return status;
    }
    if (c->json) {
        rb_client_print_json(answer);
        return RB_EXIT_OK;
    }
    rb_print_retry_table(json_object_get(answer, "retries"));
    const char *next = rb_member(answer, "next");
    if (next != NULL) {
        (void)fprintf(stderr, "more: --cursor %s\n", next);
    }
    return RB_EXIT_OK;
}

static int run(int argc, char **argv)
{
    struct rb_client c = {.command = &rb_command_list};
    struct filters f = {NULL};
    const struct rb_option options[] = {
        {"--state", RB_OPTION_TEXT, "only this state (scheduled, running, recovered, …)",
         .text = &f.state},
        {"--project", RB_OPTION_TEXT, "only this project", .text = &f.project},
        {"--source", RB_OPTION_TEXT, "only what came through this source", .text = &f.source},
        {"--since", RB_OPTION_TEXT, "time or duration back (24h)", .text = &f.since},
        {"--limit", RB_OPTION_TEXT, "rows, 1 to 200 (50)", .text = &f.limit},
        {"--cursor", RB_OPTION_TEXT, "the next page, as the page before named it",
         .text = &f.cursor},
        RB_CLIENT_OPTIONS(&c),
    };
    struct rb_words words = {NULL, 0};
    int status = RB_EXIT_OK;
    if (!rb_cli_parse(&rb_command_list, argc, argv, options, RB_ARRAY_LEN(options), 0, 0, &words,
                      &status)) {
        return status;
    }
    status = rb_client_open(&c, &rb_command_list);
    if (status == RB_EXIT_OK) {
        status = list(&c, &f);
    }
    rb_client_close(&c);
    return status;
}

const struct rb_command rb_command_list = {
    .name = "list",
    .usage = "[--state S] [--project P] [--source S] [--since T] [--limit N] [--cursor C]",
    .summary = "list retries, newest first",
    .run = run,
};

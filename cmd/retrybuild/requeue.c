/* requeue.c - retrybuild requeue: dead retries, and dead reports of retries, get another chance. */
#include <stdio.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>

#include "client.h"

#define PAGE "200"

/* requeue_page - requeue what one answer of the list names; adds to *n. */
static int requeue_page(struct rb_client *c, const json_t *answer, unsigned *n)
{
    size_t i = 0;
    json_t *r = NULL;
    json_array_foreach(json_object_get(answer, "retries"), i, r)
    {
        const char *id = rb_member(r, "id");
        int status = id == NULL ? RB_EXIT_FAILED : rb_client_verb(c, id, "requeue");
        if (status != RB_EXIT_OK) {
            return status;
        }
        (*n)++;
    }
    return RB_EXIT_OK;
}

/* requeue_all - page by page; the ids of all pages are read through the cursor, so requeued ones do
 * not come again. */
static int requeue_all(struct rb_client *c, const char *state, const char *project)
{
    unsigned n = 0;
    RB_CLEANUP(rb_json_decrefp) json_t *answer = NULL;
    for (;;) {
        RB_CLEANUP(rb_buf_release) struct rb_buf path = RB_BUF_INIT(4096);
        rb_buf_adds(&path, "/v1/retries");
        rb_query_add(&path, "state", state);
        rb_query_add(&path, "project", project);
        rb_query_add(&path, "limit", PAGE);
        rb_query_add(&path, "cursor", rb_member(answer, "next"));
        json_t *page = NULL;
        int status = rb_client_call(c, "GET", rb_buf_str(&path), NULL, &page, NULL);
        if (status != RB_EXIT_OK) {
            return status;
        }
        json_decref(answer);
        answer = page;
        status = requeue_page(c, answer, &n);
        if (status != RB_EXIT_OK) {
            return status;
        }
        if (rb_member(answer, "next") == NULL) {
            break;
        }
    }
    (void)fprintf(stderr, "%u %s\n", n, c->dry_run ? "would be requeued" : "requeued");
    return RB_EXIT_OK;
}

static int requeue_words(struct rb_client *c, const struct rb_words *words)
{
    int status = RB_EXIT_OK;
    for (int i = 0; i < words->n; i++) {
        int one = rb_client_verb(c, words->items[i], "requeue");
        status = one == RB_EXIT_OK ? status : one;
    }
    return status;
}

static int run(int argc, char **argv)
{
    struct rb_client c = {.command = &rb_command_requeue};
    const char *state = NULL;
    const char *project = NULL;
    bool all = false;
    const struct rb_option options[] = {
        {"--state", RB_OPTION_TEXT, "with --all: those in this state (dead)", .text = &state},
        {"--project", RB_OPTION_TEXT, "with --all: those of this project", .text = &project},
        {"--all", RB_OPTION_FLAG, "everything that the filters leave", .flag = &all},
        {"--dry-run", RB_OPTION_FLAG, "only say what would be done", .flag = &c.dry_run},
        RB_CLIENT_OPTIONS(&c),
    };
    struct rb_words words = {NULL, 0};
    int status = RB_EXIT_OK;
    if (!rb_cli_parse(&rb_command_requeue, argc, argv, options, RB_ARRAY_LEN(options), 0, -1,
                      &words, &status)) {
        return status;
    }
    if ((words.n == 0) != all || (!all && (state != NULL || project != NULL)) ||
        (state != NULL && strcmp(state, "dead") != 0)) {
        rb_cli_error(&rb_command_requeue, "give ids, or --state dead --all");
        return RB_EXIT_USAGE;
    }
    status = rb_client_open(&c, &rb_command_requeue);
    if (status == RB_EXIT_OK) {
        status = all ? requeue_all(&c, "dead", project) : requeue_words(&c, &words);
    }
    rb_client_close(&c);
    return status;
}

const struct rb_command rb_command_requeue = {
    .name = "requeue",
    .usage = "ID… | --state dead --all [--project P] [--dry-run]",
    .summary = "give dead retries and reports another chance",
    .run = run,
};

/* bulk.c - cancel, approve, deny and requeue: of ids, or of everything that filters leave. */
#include "bulk.h"

#include <stdio.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>
#include <retrybuild/str.h>

#define PAGE "200"

struct selection {
    const char *state, *project, *source, *since;
    bool all;
};

/* act - on one retry. What the server does not allow for this one does not stop the others; a
 * server that is away or a token that may not do. */
static bool act(struct rb_client *c, const char *id, unsigned *n, int *status)
{
    int one = rb_client_verb(c, id, c->command->name);
    if (one == RB_EXIT_OK) {
        (*n)++;
    } else {
        *status = one;
    }
    return one == RB_EXIT_OK || one == RB_EXIT_FAILED;
}

static bool act_on_page(struct rb_client *c, const json_t *page, unsigned *n, int *status)
{
    size_t i = 0;
    json_t *r = NULL;
    json_array_foreach(json_object_get(page, "retries"), i, r)
    {
        const char *id = rb_member(r, "id");
        if (id != NULL && !act(c, id, n, status)) {
            return false;
        }
    }
    return true;
}

/* act_on_state - page by page: a retry that has left the state does not come again, for the cursor
 * goes by ids. */
static bool act_on_state(struct rb_client *c, const struct selection *s, const char *state,
                         unsigned *n, int *status)
{
    RB_CLEANUP(rb_json_decrefp) json_t *page = NULL;
    do {
        RB_CLEANUP(rb_buf_release) struct rb_buf path = RB_BUF_INIT(4096);
        rb_buf_adds(&path, "/v1/retries");
        rb_query_add(&path, "state", state);
        rb_query_add(&path, "project", s->project);
        rb_query_add(&path, "source", s->source);
        rb_query_add(&path, "since", s->since);
        rb_query_add(&path, "limit", PAGE);
        rb_query_add(&path, "cursor", rb_member(page, "next"));
        json_t *next = NULL;
        int one = rb_client_call(c, "GET", rb_buf_str(&path), NULL, &next, NULL);
        if (one != RB_EXIT_OK) {
            *status = one;
            return false;
        }
        json_decref(page);
        page = next;
        if (!act_on_page(c, page, n, status)) {
            return false;
        }
    } while (rb_member(page, "next") != NULL);
    return true;
}

static int act_on_selection(struct rb_client *c, const struct rb_bulk *b, const struct selection *s)
{
    int status = RB_EXIT_OK;
    unsigned n = 0;
    bool more = true;
    for (unsigned i = 0; more && b->states[i] != NULL; i++) {
        bool wanted = s->state == NULL ? i < b->n_default : rb_str_eq(s->state, b->states[i]);
        if (wanted) {
            more = act_on_state(c, s, b->states[i], &n, &status);
        }
    }
    (void)fprintf(stderr, "%u %s%s\n", n, c->dry_run ? "would be " : "", b->done);
    return status;
}

static bool good_words(const struct rb_command *command, const struct rb_bulk *b,
                       const struct selection *s, int n_words)
{
    bool filtered = s->project != NULL || s->source != NULL || s->since != NULL; /* a state is none:
                                                                        the verb has its own */
    bool state_fits = s->state == NULL;
    for (unsigned i = 0; b->states[i] != NULL; i++) {
        state_fits = state_fits || strcmp(s->state, b->states[i]) == 0;
    }
    if ((n_words > 0) == (s->all || filtered) || (n_words > 0 && s->state != NULL)) {
        rb_cli_error(
            command,
            "give ids, or --project, --source or --since, or --all, of which --state leaves "
            "some");
    } else if (!state_fits) {
        rb_cli_error(command, "a retry in state '%.40s' cannot be %s", s->state, b->done);
    } else {
        return true;
    }
    return false;
}

int rb_client_bulk(const struct rb_command *command, const struct rb_bulk *b, int argc, char **argv)
{
    struct rb_client c = {.command = command};
    struct selection s = {.state = NULL};
    const struct rb_option options[] = {
        {"--state", RB_OPTION_TEXT, "instead of ids: those in this state", .text = &s.state},
        {"--project", RB_OPTION_TEXT, "instead of ids: those of this project", .text = &s.project},
        {"--source", RB_OPTION_TEXT, "instead of ids: those of this source", .text = &s.source},
        {"--since", RB_OPTION_TEXT, "instead of ids: those since a time, or a duration back",
         .text = &s.since},
        {"--all", RB_OPTION_FLAG, "everything that the filters leave", .flag = &s.all},
        {"--dry-run", RB_OPTION_FLAG, "only say what would be done", .flag = &c.dry_run},
        RB_CLIENT_OPTIONS(&c),
    };
    struct rb_words words = {NULL, 0};
    int status = RB_EXIT_OK;
    if (!rb_cli_parse(command, argc, argv, options, RB_ARRAY_LEN(options), 0, -1, &words,
                      &status)) {
        return status;
    }
    if (!good_words(command, b, &s, words.n)) {
        return RB_EXIT_USAGE;
    }
    status = rb_client_open(&c, command);
    if (status == RB_EXIT_OK && words.n == 0) {
        status = act_on_selection(&c, b, &s);
    } else if (status == RB_EXIT_OK) {
        unsigned n = 0;
        for (int i = 0; i < words.n && act(&c, words.items[i], &n, &status); i++) {
        }
    }
    rb_client_close(&c);
    return status;
}

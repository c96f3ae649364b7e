/* chain.c - GET /v1/retries/{id}/chain: every attempt from the first failure on, oldest first.
 *
 * A record names the attempt before it, so that the way back is exact. The way on is looked for in
 * the project's list: first where it nearly always stands, at the moment the attempt ended (the
 * next one is made in the same step), then among the newest since, for a person may ask much later.
 * Both looks are bounded, whatever the project has. A job of the API thread.
 */
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/record.h>

#include "private.h"

#define CHAIN_MAX 64
#define PAGE 100
#define PAGES 10
#define AROUND_MS 3000

struct chain {
    struct rb_store_session *ses;
    struct rb_retry *items[2 * CHAIN_MAX]; /* the one asked for in the middle */
    unsigned first, end;
};

static void release(struct chain *c)
{
    for (unsigned i = c->first; i < c->end; i++) {
        rb_retry_free(c->items[i]);
    }
}

static enum rb_code go_back(struct chain *c, struct rb_err *err)
{
    while (c->first > 0 && c->items[c->first]->previous[0] != '\0') {
        struct rb_retry *r = NULL;
        enum rb_code rc = rb_store_get(c->ses, c->items[c->first]->previous, &r, err);
        if (rc == RB_E_NOT_FOUND) {
            return RB_OK; /* trimmed: the chain begins here */
        }
        if (rc != RB_OK) {
            return rc;
        }
        c->items[--c->first] = r;
    }
    return RB_OK;
}

/* look - for the attempt after @last among those of @f; *ret_next stays NULL when it is not there.
 */
static enum rb_code look(struct chain *c, struct rb_filter *f, const struct rb_retry *last,
                         struct rb_retry **ret_next, struct rb_err *err)
{
    char cursor[RB_CURSOR_BYTES] = "";
    for (unsigned page = 0; page < PAGES && *ret_next == NULL; page++) {
        struct rb_retry *items[PAGE] = {NULL};
        char next[RB_CURSOR_BYTES] = "";
        unsigned n = 0;
        f->cursor = page == 0 ? NULL : cursor;
        enum rb_code rc = rb_store_list(c->ses, f, items, &n, next, err);
        if (rc != RB_OK) {
            return rc;
        }
        for (unsigned i = 0; i < n; i++) {
            if (*ret_next == NULL && strcmp(items[i]->previous, last->id) == 0) {
                *ret_next = RB_TAKE(items[i]);
            }
            rb_retry_free(items[i]);
        }
        if (next[0] == '\0') {
            break;
        }
        (void)memcpy(cursor, next, sizeof cursor);
    }
    return RB_OK;
}

static enum rb_code go_on(struct chain *c, struct rb_err *err)
{
    for (;;) {
        const struct rb_retry *last = c->items[c->end - 1];
        struct rb_retry *next = NULL;
        if (!last->has_child || last->finished_ms == 0 || last->state == RB_STATE_RECOVERED ||
            c->end == 2 * CHAIN_MAX) {
            return RB_OK;
        }
        struct rb_filter f = {.project = last->build.project,
                              .since_ms = last->finished_ms - AROUND_MS,
                              .before_ms = last->finished_ms + AROUND_MS,
                              .limit = PAGE};
        enum rb_code rc = look(c, &f, last, &next, err);
        if (rc == RB_OK && next == NULL) {
            f.before_ms = 0;
            rc = look(c, &f, last, &next, err);
        }
        if (rc != RB_OK || next == NULL) {
            return rc;
        }
        c->items[c->end++] = next;
    }
}

static void chain_job(struct rb_exchange *ex, struct rb_store_session *ses)
{
    struct chain c = {.ses = ses, .first = CHAIN_MAX, .end = CHAIN_MAX};
    struct rb_err err = {.code = RB_OK};
    enum rb_code rc = rb_store_get(ses, ex->retry_id, &c.items[CHAIN_MAX], &err);
    if (rc == RB_OK) {
        c.end++;
        rc = go_back(&c, &err);
    }
    rc = rc == RB_OK ? go_on(&c, &err) : rc;
    if (rc == RB_E_NOT_FOUND) {
        rb_answer_problem(ex, 404, "there is no retry of this id");
    } else if (rc != RB_OK) {
        rb_answer_err(ex, rc, &err);
    } else {
        rb_buf_addc(&ex->answer, '{');
        rb_buf_add_json_member(&ex->answer, "chain", c.items[CHAIN_MAX]->chain);
        rb_buf_adds(&ex->answer, ",\"retries\":[");
        for (unsigned i = c.first; i < c.end; i++) {
            rb_buf_adds(&ex->answer, i == c.first ? "" : ",");
            rb_retry_write_json(c.items[i], &ex->answer);
        }
        rb_buf_adds(&ex->answer, "]}\n");
        rb_answer_json(ex, 200);
    }
    release(&c);
}

void rb_handle_chain(struct rb_exchange *ex)
{
    if (rb_take_retry_id(ex)) {
        rb_exchange_job(ex, chain_job);
    }
}

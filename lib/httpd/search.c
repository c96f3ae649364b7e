/* search.c - retries that hold some words, in whatever text of theirs a person may remember.
 *
 * No index knows words: pages of the list are looked through, newest first, for at most a part of a
 * second. What was not reached is reached by the next page. A job of the API thread.
 */
#include <string.h>

#include <retrybuild/cleanup.h>

#include "private.h"

#define SCAN_PAGE 200
#define SCAN_MS 400

static bool holds(const char *text, const char *word)
{
    return text != NULL && strcasestr(text, word) != NULL;
}

static bool build_holds(const struct rb_build *b, const char *word)
{
    return holds(b->arn, word) || holds(b->id, word) || holds(b->repository, word) ||
           holds(b->branch, word) || holds(rb_build_commit(b), word) || holds(b->message, word) ||
           holds(b->pull_request, word) || holds(b->phase, word) || holds(b->author, word);
}

static bool retry_holds(const struct rb_retry *r, const char *word)
{
    return holds(r->id, word) || holds(r->chain, word) || build_holds(&r->build, word) ||
           (r->has_child && build_holds(&r->child, word)) || holds(r->decision.rule, word) ||
           holds(r->decision.reason, word) || holds(r->requested_by, word) ||
           holds(r->source.source, word) || holds(r->source.key, word);
}

/* fits - every one of the words, which stand between blanks. @room holds a word. */
static bool fits(const struct rb_retry *r, const char *words, char *room)
{
    for (const char *at = words; *at != '\0';) {
        size_t len = strcspn(at, " ");
        (void)memcpy(room, at, len);
        room[len] = '\0';
        if (len > 0 && !retry_holds(r, room)) {
            return false;
        }
        at += len + (at[len] == ' ' ? 1 : 0);
    }
    return true;
}

struct scan {
    const char *words;
    char *room;
    unsigned limit;
    struct rb_retry **items;
    unsigned n;
};

/* take_page - what fits of a page; true when there were enough of them before its end, with the
 * place behind the last one taken. */
static bool take_page(struct scan *s, struct rb_retry **page, unsigned n,
                      char ret_next[RB_CURSOR_BYTES])
{
    bool full = false;
    for (unsigned i = 0; i < n; i++) {
        if (!full && fits(page[i], s->words, s->room)) {
            s->items[s->n++] = RB_TAKE(page[i]);
            full = s->n == s->limit;
            if (full && i + 1 < n) {
                rb_store_cursor(s->items[s->n - 1], ret_next);
            }
        }
        rb_retry_free(page[i]);
    }
    return full;
}

enum rb_code rb_search(struct rb_exchange *ex, struct rb_store_session *ses,
                       const struct rb_filter *f, const char *words, struct rb_retry **ret_items,
                       unsigned *ret_n, char ret_next[RB_CURSOR_BYTES], struct rb_err *err)
{
    const struct rb_clock *clock = ex->httpd->deps.clock;
    int64_t until_ms = rb_boot_ms(clock) + SCAN_MS;
    struct scan s = {.words = words, .limit = f->limit, .items = ret_items};
    struct rb_filter page_of = *f;
    char cursor[RB_CURSOR_BYTES] = "";
    bool full = false;

    s.room = rb_arena_alloc(&ex->arena, strlen(words) + 1);
    if (s.room == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a search");
    }
    page_of.limit = SCAN_PAGE;
    do {
        struct rb_retry *page[SCAN_PAGE] = {NULL};
        unsigned n = 0;
        enum rb_code rc = rb_store_list(ses, &page_of, page, &n, ret_next, err);
        if (rc != RB_OK) {
            while (s.n > 0) {
                rb_retry_free(ret_items[--s.n]);
            }
            return rc;
        }
        full = take_page(&s, page, n, ret_next);
        (void)memcpy(cursor, ret_next, sizeof cursor);
        page_of.cursor = cursor;
    } while (!full && cursor[0] != '\0' && rb_boot_ms(clock) < until_ms);
    *ret_n = s.n;
    return RB_OK;
}

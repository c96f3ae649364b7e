/* hook_defer.c - commands that take longer than their sender waits.
 *
 * A chat shows a failure when it has no answer within three seconds, and people wonder after one.
 * So a command that another thread still has by then is answered early, in the sender's form, and
 * what became of it is posted when it is known. The exchange is split for that: a new one takes
 * connection and answer, while the old one goes on without a connection and ends by itself. What is
 * posted is tried a few times; a retry that was started reports by the same address besides,
 * durably.
 */
#include <retrybuild/command.h>

#include "door.h"
#include "private.h"

#define EARLY_ANSWER_MS 900
#define POST_TIMEOUT_MS 5000
#define POST_PAUSE_MS 1000
#define POSTS_MAX 4

struct rb_late {
    struct rb_push push;
    unsigned tries;
    bool told;
};

static bool may_defer(const struct rb_exchange *ex, struct rb_buf *out)
{
    const struct rb_source_type *type = ex->source->type;
    return type->defer != NULL && type->late != NULL &&
           type->defer(rb_hook_commands_first(ex), out);
}

/* enlist - in the order of time: the last one is mostly the latest. */
static void enlist(struct rb_exchange *ex, int64_t after_ms)
{
    struct rb_httpd *h = ex->httpd;
    struct rb_exchange **at = &h->deferrable;
    ex->defer_at_ms = rb_boot_ms(h->deps.clock) + after_ms;
    while (*at != NULL && (*at)->defer_at_ms <= ex->defer_at_ms) {
        at = &(*at)->next_deferrable;
    }
    ex->next_deferrable = *at;
    *at = ex;
}

void rb_defer_watch(struct rb_exchange *ex)
{
    struct rb_buf probe = RB_BUF_INIT(1024);
    if (ex->phase == RB_EX_WAITING && may_defer(ex, &probe)) {
        enlist(ex, EARLY_ANSWER_MS);
    }
    rb_buf_release(&probe);
}

void rb_defer_end(struct rb_exchange *ex)
{
    struct rb_exchange **at = &ex->httpd->deferrable;
    if (ex->defer_at_ms == 0) {
        return;
    }
    while (*at != NULL && *at != ex) {
        at = &(*at)->next_deferrable;
    }
    if (*at == ex) {
        *at = ex->next_deferrable;
    }
    ex->next_deferrable = NULL;
    ex->defer_at_ms = 0;
}

/* ---- the early answer ---- */

bool rb_defer_split(struct rb_exchange *ex, struct rb_exchange **ret_early)
{
    struct rb_exchange *early = rb_exchange_new(ex->httpd, ex->mhd);
    ex->deferring = false;
    if (early == NULL) {
        rb_conn_suspend(ex->conn, ex->mhd);
        return false;
    }
    early->route = ex->route;
    early->started = ex->started;
    early->phase = RB_EX_READY;
    (void)may_defer(ex, &early->answer);
    rb_answer_json(early, 200);
    ex->detached = true;
    ex->mhd = NULL; /* with it method, path and headers */
    ex->conn = NULL;
    ex->method = ex->path = "";
    ex->param = (struct rb_slice){NULL, 0};
    *ret_early = early;
    return true;
}

/* ---- what became of it ---- */

static void post_late(struct rb_exchange *ex, struct rb_codebuild *c)
{
    (void)c;
    ex->late->tries++;
    ex->late->told = rb_hook_commands_post(ex, &ex->late->push, POST_TIMEOUT_MS);
}

static void tell(struct rb_exchange *ex)
{
    if (ex->httpd->calls_stop || rb_door_threads(ex->httpd, NULL) != RB_OK) {
        rb_exchange_free(ex);
    } else {
        rb_exchange_call(ex, post_late);
    }
}

bool rb_defer_back(struct rb_exchange *ex)
{
    if (ex->deferring) { /* it is done after all, and was resumed already */
        ex->deferring = false;
        ex->phase = RB_EX_READY;
        return true;
    }
    if (!ex->detached) {
        return false;
    }
    struct rb_late *late = ex->late;
    if (late == NULL) {
        late = rb_arena_alloc(&ex->arena, sizeof *late);
        struct rb_push push = {.url = NULL};
        bool tells = rb_hook_commands_late(ex, &push);
        if (!tells || late == NULL) {
            rb_exchange_free(ex);
            return true;
        }
        *late = (struct rb_late){.push = push};
        ex->late = late;
        tell(ex);
    } else if (late->told || late->tries >= POSTS_MAX) {
        rb_exchange_free(ex);
    } else {
        enlist(ex, POST_PAUSE_MS << late->tries); /* the early answer may not be there yet */
    }
    return true;
}

/* ---- time ---- */

void rb_defer_turn(struct rb_httpd *h)
{
    int64_t boot_ms = h->deferrable == NULL ? 0 : rb_boot_ms(h->deps.clock);
    while (h->deferrable != NULL && h->deferrable->defer_at_ms <= boot_ms) {
        struct rb_exchange *ex = h->deferrable;
        rb_defer_end(ex);
        if (ex->detached) {
            tell(ex);
        } else if (ex->phase == RB_EX_WAITING) {
            ex->deferring = true;
            rb_conn_resume(h, ex->conn, ex->mhd);
        }
    }
}

int64_t rb_defer_timeout_ms(const struct rb_httpd *h)
{
    if (h->deferrable == NULL) {
        return -1;
    }
    int64_t ms = h->deferrable->defer_at_ms - rb_boot_ms(h->deps.clock);
    return ms > 0 ? ms : 0;
}

void rb_defer_stop(struct rb_httpd *h)
{
    for (struct rb_exchange *ex = h->deferrable; ex != NULL;) {
        struct rb_exchange *next = ex->next_deferrable;
        if (ex->detached) {
            rb_exchange_free(ex); /* which takes it out of the list */
        }
        ex = next;
    }
}

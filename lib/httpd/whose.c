/* whose.c - whose build is meant, where an id is all that is said of it.
 *
 * Events name the account, people often do not: without it a request and the retry of an event
 * would be two for one failure. So every way in says here whose build it is: by the configuration,
 * by what CodeBuild has told before, or by asking it now. With several accounts none is assumed.
 * Where nobody can tell within a moment, a person's request is admitted all the same, and the look
 * before the call finds out (lib/engine/inspect.c).
 */
#include <string.h>

#include "hook_find.h"

#define WHOSE_MAX_MS 2000

struct rb_whose {
    struct rb_build *build; /* in the arena */
    void (*go_on)(struct rb_exchange *ex, struct rb_build *b);
    int64_t until_boot_ms;
};

const char *rb_whose_own(struct rb_exchange *ex)
{
    const struct rb_settings *s = ex->view->settings;
    struct rb_httpd *h = ex->httpd;
    const char *learnt = NULL;
    if (s->aws.account != NULL || s->aws.n_accounts > 0) {
        return rb_settings_own_account(s);
    }
    pthread_mutex_lock(&h->lock);
    if (h->own_account[0] != '\0') {
        learnt = rb_arena_strdup(&ex->arena, h->own_account);
    }
    pthread_mutex_unlock(&h->lock);
    return learnt;
}

void rb_whose_learn(struct rb_exchange *ex, const char *account)
{
    struct rb_httpd *h = ex->httpd;
    if (ex->view->settings->aws.n_accounts > 0 || account == NULL ||
        strlen(account) != RB_ACCOUNT_BYTES - 1) {
        return;
    }
    pthread_mutex_lock(&h->lock);
    memcpy(h->own_account, account, RB_ACCOUNT_BYTES);
    pthread_mutex_unlock(&h->lock);
}

struct rb_finder rb_finder_of(struct rb_exchange *ex, struct rb_codebuild *c, int64_t until_boot_ms)
{
    struct rb_httpd *h = ex->httpd;
    return (struct rb_finder){.settings = ex->view->settings,
                              .clock = h->deps.clock,
                              .codebuild = c,
                              .tokens = rb_engine_forge_tokens(h->deps.engine),
                              .cancel = &h->calls_cancel,
                              .until_boot_ms = until_boot_ms};
}

enum rb_code rb_whose_ask(struct rb_exchange *ex, const struct rb_finder *f, struct rb_build *b,
                          struct rb_err *err)
{
    b->region = b->region != NULL ? b->region : f->settings->aws.region;
    enum rb_code rc = rb_find_account(f, b, &ex->arena, err);
    if (rc == RB_OK) {
        rb_whose_learn(ex, b->account);
    }
    return rc;
}

int64_t rb_whose_until(const struct rb_exchange *ex)
{
    return rb_boot_ms(ex->httpd->deps.clock) + WHOSE_MAX_MS;
}

/* ask - in a front-door thread; without a client nobody can tell. */
static void ask(struct rb_exchange *ex, struct rb_codebuild *c)
{
    struct rb_whose *w = ex->whose;
    if (c != NULL) {
        struct rb_err err = {.code = RB_OK};
        const struct rb_finder f = rb_finder_of(ex, c, w->until_boot_ms);
        (void)rb_whose_ask(ex, &f, w->build, &err);
        rb_finder_done(&f);
    }
}

static void after(struct rb_exchange *ex)
{
    struct rb_whose *w = ex->whose;
    if (ex->httpd->admitter == NULL || atomic_load(&ex->httpd->stopping)) {
        rb_source_result(ex, RB_RESULT_UNAVAILABLE);
        rb_answer_problem(ex, 503, "the service is stopping; nothing was accepted, ask again");
        return;
    }
    w->go_on(ex, w->build);
}

void rb_whose(struct rb_exchange *ex, struct rb_build *b,
              void (*go_on)(struct rb_exchange *ex, struct rb_build *b))
{
    struct rb_whose *w = b->account != NULL ? NULL : rb_arena_alloc(&ex->arena, sizeof(*w));
    struct rb_build *kept = w == NULL ? NULL : rb_arena_alloc(&ex->arena, sizeof(*kept));
    if (kept == NULL || !rb_build_copy(kept, b, &ex->arena) || !rb_finder_room(ex)) {
        go_on(ex, b);
        return;
    }
    *w = (struct rb_whose){.build = kept, .go_on = go_on, .until_boot_ms = rb_whose_until(ex)};
    ex->whose = w;
    ex->finish = after;
    rb_exchange_call(ex, ask);
}

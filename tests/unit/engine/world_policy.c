/* The policy of the test's world. */
#include "world.h"

#include <stdlib.h>
#include <string.h>

struct rb_policy {
    int unused;
};

enum rb_code rb_policy_new(struct rb_settings *s, struct rb_policy **ret_p, struct rb_err *err)
{
    (void)s;
    (void)err;
    *ret_p = calloc(1, sizeof(**ret_p));
    return *ret_p == NULL ? RB_E_NOMEM : RB_OK;
}

void rb_policy_free(struct rb_policy *p)
{
    free(p);
}

void rb_policy_decide(const struct rb_policy *p, const struct rb_policy_input *in,
                      struct rb_arena *a, struct rb_decision *ret_d)
{
    const struct world *w = the_world;

    (void)p;
    (void)a;
    *ret_d = w->decision;
    ret_d->limit = w->limit;
    if (in->flaky) {
        ret_d->rule = "flaky-one";
    }
    ret_d->needs_log = w->log_wanted != NULL && !in->log_known && !in->person;
    if (w->log_wanted != NULL && in->log_known &&
        (in->log == NULL || strstr(in->log, w->log_wanted) == NULL)) {
        ret_d->action = RB_ACTION_IGNORE;
        ret_d->state = RB_STATE_IGNORED;
    }
    const struct rb_build *b = in->build;
    bool by_aws =
        b->next_auto_retry != NULL || (b->auto_retry_limit > 0 && !in->auto_retry_overdue &&
                                       b->auto_retry_number < b->auto_retry_limit);
    if (by_aws && !in->person) {
        *ret_d = (struct rb_decision){.action = RB_ACTION_IGNORE,
                                      .rule = "auto-retry",
                                      .reason = "CodeBuild's own auto-retry runs it again.",
                                      .state = RB_STATE_DEFERRED};
        return;
    }
    if (in->person) {
        ret_d->action = RB_ACTION_RETRY;
        ret_d->state = w->person_refused ? RB_STATE_REFUSED : RB_STATE_SCHEDULED;
        ret_d->rule = "person";
        ret_d->reason = "a person asked";
    } else if (in->attempt >= w->limit && w->decision.state == RB_STATE_SCHEDULED) {
        ret_d->action = RB_ACTION_IGNORE;
        ret_d->state = RB_STATE_REFUSED;
        ret_d->reason = "the limit of the chain is reached";
    }
}

bool rb_policy_asks_flaky(const struct rb_policy *p)
{
    (void)p;
    return the_world->flaky_wanted;
}

int64_t rb_policy_delay_ms(const struct rb_delay *d, int64_t attempt, uint64_t random64)
{
    (void)attempt;
    (void)random64;
    return d->list_ms[0];
}

/* chain.c - a failure that turns out to be the failure of one of our own children.
 *
 * The store sees that at admission, unless the child failed before its parent had written it down
 * (its answer was lost). Then there are two who could go on with the chain: the parent's follower,
 * and the retry of that failure. The retry holds the failure's key, so the parent ends without a
 * next attempt of its own; the retry waits for that end and becomes the next attempt.
 */
#include "internal.h"

#include <stdio.h>
#include <string.h>

#define RB_CHAIN_NOTE_BYTES 200
#define RB_PARENT_AGAIN_MS 1000

bool rb_chain_link(struct rb_retry *r, const struct rb_retry *parent)
{
    struct rb_rule_use uses[RB_RULE_USES_MAX];

    for (unsigned i = 0; i < parent->n_rule_uses; i++) {
        uses[i].rule = rb_arena_strdup(&r->arena, parent->rule_uses[i].rule);
        uses[i].count = parent->rule_uses[i].count;
        if (uses[i].rule == NULL) {
            return false;
        }
    }
    if (!rb_retry_inherit_trace(r, parent)) {
        return false;
    }
    memcpy(r->rule_uses, uses, parent->n_rule_uses * sizeof(uses[0]));
    r->n_rule_uses = parent->n_rule_uses;
    memcpy(r->previous, parent->id, sizeof(r->previous));
    memcpy(r->chain, parent->chain, sizeof(r->chain));
    r->attempt = parent->attempt + 1;
    return true;
}

enum rb_code rb_chain_join(struct rb_work *k, const char *owner, bool *ret_joined,
                           struct rb_err *err)
{
    RB_CLEANUP(rb_retry_freep) struct rb_retry *parent = NULL;
    struct rb_retry *r = k->r;
    char note[RB_CHAIN_NOTE_BYTES];

    *ret_joined = false;
    enum rb_code rc = rb_store_get(k->w->ses, owner, &parent, err);
    if (rc != RB_OK && rc != RB_E_NOT_FOUND) {
        return rc;
    }
    bool person = r->requested_by != NULL;
    if (rc == RB_OK && r->previous[0] == '\0' && strcmp(owner, r->id) != 0 &&
        (person || parent->state == RB_STATE_FAILED_AGAIN)) {
        *ret_joined = true;
        return rb_chain_link(r, parent)
                   ? RB_OK
                   : rb_err_set(err, RB_E_NOMEM, "no memory for the chain of '%s'", r->id);
    }
    if (rc == RB_OK && !rb_state_terminal(parent->state) && strcmp(owner, r->id) != 0) {
        snprintf(note, sizeof(note), "waiting until %s has seen the end of this build", owner);
        return rb_work_later(k, RB_PARENT_AGAIN_MS, note, err);
    }
    snprintf(note, sizeof(note), "this build is the child of %s, which takes care of it", owner);
    return rb_work_finish(k, RB_STATE_SUPERSEDED, note, err);
}

void rb_chain_input(const struct rb_retry *r, const struct rb_build *failed, int64_t now_ms,
                    struct rb_policy_input *ret_in)
{
    bool person = r->requested_by != NULL;
    int64_t ended_ms = failed->ended_ms != 0 ? failed->ended_ms : r->source.at_ms;
    *ret_in = (struct rb_policy_input){
        .build = failed,
        .source = r->source.source,
        .event_at_ms = person ? 0 : ended_ms, /* who asks is news, however old the build is */
        .now_ms = now_ms,
        .rule_uses = r->rule_uses,
        .n_rule_uses = r->n_rule_uses,
        .person = person,
        .force = r->force,
    };
}

enum rb_code rb_chain_decide_again(struct rb_work *k, bool *ret_go_on, struct rb_err *err)
{
    struct rb_decision d = {.action = RB_ACTION_NONE};
    struct rb_policy_input in;
    struct rb_retry *r = k->r;

    *ret_go_on = true;
    if (r->requested_by != NULL) {
        return RB_OK;
    }
    rb_chain_input(r, &r->build, rb_engine_now_ms(k->e), &in);
    in.attempt = r->attempt - 1;
    enum rb_code rc = rb_decide(k, &in, false, &k->arena, &d, err);
    if (rc != RB_OK) {
        return rc;
    }
    if (d.state == RB_STATE_SCHEDULED) {
        enum rb_state was = r->state;
        if (!rb_engine_take_decision(k->e, r, &d, in.now_ms)) {
            return rb_err_set(err, RB_E_NOMEM, "no memory for the decision on '%s'", r->id);
        }
        r->state = was;
        return RB_OK;
    }
    *ret_go_on = false;
    if (!rb_retry_set_decision(r, &d)) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the decision on '%s'", r->id);
    }
    r->limit = d.limit;
    return rb_work_finish(k, d.state, d.reason, err);
}

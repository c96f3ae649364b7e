/* lead.c - several retries that ask for one effect: the failed builds of a batch, the failed
 * actions of a pipeline's stage. One leads and makes the call, the others end as its duplicates.
 *
 * Who leads is decided by a key of the store, as a token is: the first to ask has it. It is known
 * for as long as keys of deliveries are, longer than a failure is news.
 */
#include "internal.h"

#include <stdio.h>
#include <string.h>

#include <retrybuild/log.h>

#define RB_LEADERS 8
#define RB_LEAD_TEXT_BYTES 12288
#define RB_LEAD_NOTE_BYTES 600

/* A key of the store that points at the first retry that asked for it. */
struct lead_claim {
    struct rb_retry *stand_in; /* what would be created if the build's own key had been lost */
    char key[RB_KEY_BYTES], build_key[RB_KEY_BYTES];
    struct rb_admission a;
};

static void claim_release(struct lead_claim *c)
{
    rb_retry_free(c->stand_in);
}

/* @n counts the leaders that ended without a call. */
static enum rb_code claim_init(struct rb_work *k, const char *what, unsigned n,
                               struct lead_claim *c, struct rb_err *err)
{
    char text[RB_LEAD_TEXT_BYTES];
    int64_t now_ms = rb_engine_now_ms(k->e);

    snprintf(text, sizeof(text), "%u %s", n, what);
    rb_scoped_key("\nwho leads", text, strlen(text), c->key);
    rb_build_key(&k->r->build, c->build_key);
    c->stand_in = rb_engine_retry_new(k->e, &k->r->build, &k->r->source, k->r->chain, now_ms);
    if (c->stand_in == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a claim of '%s'", k->r->id);
    }
    rb_retry_enter(c->stand_in, RB_STATE_SUPERSEDED, now_ms, k->r->id);
    c->a = (struct rb_admission){
        .mode = RB_ADMIT_EVENT,
        .token_key = c->key,
        .token_fingerprint = c->key,
        .build_key = c->build_key,
        .intent_key = k->intent_key,
        .retry = c->stand_in,
    };
    return RB_OK;
}

static enum rb_code claim_ask(struct rb_work *k, struct lead_claim *c, struct rb_err *err)
{
    struct rb_admission *items[] = {&c->a};
    enum rb_code rc = rb_store_admit(k->w->ses, items, 1, rb_engine_now_ms(k->e), err);

    rb_engine_store_state(k->e, rc, err);
    return rc == RB_OK && c->a.rc != RB_OK
               ? rb_err_set(err, c->a.rc, "the store did not take a claim of '%s'", k->r->id)
               : rc;
}

/* The first asking makes our own build's key point at us, and with it the claim; the second says
 * whose it was then: two who ask at once both hear the same. */
static enum rb_code claim_leader(struct rb_work *k, struct lead_claim *c, struct rb_err *err)
{
    enum rb_code rc = claim_ask(k, c, err);
    return rc == RB_OK ? claim_ask(k, c, err) : rc;
}

/* Our delivery is listed with the leader, and our own record ends. */
static enum rb_code join(struct rb_work *k, struct lead_claim *c, const struct rb_retry *leader,
                         const char *why, struct rb_err *err)
{
    char note[RB_LEAD_NOTE_BYTES];

    if (!rb_str_eq(k->r->source.type, "sweep")) { /* which is no delivery */
        c->a.delivery = &k->r->source;
        enum rb_code rc = claim_ask(k, c, err);
        if (rc != RB_OK) {
            return rc;
        }
    }
    rb_log(RB_LOG_INFO, "submit.joined", RB_F("retry", k->r->id), RB_F("leader", leader->id));
    snprintf(note, sizeof(note), "%s %s", why, leader->id);
    return rb_work_finish(k, RB_STATE_SUPERSEDED, note, err);
}

enum rb_code rb_lead_join(struct rb_work *k, const struct rb_retry *leader, const char *why,
                          struct rb_err *err)
{
    RB_CLEANUP(claim_release) struct lead_claim c = {.stand_in = NULL};

    enum rb_code rc = claim_init(k, "", 0, &c, err);
    if (rc != RB_OK) {
        return rc;
    }
    c.a.token_key = NULL; /* the leader's own build is its key, while it lives */
    c.a.token_fingerprint = NULL;
    rb_build_key(&leader->build, c.build_key);
    return join(k, &c, leader, why, err);
}

/* May another lead though this one has: it ended without a call, or a person asks anew. */
static bool gives_way(const struct rb_work *k, const struct rb_retry *leader)
{
    return rb_state_terminal(leader->state) &&
           (k->r->requested_by != NULL ||
            (leader->state == RB_STATE_SUPERSEDED && !leader->has_child));
}

enum rb_code rb_lead_take(struct rb_work *k, const char *what, const char *why, bool *ret_leads,
                          struct rb_err *err)
{
    *ret_leads = false;
    for (unsigned n = 0; n < RB_LEADERS; n++) {
        RB_CLEANUP(claim_release) struct lead_claim c = {.stand_in = NULL};
        RB_CLEANUP(rb_retry_freep) struct rb_retry *leader = NULL;

        enum rb_code rc = claim_init(k, what, n, &c, err);
        if (rc == RB_OK) {
            rc = claim_leader(k, &c, err);
        }
        if (rc != RB_OK) {
            return rc;
        }
        if (strcmp(c.a.retry_id, k->r->id) == 0) {
            *ret_leads = true;
            return RB_OK;
        }
        rc = rb_store_get(k->w->ses, c.a.retry_id, &leader, err);
        if (rc == RB_E_NOT_FOUND || (rc == RB_OK && gives_way(k, leader))) {
            continue;
        }
        return rc == RB_OK ? join(k, &c, leader, why, err) : rc;
    }
    return rb_work_finish(k, RB_STATE_REFUSED,
                          "what the build is part of was asked to be run again too often", err);
}

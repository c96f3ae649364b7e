/* lineage.c - builds that somebody else started: CodeBuild's own auto-retry, a hand in the console,
 * a push.
 *
 * Where such a build runs the failed one again it is the chain's next link. The retry of the failed
 * build ends without a call and shows it as its child; a sheet of the ledger says to whose chain it
 * belongs, so that its failure, whenever it is delivered, is that chain's next attempt and counts
 * against its limits. The link is written before the retry ends: a crash in between repeats it.
 */
#include "internal.h"

#include <stdio.h>
#include <string.h>

#include "sheets.h"

#define RB_LINEAGE_NOTE_BYTES 300
#define RB_LINEAGE_TRIES 20
#define RB_LINEAGE_LOOKS 8 /* while CodeBuild's own retry is waited for */
#define RB_LINEAGE_LOOK_MIN_MS 250

/* ---- links ---- */

static void name_of(const struct rb_work *k, const struct rb_build *b, struct rb_build *ret_named)
{
    *ret_named = *b;
    ret_named->account = b->account == NULL ? k->r->build.account : b->account;
    ret_named->region = b->region == NULL ? k->r->build.region : b->region;
    ret_named->project = b->project == NULL ? k->r->build.project : b->project;
}

static enum rb_code write_link(struct rb_work *k, const char *build_key, struct rb_err *err)
{
    enum rb_code rc = RB_E_CONFLICT;

    for (unsigned tries = 0; tries < RB_LINEAGE_TRIES && rc == RB_E_CONFLICT; tries++) {
        int64_t now_ms = rb_engine_now_ms(k->e);
        struct rb_link_sheet link;
        struct rb_set set;
        rb_set_init(&set, &k->arena);
        unsigned at = rb_set_add(&set, RB_SHEET_LINK, &link, RB_SHEET_OF_LINK, build_key);
        rc = rb_set_read(&set, k->w->ses, now_ms, err);
        if (rc != RB_OK || link.retry[0] != '\0') {
            break; /* who came first keeps it */
        }
        memcpy(link.retry, k->r->id, sizeof(link.retry));
        set.slots[at].changed = true;
        rc = rb_set_write(&set, k->w->ses, k->e->random, now_ms, err);
    }
    rb_engine_store_state(k->e, rc, err);
    return rc;
}

static enum rb_code adopt(struct rb_work *k, const struct rb_build *b, struct rb_err *err)
{
    struct rb_retry *r = k->r;
    struct rb_build named;
    char key[RB_KEY_BYTES];

    name_of(k, b, &named);
    rb_build_key(&named, key);
    enum rb_code rc = write_link(k, key, err);
    if (rc != RB_OK) {
        return rc;
    }
    if (!rb_build_copy(&r->child, &named, &r->arena)) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the next link of '%s'", r->id);
    }
    r->has_child = true;
    rb_tally_left(k->e, r);
    return RB_OK;
}

static enum rb_code parent_of(struct rb_work *k, struct rb_retry **ret_parent, struct rb_err *err)
{
    struct rb_link_sheet link;
    struct rb_set set;

    rb_set_init(&set, &k->arena);
    (void)rb_set_add(&set, RB_SHEET_LINK, &link, RB_SHEET_OF_LINK, k->build_key);
    enum rb_code rc = rb_set_read(&set, k->w->ses, rb_engine_now_ms(k->e), err);
    if (rc == RB_OK && link.retry[0] != '\0' && strcmp(link.retry, k->r->id) != 0) {
        rc = rb_store_get(k->w->ses, link.retry, ret_parent, err);
        rc = rc == RB_E_NOT_FOUND ? RB_OK : rc; /* longer ago than retries are kept */
    }
    rb_engine_store_state(k->e, rc, err);
    return rc;
}

enum rb_code rb_lineage_join(struct rb_work *k, bool *ret_joined, struct rb_err *err)
{
    RB_CLEANUP(rb_retry_freep) struct rb_retry *parent = NULL;
    struct rb_retry *r = k->r;
    char note[RB_LINEAGE_NOTE_BYTES];

    *ret_joined = false;
    if (r->previous[0] != '\0') {
        return RB_OK; /* it has a chain already */
    }
    enum rb_code rc = parent_of(k, &parent, err);
    if (rc != RB_OK || parent == NULL) {
        return rc;
    }
    if (!rb_chain_link(r, parent)) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the chain of '%s'", r->id);
    }
    (void)snprintf(note, sizeof(note), "%s ran the build of %s again: next link of its chain",
                   parent->state == RB_STATE_DEFERRED ? "CodeBuild's own auto-retry" : "somebody",
                   parent->id);
    rb_retry_note(r, rb_engine_now_ms(k->e), note);
    *ret_joined = true;
    return RB_OK;
}

/* ---- CodeBuild's own auto-retry ---- */

/* How long a retry that CodeBuild is to make may still be under way: it shows within the same time
 * as a build that we start. */
static int64_t left_ms(const struct rb_work *k, const struct rb_build *b)
{
    int64_t ended_ms = b->ended_ms > 0 ? b->ended_ms : k->r->created_ms;
    return ended_ms + k->rt->settings->timing.visibility_grace_ms - rb_aws_now_ms(k->e->aws);
}

bool rb_lineage_overdue(const struct rb_work *k, const struct rb_build *b)
{
    return rb_plan_auto_retry(b) && rb_str_empty(b->next_auto_retry) && left_ms(k, b) <= 0;
}

static enum rb_code see_auto_retry(struct rb_work *k, struct rb_err *err)
{
    struct rb_build next = RB_BUILD_INIT;

    enum rb_code rc = rb_build_parse_ref(k->r->build.next_auto_retry, &k->arena, &next, err);
    if (rc != RB_OK) {
        return rb_err_wrap(err, rc, "the build that CodeBuild's own auto-retry started");
    }
    return adopt(k, &next, err);
}

static enum rb_code wait_for_aws(struct rb_work *k, int64_t wait_ms, struct rb_err *err)
{
    int64_t look_ms = k->rt->settings->timing.visibility_grace_ms / RB_LINEAGE_LOOKS;
    look_ms = look_ms < RB_LINEAGE_LOOK_MIN_MS ? RB_LINEAGE_LOOK_MIN_MS : look_ms;
    return rb_work_later(k, (wait_ms < look_ms ? wait_ms : look_ms) + 1,
                         "CodeBuild's own auto-retry is to run this build again: waiting for it",
                         err);
}

enum rb_code rb_lineage_left_to_aws(struct rb_work *k, bool *ret_ended, struct rb_err *err)
{
    const struct rb_build *b = &k->r->build;

    *ret_ended = false;
    if (!rb_plan_auto_retry(b)) {
        return RB_OK;
    }
    if (!rb_str_empty(b->next_auto_retry)) {
        enum rb_code rc = see_auto_retry(k, err);
        *ret_ended = true;
        const char *note = k->r->requested_by == NULL
                               ? "CodeBuild's own auto-retry has run this build again"
                               : "CodeBuild's own auto-retry has run this build again: ask again "
                                 "with force to run it once more";
        return rc == RB_OK ? rb_work_finish(k, RB_STATE_DEFERRED, note, err) : rc;
    }
    if (left_ms(k, b) > 0) {
        *ret_ended = true;
        return wait_for_aws(k, left_ms(k, b), err);
    }
    if (rb_work_count_notes(k->r, RB_NOTE_NOT_BY_AWS) == 0) {
        rb_retry_note(k->r, rb_engine_now_ms(k->e), RB_NOTE_NOT_BY_AWS);
    }
    return RB_OK;
}

/* ---- what a newer build makes pointless ---- */

static bool is_newer(struct rb_work *k, const struct rb_build *own, const struct rb_build *b,
                     bool strict)
{
    bool stale_counts = strict || k->rt->settings->stale != RB_STALE_RETRY;
    return (stale_counts && rb_plan_newer(own, b, strict)) || rb_plan_by_hand(own, b);
}

/* A build that makes ours pointless and is not a child of our own retries. */
static enum rb_code find_newer(struct rb_work *k, const struct rb_build *own,
                               const struct rb_look *look, bool strict,
                               const struct rb_build **ret_b, struct rb_err *err)
{
    *ret_b = NULL;
    for (unsigned i = 0; i < look->n_builds; i++) {
        char key[RB_KEY_BYTES], owner[RB_ID_BYTES];
        struct rb_build named;

        if (!is_newer(k, own, look->builds[i], strict)) {
            continue;
        }
        name_of(k, look->builds[i], &named);
        rb_build_key(&named, key);
        enum rb_code rc = rb_store_child_of(k->w->ses, key, owner, err);
        rb_engine_store_state(k->e, rc, err);
        if (rc != RB_OK) {
            return rc;
        }
        if (owner[0] == '\0') {
            *ret_b = look->builds[i];
            break;
        }
    }
    return RB_OK;
}

static enum rb_code superseded(struct rb_work *k, const struct rb_build *own,
                               const struct rb_build *newer, struct rb_err *err)
{
    char note[RB_LINEAGE_NOTE_BYTES];

    if (!rb_plan_runs_again(own, newer)) {
        (void)snprintf(note, sizeof(note), "build %lld (%s) of the same source version is newer",
                       (long long)newer->number, newer->id);
        return rb_work_finish(k, RB_STATE_SUPERSEDED, note, err);
    }
    enum rb_code rc = adopt(k, newer, err);
    if (rc != RB_OK) {
        return rc;
    }
    (void)snprintf(note, sizeof(note),
                   "build %lld (%s) of the same source version is newer: %.80s has run this build "
                   "again",
                   (long long)newer->number, newer->id,
                   newer->initiator == NULL ? "somebody" : newer->initiator);
    return rb_work_finish(k, RB_STATE_SUPERSEDED, note, err);
}

/* A newer build is there. It may be the child of another retry that has not been written down yet:
 * that one holds the intent, so take it first, then ask again. */
enum rb_code rb_fresh_check_newer(struct rb_work *k, const struct rb_build *own,
                                  const struct rb_look *look, bool strict, bool *ret_ended,
                                  struct rb_err *err)
{
    const struct rb_build *newer = NULL;

    enum rb_code rc = find_newer(k, own, look, strict, &newer, err);
    if (rc != RB_OK || newer == NULL) {
        return rc;
    }
    struct rb_settle lock = {.keep_lease = true, .open_intent = k->intent_key};
    rc = rb_work_settle(k, &lock, false, err);
    if (rc == RB_E_CONFLICT && lock.conflict == RB_CONFLICT_INTENT) {
        *ret_ended = true;
        return rb_fresh_busy(k, err);
    }
    if (rc != RB_OK) {
        return rc;
    }
    k->intent_taken = true;
    rc = find_newer(k, own, look, strict, &newer, err);
    if (rc != RB_OK || newer == NULL) {
        return rc;
    }
    *ret_ended = true;
    return superseded(k, own, newer, err);
}

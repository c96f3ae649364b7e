/* head.c - right before the call: did the head of the branch or pull request move on?
 *
 * CodeBuild shows a newer build of a branch only when one was started; the git host knows of every
 * push. It is asked once for each submit, for as long as a call may take, before anything is
 * written. Who cannot be asked does not stand in the way of a retry.
 */
#include "internal.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <retrybuild/log.h>

#define RB_HEAD_NOTE_BYTES 300
#define RB_HEAD_SHORT 7 /* digits that tell commits apart */

/* Some hosts cut commits short. */
static bool same_commit(const char *a, const char *b)
{
    size_t a_len = strlen(a), b_len = strlen(b);
    size_t len = a_len < b_len ? a_len : b_len;
    return len < RB_HEAD_SHORT ? a_len == b_len && strcasecmp(a, b) == 0
                               : strncasecmp(a, b, len) == 0;
}

static bool is_asked(const struct rb_work *k)
{
    const struct rb_retry *r = k->r;
    return k->rt->settings->stale != RB_STALE_RETRY && r->requested_by == NULL && !r->force &&
           !r->decision.pipeline && !k->intent_taken && k->w->http != NULL &&
           rb_build_commit(&r->build) != NULL;
}

static enum rb_code moved(struct rb_work *k, const struct rb_head_place *p, const char *head,
                          struct rb_err *err)
{
    char what[160], note[RB_HEAD_NOTE_BYTES];

    if (p->branch != NULL) {
        (void)snprintf(what, sizeof(what), "%.150s", p->branch);
    } else {
        (void)snprintf(what, sizeof(what), "pull request %lld", (long long)p->number);
    }
    (void)snprintf(note, sizeof(note), "the head of %s moved from %.7s to %.7s", what,
                   rb_build_commit(&k->r->build), head);
    return rb_work_finish(k, RB_STATE_SUPERSEDED, note, err);
}

enum rb_code rb_head_check(struct rb_work *k, bool *ret_ended, struct rb_err *err)
{
    const struct rb_settings *s = k->rt->settings;
    struct rb_err why = {.code = RB_OK};
    struct rb_head_place p = {.type = NULL};
    const char *head = NULL;

    *ret_ended = false;
    if (!is_asked(k) || !rb_head_place(s, &k->r->build, &k->arena, &p)) {
        return RB_OK;
    }
    int64_t most_ms = s->timing.call_timeout_ms;
    enum rb_code rc = rb_work_keep(k, most_ms + k->lease_ms / 6, err);
    if (rc != RB_OK) {
        return rc;
    }
    const struct rb_forge forge = {
        .type = p.type,
        .api = p.api,
        .http = k->w->http,
        .tokens = k->e->forge_tokens,
        .clock = k->e->clock,
        .until_boot_ms = rb_boot_ms(k->e->clock) + most_ms,
        .cancel = &k->e->cancel_reads,
    };
    rc = rb_forge_head(&forge, &p, &k->arena, &head, &why);
    if (rc == RB_E_CLOSED) {
        return rb_err_set(err, rc, "%s", why.msg); /* we stop: the task goes back */
    }
    if (rc != RB_OK) {
        rb_log(RB_LOG_DEBUG, "submit.head_unknown", RB_F("retry", k->r->id),
               RB_F("error", why.msg));
        return RB_OK;
    }
    if (same_commit(rb_build_commit(&k->r->build), head)) {
        return RB_OK;
    }
    *ret_ended = true;
    return moved(k, &p, head, err);
}

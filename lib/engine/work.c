/* work.c - one claimed main task: its lease, its writes, its end.
 *
 * Every write names the fence, so a worker that lost its lease changes nothing. The lease is
 * watched on the boot clock, from before the claim was asked for: the worker never believes in it
 * longer than the store does.
 */
#include "internal.h"
#include "spans.h"

#include <string.h>

#include <retrybuild/counters.h>
#include <retrybuild/log.h>

#define RB_STUBBORN_PAUSE_MS 100
#define RB_NOTE_CUT 290 /* a note of at least this many bytes may have been cut */

void rb_work_begin(struct rb_work *k, struct rb_worker *w, struct rb_task *task,
                   int64_t boot_claimed_ms, int64_t lease_ms)
{
    *k = (struct rb_work){
        .w = w,
        .e = w->e,
        .rt = w->rt,
        .task = task,
        .r = task->retry,
        .lease_ms = lease_ms,
        .boot_deadline_ms = boot_claimed_ms + lease_ms,
        .state_stored = task->retry->state,
    };
    rb_arena_init(&k->arena, RB_AWS_ARENA_BYTES);
    rb_build_key(&k->r->build, k->build_key);
    rb_intent_key(&k->r->build, k->intent_key);
}

void rb_work_end(struct rb_work *k)
{
    rb_arena_release(&k->arena);
}

static const char *state_event(enum rb_state s)
{
    static const char *const names[RB_STATE_COUNT] = {
        [RB_STATE_RECEIVED] = "retry.received",
        [RB_STATE_SCHEDULED] = "retry.scheduled",
        [RB_STATE_SUBMITTING] = "retry.submitting",
        [RB_STATE_RUNNING] = "retry.submitted",
        [RB_STATE_HELD] = "retry.held",
        [RB_STATE_RECOVERED] = "retry.recovered",
        [RB_STATE_FAILED_AGAIN] = "retry.failed_again",
        [RB_STATE_IGNORED] = "retry.ignored",
        [RB_STATE_REFUSED] = "retry.refused",
        [RB_STATE_SUPERSEDED] = "retry.superseded",
        [RB_STATE_DEFERRED] = "retry.deferred",
        [RB_STATE_CANCELLED] = "retry.cancelled",
        [RB_STATE_DEAD] = "retry.dead",
    };
    return names[s];
}

static void tell_state(const struct rb_retry *r)
{
    enum rb_log_level level = RB_LOG_INFO;
    struct rb_trace trace = {.trace_id = ""};

    if (r->state == RB_STATE_SUBMITTING || r->state == RB_STATE_SCHEDULED) {
        level = RB_LOG_DEBUG;
    } else if (r->state == RB_STATE_DEAD || r->state == RB_STATE_HELD) {
        level = RB_LOG_WARN;
    }
    if (rb_log_enabled(level)) {
        (void)rb_retry_trace(r, 0, &trace);
    }
    rb_log(level, state_event(r->state), RB_F("retry", r->id), RB_F("build", r->build.id),
           RB_F("child", r->has_child ? r->child.id : NULL), RB_FI("attempt", r->attempt),
           RB_F("trace_id", trace.trace_id), RB_F("note", rb_work_last_note(r)));
    if (rb_state_terminal(r->state)) {
        rb_count(RB_M_RETRIES_TOTAL, rb_state_name(r->state), NULL);
    }
}

static bool lease_lasts(const struct rb_work *k, int64_t need_ms)
{
    return rb_boot_ms(k->e->clock) + need_ms <= k->boot_deadline_ms;
}

enum rb_code rb_work_settle(struct rb_work *k, struct rb_settle *s, bool stubborn,
                            struct rb_err *err)
{
    bool changed = k->r->state != k->state_stored;
    enum rb_code rc;

    s->task = k->task;
    s->retry = k->r;
    if (changed && !rb_engine_reports(k->rt->settings, k->r, rb_engine_now_ms(k->e), &k->r->arena,
                                      &s->reports, &s->n_reports)) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the reports of '%s'", k->r->id);
    }
    if (changed && k->spent != NULL) {
        rc = rb_notice_claim(k, k->spent, &s->reports, &s->n_reports, err);
        if (rc != RB_OK) {
            return rc;
        }
    } else if (!changed && s->n_reports == 0) {
        s->reports = k->notices;
        s->n_reports = k->n_notices;
    }
    for (;;) {
        rc = rb_store_settle(k->w->ses, s, rb_engine_now_ms(k->e), err);
        rb_engine_store_state(k->e, rc, err);
        if (!rb_store_gone(rc) || !stubborn || !lease_lasts(k, 0) ||
            atomic_load(&k->e->cancel_calls)) {
            break;
        }
        (void)rb_engine_pause(
            k->e, rb_engine_jitter_ms(k->e, RB_STUBBORN_PAUSE_MS, 4 * RB_STUBBORN_PAUSE_MS));
    }
    if (rc != RB_OK) {
        return rb_err_wrap(err, rc, "write retry '%s'", k->r->id);
    }
    if (changed) {
        k->state_stored = k->r->state;
        tell_state(k->r);
        if (rb_state_terminal(k->r->state)) {
            rb_spans_ended(k->e, k->rt->settings, k->r);
        }
    }
    return RB_OK;
}

enum rb_code rb_work_finish(struct rb_work *k, enum rb_state state, const char *note,
                            struct rb_err *err)
{
    struct rb_settle s = {.next = RB_TASK_NONE, .close_intent = k->intent_key};

    rb_retry_enter(k->r, state, rb_engine_now_ms(k->e), note);
    return rb_work_settle(k, &s, true, err);
}

enum rb_code rb_work_disown(struct rb_work *k, enum rb_state state, const char *note,
                            struct rb_err *err)
{
    struct rb_settle s = {.next = RB_TASK_NONE, .close_intent = k->intent_key, .give_effect = true};

    rb_retry_enter(k->r, state, rb_engine_now_ms(k->e), note);
    return rb_work_settle(k, &s, true, err);
}

const char *rb_work_last_note(const struct rb_retry *r)
{
    return r->n_history == 0 ? NULL : r->history[r->n_history - 1].note;
}

unsigned rb_work_count_notes(const struct rb_retry *r, const char *prefix)
{
    unsigned n = 0;
    for (unsigned i = 0; i < r->n_history; i++) {
        if (r->history[i].note != NULL && rb_str_starts(r->history[i].note, prefix)) {
            n++;
        }
    }
    return n;
}

/* Notes are cut when they are written: a newest note that is the beginning of this one is this one.
 */
static bool is_newest_note(const struct rb_retry *r, const char *note)
{
    const char *last = rb_work_last_note(r);
    size_t len = last == NULL ? 0 : strlen(last);

    return len > 0 && strncmp(last, note, len) == 0 && (note[len] == '\0' || len >= RB_NOTE_CUT);
}

enum rb_code rb_work_later(struct rb_work *k, int64_t wait_ms, const char *note, struct rb_err *err)
{
    int64_t now_ms = rb_engine_now_ms(k->e);
    int64_t due_ms = now_ms + (wait_ms < 0 ? 0 : wait_ms);
    bool told = note == NULL || is_newest_note(k->r, note);

    if (told && k->r->state == k->state_stored) {
        enum rb_code rc = rb_store_release(k->w->ses, k->task, due_ms, now_ms, err);
        rb_engine_store_state(k->e, rc, err);
        return rc;
    }
    if (!told) {
        rb_retry_note(k->r, now_ms, note);
    }
    k->r->due_ms = due_ms;
    struct rb_settle s = {
        .next = k->task->kind,
        .next_due_ms = due_ms,
        /* Only an open call keeps others of the same source version waiting. */
        .close_intent = k->r->state == RB_STATE_SUBMITTING ? NULL : k->intent_key,
    };
    return rb_work_settle(k, &s, true, err);
}

enum rb_code rb_work_keep(struct rb_work *k, int64_t need_ms, struct rb_err *err)
{
    if (lease_lasts(k, need_ms)) {
        return RB_OK;
    }
    int64_t boot_ms = rb_boot_ms(k->e->clock);
    enum rb_code rc = rb_store_renew(k->w->ses, k->task, k->lease_ms, rb_engine_now_ms(k->e), err);
    rb_engine_store_state(k->e, rc, err);
    if (rc != RB_OK) {
        return rb_err_wrap(err, rc, "renew the lease on '%s'", k->r->id);
    }
    k->boot_deadline_ms = boot_ms + k->lease_ms;
    return RB_OK;
}

void rb_work_not_asked(enum rb_code rc, const struct rb_err *why, char *ret_note, size_t size)
{
    bool told = rc == RB_E_CREDENTIALS && why->msg[0] != '\0';

    (void)snprintf(ret_note, size, "CodeBuild could not be asked: %s%s%s", rb_code_name(rc),
                   told ? ": " : "", told ? why->msg : "");
}

void rb_work_done(struct rb_work *k, enum rb_code rc, const struct rb_err *err)
{
    struct rb_err ignored;

    if (rc == RB_OK) {
        return;
    }
    if (rc == RB_E_CLOSED) {
        /* Stopping: somebody else may go on at once. */
        (void)rb_store_release(k->w->ses, k->task, rb_engine_now_ms(k->e), rb_engine_now_ms(k->e),
                               &ignored);
        return;
    }
    if (rc == RB_E_FENCED || rc == RB_E_NOT_FOUND) {
        rb_log(RB_LOG_INFO, "task.fenced", RB_F("retry", k->r->id),
               RB_F("kind", rb_task_kind_name(k->task->kind)), RB_F("error", err->msg));
        return;
    }
    if (rb_store_gone(rc)) {
        return; /* told by rb_engine_store_state; the lease runs out, the record says the rest */
    }
    /* The claim stays counted: what fails again and again ends as dead. */
    rb_log(RB_LOG_ERROR, "task.failed", RB_F("retry", k->r->id),
           RB_F("kind", rb_task_kind_name(k->task->kind)), RB_FI("tries", k->task->tries),
           RB_F("code", rb_code_name(rc)), RB_F("error", err->msg));
}

/* session.c - the asker's side of everything that changes something. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>

#include "session.h"

enum rb_code rb_sq_session_open(struct rb_store *s, struct rb_store_session **ret_ses,
                                struct rb_err *err)
{
    struct rb_sq_session *ses = calloc(1, sizeof(*ses));
    struct rb_sq_waiter *waiter = ses == NULL ? NULL : rb_sq_waiter_new(-1);
    if (waiter == NULL) {
        free(ses);
        return rb_err_set(err, RB_E_NOMEM, "no memory for a store session");
    }
    ses->store = (struct rb_sq_store *)s;
    ses->waiter = waiter;
    *ret_ses = &ses->base;
    return RB_OK;
}

void rb_sq_session_close(struct rb_store_session *base)
{
    struct rb_sq_session *ses = (struct rb_sq_session *)base;
    rb_sq_waiter_drop(ses->store, ses->waiter);
    free(ses);
}

enum rb_code rb_sq_ask(struct rb_sq_session *ses, struct rb_sq_op *op, struct rb_err *err)
{
    if (op == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a store request");
    }
    enum rb_code rc = rb_sq_send(ses->store, op, ses->waiter, err);
    if (rc == RB_OK) {
        rc = rb_sq_wait(ses->store, op, err);
        if (rc == RB_OK && op->rc != RB_OK) {
            rc = op->rc;
            if (err != NULL) {
                *err = op->err;
            }
        }
    }
    if (rc != RB_OK) {
        rb_sq_op_drop(ses->store, op);
    }
    return rc;
}

static enum rb_code no_memory(struct rb_sq_session *ses, struct rb_sq_op *op, struct rb_err *err)
{
    if (op != NULL) {
        rb_sq_op_drop(ses->store, op);
    }
    return rb_err_set(err, RB_E_NOMEM, "no memory for a store request");
}

/* ---- admission ---- */

static enum rb_code pack_all(struct rb_sq_op *op, struct rb_admission **items, unsigned n,
                             struct rb_err *err)
{
    op->admissions = rb_arena_alloc(&op->arena, n * sizeof(*op->admissions));
    enum rb_code rc = op->admissions == NULL ? rb_err_set(err, RB_E_NOMEM, "no memory") : RB_OK;
    for (unsigned i = 0; i < n && rc == RB_OK; i++) {
        rc = rb_sq_pack_admission(items[i], &op->arena, &op->admissions[i], err);
    }
    op->n_admissions = n;
    return rc;
}

enum rb_code rb_sq_session_admit(struct rb_store_session *base, struct rb_admission **items,
                                 unsigned n, int64_t now_ms, struct rb_err *err)
{
    struct rb_sq_session *ses = (struct rb_sq_session *)base;
    struct rb_sq_op *op = rb_sq_op_new(rb_sq_op_admit);
    enum rb_code rc = op == NULL ? no_memory(ses, op, err) : pack_all(op, items, n, err);
    if (rc != RB_OK && op != NULL) {
        rb_sq_op_drop(ses->store, op);
    }
    if (rc == RB_OK) {
        op->now_ms = now_ms;
        rc = rb_sq_ask(ses, op, err);
    }
    for (unsigned i = 0; i < n; i++) {
        if (rc != RB_OK) {
            items[i]->rc = rc;
        } else {
            rb_sq_unpack_admission(&op->admissions[i], items[i]);
        }
    }
    if (rc == RB_OK) {
        rb_sq_op_drop(ses->store, op);
    }
    return rc;
}

/* ---- tasks ---- */

/* A task of the model out of what the writer brought. RB_E_CORRUPT: the record does not decode. */
static enum rb_code make_task(const struct rb_sq_task *from, struct rb_task **ret_t,
                              struct rb_err *err)
{
    RB_CLEANUP(rb_task_freep) struct rb_task *t = calloc(1, sizeof(*t));
    if (t == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a task");
    }
    enum rb_code rc = rb_sq_shelf_open(&from->shelf, &t->retry, err);
    if (rc != RB_OK) {
        return rc;
    }
    t->kind = from->kind;
    t->fence = from->fence;
    t->tries = from->tries;
    t->due_ms = from->due_ms;
    t->lease_until_ms = from->lease_until_ms;
    t->woken = from->woken;
    if (from->kind == RB_TASK_REPORT) {
        (void)snprintf(t->destination, sizeof(t->destination), "%s", from->destination);
        (void)snprintf(t->message_id, sizeof(t->message_id), "%s", from->message);
        (void)snprintf(t->receipt, sizeof(t->receipt), "%s",
                       from->receipt == NULL ? "" : from->receipt);
        t->stage = from->stage;
        t->attempts = from->attempts;
        t->first_due_ms = from->first_due_ms;
    }
    *ret_t = RB_TAKE(t);
    return RB_OK;
}

/* The task whose record does not decode never comes back. The retry's id is on the shelf's row for
 * main tasks; a report is found by its message, which needs the id of its retry: both are there. */
static void set_aside(struct rb_sq_session *ses, const struct rb_sq_task *t, int64_t now_ms)
{
    bool report = t->kind == RB_TASK_REPORT;
    struct rb_sq_op *op = rb_sq_op_new(report ? rb_sq_op_report_poison : rb_sq_op_poison);
    if (op == NULL) {
        return; /* it comes again when its lease ends */
    }
    op->id = rb_arena_strdup(&op->arena, t->id);
    op->message = rb_arena_strdup(&op->arena, t->message);
    op->text = "the stored record does not decode";
    op->fence = t->fence;
    op->now_ms = now_ms;
    if (rb_sq_ask(ses, op, NULL) == RB_OK) {
        rb_sq_op_drop(ses->store, op);
    }
}

static struct rb_sq_op *claim_op(enum rb_task_kind kind, unsigned max, int64_t lease_ms,
                                 int64_t now_ms)
{
    struct rb_sq_op *op =
        rb_sq_op_new(kind == RB_TASK_REPORT ? rb_sq_op_report_claim : rb_sq_op_claim);
    if (op != NULL) {
        op->is_lease = true;
        op->kind = kind;
        op->limit = max;
        op->lease_ms = lease_ms;
        op->now_ms = now_ms;
        op->tasks = rb_arena_alloc(&op->arena, max * sizeof(*op->tasks));
    }
    return op;
}

static enum rb_code claim_once(struct rb_sq_session *ses, enum rb_task_kind kind, unsigned max,
                               int64_t lease_ms, int64_t now_ms, struct rb_task **ret_tasks,
                               unsigned *ret_n, unsigned *ret_bad, int64_t *ret_next_ms,
                               struct rb_err *err)
{
    struct rb_sq_op *op = claim_op(kind, max, lease_ms, now_ms);
    if (op == NULL || op->tasks == NULL) {
        return no_memory(ses, op, err);
    }
    enum rb_code rc = rb_sq_ask(ses, op, err);
    if (rc != RB_OK) {
        return rc;
    }
    unsigned n = 0;
    *ret_bad = 0;
    for (unsigned i = 0; i < op->n_tasks && rc == RB_OK; i++) {
        struct rb_err why = {.code = RB_OK};
        rc = make_task(&op->tasks[i], &ret_tasks[n], &why);
        n += rc == RB_OK;
        if (rc == RB_E_CORRUPT) {
            set_aside(ses, &op->tasks[i], now_ms);
            (*ret_bad)++;
            rc = RB_OK;
        } else if (rc == RB_E_UNAVAIL) {
            rb_store_left_alone(op->tasks[i].id, &why);
            rc = RB_OK;
        } else if (rc != RB_OK) {
            rc = rb_err_set(err, rc, "%s", why.msg);
        }
    }
    *ret_next_ms = op->number;
    rb_sq_op_drop(ses->store, op);
    if (rc != RB_OK) {
        while (n > 0) {
            rb_task_free(ret_tasks[--n]); /* they come again when their leases end */
        }
        return rc;
    }
    *ret_n = n;
    return RB_OK;
}

enum rb_code rb_sq_session_claim(struct rb_store_session *base, enum rb_task_kind kind,
                                 unsigned max, int64_t lease_ms, int64_t now_ms,
                                 struct rb_task **ret_tasks, unsigned *ret_n, int64_t *ret_next_ms,
                                 struct rb_err *err)
{
    unsigned n = 0;
    unsigned bad = 0;
    enum rb_code rc = RB_OK;
    do { /* a claim that brought nothing but what was set aside says nothing about the next */
        rc = claim_once((struct rb_sq_session *)base, kind, max, lease_ms, now_ms, ret_tasks, &n,
                        &bad, ret_next_ms, err);
    } while (rc == RB_OK && n == 0 && bad > 0);
    if (rc == RB_OK) {
        *ret_n = n;
    }
    return rc;
}

/* Names the task: id, fence and, for a report, its message. */
static struct rb_sq_op *task_op(const struct rb_task *t,
                                enum rb_code (*run)(struct rb_sq_db *, struct rb_sq_op *,
                                                    struct rb_err *),
                                int64_t now_ms)
{
    struct rb_sq_op *op = rb_sq_op_new(run);
    if (op != NULL) {
        op->fence = t->fence;
        op->now_ms = now_ms;
        op->id = rb_arena_strdup(&op->arena, t->retry->id);
        op->message = rb_arena_strdup(&op->arena, t->message_id);
    }
    return op;
}

/* Send it, want no more than the outcome. */
static enum rb_code tell(struct rb_sq_session *ses, struct rb_sq_op *op, struct rb_err *err)
{
    enum rb_code rc = rb_sq_ask(ses, op, err);
    if (rc == RB_OK) {
        rb_sq_op_drop(ses->store, op);
    }
    return rc;
}

enum rb_code rb_sq_session_renew(struct rb_store_session *base, struct rb_task *t, int64_t lease_ms,
                                 int64_t now_ms, struct rb_err *err)
{
    struct rb_sq_op *op =
        task_op(t, t->kind == RB_TASK_REPORT ? rb_sq_op_report_renew : rb_sq_op_renew, now_ms);
    if (op != NULL) {
        op->is_lease = true;
        op->lease_ms = lease_ms;
    }
    enum rb_code rc = tell((struct rb_sq_session *)base, op, err);
    if (rc == RB_OK) {
        t->lease_until_ms = now_ms + lease_ms;
    }
    return rc;
}

enum rb_code rb_sq_session_release(struct rb_store_session *base, const struct rb_task *t,
                                   int64_t due_ms, int64_t now_ms, struct rb_err *err)
{
    struct rb_sq_op *op =
        task_op(t, t->kind == RB_TASK_REPORT ? rb_sq_op_report_release : rb_sq_op_release, now_ms);
    if (op != NULL) {
        op->due_ms = due_ms;
    }
    return tell((struct rb_sq_session *)base, op, err);
}

static void unpack_conflict(const struct rb_sq_settle *from, struct rb_settle *to)
{
    to->conflict = from->conflict;
    memcpy(to->other_id, from->other_id, sizeof(to->other_id));
}

enum rb_code rb_sq_session_settle(struct rb_store_session *base, struct rb_settle *s,
                                  int64_t now_ms, struct rb_err *err)
{
    struct rb_sq_session *ses = (struct rb_sq_session *)base;
    struct rb_sq_op *op = rb_sq_op_new(rb_sq_op_settle);
    if (op == NULL) {
        return no_memory(ses, op, err);
    }
    enum rb_code rc = rb_sq_pack_settle(s, &op->arena, &op->settle, err);
    if (rc != RB_OK) {
        rb_sq_op_drop(ses->store, op);
        return rc;
    }
    op->now_ms = now_ms;
    op->refs++; /* what is in the way is told on failure too; nobody else knows the op yet */
    rc = rb_sq_ask(ses, op, err);
    if (rc == RB_OK) {
        if (s->follow_on != NULL) {
            rb_sq_unpack_admission(op->settle.follow_on, s->follow_on);
        }
        rb_sq_op_drop(ses->store, op);
    } else if (rc == RB_E_CONFLICT) {
        unpack_conflict(&op->settle, s);
    }
    rb_sq_op_drop(ses->store, op);
    return rc;
}

/* ---- reports ---- */

enum rb_code rb_sq_session_report_settle(struct rb_store_session *base, const struct rb_task *t,
                                         enum rb_report_outcome outcome, int64_t again_ms,
                                         const char *last_error, int64_t now_ms, struct rb_err *err)
{
    struct rb_sq_op *op = task_op(t, rb_sq_op_report_settle, now_ms);
    if (op != NULL) {
        op->outcome = outcome;
        op->due_ms = again_ms;
        op->receipt = t->receipt[0] == '\0' ? NULL : rb_arena_strdup(&op->arena, t->receipt);
        op->text = last_error == NULL
                       ? NULL
                       : rb_arena_strndup(&op->arena, last_error,
                                          strnlen(last_error, RB_LAST_ERROR_MAX_BYTES));
    }
    return tell((struct rb_sq_session *)base, op, err);
}

enum rb_code rb_sq_session_report_requeue(struct rb_store_session *base, const char *retry_id,
                                          int64_t now_ms, unsigned *ret_n, struct rb_err *err)
{
    struct rb_sq_session *ses = (struct rb_sq_session *)base;
    struct rb_sq_op *op = rb_sq_op_new(rb_sq_op_report_requeue);
    if (op == NULL) {
        return no_memory(ses, op, err);
    }
    op->now_ms = now_ms;
    op->id = rb_arena_strdup(&op->arena, retry_id);
    enum rb_code rc = rb_sq_ask(ses, op, err);
    if (rc == RB_OK) {
        *ret_n = (unsigned)op->number;
        rb_sq_op_drop(ses->store, op);
    }
    return rc;
}

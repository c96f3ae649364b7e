/* submit.c - the submit worker: one task at a time, to a fresh call or to an open one. */
#include "internal.h"

#include "fault.h"

void rb_submit_work(struct rb_work *k)
{
    struct rb_plan_state state;
    struct rb_err err = {.code = RB_OK};
    enum rb_code rc;

    rb_plan_state_of(k->r, &state);
    RB_FAULT_POINT("submit.after_claim");
    if (k->task->tries > RB_MAX_TRIES) {
        rc = rb_work_finish(k, RB_STATE_DEAD,
                            "a hundred workers took this up and none lived to settle it", &err);
    } else if (state.open) {
        rc = rb_submit_resume(k, &err);
    } else {
        rc = rb_submit_fresh(k, &err);
    }
    rb_work_done(k, rc, &err);
}

static enum rb_code submit_round(struct rb_worker *w, struct rb_round *ret, struct rb_err *err)
{
    RB_CLEANUP(rb_task_freep) struct rb_task *task = NULL;
    int64_t lease_ms = rb_lease_ms(&w->rt->settings->timing);
    int64_t boot_ms = rb_boot_ms(w->e->clock);
    unsigned n = 0;

    enum rb_code rc = rb_store_claim(w->ses, RB_TASK_SUBMIT, 1, lease_ms, rb_engine_now_ms(w->e),
                                     &task, &n, &ret->next_ms, err);
    if (rc != RB_OK || n == 0) {
        return rc;
    }
    struct rb_work k;
    ret->worked = true;
    rb_engine_wake(w->e, RB_TASK_SUBMIT);
    rb_work_begin(&k, w, task, boot_ms, lease_ms);
    rb_submit_work(&k);
    rb_work_end(&k);
    return RB_OK;
}

const struct rb_worker_role rb_role_submit = {
    .name = "submit",
    .kind = RB_TASK_SUBMIT,
    .needs_codebuild = true,
    .needs_http = true, /* the git host is asked whether the head moved */
    .may_call = true,
    .round = submit_round,
};

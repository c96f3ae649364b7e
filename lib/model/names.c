/* names.c - the closed sets of words (states, actions, task kinds, stages) and the transition
 * table.
 *
 * Each set is a table indexed by its enum, so that a new value without a name does not compile
 * quietly: the unit test walks every table.
 */
#include <retrybuild/cleanup.h>
#include <retrybuild/model.h>

static const char *const state_names[RB_STATE_COUNT] = {
    [RB_STATE_RECEIVED] = "received",
    [RB_STATE_SCHEDULED] = "scheduled",
    [RB_STATE_SUBMITTING] = "submitting",
    [RB_STATE_RUNNING] = "running",
    [RB_STATE_HELD] = "held",
    [RB_STATE_RECOVERED] = "recovered",
    [RB_STATE_FAILED_AGAIN] = "failed_again",
    [RB_STATE_IGNORED] = "ignored",
    [RB_STATE_REFUSED] = "refused",
    [RB_STATE_SUPERSEDED] = "superseded",
    [RB_STATE_DEFERRED] = "deferred",
    [RB_STATE_CANCELLED] = "cancelled",
    [RB_STATE_DEAD] = "dead",
};

#define TO(s) (1U << (unsigned)(s))

/* What ends a retry before its call is out: a person, the policy, the world. */
#define ENDS_BEFORE_CALL \
    (TO(RB_STATE_REFUSED) | TO(RB_STATE_SUPERSEDED) | TO(RB_STATE_DEFERRED) | TO(RB_STATE_DEAD))

/* A child may be adopted at any time after an intent, so RUNNING follows every state that can hold
 * one. Only a dead retry comes back, by requeue, and to the place where it stopped. A call under
 * way cannot be cancelled: nobody knows yet whether it happened. */
static const unsigned allowed[RB_STATE_COUNT] = {
    [RB_STATE_RECEIVED] = TO(RB_STATE_SCHEDULED) | TO(RB_STATE_HELD) | TO(RB_STATE_IGNORED) |
                          TO(RB_STATE_CANCELLED) | ENDS_BEFORE_CALL,
    [RB_STATE_SCHEDULED] = TO(RB_STATE_SUBMITTING) | TO(RB_STATE_RUNNING) | TO(RB_STATE_HELD) |
                           TO(RB_STATE_IGNORED) | TO(RB_STATE_CANCELLED) | ENDS_BEFORE_CALL,
    [RB_STATE_SUBMITTING] =
        TO(RB_STATE_SCHEDULED) | TO(RB_STATE_RUNNING) | TO(RB_STATE_HELD) | ENDS_BEFORE_CALL,
    [RB_STATE_RUNNING] = TO(RB_STATE_RECOVERED) | TO(RB_STATE_FAILED_AGAIN) |
                         TO(RB_STATE_SUPERSEDED) | TO(RB_STATE_CANCELLED) | TO(RB_STATE_DEAD),
    [RB_STATE_HELD] =
        TO(RB_STATE_SCHEDULED) | TO(RB_STATE_RUNNING) | TO(RB_STATE_CANCELLED) | ENDS_BEFORE_CALL,
    [RB_STATE_DEAD] = TO(RB_STATE_RECEIVED) | TO(RB_STATE_SCHEDULED) | TO(RB_STATE_SUBMITTING) |
                      TO(RB_STATE_RUNNING),
};

static const char *const action_names[] = {
    [RB_ACTION_NONE] = "none",
    [RB_ACTION_RETRY] = "retry",
    [RB_ACTION_ASK] = "ask",
    [RB_ACTION_IGNORE] = "ignore",
};

static const char *const task_names[RB_TASK_KIND_COUNT] = {
    [RB_TASK_NONE] = "none",     [RB_TASK_INSPECT] = "inspect", [RB_TASK_SUBMIT] = "submit",
    [RB_TASK_FOLLOW] = "follow", [RB_TASK_REPORT] = "report",
};

static const char *const stage_names[RB_STAGE_COUNT] = {
    [RB_STAGE_HELD] = "held",
    [RB_STAGE_STARTED] = "started",
    [RB_STAGE_FINISHED] = "finished",
    [RB_STAGE_REFUSED] = "refused",
};

static const char *const report_names[] = {
    [RB_REPORT_PENDING] = "pending",
    [RB_REPORT_DELIVERED] = "delivered",
    [RB_REPORT_SUPERSEDED] = "superseded",
    [RB_REPORT_DEAD] = "dead",
};

static const char *name_of(const char *const *names, size_t n, size_t i)
{
    return i < n ? names[i] : "unknown";
}

/* index_of - @n when @name is none of @names. */
static size_t index_of(const char *const *names, size_t n, const char *name)
{
    size_t i = 0;
    while (i < n && (name == NULL || !rb_str_eq(names[i], name))) {
        i++;
    }
    return i;
}

const char *rb_state_name(enum rb_state s)
{
    return name_of(state_names, RB_STATE_COUNT, (size_t)s);
}

bool rb_state_parse(const char *name, enum rb_state *ret_s)
{
    size_t i = index_of(state_names, RB_STATE_COUNT, name);
    if (i == RB_STATE_COUNT) {
        return false;
    }
    *ret_s = (enum rb_state)i;
    return true;
}

bool rb_state_terminal(enum rb_state s)
{
    return s >= RB_STATE_RECOVERED && s < RB_STATE_COUNT;
}

bool rb_state_may(enum rb_state from, enum rb_state to)
{
    if ((size_t)from >= RB_STATE_COUNT || (size_t)to >= RB_STATE_COUNT) {
        return false;
    }
    return from == to || (allowed[from] & TO(to)) != 0;
}

const char *rb_action_name(enum rb_action a)
{
    return name_of(action_names, RB_ARRAY_LEN(action_names), (size_t)a);
}

bool rb_action_parse(const char *name, enum rb_action *ret_a)
{
    size_t i = index_of(action_names, RB_ARRAY_LEN(action_names), name);
    if (i == RB_ARRAY_LEN(action_names) || i == (size_t)RB_ACTION_NONE) {
        return false;
    }
    *ret_a = (enum rb_action)i;
    return true;
}

const char *rb_task_kind_name(enum rb_task_kind k)
{
    return name_of(task_names, RB_TASK_KIND_COUNT, (size_t)k);
}

const char *rb_stage_name(enum rb_stage s)
{
    return name_of(stage_names, RB_STAGE_COUNT, (size_t)s);
}

bool rb_stage_parse(const char *name, enum rb_stage *ret_s)
{
    size_t i = index_of(stage_names, RB_STAGE_COUNT, name);
    if (i == RB_STAGE_COUNT) {
        return false;
    }
    *ret_s = (enum rb_stage)i;
    return true;
}

bool rb_stage_of(enum rb_state s, enum rb_stage *ret_stage)
{
    switch (s) {
    case RB_STATE_HELD:
        *ret_stage = RB_STAGE_HELD;
        return true;
    case RB_STATE_RUNNING:
        *ret_stage = RB_STAGE_STARTED;
        return true;
    case RB_STATE_RECOVERED:
    case RB_STATE_FAILED_AGAIN:
    case RB_STATE_DEAD:
    case RB_STATE_CANCELLED:
        *ret_stage = RB_STAGE_FINISHED;
        return true;
    case RB_STATE_REFUSED:
    case RB_STATE_SUPERSEDED:
    case RB_STATE_DEFERRED:
        *ret_stage = RB_STAGE_REFUSED;
        return true;
    case RB_STATE_RECEIVED:
    case RB_STATE_SCHEDULED:
    case RB_STATE_SUBMITTING:
    case RB_STATE_IGNORED:
    case RB_STATE_COUNT:
        break;
    }
    return false;
}

const char *rb_report_state_name(enum rb_report_state s)
{
    return name_of(report_names, RB_ARRAY_LEN(report_names), (size_t)s);
}

/* wanted.c - which destinations are to be told of the state that a retry has reached. */
#include "internal.h"

#include <retrybuild/destination.h>

static const char *callback_of(const struct rb_retry *r)
{
    return rb_str_empty(r->callback_url) ? NULL : r->callback_url;
}

bool rb_engine_reports(const struct rb_settings *s, const struct rb_retry *r, int64_t now_ms,
                       struct rb_arena *a, const struct rb_report_task **ret_t, unsigned *ret_n)
{
    enum rb_stage stage;
    unsigned n = 0;

    *ret_t = NULL;
    *ret_n = 0;
    bool asker = !rb_str_empty(r->reply) && rb_reply_type_find(r->source.type) != NULL;
    if (!rb_stage_of(r->state, &stage) ||
        (s->n_destinations == 0 && callback_of(r) == NULL && !asker)) {
        return true;
    }
    struct rb_report_task *t = rb_arena_alloc(a, (s->n_destinations + 2) * sizeof(*t));
    if (t == NULL) {
        return false;
    }
    for (unsigned i = 0; i < s->n_destinations; i++) {
        if (rb_destination_wants(&s->destinations[i], r, stage)) {
            const char *name = rb_arena_strdup(a, s->destinations[i].name);
            if (name == NULL) {
                return false;
            }
            t[n++] = (struct rb_report_task){.destination = name, .stage = stage, .due_ms = now_ms};
        }
    }
    if (callback_of(r) != NULL) {
        t[n++] = (struct rb_report_task){
            .destination = RB_CALLBACK_DESTINATION, .stage = stage, .due_ms = now_ms};
    }
    if (asker) {
        t[n++] = (struct rb_report_task){
            .destination = RB_REPLY_DESTINATION, .stage = stage, .due_ms = now_ms};
    }
    *ret_t = t;
    *ret_n = n;
    return true;
}

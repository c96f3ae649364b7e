/* report_aws.c - reports that are calls of AWS: SNS topics and EventBridge buses. Destinations
 * stand on the floor of the AWS client and cannot use it; they render the message, and it is sent
 * here, with the process's own credentials. */
#include "internal.h"

#include <stdio.h>
#include <string.h>

#include <retrybuild/destination.h>
#include <retrybuild/publish.h>
#include <retrybuild/random.h>

#define RB_REPORT_ARENA_BYTES ((size_t)4 * 1024 * 1024)
#define RB_REPORT_BASE_MS 1000
#define RB_REPORT_CAP_MS (15 * 60 * 1000)
#define RB_REPORT_LATER_MAX_MS (60 * 60 * 1000)
#define RB_REPORT_GIVE_UP_MS (INT64_C(24) * 3600 * 1000)

static bool permanent(enum rb_code rc)
{
    return rc == RB_E_REFUSED || rc == RB_E_NOT_FOUND || rc == RB_E_INVALID ||
           rc == RB_E_TOO_LARGE || rc == RB_E_BLOCKED;
}

static void judge(const struct rb_destination_setting *d, const struct rb_report_view *v,
                  int64_t first_due_ms, enum rb_code rc, int64_t retry_after_ms,
                  const struct rb_err *err, struct rb_post_result *ret)
{
    int64_t give_up_ms = d->give_up_ms > 0 ? d->give_up_ms : RB_REPORT_GIVE_UP_MS;
    bool late = v->now_ms - first_due_ms >= give_up_ms;

    *ret = (struct rb_post_result){.verdict = RB_POST_DELIVERED};
    if (rc == RB_OK) {
        return;
    }
    snprintf(ret->error, sizeof(ret->error), "%.250s", err->msg);
    ret->verdict = permanent(rc) || late ? RB_POST_DEAD : RB_POST_AGAIN;
    if (d->n_schedule > 0) {
        int64_t last = (int64_t)d->n_schedule - 1;
        ret->again_in_ms = d->schedule_ms[v->attempts < last ? v->attempts : last];
    } else {
        ret->again_in_ms = rb_plan_backoff_ms(v->attempts + 1, RB_REPORT_BASE_MS, RB_REPORT_CAP_MS,
                                              rb_random_below(rb_random_system(), UINT64_MAX));
    }
    retry_after_ms =
        retry_after_ms < RB_REPORT_LATER_MAX_MS ? retry_after_ms : RB_REPORT_LATER_MAX_MS;
    ret->again_in_ms = retry_after_ms > ret->again_in_ms ? retry_after_ms : ret->again_in_ms;
}

static enum rb_code publish(struct rb_codebuild *c, const struct rb_settings *s,
                            const struct rb_destination_setting *d, const struct rb_report_view *v,
                            const struct rb_rendered *r, struct rb_arena *a, int64_t *ret_after_ms,
                            struct rb_err *err)
{
    const char *id = NULL;

    rb_codebuild_of_account(c, NULL);
    if (rb_str_eq(d->type, "sns")) {
        const struct rb_sns_message m = {
            .topic_arn = d->topic_arn, .message = r->body, .endpoint_url = d->endpoint_url};
        return rb_sns_publish(c, &m, a, &id, ret_after_ms, err);
    }
    const struct rb_build *b = &v->retry->build;
    const char *type = rb_arena_printf(a, "retry.%s", rb_state_name(v->retry->state));
    const struct rb_bus_event e = {
        .bus = d->bus,
        .region = rb_str_empty(s->aws.region) ? b->region : s->aws.region,
        .source = rb_str_empty(d->event_source) ? "retrybuild" : d->event_source,
        .detail_type = type == NULL ? "retry" : type,
        .detail = r->body,
        .resource = b->arn,
        .endpoint_url = d->endpoint_url,
    };
    return rb_events_put(c, &e, a, &id, ret_after_ms, err);
}

bool rb_report_by_aws(struct rb_codebuild *c, const struct rb_settings *s,
                      const struct rb_destination_setting *d, const struct rb_report_view *v,
                      int64_t first_due_ms, struct rb_post_result *ret)
{
    const struct rb_destination_type *type = d->to_asker ? NULL : rb_destination_type_find(d->type);
    RB_CLEANUP(rb_arena_release) struct rb_arena a;
    struct rb_err err = {.code = RB_OK};
    struct rb_rendered r;
    int64_t after_ms = -1;

    rb_arena_init(&a, RB_REPORT_ARENA_BYTES); /* before any return: it is released at each */
    if (type == NULL || !type->by_aws) {
        return false;
    }
    enum rb_code rc = type->render(d, v, &a, &r, &err);
    if (rc == RB_OK) {
        rc = publish(c, s, d, v, &r, &a, &after_ms, &err);
    }
    judge(d, v, first_due_ms, rc, after_ms, &err, ret);
    return true;
}

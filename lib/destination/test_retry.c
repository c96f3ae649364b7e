/* test_retry.c - a made-up retry for a test of a destination, which says of itself that it is one.
 */
#include <retrybuild/cleanup.h>
#include <retrybuild/destination.h>

#define BUILD                                         \
    "arn:aws:codebuild:us-east-1:123456789012:build/" \
    "retrybuild-test:00000000-0000-0000-0000-000000000000"

static bool fill(struct rb_retry *r, const char *by, int64_t now_ms)
{
    struct rb_err ignored;
    const char *says = rb_arena_printf(&r->arena, "This is a test by %s: no build has failed", by);

    if (says == NULL || rb_build_parse_ref(BUILD, &r->arena, &r->build, &ignored) != RB_OK ||
        !rb_build_copy(&r->child, &r->build, &r->arena)) {
        return false;
    }
    rb_id_make(rb_random_system(), "rty_", now_ms, 0, r->id);
    rb_id_make(rb_random_system(), "chn_", now_ms, 0, r->chain);
    r->build.number = 1;
    r->build.status = "FAILED";
    r->build.message = says;
    r->build.repository = "https://github.com/example/retrybuild-test";
    r->build.branch = "retrybuild-test";
    r->build.resolved_version = "0000000000000000000000000000000000000000";
    r->has_child = true;
    r->child.number = 2;
    r->child.status = "SUCCEEDED";
    r->attempt = 1;
    r->limit = 1;
    r->source =
        (struct rb_delivery){.source = "test", .type = "test", .key = r->id, .at_ms = now_ms};
    r->decision = (struct rb_decision){.action = RB_ACTION_RETRY, .rule = "test", .reason = says};
    r->requested_by = "test";
    r->request_reason = says;
    r->created_ms = r->due_ms = r->submitted_ms = now_ms;
    r->state = RB_STATE_RUNNING;
    rb_retry_enter(r, RB_STATE_RECOVERED, now_ms, says);
    return true;
}

struct rb_retry *rb_destination_test_retry(const char *by, int64_t now_ms)
{
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = rb_retry_new();

    return r != NULL && fill(r, by, now_ms) ? RB_TAKE(r) : NULL;
}

/* destination.h - outbound adapters: a row {type, render} each; posting and judging the answer are
 * common.
 *
 * render is pure: a report and the settings give one HTTP request. A type that needs several, or
 * edits what it wrote before, has `post` instead, which sends through the same guard and judge.
 * Adding one: a file
 * lib/destination/<type>.c, a row in table.c, a folder of cases. Threads: any (rb_destination_post:
 * the caller's rb_httpc). Blocks: post, at most its timeout.
 */
#ifndef RETRYBUILD_DESTINATION_H
#define RETRYBUILD_DESTINATION_H

#include <retrybuild/err.h>
#include <retrybuild/forge.h>
#include <retrybuild/httpc.h>
#include <retrybuild/model.h>
#include <retrybuild/random.h>
#include <retrybuild/settings.h>
#include <retrybuild/store.h>

struct rb_forge_tokens;

struct rb_report_view {
    const struct rb_retry *retry; /* the snapshot */
    enum rb_stage stage;
    const char *message_id; /* same on every attempt */
    int64_t attempts;       /* made before */
    int64_t now_ms;
    struct rb_forge_tokens *forge_tokens; /* of apps (forge.h); NULL: an app cannot be used */
    const char *receipt; /* of the chain's last report here (store.h); NULL or "" = none */
    /* headers of this request, for a receiver that may go on with the trace; NULL = none */
    const char *traceparent, *tracestate;
    const char *event_trace; /* the same for what is reported, on every attempt; NULL = none */
};

struct rb_rendered {
    const char *method;
    const char *url;         /* in the arena; a secret: never logged */
    const char *headers[12]; /* NULL-terminated, in the arena */
    const char *body;
    size_t body_len;
};

struct rb_poster; /* one report on its way: lib/destination/poster.h */

struct rb_destination_type {
    const char *type;
    bool by_aws; /* what is rendered is the body alone: a message that the engine has AWS deliver */
    const char *const *keys; /* of the configuration beside name, type, when, stages, reply,
                                timeout, give_up, schedule, max_in_flight; NULL = none */
    /* check - of the configuration, for check-config: RB_E_INVALID with the sentence, *ret_key the
     * key it is about. NULL = nothing to check. */
    enum rb_code (*check)(const struct rb_destination_setting *d, const char **ret_key,
                          struct rb_err *err);
    enum rb_code (*render)(const struct rb_destination_setting *d, const struct rb_report_view *v,
                           struct rb_arena *a, struct rb_rendered *ret_r, struct rb_err *err);
    /* post - instead of render, where a report takes several requests or leaves a receipt. */
    void (*post)(struct rb_poster *p);
    /* judge - after the common judgement of an answer: what this receiver means by it. NULL = the
     * common one. */
    void (*judge)(struct rb_poster *p);
    /* applies - can this retry be told there at all (its repository, its pull request)? NULL =
     * every one. */
    bool (*applies)(const struct rb_destination_setting *d, const struct rb_retry *r,
                    enum rb_stage stage);
    bool chat;       /* people read it: what concerns many retries is told them once */
    int64_t pace_ms; /* least time between two reports to one destination; 0 = none */
};
const struct rb_destination_type *rb_destination_type_find(const char *type);
/* rb_reply_type_find - how who asked through a source of @source_type is answered (retry->reply);
 * NULL = not at all. */
const struct rb_destination_type *rb_reply_type_find(const char *source_type);
const char *const *rb_destination_type_names(void);

/* rb_destination_wants - do `when` and `stages` of @d match this retry, and has its type a place
 * for it? */
bool rb_destination_wants(const struct rb_destination_setting *d, const struct rb_retry *r,
                          enum rb_stage stage);

/* rb_destination_test_retry - a made-up retry that says of itself that it is a test by @by; NULL
 * without memory. */
struct rb_retry *rb_destination_test_retry(const char *by, int64_t now_ms);

struct rb_post_result {
    enum rb_report_verdict { RB_POST_DELIVERED, RB_POST_AGAIN, RB_POST_DEAD } verdict;
    int64_t again_in_ms; /* AGAIN: schedule or full jitter, at least Retry-After (capped at 1 h) */
    long status;         /* of the receiver's last answer; 0 = there was none */
    char error[256];     /* safe to show: no URL path, no body */
    int64_t pause_ms;    /* > 0: a rate limit; nothing to this destination before that */
    bool gone;           /* answered 410: this destination is to be switched off */
    char receipt[RB_RECEIPT_BYTES]; /* for the chain's next report; "" = as before */
};
/* rb_destination_pace_ms - least time between two reports to @d. */
int64_t rb_destination_pace_ms(const struct rb_destination_setting *d);
/* rb_destination_post - render, send through the guard, judge: 2xx delivered; 410 dead and gone;
 * 429, 408, 5xx, a rate limit in the receiver's own words and transport errors again; blocked by
 * the guard or other 4xx/3xx: dead; give_up reached: dead. */
void rb_destination_post(const struct rb_destination_setting *d, const struct rb_report_view *v,
                         int64_t first_due_ms, const struct rb_settings *s, struct rb_httpc *http,
                         const struct rb_random *rnd, struct rb_post_result *ret);

#endif

/* admit_person.c - a person's wish becomes one admission: it starts as received, for of its build
 * nothing but the name is known. */
#include "admission.h"

#include <string.h>

#include <retrybuild/digest.h>

static void person_fingerprint(const struct rb_person_request *p, char ret_key[RB_KEY_BYTES])
{
    const struct rb_slice parts[] = {
        rb_slice_str(p->build->id),
        rb_slice_str(p->account_found ? NULL : p->build->account),
        rb_slice_str(p->build->region),
        rb_slice_str(p->callback_url),
        p->force ? RB_SLICE_LIT("force") : RB_SLICE_LIT(""),
    };
    uint8_t digest[RB_SHA256_BYTES];
    rb_sha256_parts(parts, RB_ARRAY_LEN(parts), digest);
    rb_hex(digest, (RB_KEY_BYTES - 1) / 2, ret_key);
}

static bool fill_person(struct rb_retry *r, const struct rb_person_request *p)
{
    const char *who = rb_str_empty(p->caller) ? "api" : p->caller;

    r->requested_by = rb_arena_strdup(&r->arena, who);
    r->request_reason = rb_arena_strdup(&r->arena, p->reason);
    r->callback_url = rb_arena_strdup(&r->arena, p->callback_url);
    r->reply = rb_arena_strdup(&r->arena, p->reply);
    r->channel = rb_arena_strdup(&r->arena, p->channel);
    r->force = p->force;
    return r->requested_by != NULL && (r->request_reason != NULL || p->reason == NULL) &&
           (r->callback_url != NULL || p->callback_url == NULL) &&
           (r->reply != NULL || p->reply == NULL) && (r->channel != NULL || p->channel == NULL) &&
           rb_retry_take_trace(r, p->traceparent, p->tracestate);
}

/* Whoever asks the same again within a moment has clicked twice: without a token of its own a
 * request has one that is known for that moment, so that the second is the first, though that may
 * have ended or be forced. A line end keeps it apart from the tokens of any caller. */
static void set_double_click(struct admission_box *box, const struct rb_person_request *p,
                             int64_t window_ms)
{
    if (window_ms <= 0) {
        return;
    }
    person_fingerprint(p, box->fingerprint);
    rb_scoped_key("\ndouble click", box->retry->requested_by, strlen(box->retry->requested_by),
                  box->token_key);
    rb_scoped_key(box->token_key, box->fingerprint, strlen(box->fingerprint), box->token_key);
    box->a.token_key = box->token_key;
    box->a.token_fingerprint = box->fingerprint;
    box->a.token_ttl_ms = window_ms;
}

enum rb_code rb_engine_person_new(struct rb_engine *e, const struct rb_person_request *p,
                                  struct rb_admission **ret_a, struct rb_err *err)
{
    int64_t now_ms = rb_engine_now_ms(e);
    RB_CLEANUP(rb_runtime_unrefp) struct rb_runtime *rt = rb_runtime_get(e);
    struct admission_box *box = rb_box_new(e);
    if (box == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a request");
    }
    RB_CLEANUP(rb_engine_admission_freep) struct rb_admission *a = &box->a;
    a->rc = RB_E_INTERNAL;
    a->mode = p->force ? RB_ADMIT_FORCE : RB_ADMIT_PERSON;
    box->retry = rb_engine_retry_new(e, p->build, &p->delivery, NULL, now_ms);
    if (box->retry == NULL || !fill_person(box->retry, p)) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a request");
    }
    rb_retry_enter(box->retry, RB_STATE_RECEIVED, now_ms, NULL);
    if (!rb_str_empty(p->token)) {
        rb_scoped_key(box->retry->requested_by, p->token, strlen(p->token), box->token_key);
        person_fingerprint(p, box->fingerprint);
        a->token_key = box->token_key;
        a->token_fingerprint = box->fingerprint;
    } else {
        set_double_click(box, p, rt->settings->timing.double_click_ms);
    }
    if (!rb_box_finish(box, rt, now_ms)) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a request");
    }
    *ret_a = RB_TAKE(a);
    return RB_OK;
}

void rb_engine_person_continue(struct rb_admission *a, const struct rb_retry *parent)
{
    struct rb_retry *r = ((struct admission_box *)a)->retry;

    memcpy(r->previous, parent->id, sizeof(r->previous));
    memcpy(r->chain, parent->chain, sizeof(r->chain));
    r->attempt = parent->attempt + 1;
    (void)rb_retry_inherit_trace(r, parent); /* without memory: a trace of the chain's own */
    a->rc = RB_E_INTERNAL;
}

/* sns.c - messages of Amazon SNS: the proof, and what a message says.
 *
 * A signature proves that some account's topic sent it, so the topic must be listed before anything
 * else counts. Signed is a text of some members (sns_envelope.h), by a certificate whose place the
 * message itself names: that place must be SNS's own in the topic's region, or the operator has
 * pinned the certificate. Messages delivered raw are signed by nobody: they count only where the
 * source has a secret, which they must carry. Source: facts on AWS, 6.
 */
#include <retrybuild/certificate.h>
#include <retrybuild/cleanup.h>
#include <retrybuild/digest.h>
#include <retrybuild/timefmt.h>
#include <retrybuild/url.h>

#include "carried.h"
#include "proof.h"
#include "sns_envelope.h"
#include "types.h"

#define SCRATCH_MAX_BYTES ((size_t)8 * 1024 * 1024)
#define SIGNATURE_MAX_BYTES 1024
/* SNS repeats for an hour at most and keeps the time of the first try; clocks differ a little */
#define OLDEST_MS (65LL * 60 * 1000)
#define AHEAD_MS (5LL * 60 * 1000)

static const char *const own_keys[] = {"topics",           "confirm", "signature_versions",
                                       "certificate_file", "header",  NULL};

static bool topic_listed(const struct rb_source_setting *s, const char *topic)
{
    for (unsigned i = 0; i < s->topics.n; i++) {
        if (rb_glob_match(s->topics.items[i], topic)) {
            return true;
        }
    }
    return false;
}

static bool is_raw(const struct rb_request *req)
{
    return rb_str_ieq(req->header(req->arg, "x-amz-sns-rawdelivery", NULL), "true");
}

static bool version_listed(const struct rb_source_setting *s, const char *version)
{
    bool listed = s->signature_versions.n == 0;
    for (unsigned i = 0; i < s->signature_versions.n; i++) {
        listed = listed || rb_str_eq(s->signature_versions.items[i], version);
    }
    return listed && (rb_str_eq(version, "1") || rb_str_eq(version, "2"));
}

/* may_be - everything that can be told without the certificate. */
static bool may_be(const struct rb_source_setting *s, const struct rb_request *req,
                   struct rb_arena *a, struct rb_sns_envelope *ret_e, struct rb_sns_topic *ret_t)
{
    int64_t at_ms = 0;
    return rb_sns_envelope_read(req->body, a, ret_e, NULL) == RB_OK &&
           topic_listed(s, ret_e->topic) && rb_sns_topic_parse(ret_e->topic, a, ret_t) &&
           version_listed(s, ret_e->version) &&
           rb_time_parse_iso(rb_slice_str(ret_e->timestamp), &at_ms) &&
           at_ms >= req->now_ms - OLDEST_MS && at_ms <= req->now_ms + AHEAD_MS;
}

static const char *certificate_url(const struct rb_source_setting *s, const struct rb_request *req,
                                   struct rb_arena *a)
{
    struct rb_sns_envelope e;
    struct rb_sns_topic t;
    if (is_raw(req) || s->certificate_file != NULL || !may_be(s, req, a, &e, &t)) {
        return NULL;
    }
    return rb_sns_certificate_url(e.certificate_url, &t, a);
}

static bool names_sns(const char *name, const void *arg)
{
    const char *suffix = arg;
    size_t len = strlen(name);
    size_t end = strlen(suffix);
    return rb_str_starts(name, "sns.") && len >= end + 4 && rb_str_ends(name, suffix) &&
           name[len - end - 1] == '.';
}

/* certificate_fits - its name is that of SNS in the partition of @url, though not always with the
 * region. */
static bool certificate_fits(const struct rb_certificate *c, const char *url, int64_t now_ms)
{
    RB_CLEANUP(rb_arena_release) struct rb_arena a;
    struct rb_url u;
    rb_arena_init(&a, 4096);
    if (rb_url_parse(url, strlen(url), &a, &u, NULL) != RB_OK || !rb_str_starts(u.host, "sns.")) {
        return false;
    }
    const char *suffix = strchr(u.host + 4, '.');
    return suffix != NULL && rb_certificate_valid_at(c, now_ms) &&
           rb_certificate_has_name(c, names_sns, suffix + 1);
}

static bool is_signed(const struct rb_sns_envelope *e, const struct rb_certificate *c)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(SCRATCH_MAX_BYTES);
    RB_CLEANUP(rb_buf_release) struct rb_buf signature = RB_BUF_INIT(SIGNATURE_MAX_BYTES);
    rb_sns_signed_text(e, &text);
    return !rb_buf_failed(&text) && rb_unbase64(e->signature, strlen(e->signature), &signature) &&
           signature.len > 0 &&
           rb_certificate_verify(c, rb_str_eq(e->version, "1") ? "SHA1" : "SHA256",
                                 rb_buf_str(&text), text.len, signature.data, signature.len);
}

static enum rb_code verify(const struct rb_source_setting *s, const struct rb_request *req,
                           struct rb_err *err)
{
    RB_CLEANUP(rb_arena_release) struct rb_arena a;
    struct rb_sns_envelope e;
    struct rb_sns_topic t;
    rb_arena_init(&a, SCRATCH_MAX_BYTES);
    if (is_raw(req)) {
        const char *topic = rb_proof_header(req, "x-amz-sns-topic-arn");
        return topic != NULL && topic_listed(s, topic) ? rb_proof_shared(s, req, err)
                                                       : rb_proof_denied(err);
    }
    if (req->certificate == NULL || !may_be(s, req, &a, &e, &t) ||
        !rb_certificate_valid_at(req->certificate, req->now_ms) ||
        (s->certificate_file == NULL &&
         rb_sns_certificate_url(e.certificate_url, &t, &a) == NULL) ||
        !is_signed(&e, req->certificate)) {
        return rb_proof_denied(err);
    }
    return RB_OK;
}

/* ---- what it says ---- */

static enum rb_code exhausted(struct rb_err *err)
{
    return rb_err_set(err, RB_E_NOMEM, "no memory for a message");
}

static enum rb_code read_event(struct rb_slice message, const char *id, struct rb_arena *a,
                               struct rb_events *ret_events, struct rb_err *err)
{
    struct rb_event *ev = rb_arena_alloc(a, sizeof(*ev));
    const char *inner = NULL;
    if (ev == NULL) {
        return exhausted(err);
    }
    enum rb_code rc = rb_carried_parse(message, a, ev, &inner, err);
    if (rc == RB_E_INVALID) { /* a topic may carry any text */
        rb_carried_none(ev, "the message is not JSON: no usable build");
        rc = RB_OK;
    }
    if (rc == RB_OK) {
        *ret_events =
            (struct rb_events){.items = ev, .n = 1, .delivery_id = id == NULL ? inner : id};
    }
    return rc;
}

static enum rb_code subscription(const struct rb_source_setting *s, const struct rb_sns_envelope *e,
                                 struct rb_arena *a, struct rb_events *ret_events,
                                 struct rb_err *err)
{
    struct rb_sns_topic t;
    RB_CLEANUP(rb_buf_release) struct rb_buf query = RB_BUF_INIT(16384);
    struct rb_events events = {.n = 0};
    if (!rb_sns_topic_parse(e->topic, a, &t)) {
        return rb_err_set(err, RB_E_INVALID, "TopicArn is not the ARN of a topic");
    }
    if (!s->confirm) {
        events.ignored = "the subscription waits for its confirmation";
        events.notice = rb_arena_sentence(
            a,
            "topic %.200s asks to confirm its subscription: confirm it in SNS, or set confirm: "
            "true and let SNS ask again",
            e->topic);
        *ret_events = events;
        return events.notice == NULL ? exhausted(err) : RB_OK;
    }
    rb_buf_adds(&query, "Action=ConfirmSubscription&TopicArn=");
    rb_url_encode(&query, e->topic, strlen(e->topic));
    rb_buf_adds(&query, "&Token=");
    rb_url_encode(&query, e->token, strlen(e->token));
    events.confirm_region = t.region;
    events.confirm_query = rb_arena_strdup(a, rb_buf_str(&query));
    if (rb_buf_failed(&query) || events.confirm_query == NULL) {
        return rb_err_set(err, RB_E_INVALID, "Token is too long");
    }
    *ret_events = events;
    return RB_OK;
}

static enum rb_code parse(const struct rb_source_setting *s, const struct rb_request *req,
                          struct rb_arena *a, struct rb_events *ret_events, struct rb_err *err)
{
    struct rb_sns_envelope e;
    if (is_raw(req)) {
        return read_event(req->body, rb_carried_key(req, "x-amz-sns-message-id"), a, ret_events,
                          err);
    }
    enum rb_code rc = rb_sns_envelope_read(req->body, a, &e, err);
    if (rc != RB_OK) {
        return rc;
    }
    if (rb_str_eq(e.type, "Notification")) {
        return read_event(rb_slice_str(e.message), e.message_id, a, ret_events, err);
    }
    if (rb_str_eq(e.type, "SubscriptionConfirmation")) {
        return subscription(s, &e, a, ret_events, err);
    }
    const char *notice = rb_arena_sentence(
        a, "the subscription of topic %.200s was removed: its failures do not come here any more",
        e.topic);
    *ret_events = (struct rb_events){.ignored = "the subscription was removed", .notice = notice};
    return notice == NULL ? exhausted(err) : RB_OK;
}

/* ---- the row ---- */

static enum rb_code check(const struct rb_source_setting *s, const char **ret_key,
                          struct rb_err *err)
{
    RB_CLEANUP(rb_certificate_freep) struct rb_certificate *pinned = NULL;
    *ret_key = "topics";
    if (s->topics.n == 0) {
        return rb_err_set(err, RB_E_INVALID,
                          "is missing: ARNs of the topics that count, such as "
                          "arn:aws:sns:us-east-1:123456789012:builds");
    }
    for (unsigned i = 0; i < s->topics.n; i++) {
        if (!rb_str_starts(s->topics.items[i], "arn:") && s->topics.items[i][0] != '*') {
            return rb_err_set(err, RB_E_INVALID, "'%.100s' is not the ARN of a topic",
                              s->topics.items[i]);
        }
    }
    *ret_key = "signature_versions";
    for (unsigned i = 0; i < s->signature_versions.n; i++) {
        const char *v = s->signature_versions.items[i];
        if (!rb_str_eq(v, "1") && !rb_str_eq(v, "2")) {
            return rb_err_set(err, RB_E_INVALID, "'%.20s' is not a signature version: 1 or 2", v);
        }
    }
    *ret_key = "certificate_file";
    return s->certificate_file == NULL
               ? RB_OK
               : rb_certificate_load_file(s->certificate_file, &pinned, err);
}

/* sign - a raw delivery: what SNS signs itself is posted as it is, without a secret. */
static enum rb_code sign(const struct rb_secret *secret, const char *header, struct rb_slice body,
                         int64_t now_ms, struct rb_arena *a, const char *ret_headers[4],
                         struct rb_err *err)
{
    char hex[RB_SHA256_HEX_BYTES];
    enum rb_code rc = rb_proof_sign_shared(secret, header, body, now_ms, a, ret_headers, err);
    if (rc != RB_OK) {
        return rc;
    }
    rb_sha256_hex(body.ptr, body.len, hex);
    ret_headers[1] = "x-amz-sns-rawdelivery: true";
    ret_headers[2] = rb_arena_printf(a, "x-amz-sns-message-id: %.20s-%lld", hex, (long long)now_ms);
    return ret_headers[2] == NULL ? exhausted(err) : RB_OK;
}

static const char *content_type(struct rb_slice body)
{
    (void)body;
    return "text/plain; charset=UTF-8"; /* though it is JSON */
}

const struct rb_source_type rb_source_sns = {
    .type = "sns",
    .keys = own_keys,
    .check = check,
    .certificate_url = certificate_url,
    .certificate_fits = certificate_fits,
    .verify = verify,
    .parse = parse,
    .content_type = content_type,
    .sign = sign,
};

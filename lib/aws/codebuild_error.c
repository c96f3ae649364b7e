/* What an error answer means: by AWS's type in the body (or in x-amzn-ErrorType) first, by the
 * status only when no type is known. Source: facts on AWS, 1.7.
 *
 * AWS's text is shown where it helps and never where it may repeat what we signed: the message of a
 * refused signature quotes the canonical request.
 */
#include <string.h>
#include <strings.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>

#include "internal.h"

#define TEXT_MAX_BYTES 256

static const struct row {
    const char *type; /* without the suffix "Exception" */
    enum rb_code code;
} TYPES[] = {
    {"AccessDenied", RB_E_REFUSED},
    {"AccountLimitExceeded", RB_E_LATER},
    {"BandwidthLimitExceeded", RB_E_THROTTLED},
    {"ConcurrentPipelineExecutionsLimitExceeded", RB_E_LATER},
    {"Conflict", RB_E_THROTTLED}, /* CodePipeline is busy with the pipeline */
    {"EC2Throttled", RB_E_THROTTLED},
    {"ExpiredToken", RB_E_CREDENTIALS},
    {"IncompleteSignature", RB_E_CREDENTIALS},
    {"InternalFailure", RB_E_AMBIGUOUS},
    {"InternalServer", RB_E_AMBIGUOUS},
    {"InternalServerError", RB_E_AMBIGUOUS},
    {"InternalService", RB_E_AMBIGUOUS},
    {"InvalidClientTokenId", RB_E_CREDENTIALS},
    {"InvalidInput", RB_E_REFUSED},
    {"InvalidSignature", RB_E_CREDENTIALS},
    {"LimitExceeded", RB_E_THROTTLED},
    {"MissingAuthenticationToken", RB_E_CREDENTIALS},
    {"NotAuthorized", RB_E_REFUSED},
    {"OptInRequired", RB_E_REFUSED},
    {"PriorRequestNotComplete", RB_E_THROTTLED},
    {"ProvisionedThroughputExceeded", RB_E_THROTTLED},
    {"RequestExpired", RB_E_CLOCK},
    {"RequestInTheFuture", RB_E_CLOCK},
    {"RequestLimitExceeded", RB_E_THROTTLED},
    {"RequestThrottled", RB_E_THROTTLED},
    {"RequestTimeTooSkewed", RB_E_CLOCK},
    {"RequestTimeout", RB_E_AMBIGUOUS},
    {"ResourceAlreadyExists", RB_E_REFUSED},
    {"ResourceNotFound", RB_E_NOT_FOUND},
    {"Serialization", RB_E_REFUSED},
    {"ServiceUnavailable", RB_E_AMBIGUOUS},
    {"SignatureDoesNotMatch", RB_E_CREDENTIALS},
    {"SlowDown", RB_E_THROTTLED},
    {"Throttled", RB_E_THROTTLED},
    {"Throttling", RB_E_THROTTLED},
    {"TooManyRequests", RB_E_THROTTLED},
    {"TransactionInProgress", RB_E_THROTTLED},
    {"UnknownOperation", RB_E_REFUSED},
    {"UnrecognizedClient", RB_E_CREDENTIALS},
    {"Validation", RB_E_REFUSED},
};

/* "com.amazonaws.codebuild#XException:http://…" is X. */
static struct rb_slice bare_type(const char *s)
{
    static const char suffix[] = "Exception";
    struct rb_slice t = {.ptr = s, .len = strcspn(s, ":")};
    const char *hash = memrchr(s, '#', t.len);

    if (hash != NULL) {
        t.len -= (size_t)(hash + 1 - s);
        t.ptr = hash + 1;
    }
    if (t.len > sizeof(suffix) - 1 &&
        memcmp(t.ptr + t.len - (sizeof(suffix) - 1), suffix, sizeof(suffix) - 1) == 0) {
        t.len -= sizeof(suffix) - 1;
    }
    return t;
}

static enum rb_code by_status(long status)
{
    if (status == 429) {
        return RB_E_THROTTLED;
    }
    if (status == 408 || status < 400 || (status >= 500 && status != 501)) {
        return RB_E_AMBIGUOUS;
    }
    return RB_E_REFUSED;
}

/* Two types need the text as well. */
static enum rb_code by_text(struct rb_slice type, const char *text, enum rb_code code)
{
    if (rb_slice_eq(type, "InvalidSignature") &&
        (strcasestr(text, "expired") != NULL || strcasestr(text, "not yet current") != NULL)) {
        return RB_E_CLOCK;
    }
    if (rb_slice_eq(type, "InvalidInput") &&
        (strcasestr(text, "mismatch") != NULL || strcasestr(text, "idempotency") != NULL)) {
        return RB_E_MISMATCH;
    }
    return code;
}

static enum rb_code classify(struct rb_slice type, const char *text, long status)
{
    for (size_t i = 0; i < RB_ARRAY_LEN(TYPES); i++) {
        if (rb_slice_eq(type, TYPES[i].type)) {
            return by_text(type, text, TYPES[i].code);
        }
    }
    return by_status(status);
}

/* Printable text only, bounded. */
static void add_text(struct rb_buf *out, const char *s)
{
    for (size_t i = 0; s[i] != '\0' && i < TEXT_MAX_BYTES; i++) {
        unsigned char c = (unsigned char)s[i];
        rb_buf_addc(out, c < ' ' || c >= 127 ? '?' : s[i]);
    }
}

static const char *member(const json_t *j, const char *a, const char *b)
{
    const char *s = json_string_value(json_object_get(j, a));

    return s != NULL ? s : json_string_value(json_object_get(j, b));
}

static enum rb_code report(const char *operation, long status, struct rb_slice type,
                           const char *text, struct rb_err *err)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf shown = RB_BUF_INIT(2 * TEXT_MAX_BYTES + 64);
    enum rb_code code = classify(type, text, status);

    if (code == RB_E_CLOCK) {
        return rb_err_set(err, code, "%s: AWS does not accept the date of the signature",
                          operation);
    }
    if (code == RB_E_CREDENTIALS) {
        return rb_err_set(err, code, "%s: AWS does not accept the credentials (%.*s)", operation,
                          (int)(type.len < 64 ? type.len : 64), type.ptr);
    }
    if (type.len == 0) {
        return rb_err_set(err, code, "%s: the answer was status %ld without an error of AWS",
                          operation, status);
    }
    RB_CLEANUP(rb_buf_release) struct rb_buf name = RB_BUF_INIT(128);
    rb_buf_add(&name, type.ptr, type.len < 64 ? type.len : 64);
    add_text(&shown, rb_buf_str(&name));
    if (text[0] != '\0') {
        rb_buf_adds(&shown, ": ");
        add_text(&shown, text);
    }
    return rb_err_set(err, code, "%s: %s", operation, rb_buf_str(&shown));
}

const char *rb_aws_error_type(const struct rb_http_answer *answer, struct rb_arena *a)
{
    RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;
    const char *type = NULL;

    if (rb_json_load(rb_buf_str(&answer->body), answer->body.len, &j, NULL) == RB_OK) {
        type = member(j, "__type", "code");
    }
    if (type == NULL) {
        type = rb_http_answer_header(answer, "x-amzn-errortype", a);
    }
    struct rb_slice bare = bare_type(type == NULL ? "" : type);
    const char *kept = rb_arena_strndup(a, bare.ptr, bare.len);
    return kept == NULL ? "" : kept;
}

enum rb_code rb_aws_judge(const char *operation, const struct rb_http_answer *answer,
                          struct rb_err *err)
{
    RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;
    RB_CLEANUP(rb_arena_release) struct rb_arena a;
    const char *type = NULL, *text = NULL;

    rb_arena_init(&a, 4096);
    if (rb_json_load(rb_buf_str(&answer->body), answer->body.len, &j, NULL) == RB_OK) {
        type = member(j, "__type", "code");
        text = member(j, "message", "Message");
    }
    if (type == NULL) {
        type = rb_http_answer_header(answer, "x-amzn-errortype", &a);
    }
    return report(operation, answer->status, bare_type(type == NULL ? "" : type),
                  text == NULL ? "" : text, err);
}

enum rb_code rb_aws_refused(const char *operation, long status, const char *type, const char *text,
                            struct rb_err *err)
{
    return report(operation, status, bare_type(type == NULL ? "" : type), text == NULL ? "" : text,
                  err);
}

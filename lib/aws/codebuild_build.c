/* A Build object of CodeBuild's API into the model. Every member is optional but the id; whatever
 * has another type than documented counts as absent. Source: facts on AWS, 1.4 and 1.6. */
#include <math.h>
#include <string.h>

#include <retrybuild/cleanup.h>

#include "internal.h"

#define SECONDS_MAX 253402300799.0 /* the end of the year 9999 */

static const char *text(const json_t *j, const char *name)
{
    const char *s = json_string_value(json_object_get(j, name));

    return s == NULL || s[0] == '\0' ? NULL : s;
}

/* Copies are made through this, so that one check tells whether memory was short. */
struct copier {
    struct rb_arena *arena;
    bool failed;
};

static const char *copy(struct copier *c, const char *s)
{
    const char *made = s == NULL ? NULL : rb_arena_strdup(c->arena, s);

    c->failed = c->failed || (s != NULL && made == NULL);
    return made;
}

static const char *copied(struct copier *c, const json_t *j, const char *name)
{
    return copy(c, text(j, name));
}

/* Epoch seconds with a fraction. */
static int64_t time_ms(const json_t *j, const char *name)
{
    double s = json_number_value(json_object_get(j, name));

    return s > 0 && s <= SECONDS_MAX ? (int64_t)llround(s * 1000.0) : 0;
}

static int64_t number(const json_t *j, const char *name, int64_t absent)
{
    const json_t *v = json_object_get(j, name);
    double d = json_number_value(v);

    return json_is_number(v) && d >= 0 && d <= 9007199254740992.0 ? (int64_t)d : absent;
}

/* The longest prefix of at most RB_MESSAGE_MAX_BYTES bytes that ends with a whole character. */
static size_t message_len(const char *s)
{
    size_t len = strlen(s);

    if (len <= RB_MESSAGE_MAX_BYTES) {
        return len;
    }
    len = RB_MESSAGE_MAX_BYTES;
    while (len > 0 && ((unsigned char)s[len] & 0xc0) == 0x80) {
        len--;
    }
    return len;
}

/* "STATUS_CODE: message" of the first context that says anything, as events spell it. */
static const char *phase_message(struct copier *c, const json_t *phase)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf out = RB_BUF_INIT((size_t)1024 * 1024);
    const json_t *contexts = json_object_get(phase, "contexts");
    const json_t *context = NULL;
    size_t i = 0;

    json_array_foreach(contexts, i, context)
    {
        const char *code = text(context, "statusCode");
        const char *message = text(context, "message");
        if (code == NULL && message == NULL) {
            continue;
        }
        rb_buf_addf(&out, "%s%s%s", code == NULL ? "" : code,
                    code != NULL && message != NULL ? ": " : "", message == NULL ? "" : message);
        const char *s = rb_buf_str(&out);
        const char *made = rb_arena_strndup(c->arena, s, message_len(s));
        c->failed = c->failed || made == NULL;
        return made;
    }
    return NULL;
}

/* The first phase whose status is known and not SUCCEEDED: uploads run after a failure too, and the
 * last phase of all is always COMPLETED. */
static void read_phases(struct copier *c, const json_t *j, struct rb_build *b)
{
    const json_t *phase = NULL;
    size_t i = 0;

    json_array_foreach(json_object_get(j, "phases"), i, phase)
    {
        const char *status = text(phase, "phaseStatus");
        if (status != NULL && strcmp(status, "SUCCEEDED") != 0) {
            b->phase = copied(c, phase, "phaseType");
            b->phase_status = copy(c, status);
            b->message = phase_message(c, phase);
            return;
        }
    }
}

static void read_rest(struct copier *c, const json_t *j, struct rb_build *b)
{
    const json_t *source = json_object_get(j, "source");
    const json_t *again = json_object_get(j, "autoRetryConfig");
    const char *url = text(json_object_get(j, "logs"), "deepLink");

    b->number = number(j, "buildNumber", 0);
    b->status = copied(c, j, "buildStatus");
    b->initiator = copied(c, j, "initiator");
    b->source_type = copied(c, source, "type");
    b->repository = copied(c, source, "location");
    b->source_version = copied(c, j, "sourceVersion");
    b->resolved_version = copied(c, j, "resolvedSourceVersion");
    b->batch_arn = copied(c, j, "buildBatchArn");
    b->compute_type = copied(c, json_object_get(j, "environment"), "computeType");
    b->started_ms = time_ms(j, "startTime");
    b->ended_ms = time_ms(j, "endTime");
    b->auto_retry_limit = number(again, "autoRetryLimit", -1);
    b->auto_retry_number = number(again, "autoRetryNumber", -1);
    b->next_auto_retry = copied(c, again, "nextAutoRetry");
    if (rb_str_starts(url, "https://")) {
        b->url = copy(c, url);
    }
    read_phases(c, j, b);
}

enum rb_code rb_codebuild_build_from_json(const json_t *j, const char *region, struct rb_arena *a,
                                          struct rb_build *ret_b, struct rb_err *err)
{
    struct rb_build b = RB_BUILD_INIT;
    struct copier c = {.arena = a, .failed = false};
    const char *id = text(j, "id");
    const char *arn = text(j, "arn");

    if (id == NULL) {
        return rb_err_set(err, RB_E_INVALID, "a build has no id");
    }
    enum rb_code rc = rb_build_parse_ref(arn != NULL ? arn : id, a, &b, err);
    if (rc != RB_OK) {
        return rb_err_wrap(err, rc, "a build's name");
    }
    if (b.region == NULL) {
        b.region = copy(&c, region);
    }
    read_rest(&c, j, &b);
    rb_build_derive(&b, a);
    if (c.failed) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a build");
    }
    *ret_b = b;
    return RB_OK;
}

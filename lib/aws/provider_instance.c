/* The instance metadata service, version 2: a token by PUT, the role's name, its credentials.
 * Version 1, without a token, only where the configuration allows it: it can be reached through any
 * program on the instance that fetches URLs. No answer at all means that this is no instance.
 * Source: facts on AWS, 4.1. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>
#include <retrybuild/url.h>

#include "identity.h"

#define V4_ROOT "http://169.254.169.254"
#define V6_ROOT "http://[fd00:ec2::254]"
#define ROLES "/latest/meta-data/iam/security-credentials/"
#define DEFAULT_TIMEOUT_MS 1000
#define TIMEOUT_MAX_S 30
#define ATTEMPTS_MAX 10
#define STABLE_WINDOW_MS (15 * 60 * 1000)
#define STABLE_JITTER_MIN_MS (2 * 60 * 1000)
#define STABLE_JITTER_MAX_MS (10 * 60 * 1000)

struct imds {
    struct rb_aws *aws;
    struct rb_arena arena;
    const char *root;
    bool named; /* the operator said where it is */
    int64_t timeout_ms;
    uint64_t attempts;
    struct rb_buf token; /* "X-aws-ec2-metadata-token: …"; empty = version 1 */
};

static void imds_release(struct imds *m)
{
    rb_identity_wiped_release(&m->token);
    rb_arena_release(&m->arena);
}

static void number_of(const char *variable, uint64_t max, uint64_t *v)
{
    uint64_t given = 0;

    if (rb_parse_u64(rb_slice_str(getenv(variable)), &given) && given > 0 && given <= max) {
        *v = given;
    }
}

static enum rb_code imds_init(struct imds *m, struct rb_aws *aws, struct rb_err *err)
{
    const char *endpoint = getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    const char *mode = getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");
    uint64_t seconds = 0;
    struct rb_url u;

    memset(m, 0, sizeof(*m));
    m->aws = aws;
    m->attempts = 1;
    rb_arena_init(&m->arena, 65536);
    rb_buf_init(&m->token, 4096);
    number_of("AWS_METADATA_SERVICE_TIMEOUT", TIMEOUT_MAX_S, &seconds);
    number_of("AWS_METADATA_SERVICE_NUM_ATTEMPTS", ATTEMPTS_MAX, &m->attempts);
    m->timeout_ms = seconds == 0 ? DEFAULT_TIMEOUT_MS : (int64_t)seconds * 1000;
    if (rb_str_ieq(getenv("AWS_EC2_METADATA_DISABLED"), "true")) {
        return rb_err_set(err, RB_E_NOT_FOUND, "AWS_EC2_METADATA_DISABLED is true");
    }
    m->named = !rb_str_empty(endpoint);
    if (!m->named) {
        m->root = rb_str_ieq(mode, "ipv6") ? V6_ROOT : V4_ROOT;
        return RB_OK;
    }
    if (rb_url_parse(endpoint, strlen(endpoint), &m->arena, &u, NULL) != RB_OK ||
        u.userinfo != NULL || u.query != NULL ||
        (!rb_str_eq(u.scheme, "http") && !rb_str_eq(u.scheme, "https"))) {
        return rb_err_set(err, RB_E_CREDENTIALS,
                          "AWS_EC2_METADATA_SERVICE_ENDPOINT is not a plain http(s) URL");
    }
    size_t len = strlen(endpoint);
    m->root = rb_arena_strndup(&m->arena, endpoint, len - (endpoint[len - 1] == '/' ? 1 : 0));
    return m->root == NULL ? rb_err_set(err, RB_E_NOMEM, "no memory for the metadata service")
                           : RB_OK;
}

static enum rb_code ask(struct imds *m, const char *method, const char *path, const char *header,
                        struct rb_http_answer *ret_answer, struct rb_err *err)
{
    const char *headers[] = {header, NULL};
    const struct rb_identity_call call = {
        .method = method,
        .url = rb_arena_printf(&m->arena, "%s%s", m->root, path),
        .headers = headers,
        .body = rb_str_eq(method, "PUT") ? "" : NULL,
        .local = true,
        .timeout_ms = m->timeout_ms,
    };
    enum rb_code rc = RB_E_UNAVAIL;

    if (call.url == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the metadata service");
    }
    for (uint64_t tries = 0; tries < m->attempts && rc != RB_OK; tries++) {
        rc = rb_identity_http(m->aws, &call, ret_answer, err);
    }
    return rc;
}

/* Without an answer this is no instance, unless the operator said that it is. */
static enum rb_code away(const struct imds *m, struct rb_err *err)
{
    return m->named ? rb_err_wrap(err, RB_E_UNAVAIL, "instance metadata")
                    : rb_err_set(err, RB_E_NOT_FOUND, "no instance metadata service answers");
}

static enum rb_code version_1(const struct imds *m, const char *why, struct rb_err *err)
{
    if (rb_str_ieq(getenv("AWS_EC2_METADATA_V1_DISABLED"), "true") || !m->aws->imds_v1) {
        return rb_err_set(err, RB_E_CREDENTIALS,
                          "the instance metadata service gives no token (%s), and its version 1 is "
                          "not allowed: raise the hop limit of the instance, or set aws.imds_v1",
                          why);
    }
    return RB_OK;
}

static enum rb_code get_token(struct imds *m, struct rb_err *err)
{
    RB_CLEANUP(rb_identity_answer_release) struct rb_http_answer answer = {.status = 0};
    struct rb_err why = {.code = RB_OK};

    enum rb_code rc = ask(m, "PUT", "/latest/api/token",
                          "x-aws-ec2-metadata-token-ttl-seconds: 21600", &answer, &why);
    if (rc == RB_E_TIMEOUT && m->aws->imds_v1) {
        return version_1(m, "no answer", err);
    }
    if (rc != RB_OK) {
        (void)rb_err_set(err, rc, "%s", why.msg);
        return away(m, err);
    }
    if (answer.status == 403 || answer.status == 404 || answer.status == 405) {
        char status[32];
        snprintf(status, sizeof(status), "status %ld", answer.status);
        return version_1(m, status, err);
    }
    if (answer.status != 200 || answer.body.len == 0 ||
        strpbrk(rb_buf_str(&answer.body), "\r\n") != NULL) {
        return rb_err_set(err, answer.status >= 500 ? RB_E_UNAVAIL : RB_E_CREDENTIALS,
                          "the instance metadata service answered %ld to the call for a token",
                          answer.status);
    }
    rb_buf_addf(&m->token, "x-aws-ec2-metadata-token: %s", rb_buf_str(&answer.body));
    return rb_buf_failed(&m->token) ? rb_err_set(err, RB_E_CREDENTIALS, "the token is too long")
                                    : RB_OK;
}

static enum rb_code get(struct imds *m, const char *path, const char *what,
                        struct rb_http_answer *ret_answer, struct rb_err *err)
{
    enum rb_code rc =
        ask(m, "GET", path, m->token.len == 0 ? NULL : rb_buf_str(&m->token), ret_answer, err);

    if (rc != RB_OK) {
        return rb_err_wrap(err, RB_E_UNAVAIL, "instance metadata, %s", what);
    }
    if (ret_answer->status == 404) {
        return rb_err_set(err, RB_E_NOT_FOUND, "the instance has no role");
    }
    if (ret_answer->status != 200) {
        return rb_err_set(err, ret_answer->status >= 500 ? RB_E_UNAVAIL : RB_E_CREDENTIALS,
                          "instance metadata, %s: status %ld", what, ret_answer->status);
    }
    return RB_OK;
}

static const char *role_path(struct imds *m, const struct rb_buf *body)
{
    const char *name = rb_buf_str(body);
    size_t len = strcspn(name, "\r\n");

    for (size_t i = 0; i < len; i++) { /* what IAM allows in a name */
        if (name[i] <= ' ' || name[i] > '~' || strchr("/?#%\\", name[i]) != NULL) {
            return NULL;
        }
    }
    return len == 0 ? NULL : rb_arena_printf(&m->arena, ROLES "%.*s", (int)len, name);
}

/* The service hands out old sets when it cannot renew them, and AWS lets them pass then: they count
 * as good for a while longer, with jitter so that not all instances ask at once. */
static void extend(const struct imds *m, struct rb_credentials *c)
{
    int64_t now_ms = rb_aws_now_ms(m->aws);
    int64_t jitter_ms = STABLE_JITTER_MIN_MS +
                        (int64_t)rb_random_below(rb_random_system(),
                                                 STABLE_JITTER_MAX_MS - STABLE_JITTER_MIN_MS + 1);

    c->outlives = true;
    if (c->expires_ms < now_ms + STABLE_WINDOW_MS) {
        c->expires_ms = now_ms + STABLE_WINDOW_MS + jitter_ms;
    }
}

static enum rb_code read_set(struct imds *m, const struct rb_http_answer *answer,
                             struct rb_credentials *ret_c, struct rb_err *err)
{
    RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;

    if (rb_json_load(rb_buf_str(&answer->body), answer->body.len, &j, NULL) != RB_OK) {
        return rb_err_set(err, RB_E_CREDENTIALS, "the instance's credentials are not JSON");
    }
    const char *code = json_string_value(json_object_get(j, "Code"));
    if (!rb_str_eq(code, "Success")) {
        const char *message = json_string_value(json_object_get(j, "Message"));
        return rb_err_set(err, RB_E_CREDENTIALS, "instance metadata says %.60s: %.200s",
                          code == NULL ? "nothing" : code, message == NULL ? "" : message);
    }
    enum rb_code rc = rb_credentials_from_json(j, "Token", true, ret_c, err);
    if (rc == RB_OK) {
        extend(m, ret_c);
    }
    return rc;
}

static enum rb_code fetch(struct rb_aws *aws, struct rb_credentials *ret_c, struct rb_err *err)
{
    RB_CLEANUP(imds_release) struct imds m;
    RB_CLEANUP(rb_identity_answer_release) struct rb_http_answer roles = {.status = 0};
    RB_CLEANUP(rb_identity_answer_release) struct rb_http_answer answer = {.status = 0};

    enum rb_code rc = imds_init(&m, aws, err);
    if (rc == RB_OK) {
        rc = get_token(&m, err);
    }
    if (rc == RB_OK) {
        rc = get(&m, ROLES, "the role's name", &roles, err);
    }
    if (rc != RB_OK) {
        return rc;
    }
    const char *path = role_path(&m, &roles.body);
    if (path == NULL) {
        return rb_err_set(err, RB_E_CREDENTIALS, "instance metadata gives no usable role name");
    }
    rc = get(&m, path, "the role's credentials", &answer, err);
    if (rc == RB_OK) {
        rc = read_set(&m, &answer, ret_c, err);
    }
    if (rc == RB_OK) {
        rb_credentials_source(ret_c, "role '%.100s' of %.120s", path + strlen(ROLES), m.root);
    }
    return rc;
}

enum rb_code rb_instance_region(struct rb_aws *aws, struct rb_arena *a, const char **ret_region,
                                struct rb_err *err)
{
    RB_CLEANUP(imds_release) struct imds m;
    RB_CLEANUP(rb_identity_answer_release) struct rb_http_answer answer = {.status = 0};

    enum rb_code rc = imds_init(&m, aws, err);
    if (rc == RB_OK) {
        rc = get_token(&m, err);
    }
    if (rc == RB_OK) {
        rc = get(&m, "/latest/meta-data/placement/region", "the region", &answer, err);
    }
    if (rc == RB_OK) {
        *ret_region = rb_arena_strdup(a, rb_buf_str(&answer.body));
        rc = *ret_region != NULL ? RB_OK : rb_err_set(err, RB_E_NOMEM, "no memory for a region");
    }
    return rc;
}

const struct rb_provider rb_provider_instance = {.name = "instance-metadata", .fetch = fetch};

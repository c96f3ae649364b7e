/* The calls to STS: form bodies by POST to "/", XML answers. AssumeRole and GetCallerIdentity are
 * signed; AssumeRoleWithWebIdentity is not, its proof is the token. Source: facts on AWS, 4.1. */
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/digest.h>
#include <retrybuild/sigv4.h>
#include <retrybuild/timefmt.h>
#include <retrybuild/url.h>

#include "identity.h"

#define SERVICE "sts"
#define CONTENT_TYPE "application/x-www-form-urlencoded; charset=utf-8"
#define TIMEOUT_MS 10000
#define BODY_MAX_BYTES ((size_t)256 * 1024)
#define ARENA_MAX_BYTES ((size_t)256 * 1024)
#define HEADERS_MAX 6

struct sts {
    struct rb_aws *aws;
    const char *operation, *region;
    const struct rb_credentials *by; /* NULL = unsigned */
    struct rb_buf body, authorization, token;
    struct rb_arena arena;
    struct rb_aws_target target;
    const char *headers[HEADERS_MAX + 1];
    struct rb_http_answer answer;
};

static void sts_release(struct sts *s)
{
    rb_identity_wiped_release(&s->body);
    rb_identity_wiped_release(&s->authorization);
    rb_identity_wiped_release(&s->token);
    rb_arena_release(&s->arena);
    rb_identity_answer_release(&s->answer);
}

static void add(struct sts *s, const char *name, const char *value)
{
    if (!rb_str_empty(value)) {
        rb_buf_addf(&s->body, "&%s=", name);
        rb_url_encode(&s->body, value, strlen(value));
    }
}

static void sts_init(struct sts *s, struct rb_aws *aws, const char *operation, const char *region,
                     const struct rb_credentials *by)
{
    memset(s, 0, sizeof(*s));
    s->aws = aws;
    s->operation = operation;
    s->region = region == NULL ? aws->region : region;
    s->by = by;
    rb_buf_init(&s->body, BODY_MAX_BYTES);
    rb_buf_init(&s->authorization, 4096);
    rb_buf_init(&s->token, 16384);
    rb_arena_init(&s->arena, ARENA_MAX_BYTES);
    rb_buf_addf(&s->body, "Action=%s&Version=2011-06-15", operation);
}

static struct rb_header header(const char *name, const char *value)
{
    return (struct rb_header){.name = rb_slice_str(name), .value = rb_slice_str(value)};
}

static enum rb_code sign(struct sts *s, unsigned *n, struct rb_err *err)
{
    char date[RB_TIME_AMZ_BYTES];
    char hash[RB_SHA256_HEX_BYTES];
    struct rb_header signed_headers[4];
    unsigned n_signed = 0;
    int64_t now_ms = rb_aws_now_ms(s->aws);

    rb_time_amz(now_ms, date);
    rb_sha256_hex(rb_buf_str(&s->body), s->body.len, hash);
    signed_headers[n_signed++] = header("content-type", CONTENT_TYPE);
    signed_headers[n_signed++] = header("host", s->target.host);
    signed_headers[n_signed++] = header("x-amz-date", date);
    if (s->by->session_token != NULL) {
        const char *token = rb_secret_data(s->by->session_token);
        signed_headers[n_signed++] = header("x-amz-security-token", token);
        rb_buf_addf(&s->token, "X-Amz-Security-Token: %s", token);
        s->headers[(*n)++] = rb_buf_str(&s->token);
    }
    const struct rb_sigv4_request r = {.method = "POST",
                                       .path = s->target.path,
                                       .headers = signed_headers,
                                       .n_headers = n_signed,
                                       .payload_hash = hash,
                                       .region = s->region,
                                       .service = SERVICE,
                                       .date_ms = now_ms};
    rb_buf_adds(&s->authorization, "Authorization: ");
    s->headers[(*n)++] = rb_arena_printf(&s->arena, "X-Amz-Date: %s", date);
    enum rb_code rc =
        rb_sigv4_authorization(&r, s->by->access_key, rb_secret_data(s->by->secret_key),
                               rb_secret_len(s->by->secret_key), &s->authorization, err);
    s->headers[(*n)++] = rb_buf_str(&s->authorization);
    return rc;
}

/* What STS says no with: its code and its sentence, which names roles and users but no secret. */
static enum rb_code judge(struct sts *s, struct rb_err *err)
{
    static const char *const PATHS[] = {"Error/Code", "Error/Message"};
    const char *said[2] = {NULL, NULL};
    long status = s->answer.status;

    if (rb_xml_read(rb_buf_str(&s->answer.body), s->answer.body.len, PATHS, 2, &s->arena, said,
                    NULL) != RB_OK ||
        said[0] == NULL) {
        return rb_err_set(err, status >= 500 ? RB_E_UNAVAIL : RB_E_CREDENTIALS,
                          "%s: STS answered %ld", s->operation, status);
    }
    return rb_err_set(err, status >= 500 ? RB_E_UNAVAIL : RB_E_CREDENTIALS, "%s: %.80s: %.300s",
                      s->operation, said[0], said[1] == NULL ? "no reason given" : said[1]);
}

static enum rb_code sts_call(struct sts *s, struct rb_err *err)
{
    unsigned n = 0;

    enum rb_code rc = rb_aws_target(s->aws, SERVICE, s->region, &s->arena, &s->target, err);
    if (rc == RB_OK && s->by != NULL) {
        rc = sign(s, &n, err);
    }
    if (rc != RB_OK) {
        return rb_err_wrap(err, rc, "%s", s->operation);
    }
    s->headers[n++] = "Content-Type: " CONTENT_TYPE;
    s->headers[n++] = "Accept: application/xml";
    s->headers[n++] = rb_arena_printf(&s->arena, "Host: %s", s->target.host);
    for (unsigned i = 0; i < n; i++) {
        if (s->headers[i] == NULL || rb_buf_failed(&s->body) || rb_buf_failed(&s->token)) {
            return rb_err_set(err, RB_E_NOMEM, "no memory for a call to STS");
        }
    }
    const struct rb_identity_call call = {.method = "POST",
                                          .url = s->target.url,
                                          .headers = s->headers,
                                          .body = rb_buf_str(&s->body),
                                          .body_len = s->body.len,
                                          .timeout_ms = TIMEOUT_MS};
    rc = rb_identity_http(s->aws, &call, &s->answer, err);
    if (rc != RB_OK) {
        return rb_err_wrap(err, rc, "%s", s->operation);
    }
    return s->answer.status == 200 ? RB_OK : judge(s, err);
}

static enum rb_code read_credentials(struct sts *s, struct rb_credentials *ret_c,
                                     struct rb_err *err)
{
    static const char *const PATHS[] = {"Credentials/AccessKeyId", "Credentials/SecretAccessKey",
                                        "Credentials/SessionToken", "Credentials/Expiration"};
    const char *said[RB_ARRAY_LEN(PATHS)];
    int64_t expires_ms = 0;

    enum rb_code rc = rb_xml_read(rb_buf_str(&s->answer.body), s->answer.body.len, PATHS,
                                  RB_ARRAY_LEN(PATHS), &s->arena, said, err);
    if (rc == RB_OK &&
        (said[2] == NULL || !rb_time_parse_iso(rb_slice_str(said[3]), &expires_ms))) {
        rc = rb_err_set(err, RB_E_INVALID, "the answer has no session token or no expiration");
    }
    if (rc == RB_OK) {
        rc = rb_credentials_make(said[0], said[1], said[2], expires_ms, ret_c, err);
    }
    for (size_t i = 0; i < RB_ARRAY_LEN(PATHS) && said[i] != NULL; i++) {
        rb_wipe((void *)(uintptr_t)said[i], strlen(said[i])); /* the arena is ours */
    }
    return rc == RB_OK ? RB_OK : rb_err_wrap(err, RB_E_CREDENTIALS, "%s", s->operation);
}

enum rb_code rb_sts_assume_role(struct rb_aws *aws, const struct rb_credentials *by,
                                const struct rb_assume *assume, struct rb_credentials *ret_c,
                                struct rb_err *err)
{
    RB_CLEANUP(sts_release) struct sts s;

    sts_init(&s, aws, "AssumeRole", assume->region, by);
    add(&s, "RoleArn", assume->role_arn);
    add(&s, "RoleSessionName",
        assume->session_name == NULL ? RB_ROLE_SESSION_NAME : assume->session_name);
    add(&s, "ExternalId", assume->external_id);
    add(&s, "DurationSeconds", assume->duration_seconds);
    enum rb_code rc = sts_call(&s, err);
    return rc == RB_OK ? read_credentials(&s, ret_c, err) : rc;
}

enum rb_code rb_sts_web_identity(struct rb_aws *aws, const struct rb_assume *assume,
                                 const char *token_file, struct rb_credentials *ret_c,
                                 struct rb_err *err)
{
    RB_CLEANUP(sts_release) struct sts s;
    RB_CLEANUP(rb_secret_freep) struct rb_secret *token = NULL;

    sts_init(&s, aws, "AssumeRoleWithWebIdentity", assume->region, NULL);
    enum rb_code rc = rb_secret_load_file(token_file, &token, err);
    if (rc != RB_OK) {
        return rb_err_wrap(err, RB_E_CREDENTIALS, "web identity token");
    }
    add(&s, "RoleSessionName",
        assume->session_name == NULL ? RB_ROLE_SESSION_NAME : assume->session_name);
    add(&s, "RoleArn", assume->role_arn);
    add(&s, "WebIdentityToken", rb_secret_data(token));
    rc = sts_call(&s, err);
    return rc == RB_OK ? read_credentials(&s, ret_c, err) : rc;
}

enum rb_code rb_sts_caller(struct rb_aws *aws, const struct rb_credentials *by, struct rb_arena *a,
                           const char **ret_account, const char **ret_arn, struct rb_err *err)
{
    static const char *const PATHS[] = {"GetCallerIdentityResult/Account",
                                        "GetCallerIdentityResult/Arn"};
    RB_CLEANUP(sts_release) struct sts s;
    const char *said[2];

    sts_init(&s, aws, "GetCallerIdentity", NULL, by);
    enum rb_code rc = sts_call(&s, err);
    if (rc == RB_OK) {
        rc = rb_xml_read(rb_buf_str(&s.answer.body), s.answer.body.len, PATHS, 2, a, said, err);
    }
    if (rc == RB_OK && (said[0] == NULL || said[1] == NULL)) {
        rc = rb_err_set(err, RB_E_CREDENTIALS, "GetCallerIdentity: the answer names nobody");
    }
    if (rc == RB_OK) {
        *ret_account = said[0];
        *ret_arn = said[1];
    }
    return rc;
}

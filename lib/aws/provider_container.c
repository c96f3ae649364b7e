/* The container endpoint of ECS and EKS. A token of the environment goes to it, so its hosts are
 * few: https anywhere, http only to this machine and to the addresses that AWS has set aside. Names
 * are not resolved for that check: only addresses and `localhost` count. Source: facts on AWS, 4.1.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>
#include <retrybuild/url.h>

#include "identity.h"

#define ECS_ROOT "http://169.254.170.2"
#define TIMEOUT_MS 2000
#define TRIES 3

static bool plain_http_allowed(const char *host)
{
    static const char *const V4[] = {"169.254.170.2", "169.254.170.23"};
    struct in_addr v4;
    struct in6_addr v6, eks;

    if (rb_str_eq(host, "localhost")) {
        return true;
    }
    if (inet_pton(AF_INET, host, &v4) == 1) {
        return (ntohl(v4.s_addr) >> 24) == 127 || rb_str_eq(host, V4[0]) || rb_str_eq(host, V4[1]);
    }
    return inet_pton(AF_INET6, host, &v6) == 1 && inet_pton(AF_INET6, "fd00:ec2::23", &eks) == 1 &&
           (IN6_IS_ADDR_LOOPBACK(&v6) || memcmp(&v6, &eks, sizeof(v6)) == 0);
}

enum rb_code rb_container_url(struct rb_arena *a, const char **ret_url, struct rb_err *err)
{
    const char *relative = getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    const char *full = getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    struct rb_url u;

    if (!rb_str_empty(relative)) {
        if (relative[0] != '/') {
            return rb_err_set(err, RB_E_CREDENTIALS,
                              "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI must begin with a slash");
        }
        full = rb_arena_printf(a, ECS_ROOT "%s", relative);
    } else if (rb_str_empty(full)) {
        return rb_err_set(err, RB_E_NOT_FOUND, "AWS_CONTAINER_CREDENTIALS_* is not set");
    }
    if (full == NULL || rb_url_parse(full, strlen(full), a, &u, NULL) != RB_OK ||
        u.userinfo != NULL || (!rb_str_eq(u.scheme, "https") && !rb_str_eq(u.scheme, "http"))) {
        return rb_err_set(err, RB_E_CREDENTIALS,
                          "AWS_CONTAINER_CREDENTIALS_* is not an http(s) URL");
    }
    if (rb_str_eq(u.scheme, "http") && !plain_http_allowed(u.host)) {
        return rb_err_set(err, RB_E_CREDENTIALS,
                          "AWS_CONTAINER_CREDENTIALS_FULL_URI: host '%.100s' is not allowed by "
                          "plain http, only this machine, 169.254.170.2, 169.254.170.23 and "
                          "fd00:ec2::23 are; use https",
                          u.host);
    }
    *ret_url = full;
    return RB_OK;
}

/* "Authorization: <token>", the token as it is; the file wins and is read each time. Its last line
 * break is part of it, and refused like every other. */
static enum rb_code make_authorization(struct rb_buf *out, struct rb_err *err)
{
    const char *path = getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    const char *token = getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN");

    if (!rb_str_empty(path)) {
        enum rb_code rc = rb_identity_read_raw(path, out, err);
        if (rc != RB_OK) {
            return rc;
        }
        token = rb_buf_str(out);
    }
    if (rb_str_empty(token)) {
        rb_buf_clear(out);
        return RB_OK;
    }
    for (const char *p = token; *p != '\0'; p++) {
        if (*p == '\r' || *p == '\n') {
            return rb_err_set(err, RB_E_CREDENTIALS,
                              "the container authorization token holds a line break%s",
                              rb_str_empty(path) ? "" : " (also a last one in its file counts)");
        }
    }
    if (rb_str_empty(path)) {
        rb_buf_adds(out, token);
    }
    return RB_OK;
}

static enum rb_code ask(struct rb_aws *aws, const char *url, const char *authorization,
                        struct rb_credentials *ret_c, struct rb_err *err)
{
    RB_CLEANUP(rb_identity_answer_release) struct rb_http_answer answer = {.status = 0};
    RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;
    const char *headers[] = {"Accept: application/json", authorization, NULL};
    const struct rb_identity_call call = {
        .method = "GET", .url = url, .headers = headers, .local = true, .timeout_ms = TIMEOUT_MS};

    enum rb_code rc = rb_identity_http(aws, &call, &answer, err);
    if (rc != RB_OK) {
        return rb_err_wrap(err, rc == RB_E_INVALID ? RB_E_CREDENTIALS : RB_E_UNAVAIL,
                           "container credentials");
    }
    if (answer.status != 200) {
        return rb_err_set(err, answer.status >= 500 ? RB_E_UNAVAIL : RB_E_CREDENTIALS,
                          "the container credentials endpoint answered %ld", answer.status);
    }
    if (rb_json_load(rb_buf_str(&answer.body), answer.body.len, &j, NULL) != RB_OK) {
        return rb_err_set(err, RB_E_UNAVAIL, "the container credentials are not JSON");
    }
    rc = rb_credentials_from_json(j, "Token", true, ret_c, err);
    return rc == RB_OK ? RB_OK : rb_err_wrap(err, rc, "container credentials");
}

static enum rb_code fetch(struct rb_aws *aws, struct rb_credentials *ret_c, struct rb_err *err)
{
    RB_CLEANUP(rb_arena_release) struct rb_arena a;
    RB_CLEANUP(rb_identity_wiped_release) struct rb_buf token = RB_BUF_INIT(16384);
    RB_CLEANUP(rb_identity_wiped_release) struct rb_buf line = RB_BUF_INIT(16384 + 32);
    const char *url = NULL;

    rb_arena_init(&a, 65536);
    enum rb_code rc = rb_container_url(&a, &url, err);
    if (rc == RB_OK) {
        rc = make_authorization(&token, err);
    }
    if (rc != RB_OK) {
        return rc;
    }
    if (token.len > 0) {
        rb_buf_addf(&line, "Authorization: %s", rb_buf_str(&token));
    }
    for (unsigned tries = 1;; tries++) {
        rc = ask(aws, url, line.len == 0 ? NULL : rb_buf_str(&line), ret_c, err);
        if (rc == RB_OK) {
            rb_credentials_source(ret_c, "%.*s", (int)strcspn(url, "?"), url);
        }
        if (rc != RB_E_UNAVAIL || tries == TRIES) {
            return rc;
        }
        (void)rb_aws_pause(aws, aws->provider_pause_ms, NULL);
    }
}

const struct rb_provider rb_provider_container = {.name = "container", .fetch = fetch};

/* forge_call.c - one request to a git host's API: path, proof, answer.
 *
 * What comes from outside (names, commits, numbers) is escaped into the path. A 403 may mean that
 * we are too fast: the headers and the message tell.
 */
#include <stdio.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/digest.h>
#include <retrybuild/json.h>
#include <retrybuild/url.h>

#include "forge_private.h"

#define URL_MAX_BYTES 4096
#define BODY_MAX_BYTES ((size_t)256 * 1024)
#define ANSWER_MAX_BYTES ((size_t)4 * 1024 * 1024)
#define CALL_TIMEOUT_MS 10000
#define CONNECT_TIMEOUT_MS 3000
#define ARENA_MAX_BYTES ((size_t)64 * 1024)
#define SEGMENT_MAX_BYTES 1024

/* ---- the path ---- */

static void add_parts(struct rb_buf *out, const char *s)
{
    for (;;) {
        size_t len = strcspn(s, "/");
        rb_url_encode(out, s, len);
        if (s[len] == '\0') {
            return;
        }
        rb_buf_addc(out, '/');
        s += len + 1;
    }
}

/* has_dots - "." or ".." as a part of a path would lead elsewhere. */
static bool has_dots(const char *s)
{
    while (*s != '\0') {
        size_t len = strcspn(s, "/");
        if (len == 0 || (len == 1 && s[0] == '.') || (len == 2 && strncmp(s, "..", 2) == 0)) {
            return true;
        }
        s += len;
        s += *s == '/';
    }
    return false;
}

static bool add_text(struct rb_buf *out, const char *text, bool parts)
{
    if (rb_str_empty(text) || strlen(text) > SEGMENT_MAX_BYTES || has_dots(text)) {
        return false;
    }
    if (parts) {
        add_parts(out, text);
    } else {
        rb_url_encode(out, text, strlen(text));
    }
    return true;
}

/* add_both - "PROJECT/slug" as PROJECT/repos/slug. */
static bool add_both(struct rb_buf *out, const char *repository)
{
    const char *slash = repository == NULL ? NULL : strchr(repository, '/');
    if (slash == NULL || slash == repository || slash[1] == '\0' || has_dots(repository) ||
        strchr(slash + 1, '/') != NULL || strlen(repository) > SEGMENT_MAX_BYTES) {
        return false;
    }
    rb_url_encode(out, repository, (size_t)(slash - repository));
    rb_buf_adds(out, "/repos/");
    rb_url_encode(out, slash + 1, strlen(slash + 1));
    return true;
}

/* half - the part of "one/two" before the slash, or behind it. */
static bool add_half(struct rb_buf *out, const char *text, bool second)
{
    const char *slash = text == NULL ? NULL : strchr(text, '/');
    if (slash == NULL || has_dots(text) || strchr(slash + 1, '/') != NULL ||
        strlen(text) > SEGMENT_MAX_BYTES) {
        return false;
    }
    rb_url_encode(out, second ? slash + 1 : text,
                  second ? strlen(slash + 1) : (size_t)(slash - text));
    return true;
}

static bool add_team(struct rb_buf *out, const char *group)
{
    bool first = add_half(out, group, false);
    rb_buf_adds(out, "/teams/");
    return first && add_half(out, group, true);
}

static bool add_letter(struct rb_buf *out, char letter, const struct rb_forge_ask *ask)
{
    switch (letter) {
    case 'r':
        return add_text(out, ask->repository, true);
    case 'R':
        return add_text(out, ask->repository, false);
    case 'b':
        return add_both(out, ask->repository);
    case 'u':
        return add_text(out, ask->user_name, false);
    case 'i':
        return add_text(out, ask->user_id, false);
    case 's':
        return add_text(out, ask->commit, false);
    case 'c':
        return add_text(out, ask->comment, false);
    case 'k':
        return add_text(out, ask->kind, true);
    case 'h':
        return add_text(out, ask->branch, true);
    case 'H':
        return add_text(out, ask->branch, false);
    case 'n':
        rb_buf_addf(out, "%lld", (long long)ask->number);
        return ask->number > 0;
    case 'p':
        rb_buf_addf(out, "%lld", (long long)ask->page);
        return true;
    case 'o':
        rb_buf_addf(out, "%lld", (long long)(ask->page - 1) * 100);
        return true;
    case 'P':
        return add_half(out, ask->repository, false);
    case 'S':
        return add_half(out, ask->repository, true);
    case 'g':
        return add_text(out, ask->group, false);
    case 'G':
        return add_team(out, ask->group);
    case 'q':
    case 'e':
        return add_text(out, ask->word, false);
    case '%':
        rb_buf_addc(out, '%');
        return true;
    default:
        return false;
    }
}

/* leave_version - "…/rest/api/latest" becomes "…/rest". */
static bool leave_version(struct rb_buf *url)
{
    const char *text = rb_buf_str(url);
    const char *last = strrchr(text, '/');
    size_t len = last == NULL ? 0 : (size_t)(last - text);
    if (len < 4 || strncmp(text + len - 4, "/api", 4) != 0) {
        return false;
    }
    rb_buf_truncate(url, len - 4);
    return true;
}

static bool add_path(struct rb_buf *out, const char *path, const struct rb_forge_ask *ask)
{
    for (const char *p = path; *p != '\0'; p++) {
        if (*p != '%') {
            rb_buf_addc(out, *p);
        } else if (!add_letter(out, *++p, ask)) {
            return false;
        }
    }
    return !rb_buf_failed(out);
}

enum rb_code rb_forge_root(const char *type, const struct rb_api_setting *api, const char **ret_url,
                           struct rb_err *err)
{
    const struct rb_forge_row *row = rb_forge_row_find(type);
    const char *url = api->url != NULL ? api->url : row == NULL ? NULL : row->root;
    if (url == NULL) {
        return rb_err_set(err, RB_E_INVALID, "api.url is needed for type '%s'", type);
    }
    *ret_url = url;
    return RB_OK;
}

/* ---- the proof ---- */

static const char *basic(const char *token, struct rb_arena *a)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(8192);
    rb_base64(token, strlen(token), &text);
    const char *line = rb_buf_failed(&text)
                           ? NULL
                           : rb_arena_printf(a, "Authorization: Basic %s", rb_buf_str(&text));
    if (text.data != NULL) {
        rb_wipe(text.data, text.cap);
    }
    return line;
}

static const char *proof_line(const struct rb_forge_row *row, const char *token, struct rb_arena *a)
{
    switch (row->proof) {
    case FORGE_PRIVATE_TOKEN:
        return rb_arena_printf(a, "PRIVATE-TOKEN: %s", token);
    case FORGE_TOKEN:
        return rb_arena_printf(a, "Authorization: token %s", token);
    case FORGE_BEARER_OR_BASIC:
        if (strchr(token, ':') != NULL) {
            return basic(token, a);
        }
        break;
    case FORGE_BEARER:
    default:
        break;
    }
    return rb_arena_printf(a, "Authorization: Bearer %s", token);
}

enum rb_code rb_forge_authorization(const struct rb_forge *f, const char *repository,
                                    struct rb_arena *a, const char **ret_header, struct rb_err *err)
{
    const struct rb_forge_row *row = rb_forge_row_find(f->type);
    const char *token = NULL;
    *ret_header = NULL;
    if (row == NULL) {
        return rb_err_set(err, RB_E_INVALID, "type '%s' has no API here", f->type);
    }
    if (f->api->app_id != NULL) {
        enum rb_code rc = rb_forge_app_token(f, repository, a, &token, err);
        if (rc != RB_OK) {
            return rc;
        }
    } else if (f->api->token != NULL) {
        token = rb_secret_data(f->api->token);
    } else {
        return RB_OK;
    }
    if (strpbrk(token, "\r\n") != NULL) {
        return rb_err_set(err, RB_E_INVALID, "the token has a line end, which no header can carry");
    }
    *ret_header = proof_line(row, token, a);
    return *ret_header == NULL ? rb_err_set(err, RB_E_NOMEM, "no memory for a request") : RB_OK;
}

void rb_forge_distrust(const struct rb_forge *f, const char *repository)
{
    if (f->api->app_id != NULL) {
        rb_forge_app_forget(f, repository);
    }
}

/* ---- the answer ---- */

static bool too_fast(const struct rb_http_answer *answer)
{
    struct rb_arena a;
    rb_arena_init(&a, 8192);
    const char *left = rb_http_answer_header(answer, "x-ratelimit-remaining", &a);
    bool fast = rb_str_eq(left, "0") || rb_http_answer_header(answer, "retry-after", &a) != NULL ||
                strstr(rb_buf_str(&answer->body), "secondary rate") != NULL ||
                strstr(rb_buf_str(&answer->body), "rate limit") != NULL;
    rb_arena_release(&a);
    return fast;
}

static enum rb_code judge(const struct rb_http_answer *answer, const char *host, struct rb_err *err)
{
    long status = answer->status;
    enum rb_code rc = RB_E_REFUSED;
    if (status >= 200 && status < 300) {
        return RB_OK;
    }
    if (status == 401) {
        rc = RB_E_CREDENTIALS;
    } else if (status == 429 || (status == 403 && too_fast(answer))) {
        rc = RB_E_THROTTLED;
    } else if (status == 403) {
        rc = RB_E_DENIED;
    } else if (status == 404 || status == 410) {
        rc = RB_E_NOT_FOUND;
    } else if (status == 408 || status >= 500) {
        rc = RB_E_UNAVAIL;
    }
    return rb_err_set(err, rc, "%s answered %ld", host, status);
}

static int64_t timeout_ms(const struct rb_forge *f)
{
    if (f->until_boot_ms == 0) {
        return CALL_TIMEOUT_MS;
    }
    int64_t left_ms = f->until_boot_ms - rb_boot_ms(f->clock);
    return left_ms < CALL_TIMEOUT_MS ? left_ms : CALL_TIMEOUT_MS;
}

static enum rb_code exchange(const struct rb_forge *f, const char *method, const char *url,
                             const char *authorization, const char *body,
                             struct rb_http_answer *ret_answer, struct rb_err *err)
{
    const char *headers[6];
    unsigned n = 0;
    bool sent = false;
    bool github = strcmp(f->type, "github") == 0;
    headers[n++] = github ? "Accept: application/vnd.github+json" : "Accept: application/json";
    headers[n++] = "User-Agent: retrybuild";
    if (github) {
        headers[n++] = "X-GitHub-Api-Version: 2022-11-28";
    }
    if (authorization != NULL) {
        headers[n++] = authorization;
    }
    if (body != NULL) {
        headers[n++] = "Content-Type: application/json";
    }
    headers[n] = NULL;
    int64_t left_ms = timeout_ms(f);
    if (left_ms <= 0) {
        return rb_err_set(err, RB_E_TIMEOUT, "no time is left for the git host");
    }
    const struct rb_http_request req = {
        .method = method,
        .url = url,
        .headers = headers,
        .body = body,
        .body_len = body == NULL ? 0 : strlen(body),
        .reach = RB_REACH_GUARDED,
        .connect_timeout_ms = left_ms < CONNECT_TIMEOUT_MS ? left_ms : CONNECT_TIMEOUT_MS,
        .timeout_ms = left_ms,
        .max_answer_bytes = ANSWER_MAX_BYTES,
        .cancel = f->cancel,
    };
    return rb_httpc_call(f->http, &req, ret_answer, &sent, err);
}

static void host_of(const char *url, char *ret_host, size_t size)
{
    const char *p = strstr(url, "://");
    p = p == NULL ? url : p + 3;
    (void)snprintf(ret_host, size, "%.*s", (int)strcspn(p, "/?#"), p);
}

enum rb_code rb_forge_send(const struct rb_forge *f, const char *method, const char *path,
                           const struct rb_forge_ask *ask, const char *authorization,
                           const json_t *body, json_t **ret_json, struct rb_err *err)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf url = RB_BUF_INIT(URL_MAX_BYTES);
    RB_CLEANUP(rb_http_answer_release) struct rb_http_answer answer = {.status = 0};
    RB_CLEANUP(rb_freep) char *text = NULL;
    const char *root = NULL;
    char host[128];
    enum rb_code rc = rb_forge_root(f->type, f->api, &root, err);
    if (rc != RB_OK) {
        return rc;
    }
    rb_buf_adds(&url, root);
    if (path[0] == '^' && !leave_version(&url)) {
        return rb_err_set(err, RB_E_INVALID, "api.url does not end in /api/ and a version");
    }
    path += path[0] == '^' ? 1 : 0;
    if (!add_path(&url, path, ask)) {
        return rb_err_set(err, RB_E_INVALID, "what is asked of the git host does not fit its API");
    }
    if (body != NULL && (text = json_dumps(body, JSON_COMPACT)) == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a request");
    }
    rc = exchange(f, method, rb_buf_str(&url), authorization, text, &answer, err);
    if (rc != RB_OK) {
        return rc;
    }
    host_of(root, host, sizeof(host));
    rc = judge(&answer, host, err);
    if (rc != RB_OK || answer.body.len == 0 || ret_json == NULL) {
        return rc;
    }
    if (rb_json_load(rb_buf_str(&answer.body), answer.body.len, ret_json, NULL) != RB_OK) {
        return rb_err_set(err, RB_E_UNAVAIL, "%s did not answer with JSON", host);
    }
    return RB_OK;
}

enum rb_code rb_forge_call(const struct rb_forge *f, const char *method, const char *path,
                           const struct rb_forge_ask *ask, const json_t *body, json_t **ret_json,
                           struct rb_err *err)
{
    RB_CLEANUP(rb_arena_release) struct rb_arena a;
    enum rb_code rc = RB_OK;
    rb_arena_init(&a, ARENA_MAX_BYTES);
    for (unsigned round = 0; round < 2; round++) {
        const char *authorization = NULL;
        rc = rb_forge_authorization(f, ask->repository, &a, &authorization, err);
        if (rc != RB_OK) {
            return rc;
        }
        rc = rb_forge_send(f, method, path, ask, authorization, body, ret_json, err);
        if (rc != RB_E_CREDENTIALS || f->api->app_id == NULL) {
            break;
        }
        rb_forge_distrust(f, ask->repository);
    }
    return rc;
}

const json_t *rb_forge_at(const json_t *j, const char *path)
{
    for (const char *p = path; j != NULL && *p != '\0';) {
        size_t len = strcspn(p, ".");
        if (json_is_array(j)) {
            uint64_t at = 0;
            bool number = rb_parse_u64((struct rb_slice){.ptr = p, .len = len}, &at);
            j = number ? json_array_get(j, (size_t)at) : NULL;
        } else {
            char name[64];
            (void)snprintf(name, sizeof(name), "%.*s", (int)len, p);
            j = json_object_get(j, name);
        }
        p += len;
        p += *p == '.';
    }
    return j;
}

const char *rb_forge_text(const json_t *j, const char *path)
{
    return path == NULL ? NULL : json_string_value(rb_forge_at(j, path));
}

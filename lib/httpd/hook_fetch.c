/* hook_fetch.c - what a delivery needs of another server before it can be answered: the
 * certificate of who signed it, or the confirmation of a subscription.
 *
 * Both are calls of a front-door thread through the address guard, so that the loop never waits.
 * When a certificate is there the hook runs once more from its beginning.
 */
#include <string.h>

#include <retrybuild/certificate.h>
#include <retrybuild/cleanup.h>
#include <retrybuild/httpc.h>
#include <retrybuild/log.h>

#include "private.h"
#include "signers.h"

#define CONNECT_TIMEOUT_MS 3000
#define CALL_TIMEOUT_MS 8000 /* senders wait 15 s */
#define ANSWER_MAX_BYTES ((size_t)64 * 1024)

struct rb_fetch {
    const char *url;
    bool counted;                       /* among those that wait */
    struct rb_certificate *certificate; /* held for the rest of the request */
    enum rb_code rc;                    /* of the call; DENIED: what came is no such thing */
    long status;                        /* HTTP */
    enum rb_reach reach;
    const char *region; /* of a confirmation */
    struct rb_err err;
};

void rb_hook_end(struct rb_exchange *ex)
{
    struct rb_fetch *f = ex->fetch;
    if (f == NULL) {
        return;
    }
    if (f->counted) {
        ex->httpd->n_fetches--;
    }
    rb_certificate_free(f->certificate);
    ex->fetch = NULL;
}

static struct rb_fetch *fetch_of(struct rb_exchange *ex)
{
    if (ex->fetch == NULL) {
        ex->fetch = rb_arena_alloc(&ex->arena, sizeof *ex->fetch);
    }
    return ex->fetch;
}

const struct rb_certificate *rb_hook_certificate(struct rb_exchange *ex, const char *url)
{
    struct rb_fetch *f = fetch_of(ex);
    if (f != NULL && f->certificate == NULL) {
        f->certificate = rb_signers_find(ex->httpd->signers, url, rb_now_ms(ex->httpd->deps.clock),
                                         RB_SIGNER_FRESH_MS);
    }
    return f == NULL ? NULL : f->certificate;
}

static bool is_permanent(enum rb_code rc)
{
    return rc == RB_E_DENIED || rc == RB_E_INVALID || rc == RB_E_BLOCKED || rc == RB_E_TOO_LARGE;
}

/* ---- in a front-door thread ---- */

static enum rb_code get(struct rb_exchange *ex, struct rb_httpc *c, const char *url,
                        struct rb_http_answer *ret_answer)
{
    struct rb_fetch *f = ex->fetch;
    const struct rb_http_request req = {
        .method = "GET",
        .url = url,
        .reach = f->reach,
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
        .timeout_ms = CALL_TIMEOUT_MS,
        .max_answer_bytes = ANSWER_MAX_BYTES,
        .cancel = &ex->httpd->calls_cancel,
    };
    bool sent = false;
    f->rc = c == NULL || url == NULL ? rb_err_set(&f->err, RB_E_NOMEM, "no memory for a call")
                                     : rb_httpc_call(c, &req, ret_answer, &sent, &f->err);
    f->status = f->rc == RB_OK ? ret_answer->status : 0;
    return f->rc;
}

/* read_certificate - of what came: the document itself, or the one in it that the URL is about. */
static enum rb_code read_certificate(struct rb_exchange *ex, const struct rb_buf *body,
                                     struct rb_certificate **ret_c)
{
    const struct rb_source_type *type = ex->source->type;
    struct rb_fetch *f = ex->fetch;
    const char *pem = rb_buf_str(body);
    size_t len = body->len;
    if (type->certificate_pem != NULL) {
        pem = type->certificate_pem(pem, len, f->url, &ex->arena);
        len = pem == NULL ? 0 : strlen(pem);
    }
    return pem == NULL ? rb_err_set(&f->err, RB_E_DENIED, "the key of this name is not in it")
                       : rb_certificate_parse(pem, len, ret_c, &f->err);
}

/* get_document - of a minute ago where it holds several, else by a call. */
static enum rb_code get_document(struct rb_exchange *ex, struct rb_httpc *c, struct rb_buf *out)
{
    RB_CLEANUP(rb_http_answer_release) struct rb_http_answer answer = {.status = 0};
    struct rb_signers *signers = ex->httpd->signers;
    struct rb_fetch *f = ex->fetch;
    const char *type = ex->source->type->type;
    const char *url = rb_arena_strndup(&ex->arena, f->url, strcspn(f->url, "#")); /* names a part */
    int64_t boot_ms = rb_boot_ms(ex->httpd->deps.clock);
    bool several = ex->source->type->certificate_pem != NULL;
    if (url != NULL && several && rb_signers_document(signers, url, boot_ms, out)) {
        return RB_OK;
    }
    if (!rb_signers_may_fetch(signers, type, boot_ms)) {
        return rb_err_set(&f->err, RB_E_THROTTLED, "too many certificates were asked for");
    }
    enum rb_code rc = get(ex, c, url, &answer);
    rb_signers_fetched(signers, type);
    if (rc == RB_OK && f->status != 200) {
        rc = rb_err_set(&f->err, f->status >= 500 || f->status == 429 ? RB_E_UNAVAIL : RB_E_DENIED,
                        "the server answered %ld", f->status);
    }
    if (rc != RB_OK) {
        return rc;
    }
    if (several) {
        rb_signers_keep_document(signers, url, &answer.body, boot_ms);
    }
    rb_buf_add(out, answer.body.data, answer.body.len);
    return rb_buf_failed(out) ? rb_err_set(&f->err, RB_E_NOMEM, "no memory for it") : RB_OK;
}

static void ask_certificate(struct rb_exchange *ex, struct rb_httpc *c)
{
    RB_CLEANUP(rb_certificate_freep) struct rb_certificate *got = NULL;
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(ANSWER_MAX_BYTES);
    struct rb_signers *signers = ex->httpd->signers;
    struct rb_fetch *f = ex->fetch;
    int64_t now_ms = rb_now_ms(ex->httpd->deps.clock);
    f->rc = RB_OK;
    f->certificate = rb_signers_find(signers, f->url, now_ms, RB_SIGNER_FRESH_MS);
    if (f->certificate != NULL) {
        return; /* another was faster */
    }
    f->rc = get_document(ex, c, &text);
    if (f->rc == RB_OK) {
        f->rc = read_certificate(ex, &text, &got);
    } else if (!is_permanent(f->rc)) {
        f->certificate = rb_signers_find(signers, f->url, now_ms, RB_SIGNER_OLD_MS);
        f->rc = f->certificate != NULL ? RB_OK : f->rc;
        return;
    }
    if (f->rc == RB_OK && !ex->source->type->certificate_fits(got, f->url, now_ms)) {
        f->rc = rb_err_set(&f->err, RB_E_DENIED, "it is out of date or names somebody else");
    }
    if (f->rc == RB_OK) {
        rb_signers_keep(signers, f->url, got, now_ms);
        f->certificate = RB_TAKE(got);
    }
}

static void ask_confirmation(struct rb_exchange *ex, struct rb_httpc *c)
{
    RB_CLEANUP(rb_http_answer_release) struct rb_http_answer answer = {.status = 0};
    (void)get(ex, c, ex->fetch->url, &answer);
}

/* ---- in the loop ---- */

static void unavailable(struct rb_exchange *ex, const char *what)
{
    rb_source_result(ex, RB_RESULT_UNAVAILABLE);
    rb_answer_problem(ex, 503, "%s; nothing was accepted, send it again", what);
}

static void come_back(struct rb_exchange *ex)
{
    ex->fetch->counted = false;
    ex->httpd->n_fetches--;
    ex->ask = NULL;
}

static void certificate_came(struct rb_exchange *ex)
{
    struct rb_fetch *f = ex->fetch;
    come_back(ex);
    if (f->rc != RB_OK) {
        rb_log(RB_LOG_WARN, "source.certificate_not_had", RB_F("source", ex->source->setting->name),
               RB_F("url", f->url), RB_F("why", f->err.msg));
    }
    if (is_permanent(f->rc)) {
        rb_hook_denied(ex);
    } else if (f->rc != RB_OK) {
        unavailable(ex, "the sender's certificate cannot be had now");
    } else if (ex->httpd->admitter == NULL) {
        unavailable(ex, "the service is stopping");
    } else {
        rb_handle_hook(ex);
    }
}

void rb_hook_fetch(struct rb_exchange *ex, const char *url)
{
    struct rb_fetch *f = fetch_of(ex);
    if (f == NULL) {
        unavailable(ex, "out of memory");
        return;
    }
    f->url = url;
    f->reach = RB_REACH_GUARDED;
    f->counted = rb_exchange_ask(ex, ask_certificate, certificate_came);
    if (!f->counted) {
        rb_source_result(ex, RB_RESULT_UNAVAILABLE);
    }
}

static void confirmed(struct rb_exchange *ex)
{
    struct rb_fetch *f = ex->fetch;
    const char *name = ex->source->setting->name;
    come_back(ex);
    if (f->rc != RB_OK || f->status >= 500 || f->status == 429) {
        rb_log(RB_LOG_WARN, "source.not_confirmed", RB_F("source", name), RB_F("region", f->region),
               RB_FI("status", f->status),
               RB_F("why", f->rc == RB_OK ? "the server cannot answer now" : f->err.msg));
        if (!is_permanent(f->rc)) {
            unavailable(ex, "the subscription could not be confirmed now");
            return;
        }
    }
    bool good = f->rc == RB_OK && f->status >= 200 && f->status < 300;
    rb_log(good ? RB_LOG_INFO : RB_LOG_WARN, good ? "source.confirmed" : "source.not_confirmed",
           RB_F("source", name), RB_F("region", f->region), RB_FI("status", f->status));
    rb_source_result(ex, RB_RESULT_IGNORED);
    rb_buf_addf(&ex->answer, "{\"status\":\"ignored\",\"reason\":\"%s\"}\n",
                good ? "the subscription is confirmed" : "the subscription was not confirmed");
    rb_answer_json(ex, 200);
}

/* aws_root - where the topics of a region live: the operator's endpoint, or AWS's own. */
static const char *aws_root(struct rb_exchange *ex, const char *region, enum rb_reach *ret_reach)
{
    const char *url = NULL;
    if (ex->httpd->deps.aws == NULL ||
        rb_aws_endpoint(ex->httpd->deps.aws, "sns", region, &ex->arena, &url, NULL) != RB_OK) {
        return NULL;
    }
    const char *own = rb_arena_printf(&ex->arena, "https://sns.%s.", region);
    *ret_reach = own != NULL && rb_str_starts(url, own) ? RB_REACH_GUARDED : RB_REACH_TRUSTED;
    return url;
}

void rb_hook_confirm(struct rb_exchange *ex, const struct rb_events *events)
{
    struct rb_fetch *f = fetch_of(ex);
    const char *root = f == NULL ? NULL : aws_root(ex, events->confirm_region, &f->reach);
    if (root == NULL) {
        unavailable(ex, "the topic's region has no endpoint");
        return;
    }
    size_t len = strlen(root);
    f->region = events->confirm_region;
    f->url = rb_arena_printf(&ex->arena, "%s%s?%s", root,
                             len > 0 && root[len - 1] == '/' ? "" : "/", events->confirm_query);
    if (f->url == NULL) {
        unavailable(ex, "out of memory");
        return;
    }
    f->counted = rb_exchange_ask(ex, ask_confirmation, confirmed);
    if (!f->counted) {
        rb_source_result(ex, RB_RESULT_UNAVAILABLE);
    }
}

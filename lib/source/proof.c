/* proof.c - what proofs have in common, and shared secrets that senders present as they are. */
#include <strings.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/digest.h>

#include "proof.h"

#define CREDENTIALS_MAX_BYTES 8192
#define WINDOW_S 300

enum rb_code rb_proof_denied(struct rb_err *err)
{
    return rb_err_set(err, RB_E_DENIED, "the proof of the sender is missing or wrong");
}

const char *rb_proof_header(const struct rb_request *req, const char *name)
{
    unsigned n = 0;
    const char *value = req->header(req->arg, name, &n);
    return n == 1 ? value : NULL;
}

bool rb_proof_is_form(const struct rb_request *req)
{
    static const char form[] = "application/x-www-form-urlencoded";
    const char *type = rb_proof_header(req, "content-type");
    return type != NULL && strcspn(type, "; \t") == sizeof(form) - 1 &&
           strncasecmp(type, form, sizeof(form) - 1) == 0;
}

/* scheme - what stands behind "Name " of an Authorization header; NULL = another scheme. */
static const char *scheme(const char *value, const char *name)
{
    size_t len = strlen(name);
    if (strncasecmp(value, name, len) != 0 || value[len] != ' ') {
        return NULL;
    }
    return value + len + strspn(value + len, " ");
}

static bool basic_fits(const struct rb_source_setting *s, const char *text, int64_t now_ms)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf plain = RB_BUF_INIT(CREDENTIALS_MAX_BYTES);
    bool fits = false;
    /* room at once, so that one wipe is all */
    if (rb_buf_reserve(&plain, strlen(text)) != NULL && rb_unbase64(text, strlen(text), &plain) &&
        plain.len > 0) {
        const char *colon = memchr(plain.data, ':', plain.len);
        size_t before = colon == NULL ? 0 : (size_t)(colon - plain.data) + 1;
        fits = colon != NULL &&
               rb_secrets_match(&s->secrets, plain.data + before, plain.len - before, now_ms);
    }
    if (plain.data != NULL) {
        rb_wipe(plain.data, plain.cap);
    }
    return fits;
}

enum rb_code rb_proof_shared(const struct rb_source_setting *s, const struct rb_request *req,
                             struct rb_err *err)
{
    unsigned n = 0;
    unsigned n_auth = 0;
    const char *value = req->header(req->arg, s->header == NULL ? RB_PROOF_HEADER : s->header, &n);
    const char *compared = value == NULL ? "" : value;
    bool fits = rb_secrets_match(&s->secrets, compared, strlen(compared), req->now_ms) && n == 1;
    if (fits || n > 1) {
        return fits ? RB_OK : rb_proof_denied(err);
    }
    const char *auth = req->header(req->arg, "authorization", &n_auth);
    if (auth == NULL || n_auth != 1) {
        return rb_proof_denied(err);
    }
    const char *bearer = scheme(auth, "bearer");
    const char *basic = scheme(auth, "basic");
    fits = (bearer != NULL && rb_secrets_match(&s->secrets, bearer, strlen(bearer), req->now_ms)) ||
           (basic != NULL && basic_fits(s, basic, req->now_ms));
    return fits ? RB_OK : rb_proof_denied(err);
}

bool rb_proof_timely(const char *timestamp, int64_t now_ms)
{
    uint64_t at = 0;
    if (timestamp == NULL || strlen(timestamp) > 12 ||
        !rb_parse_u64(rb_slice_str(timestamp), &at)) {
        return false;
    }
    int64_t off = now_ms / 1000 - (int64_t)at;
    return off >= -WINDOW_S && off <= WINDOW_S;
}

enum rb_code rb_proof_sign_shared(const struct rb_secret *secret, const char *header,
                                  struct rb_slice body, int64_t now_ms, struct rb_arena *a,
                                  const char *ret_headers[4], struct rb_err *err)
{
    (void)body; /* the same proof for every body, at any time */
    (void)now_ms;
    const char *value = rb_secret_data(secret);
    for (size_t i = 0; i < rb_secret_len(secret); i++) {
        if ((unsigned char)value[i] < 0x20 || value[i] == '\x7f') {
            return rb_err_set(err, RB_E_INVALID,
                              "the secret has a control byte, which no header can carry");
        }
    }
    const char *line =
        rb_arena_printf(a, "%s: %s", header == NULL ? RB_PROOF_HEADER : header, value);
    if (line == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a header");
    }
    ret_headers[0] = line;
    for (unsigned i = 1; i < 4; i++) {
        ret_headers[i] = NULL;
    }
    return RB_OK;
}

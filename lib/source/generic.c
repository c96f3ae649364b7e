/* generic.c - any other system: an HMAC of the body in a header of its choice, and paths that say
 * where the body says what (paths.h). */
#include <retrybuild/cleanup.h>
#include <retrybuild/digest.h>

#include "carried.h"
#include "paths.h"
#include "proof.h"
#include "types.h"

#define PREFIX_MAX_BYTES 256

static const char *const own_keys[] = {"header", "algorithm", "encoding", "prefix", "paths", NULL};

/* expected - what the header must be, for one secret. */
static void expected(const struct rb_source_setting *s, const struct rb_secret *secret,
                     struct rb_slice body, struct rb_buf *out)
{
    static const char *const digests[] = {
        [RB_HMAC_SHA256] = "SHA256", [RB_HMAC_SHA1] = "SHA1", [RB_HMAC_SHA512] = "SHA512"};
    uint8_t mac[RB_HMAC_MAX_BYTES];
    char hex[2 * RB_HMAC_MAX_BYTES + 1];
    size_t len = rb_hmac(digests[s->algorithm], rb_secret_data(secret), rb_secret_len(secret),
                         body.ptr, body.len, mac);
    rb_buf_clear(out);
    rb_buf_adds(out, s->prefix);
    if (s->encoding == RB_HMAC_BASE64) {
        rb_base64(mac, len, out);
    } else {
        rb_hex(mac, len, hex);
        rb_buf_adds(out, hex);
    }
}

static enum rb_code verify(const struct rb_source_setting *s, const struct rb_request *req,
                           struct rb_err *err)
{
    RB_CLEANUP(rb_buf_release)
    struct rb_buf text = RB_BUF_INIT(PREFIX_MAX_BYTES + 2 * RB_HMAC_MAX_BYTES);
    const char *given = rb_proof_header(req, s->header == NULL ? RB_PROOF_HEADER : s->header);
    size_t given_len = given == NULL ? 0 : strlen(given);
    unsigned good = 0;
    for (unsigned i = 0; i < s->secrets.n; i++) {
        const struct rb_secret_entry *e = &s->secrets.items[i];
        expected(s, e->secret, req->body, &text);
        unsigned equal = !rb_buf_failed(&text) && given_len == text.len &&
                                 rb_const_eq(rb_buf_str(&text), given, text.len)
                             ? 1U
                             : 0U;
        unsigned alive = e->not_after_ms == 0 || req->now_ms <= e->not_after_ms ? 1U : 0U;
        good |= equal & alive;
    }
    return given != NULL && good != 0 ? RB_OK : rb_proof_denied(err);
}

static enum rb_code parse(const struct rb_source_setting *s, const struct rb_request *req,
                          struct rb_arena *a, struct rb_events *ret_events, struct rb_err *err)
{
    struct rb_event *ev = rb_arena_alloc(a, sizeof(*ev));
    if (ev == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for an event");
    }
    enum rb_code rc = rb_paths_parse(s, req->body, a, ev, err);
    if (rc == RB_OK) {
        *ret_events = (struct rb_events){.items = ev, .n = 1, .delivery_id = rb_carried_key(req)};
    }
    return rc;
}

static enum rb_code check(const struct rb_source_setting *s, const char **ret_key,
                          struct rb_err *err)
{
    if (s->prefix != NULL && strlen(s->prefix) > PREFIX_MAX_BYTES) {
        *ret_key = "prefix";
        return rb_err_set(err, RB_E_INVALID, "has more than %d bytes", PREFIX_MAX_BYTES);
    }
    return rb_paths_check(s, ret_key, err);
}

/* sign - as a source with nothing but a header and a secret wants it. */
static enum rb_code sign(const struct rb_secret *secret, const char *header, struct rb_slice body,
                         int64_t now_ms, struct rb_arena *a, const char *ret_headers[4],
                         struct rb_err *err)
{
    (void)now_ms;
    const struct rb_source_setting plain = {.type = "generic"};
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(2 * RB_HMAC_MAX_BYTES);
    expected(&plain, secret, body, &text);
    ret_headers[0] =
        rb_arena_printf(a, "%s: %s", header == NULL ? RB_PROOF_HEADER : header, rb_buf_str(&text));
    ret_headers[1] = NULL;
    return ret_headers[0] == NULL ? rb_err_set(err, RB_E_NOMEM, "no memory for a header") : RB_OK;
}

const struct rb_source_type rb_source_generic = {
    .type = "generic",
    .keys = own_keys,
    .check = check,
    .verify = verify,
    .parse = parse,
    .sign = sign,
};

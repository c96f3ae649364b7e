/* jwt_read.c - what a signed token says, and whether a certificate's key signed it (RFC 7519, 7515;
 * RS256 alone, so that a token cannot choose a weaker proof, or none). */
#include <retrybuild/jwt.h>

#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/digest.h>
#include <retrybuild/json.h>

#define TOKEN_MAX_BYTES 8192

static enum rb_code no_token(struct rb_err *err)
{
    return rb_err_set(err, RB_E_INVALID, "this is no token that is read here (JWT, RS256)");
}

/* decode - base64url without padding, into @a. */
static bool decode(struct rb_slice text, struct rb_arena *a, struct rb_slice *ret)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf plain = RB_BUF_INIT(TOKEN_MAX_BYTES);
    RB_CLEANUP(rb_buf_release) struct rb_buf standard = RB_BUF_INIT(TOKEN_MAX_BYTES + 4);
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '+' || c == '/' || c == '=') {
            return false;
        }
        rb_buf_addc(&standard, c == '-' ? '+' : c == '_' ? '/' : c);
    }
    while (standard.len % 4 != 0) {
        rb_buf_addc(&standard, '=');
    }
    if (rb_buf_failed(&standard) || text.len == 0 ||
        !rb_unbase64(rb_buf_str(&standard), standard.len, &plain) || rb_buf_failed(&plain)) {
        return false;
    }
    ret->ptr = rb_arena_strndup(a, rb_buf_str(&plain), plain.len);
    ret->len = plain.len;
    return ret->ptr != NULL;
}

static json_t *decode_object(struct rb_slice text, struct rb_arena *a)
{
    struct rb_slice plain = {NULL, 0};
    json_t *j = NULL;
    if (!decode(text, a, &plain) || rb_json_load(plain.ptr, plain.len, &j, NULL) != RB_OK) {
        return NULL;
    }
    if (!json_is_object(j)) {
        json_decref(j);
        return NULL;
    }
    return j;
}

static const char *text_of(const json_t *j, const char *name, struct rb_arena *a)
{
    const char *s = json_string_value(json_object_get(j, name));
    return s == NULL ? NULL : rb_arena_strdup(a, s);
}

static int64_t seconds_of(const json_t *j, const char *name)
{
    const json_t *v = json_object_get(j, name);
    return json_is_integer(v) ? (int64_t)json_integer_value(v) : 0;
}

enum rb_code rb_jwt_read(const char *token, struct rb_arena *a, struct rb_jwt *ret_t,
                         struct rb_err *err)
{
    const char *dot = strchr(token, '.');
    const char *second = dot == NULL ? NULL : strchr(dot + 1, '.');
    if (second == NULL || strchr(second + 1, '.') != NULL || strlen(token) > TOKEN_MAX_BYTES) {
        return no_token(err);
    }
    struct rb_jwt t = {.signed_text = {token, (size_t)(second - token)}};
    RB_CLEANUP(rb_json_decrefp)
    json_t *header = decode_object((struct rb_slice){token, (size_t)(dot - token)}, a);
    RB_CLEANUP(rb_json_decrefp)
    json_t *claims = decode_object((struct rb_slice){dot + 1, (size_t)(second - dot) - 1}, a);
    if (header == NULL || claims == NULL ||
        !rb_str_eq(json_string_value(json_object_get(header, "alg")), "RS256") ||
        json_object_get(header, "crit") != NULL ||
        !decode(rb_slice_str(second + 1), a, &t.signature)) {
        return no_token(err);
    }
    t.key_id = text_of(header, "kid", a);
    t.issuer = text_of(claims, "iss", a);
    t.audience = text_of(claims, "aud", a);
    t.email = text_of(claims, "email", a);
    t.email_verified = json_is_true(json_object_get(claims, "email_verified"));
    t.issued_s = seconds_of(claims, "iat");
    t.expires_s = seconds_of(claims, "exp");
    *ret_t = t;
    return RB_OK;
}

bool rb_jwt_signed_by(const struct rb_jwt *t, const struct rb_certificate *c)
{
    return rb_certificate_verify(c, "SHA256", t->signed_text.ptr, t->signed_text.len,
                                 t->signature.ptr, t->signature.len);
}

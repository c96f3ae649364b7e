/* The Authorization header of Signature Version 4 taken apart. Strict about form, silent about
 * content: an error names what is wrong, never what was sent. */
#include <retrybuild/sigv4.h>

#include <retrybuild/cleanup.h>

#define AUTHORIZATION_MAX_BYTES 8192

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name(struct rb_slice s, const char *extra)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (!is_digit(c) && !(c >= 'a' && c <= 'z') && strchr(extra, c) == NULL) {
            return false;
        }
    }
    return s.len > 0;
}

/* Cuts the part before @sep off @rest. */
static bool cut(struct rb_slice *rest, char sep, struct rb_slice *ret_part)
{
    const char *end = rest->len == 0 ? NULL : memchr(rest->ptr, sep, rest->len);

    if (end == NULL) {
        return false;
    }
    *ret_part = (struct rb_slice){.ptr = rest->ptr, .len = (size_t)(end - rest->ptr)};
    rest->len -= ret_part->len + 1;
    rest->ptr = end + 1;
    return true;
}

/* access key / yyyymmdd / region / service / aws4_request */
static bool parse_credential(struct rb_slice v, struct rb_sigv4_claim *c)
{
    if (!cut(&v, '/', &c->access_key) || !cut(&v, '/', &c->date) || !cut(&v, '/', &c->region) ||
        !cut(&v, '/', &c->service)) {
        return false;
    }
    if (c->access_key.len == 0 || c->access_key.len > 128 || c->date.len != 8) {
        return false;
    }
    for (size_t i = 0; i < c->access_key.len; i++) {
        if (c->access_key.ptr[i] <= ' ' || c->access_key.ptr[i] >= 127) {
            return false;
        }
    }
    for (size_t i = 0; i < 8; i++) {
        if (!is_digit(c->date.ptr[i])) {
            return false;
        }
    }
    return is_name(c->region, "-") && is_name(c->service, "-") && rb_slice_eq(v, "aws4_request");
}

static bool parse_signed_headers(struct rb_slice v, struct rb_sigv4_claim *c)
{
    if (!is_name(v, "-_;.") || v.ptr[0] == ';' || v.ptr[v.len - 1] == ';') {
        return false;
    }
    for (size_t i = 1; i < v.len; i++) {
        if (v.ptr[i] == ';' && v.ptr[i - 1] == ';') {
            return false;
        }
    }
    c->signed_headers = v;
    return true;
}

static bool parse_signature(struct rb_slice v, struct rb_sigv4_claim *c)
{
    for (size_t i = 0; i < v.len; i++) {
        if (!is_digit(v.ptr[i]) && !(v.ptr[i] >= 'a' && v.ptr[i] <= 'f')) {
            return false;
        }
    }
    c->signature = v;
    return v.len == 64;
}

static const struct part {
    const char *name;
    bool (*parse)(struct rb_slice value, struct rb_sigv4_claim *c);
} PARTS[] = {
    {"Credential", parse_credential},
    {"SignedHeaders", parse_signed_headers},
    {"Signature", parse_signature},
};

static enum rb_code parse_part(struct rb_slice s, unsigned *seen, struct rb_sigv4_claim *c,
                               struct rb_err *err)
{
    struct rb_slice name = {.ptr = NULL};

    while (s.len > 0 && s.ptr[0] == ' ') {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && s.ptr[s.len - 1] == ' ') {
        s.len--;
    }
    if (cut(&s, '=', &name)) {
        for (unsigned i = 0; i < RB_ARRAY_LEN(PARTS); i++) {
            if (!rb_slice_eq(name, PARTS[i].name)) {
                continue;
            }
            if ((*seen & (1U << i)) != 0) {
                return rb_err_set(err, RB_E_DENIED, "Authorization repeats '%s'", PARTS[i].name);
            }
            *seen |= 1U << i;
            return PARTS[i].parse(s, c)
                       ? RB_OK
                       : rb_err_set(err, RB_E_DENIED, "Authorization has a malformed '%s'",
                                    PARTS[i].name);
        }
    }
    return rb_err_set(err, RB_E_DENIED, "Authorization has an unknown part");
}

enum rb_code rb_sigv4_parse(const char *authorization, struct rb_sigv4_claim *ret_c,
                            struct rb_err *err)
{
    static const char scheme[] = "AWS4-HMAC-SHA256 ";
    struct rb_sigv4_claim c = {.access_key = {.ptr = NULL}};
    struct rb_slice rest = rb_slice_str(authorization);
    unsigned seen = 0;

    if (!rb_str_starts(authorization, scheme) || rest.len > AUTHORIZATION_MAX_BYTES) {
        return rb_err_set(err, RB_E_DENIED, "Authorization is not of the form AWS4-HMAC-SHA256");
    }
    rest.ptr += sizeof(scheme) - 1;
    rest.len -= sizeof(scheme) - 1;
    for (bool more = true; more;) {
        struct rb_slice part = rest;
        more = cut(&rest, ',', &part);
        enum rb_code rc = parse_part(part, &seen, &c, err);
        if (rc != RB_OK) {
            return rc;
        }
    }
    if (seen != (1U << RB_ARRAY_LEN(PARTS)) - 1) {
        return rb_err_set(err, RB_E_DENIED,
                          "Authorization lacks Credential, SignedHeaders or Signature");
    }
    *ret_c = c;
    return RB_OK;
}

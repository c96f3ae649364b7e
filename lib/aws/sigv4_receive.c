/* The server's side of Signature Version 4: a received request, step by step, with the errors that
 * AWS gives. The canonical form and the comparison are those of sigv4.c. Source: facts on AWS, 1.7
 * and 3. */
#include <retrybuild/sigv4.h>

#include <string.h>
#include <strings.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/digest.h>
#include <retrybuild/timefmt.h>

static const char MISSING[] = "MissingAuthenticationTokenException";
static const char INCOMPLETE[] = "IncompleteSignatureException";
static const char INVALID[] = "InvalidSignatureException";

static const char *refuse(const char *type, const char *sentence, struct rb_err *err)
{
    (void)rb_err_set(err, RB_E_DENIED, "%s", sentence);
    return type;
}

static const char *does_not_match(struct rb_err *err)
{
    return refuse(INVALID,
                  "The request signature we calculated does not match the signature you provided. "
                  "Check your AWS Secret Access Key and signing method.",
                  err);
}

static bool same_name(struct rb_slice a, struct rb_slice b)
{
    return a.len == b.len && strncasecmp(a.ptr, b.ptr, a.len) == 0;
}

/* The value of a header; *ret_n says how often it was sent. */
static const char *value_of(const struct rb_sigv4_received *r, const char *name, unsigned *ret_n)
{
    const char *value = NULL;

    *ret_n = 0;
    for (unsigned i = 0; i < r->n_headers; i++) {
        if (same_name(r->headers[i].name, rb_slice_str(name))) {
            value = r->headers[i].value.ptr;
            (*ret_n)++;
        }
    }
    return value;
}

static bool keep(char ret[RB_SIGV4_SCOPE_BYTES], struct rb_slice s)
{
    if (s.len >= RB_SIGV4_SCOPE_BYTES) {
        return false;
    }
    memcpy(ret, s.ptr, s.len);
    ret[s.len] = '\0';
    return true;
}

static const char *read_date(const struct rb_sigv4_received *r, struct rb_sigv4_proof *p,
                             struct rb_err *err)
{
    unsigned n = 0;
    const char *date = value_of(r, "x-amz-date", &n);

    if (n != 1 || date == NULL || !rb_time_parse_amz(rb_slice_str(date), &p->date_ms)) {
        return refuse(INCOMPLETE, "One X-Amz-Date header such as 20261124T120000Z is needed.", err);
    }
    if (strncmp(date, p->claim.date.ptr, p->claim.date.len) != 0) {
        return refuse(INCOMPLETE, "The day of the credential scope is not that of X-Amz-Date.",
                      err);
    }
    return NULL;
}

static const char *read_payload(const struct rb_sigv4_received *r, struct rb_sigv4_proof *p,
                                struct rb_err *err)
{
    unsigned n = 0;
    const char *announced = value_of(r, "x-amz-content-sha256", &n);

    rb_sha256_hex(r->body, r->body_len, p->payload_hash);
    if (n > 1 || (announced != NULL && strcmp(announced, p->payload_hash) != 0)) {
        return refuse(INVALID, "X-Amz-Content-Sha256 is not the hash of the body.", err);
    }
    return NULL;
}

/* Is @name in the list "a;b;c"? */
static bool listed(struct rb_slice list, struct rb_slice name)
{
    for (size_t i = 0; i < list.len;) {
        const char *end = memchr(list.ptr + i, ';', list.len - i);
        size_t len = end == NULL ? list.len - i : (size_t)(end - list.ptr) - i;
        if (same_name((struct rb_slice){.ptr = list.ptr + i, .len = len}, name)) {
            return true;
        }
        i += len + 1;
    }
    return false;
}

/* What the caller signed, and that it signed what gives the request its meaning. */
static const char *choose_headers(const struct rb_sigv4_received *r, struct rb_sigv4_proof *p,
                                  struct rb_err *err)
{
    static const char amz[] = "x-amz-";

    if (!listed(p->claim.signed_headers, RB_SLICE_LIT("host"))) {
        return refuse(INVALID, "Host must be among the SignedHeaders.", err);
    }
    for (unsigned i = 0; i < r->n_headers; i++) {
        const struct rb_header *h = &r->headers[i];
        if (listed(p->claim.signed_headers, h->name)) {
            if (p->n_signed == RB_SIGV4_SIGNED_MAX) {
                return refuse(INCOMPLETE, "Too many signed headers.", err);
            }
            p->signed_headers[p->n_signed++] = *h;
        } else if (h->name.len >= sizeof(amz) - 1 &&
                   strncasecmp(h->name.ptr, amz, sizeof(amz) - 1) == 0) {
            return refuse(INVALID, "Every X-Amz-* header must be among the SignedHeaders.", err);
        }
    }
    return NULL;
}

const char *rb_sigv4_receive(const struct rb_sigv4_received *r, struct rb_sigv4_proof *ret_p,
                             struct rb_err *err)
{
    struct rb_err why = {.code = RB_OK};
    unsigned n = 0;
    const char *authorization = value_of(r, "authorization", &n);

    if (authorization == NULL) {
        return refuse(MISSING, "Missing Authentication Token", err);
    }
    memset(ret_p, 0, sizeof(*ret_p));
    if (n > 1) {
        return refuse(INCOMPLETE, "Authorization is given more than once.", err);
    }
    if (rb_sigv4_parse(authorization, &ret_p->claim, &why) != RB_OK) {
        return refuse(INCOMPLETE, why.msg, err);
    }
    if (!keep(ret_p->region, ret_p->claim.region) || !keep(ret_p->service, ret_p->claim.service)) {
        return refuse(INCOMPLETE, "The credential scope is too long.", err);
    }
    const char *type = read_date(r, ret_p, err);
    if (type == NULL) {
        type = read_payload(r, ret_p, err);
    }
    return type != NULL ? type : choose_headers(r, ret_p, err);
}

const char *rb_sigv4_prove(const struct rb_sigv4_received *r, const struct rb_sigv4_proof *p,
                           const char *secret, size_t secret_len, struct rb_err *err)
{
    const struct rb_sigv4_request request = {.method = r->method,
                                             .path = r->path,
                                             .query = r->query,
                                             .headers = p->signed_headers,
                                             .n_headers = p->n_signed,
                                             .payload_hash = p->payload_hash,
                                             .region = p->region,
                                             .service = p->service,
                                             .date_ms = p->date_ms};

    return rb_sigv4_verify(&p->claim, &request, secret, secret_len, NULL) == RB_OK
               ? NULL
               : does_not_match(err);
}

const char *rb_sigv4_in_window(int64_t date_ms, int64_t now_ms, int64_t window_ms,
                               struct rb_err *err)
{
    bool old = date_ms < now_ms - window_ms;
    char date[RB_TIME_AMZ_BYTES], now[RB_TIME_AMZ_BYTES], edge[RB_TIME_AMZ_BYTES];

    if (!old && date_ms <= now_ms + window_ms) {
        return NULL;
    }
    rb_time_amz(date_ms, date);
    rb_time_amz(now_ms, now);
    rb_time_amz(old ? now_ms - window_ms : now_ms + window_ms, edge);
    (void)rb_err_set(err, RB_E_CLOCK,
                     old ? "Signature expired: %s is now earlier than %s (%s - %lld min.)"
                         : "Signature not yet current: %s is still later than %s (%s + %lld min.)",
                     date, edge, now, (long long)(window_ms / 60000));
    return INVALID;
}

/* auth.c - who calls: Signature Version 4 rebuilt from the request's own list of signed headers,
 * and the window of its date on the simulator's clock. Without configured keys nothing is checked
 * but, if the script wants it, the date; the access key is believed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/digest.h>
#include <retrybuild/mem.h>
#include <retrybuild/str.h>
#include <retrybuild/timefmt.h>

#include "identity.h"

#define ALGORITHM "AWS4-HMAC-SHA256"
#define MAX_CANONICAL_BYTES (64 * 1024)
#define MAX_PARTS_BYTES (16 * 1024)

struct auth {
    const char *access_key, *day, *region, *service;
    const char *signed_headers, *signature;
    const char *date; /* header x-amz-date */
    int64_t date_ms;
};

/* "Name=value" of the header, up to the next comma; NULL when absent. */
static const char *part(const char *header, const char *name, struct rb_arena *a)
{
    const char *at = strstr(header, name);
    if (at == NULL) {
        return NULL;
    }
    at += strlen(name);
    return rb_arena_strndup(a, at, strcspn(at, ", "));
}

/* ID/yyyymmdd/region/service/aws4_request, cut apart in place. */
static bool parse_scope(char *credential, struct auth *ret)
{
    const char *pieces[5];
    for (size_t i = 0; i < RB_ARRAY_LEN(pieces); i++) {
        bool last = i + 1 == RB_ARRAY_LEN(pieces);
        char *slash = strchr(credential, '/');
        if ((slash == NULL) != last || credential[0] == '/' || credential[0] == '\0') {
            return false;
        }
        pieces[i] = credential;
        if (!last) {
            *slash = '\0';
            credential = slash + 1;
        }
    }
    ret->access_key = pieces[0];
    ret->day = pieces[1];
    ret->region = pieces[2];
    ret->service = pieces[3];
    return strcmp(pieces[4], "aws4_request") == 0;
}

static bool parse(const struct sim_request *r, const char *header, struct rb_arena *a,
                  struct auth *ret)
{
    char *credential = NULL;
    const char *value = part(header, "Credential=", a);
    if (!rb_str_starts(header, ALGORITHM " ") || value == NULL ||
        (credential = rb_arena_strdup(a, value)) == NULL || !parse_scope(credential, ret)) {
        return false;
    }
    ret->signed_headers = part(header, "SignedHeaders=", a);
    ret->signature = part(header, "Signature=", a);
    ret->date = r->header(r, "X-Amz-Date");
    return ret->signed_headers != NULL && ret->signature != NULL && ret->date != NULL &&
           rb_time_parse_amz(rb_slice_str(ret->date), &ret->date_ms) &&
           rb_str_starts(ret->date, ret->day) && strlen(ret->day) == 8;
}

/* Trimmed, inner runs of blanks to one. */
static void add_value(struct rb_buf *out, const char *value)
{
    bool blank = false;
    bool started = false;
    for (const char *p = value; *p != '\0'; p++) {
        if (*p == ' ' || *p == '\t') {
            blank = started;
            continue;
        }
        if (blank) {
            rb_buf_addc(out, ' ');
        }
        rb_buf_addc(out, *p);
        blank = false;
        started = true;
    }
}

/* The hash of the canonical request; false: a signed header is not there, or the body's announced
 * hash is not the body's. */
static bool canonical_hash(const struct sim_request *r, const struct auth *auth,
                           char ret_hex[RB_SHA256_HEX_BYTES])
{
    char body_hex[RB_SHA256_HEX_BYTES];
    rb_sha256_hex(r->body, r->body_len, body_hex);
    const char *announced = r->header(r, "X-Amz-Content-Sha256");
    if (announced != NULL && strcmp(announced, body_hex) != 0) {
        return false;
    }
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(MAX_CANONICAL_BYTES);
    rb_buf_addf(&text, "%s\n%s\n%s\n", r->method, r->path, r->query);
    const char *names = auth->signed_headers;
    bool host = false;
    while (*names != '\0') {
        char name[256];
        size_t len = strcspn(names, ";");
        snprintf(name, sizeof name, "%.*s", (int)len, names);
        const char *value = r->header(r, name);
        if (value == NULL) {
            return false;
        }
        host = host || strcmp(name, "host") == 0;
        rb_buf_addf(&text, "%s:", name);
        add_value(&text, value);
        rb_buf_addc(&text, '\n');
        names += len + (names[len] == ';' ? 1 : 0);
    }
    rb_buf_addf(&text, "\n%s\n%s", auth->signed_headers, body_hex);
    rb_sha256_hex(rb_buf_str(&text), text.len, ret_hex);
    return host && !rb_buf_failed(&text);
}

static void sign(const struct auth *auth, const struct rb_secret *secret, const char *hash_hex,
                 char ret_hex[RB_SHA256_HEX_BYTES])
{
    uint8_t key[RB_SHA256_BYTES];
    const char *const steps[] = {auth->region, auth->service, "aws4_request"};
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(RB_SECRET_MAX_BYTES + 16);
    rb_buf_adds(&text, "AWS4");
    rb_buf_add(&text, rb_secret_data(secret), rb_secret_len(secret));
    rb_hmac_sha256(rb_buf_str(&text), text.len, auth->day, strlen(auth->day), key);
    rb_wipe(text.data, text.len);
    for (size_t i = 0; i < RB_ARRAY_LEN(steps); i++) {
        uint8_t next[RB_SHA256_BYTES];
        rb_hmac_sha256(key, sizeof key, steps[i], strlen(steps[i]), next);
        memcpy(key, next, sizeof key);
    }
    rb_buf_clear(&text);
    rb_buf_addf(&text, ALGORITHM "\n%s\n%s/%s/%s/aws4_request\n%s", auth->date, auth->day,
                auth->region, auth->service, hash_hex);
    uint8_t mac[RB_SHA256_BYTES];
    rb_hmac_sha256(key, sizeof key, rb_buf_str(&text), text.len, mac);
    rb_hex(mac, sizeof mac, ret_hex);
    rb_wipe(key, sizeof key);
}

static const char *check_date(const struct rb_sim *sim, const struct auth *auth, int64_t now_ms,
                              char message[SIM_MESSAGE_BYTES])
{
    enum sim_dates mode = sim->script->signature_dates;
    int64_t window_ms = sim->script->signature_window_ms;
    if (mode == SIM_DATES_NEVER || (mode == SIM_DATES_KEYED && sim->n_keys == 0)) {
        return NULL;
    }
    char now[RB_TIME_AMZ_BYTES];
    char edge[RB_TIME_AMZ_BYTES];
    rb_time_amz(now_ms, now);
    if (auth->date_ms < now_ms - window_ms) {
        rb_time_amz(now_ms - window_ms, edge);
        snprintf(message, SIM_MESSAGE_BYTES,
                 "Signature expired: %s is now earlier than %s (%s - %lld min.)", auth->date, edge,
                 now, (long long)(window_ms / 60000));
        return "InvalidSignatureException";
    }
    if (auth->date_ms > now_ms + window_ms) {
        rb_time_amz(now_ms + window_ms, edge);
        snprintf(message, SIM_MESSAGE_BYTES,
                 "Signature not yet current: %s is still later than %s (%s + %lld min.)",
                 auth->date, edge, now, (long long)(window_ms / 60000));
        return "InvalidSignatureException";
    }
    return NULL;
}

static const char *refuse(const char *error, char message[SIM_MESSAGE_BYTES])
{
    snprintf(message, SIM_MESSAGE_BYTES, "%s", sim_error_message(error));
    return error;
}

/* The secret of a configured key or of a session; NULL: *ret_error says why not. */
static struct rb_secret *secret_of(struct rb_sim *sim, const struct sim_request *r,
                                   const char *access_key, int64_t now_ms, const char **ret_error)
{
    for (size_t i = 0; i < sim->n_keys; i++) {
        if (strcmp(sim->keys[i].id, access_key) == 0) {
            return rb_secret_ref(sim->keys[i].secret);
        }
    }
    pthread_mutex_lock(&sim->lock);
    const char *text = sim_session_secret(sim, access_key, r->header(r, "X-Amz-Security-Token"),
                                          now_ms, ret_error);
    struct rb_secret *secret = text == NULL ? NULL : rb_secret_new(text, strlen(text));
    pthread_mutex_unlock(&sim->lock);
    return secret;
}

static const char *check_signature(struct rb_sim *sim, const struct sim_request *r,
                                   const struct auth *auth, int64_t now_ms,
                                   char message[SIM_MESSAGE_BYTES])
{
    const char *error = "InternalFailure";
    RB_CLEANUP(rb_secret_freep)
    struct rb_secret *secret = secret_of(sim, r, auth->access_key, now_ms, &error);
    if (secret == NULL) {
        return refuse(error, message);
    }
    char hash[RB_SHA256_HEX_BYTES];
    char want[RB_SHA256_HEX_BYTES];
    if (!canonical_hash(r, auth, hash)) {
        return refuse("InvalidSignatureException", message);
    }
    sign(auth, secret, hash, want);
    if (strlen(auth->signature) != strlen(want) ||
        !rb_const_eq(auth->signature, want, strlen(want))) {
        return refuse("InvalidSignatureException", message);
    }
    return NULL;
}

const char *sim_auth(struct rb_sim *sim, const struct sim_request *r, int64_t now_ms,
                     char **ret_access_key, char message[SIM_MESSAGE_BYTES])
{
    const char *header = r->header(r, "Authorization");
    if (header == NULL) {
        return sim->n_keys == 0 ? NULL : refuse("MissingAuthenticationTokenException", message);
    }
    struct rb_arena arena;
    struct auth auth = {.date = NULL};
    rb_arena_init(&arena, MAX_PARTS_BYTES);
    const char *error = NULL;
    if (!parse(r, header, &arena, &auth)) {
        error = refuse("IncompleteSignatureException", message);
    }
    if (error == NULL && sim->n_keys > 0) {
        error = check_signature(sim, r, &auth, now_ms, message);
    }
    if (error == NULL) {
        error = check_date(sim, &auth, now_ms, message);
    }
    if (error == NULL) {
        *ret_access_key = strdup(auth.access_key);
    }
    rb_arena_release(&arena);
    return error;
}

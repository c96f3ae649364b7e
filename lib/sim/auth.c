/* auth.c - who calls: the server's side of Signature Version 4, and the window of its date on the
 * simulator's clock. Without configured keys the signature is not checked and, unless the script
 * wants it, neither is the date; the access key is believed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/mem.h>
#include <retrybuild/sigv4.h>
#include <retrybuild/str.h>

#include "identity.h"

#define MAX_PARTS_BYTES (16 * 1024)

/* One header of the request for the verifier; nothing when it was not sent. */
static void add_header(const struct sim_request *r, const char *name, struct rb_header *headers,
                       unsigned *n)
{
    const char *value = r->header(r, name);
    if (value != NULL && *n < RB_SIGV4_SIGNED_MAX) {
        headers[(*n)++] =
            (struct rb_header){.name = rb_slice_str(name), .value = rb_slice_str(value)};
    }
}

/* The headers that decide: those of every request, and those that this one signed. */
static unsigned collect(const struct sim_request *r, struct rb_header *headers, struct rb_arena *a)
{
    static const char *const always[] = {"authorization", "x-amz-date", "x-amz-content-sha256"};
    struct rb_sigv4_claim claim;
    unsigned n = 0;
    for (size_t i = 0; i < RB_ARRAY_LEN(always); i++) {
        add_header(r, always[i], headers, &n);
    }
    if (n == 0 || rb_sigv4_parse(headers[0].value.ptr, &claim, NULL) != RB_OK) {
        return n;
    }
    char *list = rb_arena_strndup(a, claim.signed_headers.ptr, claim.signed_headers.len);
    char *rest = NULL;
    for (char *name = list == NULL ? NULL : strtok_r(list, ";", &rest); name != NULL;
         name = strtok_r(NULL, ";", &rest)) {
        bool there = false;
        for (size_t i = 0; i < RB_ARRAY_LEN(always); i++) {
            there = there || strcmp(name, always[i]) == 0;
        }
        if (!there) {
            add_header(r, name, headers, &n);
        }
    }
    return n;
}

static const char *check_date(const struct rb_sim *sim, const struct rb_sigv4_proof *proof,
                              int64_t now_ms, struct rb_err *err)
{
    enum sim_dates mode = sim->script->signature_dates;
    if (mode == SIM_DATES_NEVER || (mode == SIM_DATES_KEYED && sim->n_keys == 0)) {
        return NULL;
    }
    return rb_sigv4_in_window(proof->date_ms, now_ms, sim->script->signature_window_ms, err);
}

static const char *refuse(const char *error, char message[SIM_MESSAGE_BYTES])
{
    snprintf(message, SIM_MESSAGE_BYTES, "%s", sim_error_message(error));
    return error;
}

/* The secret of a configured key or of a session; NULL: *ret_error says why not. */
static struct rb_secret *secret_of(struct rb_sim *sim, const struct sim_request *r,
                                   struct rb_slice access_key, int64_t now_ms,
                                   const char **ret_error)
{
    for (size_t i = 0; i < sim->n_keys; i++) {
        if (rb_slice_eq(access_key, sim->keys[i].id)) {
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

static const char *check(struct rb_sim *sim, const struct sim_request *r,
                         const struct rb_sigv4_received *received, struct rb_sigv4_proof *proof,
                         int64_t now_ms, char message[SIM_MESSAGE_BYTES])
{
    struct rb_err err = {.code = RB_OK};
    const char *error = rb_sigv4_receive(received, proof, &err);
    if (error == NULL && sim->n_keys > 0) {
        const char *why = "InternalFailure";
        RB_CLEANUP(rb_secret_freep)
        struct rb_secret *secret = secret_of(sim, r, proof->claim.access_key, now_ms, &why);
        if (secret == NULL) {
            return refuse(why, message);
        }
        error =
            rb_sigv4_prove(received, proof, rb_secret_data(secret), rb_secret_len(secret), &err);
    }
    if (error == NULL) {
        error = check_date(sim, proof, now_ms, &err);
    }
    if (error != NULL) {
        snprintf(message, SIM_MESSAGE_BYTES, "%s", err.msg);
    }
    return error;
}

const char *sim_auth(struct rb_sim *sim, const struct sim_request *r, int64_t now_ms,
                     char **ret_access_key, char message[SIM_MESSAGE_BYTES])
{
    if (r->header(r, "Authorization") == NULL) {
        return sim->n_keys == 0 ? NULL : refuse("MissingAuthenticationTokenException", message);
    }
    RB_CLEANUP(rb_arena_release) struct rb_arena arena;
    struct rb_header headers[RB_SIGV4_SIGNED_MAX];
    struct rb_sigv4_proof proof;
    rb_arena_init(&arena, MAX_PARTS_BYTES);
    const struct rb_sigv4_received received = {.method = r->method,
                                               .path = r->path,
                                               .query = r->query,
                                               .headers = headers,
                                               .n_headers = collect(r, headers, &arena),
                                               .body = r->body,
                                               .body_len = r->body_len};
    const char *error = check(sim, r, &received, &proof, now_ms, message);
    if (error == NULL) {
        *ret_access_key = strndup(proof.claim.access_key.ptr, proof.claim.access_key.len);
    }
    return error;
}

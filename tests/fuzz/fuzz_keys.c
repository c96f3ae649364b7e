/* fuzz_keys.c - libFuzzer target: secrets and headers of Standard Webhooks. A line with the secret,
 * one with the signatures, one with the time; the rest is the body. A key that check-config refuses
 * proves nothing. */
#include "../../lib/source/standard_webhooks.h"
#include "fuzz.h"

static const char *header(const void *arg, const char *name, unsigned *ret_n)
{
    const char *const *values = arg;
    const char *value = strcmp(name, "webhook-id") == 0          ? "msg_1"
                        : strcmp(name, "webhook-signature") == 0 ? values[0]
                        : strcmp(name, "webhook-timestamp") == 0 ? values[1]
                                                                 : NULL;
    if (ret_n != NULL) {
        *ret_n = value == NULL ? 0 : 1;
    }
    return value;
}

static const char *line_of(struct rb_slice *in, struct rb_arena *a)
{
    struct rb_slice line = take_line(in);
    const char *text = rb_arena_strndup(a, line.ptr, line.len);
    need(text != NULL);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct rb_slice in = input(data, len);
    const char *signed_headers[4] = {NULL};
    struct rb_arena a;
    rb_arena_init(&a, 4 << 20);
    struct rb_slice line = take_line(&in);
    struct rb_secret_entry entry = {rb_secret_new(line.ptr, line.len), 0};
    need(entry.secret != NULL);
    const struct rb_secrets secrets = {&entry, 1};
    const char *signatures = line_of(&in, &a);
    const char *values[] = {signatures, line_of(&in, &a)};
    const struct rb_request req = {.method = "POST",
                                   .path = "/",
                                   .body = in,
                                   .header = header,
                                   .arg = values,
                                   .now_ms = 1793714830000};
    bool fits = rb_standard_webhooks_verify(&secrets, &req, NULL) == RB_OK;
    bool usable = rb_standard_webhooks_key(entry.secret);
    need(usable || !fits);
    if (rb_standard_webhooks_sign_as("msg_1", entry.secret, in, req.now_ms, &a, signed_headers,
                                     NULL) == RB_OK) {
        need(signed_headers[0] != NULL && signed_headers[2] != NULL && signed_headers[3] == NULL);
    }
    rb_arena_release(&a);
    rb_secret_free(entry.secret);
    return 0;
}

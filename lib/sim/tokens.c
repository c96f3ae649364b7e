/* tokens.c - idempotency: for a while the same token of the same caller and operation means the
 * same build; with other parameters it is an error. A call that failed leaves no trace here. */
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/digest.h>
#include <retrybuild/json.h>

#include "batch.h"
#include "core.h"

#define PURGE_ABOVE 1024

static const char *token_of(const struct sim_call *c)
{
    return json_string_value(json_object_get(c->in, "idempotencyToken"));
}

static void token_key(const struct sim_call *c, char ret_hex[RB_SHA256_HEX_BYTES])
{
    uint8_t digest[RB_SHA256_BYTES];
    const struct rb_slice parts[] = {rb_slice_str(c->operation), rb_slice_str(c->access_key),
                                     rb_slice_str(token_of(c))};
    rb_sha256_parts(parts, RB_ARRAY_LEN(parts), digest);
    rb_hex(digest, sizeof digest, ret_hex);
}

/* All parameters but the token, in one order whatever the client's. */
static void params_hash(const struct sim_call *c, char ret_hex[RB_SHA256_HEX_BYTES])
{
    RB_CLEANUP(rb_json_decrefp) json_t *rest = json_copy(c->in);
    json_object_del(rest, "idempotencyToken");
    RB_CLEANUP(rb_freep) char *text = json_dumps(rest, JSON_SORT_KEYS | JSON_COMPACT);
    const char *s = text == NULL ? "" : text;
    rb_sha256_hex(s, strlen(s), ret_hex);
}

static bool alive(const struct sim_call *c, json_t *entry)
{
    int64_t age_ms = c->now_ms - json_integer_value(json_object_get(entry, "at"));
    return age_ms < c->sim->script->token_window_ms;
}

bool sim_token_replay(struct sim_call *c)
{
    if (token_of(c) == NULL) {
        return false;
    }
    char key[RB_SHA256_HEX_BYTES];
    char params[RB_SHA256_HEX_BYTES];
    token_key(c, key);
    json_t *entry = json_object_get(c->sim->tokens, key);
    if (entry == NULL || !alive(c, entry)) {
        return false;
    }
    params_hash(c, params);
    if (strcmp(json_string_value(json_object_get(entry, "params")), params) != 0) {
        sim_fail(c, c->sim->script->mismatch_error, "%s", c->sim->script->mismatch_message);
        return true;
    }
    if (!c->sim->script->token_replay) {
        return false;
    }
    const char *id = json_string_value(json_object_get(entry, "build"));
    const struct sim_build *b = sim_build_find(c->sim, id);
    const struct sim_batch *batch = b == NULL ? sim_batch_find(c->sim, id) : NULL;
    if (b == NULL && batch == NULL) {
        return false; /* the window is longer than the history */
    }
    c->out = b != NULL ? json_pack("{s:o}", "build", sim_build_json(c->sim, b))
                       : json_pack("{s:o}", "buildBatch", sim_batch_json(c->sim, batch));
    return true;
}

static void purge(struct sim_call *c)
{
    void *tmp;
    const char *key;
    json_t *entry;
    json_object_foreach_safe(c->sim->tokens, tmp, key, entry)
    {
        if (!alive(c, entry)) {
            json_object_del(c->sim->tokens, key);
        }
    }
}

void sim_token_keep(struct sim_call *c, const char *id)
{
    if (token_of(c) == NULL) {
        return;
    }
    char key[RB_SHA256_HEX_BYTES];
    char params[RB_SHA256_HEX_BYTES];
    size_t n = json_object_size(c->sim->tokens);
    if (n >= PURGE_ABOVE && n % PURGE_ABOVE == 0) {
        purge(c);
    }
    token_key(c, key);
    params_hash(c, params);
    json_object_set_new(
        c->sim->tokens, key,
        json_pack("{s:s, s:s, s:I}", "build", id, "params", params, "at", (json_int_t)c->now_ms));
}

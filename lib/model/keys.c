/* keys.c - what builds are known by in the store: effect keys, intents, scoped texts, shards. */
#include <stdio.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/digest.h>
#include <retrybuild/model.h>

static void key_of(const struct rb_slice *parts, size_t n, char ret_key[RB_KEY_BYTES])
{
    uint8_t digest[RB_SHA256_BYTES];
    rb_sha256_parts(parts, n, digest);
    rb_hex(digest, (RB_KEY_BYTES - 1) / 2, ret_key);
}

/* The first part says what the key is of, so that no two kinds of key can meet. */
void rb_build_key(const struct rb_build *b, char ret_key[RB_KEY_BYTES])
{
    if (rb_build_is_batch(b)) {
        char run[24];
        (void)snprintf(run, sizeof(run), "%lld", (long long)b->run_ms);
        const struct rb_slice parts[] = {RB_SLICE_LIT("batch"), rb_slice_str(b->account),
                                         rb_slice_str(b->region), rb_slice_str(b->id),
                                         rb_slice_str(run)};
        key_of(parts, RB_ARRAY_LEN(parts), ret_key);
        return;
    }
    const struct rb_slice parts[] = {RB_SLICE_LIT("build"), rb_slice_str(b->account),
                                     rb_slice_str(b->region), rb_slice_str(b->id)};
    key_of(parts, RB_ARRAY_LEN(parts), ret_key);
}

void rb_intent_key(const struct rb_build *b, char ret_key[RB_KEY_BYTES])
{
    const struct rb_slice parts[] = {RB_SLICE_LIT("intent"), rb_slice_str(b->account),
                                     rb_slice_str(b->region), rb_slice_str(b->project),
                                     rb_slice_str(b->source_version)};
    key_of(parts, RB_ARRAY_LEN(parts), ret_key);
}

void rb_scoped_key(const char *scope, const char *text, size_t text_len, char ret_key[RB_KEY_BYTES])
{
    const struct rb_slice parts[] = {
        RB_SLICE_LIT("scoped"), rb_slice_str(scope), {.ptr = text, .len = text_len}};
    key_of(parts, RB_ARRAY_LEN(parts), ret_key);
}

unsigned rb_build_shard(const struct rb_build *b)
{
    const char *parts[] = {b->account, b->region, b->project};
    uint32_t h = 2166136261U; /* FNV-1a, with a zero byte behind each part */
    for (size_t i = 0; i < RB_ARRAY_LEN(parts); i++) {
        for (const char *p = parts[i]; p != NULL && *p != '\0'; p++) {
            h = (h ^ (unsigned char)*p) * 16777619U;
        }
        h *= 16777619U;
    }
    return (h ^ (h >> 15) ^ (h >> 27)) & 31U;
}

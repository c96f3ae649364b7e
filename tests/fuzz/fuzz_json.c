/* fuzz_json.c - libFuzzer target: whatever the pull reader accepts, jansson must accept too, save
 * for numbers that it cannot hold; every text must be unescapable. */
#include <retrybuild/json.h>

#include "fuzz.h"

/* touch - take what can be taken from a token. */
static void touch(const struct rb_json_token *t, struct rb_arena *a)
{
    int64_t v = 0;
    if (t->type == RB_JSON_KEY || t->type == RB_JSON_STRING) {
        const char *text = rb_json_dup(t, a);
        need(text == NULL || rb_utf8_valid(text, strlen(text)));
        need(t->type == RB_JSON_STRING || text == NULL || rb_json_key_is(t, text));
    }
    (void)rb_json_int(t, &v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0) {
        return 0;
    }
    const char *text = (const char *)data;
    struct rb_json_reader r;
    struct rb_json_token t = {.type = RB_JSON_NULL};
    struct rb_arena a;
    rb_arena_init(&a, 1 << 20);
    rb_json_reader_init(&r, text, len);
    enum rb_code rc = RB_OK;
    while (rc == RB_OK && t.type != RB_JSON_END) {
        rc = rb_json_next(&r, &t, NULL);
        if (rc == RB_OK) {
            touch(&t, &a);
        }
    }
    rb_arena_release(&a);
    json_error_t why;
    json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
    if (rc == RB_OK) {
        need(json != NULL || json_error_code(&why) == json_error_numeric_overflow);
    } else if (rc == RB_E_INVALID && memchr(text, 0, len) == NULL) {
        need(json == NULL); /* jansson takes a NUL behind a number for the end */
    }
    json_decref(json);
    return 0;
}

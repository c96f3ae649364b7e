/* fuzz_jwt.c - libFuzzer target: a token is refused, or read whole; nobody's key has signed it. */
#include <retrybuild/jwt.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct rb_jwt t;
    struct rb_arena a;
    char *token = text_of(data, len);
    need(token != NULL);
    rb_arena_init(&a, 1 << 20);
    enum rb_code rc = rb_jwt_read(token, &a, &t, NULL);
    need(rc == RB_OK || rc == RB_E_INVALID);
    if (rc == RB_OK) {
        const char *texts[] = {t.key_id, t.issuer, t.audience, t.email};
        for (size_t i = 0; i < RB_ARRAY_LEN(texts); i++) {
            is_text(texts[i]);
        }
        need(t.signed_text.ptr == token && t.signed_text.len < strlen(token));
        need(t.signature.len > 0 && t.signature.len < strlen(token));
    }
    rb_arena_release(&a);
    free(token);
    return 0;
}

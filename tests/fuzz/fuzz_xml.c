/* fuzz_xml.c - libFuzzer target: a document that is well formed, or a refusal. */
#include "../../lib/aws/identity.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const char *const paths[] = {"Credentials/AccessKeyId", "Credentials/Expiration",
                                        "Error/Code", "Error/Message", "PublishResult/MessageId"};
    const char *values[RB_ARRAY_LEN(paths)] = {NULL};
    struct rb_arena a;
    char *doc = text_of(data, len);
    rb_arena_init(&a, 1 << 20);
    enum rb_code rc = rb_xml_read(doc, len, paths, RB_ARRAY_LEN(paths), &a, values, NULL);
    for (size_t i = 0; rc == RB_OK && i < RB_ARRAY_LEN(paths); i++) {
        need(values[i] == NULL || strlen(values[i]) <= len);
    }
    rb_arena_release(&a);
    free(doc);
    return 0;
}

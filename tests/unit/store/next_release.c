/* next_release.c - what makes of this tree the release after it, for tests of two releases side by
 * side.
 *
 * The program is linked with --wrap for the names below. Its records have a field that this release
 * does not know, and with RB_NEXT_FORMAT set those of waiting retries a format of their own; its
 * scripts have other texts and names, as after any change of them; its SQLite file has one more
 * schema. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/record.h>

#include "redis/scripts.h"

#define SCHEMAS_MAX 16
#define FIELD "\x78\x09next-mark"
#define FIELD_BYTES 11
#define NEXT_VERSION 2

enum rb_code __real_rb_record_encode(const struct rb_retry *r, struct rb_buf *out,
                                     struct rb_err *err);
enum rb_code __wrap_rb_record_encode(const struct rb_retry *r, struct rb_buf *out,
                                     struct rb_err *err);
enum rb_code __real_rb_record_decode(const void *data, size_t len, struct rb_retry **ret_r,
                                     struct rb_err *err);
enum rb_code __wrap_rb_record_decode(const void *data, size_t len, struct rb_retry **ret_r,
                                     struct rb_err *err);
extern const struct rscript_text __real_rscripts[RSCRIPT_COUNT];
extern struct rscript_text __wrap_rscripts[RSCRIPT_COUNT];
extern const char *const __real_rb_sq_schema[];
extern const int __real_rb_sq_schema_version;
extern const char *__wrap_rb_sq_schema[SCHEMAS_MAX];
extern int __wrap_rb_sq_schema_version;

struct rscript_text __wrap_rscripts[RSCRIPT_COUNT];
const char *__wrap_rb_sq_schema[SCHEMAS_MAX];
int __wrap_rb_sq_schema_version;

/* Changed once, before the program begins. */
static char texts[RSCRIPT_COUNT][32 * 1024];
static char sums[RSCRIPT_COUNT][41];

__attribute__((constructor)) static void become_the_next(void)
{
    for (int i = 0; i < RSCRIPT_COUNT; i++) {
        unsigned char sum[EVP_MAX_MD_SIZE];
        struct rscript_text s = __real_rscripts[i];
        int len = snprintf(texts[i], sizeof(texts[i]), "%.*s\n-- of the next release\n", (int)s.len,
                           s.text);
        if (len < 0 || (size_t)len >= sizeof(texts[i]) ||
            EVP_Digest(texts[i], (size_t)len, sum, NULL, EVP_sha1(), NULL) != 1) {
            abort();
        }
        for (int b = 0; b < 20; b++) {
            (void)snprintf(sums[i] + 2 * b, 3, "%02x", sum[b]);
        }
        __wrap_rscripts[i] = (struct rscript_text){
            .name = s.name, .text = texts[i], .len = (size_t)len, .sha1 = sums[i]};
    }
    int n = __real_rb_sq_schema_version;
    if (n >= SCHEMAS_MAX) {
        abort();
    }
    memcpy(__wrap_rb_sq_schema, __real_rb_sq_schema, (size_t)n * sizeof(char *));
    __wrap_rb_sq_schema[n] = "CREATE TABLE of_the_next_release(name TEXT PRIMARY KEY);";
    __wrap_rb_sq_schema_version = n + 1;
}

enum rb_code __wrap_rb_record_encode(const struct rb_retry *r, struct rb_buf *out,
                                     struct rb_err *err)
{
    size_t start = out->len;
    enum rb_code rc = __real_rb_record_encode(r, out, err);
    if (rc == RB_OK && r->foreign.len == 0) {
        rb_buf_add(out, FIELD, FIELD_BYTES);
        rc = rb_buf_failed(out) ? RB_E_TOO_LARGE : RB_OK;
    }
    if (rc == RB_OK && getenv("RB_NEXT_FORMAT") != NULL && r->state == RB_STATE_SCHEDULED) {
        out->data[start] = NEXT_VERSION;
    }
    return rc;
}

enum rb_code __wrap_rb_record_decode(const void *data, size_t len, struct rb_retry **ret_r,
                                     struct rb_err *err)
{
    const char *bytes = data;
    if (len == 0 || bytes[0] != NEXT_VERSION) {
        return __real_rb_record_decode(data, len, ret_r, err);
    }
    RB_CLEANUP(rb_freep) char *copy = malloc(len);
    if (copy == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a record");
    }
    memcpy(copy, data, len);
    copy[0] = NEXT_VERSION - 1;
    return __real_rb_record_decode(copy, len, ret_r, err);
}

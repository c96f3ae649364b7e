/* cursor.c - "<16 hex digits of the time><8 check digits><id>" and back. Also ids of messages. */
#include <stdio.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/digest.h>

#include "cursor.h"
#include "ops.h"

#define TIME_DIGITS 16
#define CHECK_DIGITS 8
#define HEAD_DIGITS (TIME_DIGITS + CHECK_DIGITS)

static void check_digits(int64_t created_ms, const char *id, char ret_digits[CHECK_DIGITS + 1])
{
    struct rb_slice parts[] = {
        RB_SLICE_LIT("cursor"),
        {.ptr = (const char *)&created_ms, .len = sizeof(created_ms)},
        rb_slice_str(id),
    };
    uint8_t digest[RB_SHA256_BYTES];
    rb_sha256_parts(parts, RB_ARRAY_LEN(parts), digest);
    rb_hex(digest, CHECK_DIGITS / 2, ret_digits);
}

void rb_cursor_write(int64_t created_ms, const char *id, char ret_s[RB_CURSOR_BYTES])
{
    char check[CHECK_DIGITS + 1];
    check_digits(created_ms, id, check);
    (void)snprintf(ret_s, RB_CURSOR_BYTES, "%016llx%s%s", (unsigned long long)created_ms, check,
                   id);
}

bool rb_cursor_read(const char *s, int64_t *ret_created_ms, char ret_id[RB_ID_BYTES])
{
    size_t len = strlen(s);
    if (len <= HEAD_DIGITS || len - HEAD_DIGITS >= RB_ID_BYTES) {
        return false;
    }
    uint8_t bytes[TIME_DIGITS / 2];
    if (!rb_unhex(s, TIME_DIGITS, bytes, sizeof(bytes))) {
        return false;
    }
    uint64_t created = 0;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        created = created << 8 | bytes[i];
    }
    char check[CHECK_DIGITS + 1];
    check_digits((int64_t)created, s + HEAD_DIGITS, check);
    if (memcmp(check, s + TIME_DIGITS, CHECK_DIGITS) != 0) {
        return false;
    }
    *ret_created_ms = (int64_t)created;
    memcpy(ret_id, s + HEAD_DIGITS, len - HEAD_DIGITS + 1);
    return true;
}

void rb_message_id(const char *retry_id, const char *destination, enum rb_stage stage,
                   uint64_t made_version, char ret_id[64])
{
    struct rb_slice parts[] = {
        RB_SLICE_LIT("message"),
        rb_slice_str(retry_id),
        rb_slice_str(destination),
        {.ptr = (const char *)&stage, .len = sizeof(stage)},
        {.ptr = (const char *)&made_version, .len = sizeof(made_version)},
    };
    uint8_t digest[RB_SHA256_BYTES];
    rb_sha256_parts(parts, RB_ARRAY_LEN(parts), digest);
    memcpy(ret_id, "msg_", sizeof("msg_"));
    rb_hex(digest, 16, ret_id + strlen("msg_"));
}

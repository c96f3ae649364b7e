/* fuzz_record.c - libFuzzer target: a record is refused, or what was read of it is written to a
 * record that reads and writes the same; its JSON is JSON. Also the text that names a place in a
 * list. */
#include <retrybuild/json.h>
#include <retrybuild/record.h>

#include "../../lib/store/cursor.h"
#include "fuzz.h"

static void check_json(const struct rb_retry *r)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(1 << 20);
    RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;
    rb_retry_write_json(r, &text);
    need(!rb_buf_failed(&text));
    need(rb_json_load(rb_buf_str(&text), text.len, &j, NULL) == RB_OK && json_is_object(j));
}

static void check_cursor(const uint8_t *data, size_t len)
{
    char text[RB_CURSOR_BYTES + 8], again[RB_CURSOR_BYTES], id[RB_ID_BYTES];
    int64_t ms = 0;
    if (len >= sizeof text) {
        return;
    }
    memcpy(text, data, len);
    text[len] = '\0';
    if (rb_cursor_read(text, &ms, id)) {
        rb_cursor_write(ms, id, again);
        need(strcmp(text, again) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = NULL;
    RB_CLEANUP(rb_retry_freep) struct rb_retry *second = NULL;
    RB_CLEANUP(rb_buf_release) struct rb_buf once = RB_BUF_INIT(1 << 20);
    RB_CLEANUP(rb_buf_release) struct rb_buf twice = RB_BUF_INIT(1 << 20);
    check_cursor(data, len);
    enum rb_code rc = rb_record_decode(data, len, &r, NULL);
    need(rc == RB_OK ? r != NULL : rc == RB_E_CORRUPT || rc == RB_E_NOMEM || rc == RB_E_TOO_LARGE);
    if (rc != RB_OK) {
        return 0;
    }
    need(rb_record_encode(r, &once, NULL) == RB_OK);
    need(rb_record_decode(once.data, once.len, &second, NULL) == RB_OK);
    need(rb_record_encode(second, &twice, NULL) == RB_OK);
    need(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
    check_json(r);
    return 0;
}

/* fuzz_text.c - libFuzzer target: templates and what people read. A line with the pattern; the rest
 * is text from outside. Whatever it is, no markup comes out of it, and what a chat is answered is a
 * JSON string. */
#include <jansson.h>

#include "../../lib/destination/text.h"
#include "../../lib/source/chat.h"
#include "fuzz.h"

static void check_escapes(const char *text)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf out = RB_BUF_INIT(1 << 20);
    for (int m = RB_MARKUP_PLAIN; m <= RB_MARKUP_MARKDOWN; m++) {
        rb_buf_clear(&out);
        rb_text_escape((enum rb_markup)m, text, &out);
        for (const char *p = rb_buf_str(&out); *p != '\0'; p++) {
            need((unsigned char)*p >= ' ' || *p == '\n');
            need(m != RB_MARKUP_SLACK || (*p != '<' && *p != '>'));
        }
        is_text(rb_utf8_valid(text, strlen(text)) ? rb_buf_str(&out) : NULL);
        rb_text_link((enum rb_markup)m, "a", text, &out);
        rb_text_cut(&out, 40);
        is_text(rb_buf_str(&out));
    }
}

static void check_chat(const char *text)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf out = RB_BUF_INIT(1 << 20);
    for (int slack = 0; slack < 2; slack++) {
        rb_buf_clear(&out);
        rb_chat_add_text(&out, text, slack != 0, 4000);
        json_t *j = json_loadb(rb_buf_str(&out), out.len, JSON_DECODE_ANY, NULL);
        need(json_is_string(j));
        need(slack == 0 || strpbrk(json_string_value(j), "<>") == NULL);
        json_decref(j);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct rb_slice in = input(data, len);
    RB_CLEANUP(rb_buf_release) struct rb_buf out = RB_BUF_INIT(1 << 20);
    struct rb_arena a;
    rb_arena_init(&a, 4 << 20);
    struct rb_slice line = take_line(&in);
    char *pattern = rb_arena_strndup(&a, line.ptr, line.len);
    char *text = rb_arena_strndup(&a, in.ptr, in.len);
    need(pattern != NULL && text != NULL);
    struct rb_retry r = {.id = "rt_1", .state = RB_STATE_FAILED_AGAIN};
    r.build.project = text;
    r.build.branch = text;
    r.build.message = text;
    const struct rb_report_view v = {.retry = &r, .message_id = "m", .now_ms = 1793714830000};
    rb_text_expand(pattern, &v, RB_MARKUP_SLACK, &out);
    check_escapes(text);
    check_chat(text);
    rb_arena_release(&a);
    return 0;
}

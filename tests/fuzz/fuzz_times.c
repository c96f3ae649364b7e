/* fuzz_times.c - libFuzzer target: a text is no time, or one that is the same when it is written
 * and read again; durations, sizes, ranges and hours of the week are read to their end. The first
 * byte says as what it is read. */
#include <retrybuild/httpc.h>
#include <retrybuild/range.h>
#include <retrybuild/timefmt.h>

#include "fuzz.h"

#define DAY_MS 86400000LL
#define FIRST_MS (-62135596800000LL) /* year 1 */
#define LAST_MS 253402300799999LL    /* year 9999 */

static void same(int64_t ms, const char *text, bool (*parse)(struct rb_slice s, int64_t *ret_ms),
                 int64_t unit_ms)
{
    int64_t again = 0;
    need(parse(rb_slice_str(text), &again));
    need(again <= ms && ms - again < unit_ms);
}

static void check_time(unsigned kind, struct rb_slice s)
{
    int64_t ms = 0;
    char text[40];
    bool (*const parsers[])(struct rb_slice, int64_t *) = {rb_time_parse_iso, rb_time_parse_amz,
                                                           rb_time_parse_http,
                                                           rb_time_parse_aws_us};
    if (!parsers[kind](s, &ms)) {
        return;
    }
    need(ms >= FIRST_MS - DAY_MS && ms <= LAST_MS + DAY_MS);
    if (ms < 0 || ms > LAST_MS) {
        return; /* nothing of ours is written so */
    }
    rb_time_iso(ms, text);
    same(ms, text, rb_time_parse_iso, 1);
    rb_time_amz(ms, text);
    same(ms, text, rb_time_parse_amz, 1000);
    rb_time_http(ms, text);
    same(ms, text, rb_time_parse_http, 1000);
    rb_time_format_aws_us(ms, text);
    same(ms, text, rb_time_parse_aws_us, 1000);
}

/* check_answer - the header of an answer that says when to come back. */
static void check_answer(struct rb_slice s)
{
    struct rb_http_answer a = {.raw_headers = RB_BUF_INIT(65536)};
    rb_buf_add(&a.raw_headers, s.ptr, s.len);
    int64_t ms = rb_http_retry_after_ms(&a, 1793714830000);
    need(ms >= -1 && ms <= LAST_MS);
    rb_http_answer_release(&a);
}

static void check_amounts(const char *text)
{
    int64_t ms = 0;
    uint64_t n = 0;
    struct rb_range range;
    need(!rb_parse_duration_ms(rb_slice_str(text), &ms) || ms >= 0);
    (void)rb_parse_size(rb_slice_str(text), &n);
    if (rb_range_parse(text, RB_RANGE_OF_NUMBERS, &range, NULL) == RB_OK) {
        (void)rb_ranges_match(&range, 1, 7);
    }
    if (rb_range_parse(text, RB_RANGE_OF_DURATIONS, &range, NULL) == RB_OK) {
        (void)rb_ranges_match(&range, 1, 7000);
    }
}

static void check_hours(const char *text)
{
    struct rb_hours hours;
    if (rb_hours_parse(text, &hours, NULL) == RB_OK) {
        (void)rb_hours_match(&hours, 1793714830000);
        rb_hours_release(&hours);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0) {
        return 0;
    }
    unsigned kind = data[0] % 8;
    char *text = text_of(data + 1, len - 1); /* sanitizers see its end */
    need(text != NULL);
    struct rb_slice s = {text, len - 1};
    if (kind < 4) {
        check_time(kind, s);
    } else if (kind < 6) {
        check_answer(s);
    } else if (kind == 6) {
        check_amounts(text);
    } else {
        check_hours(text);
    }
    free(text);
    return 0;
}

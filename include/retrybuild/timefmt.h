/* timefmt.h - times as text, always UTC. Threads: any. Blocks: never. */
#ifndef RETRYBUILD_TIMEFMT_H
#define RETRYBUILD_TIMEFMT_H

#include <stdbool.h>
#include <stdint.h>

#include <retrybuild/str.h>

#define RB_TIME_ISO_BYTES 32  /* 2026-11-03T14:07:08.123Z */
#define RB_TIME_AMZ_BYTES 17  /* 20261103T140708Z */
#define RB_TIME_HTTP_BYTES 32 /* Tue, 03 Nov 2026 14:07:08 GMT */

void rb_time_iso(int64_t unix_ms, char ret_s[RB_TIME_ISO_BYTES]); /* milliseconds always shown */
void rb_time_amz(int64_t unix_ms, char ret_s[RB_TIME_AMZ_BYTES]);
void rb_time_http(int64_t unix_ms, char ret_s[RB_TIME_HTTP_BYTES]);
/* Parsers: the whole slice, range-checked; false leaves *ret alone. */
bool rb_time_parse_iso(struct rb_slice s,
                       int64_t *ret_ms); /* 2026-11-03T14:07:08[.fff](Z|+hh:mm) and a bare date */
bool rb_time_parse_amz(struct rb_slice s, int64_t *ret_ms);
bool rb_time_parse_http(struct rb_slice s, int64_t *ret_ms); /* IMF-fixdate */
/* rb_time_parse_aws_us - "Nov 3, 2026 2:05:11 PM": UTC; any Unicode blank (also U+202F) or several
 * before AM/PM. Source: facts on EventBridge, inner times of CodeBuild events. */
bool rb_time_parse_aws_us(struct rb_slice s, int64_t *ret_ms);
void rb_time_format_aws_us(int64_t unix_ms, char ret_s[40]);

#endif

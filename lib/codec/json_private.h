/* json_private.h - the escapes of JSON strings, shared by the reader and the text helpers. */
#ifndef RB_CODEC_JSON_PRIVATE_H
#define RB_CODEC_JSON_PRIVATE_H

#include <retrybuild/json.h>

/* json_escape - decode the escape at @p (a backslash; @end is the end of the string). Writes 1..4
 * bytes of UTF-8 to @ret_bytes, moves *p behind it and returns the number of bytes; 0 and *ret_why
 * when the escape is not allowed. */
size_t json_escape(const char **p, const char *end, unsigned char ret_bytes[4],
                   const char **ret_why);
/* json_raw_hash, json_raw_equal - of two keys by what they say, not by how it is written. */
uint32_t json_raw_hash(struct rb_slice raw, bool escaped);
bool json_raw_equal(struct rb_slice a, struct rb_slice b);

#endif

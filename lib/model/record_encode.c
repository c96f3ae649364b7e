/* record_encode.c - a retry into bytes. The format is told in record_fields.c. */
#include <retrybuild/cleanup.h>

#include "record_fields.h"

#define GROUP_LEN_BYTES 3 /* a group's length is written behind it: a padded varint */
#define VARINT_MAX_BYTES 10

static size_t varint(uint8_t *p, uint64_t v)
{
    size_t n = 0;
    while (v >= 0x80U) {
        p[n++] = (uint8_t)(v | 0x80U);
        v >>= 7;
    }
    p[n++] = (uint8_t)v;
    return n;
}

/* room - where @n more bytes may be written; NULL when @out has failed. */
static inline char *room(struct rb_buf *out, size_t n)
{
    return !out->failed && out->cap - out->len > n ? out->data + out->len : rb_buf_reserve(out, n);
}

/* wrote - up to @end, within the room. */
static inline void wrote(struct rb_buf *out, char *end)
{
    *end = '\0';
    out->len = (size_t)(end - out->data);
}

static void put_int(struct rb_buf *out, unsigned tag, int64_t v)
{
    char *p = room(out, 2 + VARINT_MAX_BYTES);
    if (p != NULL) {
        uint64_t zigzag = ((uint64_t)v << 1) ^ (v < 0 ? UINT64_MAX : 0U);
        size_t n = varint((uint8_t *)p + 2, zigzag);
        p[0] = (char)(uint8_t)tag;
        p[1] = (char)(uint8_t)n;
        wrote(out, p + 2 + n);
    }
}

/* put_group_len - a padded varint. */
static void put_group_len(char *p, size_t len)
{
    p[0] = (char)(uint8_t)(len | 0x80U);
    p[1] = (char)(uint8_t)((len >> 7) | 0x80U);
    p[2] = (char)(uint8_t)((len >> 14) & 0x7FU);
}

/* group_open - tag and room for the length; returns where the content begins. */
static size_t group_open(struct rb_buf *out, unsigned tag)
{
    const uint8_t head[1 + GROUP_LEN_BYTES] = {(uint8_t)tag};
    rb_buf_add(out, head, sizeof(head));
    return out->len;
}

static void group_close(struct rb_buf *out, size_t start)
{
    if (!rb_buf_failed(out)) {
        put_group_len(out->data + start - GROUP_LEN_BYTES, out->len - start);
    }
}

static void put_text(struct rb_buf *out, unsigned tag, const char *s, const struct packer *packer)
{
    size_t len = strlen(s);
    size_t bound = rb_pack_bound(s, len);
    size_t len_bytes = bound < 0x80U ? 1 : GROUP_LEN_BYTES;
    char *p = room(out, 1 + len_bytes + bound);
    if (p == NULL) {
        return;
    }
    char *content = p + 1 + len_bytes;
    char *end = rb_pack_text(content, s, len, packer);
    size_t packed = (size_t)(end - content);
    p[0] = (char)(uint8_t)tag;
    if (packed >= 0x80U) {
        put_group_len(p + 1, packed);
    } else {
        p[1] = (char)(uint8_t)packed;
        if (len_bytes > 1) { /* close the gap that a longer length would have needed */
            memmove(p + 2, content, packed);
            end = p + 2 + packed;
        }
    }
    wrote(out, end);
}

static int64_t load_int(const struct record_field *f, const char *at)
{
    int64_t v = 0;
    int i = 0;
    bool b = false;
    unsigned u = 0;
    switch ((enum record_type)f->type) {
    case INT64:
        memcpy(&v, at, sizeof(v));
        return v;
    case INT:
        memcpy(&i, at, sizeof(i));
        return i;
    case BOOL:
        memcpy(&b, at, sizeof(b));
        return b ? 1 : 0;
    case STATE:
    case ACTION:
    case DELAY_KIND:
        memcpy(&u, at, sizeof(u));
        return u;
    case TEXT:
    case ID:
        break;
    }
    return 0;
}

static void put_fields(struct rb_buf *out, const struct record_field *fields, size_t n,
                       const void *from, const struct packer *packer)
{
    for (size_t i = 0; i < n; i++) {
        const struct record_field *f = &fields[i];
        const char *at = (const char *)from + f->offset;
        const char *text = NULL;
        if (f->type == TEXT) {
            memcpy(&text, at, sizeof(text));
        } else if (f->type == ID) {
            text = at[0] == '\0' ? NULL : at;
        } else {
            int64_t v = load_int(f, at);
            if (v != f->absent) {
                put_int(out, f->tag, v);
            }
            continue;
        }
        if (text != NULL) {
            put_text(out, f->tag, text, packer);
        }
    }
}

#define NAMING_FIELDS \
    6 /* of rb_record_build_fields: partition to source_version; they say the words */

static void put_build(struct rb_buf *out, unsigned tag, const struct rb_build *b)
{
    static const struct packer none = {.first = 0};
    size_t start = group_open(out, tag);
    put_fields(out, rb_record_build_fields, NAMING_FIELDS, b, &none);
    struct pack_words w = rb_record_words(b);
    struct packer packer;
    rb_packer_init(&packer, &w);
    put_fields(out, rb_record_build_fields + NAMING_FIELDS,
               rb_record_n_build_fields - NAMING_FIELDS, b, &packer);
    group_close(out, start);
}

static void put_delays(struct rb_buf *out, const struct rb_delay *d)
{
    for (unsigned i = 0; i < d->n_list && i < RB_DELAY_LIST_MAX; i++) {
        put_int(out, TAG_DELAY, d->list_ms[i]);
    }
}

enum rb_code rb_record_encode(const struct rb_retry *r, struct rb_buf *out, struct rb_err *err)
{
    size_t start = out->len;
    struct pack_words w = rb_record_words(&r->build);
    struct packer packer;
    rb_packer_init(&packer, &w);
    rb_buf_addc(out, RECORD_VERSION);
    put_build(out, TAG_BUILD, &r->build);
    put_fields(out, rb_record_retry_fields, rb_record_n_retry_fields, r, &packer);
    w.word[PACK_RULE] = r->decision.rule;
    rb_packer_init(&packer, &w);
    put_delays(out, &r->decision.delay);
    if (r->has_child) {
        put_build(out, TAG_CHILD, &r->child);
    }
    for (unsigned i = 0; i < r->n_rule_uses && i < RB_RULE_USES_MAX; i++) {
        size_t group = group_open(out, TAG_RULE_USE);
        put_fields(out, rb_record_use_fields, rb_record_n_use_fields, &r->rule_uses[i], &packer);
        group_close(out, group);
    }
    for (unsigned i = 0; i < r->n_history && i < RB_HISTORY_MAX; i++) {
        size_t group = group_open(out, TAG_HISTORY);
        put_fields(out, rb_record_history_fields, rb_record_n_history_fields, &r->history[i],
                   &packer);
        group_close(out, group);
    }
    rb_buf_add(out, r->foreign.ptr, r->foreign.len);
    if (rb_buf_failed(out) || out->len - start > RB_RECORD_MAX_BYTES) {
        return rb_err_set(err, RB_E_TOO_LARGE, "the record of retry '%s' is too large", r->id);
    }
    return RB_OK;
}

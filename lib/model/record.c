/* record.c - a retry as bytes.
 *
 * Format: byte version, then fields: varint tag, varint length, bytes. Integers are zigzag varints,
 * groups (builds, history entries) are fields again. What a struct holds is one table, read by the
 * encoder and by the decoder, so that the two cannot disagree. Absent values are not written, a tag
 * that nobody knows is skipped. Tags are for ever: a field that goes leaves its tag unused.
 */
#include <limits.h>
#include <stddef.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/record.h>

#include "pack.h"

#define RECORD_VERSION 1
#define GROUP_LEN_BYTES 3 /* a group's length is written behind it: a padded varint */
#define VARINT_MAX_BYTES 10

enum type { TEXT, ID, INT64, INT, BOOL, STATE, ACTION, DELAY_KIND };

struct field {
    uint8_t tag;
    uint8_t type;
    int8_t absent; /* this value is not written */
    size_t offset;
};

#define B(tag, type, absent, member)                         \
    {                                                        \
        tag, type, absent, offsetof(struct rb_build, member) \
    }
static const struct field build_fields[] = {
    B(1, TEXT, 0, partition),
    B(2, TEXT, 0, account),
    B(3, TEXT, 0, region),
    B(4, TEXT, 0, project),
    B(5, TEXT, 0, id),
    B(15, TEXT, 0, source_version),
    B(6, TEXT, 0, arn),
    B(7, INT64, 0, number),
    B(8, TEXT, 0, status),
    B(9, TEXT, 0, phase),
    B(10, TEXT, 0, phase_status),
    B(11, TEXT, 0, message),
    B(12, TEXT, 0, url),
    B(13, TEXT, 0, initiator),
    B(14, TEXT, 0, source_type),
    B(16, TEXT, 0, resolved_version),
    B(17, TEXT, 0, repository),
    B(18, TEXT, 0, branch),
    B(19, TEXT, 0, pull_request),
    B(20, TEXT, 0, batch_arn),
    B(21, INT, -1, exit_code),
    B(22, INT64, 0, started_ms),
    B(23, INT64, 0, ended_ms),
    B(24, INT64, -1, auto_retry_limit),
    B(25, INT64, -1, auto_retry_number),
    B(26, TEXT, 0, next_auto_retry),
};

#define R(tag, type, absent, member)                         \
    {                                                        \
        tag, type, absent, offsetof(struct rb_retry, member) \
    }
static const struct field retry_fields[] = {
    R(1, ID, 0, id),
    R(2, ID, 0, chain),
    R(3, ID, 0, previous),
    R(4, STATE, 0, state),
    R(5, INT64, 0, attempt),
    R(6, INT64, 0, limit),
    R(7, BOOL, 0, has_child),
    R(8, TEXT, 0, source.source),
    R(9, TEXT, 0, source.type),
    R(10, TEXT, 0, source.key),
    R(11, INT64, 0, source.at_ms),
    R(12, ACTION, 0, decision.action),
    R(13, TEXT, 0, decision.rule),
    R(14, TEXT, 0, decision.reason),
    R(15, INT64, 0, decision.limit),
    R(16, DELAY_KIND, 0, decision.delay.kind),
    R(17, INT64, 0, decision.delay.base_ms),
    R(18, INT64, 0, decision.delay.cap_ms),
    R(19, STATE, 0, decision.state),
    R(20, TEXT, 0, requested_by),
    R(21, TEXT, 0, request_reason),
    R(22, TEXT, 0, callback_url),
    R(23, BOOL, 0, force),
    R(24, INT64, 0, created_ms),
    R(25, INT64, 0, due_ms),
    R(26, INT64, 0, submitted_ms),
    R(27, INT64, 0, finished_ms),
    R(28, INT64, 0, intent.issue),
    R(29, INT64, 0, intent.unknowns),
    R(30, INT64, 0, intent.date_ms),
    R(31, INT64, 0, intent.written_ms),
    R(32, INT64, 0, intent.low_water),
    R(33, BOOL, 0, intent.ambiguous),
    R(34, INT64, 0, intent.sends),
    R(35, TEXT, 0, intent.access_key),
};

static const struct field use_fields[] = {
    {1, TEXT, 0, offsetof(struct rb_rule_use, rule)},
    {2, INT64, 0, offsetof(struct rb_rule_use, count)},
};

static const struct field history_fields[] = {
    {1, INT64, 0, offsetof(struct rb_history_entry, at_ms)},
    {2, STATE, 0, offsetof(struct rb_history_entry, state)},
    {3, TEXT, 0, offsetof(struct rb_history_entry, note)},
};

enum { TAG_BUILD = 40, TAG_CHILD, TAG_RULE_USE, TAG_HISTORY, TAG_DELAY };

/* ---- writing ---- */
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

static void put_int(struct rb_buf *out, unsigned tag, int64_t v)
{
    uint8_t b[2 + VARINT_MAX_BYTES];
    b[0] = (uint8_t)tag;
    uint64_t zigzag = ((uint64_t)v << 1) ^ (v < 0 ? UINT64_MAX : 0U);
    b[1] = (uint8_t)varint(b + 2, zigzag);
    rb_buf_add(out, b, 2U + b[1]);
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
    if (rb_buf_failed(out)) {
        return;
    }
    size_t len = out->len - start;
    char *p = out->data + start - GROUP_LEN_BYTES;
    p[0] = (char)(uint8_t)(len | 0x80U);
    p[1] = (char)(uint8_t)((len >> 7) | 0x80U);
    p[2] = (char)(uint8_t)((len >> 14) & 0x7FU);
}

static void put_text(struct rb_buf *out, unsigned tag, const char *s, const struct pack_words *w)
{
    size_t start = group_open(out, tag);
    rb_pack_text(out, s, w);
    if (rb_buf_failed(out)) {
        return;
    }
    /* almost every text is short: close the gap that a longer length would have needed */
    size_t len = out->len - start;
    if (len >= 0x80U) {
        group_close(out, start);
        return;
    }
    char *p = out->data + start - GROUP_LEN_BYTES;
    p[0] = (char)(uint8_t)len;
    memmove(p + 1, out->data + start, len);
    out->len -= GROUP_LEN_BYTES - 1;
    out->data[out->len] = '\0';
}

static int64_t load_int(const struct field *f, const char *at)
{
    int64_t v = 0;
    int i = 0;
    bool b = false;
    unsigned u = 0;
    switch ((enum type)f->type) {
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

static void put_fields(struct rb_buf *out, const struct field *fields, size_t n, const void *from,
                       const struct pack_words *w)
{
    for (size_t i = 0; i < n; i++) {
        const struct field *f = &fields[i];
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
            put_text(out, f->tag, text, w);
        }
    }
}

/* words_of - what the texts behind project and id may refer to. */
static struct pack_words words_of(const struct rb_build *b)
{
    const char *colon = b->id == NULL ? NULL : strchr(b->id, ':');
    return (struct pack_words){
        .word = {[PACK_REGION] = b->region,
                 [PACK_PROJECT] = b->project,
                 [PACK_UUID] = colon == NULL ? NULL : colon + 1,
                 [PACK_VERSION] = b->source_version},
    };
}

#define NAMING_FIELDS 6 /* of build_fields: partition to source_version; they say the words */

static void put_build(struct rb_buf *out, unsigned tag, const struct rb_build *b)
{
    static const struct pack_words none = {{NULL}};
    size_t start = group_open(out, tag);
    put_fields(out, build_fields, NAMING_FIELDS, b, &none);
    struct pack_words w = words_of(b);
    put_fields(out, build_fields + NAMING_FIELDS, RB_ARRAY_LEN(build_fields) - NAMING_FIELDS, b,
               &w);
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
    struct pack_words w = words_of(&r->build);
    rb_buf_addc(out, RECORD_VERSION);
    put_build(out, TAG_BUILD, &r->build);
    put_fields(out, retry_fields, RB_ARRAY_LEN(retry_fields), r, &w);
    w.word[PACK_RULE] = r->decision.rule;
    put_delays(out, &r->decision.delay);
    if (r->has_child) {
        put_build(out, TAG_CHILD, &r->child);
    }
    for (unsigned i = 0; i < r->n_rule_uses && i < RB_RULE_USES_MAX; i++) {
        size_t group = group_open(out, TAG_RULE_USE);
        put_fields(out, use_fields, RB_ARRAY_LEN(use_fields), &r->rule_uses[i], &w);
        group_close(out, group);
    }
    for (unsigned i = 0; i < r->n_history && i < RB_HISTORY_MAX; i++) {
        size_t group = group_open(out, TAG_HISTORY);
        put_fields(out, history_fields, RB_ARRAY_LEN(history_fields), &r->history[i], &w);
        group_close(out, group);
    }
    if (rb_buf_failed(out) || out->len - start > RB_RECORD_MAX_BYTES) {
        return rb_err_set(err, RB_E_TOO_LARGE, "the record of retry '%s' is too large", r->id);
    }
    return RB_OK;
}

/* ---- reading ---- */
struct reader {
    const char *start, *p, *end;
    struct rb_arena *arena;
    struct rb_buf *scratch;
};

static bool read_varint(struct reader *rd, uint64_t *ret_v)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (rd->p == rd->end) {
            return false;
        }
        unsigned char c = (unsigned char)*rd->p++;
        if (shift == 63 && c > 1) {
            return false;
        }
        v |= (uint64_t)(c & 0x7FU) << shift;
        if ((c & 0x80U) == 0) {
            *ret_v = v;
            return true;
        }
    }
    return false;
}

static bool read_field(struct reader *rd, uint64_t *ret_tag, struct rb_slice *ret_value)
{
    uint64_t len = 0;
    if (!read_varint(rd, ret_tag) || !read_varint(rd, &len) || len > (uint64_t)(rd->end - rd->p)) {
        return false;
    }
    *ret_value = (struct rb_slice){.ptr = rd->p, .len = (size_t)len};
    rd->p += len;
    return true;
}

static struct reader reader_of(const struct reader *outer, struct rb_slice value)
{
    struct reader rd = *outer;
    rd.p = value.ptr;
    rd.end = value.ptr + value.len;
    return rd;
}

static bool read_int(struct rb_slice value, int64_t *ret_v)
{
    struct reader rd = {.p = value.ptr, .end = value.ptr + value.len};
    uint64_t zigzag = 0;
    if (!read_varint(&rd, &zigzag) || rd.p != rd.end) {
        return false;
    }
    uint64_t v = (zigzag >> 1) ^ ((zigzag & 1U) != 0 ? UINT64_MAX : 0U);
    memcpy(ret_v, &v, sizeof(v));
    return true;
}

static bool store_uint(char *at, int64_t v, int64_t below)
{
    if (v < 0 || v >= below) {
        return false;
    }
    unsigned u = (unsigned)v;
    memcpy(at, &u, sizeof(u));
    return true;
}

static bool store_int(const struct field *f, char *at, int64_t v)
{
    int i = 0;
    bool b = v != 0;
    switch ((enum type)f->type) {
    case INT64:
        memcpy(at, &v, sizeof(v));
        return true;
    case INT:
        if (v < INT_MIN || v > INT_MAX) {
            return false;
        }
        i = (int)v;
        memcpy(at, &i, sizeof(i));
        return true;
    case BOOL:
        memcpy(at, &b, sizeof(b));
        return v == 0 || v == 1;
    case STATE:
        return store_uint(at, v, RB_STATE_COUNT);
    case ACTION:
        return store_uint(at, v, RB_ACTION_IGNORE + 1);
    case DELAY_KIND:
        return store_uint(at, v, RB_DELAY_LIST + 1);
    case TEXT:
    case ID:
        break;
    }
    return false;
}

/* read_into - @value as the member that @f describes. */
static bool read_into(struct reader *rd, const struct field *f, struct rb_slice value, void *to,
                      const struct pack_words *w)
{
    char *at = (char *)to + f->offset;
    if (f->type != TEXT && f->type != ID) {
        int64_t v = 0;
        return read_int(value, &v) && store_int(f, at, v);
    }
    const char *text = rb_unpack_text(value, w, rd->scratch, rd->arena);
    if (text == NULL) {
        return false;
    }
    if (f->type == TEXT) {
        memcpy(at, &text, sizeof(text));
        return true;
    }
    size_t len = strlen(text);
    if (len >= RB_ID_BYTES) {
        return false;
    }
    memcpy(at, text, len + 1);
    return true;
}

static const struct field *find_field(const struct field *fields, size_t n, uint64_t tag)
{
    for (size_t i = 0; i < n; i++) {
        if (fields[i].tag == tag) {
            return &fields[i];
        }
    }
    return NULL;
}

static bool read_group(struct reader *rd, struct rb_slice group, const struct field *fields,
                       size_t n, void *to, const struct pack_words *w)
{
    struct reader in = reader_of(rd, group);
    while (in.p < in.end) {
        uint64_t tag = 0;
        struct rb_slice value;
        if (!read_field(&in, &tag, &value)) {
            return false;
        }
        const struct field *f = find_field(fields, n, tag);
        if (f != NULL && !read_into(&in, f, value, to, w)) {
            return false;
        }
    }
    return true;
}

static bool read_build(struct reader *rd, struct rb_slice group, struct rb_build *b)
{
    struct reader in = reader_of(rd, group);
    while (in.p < in.end) {
        uint64_t tag = 0;
        struct rb_slice value;
        if (!read_field(&in, &tag, &value)) {
            return false;
        }
        const struct field *f = find_field(build_fields, RB_ARRAY_LEN(build_fields), tag);
        struct pack_words w = words_of(b);
        if (f != NULL && !read_into(&in, f, value, b, &w)) {
            return false;
        }
    }
    return true;
}

static bool read_delay(struct rb_slice value, struct rb_delay *d)
{
    return d->n_list < RB_DELAY_LIST_MAX && read_int(value, &d->list_ms[d->n_list++]);
}

static bool read_top(struct reader *rd, uint64_t tag, struct rb_slice value, struct rb_retry *r)
{
    struct pack_words w = words_of(&r->build);
    w.word[PACK_RULE] = r->decision.rule;
    switch (tag) {
    case TAG_BUILD:
        return read_build(rd, value, &r->build);
    case TAG_CHILD:
        return read_build(rd, value, &r->child);
    case TAG_RULE_USE:
        return r->n_rule_uses < RB_RULE_USES_MAX &&
               read_group(rd, value, use_fields, RB_ARRAY_LEN(use_fields),
                          &r->rule_uses[r->n_rule_uses++], &w);
    case TAG_HISTORY:
        return r->n_history < RB_HISTORY_MAX &&
               read_group(rd, value, history_fields, RB_ARRAY_LEN(history_fields),
                          &r->history[r->n_history++], &w);
    case TAG_DELAY:
        return read_delay(value, &r->decision.delay);
    default:
        break;
    }
    const struct field *f = find_field(retry_fields, RB_ARRAY_LEN(retry_fields), tag);
    return f == NULL || read_into(rd, f, value, r, &w);
}

enum rb_code rb_record_decode(const void *data, size_t len, struct rb_retry **ret_r,
                              struct rb_err *err)
{
    const char *bytes = data;
    if (len == 0 || len > RB_RECORD_MAX_BYTES) {
        return rb_err_set(err, RB_E_CORRUPT, "a record of %zu bytes cannot be one", len);
    }
    if (bytes[0] != RECORD_VERSION) {
        return rb_err_set(err, RB_E_CORRUPT, "record version %d at offset 0 is not known",
                          (int)(unsigned char)bytes[0]);
    }
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = rb_retry_new();
    if (r == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a record");
    }
    RB_CLEANUP(rb_buf_release) struct rb_buf scratch = RB_BUF_INIT(RB_RETRY_MAX_BYTES);
    struct reader rd = {.start = bytes,
                        .p = bytes + 1,
                        .end = bytes + len,
                        .arena = &r->arena,
                        .scratch = &scratch};
    while (rd.p < rd.end) {
        size_t offset = (size_t)(rd.p - rd.start);
        uint64_t tag = 0;
        struct rb_slice value;
        if (!read_field(&rd, &tag, &value) || !read_top(&rd, tag, value, r)) {
            return rb_err_set(err, RB_E_CORRUPT, "the record is damaged at offset %zu", offset);
        }
    }
    *ret_r = RB_TAKE(r);
    return RB_OK;
}

/* record_decode.c - bytes into a retry, believing nothing. The format is told in record_fields.c.
 */
#include <limits.h>

#include <retrybuild/cleanup.h>

#include "record_fields.h"

#define WORDS_MAX                                                                   \
    64 /* more states, actions or kinds than that no release has: then it is damage \
        */

struct reader {
    const char *start, *p, *end;
    const char *field; /* where the top field that is being read begins */
    struct rb_arena *arena;
    struct rb_buf *scratch;
    bool *newer; /* a word that only a newer release can have written */
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

/* store_word - one of @below words. */
static bool store_word(char *at, int64_t v, int64_t below, bool *newer)
{
    if (v < 0 || v >= below) {
        *newer = v >= below && v < WORDS_MAX;
        return false;
    }
    unsigned u = (unsigned)v;
    memcpy(at, &u, sizeof(u));
    return true;
}

static bool store_int(const struct record_field *f, char *at, int64_t v, bool *newer)
{
    int i = 0;
    bool b = v != 0;
    switch ((enum record_type)f->type) {
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
        return store_word(at, v, RB_STATE_COUNT, newer);
    case ACTION:
        return store_word(at, v, RB_ACTION_IGNORE + 1, newer);
    case DELAY_KIND:
        return store_word(at, v, RB_DELAY_LIST + 1, newer);
    case TEXT:
    case ID:
        break;
    }
    return false;
}

/* read_into - @value as the member that @f describes. */
static bool read_into(struct reader *rd, const struct record_field *f, struct rb_slice value,
                      void *to, const struct pack_words *w)
{
    char *at = (char *)to + f->offset;
    if (f->type != TEXT && f->type != ID) {
        int64_t v = 0;
        return read_int(value, &v) && store_int(f, at, v, rd->newer);
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

static const struct record_field *find_field(const struct record_field *fields, size_t n,
                                             uint64_t tag)
{
    for (size_t i = 0; i < n; i++) {
        if (fields[i].tag == tag) {
            return &fields[i];
        }
    }
    return NULL;
}

static bool read_group(struct reader *rd, struct rb_slice group, const struct record_field *fields,
                       size_t n, void *to, const struct pack_words *w)
{
    struct reader in = reader_of(rd, group);
    while (in.p < in.end) {
        uint64_t tag = 0;
        struct rb_slice value;
        if (!read_field(&in, &tag, &value)) {
            return false;
        }
        const struct record_field *f = find_field(fields, n, tag);
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
        const struct record_field *f =
            find_field(rb_record_build_fields, rb_record_n_build_fields, tag);
        struct pack_words w = rb_record_words(b);
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

/* keep_foreign - a field of a newer release, whole, behind those that came before it. */
static bool keep_foreign(struct reader *rd, struct rb_retry *r)
{
    size_t len = (size_t)(rd->p - rd->field);
    char *all = rb_arena_alloc(rd->arena, r->foreign.len + len);
    if (all == NULL) {
        return false;
    }
    if (r->foreign.len > 0) {
        memcpy(all, r->foreign.ptr, r->foreign.len);
    }
    memcpy(all + r->foreign.len, rd->field, len);
    r->foreign = (struct rb_slice){.ptr = all, .len = r->foreign.len + len};
    return true;
}

static bool read_top(struct reader *rd, uint64_t tag, struct rb_slice value, struct rb_retry *r)
{
    struct pack_words w = rb_record_words(&r->build);
    w.word[PACK_RULE] = r->decision.rule;
    switch (tag) {
    case TAG_BUILD:
        return read_build(rd, value, &r->build);
    case TAG_CHILD:
        return read_build(rd, value, &r->child);
    case TAG_RULE_USE:
        return r->n_rule_uses < RB_RULE_USES_MAX &&
               read_group(rd, value, rb_record_use_fields, rb_record_n_use_fields,
                          &r->rule_uses[r->n_rule_uses++], &w);
    case TAG_HISTORY:
        return r->n_history < RB_HISTORY_MAX &&
               read_group(rd, value, rb_record_history_fields, rb_record_n_history_fields,
                          &r->history[r->n_history++], &w);
    case TAG_DELAY:
        return read_delay(value, &r->decision.delay);
    default:
        break;
    }
    const struct record_field *f =
        find_field(rb_record_retry_fields, rb_record_n_retry_fields, tag);
    return f == NULL ? keep_foreign(rd, r) : read_into(rd, f, value, r, &w);
}

enum rb_code rb_record_decode(const void *data, size_t len, struct rb_retry **ret_r,
                              struct rb_err *err)
{
    const char *bytes = data;
    if (len == 0 || len > RB_RECORD_MAX_BYTES) {
        return rb_err_set(err, RB_E_CORRUPT, "a record of %zu bytes cannot be one", len);
    }
    if (bytes[0] == RECORD_VERSION + 1) {
        return rb_err_set(err, RB_E_UNAVAIL,
                          "the record has version %d, of a newer release; this one knows %d",
                          bytes[0], RECORD_VERSION);
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
    bool newer = false;
    struct reader rd = {.newer = &newer,
                        .start = bytes,
                        .p = bytes + 1,
                        .end = bytes + len,
                        .arena = &r->arena,
                        .scratch = &scratch};
    while (rd.p < rd.end) {
        size_t offset = (size_t)(rd.p - rd.start);
        uint64_t tag = 0;
        struct rb_slice value;
        rd.field = rd.p;
        if (!read_field(&rd, &tag, &value) || !read_top(&rd, tag, value, r)) {
            if (newer) {
                return rb_err_set(err, RB_E_UNAVAIL,
                                  "the record has a state or action of a newer release, at "
                                  "offset %zu",
                                  offset);
            }
            return rb_err_set(err, RB_E_CORRUPT, "the record is damaged at offset %zu", offset);
        }
    }
    *ret_r = RB_TAKE(r);
    return RB_OK;
}

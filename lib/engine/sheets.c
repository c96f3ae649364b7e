/* sheets.c - the ledger's sheets between the store and the structs. */
#include "sheets.h"

#include <stdarg.h>
#include <stdio.h>

#include <retrybuild/cleanup.h>

#define SHEET_TTL_MS (8 * RB_DAY_MS)
#define LONG_TTL_MS (60 * RB_DAY_MS)

static bool kept_long(enum rb_sheet_of of)
{
    return of == RB_SHEET_FLAKES || of == RB_SHEET_RULES || of == RB_SHEET_TREND ||
           of == RB_SHEET_USES;
}

void rb_set_init(struct rb_set *s, struct rb_arena *a)
{
    s->a = a;
    s->n = 0;
    s->full = false;
}

unsigned rb_set_add(struct rb_set *s, enum rb_sheet_of of, void *at, const char *fmt, ...)
{
    char name[RB_SHEET_NAME_MAX_BYTES + 1];
    va_list ap;
    if (s->n == RB_SET_MAX) {
        s->full = true;
        return RB_SET_MAX - 1;
    }
    va_start(ap, fmt);
    (void)vsnprintf(name, sizeof(name), fmt, ap);
    va_end(ap);
    unsigned i = s->n++;
    s->slots[i].of = of;
    s->slots[i].at = at;
    s->slots[i].changed = false;
    s->slots[i].ttl_ms = kept_long(of) ? LONG_TTL_MS : SHEET_TTL_MS;
    s->slots[i].sheet = (struct rb_sheet){.name = rb_arena_strdup(s->a, name)};
    s->full = s->full || s->slots[i].sheet.name == NULL;
    return i;
}

static enum rb_code no_room(struct rb_err *err)
{
    return rb_err_set(err, RB_E_NOMEM, "no memory for the ledger");
}

enum rb_code rb_set_read(struct rb_set *s, struct rb_store_session *ses, int64_t now_ms,
                         struct rb_err *err)
{
    struct rb_sheet sheets[RB_SET_MAX];
    if (s->full) {
        return no_room(err);
    }
    for (unsigned i = 0; i < s->n; i++) {
        sheets[i] = s->slots[i].sheet;
    }
    enum rb_code rc = s->n == 0 ? RB_OK : rb_store_sheets_get(ses, sheets, s->n, now_ms, s->a, err);
    for (unsigned i = 0; i < s->n && rc == RB_OK; i++) {
        s->slots[i].sheet = sheets[i];
        s->slots[i].changed = false;
        rb_sheet_read(s->slots[i].of, sheets[i].data, sheets[i].len, s->slots[i].at);
    }
    return rc;
}

enum rb_code rb_set_write(struct rb_set *s, struct rb_store_session *ses,
                          const struct rb_random *random, int64_t now_ms, struct rb_err *err)
{
    struct rb_sheet sheets[RB_SET_MAX];
    unsigned n = 0;
    for (unsigned i = 0; i < s->n; i++) {
        if (!s->slots[i].changed) {
            continue;
        }
        RB_CLEANUP(rb_buf_release) struct rb_buf bytes = RB_BUF_INIT(RB_SHEET_MAX_BYTES);
        rb_sheet_write(s->slots[i].of, s->slots[i].at, &bytes);
        sheets[n] = s->slots[i].sheet;
        sheets[n].data = (const uint8_t *)rb_arena_strndup(s->a, rb_buf_str(&bytes), bytes.len);
        if (rb_buf_failed(&bytes) || sheets[n].data == NULL) {
            return no_room(err);
        }
        sheets[n].len = bytes.len;
        sheets[n].next = rb_random_below(random, UINT64_MAX) + 1;
        sheets[n].ttl_ms = s->slots[i].ttl_ms;
        n++;
    }
    return n == 0 ? RB_OK : rb_store_sheets_put(ses, sheets, n, now_ms, err);
}

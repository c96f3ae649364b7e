/* off.c - one sheet a destination: "off SINCE DIGEST", or "on". The digest is of where it is, so
 * that another receiver under the same name is not taken for the one that is gone. */
#include "off.h"

#include <stdio.h>
#include <string.h>

#include <retrybuild/counters.h>
#include <retrybuild/digest.h>
#include <retrybuild/log.h>

#define LOOK_EVERY_MS 1000
#define WRITE_TRIES 3
#define DIGEST_BYTES 8
#define MARK_BYTES 64
#define KEPT_MS (INT64_C(3650) * 24 * 3600 * 1000)
#define ARENA_BYTES ((size_t)256 * 1024)
#define WHY "it answered 410"

static void place_of(const struct rb_destination_setting *d, char ret_hex[2 * DIGEST_BYTES + 1])
{
    uint8_t digest[RB_SHA256_BYTES];
    const struct rb_slice parts[] = {rb_slice_str(d->type),
                                     rb_slice_str(d->url == NULL ? "" : rb_secret_data(d->url)),
                                     rb_slice_str(d->api.url), rb_slice_str(d->channel)};

    rb_sha256_parts(parts, RB_ARRAY_LEN(parts), digest);
    rb_hex(digest, DIGEST_BYTES, ret_hex);
}

static void write_mark(const struct rb_destination_setting *d, int64_t now_ms,
                       char ret_mark[MARK_BYTES])
{
    char place[2 * DIGEST_BYTES + 1];

    place_of(d, place);
    (void)snprintf(ret_mark, MARK_BYTES, "off %lld %s", (long long)now_ms, place);
}

/* Since when, 0 = it is on. */
static int64_t off_since(const struct rb_destination_setting *d, const struct rb_sheet *sheet)
{
    char place[2 * DIGEST_BYTES + 1], mark[MARK_BYTES];
    int64_t since_ms = 0;

    if (sheet->len < 4 || sheet->len >= sizeof(mark) || memcmp(sheet->data, "off ", 4) != 0) {
        return 0;
    }
    memcpy(mark, sheet->data, sheet->len);
    mark[sheet->len] = '\0';
    const char *time = mark + 4, *blank = strchr(time, ' ');
    place_of(d, place);
    return blank != NULL && strcmp(blank + 1, place) == 0 &&
                   rb_parse_i64((struct rb_slice){time, (size_t)(blank - time)}, &since_ms)
               ? since_ms
               : 0;
}

static enum rb_code no_memory(struct rb_err *err)
{
    return rb_err_set(err, RB_E_NOMEM, "no memory for the destinations that are off");
}

/* The sheets of @n destinations from @d on, at most RB_SHEETS_MAX. */
static enum rb_code read_some(struct rb_store_session *ses, const struct rb_destination_setting *d,
                              unsigned n, int64_t now_ms, struct rb_arena *a,
                              struct rb_sheet *ret_sheets, struct rb_err *err)
{
    for (unsigned i = 0; i < n; i++) {
        ret_sheets[i] = (struct rb_sheet){.name = rb_arena_printf(a, "off:%s", d[i].name)};
        if (ret_sheets[i].name == NULL) {
            return no_memory(err);
        }
    }
    return rb_store_sheets_get(ses, ret_sheets, n, now_ms, a, err);
}

static enum rb_code put(struct rb_engine *e, struct rb_store_session *ses, struct rb_sheet *sheet,
                        const char *mark, struct rb_err *err)
{
    sheet->data = (const uint8_t *)mark;
    sheet->len = strlen(mark);
    sheet->next = rb_random_below(e->random, UINT64_MAX) + 1;
    sheet->ttl_ms = KEPT_MS;
    return rb_store_sheets_put(ses, sheet, 1, rb_engine_now_ms(e), err);
}

/* see - what is done with each destination and its sheet. */
static enum rb_code for_all(struct rb_engine *e, struct rb_store_session *ses,
                            const struct rb_settings *s,
                            enum rb_code (*see)(struct rb_engine *e, struct rb_store_session *ses,
                                                const struct rb_destination_setting *d,
                                                struct rb_sheet *sheet, void *arg,
                                                struct rb_err *err),
                            void *arg, int64_t now_ms, struct rb_err *err)
{
    struct rb_sheet sheets[RB_SHEETS_MAX];
    enum rb_code rc = RB_OK;

    for (unsigned at = 0; at < s->n_destinations && rc == RB_OK; at += RB_SHEETS_MAX) {
        RB_CLEANUP(rb_arena_release) struct rb_arena a;
        unsigned n = s->n_destinations - at;
        n = n < RB_SHEETS_MAX ? n : RB_SHEETS_MAX;
        rb_arena_init(&a, ARENA_BYTES);
        rc = read_some(ses, s->destinations + at, n, now_ms, &a, sheets, err);
        for (unsigned i = 0; i < n && rc == RB_OK; i++) {
            rc = see(e, ses, &s->destinations[at + i], &sheets[i], arg, err);
        }
    }
    return rc;
}

void rb_off_tell(const char *destination, bool off, const char *why)
{
    char scope[80];

    (void)snprintf(scope, sizeof(scope), "destination:%s", destination);
    rb_gauge(RB_M_BREAKER_OPEN, scope, off ? 1 : 0);
    if (off) {
        rb_log(RB_LOG_ERROR, "destination.off", RB_F("destination", destination),
               RB_F("error", why),
               RB_F("next", "switched off, in every process, until the configuration is loaded "
                            "again or a report of it is requeued"));
    } else {
        rb_log(RB_LOG_INFO, "destination.on", RB_F("destination", destination));
    }
}

/* ---- switched on ---- */

static enum rb_code switch_one_on(struct rb_engine *e, struct rb_store_session *ses,
                                  const struct rb_destination_setting *d, struct rb_sheet *sheet,
                                  void *arg, struct rb_err *err)
{
    enum rb_code rc = RB_OK;

    (void)arg;
    if (sheet->len >= 3 && memcmp(sheet->data, "off", 3) == 0) {
        rc = put(e, ses, sheet, "on", err);
    }
    if (rc != RB_OK && rc != RB_E_CONFLICT) { /* conflict: somebody else was faster, on or off */
        return rc;
    }
    pthread_mutex_lock(&e->lock);
    bool changed = rb_pace_set_off(&e->pace, d->name, false);
    e->off.changes++;
    pthread_mutex_unlock(&e->lock);
    if (changed) {
        rb_off_tell(d->name, false, NULL);
    }
    return RB_OK;
}

enum rb_code rb_off_switch_on(struct rb_engine *e, struct rb_store_session *ses,
                              const struct rb_settings *s, struct rb_err *err)
{
    return for_all(e, ses, s, switch_one_on, NULL, rb_engine_now_ms(e), err);
}

/* ---- looked at ---- */

struct look {
    uint64_t changes; /* before the store was asked */
};

static enum rb_code look_at(struct rb_engine *e, struct rb_store_session *ses,
                            const struct rb_destination_setting *d, struct rb_sheet *sheet,
                            void *arg, struct rb_err *err)
{
    const struct look *look = arg;
    bool off = off_since(d, sheet) != 0;

    (void)ses;
    (void)err;
    pthread_mutex_lock(&e->lock);
    bool changed = look->changes == e->off.changes && rb_pace_set_off(&e->pace, d->name, off);
    pthread_mutex_unlock(&e->lock);
    if (changed) {
        rb_off_tell(d->name, off, WHY);
    }
    return RB_OK;
}

static enum rb_code look_at_all(struct rb_worker *w, bool reloaded, struct rb_err *err)
{
    struct rb_engine *e = w->e;
    enum rb_code rc = RB_OK;

    if (reloaded) {
        rc = rb_off_switch_on(e, w->ses, w->rt->settings, err);
    }
    pthread_mutex_lock(&e->lock);
    struct look look = {.changes = e->off.changes};
    pthread_mutex_unlock(&e->lock);
    return rc == RB_OK
               ? for_all(e, w->ses, w->rt->settings, look_at, &look, rb_engine_now_ms(e), err)
               : rc;
}

enum rb_code rb_off_look(struct rb_worker *w, bool *ret_wait, struct rb_err *err)
{
    struct rb_engine *e = w->e;
    int64_t boot_ms = rb_boot_ms(e->clock);
    uint64_t generation = w->rt->generation;

    pthread_mutex_lock(&e->lock);
    bool mine = !e->off.looking &&
                (boot_ms >= e->off.next_boot_ms || !e->off.known || generation > e->off.generation);
    bool reloaded = mine && e->off.generation != 0 && generation > e->off.generation;
    *ret_wait = !mine && (!e->off.known || generation > e->off.generation);
    e->off.looking = e->off.looking || mine;
    pthread_mutex_unlock(&e->lock);
    if (!mine) {
        return RB_OK;
    }
    enum rb_code rc = look_at_all(w, reloaded, err);
    pthread_mutex_lock(&e->lock);
    e->off.looking = false;
    if (rc == RB_OK) {
        e->off.known = true;
        e->off.generation = generation;
        e->off.next_boot_ms = boot_ms + LOOK_EVERY_MS;
    }
    pthread_mutex_unlock(&e->lock);
    return rc;
}

enum rb_code rb_off_still(struct rb_worker *w, const struct rb_destination_setting *d,
                          bool *ret_off, struct rb_err *err)
{
    RB_CLEANUP(rb_arena_release) struct rb_arena a;
    struct rb_sheet sheet;
    struct look look;

    rb_arena_init(&a, ARENA_BYTES);
    pthread_mutex_lock(&w->e->lock);
    look.changes = w->e->off.changes;
    pthread_mutex_unlock(&w->e->lock);
    enum rb_code rc = read_some(w->ses, d, 1, rb_engine_now_ms(w->e), &a, &sheet, err);
    if (rc == RB_OK) {
        *ret_off = off_since(d, &sheet) != 0;
        rc = look_at(w->e, w->ses, d, &sheet, &look, err);
    }
    return rc;
}

/* ---- gone ---- */

void rb_off_gone(struct rb_worker *w, const struct rb_destination_setting *d)
{
    struct rb_engine *e = w->e;
    struct rb_err err = {.code = RB_OK};
    char mark[MARK_BYTES];
    enum rb_code rc = RB_E_CONFLICT;

    write_mark(d, rb_engine_now_ms(e), mark);
    for (unsigned i = 0; i < WRITE_TRIES && rc == RB_E_CONFLICT; i++) {
        RB_CLEANUP(rb_arena_release) struct rb_arena a;
        struct rb_sheet sheet;
        rb_arena_init(&a, ARENA_BYTES);
        rc = read_some(w->ses, d, 1, rb_engine_now_ms(e), &a, &sheet, &err);
        if (rc == RB_OK && off_since(d, &sheet) == 0) {
            rc = put(e, w->ses, &sheet, mark, &err);
        }
    }
    pthread_mutex_lock(&e->lock);
    e->off.changes++; /* a look that began before this is out of date */
    pthread_mutex_unlock(&e->lock);
    if (rc != RB_OK) {
        rb_log(RB_LOG_WARN, "destination.off_not_stored", RB_F("destination", d->name),
               RB_F("error", err.msg));
    }
}

/* ---- shown ---- */

static enum rb_code show(struct rb_engine *e, struct rb_store_session *ses,
                         const struct rb_destination_setting *d, struct rb_sheet *sheet, void *arg,
                         struct rb_err *err)
{
    struct rb_buf *out = arg;

    (void)e;
    (void)ses;
    (void)err;
    if (off_since(d, sheet) != 0) { /* a name has no character that JSON escapes */
        rb_buf_addf(out,
                    "%s{\"scope\":\"destination:%s\",\"state\":\"off\",\"failed\":0,"
                    "\"recovered\":0,\"until\":null}",
                    out->len == 0 ? "" : ",", d->name);
    }
    return RB_OK;
}

enum rb_code rb_off_show(struct rb_store_session *ses, const struct rb_settings *s, int64_t now_ms,
                         struct rb_buf *out, struct rb_err *err)
{
    return for_all(NULL, ses, s, show, out, now_ms, err);
}

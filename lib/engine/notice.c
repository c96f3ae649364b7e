/* notice.c - one message for what concerns many retries: an incident hold, a budget that is spent.
 *
 * A thousand retries that wait or are refused for one reason are one message in a chat, not a
 * thousand. Who is told by which retry stands in a sheet: a destination that was told since the
 * window began by another one is left out, and a retry that is worked again after a crash tells
 * what it was to tell. Only chats are spared refusals; a machine is told of every end.
 */
#include "internal.h"

#include <string.h>

#include <retrybuild/destination.h>

#include "sheets.h"

#define NOTICE_TRIES 50

static uint64_t number_of(const char *destination)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (const char *p = destination; *p != '\0'; p++) {
        h = (h ^ (uint8_t)*p) * UINT64_C(0x100000001b3);
    }
    return h;
}

static const struct rb_destination_setting *setting_of(const struct rb_settings *s,
                                                       const char *name)
{
    for (unsigned i = 0; i < s->n_destinations; i++) {
        if (rb_str_eq(s->destinations[i].name, name)) {
            return &s->destinations[i];
        }
    }
    return NULL;
}

static bool is_chat(const struct rb_settings *s, const char *name)
{
    const struct rb_destination_setting *d = setting_of(s, name);
    const struct rb_destination_type *type = d == NULL ? NULL : rb_destination_type_find(d->type);
    return type != NULL && type->chat;
}

/* told_first - is @retry the one that tells @destination? The oldest row makes room. */
static bool told_first(struct rb_notice_sheet *x, uint64_t destination, const char *retry,
                       int64_t since_ms, int64_t now_ms, bool *ret_changed)
{
    unsigned at = x->n < RB_NOTICE_ROWS ? x->n : 0;

    for (unsigned i = 0; i < x->n; i++) {
        if (x->rows[i].destination == destination) {
            if (x->rows[i].at_ms >= since_ms) {
                return strcmp(x->rows[i].retry, retry) == 0;
            }
            at = i;
            break;
        }
        at = x->n == RB_NOTICE_ROWS && x->rows[i].at_ms < x->rows[at].at_ms ? i : at;
    }
    x->n += at == x->n ? 1 : 0;
    x->rows[at].destination = destination;
    x->rows[at].at_ms = now_ms;
    memcpy(x->rows[at].retry, retry, sizeof(x->rows[at].retry));
    *ret_changed = true;
    return true;
}

enum rb_code rb_notice_claim(struct rb_work *k, const struct rb_notice *what,
                             const struct rb_report_task **tasks, unsigned *n, struct rb_err *err)
{
    const struct rb_settings *s = k->rt->settings;
    enum rb_code rc = RB_E_CONFLICT;

    if (*n == 0) {
        return RB_OK;
    }
    struct rb_report_task *kept = rb_arena_alloc(&k->r->arena, *n * sizeof(*kept));
    if (kept == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the reports of '%s'", k->r->id);
    }
    unsigned n_kept = 0;
    for (unsigned tries = 0; tries < NOTICE_TRIES && rc == RB_E_CONFLICT; tries++) {
        int64_t now_ms = rb_engine_now_ms(k->e);
        struct rb_notice_sheet sheet;
        struct rb_set set;
        n_kept = 0;
        rb_set_init(&set, &k->arena);
        unsigned at = rb_set_add(&set, RB_SHEET_NOTICE, &sheet, "z:%s", what->about);
        rc = rb_set_read(&set, k->w->ses, now_ms, err);
        for (unsigned i = 0; rc == RB_OK && i < *n; i++) {
            const char *name = (*tasks)[i].destination;
            bool changed = false;
            bool spared = setting_of(s, name) != NULL && (!what->chats || is_chat(s, name));
            if (!spared ||
                told_first(&sheet, number_of(name), k->r->id, what->since_ms, now_ms, &changed)) {
                kept[n_kept++] = (*tasks)[i];
            }
            set.slots[at].changed = set.slots[at].changed || changed;
        }
        rc = rc == RB_OK ? rb_set_write(&set, k->w->ses, k->e->random, now_ms, err) : rc;
    }
    rb_engine_store_state(k->e, rc, err);
    *tasks = kept;
    *n = n_kept;
    return rc;
}

enum rb_code rb_notice_of_hold(struct rb_work *k, const struct rb_incident_row *row,
                               struct rb_err *err)
{
    const struct rb_settings *s = k->rt->settings;
    const struct rb_notice what = {.about = rb_arena_printf(&k->arena, "incident:%s", row->phase),
                                   .since_ms = row->since_ms};
    struct rb_report_task *t = rb_arena_alloc(&k->r->arena, (s->n_destinations + 1) * sizeof(*t));
    unsigned n = 0;

    if (t == NULL || what.about == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the notice of a hold");
    }
    for (unsigned i = 0; i < s->n_destinations; i++) {
        const struct rb_destination_setting *d = &s->destinations[i];
        const struct rb_destination_type *type = rb_destination_type_find(d->type);
        /* What has a place of its own for each commit has none for this. */
        if ((type == NULL || type->applies == NULL) &&
            rb_destination_wants(d, k->r, RB_STAGE_HELD)) {
            t[n++] = (struct rb_report_task){
                .destination = d->name, .stage = RB_STAGE_HELD, .due_ms = rb_engine_now_ms(k->e)};
        }
    }
    k->notices = t;
    k->n_notices = n;
    return rb_notice_claim(k, &what, &k->notices, &k->n_notices, err);
}

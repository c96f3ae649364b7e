/* sheet.c - sheets as bytes. One function a struct goes over its members for reading and for
 * writing, so that the two cannot disagree. A number is a zigzag varint, a text its length and
 * bytes; the first byte is the format. */
#include <string.h>

#include <retrybuild/cleanup.h>

#include "ledger.h"

#define FORMAT 1
#define SCALE 1000.0 /* fractions are kept to a thousandth */

struct io {
    struct rb_buf *out; /* NULL: reading */
    const uint8_t *in;
    size_t len, at;
    bool bad;
};

static void io_number(struct io *io, int64_t *v)
{
    if (io->out != NULL) {
        uint64_t z = ((uint64_t)*v << 1) ^ (*v < 0 ? UINT64_MAX : 0);
        while (z >= 0x80) {
            rb_buf_addc(io->out, (char)(z | 0x80));
            z >>= 7;
        }
        rb_buf_addc(io->out, (char)z);
        return;
    }
    uint64_t z = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (io->at == io->len) {
            io->bad = true;
            return;
        }
        uint8_t byte = io->in[io->at++];
        z |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            *v = (int64_t)(z >> 1) ^ -(int64_t)(z & 1);
            return;
        }
    }
    io->bad = true;
}

/* io_count - how many members follow, at most @max. */
static void io_count(struct io *io, unsigned *n, unsigned max)
{
    int64_t v = *n;
    io_number(io, &v);
    io->bad = io->bad || v < 0 || v > (int64_t)max;
    *n = io->bad ? 0 : (unsigned)v;
}

static void io_bits(struct io *io, uint64_t *v)
{
    int64_t n = (int64_t)*v;
    io_number(io, &n);
    *v = (uint64_t)n;
}

static void io_fraction(struct io *io, double *v)
{
    int64_t n = (int64_t)(*v * SCALE);
    io_number(io, &n);
    if (io->out == NULL) {
        *v = (double)n / SCALE;
    }
}

static void io_text(struct io *io, char *text, size_t room)
{
    unsigned n = io->out == NULL ? 0 : (unsigned)strlen(text);
    io_count(io, &n, (unsigned)room - 1);
    if (io->out != NULL) {
        rb_buf_add(io->out, text, n);
        return;
    }
    if (io->bad || io->len - io->at < n) {
        io->bad = true;
        return;
    }
    memcpy(text, io->in + io->at, n);
    text[n] = '\0';
    io->at += n;
}

static void io_series(struct io *io, struct rb_series *s)
{
    io_count(io, &s->n, RB_SERIES_STEPS);
    int64_t before_ms = 0;
    for (unsigned i = 0; i < s->n; i++) {
        int64_t step_ms = s->steps[i].at_ms - before_ms;
        io_number(io, &step_ms);
        s->steps[i].at_ms = before_ms + step_ms;
        before_ms = s->steps[i].at_ms;
        io_number(io, &s->steps[i].a);
        io_number(io, &s->steps[i].b);
    }
}

static void io_probe(struct io *io, struct rb_probe *p)
{
    io_text(io, p->id, sizeof(p->id));
    io_number(io, &p->at_ms);
}

static void io_scope(struct io *io, void *sheet)
{
    struct rb_scope_sheet *x = sheet;
    io_series(io, &x->takes);
    io_series(io, &x->outcomes);
    io_number(io, &x->opened_ms);
    io_probe(io, &x->probe);
}

static void io_counted(struct io *io, void *sheet)
{
    io_series(io, &((struct rb_count_sheet *)sheet)->counted);
}

static void io_commit(struct io *io, void *sheet)
{
    io_number(io, &((struct rb_commit_sheet *)sheet)->retries);
}

static void io_mark(struct io *io, void *sheet)
{
    struct rb_mark_sheet *x = sheet;
    io_number(io, &x->taken);
    io_number(io, &x->settled);
    io_number(io, &x->reserved_s);
}

static void io_incident(struct io *io, void *sheet)
{
    struct rb_incident_sheet *x = sheet;
    io_count(io, &x->n, RB_INCIDENT_PHASES);
    for (unsigned i = 0; i < x->n; i++) {
        struct rb_incident_row *row = &x->rows[i];
        io_text(io, row->phase, sizeof(row->phase));
        io_count(io, &row->n, RB_INCIDENT_PROJECTS);
        for (unsigned k = 0; k < row->n; k++) {
            io_bits(io, &row->seen[k].project);
            io_number(io, &row->seen[k].at_ms);
        }
        io_number(io, &row->since_ms);
        io_number(io, &row->until_ms);
        io_number(io, &row->next_probe_ms);
        io_probe(io, &row->probe);
    }
}

static void io_flakes(struct io *io, void *sheet)
{
    struct rb_flake_sheet *x = sheet;
    io_count(io, &x->n, RB_FLAKE_ROWS);
    for (unsigned i = 0; i < x->n; i++) {
        struct rb_flake_row *row = &x->rows[i];
        io_text(io, row->phase, sizeof(row->phase));
        io_text(io, row->class, sizeof(row->class));
        io_fraction(io, &row->flakes);
        io_fraction(io, &row->failures);
        io_number(io, &row->decayed_ms);
        io_number(io, &row->last_ms);
        io_number(io, &row->lost_s);
        io_number(io, &row->saved_s);
    }
}

static void io_rules(struct io *io, void *sheet)
{
    struct rb_rules_sheet *x = sheet;
    io_count(io, &x->n, RB_RULE_ROWS);
    for (unsigned i = 0; i < x->n; i++) {
        struct rb_rule_row *row = &x->rows[i];
        io_text(io, row->name, sizeof(row->name));
        io_number(io, &row->tried);
        io_number(io, &row->recovered);
        io_number(io, &row->shadowed);
        io_number(io, &row->shadow_recovered);
        io_number(io, &row->last_ms);
    }
    io_number(io, &x->lost_s);
    io_number(io, &x->saved_s);
}

static void io_shadow(struct io *io, void *sheet)
{
    struct rb_shadow_sheet *x = sheet;
    io_text(io, x->rule, sizeof(x->rule));
    io_number(io, &x->recovered);
}

static void io_link(struct io *io, void *sheet)
{
    struct rb_link_sheet *x = sheet;
    io_text(io, x->retry, sizeof(x->retry));
}

static void io_census(struct io *io, void *sheet)
{
    struct rb_census_sheet *x = sheet;
    io_series(io, &x->shown);
    io_number(io, &x->looked_ms);
}

static void io_notice(struct io *io, void *sheet)
{
    struct rb_notice_sheet *x = sheet;
    io_count(io, &x->n, RB_NOTICE_ROWS);
    for (unsigned i = 0; i < x->n; i++) {
        io_bits(io, &x->rows[i].destination);
        io_number(io, &x->rows[i].at_ms);
        io_text(io, x->rows[i].retry, sizeof(x->rows[i].retry));
    }
}

static const struct {
    void (*io)(struct io *io, void *sheet);
    size_t size;
} kinds[] = {
    [RB_SHEET_SCOPE] = {io_scope, sizeof(struct rb_scope_sheet)},
    [RB_SHEET_COUNT] = {io_counted, sizeof(struct rb_count_sheet)},
    [RB_SHEET_COMMIT] = {io_commit, sizeof(struct rb_commit_sheet)},
    [RB_SHEET_MARK] = {io_mark, sizeof(struct rb_mark_sheet)},
    [RB_SHEET_INCIDENT] = {io_incident, sizeof(struct rb_incident_sheet)},
    [RB_SHEET_FLAKES] = {io_flakes, sizeof(struct rb_flake_sheet)},
    [RB_SHEET_RULES] = {io_rules, sizeof(struct rb_rules_sheet)},
    [RB_SHEET_SHADOW] = {io_shadow, sizeof(struct rb_shadow_sheet)},
    [RB_SHEET_LINK] = {io_link, sizeof(struct rb_link_sheet)},
    [RB_SHEET_NOTICE] = {io_notice, sizeof(struct rb_notice_sheet)},
    [RB_SHEET_CENSUS] = {io_census, sizeof(struct rb_census_sheet)},
};

void rb_sheet_read(enum rb_sheet_of of, const uint8_t *data, size_t len, void *ret_sheet)
{
    struct io io = {.in = data, .len = len, .at = 1, .bad = len == 0 || data[0] != FORMAT};
    memset(ret_sheet, 0, kinds[of].size);
    if (!io.bad) {
        kinds[of].io(&io, ret_sheet);
    }
    if (io.bad) {
        memset(ret_sheet, 0, kinds[of].size);
    }
}

void rb_sheet_write(enum rb_sheet_of of, const void *sheet, struct rb_buf *out)
{
    struct io io = {.out = out};
    union { /* written from only: the walk over the members is that of reading too */
        const void *from;
        void *walked;
    } u = {.from = sheet};
    rb_buf_addc(out, FORMAT);
    kinds[of].io(&io, u.walked);
}

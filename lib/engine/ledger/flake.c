/* flake.c - what failed and recovered on the same commit, by phase and kind of message; and what
 * became of each rule's retries. Old flakes fade: half of them in seven days. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <retrybuild/cleanup.h>

#include "ledger.h"

#define EX_TEMPFAIL 75
#define KNOWN_FROM 0.5 /* flakes left: one of the last week, or more of longer ago */

const char *rb_message_class(const struct rb_build *b)
{
    static const struct {
        const char *part, *class;
    } classes[] = {
        {"resolve", "names"},
        {"name resolution", "names"},
        {"EAI_AGAIN", "names"},
        {"too many requests", "rate"},
        {"rate limit", "rate"},
        {"Throttl", "rate"},
        {"Rate exceeded", "rate"},
        {"toomanyrequests", "rate"},
        {"SlowDown", "rate"},
        {"timed out", "timeout"},
        {"timeout", "timeout"},
        {"ETIMEDOUT", "timeout"},
        {"connection", "connection"},
        {"ECONNRE", "connection"},
        {"socket hang up", "connection"},
        {"broken pipe", "connection"},
        {"handshake", "connection"},
        {"EOF", "connection"},
        {"Unavailable", "server"},
        {"Bad Gateway", "server"},
        {"Gateway Time", "server"},
        {"Internal", "server"},
        {" 50", "server"},
        {"no space left", "host"},
        {"ENOSPC", "host"},
        {"cannot allocate", "host"},
        {"capacity", "host"},
        {"Hash Sum", "packages"},
        {"unexpected size", "packages"},
    };
    if (b->exit_code == EX_TEMPFAIL) {
        return "asked";
    }
    for (size_t i = 0; b->message != NULL && i < RB_ARRAY_LEN(classes); i++) {
        if (strcasestr(b->message, classes[i].part) != NULL) {
            return classes[i].class;
        }
    }
    return rb_str_eq(b->status, "TIMED_OUT") ? "timeout" : "other";
}

double rb_flake_decayed(double v, int64_t then_ms, int64_t now_ms)
{
    double age = now_ms > then_ms ? (double)(now_ms - then_ms) : 0.0;
    return v * exp2(-age / (double)RB_FLAKE_HALF_LIFE_MS);
}

static const char *phase_of(const struct rb_build *b)
{
    return b->phase == NULL ? "-" : b->phase;
}

static bool is_row(const struct rb_flake_row *row, const char *phase, const char *class)
{
    return strncmp(row->phase, phase, sizeof(row->phase) - 1) == 0 &&
           strcmp(row->class, class) == 0;
}

/* row_for - where there is no room, the one that was not seen longest is given up. */
static struct rb_flake_row *row_for(struct rb_flake_sheet *x, const char *phase, const char *class,
                                    int64_t now_ms)
{
    unsigned oldest = 0;
    for (unsigned i = 0; i < x->n; i++) {
        if (is_row(&x->rows[i], phase, class)) {
            return &x->rows[i];
        }
        oldest = x->rows[i].decayed_ms < x->rows[oldest].decayed_ms ? i : oldest;
    }
    struct rb_flake_row *row = x->n < RB_FLAKE_ROWS ? &x->rows[x->n++] : &x->rows[oldest];
    *row = (struct rb_flake_row){.decayed_ms = now_ms};
    (void)snprintf(row->phase, sizeof(row->phase), "%s", phase);
    (void)snprintf(row->class, sizeof(row->class), "%s", class);
    return row;
}

void rb_flake_outcome(struct rb_flake_sheet *x, const struct rb_build *failed, bool recovered,
                      int64_t lost_s, int64_t saved_s, int64_t now_ms)
{
    rb_flake_count(x, phase_of(failed), rb_message_class(failed), recovered, lost_s, saved_s,
                   now_ms);
}

void rb_flake_count(struct rb_flake_sheet *x, const char *phase, const char *class, bool recovered,
                    int64_t lost_s, int64_t saved_s, int64_t now_ms)
{
    struct rb_flake_row *row = row_for(x, phase, class, now_ms);
    row->flakes = rb_flake_decayed(row->flakes, row->decayed_ms, now_ms) + (recovered ? 1.0 : 0.0);
    row->failures = rb_flake_decayed(row->failures, row->decayed_ms, now_ms) + 1.0;
    row->decayed_ms = now_ms > row->decayed_ms ? now_ms : row->decayed_ms;
    row->lost_s += lost_s;
    if (recovered) {
        row->last_ms = now_ms;
        row->saved_s += saved_s;
    }
}

bool rb_flake_lately(const struct rb_flake_row *row, int64_t now_ms)
{
    return rb_flake_decayed(row->flakes, row->decayed_ms, now_ms) >= KNOWN_FROM;
}

bool rb_flake_known(const struct rb_flake_sheet *x, const struct rb_build *b, int64_t now_ms)
{
    for (unsigned i = 0; i < x->n; i++) {
        if (is_row(&x->rows[i], phase_of(b), rb_message_class(b))) {
            return rb_flake_lately(&x->rows[i], now_ms);
        }
    }
    return false;
}

struct rb_rule_row *rb_rule_row(struct rb_rules_sheet *x, const char *rule, int64_t now_ms)
{
    unsigned oldest = 0;
    for (unsigned i = 0; i < x->n; i++) {
        if (strcmp(x->rows[i].name, rule) == 0) {
            x->rows[i].last_ms = now_ms;
            return &x->rows[i];
        }
        oldest = x->rows[i].last_ms < x->rows[oldest].last_ms ? i : oldest;
    }
    struct rb_rule_row *row = x->n < RB_RULE_ROWS ? &x->rows[x->n++] : &x->rows[oldest];
    *row = (struct rb_rule_row){.last_ms = now_ms};
    (void)snprintf(row->name, sizeof(row->name), "%s", rule);
    return row;
}

/* pace.c - one row a destination, made when it is first told something. */
#include "pace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>

#define HOLD_FIRST_MS 100
#define SEAT_WAIT_MOST_MS 60000
#define OPEN_MOST_MS 60000
#define WAIT_MOST_MS (60 * 60 * 1000)
#define SPREAD_MS 5 /* between turns after a pause, where no distance is asked for */

struct rb_pace_row {
    char destination[64];
    uint64_t generation;
    int64_t n;       /* posts under way */
    int64_t waiting; /* about how many others found no seat */
    int64_t hold_ms; /* how long the last post took */
    int64_t last_ms; /* when the last post began */
    int64_t next_turn_ms;
    int64_t not_before_ms;
    int64_t failures; /* in a row */
    bool off;
};

void rb_pace_release(struct rb_pace *p)
{
    free(p->rows);
    *p = (struct rb_pace){.rows = NULL};
}

static struct rb_pace_row *find(struct rb_pace *p, const char *destination)
{
    for (size_t i = 0; i < p->n; i++) {
        if (strcmp(p->rows[i].destination, destination) == 0) {
            return &p->rows[i];
        }
    }
    return NULL;
}

static struct rb_pace_row *find_or_make(struct rb_pace *p, const char *destination)
{
    struct rb_pace_row *row = find(p, destination);

    if (row != NULL) {
        return row;
    }
    if (p->n == p->cap) {
        size_t cap = p->cap == 0 ? 16 : 2 * p->cap;
        struct rb_pace_row *rows = realloc(p->rows, cap * sizeof(*rows));
        if (rows == NULL) {
            return NULL;
        }
        p->rows = rows;
        p->cap = cap;
    }
    row = &p->rows[p->n++];
    *row = (struct rb_pace_row){.hold_ms = HOLD_FIRST_MS};
    snprintf(row->destination, sizeof(row->destination), "%s", destination);
    return row;
}

bool rb_pace_set_off(struct rb_pace *p, const char *destination, bool off)
{
    struct rb_pace_row *row = off ? find_or_make(p, destination) : find(p, destination);

    if (row == NULL || row->off == off) {
        return false;
    }
    row->off = off;
    return true;
}

/* The next free turn, not before @from_ms. */
static int64_t reserve(struct rb_pace_row *row, int64_t from_ms, int64_t distance_ms)
{
    int64_t turn_ms = row->next_turn_ms > from_ms ? row->next_turn_ms : from_ms;

    row->next_turn_ms = turn_ms + (distance_ms > SPREAD_MS ? distance_ms : SPREAD_MS);
    return turn_ms;
}

/* 0 = now; else when. */
static int64_t turn_of(struct rb_pace_row *row, int64_t distance_ms, bool had_turn, int64_t now_ms)
{
    if (now_ms < row->not_before_ms) {
        return reserve(row, row->not_before_ms, distance_ms);
    }
    if (distance_ms <= 0) {
        return 0;
    }
    int64_t free_ms = row->last_ms + distance_ms;
    if (had_turn) { /* a moment early: whoever was before was late */
        return now_ms < free_ms && row->last_ms <= now_ms ? free_ms : 0;
    }
    if (row->next_turn_ms > now_ms || now_ms < free_ms) {
        return reserve(row, now_ms < free_ms ? free_ms : now_ms, distance_ms);
    }
    return 0;
}

/* A seat; else when it is worth looking again: in the order of arrival, as fast as seats become
 * free. Without that, what waits for a silent destination would keep workers and store busy. */
static bool take_seat(struct rb_pace_row *row, int64_t most, int64_t *ret_wait_ms)
{
    if (most > 0 && row->n >= most) {
        int64_t wait_ms = ++row->waiting * row->hold_ms / most;
        *ret_wait_ms = wait_ms < SEAT_WAIT_MOST_MS ? wait_ms : SEAT_WAIT_MOST_MS;
        return false;
    }
    row->waiting -= row->waiting > 0 ? 1 : 0;
    row->n++;
    return true;
}

enum rb_turn rb_pace_take(struct rb_pace *p, const struct rb_pace_rule *rule, bool had_turn,
                          int64_t now_ms, int64_t *ret_wait_ms)
{
    struct rb_pace_row *row = find_or_make(p, rule->destination);

    *ret_wait_ms = 0;
    if (row == NULL) {
        return RB_TURN_GO;
    }
    if (row->generation != rule->generation) {
        row->generation = rule->generation;
        row->not_before_ms = row->next_turn_ms = 0; /* it may be another receiver now */
    }
    if (row->off) {
        return RB_TURN_OFF;
    }
    int64_t turn_ms = turn_of(row, rule->distance_ms, had_turn, now_ms);
    if (turn_ms > now_ms) {
        *ret_wait_ms = turn_ms - now_ms < WAIT_MOST_MS ? turn_ms - now_ms : WAIT_MOST_MS;
        return RB_TURN_WAIT;
    }
    if (!take_seat(row, row->failures >= RB_PACE_BREAKER_FAILED ? 1 : rule->most_in_flight,
                   ret_wait_ms)) {
        return RB_TURN_WAIT;
    }
    row->last_ms = now_ms;
    if (row->next_turn_ms < now_ms + rule->distance_ms) {
        row->next_turn_ms = now_ms + rule->distance_ms;
    }
    return RB_TURN_GO;
}

static void quiet_until(struct rb_pace_row *row, int64_t until_ms)
{
    if (until_ms > row->not_before_ms) {
        row->not_before_ms = until_ms;
        row->next_turn_ms = until_ms; /* turns given before this come back for new ones */
    }
}

enum rb_pace_change rb_pace_leave(struct rb_pace *p, const struct rb_pace_rule *rule,
                                  const struct rb_pace_outcome *o, int64_t now_ms)
{
    struct rb_pace_row *row = find(p, rule->destination);

    if (row == NULL) {
        return RB_PACE_SAME;
    }
    bool was_open = row->failures >= RB_PACE_BREAKER_FAILED;
    row->n -= row->n > 0 ? 1 : 0;
    row->hold_ms = o->held_ms;
    if (rule->many_receivers) {
        return RB_PACE_SAME;
    }
    if (o->pause_ms > 0) {
        quiet_until(row, now_ms + o->pause_ms);
    }
    if (o->gone && row->generation == rule->generation) {
        row->off = true;
        return RB_PACE_OFF;
    }
    row->failures = o->failed ? row->failures + 1 : o->pause_ms > 0 ? row->failures : 0;
    if (row->failures >= RB_PACE_BREAKER_FAILED) {
        quiet_until(row, now_ms + (o->again_in_ms < OPEN_MOST_MS ? o->again_in_ms : OPEN_MOST_MS));
        return was_open ? RB_PACE_SAME : RB_PACE_OPENED;
    }
    return was_open ? RB_PACE_CLOSED : RB_PACE_SAME;
}

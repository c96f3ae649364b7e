/* pace.h - whose turn it is to post to a destination: seats, least distance, rate limits, breaker.
 *
 * Waiting costs no worker and hardly any store: a report that may not go is given back with the
 * time of its own turn, the turns of one destination standing in a row. Memory of this process
 * only; several replicas keep the distance each for itself, and the receiver's own answer rules.
 * Pure: no clock, no lock. Threads: the owner guards it.
 */
#ifndef RB_ENGINE_PACE_H
#define RB_ENGINE_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rb_pace_row;
struct rb_pace {
    struct rb_pace_row *rows;
    size_t n, cap;
};
void rb_pace_release(struct rb_pace *p);
/* rb_pace_set_off - gone, or to get another chance (off.h); true when that is news. */
bool rb_pace_set_off(struct rb_pace *p, const char *destination, bool off);

struct rb_pace_rule {
    const char *destination;
    int64_t most_in_flight; /* <= 0: any number */
    int64_t distance_ms;    /* between the starts of two posts; 0 = none */
    bool many_receivers;    /* each report has a receiver of its own: what one of them answers says
                               nothing about the rest */
    uint64_t generation;    /* of the settings: with new ones it may be another receiver */
};

enum rb_turn {
    RB_TURN_GO,   /* a seat is taken: rb_pace_leave follows */
    RB_TURN_WAIT, /* *ret_wait_ms from now */
    RB_TURN_OFF,  /* the receiver said that it is gone */
};
/* rb_pace_take - @had_turn: the report comes at the time that it was given before. Without memory:
 * GO. */
enum rb_turn rb_pace_take(struct rb_pace *p, const struct rb_pace_rule *rule, bool had_turn,
                          int64_t now_ms, int64_t *ret_wait_ms);

struct rb_pace_outcome {
    bool failed;         /* it did not answer as it should, and may later */
    bool gone;           /* 410 */
    int64_t held_ms;     /* how long the post took */
    int64_t pause_ms;    /* > 0: it asks for that much quiet */
    int64_t again_in_ms; /* FAILED: when this report will be tried again */
};
enum rb_pace_change { RB_PACE_SAME, RB_PACE_OPENED, RB_PACE_CLOSED, RB_PACE_OFF };
/* rb_pace_leave - the seat is free again. After RB_PACE_BREAKER_FAILED failures in a row the
 * breaker is open: the destination as a whole waits as long as the last failed report does (a
 * minute at most), then one report at a time is tried until one succeeds. */
#define RB_PACE_BREAKER_FAILED 5
enum rb_pace_change rb_pace_leave(struct rb_pace *p, const struct rb_pace_rule *rule,
                                  const struct rb_pace_outcome *o, int64_t now_ms);

#endif

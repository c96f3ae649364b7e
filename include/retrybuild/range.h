/* range.h - conditions on numbers and on time: "64-78", "10m-", "Mon-Fri 08:00-18:00
 * Europe/Berlin".
 *
 * Threads: any. Blocks: rb_hours_parse reads the zone's file.
 */
#ifndef RETRYBUILD_RANGE_H
#define RETRYBUILD_RANGE_H

#include <stdbool.h>
#include <stdint.h>

#include <retrybuild/err.h>
#include <retrybuild/zone.h>

struct rb_range {
    int64_t from, to; /* both belong to it */
    bool not ;        /* "!": what it holds is excluded */
};
enum rb_range_of { RB_RANGE_OF_NUMBERS, RB_RANGE_OF_DURATIONS /* in ms */ };

/* rb_range_parse - "75", "64-78", "2-" (and more), "-5" (up to), each with "!" before it; durations
 * "90s" (that second), "5m-20m", "10m-". RB_E_INVALID says what to write instead. */
enum rb_code rb_range_parse(const char *text, enum rb_range_of of, struct rb_range *ret_r,
                            struct rb_err *err);
/* rb_ranges_match - as with globs: one holds @v and no excluding one does; only excluding ones:
 * everything else matches. */
bool rb_ranges_match(const struct rb_range *r, unsigned n, int64_t v);

struct rb_hours {
    bool days[7];    /* of the beginning; 0 = Sunday */
    int from, until; /* minutes of the day, until is outside; until <= from: over midnight */
    struct rb_zone *zone;
};
/* rb_hours_parse - "[DAYS] [HH:MM-HH:MM] [ZONE]": days "Mon-Fri", "Sat,Sun", absent = every day;
 * times absent = the whole day; zone absent = UTC. RB_E_INVALID says what to write instead. */
enum rb_code rb_hours_parse(const char *text, struct rb_hours *ret_h, struct rb_err *err);
void rb_hours_release(struct rb_hours *h);
bool rb_hours_match(const struct rb_hours *h, int64_t unix_ms);

#endif

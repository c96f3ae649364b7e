/* clock.h - time, passed in so that tests own it.
 *
 * A struct rb_clock is a port: production uses rb_clock_system(), tests their own. Units stand in
 * the names. Threads: a clock may be read from any thread. Blocks: never (but rb_clock waits belong
 * to rb_cond in thread.h).
 */
#ifndef RETRYBUILD_CLOCK_H
#define RETRYBUILD_CLOCK_H

#include <stdint.h>

struct rb_clock {
    int64_t (*unix_ms)(void *arg); /* CLOCK_REALTIME, milliseconds since 1970 */
    int64_t (*boot_ms)(void *arg); /* CLOCK_BOOTTIME, for intervals and deadlines; counts suspend */
    void *arg;
};

const struct rb_clock *rb_clock_system(void);

static inline int64_t rb_now_ms(const struct rb_clock *c)
{
    return c->unix_ms(c->arg);
}
static inline int64_t rb_boot_ms(const struct rb_clock *c)
{
    return c->boot_ms(c->arg);
}

/* A moment of UTC in the Gregorian calendar. */
struct rb_civil {
    int64_t year;
    int month, day; /* 1..12, 1..31 */
    int hour, minute, second, ms;
    int weekday; /* 0 = Sunday */
};

/* rb_civil_from_ms - any @unix_ms, also before 1970. */
void rb_civil_from_ms(int64_t unix_ms, struct rb_civil *ret_c);
/* rb_days_from_civil - days since 1970-01-01; @month 1..12, @day is not checked against it. */
int64_t rb_days_from_civil(int64_t year, int month, int day);

#endif

/* log.h - structured logs on standard error: logfmt on a terminal, JSON lines otherwise.
 *
 *     rb_log(RB_LOG_INFO, "retry.submitted", RB_F("retry", id), RB_FI("attempt", n));
 *
 * The event name comes first and is stable (the runbook lists it). Never bodies, tokens, headers.
 * Control bytes, invalid UTF-8 and U+2028/9 are escaped; a field is cut at 1 KiB, a line at 8 KiB.
 * Threads: any; one write(2) a line. Blocks: as write(2) does.
 */
#ifndef RETRYBUILD_LOG_H
#define RETRYBUILD_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum rb_log_level { RB_LOG_DEBUG, RB_LOG_INFO, RB_LOG_WARN, RB_LOG_ERROR };
enum rb_log_format { RB_LOG_AUTO, RB_LOG_LOGFMT, RB_LOG_JSON };

struct rb_log_field {
    const char *key; /* NULL ends the list */
    const char *str; /* used when not is_int; NULL is left out */
    int64_t num;
    bool is_int;
};

#define RB_F(k, v) ((struct rb_log_field){.key = (k), .str = (v)})
#define RB_FI(k, v) ((struct rb_log_field){.key = (k), .num = (int64_t)(v), .is_int = true})

/* rb_log_setup - level, format, descriptor (2 by default; tests redirect). Call before threads
 * start. */
void rb_log_setup(enum rb_log_level level, enum rb_log_format format, int fd);
bool rb_log_enabled(enum rb_log_level level);
void rb_log_fields(enum rb_log_level level, const char *event, const struct rb_log_field *fields);

/* rb_log(level, event, RB_F("retry", id), RB_FI("attempt", 2)); at least one field. */
#define rb_log(level, event, ...)                                                     \
    do {                                                                              \
        if (rb_log_enabled(level)) {                                                  \
            rb_log_fields(level, event,                                               \
                          (const struct rb_log_field[]){__VA_ARGS__, {.key = NULL}}); \
        }                                                                             \
    } while (0)

#endif

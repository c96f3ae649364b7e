/* err.h - what went wrong, in a code for programs and one sentence for people.
 *
 * What can fail returns enum rb_code and takes a struct rb_err * last (may be NULL; written only on
 * failure; no allocation). Low code sets it, a caller that knows more wraps it ("load retry
 * 'rty_…': store unreachable: …"). Threads: a struct rb_err belongs to its caller. Secrets and
 * bodies never go into a message.
 */
#ifndef RETRYBUILD_ERR_H
#define RETRYBUILD_ERR_H

#include <stdbool.h>
#include <stddef.h>

enum rb_code {
    RB_OK = 0,
    RB_E_INVALID,     /* input does not say what it must */
    RB_E_NOMEM,       /* allocation failed or a named maximum was reached by an allocation */
    RB_E_TOO_LARGE,   /* input exceeds its stated limit */
    RB_E_IO,          /* a system call failed */
    RB_E_UNAVAIL,     /* the other side cannot be reached or is not ready */
    RB_E_TIMEOUT,     /* no answer in time */
    RB_E_THROTTLED,   /* told to slow down */
    RB_E_LATER,       /* a limit that clears by itself in minutes (AccountLimitExceeded) */
    RB_E_CREDENTIALS, /* credentials missing, expired or not accepted */
    RB_E_CLOCK,       /* our clock and theirs disagree (signature expired, not yet valid) */
    RB_E_DENIED,      /* proof wrong or missing, or not allowed */
    RB_E_REFUSED,     /* a definite, permanent no; nothing happened */
    RB_E_NOT_FOUND,   /* no such thing */
    RB_E_CONFLICT,    /* the state does not allow it, or somebody else changed it first */
    RB_E_MISMATCH,    /* a known token with other parameters */
    RB_E_FENCED,      /* the lease has passed to another; nothing was changed */
    RB_E_FULL,        /* a bound on stored or queued work is reached */
    RB_E_NO_SPACE,    /* the store has no memory or disk left */
    RB_E_AMBIGUOUS,   /* it may or may not have happened */
    RB_E_BLOCKED,     /* the address guard said no */
    RB_E_GONE,        /* the receiver asked never to be called again (HTTP 410) */
    RB_E_CLOSED,      /* we are stopping */
    RB_E_CORRUPT,     /* stored data does not decode */
    RB_E_INTERNAL,    /* a bug of ours, caught */
    RB_CODE_COUNT
};

#define RB_ERR_MESSAGE_BYTES 512

struct rb_err {
    enum rb_code code;
    char msg[RB_ERR_MESSAGE_BYTES]; /* NUL-terminated; cut at the end if longer */
};

/* rb_err_set - write @code and the formatted sentence, return @code. @err may be NULL. */
enum rb_code rb_err_set(struct rb_err *err, enum rb_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* rb_err_errno - as rb_err_set, with ": <text of errno_value>" appended (thread-safe). */
enum rb_code rb_err_errno(struct rb_err *err, enum rb_code code, int errno_value, const char *fmt,
                          ...) __attribute__((format(printf, 4, 5)));

/* rb_err_wrap - put "<formatted>: " before the message @err holds already; return @code (which also
 * becomes err->code). */
enum rb_code rb_err_wrap(struct rb_err *err, enum rb_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* rb_code_name - stable lower-case name ("unavailable"); never NULL, also for values outside the
 * enum. */
const char *rb_code_name(enum rb_code code);

/* rb_code_transient - true when the same call may succeed later without anybody changing anything.
 */
bool rb_code_transient(enum rb_code code);

#endif

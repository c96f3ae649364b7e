/* redis_help.h - what the tests of the Redis backend share: a scripted peer that speaks as much
 * RESP as they need, real servers on sockets of their own, a store opened on either.
 */
#ifndef RB_TESTS_REDIS_HELP_H
#define RB_TESTS_REDIS_HELP_H

#include "harness.h"

#include <sys/types.h>

/* ---- the scripted peer ---- */
enum fake_mode { /* how script calls of the store's work are answered */
                 FAKE_WELL,
                 FAKE_LOADING,       /* INFO says so too */
                 FAKE_GARBAGE,       /* no RESP at all */
                 FAKE_HALF,          /* half a reply, then the connection ends */
                 FAKE_HUGE_BULK,     /* announces 900 MB and begins to send them */
                 FAKE_HUGE_ARRAY,    /* announces two thousand million elements */
                 FAKE_DEEP,          /* arrays in arrays in arrays … */
                 FAKE_NOSCRIPT_ONCE, /* then well */
                 FAKE_NOSCRIPT,      /* whatever is loaded */
                 FAKE_SILENT,        /* no answer */
                 FAKE_LATE,          /* the answer comes with that to the next call */
                 FAKE_ERROR,         /* the error of fake_error */
};
struct fake;
struct fake *fake_start(void);
void fake_stop(struct fake *p);
const char *fake_url(const struct fake *p);
void fake_mode(struct fake *p, enum fake_mode mode);
void fake_error(struct fake *p, const char *error); /* FAKE_ERROR with this line, "-…" */
/* fake_master - what SENTINEL get-master-addr-by-name is answered; the peer then listens on TCP. */
void fake_master(struct fake *p, unsigned port);
unsigned fake_port(const struct fake *p);
unsigned fake_connections(struct fake *p); /* accepted so far */

/* ---- real servers ---- */
struct server {
    pid_t pid; /* 0 = not running */
    char dir[128], socket[160];
    unsigned port, tls_port; /* 0 = none */
};
bool server_installed(void); /* prints why the tests are skipped when it is not */
/* server_start - in a new folder; @more is a NULL-terminated list of further arguments. */
void server_start(struct server *s, const char *const *more);
/* server_restart - the same folder, port and arguments again. */
void server_restart(struct server *s, const char *const *more);
void server_kill(struct server *s); /* SIGKILL */
void server_drop(struct server *s); /* ended, folder removed */
unsigned free_port(void);
/* server_say - one command; the reply as text in @ret (at most @size - 1 bytes). */
void server_say(const struct server *s, char *ret, size_t size, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* ---- a store ---- */
struct rb_settings *redis_settings(const char *url);
/* redis_open - store and session; does not wait for the server. */
void redis_fix_open(struct fix *f, struct rb_settings *settings);
void redis_fix_close(struct fix *f);
void wait_until_up(struct fix *f, bool up);
/* try_admit - one failure of build @build; what became of it. */
enum rb_code try_admit(struct fix *f, unsigned build, char ret_id[RB_ID_BYTES], struct rb_err *err);
/* try_ended - an admission of mode ENDED. */
enum rb_code try_ended(struct fix *f, struct rb_err *err);
/* eventually - run until @code is returned, at most some seconds. */
void admit_eventually(struct fix *f, unsigned build, char ret_id[RB_ID_BYTES]);

#endif

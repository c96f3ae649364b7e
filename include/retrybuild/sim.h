/* sim.h - a CodeBuild on your laptop: the simulator behind codebuild-sim, and of tests in-process.
 *
 * It serves AWS JSON 1.1 at POST / (names and shapes of CodeBuild 2016-10-06), walks builds through
 * their phases, posts EventBridge events, injects the faults it is told to, and keeps a ledger of
 * every effect it had. Its own control surface is under /_sim/. State lives in memory; a stop
 * forgets it (the ledger file stays). Time is the given clock plus what was advanced.
 * Threads: any function, any thread, until rb_sim_stop. Source: configs/sim.yaml documents the
 * script.
 *
 *     struct rb_sim_options o = RB_SIM_OPTIONS_INIT;
 *     o.script_text = "projects: [{name: web, outcomes: [{status: FAILED, phase: BUILD}]}]";
 *     rc = rb_sim_start(&o, &sim, &err);      // port 0: a free one, rb_sim_url(sim) says which
 */
#ifndef RETRYBUILD_SIM_H
#define RETRYBUILD_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <retrybuild/clock.h>
#include <retrybuild/err.h>

struct rb_sim; /* opaque */

/* Where events go. Everything is copied by rb_sim_start. */
struct rb_sim_target {
    const char *url;
    const char *const *headers; /* "name: value" */
    size_t n_headers;
};

struct rb_sim_options {
    const char *listen;             /* "HOST:PORT", numeric host, "[::1]:0"; port 0 = a free one */
    const char *region;             /* of every ARN; any region in a signature is accepted */
    const char *account;            /* 12 digits */
    const char *script_path;        /* YAML file, or NULL */
    const char *script_text;        /* YAML text instead of a file, or NULL */
    bool has_seed;                  /* false: faults draw from the system's randomness */
    uint64_t seed;                  /* same seed, same draws */
    double speed;                   /* > 0; phase durations are divided by it */
    const char *const *access_keys; /* "ID:SECRET"; none: unsigned requests are accepted */
    size_t n_access_keys;
    const char *ledger_path; /* JSON lines are appended, synced before an answer leaves; or NULL */
    const struct rb_sim_target *events;
    size_t n_events;
    const struct rb_clock *clock; /* NULL: the system's */
};

#define RB_SIM_OPTIONS_INIT                                                                     \
    {                                                                                           \
        .listen = "127.0.0.1:0", .region = "us-east-1", .account = "123456789012", .speed = 1.0 \
    }

/* rb_sim_start - read the script, create its projects, listen, start the threads. Errors:
 * RB_E_INVALID options or script (with its line where known), RB_E_NOT_FOUND or RB_E_IO a file,
 * RB_E_UNAVAIL the address cannot be listened on. Blocks: as opening files and a socket does. */
enum rb_code rb_sim_start(const struct rb_sim_options *options, struct rb_sim **ret_sim,
                          struct rb_err *err);
/* rb_sim_stop - cut the connections, end the threads (events not yet delivered are dropped), free
 * everything. NULL accepted. Blocks until the threads are joined: at most about a second. */
void rb_sim_stop(struct rb_sim *sim);
void rb_sim_stopp(struct rb_sim **sim); /* for RB_CLEANUP */

uint16_t rb_sim_port(const struct rb_sim *sim);
const char *rb_sim_url(const struct rb_sim *sim); /* "http://HOST:PORT", no slash at the end */

/* rb_sim_advance - move the simulator's clock by @ms; when it returns, every phase that is over by
 * the new time has ended and its events are queued. As POST /_sim/clock. */
void rb_sim_advance(struct rb_sim *sim, int64_t ms);
/* rb_sim_now_ms - the simulator's clock, milliseconds since 1970. */
int64_t rb_sim_now_ms(struct rb_sim *sim);
/* rb_sim_effects - how many effects the ledger holds of @operation (NULL: of all) on @parent (the
 * build id that was retried; NULL: any). */
size_t rb_sim_effects(struct rb_sim *sim, const char *operation, const char *parent);

#endif

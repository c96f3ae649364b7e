/* httpd.h - the listener: one loop of our own over libmicrohttpd, the router, the handlers.
 *
 * Threads: the loop runs in one thread made by start; handlers of reads (list, get, acts) run in
 * one API thread with its own store session, and calls of the front door to CodeBuild in four of
 * their own, so that the loop never waits. Blocks: start (until listening) and stop.
 */
#ifndef RETRYBUILD_HTTPD_H
#define RETRYBUILD_HTTPD_H

#include <stdint.h>

#include <retrybuild/aws.h>
#include <retrybuild/clock.h>
#include <retrybuild/engine.h>
#include <retrybuild/err.h>
#include <retrybuild/store.h>

struct rb_httpd;

struct rb_httpd_deps {
    struct rb_engine *engine;
    struct rb_store *store;
    struct rb_aws *aws; /* for the front door */
    const struct rb_clock *clock;
    const char *version;
};

enum rb_code rb_httpd_start(const struct rb_httpd_deps *deps, struct rb_settings *s,
                            struct rb_httpd **ret_h, struct rb_err *err);
uint16_t rb_httpd_port(const struct rb_httpd *h);       /* the bound port */
const char *rb_httpd_address(const struct rb_httpd *h); /* "127.0.0.1:8080" for the ready line */
/* rb_httpd_reload - tokens, sources, limits of the new settings for requests that start from now
 * on. */
void rb_httpd_reload(struct rb_httpd *h, struct rb_settings *s);
/* rb_httpd_drain - readiness off at once; keeps serving. */
void rb_httpd_drain(struct rb_httpd *h);
/* rb_httpd_stop - no new connections, requests under way get their answers (at most @grace_ms),
 * then everything is closed and freed. */
void rb_httpd_stop(struct rb_httpd *h, int64_t grace_ms);

#endif

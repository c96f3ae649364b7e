/* ready.h - which connections are looked at, and by which of the two daemons.
 *
 * libmicrohttpd's epoll daemon takes a connection out of its set when it is suspended and puts it
 * back afterwards, and reads from it in vain when it is resumed: three calls of the system for each
 * delivery, as much as all the others. So the loop watches the sockets itself, each entered once,
 * and tells the first daemon, which polls nothing, by MHD_run_from_select what is ready. That
 * daemon looks at all its connections in each run and cannot take descriptors from FD_SETSIZE on;
 * what is beyond RB_QUICK_CONNECTIONS or that, and all of TLS, goes to a second one with epoll.
 * Threads: the loop's. Blocks: never.
 */
#ifndef RB_HTTPD_READY_H
#define RB_HTTPD_READY_H

#include "private.h"

#define RB_QUICK_CONNECTIONS 512

/* rb_ready_accept - take what waits at the listening socket. */
void rb_ready_accept(struct rb_httpd *h);
/* rb_ready_accept_again - the listening socket is watched again once there is room, or a while
 * after descriptors ran out; returns ms until then, -1 = it is watched. */
int64_t rb_ready_accept_again(struct rb_httpd *h);
/* rb_ready_begin - @c has begun; rb_ready_end: its socket is about to be closed. */
void rb_ready_begin(struct rb_httpd *h, struct rb_conn *c);
void rb_ready_end(struct rb_httpd *h, struct rb_conn *c);
/* rb_ready_event - what epoll said of @c. */
void rb_ready_event(struct rb_httpd *h, struct rb_conn *c, uint32_t events);
/* rb_ready_run - let the daemons do what can be done now; @between is called after each step, and
 * what it resumes is done too. */
void rb_ready_run(struct rb_httpd *h, void (*between)(struct rb_httpd *h));

#endif

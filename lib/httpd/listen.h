/* listen.h - the listening socket. Threads: any. Blocks: name resolution of the configured host. */
#ifndef RB_HTTPD_LISTEN_H
#define RB_HTTPD_LISTEN_H

#include <stddef.h>
#include <stdint.h>

#include <retrybuild/err.h>
#include <retrybuild/mem.h>

/* rb_listen_open - bound and listening; RB_E_INVALID for a bad address, RB_E_IO when the system
 * says no. */
enum rb_code rb_listen_open(const char *address, int *ret_fd, struct rb_err *err);
/* rb_listen_passed - the socket that a service manager passed to this process; -1 when it passed
 * none. RB_E_INVALID for several, or for one that is no listening TCP socket. The caller owns it;
 * call it once. */
enum rb_code rb_listen_passed(int *ret_fd, struct rb_err *err);
/* rb_listen_describe - "127.0.0.1:8080" or "[::1]:8080" as bound; returns the port. */
uint16_t rb_listen_describe(int fd, char *ret_text, size_t text_len);

#endif

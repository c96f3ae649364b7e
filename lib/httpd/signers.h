/* signers.h - a bounded cache of senders' certificates. Threads: any. Blocks: never for long. */
#ifndef RB_HTTPD_SIGNERS_H
#define RB_HTTPD_SIGNERS_H

#include <stdbool.h>
#include <stdint.h>

struct rb_certificate;
struct rb_signers;

/* rb_signers_find - a reference to what is known of @url, or NULL. */
struct rb_certificate *rb_signers_find(struct rb_signers *s, const char *url, int64_t now_ms);
void rb_signers_keep(struct rb_signers *s, const char *url, struct rb_certificate *c,
                     int64_t now_ms);
/* rb_signers_may_fetch - takes one from the minute's budget of fetches. */
bool rb_signers_may_fetch(struct rb_signers *s, int64_t boot_ms);

#endif

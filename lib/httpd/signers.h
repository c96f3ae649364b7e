/* signers.h - bounded memory of senders' certificates, and of the documents that hold several.
 * Threads: any. Blocks: never for long. */
#ifndef RB_HTTPD_SIGNERS_H
#define RB_HTTPD_SIGNERS_H

#include <stdbool.h>
#include <stdint.h>

#include <retrybuild/buf.h>

struct rb_certificate;
struct rb_signers;

/* rb_signers_find - a reference to what is known of @url, or NULL. @age_ms: how long ago it may
 * have been fetched. */
#define RB_SIGNER_FRESH_MS (24LL * 3600 * 1000)
#define RB_SIGNER_OLD_MS (48LL * 3600 * 1000) /* while no fresh one can be had */
struct rb_certificate *rb_signers_find(struct rb_signers *s, const char *url, int64_t now_ms,
                                       int64_t age_ms);
void rb_signers_keep(struct rb_signers *s, const char *url, struct rb_certificate *c,
                     int64_t now_ms);
/* rb_signers_document - append what stood at @url up to a minute ago to @out; false: not known. Who
 * makes up names of keys causes a call a minute by it. */
bool rb_signers_document(struct rb_signers *s, const char *url, int64_t boot_ms,
                         struct rb_buf *out);
void rb_signers_keep_document(struct rb_signers *s, const char *url, const struct rb_buf *text,
                              int64_t boot_ms);

/* rb_signers_may_fetch - takes one from the minute's budget of sources of @type (static text), and
 * one of their few calls at a time: true is followed by rb_signers_fetched. */
bool rb_signers_may_fetch(struct rb_signers *s, const char *type, int64_t boot_ms);
void rb_signers_fetched(struct rb_signers *s, const char *type);

#endif

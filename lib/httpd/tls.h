/* tls.h - certificate and key files of the listener. Threads: one. Blocks: reads files. */
#ifndef RB_HTTPD_TLS_H
#define RB_HTTPD_TLS_H

#include <retrybuild/err.h>
#include <retrybuild/settings.h>

struct rb_tls_files {
    char *certificate; /* PEM text; given to the library as it is */
    char *key;
};
enum rb_code rb_tls_files_load(const struct rb_settings *s, struct rb_tls_files *ret_f,
                               struct rb_err *err);
void rb_tls_files_release(struct rb_tls_files *f); /* wipes the key */

#endif

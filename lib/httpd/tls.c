/* tls.c - certificate and key files of the listener; the library takes PEM text. */
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/secret.h>

#include "tls.h"

static enum rb_code load_pem(const char *path, char **ret_text, struct rb_err *err)
{
    RB_CLEANUP(rb_secret_freep) struct rb_secret *s = NULL;
    enum rb_code rc = rb_secret_load_file(path, &s, err);
    if (rc != RB_OK) {
        return rb_err_wrap(err, rc, "listen.tls");
    }
    if (strstr(rb_secret_data(s), "-----BEGIN ") == NULL) {
        return rb_err_set(err, RB_E_INVALID, "listen.tls: '%s' holds no PEM block", path);
    }
    char *text = strdup(rb_secret_data(s));
    if (text == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "listen.tls: no memory");
    }
    *ret_text = text;
    return RB_OK;
}

enum rb_code rb_tls_files_load(const struct rb_settings *s, struct rb_tls_files *ret_f,
                               struct rb_err *err)
{
    enum rb_code rc = load_pem(s->listen.certificate_file, &ret_f->certificate, err);
    if (rc == RB_OK) {
        rc = load_pem(s->listen.key_file, &ret_f->key, err);
    }
    return rc;
}

void rb_tls_files_release(struct rb_tls_files *f)
{
    if (f->key != NULL) {
        rb_wipe(f->key, strlen(f->key));
    }
    free(f->key);
    free(f->certificate);
    f->key = f->certificate = NULL;
}

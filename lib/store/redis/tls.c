/* tls.c - OpenSSL under a connection. The peer's certificate and name are always checked. */
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <retrybuild/cleanup.h>

#include "conn.h"

static enum rb_code failed(struct rb_err *err, enum rb_code code, const char *what)
{
    char text[200] = "unknown error";
    unsigned long e = ERR_get_error();
    if (e != 0) {
        ERR_error_string_n(e, text, sizeof(text));
    }
    ERR_clear_error();
    return rb_err_set(err, code, "%s: %s", what, text);
}

static void free_context(SSL_CTX **ctx)
{
    SSL_CTX_free(*ctx);
}

enum rb_code rtls_context(const char *ca_file, const char *certificate_file, const char *key_file,
                          SSL_CTX **ret_ctx, struct rb_err *err)
{
    RB_CLEANUP(free_context) SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (ctx == NULL) {
        return failed(err, RB_E_NOMEM, "TLS");
    }
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    int ok = ca_file != NULL ? SSL_CTX_load_verify_file(ctx, ca_file)
                             : SSL_CTX_set_default_verify_paths(ctx);
    if (ok != 1) {
        return failed(err, RB_E_INVALID, "store.tls.ca_file does not load");
    }
    if (certificate_file != NULL &&
        SSL_CTX_use_certificate_chain_file(ctx, certificate_file) != 1) {
        return failed(err, RB_E_INVALID, "store.tls.certificate_file does not load");
    }
    if (key_file != NULL && (SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM) != 1 ||
                             SSL_CTX_check_private_key(ctx) != 1)) {
        return failed(err, RB_E_INVALID, "store.tls.key_file does not load or does not fit");
    }
    *ret_ctx = RB_TAKE(ctx);
    return RB_OK;
}

enum rb_code rtls_start(struct rconn *c, struct rb_err *err)
{
    c->ssl = SSL_new(c->tls);
    if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1) {
        return failed(err, RB_E_NOMEM, "TLS");
    }
    char *host = c->addresses.host;
    struct in6_addr number;
    bool is_number =
        inet_pton(AF_INET, host, &number) == 1 || inet_pton(AF_INET6, host, &number) == 1;
    int ok = is_number ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(c->ssl), host)
                       : SSL_set1_host(c->ssl, host);
    if (ok == 1 && !is_number) {
        ok = (int)SSL_set_tlsext_host_name(c->ssl, host);
    }
    return ok == 1 ? RB_OK : failed(err, RB_E_INTERNAL, "TLS");
}

/* What a call that did not finish needs. RB_OK: wait for c->ssl_wants. */
static enum rb_code unfinished(struct rconn *c, int result, struct rb_err *err)
{
    switch (SSL_get_error(c->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        c->ssl_wants = POLLIN;
        return RB_OK;
    case SSL_ERROR_WANT_WRITE:
        c->ssl_wants = POLLOUT;
        return RB_OK;
    case SSL_ERROR_ZERO_RETURN:
        return rb_err_set(err, RB_E_UNAVAIL, "Redis at %s closed the connection",
                          c->addresses.label);
    default:
        break;
    }
    long verdict = SSL_get_verify_result(c->ssl);
    if (verdict != X509_V_OK) {
        ERR_clear_error();
        return rb_err_set(err, RB_E_UNAVAIL, "the certificate of Redis at %s is refused: %s",
                          c->addresses.label, X509_verify_cert_error_string(verdict));
    }
    return failed(err, RB_E_UNAVAIL, "TLS with Redis");
}

enum rb_code rtls_handshake(struct rconn *c, bool *ret_done, struct rb_err *err)
{
    ERR_clear_error();
    int result = SSL_connect(c->ssl);
    if (result == 1) {
        c->ssl_wants = 0;
        *ret_done = true;
        return RB_OK;
    }
    return unfinished(c, result, err);
}

enum rb_code rtls_read(struct rconn *c, char *data, size_t len, size_t *ret_n, struct rb_err *err)
{
    ERR_clear_error();
    c->ssl_wants = 0;
    int result = SSL_read_ex(c->ssl, data, len, ret_n);
    return result == 1 ? RB_OK : unfinished(c, result, err);
}

enum rb_code rtls_write(struct rconn *c, const char *data, size_t len, size_t *ret_n,
                        struct rb_err *err)
{
    ERR_clear_error();
    c->ssl_wants = 0;
    int result = SSL_write_ex(c->ssl, data, len, ret_n);
    return result == 1 ? RB_OK : unfinished(c, result, err);
}

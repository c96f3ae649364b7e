/* transient.c - messages that are known to pass by themselves.
 *
 * A row is a piece of an expression and the phases it counts in. Rows say what went wrong on the
 * way to somebody else's machine, or with the host; never what every failure prints. A build's own
 * tests may well speak of refused connections, so words that are only clear while the source is
 * fetched count there alone.
 */
#include <retrybuild/buf.h>
#include <retrybuild/cleanup.h>

#include "rules.h"

enum { DOWNLOAD = 1, COMMANDS = 2, BOTH = 3 };

static const struct {
    int phases;
    const char *piece;
} rows[] = {
    /* the connection broke */
    {BOTH, "connection (?:was )?reset"},
    {BOTH, "connection (?:closed|aborted) by (?:peer|remote host)"},
    {BOTH, "\\bECONNRESET\\b|\\bETIMEDOUT\\b|\\bEAI_AGAIN\\b|\\bENETUNREACH\\b|\\bEHOSTUNREACH\\b"},
    {BOTH, "socket hang up|broken pipe"},
    {BOTH, "remote end hung up unexpectedly|early EOF|RPC failed"},
    {BOTH, "(?:SSL|TLS) handshake (?:timeout|timed out|failed: EOF)"},
    {BOTH, "gnutls_handshake\\(\\) failed|GnuTLS recv error|SSL_ERROR_SYSCALL|SSL_read: "},
    {DOWNLOAD, "connection refused|unexpected EOF|no route to host|network is unreachable"},
    {DOWNLOAD, "RequestError: send request failed|RequestCanceled|read: operation timed out"},
    /* nobody answered in time */
    {BOTH, "connect(?:ion)?(?: attempt)? time(?:d )?out|connect timed out"},
    {BOTH, "i/o timeout|read timed out|ReadTimeoutError|ConnectTimeoutError"},
    {BOTH, "Client\\.Timeout exceeded|request canceled while waiting for connection"},
    {BOTH, "(?:failed|unable) to (?:fetch|download|pull|connect)[^\\n]{0,200}tim(?:ed out|eout)"},
    {DOWNLOAD, "timed out|timeout|context deadline exceeded"},
    /* names */
    {BOTH, "could not resolve (?:host|proxy)|couldn't resolve host"},
    {BOTH, "temporary failure (?:in name resolution|resolving)"},
    {BOTH, "lookup [^\\s]+(?: on [^\\s]+)?: (?:server misbehaving|i/o timeout)"},
    /* too much, too often */
    {BOTH, "toomanyrequests|too many requests|pull rate limit|rate limit exceeded"},
    {BOTH, "ThrottlingException|TooManyRequestsException|RequestLimitExceeded|Rate exceeded"},
    {BOTH, "\\bSlowDown\\b|reduce your request rate"},
    /* a server that is ill */
    {BOTH, "(?:Bad Gateway|Service (?:Temporarily )?Unavailable|Gateway Time-?out)"},
    {BOTH, "(?:status|status code|HTTP(?:/[0-9.]+)?|HTTP error|returned error|response code|"
           "response status code|HTTP status)[:=]?(?: code)?[:=]? ?[\"'(]?(?:429|50[0234])\\b"},
    {DOWNLOAD, "Internal Server Error|InternalError|internal error|ServiceUnavailable"},
    /* packages that changed while they were read */
    {COMMANDS, "Hash Sum mismatch|File has unexpected size|Mirror sync in progress"},
    /* the host */
    {BOTH, "no space left on device|\\bENOSPC\\b"},
    {BOTH, "cannot allocate memory|input/output error"},
    {COMMANDS, "error creating overlay mount|failed to register layer"},
};

char *rb_transient_pattern(bool of_download)
{
    int phase = of_download ? DOWNLOAD : COMMANDS;
    struct rb_buf b = RB_BUF_INIT(16384);
    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        if ((rows[i].phases & phase) != 0) {
            rb_buf_adds(&b, b.len == 0 ? "(?:" : "|(?:");
            rb_buf_adds(&b, rows[i].piece);
            rb_buf_addc(&b, ')');
        }
    }
    char *text = rb_buf_failed(&b) ? NULL : rb_buf_detach(&b);
    rb_buf_release(&b);
    return text;
}

/* The command stands between these two in the message of a phase; it says what somebody wrote, not
 * what happened. */
#define COMMAND_BEGINS "Error while executing command: "
#define COMMAND_ENDS "Reason: exit status "

static bool find_in_commands(const struct pattern *p, const char *message, struct rb_slice *ret_hit)
{
    const char *begin = strstr(message, COMMAND_BEGINS);
    if (begin == NULL) {
        return rb_pattern_find(p, rb_slice_str(message), ret_hit);
    }
    struct rb_slice before = {.ptr = message, .len = (size_t)(begin - message)};
    if (rb_pattern_find(p, before, ret_hit)) {
        return true;
    }
    const char *end = NULL; /* the last one: a command may say the words, too */
    for (const char *at = begin; (at = strstr(at, COMMAND_ENDS)) != NULL; at++) {
        end = at;
    }
    return end != NULL && rb_pattern_find(p, rb_slice_str(end), ret_hit);
}

bool rb_transient_find(const struct rb_policy *p, const struct rb_build *b,
                       struct rb_slice *ret_hit)
{
    if (b->message == NULL) {
        return false;
    }
    if (rb_str_eq(b->phase, "DOWNLOAD_SOURCE")) {
        return rb_pattern_find(p->download, rb_slice_str(b->message), ret_hit);
    }
    return find_in_commands(p->commands, b->message, ret_hit);
}

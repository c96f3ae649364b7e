/* err.c - error codes as a table, error sentences in a fixed buffer.
 *
 * A message is always formatted aside first: a caller may well pass err->msg as an argument. A
 * sentence that does not fit is cut at a character, so that it stays valid UTF-8.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/err.h>
#include <retrybuild/str.h>

static const struct {
    const char *name;
    bool transient;
} code_rows[RB_CODE_COUNT] = {
    [RB_OK] = {"ok", false},
    [RB_E_INVALID] = {"invalid", false},
    [RB_E_NOMEM] = {"out_of_memory", true},
    [RB_E_TOO_LARGE] = {"too_large", false},
    [RB_E_IO] = {"io", true},
    [RB_E_UNAVAIL] = {"unavailable", true},
    [RB_E_TIMEOUT] = {"timeout", true},
    [RB_E_THROTTLED] = {"throttled", true},
    [RB_E_LATER] = {"later", true},
    [RB_E_CREDENTIALS] = {"credentials", false},
    [RB_E_CLOCK] = {"clock", false},
    [RB_E_DENIED] = {"denied", false},
    [RB_E_REFUSED] = {"refused", false},
    [RB_E_NOT_FOUND] = {"not_found", false},
    [RB_E_CONFLICT] = {"conflict", false},
    [RB_E_MISMATCH] = {"mismatch", false},
    [RB_E_FENCED] = {"fenced", false},
    [RB_E_FULL] = {"full", true},
    [RB_E_NO_SPACE] = {"no_space", true},
    [RB_E_AMBIGUOUS] = {"ambiguous", false},
    [RB_E_BLOCKED] = {"blocked", false},
    [RB_E_GONE] = {"gone", false},
    [RB_E_CLOSED] = {"closed", false},
    [RB_E_CORRUPT] = {"corrupt", false},
    [RB_E_INTERNAL] = {"internal", false},
};

static void store(struct rb_err *err, enum rb_code code, const char *sentence)
{
    err->code = code;
    size_t len = strlen(sentence);
    if (len >= sizeof(err->msg)) {
        len = sizeof(err->msg) - 1;
    }
    memcpy(err->msg, sentence, len);
    err->msg[len] = '\0';
    rb_utf8_mend(err->msg); /* cut here, or by the precision of a format */
}

enum rb_code rb_err_set(struct rb_err *err, enum rb_code code, const char *fmt, ...)
{
    if (err != NULL) {
        char text[RB_ERR_MESSAGE_BYTES + 8];
        va_list ap;
        va_start(ap, fmt);
        (void)vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        store(err, code, text);
    }
    return code;
}

enum rb_code rb_err_errno(struct rb_err *err, enum rb_code code, int errno_value, const char *fmt,
                          ...)
{
    if (err != NULL) {
        char text[RB_ERR_MESSAGE_BYTES];
        char whole[2 * RB_ERR_MESSAGE_BYTES];
        va_list ap;
        va_start(ap, fmt);
        (void)vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        const char *reason = strerrordesc_np(errno_value);
        if (reason != NULL) {
            (void)snprintf(whole, sizeof(whole), "%s: %s", text, reason);
        } else {
            (void)snprintf(whole, sizeof(whole), "%s: system error %d", text, errno_value);
        }
        store(err, code, whole);
    }
    return code;
}

enum rb_code rb_err_wrap(struct rb_err *err, enum rb_code code, const char *fmt, ...)
{
    if (err != NULL) {
        char text[RB_ERR_MESSAGE_BYTES];
        char whole[2 * RB_ERR_MESSAGE_BYTES + 2];
        va_list ap;
        va_start(ap, fmt);
        (void)vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        (void)snprintf(whole, sizeof(whole), "%s: %s", text, err->msg);
        store(err, code, whole);
    }
    return code;
}

const char *rb_code_name(enum rb_code code)
{
    if ((unsigned)code >= RB_ARRAY_LEN(code_rows)) {
        return "unknown";
    }
    return code_rows[code].name;
}

bool rb_code_transient(enum rb_code code)
{
    return (unsigned)code < RB_ARRAY_LEN(code_rows) && code_rows[code].transient;
}

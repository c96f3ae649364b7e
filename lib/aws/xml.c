/* A small strict reader of the XML that STS answers: elements, attributes that are skipped, text
 * with the five named references and numbers. Anything else is refused, and so is what is not well
 * formed.
 */
#include <string.h>

#include <retrybuild/cleanup.h>

#include "identity.h"

#define DOC_MAX_BYTES ((size_t)64 * 1024)
#define DEPTH_MAX 16

struct xml {
    const char *p, *end;
    struct rb_slice open[DEPTH_MAX];
    unsigned depth;
    const char *text; /* where the text of the innermost element began; NULL after a child */
    bool had_root;
    const char *const *paths;
    size_t n;
    struct rb_arena *a;
    const char **values;
};

static bool name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.' || c == ':';
}

static struct rb_slice take_name(struct xml *x)
{
    struct rb_slice name = {.ptr = x->p};

    while (x->p < x->end && name_char(*x->p)) {
        x->p++;
    }
    name.len = (size_t)(x->p - name.ptr);
    return name;
}

static bool take_reference(const char **p, const char *end, char **out)
{
    static const struct {
        const char *name;
        char c;
    } NAMED[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}};
    size_t left = (size_t)(end - *p);

    for (size_t i = 0; i < RB_ARRAY_LEN(NAMED); i++) {
        size_t len = strlen(NAMED[i].name);
        if (left >= len && memcmp(*p, NAMED[i].name, len) == 0) {
            *(*out)++ = NAMED[i].c;
            *p += len;
            return true;
        }
    }
    const char *semicolon = memchr(*p, ';', left);
    uint64_t v = 0;
    if (semicolon == NULL || left < 4 || (*p)[1] != '#' ||
        !rb_parse_u64((struct rb_slice){*p + 2, (size_t)(semicolon - *p) - 2}, &v) || v == 0 ||
        v > 126) {
        return false;
    }
    *(*out)++ = (char)v;
    *p = semicolon + 1;
    return true;
}

static char *decode(struct xml *x, const char *from, const char *to)
{
    char *text = rb_arena_alloc(x->a, (size_t)(to - from) + 1);
    char *out = text;

    while (text != NULL && from < to) {
        if (*from != '&') {
            *out++ = *from++;
        } else if (!take_reference(&from, to, &out)) {
            return NULL;
        }
    }
    return text;
}

/* "Parent/Name" of the innermost element. */
static bool stands_at(const struct xml *x, const char *path)
{
    const char *slash = strchr(path, '/');
    struct rb_slice parent = x->open[x->depth - 2], name = x->open[x->depth - 1];

    return parent.len == (size_t)(slash - path) && memcmp(parent.ptr, path, parent.len) == 0 &&
           rb_slice_eq(name, slash + 1);
}

static bool keep_text(struct xml *x, const char *to)
{
    for (size_t i = 0; i < x->n && x->depth >= 2; i++) {
        if (!stands_at(x, x->paths[i])) {
            continue;
        }
        if (x->values[i] != NULL || x->text == NULL) {
            return false;
        }
        x->values[i] = decode(x, x->text, to);
        return x->values[i] != NULL;
    }
    return true;
}

static bool close_tag(struct xml *x, const char *tag)
{
    x->p++;
    struct rb_slice name = take_name(x);
    while (x->p < x->end && strchr(" \t\r\n", *x->p) != NULL) {
        x->p++;
    }
    if (x->depth == 0 || x->p == x->end || *x->p != '>' || name.len != x->open[x->depth - 1].len ||
        memcmp(name.ptr, x->open[x->depth - 1].ptr, name.len) != 0 || !keep_text(x, tag)) {
        return false;
    }
    x->p++;
    x->depth--;
    x->text = NULL;
    return true;
}

/* Attributes are walked over; their quotes may hold a '>'. */
static bool open_tag(struct xml *x)
{
    struct rb_slice name = take_name(x);
    char quote = '\0';

    if (name.len == 0 || x->depth == DEPTH_MAX || (x->depth == 0 && x->had_root)) {
        return false;
    }
    for (; x->p < x->end && (*x->p != '>' || quote != '\0'); x->p++) {
        if (*x->p == '<') {
            return false;
        }
        if (quote != '\0') {
            quote = *x->p == quote ? '\0' : quote;
        } else if (*x->p == '"' || *x->p == '\'') {
            quote = *x->p;
        }
    }
    if (x->p == x->end) {
        return false;
    }
    bool empty = x->p[-1] == '/';
    x->had_root = true;
    x->p++;
    x->text = empty ? NULL : x->p;
    if (!empty) {
        x->open[x->depth++] = name;
    }
    return true;
}

static bool next_tag(struct xml *x)
{
    const char *tag = memchr(x->p, '<', (size_t)(x->end - x->p));
    const char *to = tag == NULL ? x->end : tag;

    for (const char *p = x->p; x->depth == 0 && p < to; p++) {
        if (strchr(" \t\r\n", *p) == NULL) {
            return false; /* text outside of the root */
        }
    }
    if (tag == NULL) {
        x->p = x->end;
        return x->depth == 0;
    }
    x->p = tag + 1;
    if (x->p < x->end && *x->p == '/') {
        return close_tag(x, tag);
    }
    if (x->p < x->end && *x->p == '?' && !x->had_root) {
        const char *done = memchr(x->p, '>', (size_t)(x->end - x->p));
        x->p = done == NULL ? x->end : done + 1;
        return done != NULL && done[-1] == '?';
    }
    return open_tag(x);
}

enum rb_code rb_xml_read(const char *doc, size_t len, const char *const *paths, size_t n,
                         struct rb_arena *a, const char **ret_values, struct rb_err *err)
{
    struct xml x = {
        .p = doc, .end = doc + len, .paths = paths, .n = n, .a = a, .values = ret_values};

    for (size_t i = 0; i < n; i++) {
        ret_values[i] = NULL;
    }
    bool ok = len <= DOC_MAX_BYTES && memchr(doc, '\0', len) == NULL;
    while (ok && x.p < x.end) {
        ok = next_tag(&x);
    }
    if (!ok || !x.had_root || x.depth != 0) {
        return rb_err_set(err, RB_E_INVALID, "the answer is not XML that can be read");
    }
    return RB_OK;
}

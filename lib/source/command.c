/* command.c - the commands in a text: a slash command's words, or the lines of a comment.
 *
 * In a comment a command begins a line, in the open: what stands in code (fenced, indented, between
 * backticks), in a quote or in a hidden remark was not said. One pass over the text; the search for
 * the end of inline code remembers what it did not find, so that no text costs more than a few
 * passes. Source: facts on integrations, 3.5.
 */
#include <retrybuild/cleanup.h>

#include "command_private.h"

#define TEXT_BYTES_MAX ((size_t)256 * 1024) /* 65,536 characters, as hosts allow, of 4 bytes */
#define RUN_MAX 16

struct name_row {
    const char *name;
    bool retest;
    bool retry; /* the name says what to do */
};

static const struct name_row names[] = {
    {"/retry", false, true},
    {"/retrybuild", false, false},
    {"/rb", false, false},
    {"/retest", true, true},
};

static const struct {
    const char *open, *close;
    bool anywhere;
} parts[] = {{"<!--", "-->", true}, {"<pre", "</pre>", false}, {"<code", "</code>", false}};

struct walk {
    const char *p, *end;
    char fence; /* '`' or '~' while inside; 0 = outside */
    size_t fence_len;
    const char *span_end;              /* inline code that is open ends here */
    const char *no_close[RUN_MAX + 1]; /* no run of this length closes before that place */
    const char *hidden;                /* what ends the hidden part that is open; NULL = none */
    bool never_closed[RB_ARRAY_LEN(parts)];
};

static struct rb_slice next_line(struct walk *w)
{
    const char *start = w->p;
    const char *nl = memchr(start, '\n', (size_t)(w->end - start));
    const char *stop = nl == NULL ? w->end : nl;
    w->p = nl == NULL ? w->end : nl + 1;
    if (stop > start && stop[-1] == '\r') {
        stop--;
    }
    return (struct rb_slice){.ptr = start, .len = (size_t)(stop - start)};
}

static size_t run_length(const char *p, const char *end)
{
    size_t n = 0;
    for (; p + n < end && p[n] == *p; n++) {
    }
    return n;
}

static bool blank(const char *p, const char *end)
{
    for (; p < end; p++) {
        if (*p != ' ' && *p != '\t') {
            return false;
        }
    }
    return true;
}

/* fence - does the line open or close fenced code? Then it is consumed. */
static bool fence(struct walk *w, const char *text, const char *end)
{
    size_t n = text < end && (*text == '`' || *text == '~') ? run_length(text, end) : 0;
    if (w->fence != 0) {
        if (n >= w->fence_len && *text == w->fence && blank(text + n, end)) {
            w->fence = 0;
        }
        return true;
    }
    bool opens =
        n >= 3 && (*text == '~' || memchr(text + n, '`', (size_t)(end - text) - n) == NULL);
    if (opens) {
        w->fence = *text;
        w->fence_len = n;
    }
    return opens;
}

static bool line_is_blank_at(const char *nl, const char *end)
{
    const char *p = nl + 1;
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\r')) {
        p++;
    }
    return p == end || *p == '\n';
}

/* closing_run - the end of the run of exactly @n backticks that closes inline code opened before
 * @p, in the same paragraph; NULL = none. */
static const char *closing_run(struct walk *w, const char *p, size_t n)
{
    if (n > RUN_MAX || (w->no_close[n] != NULL && p < w->no_close[n])) {
        return NULL;
    }
    for (; p < w->end; p++) {
        if (*p == '\n' && line_is_blank_at(p, w->end)) {
            break;
        }
        if (*p == '`') {
            size_t run = run_length(p, w->end);
            if (run == n) {
                return p + n;
            }
            p += run - 1;
        }
    }
    w->no_close[n] = p;
    return NULL;
}

/* follow_spans - inline code that begins in this line and may end in a later one. */
static void follow_spans(struct walk *w, struct rb_slice line)
{
    const char *p = line.ptr, *end = line.ptr + line.len;
    if (w->span_end != NULL && w->span_end > p) {
        p = w->span_end;
    }
    while (p < end) {
        if (*p != '`') {
            p++;
            continue;
        }
        size_t n = run_length(p, end);
        const char *close = closing_run(w, p + n, n);
        p = close == NULL ? p + n : close;
        w->span_end = close == NULL ? w->span_end : close;
    }
}

static const char *find(const char *p, const char *end, const char *what)
{
    size_t n = strlen(what);
    for (; (size_t)(end - p) >= n; p++) {
        p = memchr(p, what[0], (size_t)(end - p) - n + 1);
        if (p == NULL) {
            return NULL;
        }
        if (memcmp(p, what, n) == 0) {
            return p;
        }
    }
    return NULL;
}

/* opened - the first part that @p, at the beginning of its line or not, opens and that is closed
 * somewhere; sets w->hidden. Preformatted text counts at the beginning of a line alone. */
static const char *opened(struct walk *w, const char *p, const char *end, bool at_start)
{
    const char *first = NULL;
    for (size_t i = 0; i < RB_ARRAY_LEN(parts); i++) {
        size_t n = strlen(parts[i].open);
        bool here = (size_t)(end - p) >= n && memcmp(p, parts[i].open, n) == 0;
        const char *at = parts[i].anywhere  ? find(p, end, parts[i].open)
                         : at_start && here ? p
                                            : NULL;
        if (at == NULL || (first != NULL && at > first) || w->never_closed[i]) {
            continue;
        }
        w->never_closed[i] = find(at, w->end, parts[i].close) == NULL;
        if (!w->never_closed[i]) {
            first = at;
            w->hidden = parts[i].close;
        }
    }
    return first;
}

/* hidden - remarks that nobody sees, and preformatted text: both may span lines. */
static bool hidden(struct walk *w, struct rb_slice line)
{
    const char *p = line.ptr, *end = line.ptr + line.len;
    bool concealed = w->hidden != NULL;
    for (;;) {
        if (w->hidden != NULL) {
            p = find(p, end, w->hidden);
            if (p == NULL) {
                return true;
            }
            p += strlen(w->hidden);
            w->hidden = NULL;
        }
        p = opened(w, p, end, p == line.ptr);
        if (p == NULL) {
            return concealed;
        }
        concealed = concealed || p == line.ptr;
        if (find(p, end, w->hidden) == NULL) {
            return concealed;
        }
    }
}

/* open_line - is this line said in the open? Keeps the walk's state. */
static bool open_line(struct walk *w, struct rb_slice line)
{
    const char *text = line.ptr, *end = line.ptr + line.len;
    while (text < end && *text == ' ') {
        text++;
    }
    bool indented = text - line.ptr >= 4 || (text < end && *text == '\t');
    bool in_span = w->span_end != NULL && w->span_end > line.ptr;
    if (w->hidden == NULL && !in_span && (w->fence != 0 || !indented) && fence(w, text, end)) {
        return false;
    }
    bool concealed = hidden(w, line);
    follow_spans(w, line);
    return !concealed && !in_span && !indented && text < end && *text == '/';
}

/* name_of - the row whose name is the line's first word. */
static const struct name_row *name_of(const struct rb_command_words *w)
{
    for (size_t i = 0; w->n > 0 && i < RB_ARRAY_LEN(names); i++) {
        if (!w->items[0].quoted && rb_str_ieq(w->items[0].text, names[i].name)) {
            return &names[i];
        }
    }
    return NULL;
}

/* maybe_ours - cheap: a line that begins with one of the names. The rest is not cut into words. */
static bool maybe_ours(struct rb_slice line)
{
    while (line.len > 0 && line.ptr[0] == ' ') {
        line.ptr++;
        line.len--;
    }
    return line.len >= 3 && (line.ptr[1] == 'r' || line.ptr[1] == 'R');
}

static bool begins_with_name(struct rb_slice line)
{
    while (line.len > 0 && line.ptr[0] == ' ') {
        line.ptr++;
        line.len--;
    }
    for (size_t i = 0; i < RB_ARRAY_LEN(names); i++) {
        size_t n = strlen(names[i].name);
        if (line.len > n && (line.ptr[n] == ' ' || line.ptr[n] == '\t')) {
            char head[16] = "";
            memcpy(head, line.ptr, n);
            if (rb_str_ieq(head, names[i].name)) {
                return true;
            }
        }
    }
    return false;
}

static enum rb_code read_line(struct rb_slice line, struct rb_arena *a, struct rb_command *ret_c,
                              bool *ret_ours, struct rb_err *err)
{
    struct rb_command_words w;
    enum rb_code rc = rb_command_split(line, a, &w, err);
    if (rc != RB_OK) {
        return rc;
    }
    if (w.trouble != NULL && w.n == 0 && !begins_with_name(line)) {
        *ret_ours = false;
        return RB_OK;
    }
    const struct name_row *name = name_of(&w);
    *ret_ours = name != NULL || (w.trouble != NULL && begins_with_name(line));
    return *ret_ours ? rb_command_read(&w, 1, RB_COMMAND_RETRY, name != NULL && name->retry,
                                       name != NULL && name->retest, a, ret_c, err)
                     : RB_OK;
}

static enum rb_code parse_comment(struct rb_slice text, struct rb_arena *a, struct rb_command *ret,
                                  unsigned max, unsigned *ret_n, struct rb_err *err)
{
    struct walk w = {.p = text.ptr, .end = text.ptr + text.len};
    unsigned n = 0;
    while (w.p < w.end) {
        struct rb_slice line = next_line(&w);
        struct rb_command c;
        bool ours = false;
        if (!open_line(&w, line) || !maybe_ours(line)) {
            continue;
        }
        enum rb_code rc = read_line(line, a, &c, &ours, err);
        if (rc != RB_OK) {
            return rc;
        }
        if (ours && n == max) {
            ret[max - 1].trouble = "there are too many commands in one comment";
            break;
        }
        if (ours) {
            ret[n++] = c;
        }
    }
    *ret_n = n;
    return RB_OK;
}

static enum rb_code parse_bare(struct rb_slice text, struct rb_arena *a, struct rb_command *ret,
                               unsigned *ret_n, struct rb_err *err)
{
    struct rb_command_words w;
    enum rb_code rc = rb_command_split(text, a, &w, err);
    if (rc != RB_OK) {
        return rc;
    }
    unsigned first = 0;
    while (first < w.n && w.items[first].mention) {
        first++;
    }
    bool named = false, retest = false;
    for (size_t i = 0; first < w.n && i < RB_ARRAY_LEN(names); i++) {
        const char *word = w.items[first].text;
        const struct name_row *row = &names[i];
        if (rb_str_ieq(word, row->name) || (!row->retry && rb_str_ieq(word, row->name + 1))) {
            named = row->retry;
            retest = row->retest;
            first++;
            break;
        }
    }
    rc = rb_command_read(&w, first, RB_COMMAND_RETRY, named, retest, a, &ret[0], err);
    *ret_n = rc == RB_OK ? 1 : 0;
    return rc;
}

enum rb_code rb_command_parse(struct rb_slice text, bool bare, struct rb_arena *a,
                              struct rb_command *ret_commands, unsigned max, unsigned *ret_n,
                              struct rb_err *err)
{
    *ret_n = 0;
    if (max == 0 || (text.len == 0 && !bare)) {
        return RB_OK;
    }
    if (text.len > TEXT_BYTES_MAX) {
        return rb_err_set(err, RB_E_TOO_LARGE, "the text is longer than %zu bytes", TEXT_BYTES_MAX);
    }
    text.ptr = text.ptr == NULL ? "" : text.ptr;
    return bare ? parse_bare(text, a, ret_commands, ret_n, err)
                : parse_comment(text, a, ret_commands, max, ret_n, err);
}

/* command_words.c - one line of a person becomes words.
 *
 * Keyboards and chats rewrite what people type: "--force" arrives with one long dash, quotes are
 * curly, a URL is wrapped as <url|label>, a blank may be U+00A0. First the line is put back as it
 * was meant, then it is cut. Both are single passes. Source: facts on integrations, 3.5.
 */
#include <retrybuild/cleanup.h>

#include "command_private.h"

struct rewrite {
    const char *from, *to;
    bool only_at_word; /* at the beginning of a word alone */
};

static const struct rewrite rewrites[] = {
    {"\xe2\x80\x9c", "\"", false}, {"\xe2\x80\x9d", "\"", false}, {"\xe2\x80\x9e", "\"", false},
    {"\xc2\xab", "\"", false},     {"\xc2\xbb", "\"", false},     {"\xe2\x80\x98", "'", false},
    {"\xe2\x80\x99", "'", false},  {"\xe2\x80\x94", "--", true},  {"\xe2\x80\x93", "--", true},
    {"\xe2\x80\x95", "--", true},  {"\xe2\x88\x92", "-", true},   {"\xc2\xa0", " ", false},
    {"\xe2\x80\xaf", " ", false},  {"&nbsp;", " ", false},        {"\xe2\x80\x8b", "", false},
    {"\xe2\x80\x8e", "", false},   {"\xe2\x80\x8f", "", false},   {"\xef\xbb\xbf", "", false},
};

static bool starts(const char *p, const char *end, const char *with)
{
    size_t n = strlen(with);
    return (size_t)(end - p) >= n && memcmp(p, with, n) == 0;
}

static bool starts_any_case(const char *p, const char *end, const char *with)
{
    for (; *with != '\0'; p++, with++) {
        char c = p < end ? *p : '\0';
        c = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
        if (c != *with) {
            return false;
        }
    }
    return true;
}

/* find_any_case - the first @what in [p, end), or NULL. */
static const char *find_any_case(const char *p, const char *end, const char *what)
{
    for (; p < end; p++) {
        if (starts_any_case(p, end, what)) {
            return p;
        }
    }
    return NULL;
}

static const char *rewrite_one(const char *p, const char *end, bool at_word, struct rb_buf *out)
{
    for (size_t i = 0; i < RB_ARRAY_LEN(rewrites); i++) {
        const struct rewrite *r = &rewrites[i];
        if (starts(p, end, r->from) && (at_word || !r->only_at_word)) {
            rb_buf_adds(out, r->to);
            return p + strlen(r->from);
        }
    }
    unsigned char c = (unsigned char)*p;
    rb_buf_addc(out, c < 0x20 || c == 0x7f ? ' ' : *p);
    return p + 1;
}

/* put_back - the line as it was meant, into @out. */
static void put_back(struct rb_slice line, struct rb_buf *out)
{
    const char *p = line.ptr, *end = line.ptr + line.len;
    bool no_close = false; /* from here on there is no </at> */
    while (p < end) {
        bool at_word = out->len == 0 || rb_buf_str(out)[out->len - 1] == ' ';
        bool tag = starts_any_case(p, end, "<at>") || starts_any_case(p, end, "<at ");
        if (tag && !no_close) {
            const char *close = find_any_case(p, end, "</at>");
            if (close != NULL) {
                rb_buf_addc(out, ' ');
                p = close + strlen("</at>");
                continue;
            }
            no_close = true;
        }
        p = rewrite_one(p, end, at_word, out);
    }
}

static const char *add_plain(const char *p, const char *end, struct rb_buf *word)
{
    static const struct {
        const char *name;
        char is;
    } entities[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}};
    for (size_t i = 0; i < RB_ARRAY_LEN(entities); i++) {
        if (starts(p, end, entities[i].name)) {
            rb_buf_addc(word, entities[i].is);
            return p + strlen(entities[i].name);
        }
    }
    rb_buf_addc(word, *p);
    return p + 1;
}

/* add_quoted - what stands between @quote and its fellow; NULL when there is none. */
static const char *add_quoted(const char *p, const char *end, char quote, struct rb_buf *word)
{
    for (p++; p < end && *p != quote;) {
        if (*p == '\\' && p + 1 < end && (p[1] == quote || p[1] == '\\')) {
            p++;
        }
        p = add_plain(p, end, word);
    }
    return p < end ? p + 1 : NULL;
}

/* add_wrapped - Slack's <url|label>, <@U1|name>, and Markdown's <url>. NULL: it is not one. */
static const char *add_wrapped(const char *p, const char *end, struct rb_command_word *w,
                               struct rb_buf *word)
{
    const char *close = memchr(p, '>', (size_t)(end - p));
    if (close == NULL || close == p + 1) {
        return NULL;
    }
    const char *bar = memchr(p, '|', (size_t)(close - p));
    const char *stop = bar == NULL ? close : bar;
    char kind = p[1];
    w->mention = w->mention || kind == '@' || kind == '#' || kind == '!';
    for (const char *q = p + 1; q < stop;) {
        q = add_plain(q, stop, word);
    }
    return close + 1;
}

/* add_link - Markdown's [label](url). NULL: it is not one. */
static const char *add_link(const char *p, const char *end, struct rb_buf *word)
{
    const char *mid = memchr(p, ']', (size_t)(end - p));
    if (mid == NULL || mid + 1 >= end || mid[1] != '(') {
        return NULL;
    }
    const char *close = memchr(mid, ')', (size_t)(end - mid));
    if (close == NULL) {
        return NULL;
    }
    rb_buf_add(word, mid + 2, (size_t)(close - mid - 2));
    return close + 1;
}

/* take_word - from @p to the next blank; NULL when a quote is not closed. */
static const char *take_word(const char *p, const char *end, struct rb_command_word *w,
                             struct rb_buf *word)
{
    w->quoted = *p == '"' || *p == '\'';
    while (p < end && *p != ' ') {
        const char *next = NULL;
        bool first = word->len == 0;
        bool value = first || rb_buf_str(word)[word->len - 1] == '=';
        if (*p == '"' || (*p == '\'' && value)) {
            p = add_quoted(p, end, *p, word);
            if (p == NULL) {
                return NULL;
            }
            continue;
        }
        if (*p == '`') { /* code marks around a target */
            p++;
            continue;
        }
        if (*p == '<' && value) {
            next = add_wrapped(p, end, w, word);
        } else if (*p == '[' && value) {
            next = add_link(p, end, word);
        }
        p = next != NULL ? next : add_plain(p, end, word);
    }
    return p;
}

enum rb_code rb_command_split(struct rb_slice line, struct rb_arena *a,
                              struct rb_command_words *ret_w, struct rb_err *err)
{
    RB_CLEANUP(rb_buf_release)
    struct rb_buf meant = RB_BUF_INIT((size_t)2 * RB_COMMAND_LINE_BYTES_MAX);
    RB_CLEANUP(rb_buf_release) struct rb_buf word = RB_BUF_INIT(RB_COMMAND_LINE_BYTES_MAX);
    *ret_w = (struct rb_command_words){.n = 0};
    if (line.len > RB_COMMAND_LINE_BYTES_MAX) {
        ret_w->trouble = "the line is too long for a command";
        return RB_OK;
    }
    put_back(line, &meant);
    const char *p = rb_buf_str(&meant), *end = p + meant.len;
    while (!rb_buf_failed(&meant)) {
        for (; p < end && *p == ' '; p++) {
        }
        if (p == end) {
            break;
        }
        if (ret_w->n == RB_COMMAND_WORDS_MAX) {
            ret_w->trouble = "there are too many words for a command";
            return RB_OK;
        }
        struct rb_command_word *w = &ret_w->items[ret_w->n];
        rb_buf_clear(&word);
        p = take_word(p, end, w, &word);
        if (p == NULL) {
            ret_w->trouble = "a quote is opened and not closed";
            return RB_OK;
        }
        w->text = rb_arena_strndup(a, rb_buf_str(&word), word.len);
        if (w->text == NULL || rb_buf_failed(&word)) {
            return rb_err_set(err, RB_E_NOMEM, "no memory for a command");
        }
        ret_w->n += word.len > 0 || w->quoted ? 1 : 0;
    }
    return rb_buf_failed(&meant) ? rb_err_set(err, RB_E_NOMEM, "no memory for a command") : RB_OK;
}

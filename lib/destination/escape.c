/* Escapes for the receivers, and cutting at code points. */
#include <string.h>

#include <retrybuild/cleanup.h>

#include "text.h"

static const char ZERO_WIDTH[] = "\xe2\x80\x8b"; /* U+200B: a mention after it is none */

static void slack(char c, struct rb_buf *out)
{
    switch (c) {
    case '&':
        rb_buf_adds(out, "&amp;");
        break;
    case '<':
        rb_buf_adds(out, "&lt;");
        break;
    case '>':
        rb_buf_adds(out, "&gt;");
        break;
    case '*':
    case '_':
    case '~':
    case '`': /* has no escape; a joint on its inner side makes it a plain character */
        rb_buf_adds(out, ZERO_WIDTH);
        rb_buf_addc(out, c);
        rb_buf_adds(out, ZERO_WIDTH);
        break;
    case '@':
    case '#':
        rb_buf_addc(out, c);
        rb_buf_adds(out, ZERO_WIDTH);
        break;
    default:
        rb_buf_addc(out, c);
        break;
    }
}

static void discord(char c, struct rb_buf *out)
{
    if (strchr("\\*_~`|>#-[]()<:", c) != NULL) {
        rb_buf_addc(out, '\\');
        rb_buf_addc(out, c);
    } else if (c == '@') {
        rb_buf_addc(out, '@');
        rb_buf_adds(out, ZERO_WIDTH);
    } else {
        rb_buf_addc(out, c);
    }
}

/* Beside escapes, what git hosts find without markup: @people, #12 and !12 and so on. */
static void markdown(char c, struct rb_buf *out)
{
    if (c == '<') {
        rb_buf_adds(out, "&lt;");
    } else if (c == '>') {
        rb_buf_adds(out, "&gt;");
    } else if (c == '&') {
        rb_buf_adds(out, "&amp;");
    } else if (c == '@' || c == '#' || c == '!' || c == '$' || c == '%' || c == ':') {
        rb_buf_addc(out, c);
        rb_buf_adds(out, ZERO_WIDTH);
    } else if (strchr("\\`*_{}[]()~|", c) != NULL) {
        rb_buf_addc(out, '\\');
        rb_buf_addc(out, c);
    } else {
        rb_buf_addc(out, c);
    }
}

void rb_text_escape(enum rb_markup markup, const char *s, struct rb_buf *out)
{
    size_t len = s == NULL ? 0 : strlen(s);

    for (size_t i = 0; i < len;) {
        size_t seq = rb_utf8_seq(s + i, len - i);
        char c = s[i];
        if (seq > 1) {
            rb_buf_add(out, s + i, seq);
            i += seq;
            continue;
        }
        i++;
        if (seq == 0) {
            rb_buf_adds(out, "\xef\xbf\xbd");
        } else if ((unsigned char)c < 0x20 || c == 0x7f) {
            rb_buf_addc(out, ' ');
        } else if (markup == RB_MARKUP_SLACK) {
            slack(c, out);
        } else if (markup == RB_MARKUP_DISCORD) {
            discord(c, out);
        } else if (markup == RB_MARKUP_MARKDOWN) {
            markdown(c, out);
        } else {
            rb_buf_addc(out, c);
        }
    }
}

static bool linkable(const char *url)
{
    if (url == NULL || (!rb_str_starts(url, "https://") && !rb_str_starts(url, "http://"))) {
        return false;
    }
    for (const char *c = url; *c != '\0'; c++) {
        if ((unsigned char)*c <= 0x20 || (unsigned char)*c >= 0x7f ||
            strchr("<>|()[]\"\\`{}", *c) != NULL) {
            return false;
        }
    }
    return true;
}

void rb_text_link(enum rb_markup markup, const char *text, const char *url, struct rb_buf *out)
{
    if (markup == RB_MARKUP_PLAIN || !linkable(url)) {
        rb_text_escape(markup, text, out);
    } else if (markup == RB_MARKUP_SLACK) {
        rb_buf_addc(out, '<');
        for (const char *c = url; *c != '\0'; c++) {
            rb_buf_adds(out, *c == '&' ? "&amp;" : (const char[]){*c, '\0'});
        }
        rb_buf_addc(out, '|');
        rb_text_escape(markup, text, out);
        rb_buf_addc(out, '>');
    } else {
        rb_buf_addc(out, '[');
        rb_text_escape(markup, text, out);
        rb_buf_addf(out, "](%s)", url);
    }
}

void rb_text_cut(struct rb_buf *b, size_t max_chars)
{
    size_t chars = 0, keep = 0, i = 0;

    if (rb_buf_failed(b)) { /* the end of what fitted may be half a character */
        size_t len = b->len;
        while (len > 0 && !rb_utf8_valid(b->data, len)) {
            len--;
        }
        rb_buf_truncate(b, len);
    }
    while (i < b->len) {
        size_t seq = rb_utf8_seq(b->data + i, b->len - i);
        i += seq == 0 ? 1 : seq;
        chars++;
        if (chars + 1 <= max_chars) {
            keep = i; /* there is room for one more */
        }
    }
    if (chars > max_chars) {
        rb_buf_truncate(b, keep);
        if (max_chars > 0) {
            rb_buf_adds(b, "…");
        }
    }
}

/* problems.c - collecting what is wrong, each with its place. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <retrybuild/buf.h>

#include "problems.h"

#define KEY_SHOWN_BYTES 60
#define KEY_BYTES "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

void rb_problem_add(struct rb_problem_list *l, unsigned line, unsigned column, const char *fmt, ...)
{
    struct rb_problems *p = l->out;
    if (p->n > RB_PROBLEMS_MAX) {
        return;
    }
    struct rb_buf text = RB_BUF_INIT(1024);
    if (p->n == RB_PROBLEMS_MAX) {
        rb_buf_adds(&text, "and more; mend these first");
    } else {
        va_list ap;
        va_start(ap, fmt);
        rb_buf_addvf(&text, fmt, ap);
        va_end(ap);
        if (text.data != NULL) {
            rb_utf8_mend(text.data);
        }
    }
    struct rb_problem *items = realloc(p->items, (p->n + 1) * sizeof *items);
    if (items == NULL) {
        rb_buf_release(&text);
        return;
    }
    p->items = items;
    p->items[p->n++] = (struct rb_problem){line, column, rb_buf_detach(&text)};
}

void rb_problems_sort(struct rb_problem_list *l)
{
    struct rb_problem *items = l->out->items;
    for (unsigned i = 1; i < l->out->n && i < RB_PROBLEMS_MAX; i++) {
        struct rb_problem moved = items[i];
        unsigned k = i;
        for (; k > 0 && (items[k - 1].line > moved.line ||
                         (items[k - 1].line == moved.line && items[k - 1].column > moved.column));
             k--) {
            items[k] = items[k - 1];
        }
        items[k] = moved;
    }
}

const char *rb_key_shown(struct rb_arena *a, const char *key)
{
    size_t len = strspn(key, KEY_BYTES);
    if (len <= KEY_SHOWN_BYTES && key[len] == '\0') {
        return key;
    }
    const char *cut =
        rb_arena_printf(a, "%.*s...", (int)(len < KEY_SHOWN_BYTES ? len : KEY_SHOWN_BYTES), key);
    return cut == NULL ? "" : cut;
}

void rb_problems_release(struct rb_problems *p)
{
    for (unsigned i = 0; i < p->n; i++) {
        free(p->items[i].text);
    }
    free(p->items);
    rb_settings_unref(p->partial);
    *p = (struct rb_problems){.items = NULL};
}

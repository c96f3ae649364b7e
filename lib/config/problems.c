/* problems.c - collecting what is wrong, each with its place. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <retrybuild/buf.h>

#include "problems.h"

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
    }
    struct rb_problem *items = realloc(p->items, (p->n + 1) * sizeof *items);
    if (items == NULL) {
        rb_buf_release(&text);
        return;
    }
    p->items = items;
    p->items[p->n++] = (struct rb_problem){line, column, rb_buf_detach(&text)};
}

void rb_problems_release(struct rb_problems *p)
{
    for (unsigned i = 0; i < p->n; i++) {
        free(p->items[i].text);
    }
    free(p->items);
    p->items = NULL;
    p->n = 0;
}

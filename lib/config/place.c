/* place.c - where a key path stands in the document. */
#include <stdarg.h>
#include <string.h>

#include <retrybuild/buf.h>
#include <retrybuild/cleanup.h>
#include <retrybuild/config.h>
#include <retrybuild/str.h>

#include "place.h"

#define PATH_MAX_BYTES 512

/* names - does @key, written in the document, mean the @len bytes at @name? Secrets have forms. */
static bool names(const char *key, const char *name, size_t len)
{
    if (strncmp(key, name, len) != 0) {
        return false;
    }
    const char *rest = key + len;
    return rest[0] == '\0' || strcmp(rest, "_file") == 0 || strcmp(rest, "_env") == 0;
}

static const struct rb_node_entry *step(const struct rb_node *n, const char **path)
{
    const char *p = *path;
    if (p[0] == '[') {
        size_t digits = strcspn(p + 1, "]");
        uint64_t i = 0;
        *path = p + 1 + digits + (p[1 + digits] == ']' ? 1 : 0);
        if (!rb_parse_u64((struct rb_slice){.ptr = p + 1, .len = digits}, &i)) {
            return NULL;
        }
        return n->kind == RB_NODE_LIST && i < n->n ? &n->entries[i] : NULL;
    }
    p += p[0] == '.' ? 1 : 0;
    size_t len = strcspn(p, ".[");
    *path = p + len;
    for (unsigned i = 0; n->kind == RB_NODE_MAP && i < n->n; i++) {
        if (names(n->entries[i].key, p, len)) {
            return &n->entries[i];
        }
    }
    return NULL;
}

void rb_place(const struct rb_node *root, const char *path, unsigned *ret_line,
              unsigned *ret_column)
{
    *ret_line = 0;
    *ret_column = 0;
    const struct rb_node *n = root;
    while (n != NULL && *path != '\0') {
        const struct rb_node_entry *e = step(n, &path);
        if (e == NULL) {
            return;
        }
        *ret_line = e->line;
        *ret_column = e->column;
        n = e->value;
    }
}

void rb_wrong(struct rb_conversion *c, const char *path, const char *fmt, ...)
{
    unsigned line = 0;
    unsigned column = 0;
    rb_place(c->settings->document, path, &line, &column);
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(1024);
    va_list ap;
    va_start(ap, fmt);
    rb_buf_addvf(&text, fmt, ap);
    va_end(ap);
    rb_problem_add(&c->problems, line, column, "%s: %s", path, rb_buf_str(&text));
}

bool rb_has_problem(const struct rb_conversion *c, const char *path)
{
    const struct rb_problems *p = c->problems.out;
    for (unsigned i = 0; i < p->n; i++) {
        if (p->items[i].text != NULL && strncmp(p->items[i].text, path, strlen(path)) == 0) {
            return true;
        }
    }
    return false;
}

const char *rb_path(struct rb_conversion *c, const char *fmt, ...)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(PATH_MAX_BYTES);
    va_list ap;
    va_start(ap, fmt);
    rb_buf_addvf(&text, fmt, ap);
    va_end(ap);
    const char *path = rb_arena_strdup(&c->settings->arena, rb_buf_str(&text));
    return path == NULL ? "" : path;
}

unsigned rb_config_item_keys(const struct rb_settings *s, const char *list, unsigned i,
                             const char **ret_keys, unsigned max)
{
    const struct rb_node *root = s->document;
    const struct rb_node_entry *e = root == NULL ? NULL : step(root, &list);
    const struct rb_node *item = NULL;
    unsigned n = 0;

    if (e != NULL && e->value != NULL && e->value->kind == RB_NODE_LIST && i < e->value->n) {
        item = e->value->entries[i].value;
    }
    for (unsigned k = 0; item != NULL && item->kind == RB_NODE_MAP && k < item->n && n < max; k++) {
        const char *key = item->entries[k].key;
        ret_keys[n++] = rb_str_starts(key, "url_") ? "url" : key;
    }
    return n;
}

void rb_config_place(const struct rb_settings *s, const char *path, unsigned *ret_line,
                     unsigned *ret_column)
{
    rb_place(s->document, path, ret_line, ret_column);
}

/* secret.c - secrets by value, file or environment: exactly one form, never shown. */
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/str.h>
#include <retrybuild/timefmt.h>

#include "convert.h"
#include "place.h"
#include "secret.h"

#define DATE_LEN 10 /* 2026-12-31 */
#define DAY_MS 86400000
#define VARIABLE_BYTES "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"

static const char *const form_names[] = {"", "_file", "_env"};

const struct rb_node_entry *rb_secret_form(const struct rb_node *map, const char *name,
                                           unsigned form)
{
    size_t len = strlen(name);
    for (unsigned i = 0; i < map->n; i++) {
        const char *key = map->entries[i].key;
        if (strncmp(key, name, len) == 0 && strcmp(key + len, form_names[form]) == 0) {
            return &map->entries[i];
        }
    }
    return NULL;
}

/* from_text - an empty secret would be one that everybody knows, and so is one of blanks. */
static enum rb_code from_text(const char *text, struct rb_secret **ret_s, struct rb_err *err)
{
    if (text[0] == '\0') {
        return rb_err_set(err, RB_E_INVALID, "is empty");
    }
    if (text[strspn(text, " \t\r\n")] == '\0') {
        return rb_err_set(err, RB_E_INVALID, "holds nothing but blanks");
    }
    struct rb_secret *s = rb_secret_new(text, strlen(text));
    if (s == NULL) {
        return rb_err_set(err, RB_E_TOO_LARGE, "is longer than %d bytes", RB_SECRET_MAX_BYTES);
    }
    *ret_s = s;
    return RB_OK;
}

/* load_form - the secret that @entry, at @path, names in @form (0 value, 1 file, 2 environment). */
static struct rb_secret *load_form(struct rb_conversion *c, const char *path,
                                   const struct rb_node_entry *entry, unsigned form)
{
    const struct rb_node *n = entry->value;
    struct rb_secret *s = NULL;
    struct rb_err err = {.code = RB_OK};
    if (n == NULL || n->kind != RB_NODE_SCALAR || rb_node_is_null(n)) {
        rb_problem_add(&c->problems, entry->line, entry->column, "%s: expected a text", path);
        return NULL;
    }
    const char *text = rb_expand(c, n, path);
    if (text == NULL) {
        return NULL;
    }
    enum rb_code rc = RB_OK;
    if (form == 0) {
        rc = from_text(text, &s, &err);
    } else if (form == 1) {
        rc = rb_secret_load_file(rb_resolve_path(c, text), &s, &err);
    } else if (strspn(text, VARIABLE_BYTES) == strlen(text)) {
        rc = rb_secret_load_env(text, &s, &err);
    } else { /* perhaps the secret itself: not shown */
        rc = rb_err_set(&err, RB_E_INVALID,
                        "expected the name of an environment variable, such as WEBHOOK_SECRET");
    }
    if (rc != RB_OK) {
        rb_problem_add(&c->problems, n->line, n->column, "%s: %s", path, err.msg);
    }
    return s;
}

void rb_convert_secret(struct rb_conversion *c, const struct rb_key *key, const char *path,
                       const struct rb_node *map, void *base)
{
    struct rb_secret **at = (struct rb_secret **)(void *)((char *)base + key->offset);
    const struct rb_node_entry *found = NULL;
    unsigned found_form = 0;
    for (unsigned form = 0; form < RB_ARRAY_LEN(form_names); form++) {
        const struct rb_node_entry *e = rb_secret_form(map, key->name, form);
        if (e != NULL && found != NULL) {
            rb_problem_add(&c->problems, e->line, e->column,
                           "%s: '%s' and '%s' are two forms of one secret; give one", path,
                           found->key, e->key);
            return;
        }
        if (e != NULL) {
            found = e;
            found_form = form;
        }
    }
    if (found == NULL) {
        return;
    }
    struct rb_secret *s =
        load_form(c, rb_path(c, "%s%s", path, form_names[found_form]), found, found_form);
    if (s != NULL) {
        rb_secret_free(*at);
        *at = s;
    }
}

static void convert_entry(struct rb_conversion *c, const char *path, const struct rb_node *n,
                          struct rb_secret_entry *ret)
{
    static const char *const words[] = {"value", "file", "env", "not_after"};
    const struct rb_node_entry *found = NULL;
    unsigned form = 0;
    for (unsigned i = 0; i < n->n; i++) {
        const struct rb_node_entry *e = &n->entries[i];
        unsigned w = 0;
        while (w < RB_ARRAY_LEN(words) && strcmp(words[w], e->key) != 0) {
            w++;
        }
        if (w == RB_ARRAY_LEN(words)) {
            const char *near = rb_nearest(e->key, words, RB_ARRAY_LEN(words));
            rb_problem_add(
                &c->problems, e->line, e->column,
                "%s: there is no key '%s'; known here are value, file, env, not_after%s%s%s", path,
                rb_key_shown(&c->settings->arena, e->key), near == NULL ? "" : "; did you mean '",
                near == NULL ? "" : near, near == NULL ? "" : "'?");
        } else if (w == 3) {
            const char *text = e->value != NULL && e->value->kind == RB_NODE_SCALAR
                                   ? rb_expand(c, e->value, path)
                                   : NULL;
            if (text == NULL || !rb_time_parse_iso(rb_slice_str(text), &ret->not_after_ms)) {
                rb_problem_add(&c->problems, e->line, e->column,
                               "%s.not_after: expected a date such as 2026-12-31", path);
            } else if (strlen(text) == DATE_LEN) {
                ret->not_after_ms += DAY_MS; /* that day still counts */
            }
        } else if (found != NULL) {
            rb_problem_add(&c->problems, e->line, e->column,
                           "%s: '%s' and '%s' are two forms of one secret; give one", path,
                           found->key, e->key);
        } else {
            found = e;
            form = w;
        }
    }
    if (found == NULL) {
        rb_problem_add(&c->problems, n->line, n->column, "%s: needs value, file or env", path);
    } else {
        ret->secret = load_form(c, rb_path(c, "%s.%s", path, words[form]), found, form);
    }
}

void rb_convert_secrets(struct rb_conversion *c, const struct rb_key *key, const char *path,
                        const struct rb_node *n, void *base)
{
    struct rb_secrets *at = (struct rb_secrets *)(void *)((char *)base + key->offset);
    if (n->kind != RB_NODE_LIST) {
        rb_problem_add(&c->problems, n->line, n->column,
                       "%s: expected a list such as [{file: key}]", path);
        return;
    }
    at->items = rb_arena_alloc(&c->settings->arena, (n->n + 1) * sizeof *at->items);
    if (at->items == NULL) {
        rb_problem_add(&c->problems, n->line, n->column, "%s: the configuration is too large",
                       path);
        return;
    }
    for (unsigned i = 0; i < n->n; i++) {
        const struct rb_node *item = n->entries[i].value;
        if (item == NULL || item->kind != RB_NODE_MAP) {
            rb_problem_add(&c->problems, n->entries[i].line, n->entries[i].column,
                           "%s[%u]: expected a map such as {file: key} or {env: KEY}", path, i);
            continue;
        }
        struct rb_secret_entry entry = {.secret = NULL};
        convert_entry(c, rb_path(c, "%s[%u]", path, i), item, &entry);
        if (entry.secret != NULL) {
            at->items[at->n++] = entry;
        }
    }
}

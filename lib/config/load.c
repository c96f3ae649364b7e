/* load.c - the document against the schema: maps and lists, unknown keys, defaults, and the rules
 * that concern several keys. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <retrybuild/buf.h>
#include <retrybuild/cleanup.h>
#include <retrybuild/config.h>
#include <retrybuild/str.h>

#include "convert.h"
#include "secret.h"
#include "validate.h"

#define ARENA_MAX_BYTES (16 * 1024 * 1024)
#define KEYS_MAX 64
#define ALL_KEYS_MAX_BYTES 512

static void load_map(struct rb_conversion *c, const struct rb_key *keys, size_t n_keys,
                     const char *path, const struct rb_node *map, void *base);

static const char *join(struct rb_conversion *c, const char *path, const char *name)
{
    const char *joined =
        path[0] == '\0' ? name : rb_arena_printf(&c->settings->arena, "%s.%s", path, name);
    return joined == NULL ? name : joined;
}

/* is_key - does @word name @key, in one of its forms? */
static bool is_key(const struct rb_key *key, const char *word)
{
    size_t len = strlen(key->name);
    if (strncmp(key->name, word, len) != 0) {
        return false;
    }
    const char *rest = word + len;
    return rest[0] == '\0' || (key->type == RB_KEY_SECRET &&
                               (strcmp(rest, "_file") == 0 || strcmp(rest, "_env") == 0));
}

static void unknown_keys(struct rb_conversion *c, const struct rb_key *keys, size_t n_keys,
                         const char *path, const struct rb_node *map)
{
    const char *names[KEYS_MAX];
    for (unsigned i = 0; i < map->n; i++) {
        const struct rb_node_entry *e = &map->entries[i];
        bool known = false;
        for (size_t k = 0; k < n_keys && !known; k++) {
            known = is_key(&keys[k], e->key);
        }
        if (known) {
            continue;
        }
        RB_CLEANUP(rb_buf_release) struct rb_buf all = RB_BUF_INIT(ALL_KEYS_MAX_BYTES);
        for (size_t k = 0; k < n_keys && k < KEYS_MAX; k++) {
            names[k] = keys[k].name;
            rb_buf_addf(&all, "%s%s", k == 0 ? "" : ", ", keys[k].name);
        }
        const char *near = rb_nearest(e->key, names, n_keys < KEYS_MAX ? n_keys : KEYS_MAX);
        const char *shown = join(c, path, rb_key_shown(&c->settings->arena, e->key));
        if (near != NULL) {
            rb_problem_add(&c->problems, e->line, e->column,
                           "%s: there is no such key; did you mean '%s'?", shown, near);
        } else {
            rb_problem_add(&c->problems, e->line, e->column,
                           "%s: there is no such key; known here are %s", shown, rb_buf_str(&all));
        }
    }
}

static const struct rb_node_entry *find(const struct rb_node *map, const char *name)
{
    for (unsigned i = 0; map != NULL && i < map->n; i++) {
        if (strcmp(map->entries[i].key, name) == 0) {
            return &map->entries[i];
        }
    }
    return NULL;
}

static void load_list(struct rb_conversion *c, const struct rb_key *key, const char *path,
                      const struct rb_node *list, void *base)
{
    void **at = (void **)(void *)((char *)base + key->offset);
    unsigned *count = (unsigned *)(void *)((char *)base + key->count_offset);
    if (list->kind != RB_NODE_LIST) {
        rb_problem_add(&c->problems, list->line, list->column,
                       "%s: expected a list of maps, each beginning with '-'", path);
        return;
    }
    char *items = rb_arena_alloc(&c->settings->arena, (list->n + 1) * key->item_size);
    if (items == NULL) {
        rb_problem_add(&c->problems, list->line, list->column, "%s: the configuration is too large",
                       path);
        return;
    }
    *at = items;
    for (unsigned i = 0; i < list->n; i++) {
        const char *item_path = rb_arena_printf(&c->settings->arena, "%s[%u]", path, i);
        const struct rb_node *item = list->entries[i].value;
        if (item_path == NULL || item == NULL || item->kind != RB_NODE_MAP) {
            rb_problem_add(&c->problems, list->entries[i].line, list->entries[i].column,
                           "%s[%u]: expected a map of keys", path, i);
            continue;
        }
        void *item_base = items + *count * key->item_size;
        (*count)++;
        if (key->line_offset != SIZE_MAX) {
            *(unsigned *)(void *)((char *)item_base + key->line_offset) = item->line;
        }
        load_map(c, key->children, key->n_children, item_path, item, item_base);
    }
}

static void load_key(struct rb_conversion *c, const struct rb_key *key, const char *path,
                     const struct rb_node *map, void *base)
{
    const struct rb_node_entry *e = find(map, key->name);
    const struct rb_node *value = e == NULL || rb_node_is_null(e->value) ? NULL : e->value;
    if (key->type == RB_KEY_MAP) {
        static const struct rb_node nothing = {.kind = RB_NODE_MAP};
        if (value != NULL && value->kind != RB_NODE_MAP) {
            rb_problem_add(&c->problems, value->line, value->column, "%s: expected a map of keys",
                           path);
            value = NULL;
        }
        load_map(c, key->children, key->n_children, path, value == NULL ? &nothing : value, base);
        return;
    }
    rb_convert_fallback(c, key, base);
    if (key->type == RB_KEY_SECRET) {
        rb_convert_secret(c, key, path, map, base);
    } else if (value == NULL) {
        return;
    } else if (key->type == RB_KEY_LIST) {
        load_list(c, key, path, value, base);
    } else if (key->type == RB_KEY_SECRETS) {
        rb_convert_secrets(c, key, path, value, base);
    } else {
        rb_convert(c, key, path, value, base);
    }
}

static void load_map(struct rb_conversion *c, const struct rb_key *keys, size_t n_keys,
                     const char *path, const struct rb_node *map, void *base)
{
    unknown_keys(c, keys, n_keys, path, map);
    for (size_t i = 0; i < n_keys; i++) {
        load_key(c, &keys[i], join(c, path, keys[i].name), map, base);
    }
}

enum rb_code rb_config_parse(const char *text, size_t len, const char *name, const char *base_dir,
                             struct rb_settings **ret_s, struct rb_problems *ret_problems,
                             struct rb_err *err)
{
    *ret_problems = (struct rb_problems){.items = NULL};
    struct rb_settings *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "configuration: no memory");
    }
    made->refs = 1;
    rb_arena_init(&made->arena, ARENA_MAX_BYTES);
    RB_CLEANUP(rb_settings_unrefp) struct rb_settings *s = made;
    s->base_dir = rb_arena_strdup(&s->arena, base_dir);
    struct rb_conversion c = {.settings = s, .problems = {.out = ret_problems}};
    const struct rb_node *root = rb_tree_read(text, len, &s->arena, &c.problems);
    if (root != NULL && root->kind != RB_NODE_MAP) {
        rb_problem_add(&c.problems, root->line, root->column,
                       "expected keys such as 'listen:' at the top");
    } else if (root != NULL) {
        s->document = root;
        load_map(&c, rb_schema, rb_schema_len, "", root, s);
        rb_validate(&c);
    }
    if (ret_problems->n > 0) {
        rb_problems_sort(&c.problems);
        ret_problems->partial = s->document == NULL ? NULL : RB_TAKE(s);
        return rb_err_set(err, RB_E_INVALID, "%s: %u problem%s", name, ret_problems->n,
                          ret_problems->n == 1 ? "" : "s");
    }
    *ret_s = RB_TAKE(s);
    return RB_OK;
}

static enum rb_code read_file(const char *path, struct rb_buf *out, struct rb_err *err)
{
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        return rb_err_errno(err, errno == ENOENT ? RB_E_NOT_FOUND : RB_E_IO, errno,
                            "configuration '%s'", path);
    }
    char chunk[8192];
    size_t n = 0;
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0) {
        rb_buf_add(out, chunk, n);
    }
    bool bad = ferror(f) != 0;
    (void)fclose(f);
    rb_wipe(chunk, sizeof chunk);
    if (bad) {
        return rb_err_set(err, RB_E_IO, "configuration '%s' cannot be read", path);
    }
    if (rb_buf_failed(out)) {
        return rb_err_set(err, RB_E_TOO_LARGE, "configuration '%s' is larger than 1 MiB", path);
    }
    return RB_OK;
}

enum rb_code rb_config_load(const char *path, struct rb_settings **ret_s,
                            struct rb_problems *ret_problems, struct rb_err *err)
{
    *ret_problems = (struct rb_problems){.items = NULL};
    if (path == NULL) {
        return rb_config_parse("", 0, "defaults", NULL, ret_s, ret_problems, err);
    }
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(RB_CONFIG_MAX_BYTES);
    enum rb_code rc = read_file(path, &text, err);
    if (rc != RB_OK) {
        return rc;
    }
    const char *slash = strrchr(path, '/');
    RB_CLEANUP(rb_freep)
    char *dir = slash == NULL   ? strdup(".")
                : slash == path ? strdup("/")
                                : strndup(path, (size_t)(slash - path));
    if (dir == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "configuration '%s': no memory", path);
    }
    struct rb_settings *s = NULL;
    rc = rb_config_parse(rb_buf_str(&text), text.len, path, dir, &s, ret_problems, err);
    if (text.data != NULL) {
        rb_wipe(text.data, text.len);
    }
    if (rc == RB_OK) {
        s->path = rb_arena_strdup(&s->arena, path);
        *ret_s = s;
    }
    return rc;
}

const char *rb_config_find(void)
{
    static const char *const installed = "/etc/retrybuild/retrybuild.yaml";
    const char *env = getenv("RETRYBUILD_CONFIG");
    if (env != NULL && env[0] != '\0') {
        return env;
    }
    return access(installed, R_OK) == 0 ? installed : NULL;
}

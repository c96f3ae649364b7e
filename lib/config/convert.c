/* convert.c - one value of the document into its place, by its row. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <retrybuild/buf.h>
#include <retrybuild/cleanup.h>
#include <retrybuild/str.h>

#include "convert.h"

#define VALUE_MAX_BYTES 65536
#define VARIABLE_MAX_BYTES 128

static void expected(struct rb_conversion *c, const struct rb_node *n, const char *path,
                     const char *what)
{
    if (n->kind == RB_NODE_SCALAR) {
        rb_problem_add(&c->problems, n->line, n->column, "%s: expected %s, found '%.60s'", path,
                       what, n->text);
    } else {
        rb_problem_add(&c->problems, n->line, n->column, "%s: expected %s, found a %s", path, what,
                       n->kind == RB_NODE_MAP ? "map" : "list");
    }
}

/* expand_one - @s points behind "${"; returns behind "}", NULL after a problem. */
static const char *expand_one(struct rb_conversion *c, const struct rb_node *n, const char *path,
                              const char *s, struct rb_buf *out)
{
    const char *end = strchr(s, '}');
    size_t name_len = strcspn(s, ":}");
    char name[VARIABLE_MAX_BYTES];
    if (end == NULL || name_len == 0 || name_len >= sizeof name ||
        (s[name_len] == ':' && s[name_len + 1] != '-')) {
        rb_problem_add(&c->problems, n->line, n->column,
                       "%s: '${' needs a name and '}': ${VAR} or ${VAR:-default}", path);
        return NULL;
    }
    memcpy(name, s, name_len);
    name[name_len] = '\0';
    const char *value = getenv(name);
    if (value != NULL && value[0] != '\0') {
        rb_buf_adds(out, value);
    } else if (s[name_len] == ':') {
        rb_buf_add(out, s + name_len + 2, (size_t)(end - s) - name_len - 2);
    } else if (value == NULL) {
        rb_problem_add(&c->problems, n->line, n->column,
                       "%s: the environment has no %s; set it or write ${%s:-default}", path, name,
                       name);
        return NULL;
    }
    return end + 1;
}

const char *rb_expand(struct rb_conversion *c, const struct rb_node *n, const char *path)
{
    if (strstr(n->text, "${") == NULL) {
        return n->text;
    }
    RB_CLEANUP(rb_buf_release) struct rb_buf out = RB_BUF_INIT(VALUE_MAX_BYTES);
    const char *s = n->text;
    while (*s != '\0') {
        if (s[0] == '$' && s[1] == '{') {
            s = expand_one(c, n, path, s + 2, &out);
            if (s == NULL) {
                return NULL;
            }
        } else {
            rb_buf_addc(&out, *s++);
        }
    }
    return rb_buf_failed(&out) ? NULL : rb_arena_strdup(&c->settings->arena, rb_buf_str(&out));
}

const char *rb_resolve_path(struct rb_conversion *c, const char *path)
{
    if (path[0] == '/' || c->settings->base_dir == NULL) {
        return path;
    }
    return rb_arena_printf(&c->settings->arena, "%s/%s", c->settings->base_dir, path);
}

/* scalar - the expanded text of a scalar, NULL after a problem. */
static const char *scalar(struct rb_conversion *c, const struct rb_node *n, const char *path,
                          const char *what)
{
    if (n->kind != RB_NODE_SCALAR) {
        expected(c, n, path, what);
        return NULL;
    }
    return rb_expand(c, n, path);
}

/* put_number - DURATION, SIZE, INT, NUMBER from @text; false when it does not read as one. *ret_why
 * says a bound that it broke. */
static bool put_number(const struct rb_key *key, const char *text, void *at, const char **ret_why)
{
    struct rb_slice s = rb_slice_str(text);
    int64_t v = 0;
    uint64_t size = 0;
    if (key->type == RB_KEY_SIZE) {
        if (!rb_parse_size(s, &size)) {
            return false;
        }
        if (size < (uint64_t)key->min || size > (uint64_t)key->max) {
            *ret_why = size < (uint64_t)key->min ? "too small" : "too large";
            return false;
        }
        *(uint64_t *)at = size;
        return true;
    }
    if (key->type == RB_KEY_NUMBER) {
        char *end = NULL;
        double d = strtod(text, &end);
        bool bounded = key->max > 0;
        if (end == text || *end != '\0' || !isfinite(d) || (!bounded && d <= 0)) {
            return false;
        }
        if (bounded && (d < (double)key->min || d > (double)key->max)) {
            *ret_why = d < (double)key->min ? "too small" : "too large";
            return false;
        }
        *(double *)at = d;
        return true;
    }
    bool ok = key->type == RB_KEY_DURATION ? rb_parse_duration_ms(s, &v) : rb_parse_i64(s, &v);
    if (!ok) {
        return false;
    }
    if (v < key->min || (key->max > 0 && v > key->max)) {
        *ret_why = v < key->min ? "too small" : "too large";
        return false;
    }
    *(int64_t *)at = v;
    return true;
}

static const char *what_is(enum rb_key_type t)
{
    switch (t) {
    case RB_KEY_DURATION:
        return "a duration such as 500ms, 30s, 15m, 24h or 30d";
    case RB_KEY_SIZE:
        return "a size such as 64KiB or 1MiB";
    case RB_KEY_NUMBER:
        return "a number above 0";
    case RB_KEY_INT:
        return "a whole number";
    case RB_KEY_BOOL:
        return "true or false";
    case RB_KEY_TEXT:
    case RB_KEY_PATH:
    case RB_KEY_SECRET:
    case RB_KEY_SECRETS:
    case RB_KEY_WORD:
    case RB_KEY_TEXTS:
    case RB_KEY_DELAY:
    case RB_KEY_DURATIONS:
    case RB_KEY_STAGES:
    case RB_KEY_MAP:
    case RB_KEY_LIST:
        break;
    }
    return "a text";
}

static void convert_number(struct rb_conversion *c, const struct rb_key *key, const char *path,
                           const struct rb_node *n, void *at)
{
    const char *why = NULL;
    const char *text = scalar(c, n, path, what_is(key->type));
    if (text == NULL || put_number(key, text, at, &why)) {
        return;
    }
    if (why != NULL) {
        rb_problem_add(&c->problems, n->line, n->column,
                       "%s: %s is %s (%lld to %lld%s are possible)", path, text, why,
                       (long long)key->min, (long long)key->max,
                       key->type == RB_KEY_DURATION ? " ms"
                       : key->type == RB_KEY_SIZE   ? " bytes"
                                                    : "");
    } else {
        expected(c, n, path, what_is(key->type));
    }
}

static void convert_bool(struct rb_conversion *c, const char *path, const struct rb_node *n,
                         bool *at)
{
    const char *text = scalar(c, n, path, "true or false");
    if (text == NULL) {
        return;
    }
    if (strcmp(text, "true") == 0) {
        *at = true;
    } else if (strcmp(text, "false") == 0) {
        *at = false;
    } else {
        expected(c, n, path, "true or false");
    }
}

static void convert_word(struct rb_conversion *c, const struct rb_key *key, const char *path,
                         const struct rb_node *n, void *at)
{
    const char *text = scalar(c, n, path, "a word");
    if (text == NULL) {
        return;
    }
    size_t count = 0;
    struct rb_buf all = RB_BUF_INIT(512);
    for (; key->words[count] != NULL; count++) {
        if (key->words[count][0] == '\0') {
            continue;
        }
        if (strcmp(key->words[count], text) == 0) {
            int value = (int)count;
            memcpy(at, &value, sizeof value);
            rb_buf_release(&all);
            return;
        }
        rb_buf_addf(&all, "%s%s", all.len == 0 ? "" : ", ", key->words[count]);
    }
    const char *near = rb_nearest(text, key->words, count);
    rb_problem_add(&c->problems, n->line, n->column, "%s: '%.60s' is none of %s%s%s%s", path, text,
                   rb_buf_str(&all), near == NULL || near[0] == '\0' ? "" : "; did you mean '",
                   near == NULL || near[0] == '\0' ? "" : near,
                   near == NULL || near[0] == '\0' ? "" : "'?");
    rb_buf_release(&all);
}

static void convert_texts(struct rb_conversion *c, const char *path, const struct rb_node *n,
                          struct rb_strings *at)
{
    if (n->kind == RB_NODE_MAP) {
        expected(c, n, path, "a list of texts");
        return;
    }
    unsigned count = n->kind == RB_NODE_LIST ? n->n : 1;
    const char **items = rb_arena_alloc(&c->settings->arena, (count + 1) * sizeof *items);
    if (items == NULL) {
        rb_problem_add(&c->problems, n->line, n->column, "%s: the configuration is too large",
                       path);
        return;
    }
    unsigned used = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct rb_node *item = n->kind == RB_NODE_LIST ? n->entries[i].value : n;
        if (rb_node_is_null(item)) {
            rb_problem_add(&c->problems, item == NULL ? n->line : item->line,
                           item == NULL ? n->column : item->column,
                           "%s: expected a text, found nothing", path);
            continue;
        }
        const char *text = scalar(c, item, path, "a text");
        if (text != NULL) {
            items[used++] = text;
        }
    }
    at->items = items;
    at->n = used;
}

static void convert_durations(struct rb_conversion *c, const char *path, const struct rb_node *n,
                              int64_t *at, unsigned *ret_n)
{
    static const struct rb_key row = {.type = RB_KEY_DURATION};
    if (n->kind != RB_NODE_LIST || n->n == 0 || n->n > RB_DELAY_LIST_MAX) {
        expected(c, n, path, "a list of 1 to 16 durations");
        return;
    }
    for (unsigned i = 0; i < n->n; i++) {
        convert_number(c, &row, path, n->entries[i].value, &at[i]);
    }
    *ret_n = n->n;
}

static void convert_stages(struct rb_conversion *c, const char *path, const struct rb_node *n,
                           bool *at)
{
    struct rb_strings names = {NULL, 0};
    convert_texts(c, path, n, &names);
    memset(at, 0, RB_STAGE_COUNT * sizeof *at);
    for (unsigned i = 0; i < names.n; i++) {
        enum rb_stage stage = RB_STAGE_HELD;
        if (rb_stage_parse(names.items[i], &stage)) {
            at[stage] = true;
        } else {
            rb_problem_add(&c->problems, n->line, n->column,
                           "%s: '%.60s' is none of held, started, finished, refused", path,
                           names.items[i]);
        }
    }
}

static void convert_delay_member(struct rb_conversion *c, const char *path,
                                 const struct rb_node_entry *e, struct rb_delay *d, unsigned *forms)
{
    static const struct rb_key row = {.type = RB_KEY_DURATION};
    if (strcmp(e->key, "base") == 0) {
        *forms |= 1;
        convert_number(c, &row, path, e->value, &d->base_ms);
    } else if (strcmp(e->key, "cap") == 0) {
        *forms |= 1;
        convert_number(c, &row, path, e->value, &d->cap_ms);
    } else if (strcmp(e->key, "fixed") == 0) {
        *forms |= 2;
        d->kind = RB_DELAY_FIXED;
        d->n_list = 1;
        convert_number(c, &row, path, e->value, &d->list_ms[0]);
    } else if (strcmp(e->key, "list") == 0) {
        *forms |= 4;
        d->kind = RB_DELAY_LIST;
        convert_durations(c, path, e->value, d->list_ms, &d->n_list);
    } else {
        rb_problem_add(&c->problems, e->line, e->column,
                       "%s: there is no key '%s'; known here are base, cap, fixed, list", path,
                       rb_key_shown(&c->settings->arena, e->key));
    }
}

static void convert_delay(struct rb_conversion *c, const char *path, const struct rb_node *n,
                          struct rb_delay *d)
{
    if (n->kind != RB_NODE_MAP || n->n == 0) {
        expected(c, n, path, "{base: 30s, cap: 15m}, {fixed: 0s} or {list: [30s, 5m]}");
        return;
    }
    unsigned forms = 0;
    for (unsigned i = 0; i < n->n; i++) {
        convert_delay_member(c, path, &n->entries[i], d, &forms);
    }
    if (forms != 1 && forms != 2 && forms != 4 && forms != 0) {
        rb_problem_add(&c->problems, n->line, n->column,
                       "%s: {base, cap}, {fixed} and {list} exclude each other", path);
    } else if (d->kind == RB_DELAY_JITTER && d->cap_ms < d->base_ms) {
        rb_problem_add(&c->problems, n->line, n->column, "%s: cap is shorter than base", path);
    }
}

static void check_readable(struct rb_conversion *c, const char *path, const struct rb_node *n,
                           const char *file)
{
    if (file != NULL && access(file, R_OK) != 0) {
        struct rb_err err = {.code = RB_OK};
        (void)rb_err_errno(&err, RB_E_IO, errno, "cannot read '%s'", file);
        rb_problem_add(&c->problems, n->line, n->column, "%s: %s", path, err.msg);
    }
}

void rb_convert(struct rb_conversion *c, const struct rb_key *key, const char *path,
                const struct rb_node *n, void *base)
{
    void *at = (char *)base + key->offset;
    const char *text = NULL;
    switch (key->type) {
    case RB_KEY_TEXT:
    case RB_KEY_PATH:
        text = scalar(c, n, path, "a text");
        if (text != NULL && key->type == RB_KEY_PATH) {
            text = rb_resolve_path(c, text);
            check_readable(c, path, n, text);
        }
        if (text != NULL) {
            *(const char **)at = text;
        }
        break;
    case RB_KEY_DURATION:
    case RB_KEY_SIZE:
    case RB_KEY_INT:
    case RB_KEY_NUMBER:
        convert_number(c, key, path, n, at);
        break;
    case RB_KEY_BOOL:
        convert_bool(c, path, n, at);
        break;
    case RB_KEY_WORD:
        convert_word(c, key, path, n, at);
        break;
    case RB_KEY_TEXTS:
        convert_texts(c, path, n, at);
        break;
    case RB_KEY_DELAY:
        convert_delay(c, path, n, at);
        break;
    case RB_KEY_DURATIONS:
        convert_durations(c, path, n, at, (unsigned *)(void *)((char *)base + key->count_offset));
        break;
    case RB_KEY_STAGES:
        convert_stages(c, path, n, at);
        break;
    case RB_KEY_SECRET:
    case RB_KEY_SECRETS:
    case RB_KEY_MAP:
    case RB_KEY_LIST:
        break; /* secret.c and load.c */
    }
}

void rb_convert_fallback(struct rb_conversion *c, const struct rb_key *key, void *base)
{
    void *at = (char *)base + key->offset;
    if (key->fallback == NULL) {
        return;
    }
    if (key->type == RB_KEY_DELAY) {
        *(struct rb_delay *)at =
            (struct rb_delay){.kind = RB_DELAY_JITTER, .base_ms = 30000, .cap_ms = 900000};
    } else if (key->type == RB_KEY_STAGES) {
        for (unsigned i = 0; i < RB_STAGE_COUNT; i++) {
            ((bool *)at)[i] = true;
        }
    } else if (key->type == RB_KEY_SECRET) {
        *(struct rb_secret **)at = rb_secret_new(key->fallback, strlen(key->fallback));
    } else {
        const struct rb_node n = {.kind = RB_NODE_SCALAR, .text = key->fallback, .plain = true};
        rb_convert(c, key, key->name, &n, base);
    }
}

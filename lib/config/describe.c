/* describe.c - the schema as text, and what a reload changed. */
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/config.h>
#include <retrybuild/str.h>

#include "schema.h"

static void describe(const struct rb_key *keys, size_t n, struct rb_buf *path, struct rb_buf *out)
{
    for (size_t i = 0; i < n; i++) {
        const struct rb_key *k = &keys[i];
        size_t len = path->len;
        rb_buf_addf(path, "%s%s%s", len == 0 ? "" : ".", k->name,
                    k->type == RB_KEY_LIST ? "[]" : "");
        rb_buf_addf(out, "%s\t%s\t%s\t%s\t%s\n", rb_buf_str(path), rb_key_type_name(k->type),
                    k->fallback == NULL ? "" : k->fallback, k->reloadable ? "reload" : "restart",
                    k->help);
        describe(k->children, k->n_children, path, out);
        path->len = len;
        path->data[len] = '\0';
    }
}

void rb_config_describe(struct rb_buf *out)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf path = RB_BUF_INIT(1024);
    describe(rb_schema, rb_schema_len, &path, out);
}

/* ---- differences ---- */

static bool same_secret(const struct rb_secret *a, const struct rb_secret *b)
{
    if (a == NULL || b == NULL) {
        return a == b;
    }
    return rb_secret_equal(a, rb_secret_data(b), rb_secret_len(b));
}

static bool same_secrets(const struct rb_secrets *a, const struct rb_secrets *b)
{
    bool same = a->n == b->n;
    for (unsigned i = 0; same && i < a->n; i++) {
        same = a->items[i].not_after_ms == b->items[i].not_after_ms &&
               same_secret(a->items[i].secret, b->items[i].secret);
    }
    return same;
}

static bool same_texts(const struct rb_strings *a, const struct rb_strings *b)
{
    bool same = a->n == b->n;
    for (unsigned i = 0; same && i < a->n; i++) {
        same = strcmp(a->items[i], b->items[i]) == 0;
    }
    return same;
}

static void show_texts(struct rb_buf *out, const struct rb_strings *s)
{
    rb_buf_addc(out, '[');
    for (unsigned i = 0; i < s->n; i++) {
        rb_buf_addf(out, "%s%s", i == 0 ? "" : ", ", s->items[i]);
    }
    rb_buf_addc(out, ']');
}

/* show_text - a URL's user and password stay out. */
static void show_text(struct rb_buf *out, const char *s)
{
    const char *host = s == NULL ? NULL : strstr(s, "://");
    const char *at = host == NULL ? NULL : strrchr(host, '@');
    if (at == NULL) {
        rb_buf_adds(out, s == NULL ? "(absent)" : s);
        return;
    }
    rb_buf_add(out, s, (size_t)(host + 3 - s));
    rb_buf_addf(out, "***%s", at);
}

/* show_value - a value that is no secret, as text. */
static void show_value(struct rb_buf *out, const struct rb_key *k, const void *at)
{
    switch (k->type) {
    case RB_KEY_TEXT:
    case RB_KEY_PATH: {
        show_text(out, *(const char *const *)at);
        break;
    }
    case RB_KEY_DURATION:
    case RB_KEY_INT:
        rb_buf_addf(out, "%lld%s", (long long)*(const int64_t *)at,
                    k->type == RB_KEY_DURATION ? "ms" : "");
        break;
    case RB_KEY_SIZE:
        rb_buf_addu(out, *(const uint64_t *)at);
        break;
    case RB_KEY_NUMBER:
        rb_buf_addf(out, "%g", *(const double *)at);
        break;
    case RB_KEY_BOOL:
        rb_buf_adds(out, *(const bool *)at ? "true" : "false");
        break;
    case RB_KEY_WORD: {
        int v = 0;
        memcpy(&v, at, sizeof v);
        rb_buf_adds(out, k->words[v]);
        break;
    }
    case RB_KEY_TEXTS:
        show_texts(out, at);
        break;
    case RB_KEY_SECRET:
    case RB_KEY_SECRETS:
    case RB_KEY_DELAY:
    case RB_KEY_DURATIONS:
    case RB_KEY_STAGES:
    case RB_KEY_MAP:
    case RB_KEY_LIST:
        rb_buf_adds(out, "(value)");
        break;
    }
}

static bool same_value(const struct rb_key *k, const void *a_base, const void *b_base)
{
    const void *a = (const char *)a_base + k->offset;
    const void *b = (const char *)b_base + k->offset;
    switch (k->type) {
    case RB_KEY_SECRET:
        return same_secret(*(struct rb_secret *const *)a, *(struct rb_secret *const *)b);
    case RB_KEY_SECRETS:
        return same_secrets(a, b);
    case RB_KEY_DELAY:
        return memcmp(a, b, sizeof(struct rb_delay)) == 0;
    case RB_KEY_DURATIONS:
        return memcmp(a, b, sizeof(int64_t) * RB_DELAY_LIST_MAX) == 0 &&
               *(const unsigned *)(const void *)((const char *)a_base + k->count_offset) ==
                   *(const unsigned *)(const void *)((const char *)b_base + k->count_offset);
    case RB_KEY_STAGES:
        return memcmp(a, b, sizeof(bool) * RB_STAGE_COUNT) == 0;
    case RB_KEY_TEXTS:
        return same_texts(a, b);
    case RB_KEY_TEXT:
    case RB_KEY_PATH: /* what is not shown counts too */
        return rb_str_eq(*(const char *const *)a, *(const char *const *)b);
    case RB_KEY_DURATION:
    case RB_KEY_SIZE:
    case RB_KEY_INT:
    case RB_KEY_NUMBER:
    case RB_KEY_BOOL:
    case RB_KEY_WORD:
    case RB_KEY_MAP:
    case RB_KEY_LIST:
        break;
    }
    RB_CLEANUP(rb_buf_release) struct rb_buf ta = RB_BUF_INIT(65536);
    RB_CLEANUP(rb_buf_release) struct rb_buf tb = RB_BUF_INIT(65536);
    show_value(&ta, k, a);
    show_value(&tb, k, b);
    return strcmp(rb_buf_str(&ta), rb_buf_str(&tb)) == 0;
}

static void diff(const struct rb_key *keys, size_t n, const void *a, const void *b,
                 struct rb_buf *path, struct rb_buf *out);

static void diff_list(const struct rb_key *k, const void *a, const void *b, struct rb_buf *path,
                      struct rb_buf *out)
{
    unsigned na = *(const unsigned *)(const void *)((const char *)a + k->count_offset);
    unsigned nb = *(const unsigned *)(const void *)((const char *)b + k->count_offset);
    const char *ia = *(const char *const *)(const void *)((const char *)a + k->offset);
    const char *ib = *(const char *const *)(const void *)((const char *)b + k->offset);
    if (na != nb) {
        rb_buf_addf(out, "%s: %u entries -> %u\n", rb_buf_str(path), na, nb);
    }
    size_t len = path->len;
    for (unsigned i = 0; i < na && i < nb; i++) {
        rb_buf_addf(path, "[%u]", i);
        diff(k->children, k->n_children, ia + i * k->item_size, ib + i * k->item_size, path, out);
        path->len = len;
        path->data[len] = '\0';
    }
}

static void diff(const struct rb_key *keys, size_t n, const void *a, const void *b,
                 struct rb_buf *path, struct rb_buf *out)
{
    for (size_t i = 0; i < n; i++) {
        const struct rb_key *k = &keys[i];
        size_t len = path->len;
        rb_buf_addf(path, "%s%s", len == 0 ? "" : ".", k->name);
        if (k->type == RB_KEY_MAP) {
            diff(k->children, k->n_children, a, b, path, out);
        } else if (k->type == RB_KEY_LIST) {
            diff_list(k, a, b, path, out);
        } else if (!same_value(k, a, b)) {
            const char *note = k->reloadable ? "" : " (needs a restart)";
            if (k->type == RB_KEY_SECRET || k->type == RB_KEY_SECRETS || k->type == RB_KEY_DELAY ||
                k->type == RB_KEY_DURATIONS || k->type == RB_KEY_STAGES) {
                rb_buf_addf(out, "%s: changed%s\n", rb_buf_str(path), note);
            } else {
                rb_buf_addf(out, "%s: ", rb_buf_str(path));
                show_value(out, k, (const char *)a + k->offset);
                rb_buf_adds(out, " -> ");
                show_value(out, k, (const char *)b + k->offset);
                rb_buf_addf(out, "%s\n", note);
            }
        }
        path->len = len;
        if (path->data != NULL) {
            path->data[len] = '\0';
        }
    }
}

void rb_config_diff(const struct rb_settings *before, const struct rb_settings *after,
                    struct rb_buf *out)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf path = RB_BUF_INIT(1024);
    diff(rb_schema, rb_schema_len, before, after, &path, out);
}

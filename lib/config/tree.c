/* tree.c - libyaml's events into a tree with places. */
#include <string.h>

#include <yaml.h>

#include "tree.h"

#define DEPTH 12
#define ENTRIES_MAX 10000
#define NO_ANCHORS "anchors, aliases and tags are not read here; write the value out"

struct reader {
    yaml_parser_t parser;
    struct rb_arena *arena;
    struct rb_problem_list *problems;
    const char *text;
    size_t len;
    unsigned entries;
    bool failed;
};

static void fail(struct reader *r, const yaml_mark_t *at, const char *what)
{
    if (!r->failed) {
        rb_problem_add(r->problems, (unsigned)at->line + 1, (unsigned)at->column + 1, "%s", what);
    }
    r->failed = true;
}

/* char_at - the first byte of the @index-th character: libyaml counts characters. */
static char char_at(const struct reader *r, size_t index)
{
    for (size_t i = 0; i < r->len; i++) {
        if (((unsigned char)r->text[i] & 0xC0U) != 0x80U && index-- == 0) {
            return r->text[i];
        }
    }
    return '\0';
}

/* fail_in_text - what the parser itself refuses. Bytes that are no text have an offset instead of a
 * mark; a tab for indentation is the most common of the others. */
static void fail_in_text(struct reader *r)
{
    const yaml_parser_t *p = &r->parser;
    yaml_mark_t at = p->problem_mark;
    const char *what = p->problem == NULL ? "not YAML" : p->problem;
    if (p->error == YAML_READER_ERROR) {
        size_t offset = p->problem_offset < r->len ? p->problem_offset : r->len;
        const char *line = r->text;
        at = (yaml_mark_t){.line = 0};
        for (size_t i = 0; i < offset; i++) {
            if (r->text[i] == '\n') {
                at.line++;
                line = r->text + i + 1;
            }
        }
        at.column = (size_t)(r->text + offset - line);
        what = strstr(what, "UTF-8") != NULL ? "this is not UTF-8; save the file as UTF-8"
                                             : "a control character; take it out";
    } else if (p->error == YAML_SCANNER_ERROR && char_at(r, at.index) == '\t') {
        what = "a tab cannot stand here; indent with blanks";
    }
    fail(r, &at, what);
}

static bool next_event(struct reader *r, yaml_event_t *ret_e)
{
    if (r->failed) {
        return false;
    }
    if (yaml_parser_parse(&r->parser, ret_e) == 0) {
        fail_in_text(r);
        return false;
    }
    return true;
}

static struct rb_node *read_node(struct reader *r, yaml_event_t *e, unsigned depth);

static struct rb_node *new_node(struct reader *r, const yaml_event_t *e, enum rb_node_kind kind)
{
    struct rb_node *n = rb_arena_alloc(r->arena, sizeof *n);
    if (n == NULL) {
        fail(r, &e->start_mark, "the configuration is too large");
        return NULL;
    }
    n->kind = kind;
    n->line = (unsigned)e->start_mark.line + 1;
    n->column = (unsigned)e->start_mark.column + 1;
    return n;
}

/* append - grow the entries by doubling; the arena keeps the old ones until the end, which is cheap
 * for a file of at most 1 MiB. */
static struct rb_node_entry *append(struct reader *r, struct rb_node *n, const yaml_event_t *e)
{
    if ((n->n & (n->n - 1)) == 0) {
        unsigned cap = n->n == 0 ? 1 : n->n * 2;
        struct rb_node_entry *grown = rb_arena_alloc(r->arena, cap * sizeof *grown);
        if (grown != NULL && n->n > 0) {
            memcpy(grown, n->entries, n->n * sizeof *grown);
        }
        n->entries = grown;
    }
    if (n->entries == NULL || ++r->entries > ENTRIES_MAX) {
        fail(r, &e->start_mark, "the configuration is too large");
        return NULL;
    }
    struct rb_node_entry *entry = &n->entries[n->n++];
    entry->line = (unsigned)e->start_mark.line + 1;
    entry->column = (unsigned)e->start_mark.column + 1;
    return entry;
}

static void read_list(struct reader *r, struct rb_node *n, unsigned depth)
{
    yaml_event_t e;
    while (next_event(r, &e)) {
        bool end = e.type == YAML_SEQUENCE_END_EVENT;
        if (!end) {
            struct rb_node_entry *entry = append(r, n, &e);
            struct rb_node *value = read_node(r, &e, depth + 1);
            if (entry != NULL) {
                entry->value = value;
            }
        }
        yaml_event_delete(&e);
        if (end) {
            return;
        }
    }
}

static void read_key(struct reader *r, struct rb_node *n, const yaml_event_t *e)
{
    if (e->type != YAML_SCALAR_EVENT) {
        fail(r, &e->start_mark, "a key must be a word");
        return;
    }
    if (e->data.scalar.anchor != NULL || e->data.scalar.tag != NULL) {
        fail(r, &e->start_mark, NO_ANCHORS);
        return;
    }
    const char *key = (const char *)e->data.scalar.value;
    for (unsigned i = 0; i < n->n; i++) {
        if (strcmp(n->entries[i].key, key) == 0) {
            rb_problem_add(r->problems, (unsigned)e->start_mark.line + 1,
                           (unsigned)e->start_mark.column + 1,
                           "'%s' is given twice (first in line %u); take one of them out",
                           rb_key_shown(r->arena, key), n->entries[i].line);
        }
    }
    struct rb_node_entry *entry = append(r, n, e);
    if (entry != NULL) {
        entry->key = rb_arena_strdup(r->arena, key);
        if (entry->key == NULL) {
            fail(r, &e->start_mark, "the configuration is too large");
        }
    }
}

static void read_map(struct reader *r, struct rb_node *n, unsigned depth)
{
    yaml_event_t e;
    while (next_event(r, &e)) {
        bool end = e.type == YAML_MAPPING_END_EVENT;
        if (!end) {
            read_key(r, n, &e);
        }
        yaml_event_delete(&e);
        if (end || r->failed || !next_event(r, &e)) {
            return;
        }
        unsigned at = n->n - 1;
        struct rb_node *value = read_node(r, &e, depth + 1);
        n->entries[at].value = value;
        yaml_event_delete(&e);
    }
}

static struct rb_node *read_node(struct reader *r, yaml_event_t *e, unsigned depth)
{
    struct rb_node *n = NULL;
    if (depth > DEPTH) {
        fail(r, &e->start_mark, "nested too deeply; no key lies so deep");
        return NULL;
    }
    if (e->type == YAML_SCALAR_EVENT && e->data.scalar.anchor == NULL &&
        e->data.scalar.tag == NULL) {
        n = new_node(r, e, RB_NODE_SCALAR);
        if (n != NULL) {
            n->text = rb_arena_strdup(r->arena, (const char *)e->data.scalar.value);
            n->plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
        }
        if (n != NULL && (n->text == NULL || strlen(n->text) != e->data.scalar.length)) {
            fail(r, &e->start_mark, "a value holds a NUL byte or is too large");
        }
    } else if (e->type == YAML_SEQUENCE_START_EVENT && e->data.sequence_start.anchor == NULL &&
               e->data.sequence_start.tag == NULL) {
        n = new_node(r, e, RB_NODE_LIST);
        if (n != NULL) {
            read_list(r, n, depth);
        }
    } else if (e->type == YAML_MAPPING_START_EVENT && e->data.mapping_start.anchor == NULL &&
               e->data.mapping_start.tag == NULL) {
        n = new_node(r, e, RB_NODE_MAP);
        if (n != NULL) {
            read_map(r, n, depth);
        }
    } else {
        fail(r, &e->start_mark, NO_ANCHORS);
    }
    return n;
}

static struct rb_node *read_document(struct reader *r)
{
    struct rb_node *root = NULL;
    unsigned documents = 0;
    bool end = false;
    yaml_event_t e;
    while (!end && next_event(r, &e)) {
        end = e.type == YAML_STREAM_END_EVENT;
        if (e.type == YAML_DOCUMENT_START_EVENT && ++documents > 1) {
            fail(r, &e.start_mark, "a second document in one file; take out the line '---'");
        } else if (e.type == YAML_SCALAR_EVENT || e.type == YAML_SEQUENCE_START_EVENT ||
                   e.type == YAML_MAPPING_START_EVENT || e.type == YAML_ALIAS_EVENT) {
            root = read_node(r, &e, 0);
        }
        yaml_event_delete(&e);
    }
    if (r->failed) {
        return NULL;
    }
    if (rb_node_is_null(root)) { /* nothing but comments */
        root = rb_arena_alloc(r->arena, sizeof *root);
        if (root != NULL) {
            *root = (struct rb_node){.kind = RB_NODE_MAP, .line = 1, .column = 1};
        }
    }
    return root;
}

struct rb_node *rb_tree_read(const char *text, size_t len, struct rb_arena *a,
                             struct rb_problem_list *problems)
{
    if (len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) { /* some editors write the mark */
        text += 3;
        len -= 3;
    }
    struct reader r = {.arena = a, .problems = problems, .text = text, .len = len};
    if (yaml_parser_initialize(&r.parser) == 0) {
        rb_problem_add(problems, 0, 0, "no memory to read YAML");
        return NULL;
    }
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
    struct rb_node *root = read_document(&r);
    yaml_parser_delete(&r.parser);
    return root;
}

bool rb_node_is_null(const struct rb_node *n)
{
    return n == NULL ||
           (n->kind == RB_NODE_SCALAR && n->plain &&
            (n->text[0] == '\0' || strcmp(n->text, "~") == 0 || strcmp(n->text, "null") == 0));
}

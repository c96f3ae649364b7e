/* tree.h - a YAML document as a tree that remembers where each piece stood.
 *
 * Read by libyaml. Refused: anchors, aliases, tags, several documents, duplicate keys, more than
 * DEPTH levels. Everything lives in the arena. Threads: one. Blocks: never.
 */
#ifndef RB_CONFIG_TREE_H
#define RB_CONFIG_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include <retrybuild/mem.h>

#include "problems.h"

enum rb_node_kind { RB_NODE_SCALAR, RB_NODE_MAP, RB_NODE_LIST };

struct rb_node {
    enum rb_node_kind kind;
    unsigned line, column;         /* from 1 */
    const char *text;              /* SCALAR */
    bool plain;                    /* SCALAR without quotes: may be null, a number, true */
    struct rb_node_entry *entries; /* MAP, LIST */
    unsigned n;
};
struct rb_node_entry {
    const char *key; /* MAP */
    unsigned line, column;
    struct rb_node *value;
};

/* rb_tree_read - NULL with problems noted, or the root (an empty document is an empty map). */
struct rb_node *rb_tree_read(const char *text, size_t len, struct rb_arena *a,
                             struct rb_problem_list *problems);
bool rb_node_is_null(const struct rb_node *n); /* absent, "~", "null" or nothing, unquoted */

#endif

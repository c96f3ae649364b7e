/* convert.h - one value of the document into its place, by its row. Threads: one. Blocks: secrets
 * read files. */
#ifndef RB_CONFIG_CONVERT_H
#define RB_CONFIG_CONVERT_H

#include <retrybuild/settings.h>

#include "problems.h"
#include "schema.h"
#include "tree.h"

struct rb_conversion {
    struct rb_settings *settings; /* owns all strings */
    struct rb_problem_list problems;
};

/* rb_convert - @node into @base + key->offset; @path names it in messages. MAP and LIST are not for
 * this. */
void rb_convert(struct rb_conversion *c, const struct rb_key *key, const char *path,
                const struct rb_node *node, void *base);
/* rb_convert_fallback - the row's default. */
void rb_convert_fallback(struct rb_conversion *c, const struct rb_key *key, void *base);
/* rb_convert_secret - the forms KEY, KEY_file, KEY_env of @map; NULL when none is given. */
void rb_convert_secret(struct rb_conversion *c, const struct rb_key *key, const char *path,
                       const struct rb_node *map, void *base);
/* rb_expand - ${VAR} and ${VAR:-default}; NULL after a problem. */
const char *rb_expand(struct rb_conversion *c, const struct rb_node *node, const char *path);
/* rb_resolve_path - absolute, or below the configuration's folder. */
const char *rb_resolve_path(struct rb_conversion *c, const char *path);

#endif

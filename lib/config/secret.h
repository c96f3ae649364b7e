/* secret.h - secrets by value, file or environment. Threads: one. Blocks: reads files. */
#ifndef RB_CONFIG_SECRET_H
#define RB_CONFIG_SECRET_H

#include "convert.h"

/* rb_secret_form - the entry NAME (0), NAME_file (1) or NAME_env (2) of @map, or NULL. */
const struct rb_node_entry *rb_secret_form(const struct rb_node *map, const char *name,
                                           unsigned form);
void rb_convert_secrets(struct rb_conversion *c, const struct rb_key *key, const char *path,
                        const struct rb_node *n, void *base);

#endif

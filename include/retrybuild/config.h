/* config.h - YAML to settings, every problem at once.
 *
 * The schema is one table (name, type, default, unit, reloadable, description) in
 * lib/config/schema.c; the loader, check-config and the test that holds configs/retrybuild.yaml
 * against it read the same rows. Threads: any. Blocks: reads files.
 */
#ifndef RETRYBUILD_CONFIG_H
#define RETRYBUILD_CONFIG_H

#include <stdbool.h>

#include <retrybuild/buf.h>
#include <retrybuild/err.h>
#include <retrybuild/settings.h>

#define RB_CONFIG_MAX_BYTES (1024 * 1024)

struct rb_problem {
    unsigned line, column; /* 0 = not tied to a place */
    char *text;            /* what, where (key path) and what to write instead */
};
struct rb_problems {
    struct rb_problem *items;
    unsigned n;
    struct rb_settings *partial; /* what could be read all the same, so that other areas find their
                                    problems too; never to be run with. NULL: nothing */
};
void rb_problems_release(struct rb_problems *p);

/* rb_config_load - read @path (NULL: defaults and @state_dir only). On RB_E_INVALID every problem
 * found is in @ret_problems (always initialised; caller releases), with what could be read.
 * RB_E_NOT_FOUND, RB_E_IO: @err tells. */
enum rb_code rb_config_load(const char *path, struct rb_settings **ret_s,
                            struct rb_problems *ret_problems, struct rb_err *err);
/* rb_config_parse - the same from memory; @name is used in messages, @base_dir for relative paths.
 */
enum rb_code rb_config_parse(const char *text, size_t len, const char *name, const char *base_dir,
                             struct rb_settings **ret_s, struct rb_problems *ret_problems,
                             struct rb_err *err);
/* rb_config_place - where the key @path ("sources[1].type") stands in the file that @s came from,
 * or what stands around it; 0 when it is not written at all. For checks that need other areas. */
void rb_config_place(const struct rb_settings *s, const char *path, unsigned *ret_line,
                     unsigned *ret_column);
/* rb_config_item_keys - the keys written in item @i of the list at the top called @list, forms of
 * secrets without their ending; returns their number, at most @max. */
unsigned rb_config_item_keys(const struct rb_settings *s, const char *list, unsigned i,
                             const char **ret_keys, unsigned max);
/* rb_config_diff - one line per changed key ("rules[2].limit: 1 -> 2", secrets as "changed"); keys
 * that need a restart are marked. */
void rb_config_diff(const struct rb_settings *before, const struct rb_settings *after,
                    struct rb_buf *out);
/* rb_config_describe - the schema as text lines
 * "path<TAB>type<TAB>default<TAB>reloadable<TAB>description", for docs and tests. */
void rb_config_describe(struct rb_buf *out);
/* rb_config_json_schema - the schema as JSON Schema 2020-12, one line. */
void rb_config_json_schema(struct rb_buf *out);
/* rb_config_find - the file that `--config` absent means: RETRYBUILD_CONFIG,
 * /etc/retrybuild/retrybuild.yaml if it exists, else NULL. */
const char *rb_config_find(void);

#endif

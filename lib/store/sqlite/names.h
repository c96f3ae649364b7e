/* names.h - small numbers for repeated names, and the projects that were seen, kept in memory
 * beside their tables. Threads: the writer's.
 */
#ifndef RB_STORE_SQLITE_NAMES_H
#define RB_STORE_SQLITE_NAMES_H

#include <stddef.h>
#include <stdint.h>

#include <retrybuild/mem.h>

struct rb_sq_db;

struct rb_sq_name {
    const char *text; /* NULL = free slot */
    uint64_t hash;
    int64_t value;  /* number of a name; last_ms of a project */
    int64_t stored; /* of a project: the last_ms in the table */
};
struct rb_sq_map {
    struct rb_sq_name *slots;
    size_t n_slots, n;
    struct rb_arena arena; /* the texts */
};
struct rb_sq_names {
    struct rb_sq_map names;
    struct rb_sq_map projects; /* "account/region/project" */
};

void rb_sq_names_init(struct rb_sq_names *n);
void rb_sq_names_release(struct rb_sq_names *n);
/* rb_sq_names_undo - a transaction was rolled back: forget what it may have made. */
void rb_sq_names_undo(struct rb_sq_names *n);
/* rb_sq_name_id - number of @name, made when new; 0 for NULL or "" and when broken. */
int64_t rb_sq_name_id(struct rb_sq_db *db, const char *name);
/* rb_sq_name_find - 0 = nobody has used that name. */
int64_t rb_sq_name_find(struct rb_sq_db *db, const char *name);
/* rb_sq_project_seen - note it; written down at most every ten seconds. */
void rb_sq_project_seen(struct rb_sq_db *db, const char *account, const char *region,
                        const char *project, int64_t now_ms);
/* rb_sq_projects_flush - write down what is only in memory. */
void rb_sq_projects_flush(struct rb_sq_db *db);

#endif

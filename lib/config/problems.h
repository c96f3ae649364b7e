/* problems.h - collecting what is wrong, each with its place. Threads: one. */
#ifndef RB_CONFIG_PROBLEMS_H
#define RB_CONFIG_PROBLEMS_H

#include <retrybuild/config.h>
#include <retrybuild/mem.h>

#define RB_PROBLEMS_MAX 100

struct rb_problem_list {
    struct rb_problems *out;
};

/* rb_problem_add - beyond RB_PROBLEMS_MAX they are only counted as one "and more". */
void rb_problem_add(struct rb_problem_list *l, unsigned line, unsigned column, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* rb_problems_sort - by place; what has none comes first. */
void rb_problems_sort(struct rb_problem_list *l);
/* rb_key_shown - a key that somebody wrote, cut where it no longer looks like one: what follows a
 * forgotten blank may be a secret. In @a or @key itself. */
const char *rb_key_shown(struct rb_arena *a, const char *key);

#endif

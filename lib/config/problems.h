/* problems.h - collecting what is wrong, each with its place. Threads: one. */
#ifndef RB_CONFIG_PROBLEMS_H
#define RB_CONFIG_PROBLEMS_H

#include <retrybuild/config.h>

#define RB_PROBLEMS_MAX 100

struct rb_problem_list {
    struct rb_problems *out;
};

/* rb_problem_add - beyond RB_PROBLEMS_MAX they are only counted as one "and more". */
void rb_problem_add(struct rb_problem_list *l, unsigned line, unsigned column, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif

/* problems.h - load a configuration and print what is wrong with it. Threads: main. Blocks: reads
 * files. */
#ifndef RB_CLI_PROBLEMS_H
#define RB_CLI_PROBLEMS_H

#include <retrybuild/settings.h>

#include "cli.h"

/* rb_find_problems - RB_OK with settings. RB_E_INVALID: @ear was told each problem (line 0: not
 * tied to a place); other errors in @err. */
struct rb_problem_ear {
    void (*told)(void *arg, const char *file, unsigned line, unsigned column, const char *text);
    void *arg;
    bool strict; /* what rb_find_unreachable finds is a problem too */
};
enum rb_code rb_find_problems(const char *path, const struct rb_problem_ear *ear,
                              struct rb_settings **ret_s, struct rb_err *err);
/* rb_find_unreachable - tell @ear of URLs of sources and destinations that the address guard will
 * refuse whatever their names turn out to be. The service runs without them: what would go there
 * ends as dead. */
void rb_find_unreachable(const char *path, const struct rb_settings *s,
                         const struct rb_problem_ear *ear);
/* rb_find_weak - tell @ear of tokens and keys of callers that are short enough to be guessed. */
void rb_find_weak(const char *path, const struct rb_settings *s, const struct rb_problem_ear *ear);
/* rb_load_settings - RB_EXIT_OK with settings, or RB_EXIT_CONFIG after one line per problem on
 * standard error. @path NULL: defaults. */
int rb_load_settings(const struct rb_command *c, const char *path, struct rb_settings **ret_s);
/* rb_check_settings - the same, strict. */
int rb_check_settings(const struct rb_command *c, const char *path, struct rb_settings **ret_s);

#endif

/* hook_host.h - commands that were given on a git host: what only the host can say of them, and
 * what is shown there. */
#ifndef RB_HTTPD_HOOK_HOST_H
#define RB_HTTPD_HOOK_HOST_H

#include <retrybuild/command_run.h>

#include "hook_find.h"

/* In a front-door thread. */

/* rb_host_facts - permission of the actor, head of the pull request, what failed there. False: the
 * host did not tell, and nothing is allowed by it. A command of our own is marked as a bot's. */
bool rb_host_facts(const struct rb_finder *f, const struct rb_source_setting *s,
                   struct rb_command *c, struct rb_arena *a, struct rb_command_facts *ret_f);
/* rb_host_show - eyes on a comment whose command was taken up; a comment with what the person is to
 * know where nothing was started. What fails is logged. */
void rb_host_show(const struct rb_finder *f, const struct rb_source_setting *s,
                  const struct rb_command *c, const struct rb_command_facts *facts,
                  const struct rb_command_answer *answer);

#endif

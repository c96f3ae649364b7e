/* console.h - CodeBuild builds as git hosts and people name them: links to the console, names of
 * commit statuses.
 *
 * Both texts come from outside and may be anything. Strings of a result live in the arena handed
 * in. Threads: any. Blocks: never. Source: facts on integrations, 1.1.
 */
#ifndef RETRYBUILD_CONSOLE_H
#define RETRYBUILD_CONSOLE_H

#include <stdbool.h>

#include <retrybuild/mem.h>
#include <retrybuild/model.h>
#include <retrybuild/settings.h>

enum rb_link_kind {
    RB_LINK_NONE,   /* names no build */
    RB_LINK_BUILD,  /* project and id */
    RB_LINK_BATCH,  /* project and id of a batch build */
    RB_LINK_PUBLIC, /* of a public project: the uuid alone can be read */
};

struct rb_link {
    enum rb_link_kind kind;
    const char *region;  /* NULL = not said */
    const char *account; /* NULL = not said */
    const char *project;
    const char *id; /* project:uuid */
    const char *uuid;
};

/* rb_link_parse - @text is a URL of the console, or the ARN of a build or batch build. Only AWS's
 * own hosts count, over https and their own port, and those of @hosts (globs; any port, http too).
 * Percent-escapes are decoded once. The region is that of the ARN, else of the host, else of
 * `region=`. False: it names no build (or there is no memory), *ret_link is left alone. */
bool rb_link_parse(const char *text, const struct rb_strings *hosts, struct rb_arena *a,
                   struct rb_link *ret_link);

struct rb_context {
    const char *region, *project;
    bool batch;
};
/* rb_context_parse - "AWS CodeBuild <region> (<project>)", with "BuildBatch " before the region for
 * a batch build. */
bool rb_context_parse(const char *text, struct rb_arena *a, struct rb_context *ret_c);

#endif

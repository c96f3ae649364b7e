/* fuzz_command.c - libFuzzer target: whatever a person writes, every command has a verb, a target
 * that belongs to it or a trouble, and text in UTF-8 stays so. The first byte says which form it is
 * read as. */
#include <retrybuild/command.h>

#include "fuzz.h"

static void check(const struct rb_command *c)
{
    need((unsigned)c->verb < RB_COMMAND_VERB_COUNT);
    if (c->trouble != NULL) {
        need(c->trouble[0] != '\0');
        return;
    }
    need(c->target != RB_TARGET_BUILD || (c->build.id != NULL && c->build.project != NULL));
    bool named =
        c->target != RB_TARGET_NONE && c->target != RB_TARGET_LAST && c->target != RB_TARGET_FAILED;
    need(!named || (c->target_text != NULL && c->target_text[0] != '\0'));
    need(c->reason == NULL || rb_utf8_valid(c->reason, strlen(c->reason)));
    need(c->verb == RB_COMMAND_RETRY || (!c->force && !c->batch && !c->dry_run));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0) {
        return 0;
    }
    struct rb_command commands[4];
    struct rb_arena a;
    unsigned n = 0;
    bool bare = (data[0] & 1) != 0;
    rb_arena_init(&a, 1 << 20);
    enum rb_code rc = rb_command_parse((struct rb_slice){(const char *)data + 1, len - 1}, bare, &a,
                                       commands, 4, &n, NULL);
    need(rc == RB_OK || rc == RB_E_TOO_LARGE || rc == RB_E_NOMEM);
    need(rc == RB_OK ? n <= 4 && (!bare || n == 1) : n == 0);
    for (unsigned i = 0; i < n; i++) {
        check(&commands[i]);
    }
    rb_arena_release(&a);
    return 0;
}

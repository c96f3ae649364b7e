/* fuzz_console.c - libFuzzer target: a link or the name of a status gives nothing, or a build whose
 * parts are well formed and agree. */
#include <retrybuild/console.h>

#include "fuzz.h"

static void check_link(const struct rb_link *l, struct rb_arena *a)
{
    struct rb_build b = RB_BUILD_INIT;
    need(l->kind != RB_LINK_NONE && l->uuid != NULL && strlen(l->uuid) == 36);
    need((l->kind == RB_LINK_PUBLIC) == (l->id == NULL));
    if (l->id != NULL) {
        need(rb_build_parse_ref(l->id, a, &b, NULL) == RB_OK);
        need(strcmp(b.project, l->project) == 0 && rb_str_ends(l->id, l->uuid));
    }
    need(l->account == NULL || strlen(l->account) == 12);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const char *hosts[] = {"ci.example.net"};
    const struct rb_strings listed = {hosts, 1};
    struct rb_link link = {.kind = RB_LINK_NONE};
    struct rb_context context = {.region = NULL};
    struct rb_arena a;
    rb_arena_init(&a, 1 << 18);
    char *text = rb_arena_strndup(&a, (const char *)data, len);
    if (text != NULL && rb_link_parse(text, &listed, &a, &link)) {
        check_link(&link, &a);
    }
    if (text != NULL && rb_context_parse(text, &a, &context)) {
        need(context.region[0] != '\0' && context.project[0] != '\0');
    }
    rb_arena_release(&a);
    return 0;
}

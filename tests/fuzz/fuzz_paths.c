/* fuzz_paths.c - libFuzzer target: paths into a body that the operator describes. A line with the
 * path of the build, one with the status's; the rest is the body. */
#include "../../lib/source/paths.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct rb_slice in = input(data, len);
    struct rb_event event = {.kind = RB_EVENT_NONE};
    const char *key = NULL;
    struct rb_arena a;
    rb_arena_init(&a, 4 << 20);
    struct rb_slice build = take_line(&in), status = take_line(&in);
    struct rb_source_setting s = {.name = "x", .type = "generic"};
    s.paths.build = rb_arena_strndup(&a, build.ptr, build.len);
    s.paths.status = rb_arena_strndup(&a, status.ptr, status.len);
    need(s.paths.build != NULL && s.paths.status != NULL);
    bool good = rb_paths_check(&s, &key, NULL) == RB_OK;
    need(good || key != NULL);
    s.paths.status = s.paths.status[0] == '\0' ? NULL : s.paths.status;
    enum rb_code rc = rb_paths_parse(&s, in, &a, &event, NULL);
    need(rc == RB_OK || rc == RB_E_INVALID || rc == RB_E_TOO_LARGE || rc == RB_E_NOMEM);
    if (rc == RB_OK && good) {
        need(event.kind == RB_EVENT_NONE ? event.why != NULL : event.build.id != NULL);
        is_text(event.build.id);
        is_text(event.why);
    }
    rb_arena_release(&a);
    return 0;
}

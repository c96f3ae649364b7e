/* fuzz_hosts.c - libFuzzer target: whatever a git host's hook carries, its reader says what it
 * means or that it is nothing; what it names is well formed. The first byte says which host it is,
 * the line behind it which event. */
#include <strings.h>

#include <retrybuild/command.h>
#include <retrybuild/source.h>

#include "fuzz.h"

struct headers {
    const char *event, *type;
};

static const char *header_of(const void *arg, const char *name, unsigned *ret_n)
{
    static const char *const names[] = {"x-github-event", "x-event-key", "x-gitea-event-type",
                                        "x-forgejo-event-type"};
    const struct headers *h = arg;
    const char *value = strcmp(name, "content-type") == 0 ? h->type : NULL;
    for (size_t i = 0; i < RB_ARRAY_LEN(names); i++) {
        value = strcmp(name, names[i]) == 0 ? h->event : value;
    }
    if (ret_n != NULL) {
        *ret_n = value == NULL ? 0 : 1;
    }
    return value;
}

static void check(const struct rb_events *e)
{
    need(e->n > 0 || e->n_commands > 0 || e->ignored != NULL || e->answer != NULL);
    for (unsigned i = 0; i < e->n; i++) {
        const struct rb_event *ev = &e->items[i];
        struct rb_build parsed = RB_BUILD_INIT;
        struct rb_arena a;
        rb_arena_init(&a, 8192);
        need(ev->kind == RB_EVENT_FAILURE && ev->needs_inspection);
        need((ev->find == RB_FIND_NOTHING) == (ev->build.id != NULL));
        need(ev->build.id == NULL || rb_build_parse_ref(ev->build.id, &a, &parsed, NULL) == RB_OK);
        need(ev->find == RB_FIND_NOTHING || ev->build.resolved_version != NULL);
        rb_arena_release(&a);
    }
    for (unsigned i = 0; i < e->n_commands; i++) {
        need((unsigned)e->commands[i].verb < RB_COMMAND_VERB_COUNT && !e->commands[i].actor.bot);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const char *const types[] = {"github",           "gitlab", "bitbucket",
                                        "bitbucket-server", "gitea",  "forgejo"};
    char event[64];
    struct rb_arena a;
    struct rb_events events = {.n = 0};
    if (len == 0) {
        return 0;
    }
    const char *text = (const char *)data + 1;
    const char *line = memchr(text, '\n', len - 1);
    size_t event_len = line == NULL ? 0 : (size_t)(line - text);
    if (line == NULL || event_len >= sizeof(event)) {
        return 0;
    }
    memcpy(event, text, event_len);
    event[event_len] = '\0';
    const struct rb_source_setting s = {.name = "x", .type = types[data[0] % 6], .api.app_id = "9"};
    const struct headers h = {event, (data[0] & 0x80) != 0 ? "application/x-www-form-urlencoded"
                                                           : "application/json"};
    const struct rb_request req = {
        .method = "POST",
        .path = "/",
        .body = {line + 1, len - 2 - event_len},
        .header = header_of,
        .arg = &h,
        .now_ms = 1793714828000,
    };
    rb_arena_init(&a, 1 << 20);
    enum rb_code rc = rb_source_type_find(s.type)->parse(&s, &req, &a, &events, NULL);
    need(rc == RB_OK || rc == RB_E_INVALID || rc == RB_E_TOO_LARGE || rc == RB_E_NOMEM);
    if (rc == RB_OK) {
        check(&events);
    }
    rb_arena_release(&a);
    return 0;
}

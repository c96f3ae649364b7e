/* fuzz_source.c - target for the adapter RB_FUZZ_TYPE: proof and parsing of any request.
 *
 * The input is a body, with headers before it as "name: value" lines when it begins with one that
 * is known; a blank line ends them. Whatever it is, verify and parse give an answer; every text of
 * an event is UTF-8; an event that counts has a build.
 */
#include <retrybuild/command.h>
#include <retrybuild/source.h>

#include "fuzz.h"

#define HEADERS_MAX 16
#define LINE_MAX_BYTES 2048 /* tokens are long */

struct headers {
    char name[HEADERS_MAX][LINE_MAX_BYTES];
    char *value[HEADERS_MAX];
    unsigned n;
};

static const char *get_header(const void *arg, const char *name, unsigned *ret_n)
{
    const struct headers *h = arg;
    const char *found = NULL;
    unsigned n = 0;
    for (unsigned i = 0; i < h->n; i++) {
        if (rb_str_ieq(h->name[i], name)) {
            found = n++ == 0 ? h->value[i] : found;
        }
    }
    if (ret_n != NULL) {
        *ret_n = n;
    }
    return found;
}

/* take_headers - the lines before a blank one; returns their length, 0 when there are none. */
static size_t take_headers(const char *data, size_t len, struct headers *h)
{
    size_t at = 0;
    while (at < len && h->n < HEADERS_MAX) {
        const char *end = memchr(data + at, '\n', len - at);
        size_t line = end == NULL ? 0 : (size_t)(end - data) - at;
        if (end == NULL || line >= LINE_MAX_BYTES || memchr(data + at, '\0', line) != NULL) {
            return 0;
        }
        if (line == 0) {
            return at + 1;
        }
        memcpy(h->name[h->n], data + at, line);
        h->name[h->n][line] = '\0';
        char *colon = strstr(h->name[h->n], ": ");
        if (colon == NULL) {
            return 0;
        }
        *colon = '\0';
        h->value[h->n++] = colon + 2;
        at += line + 1;
    }
    return 0;
}

static void look(const struct rb_events *e)
{
    need(e->n <= RB_MAX_EVENTS);
    is_text(e->delivery_id);
    is_text(e->notice);
    need(e->n == 0 || e->confirm_query == NULL);
    for (unsigned i = 0; i < e->n; i++) {
        const struct rb_event *ev = &e->items[i];
        const char *texts[] = {ev->why,           ev->token,        ev->build.id,
                               ev->build.message, ev->build.branch, ev->build.repository};
        for (size_t k = 0; k < RB_ARRAY_LEN(texts); k++) {
            is_text(texts[k]);
        }
        need(ev->kind == RB_EVENT_NONE ? ev->why != NULL : ev->build.id != NULL);
    }
}

/* look_at_commands - of a person who is known, and no texts that are none. */
static void look_at_commands(const struct rb_events *e)
{
    need(e->n_commands <= RB_MAX_COMMANDS);
    for (unsigned i = 0; i < e->n_commands; i++) {
        const struct rb_command *c = &e->commands[i];
        const char *texts[] = {c->target_text, c->region,        c->reason, c->trouble,
                               c->actor.id,    c->place.channel, c->reply};
        for (size_t k = 0; k < RB_ARRAY_LEN(texts); k++) {
            is_text(texts[k]);
        }
        need((unsigned)c->verb < RB_COMMAND_VERB_COUNT && c->actor.id != NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const char *topics[] = {"*"};
    static struct headers h; /* too large for the stack of a fuzzer */
    static struct rb_secret_entry secret; /* made once: its memory is a mapping of its own */
    secret.secret = secret.secret == NULL ? rb_secret_new("key", 3) : secret.secret;
    struct rb_source_setting s = {
        .name = "one",
        .type = RB_FUZZ_TYPE,
        .secrets = {&secret, 1},
        .topics = {topics, 1},
        .audience = "1234567890",
        .public_key = "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8",
        .confirm = true,
        .paths = {"data.build", "p", "r", "jobs.1.account", "data.status", "data.token"},
    };
    struct rb_arena a;
    struct rb_events events = {.n = 0};
    struct rb_err err = {.code = RB_OK};
    const struct rb_source_type *type = rb_source_type_find(RB_FUZZ_TYPE);
    need(type != NULL && secret.secret != NULL);
    h.n = 0;
    size_t skip = take_headers((const char *)data, len, &h);
    h.n = skip == 0 ? 0 : h.n;
    char *body = text_of(data + skip, len - skip);
    const struct rb_request req = {
        .method = "POST",
        .path = "/v1/hooks/one",
        .body = {body, len - skip},
        .header = get_header,
        .arg = &h,
        .now_ms = 1793714830000,
    };
    rb_arena_init(&a, (size_t)8 << 20);
    if (type->certificate_url != NULL) {
        is_text(type->certificate_url(&s, &req, &a));
    }
    (void)type->verify(&s, &req, &err);
    enum rb_code rc = type->parse(&s, &req, &a, &events, &err);
    if (rc == RB_OK) {
        look(&events);
        look_at_commands(&events);
    } else {
        need(rc == RB_E_INVALID || rc == RB_E_TOO_LARGE || rc == RB_E_NOMEM);
    }
    rb_arena_release(&a);
    free(body);
    return 0;
}

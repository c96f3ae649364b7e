/* The end of a build's log in CloudWatch Logs. Where it is, the build itself says: group and stream
 * are settings of the project. The newest page comes first; older ones are asked for while there is
 * room, and while a page was empty, which CloudWatch Logs allows itself. */
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>

#include "internal.h"

#define PAGES_MAX 4
#define EVENTS_A_PAGE 1000
#define BODY_MAX_BYTES ((size_t)16 * 1024)
#define TEXT_MAX_BYTES ((size_t)PAGES_MAX * 8 * 1024 * 1024)

const struct rb_aws_service rb_aws_logs = {.name = "logs", .target = "Logs_20140328"};

struct place {
    const char *group, *stream;
};

/* The names stand in the log's own settings once the stream is there, or beside them. */
static const char *named(const json_t *logs, const char *member)
{
    const char *s = json_string_value(json_object_get(logs, member));

    if (s == NULL) {
        s = json_string_value(json_object_get(json_object_get(logs, "cloudWatchLogs"), member));
    }
    return s == NULL || s[0] == '\0' || rb_str_eq(s, "null") ? NULL : s;
}

static enum rb_code find_place(const json_t *build, const char *id, struct rb_arena *a,
                               struct place *ret_p, struct rb_err *err)
{
    const json_t *logs = json_object_get(build, "logs");
    const char *group = named(logs, "groupName");
    const char *stream = named(logs, "streamName");

    if (group == NULL || stream == NULL) {
        return rb_err_set(err, RB_E_NOT_FOUND, "build '%s' has no log in CloudWatch Logs", id);
    }
    *ret_p =
        (struct place){.group = rb_arena_strdup(a, group), .stream = rb_arena_strdup(a, stream)};
    return ret_p->group != NULL && ret_p->stream != NULL
               ? RB_OK
               : rb_err_set(err, RB_E_NOMEM, "no memory for the place of a log");
}

static enum rb_code ask_page(struct rb_codebuild *c, const char *region, const struct place *p,
                             const char *before, json_t **ret_page, struct rb_err *err)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf body = RB_BUF_INIT(BODY_MAX_BYTES);

    rb_buf_addc(&body, '{');
    rb_aws_add_member(&body, "logGroupName", p->group);
    rb_aws_add_member(&body, "logStreamName", p->stream);
    if (before != NULL) {
        rb_aws_add_member(&body, "nextToken", before);
    }
    rb_buf_addf(&body, ",\"limit\":%d,\"startFromHead\":false}", EVENTS_A_PAGE);
    if (rb_buf_failed(&body)) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a call of CloudWatch Logs");
    }
    const struct rb_aws_call call = {
        .service = &rb_aws_logs, .operation = "GetLogEvents", .region = region, .body = &body};
    return rb_aws_look_up(c, &call, ret_page, err);
}

static size_t page_bytes(const json_t *page)
{
    const json_t *e = NULL;
    size_t i = 0, n = 0;

    json_array_foreach(json_object_get(page, "events"), i, e)
    {
        n += json_string_length(json_object_get(e, "message")) + 1;
    }
    return n;
}

static void add_page(struct rb_buf *out, const json_t *page)
{
    const json_t *e = NULL;
    size_t i = 0;

    json_array_foreach(json_object_get(page, "events"), i, e)
    {
        const json_t *message = json_object_get(e, "message");
        size_t len = json_string_length(message);
        const char *s = json_string_value(message);
        while (len > 0 && (s[len - 1] == '\n' || s[len - 1] == '\r')) {
            len--;
        }
        rb_buf_add(out, s == NULL ? "" : s, len);
        rb_buf_addc(out, '\n');
    }
}

/* At most @max bytes of the end, from the beginning of a line when one begins there. */
static const char *cut(const char *text, size_t len, size_t max)
{
    if (len <= max) {
        return text;
    }
    const char *from = text + (len - max);
    const char *line = from[-1] == '\n' ? from : memchr(from, '\n', max);

    if (line == NULL || line[1] == '\0') {
        while (((unsigned char)*from & 0xc0) == 0x80) {
            from++; /* one long line: a whole character at least */
        }
        return from;
    }
    return line == from ? from : line + 1;
}

static enum rb_code read_tail(struct rb_codebuild *c, const char *region, const struct place *p,
                              size_t max_bytes, json_t **pages, unsigned *ret_n, struct rb_err *err)
{
    const char *before = NULL;
    size_t have = 0;

    for (unsigned n = 0; n < PAGES_MAX && have < max_bytes; n++) {
        enum rb_code rc = ask_page(c, region, p, before, &pages[n], err);
        if (rc != RB_OK) {
            return rc;
        }
        *ret_n = n + 1;
        have += page_bytes(pages[n]);
        const char *next = json_string_value(json_object_get(pages[n], "nextBackwardToken"));
        if (next == NULL || rb_str_eq(next, before)) {
            break; /* the same token again: the beginning is reached */
        }
        before = next;
    }
    return RB_OK;
}

enum rb_code rb_codebuild_log_tail(struct rb_codebuild *c, const char *region, const char *id,
                                   size_t max_bytes, struct rb_arena *a, const char **ret_text,
                                   struct rb_err *err)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(TEXT_MAX_BYTES);
    RB_CLEANUP(rb_json_decrefp) json_t *build = NULL;
    json_t *pages[PAGES_MAX] = {NULL};
    struct place p = {.group = NULL};
    unsigned n = 0;

    enum rb_code rc = rb_codebuild_read(c, region, id, &build, err);
    if (rc == RB_OK) {
        rc = find_place(build, id, a, &p, err);
    }
    if (rc == RB_OK) {
        rc = read_tail(c, region, &p, max_bytes, pages, &n, err);
    }
    for (unsigned i = n; i > 0; i--) {
        add_page(&text, pages[i - 1]);
    }
    for (unsigned i = 0; i < PAGES_MAX; i++) {
        json_decref(pages[i]);
    }
    if (rc != RB_OK) {
        return rc;
    }
    const char *kept = rb_buf_failed(&text)
                           ? NULL
                           : rb_arena_strdup(a, cut(rb_buf_str(&text), text.len, max_bytes));
    if (kept == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the log of '%s'", id);
    }
    *ret_text = kept;
    return RB_OK;
}

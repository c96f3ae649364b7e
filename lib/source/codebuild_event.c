/* codebuild_event.c - the event "CodeBuild Build State Change", read in one pass.
 *
 * Members come in any order, so the walk only collects: texts that the model keeps go to the arena,
 * everything else stays where it is in the body or is skipped, though all of it is validated.
 * Values of environment variables are in these events: no row here names them. What an object may
 * hold is a table of rows; a member of another type than expected counts as absent. When the walk
 * is over, `judge` says what the event means.
 */
#include <stddef.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>
#include <retrybuild/timefmt.h>

#include "codebuild_event.h"

#define DETAIL_TYPE "CodeBuild Build State Change"
#define ID_MAX_BYTES 256
#define TEXT_MAX_BYTES 1024 /* a longer text is no name of anything: absent */
#define URL_MAX_BYTES 2048
#define JOINED_MAX_BYTES 8192 /* of the contexts, before the message is cut */
#define CONTEXTS_MAX 8

struct phase {
    struct rb_json_token type, status, start, end;
    struct rb_json_token contexts[CONTEXTS_MAX];
    unsigned n_contexts;
};

struct walk {
    struct rb_json_reader reader;
    struct rb_arena *arena;
    struct rb_build build;
    const char *id, *detail_type, *source, *account, *region, *time;
    const char *build_id, *build_started;
    bool has_detail;
    struct phase phase;         /* being read */
    struct rb_json_token ended; /* start of COMPLETED */
    struct rb_json_token last_end;
};

/* One member: read by @read, or else a text of at most @max bytes that goes to @offset. */
struct member {
    const char *name;
    size_t offset;
    size_t max;
    enum rb_code (*read)(struct walk *w, struct rb_err *err);
};

#define TEXT(name, member, max)                        \
    {                                                  \
        name, offsetof(struct walk, member), max, NULL \
    }
#define VALUE(name, read) \
    {                     \
        name, 0, 0, read  \
    }

/* drain - the rest of the container that @t opened; nothing for other tokens. */
static enum rb_code drain(struct walk *w, const struct rb_json_token *t, struct rb_err *err)
{
    if (t->type != RB_JSON_OBJECT_BEGIN && t->type != RB_JSON_ARRAY_BEGIN) {
        return RB_OK;
    }
    uint32_t depth = w->reader.depth;
    while (w->reader.depth >= depth) {
        struct rb_json_token inner;
        enum rb_code rc = rb_json_next(&w->reader, &inner, err);
        if (rc != RB_OK) {
            return rc;
        }
    }
    return RB_OK;
}

static enum rb_code exhausted(struct rb_err *err)
{
    return rb_err_set(err, RB_E_NOMEM, "no memory for the texts of an event");
}

/* read_token - one value; *ret_t is a string or is cleared. */
static enum rb_code read_token(struct walk *w, struct rb_json_token *ret_t, struct rb_err *err)
{
    struct rb_json_token t;
    enum rb_code rc = rb_json_next(&w->reader, &t, err);
    if (rc != RB_OK) {
        return rc;
    }
    *ret_t = t.type == RB_JSON_STRING ? t : (struct rb_json_token){.type = RB_JSON_NULL};
    return drain(w, &t, err);
}

static enum rb_code read_text(struct walk *w, const struct member *m, struct rb_err *err)
{
    struct rb_json_token t;
    enum rb_code rc = read_token(w, &t, err);
    if (rc != RB_OK || t.type != RB_JSON_STRING || t.raw.len == 0 || t.raw.len > m->max) {
        return rc;
    }
    const char *text = rb_json_dup(&t, w->arena);
    if (text == NULL) {
        return exhausted(err);
    }
    memcpy((char *)w + m->offset, &text, sizeof(text));
    return RB_OK;
}

static enum rb_code read_member(struct walk *w, const struct rb_json_token *key,
                                const struct member *rows, size_t n, struct rb_err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (rb_json_key_is(key, rows[i].name)) {
            return rows[i].read != NULL ? rows[i].read(w, err) : read_text(w, &rows[i], err);
        }
    }
    return rb_json_skip(&w->reader, err);
}

/* read_open_object - the members behind a '{' that was read already. */
static enum rb_code read_open_object(struct walk *w, const struct member *rows, size_t n,
                                     struct rb_err *err)
{
    for (;;) {
        struct rb_json_token t;
        enum rb_code rc = rb_json_next(&w->reader, &t, err);
        if (rc == RB_OK && t.type == RB_JSON_KEY) {
            rc = read_member(w, &t, rows, n, err);
        }
        if (rc != RB_OK || t.type == RB_JSON_OBJECT_END) {
            return rc;
        }
    }
}

static enum rb_code read_object(struct walk *w, const struct member *rows, size_t n,
                                bool *ret_is_object, struct rb_err *err)
{
    struct rb_json_token t;
    enum rb_code rc = rb_json_next(&w->reader, &t, err);
    if (rc != RB_OK) {
        return rc;
    }
    *ret_is_object = t.type == RB_JSON_OBJECT_BEGIN;
    return *ret_is_object ? read_open_object(w, rows, n, err) : drain(w, &t, err);
}

/* ---- phases ---- */
static enum rb_code read_phase_type(struct walk *w, struct rb_err *err)
{
    return read_token(w, &w->phase.type, err);
}

static enum rb_code read_phase_status(struct walk *w, struct rb_err *err)
{
    return read_token(w, &w->phase.status, err);
}

static enum rb_code read_phase_start(struct walk *w, struct rb_err *err)
{
    return read_token(w, &w->phase.start, err);
}

static enum rb_code read_phase_end(struct walk *w, struct rb_err *err)
{
    return read_token(w, &w->phase.end, err);
}

static enum rb_code read_phase_context(struct walk *w, struct rb_err *err)
{
    struct rb_json_token t;
    enum rb_code rc = rb_json_next(&w->reader, &t, err);
    if (rc != RB_OK || t.type != RB_JSON_ARRAY_BEGIN) {
        return rc != RB_OK ? rc : drain(w, &t, err);
    }
    while ((rc = rb_json_next(&w->reader, &t, err)) == RB_OK && t.type != RB_JSON_ARRAY_END) {
        if (t.type == RB_JSON_STRING && w->phase.n_contexts < CONTEXTS_MAX) {
            w->phase.contexts[w->phase.n_contexts++] = t;
        }
        rc = drain(w, &t, err);
        if (rc != RB_OK) {
            return rc;
        }
    }
    return rc;
}

static const struct member phase_members[] = {
    VALUE("phase-type", read_phase_type),       VALUE("phase-status", read_phase_status),
    VALUE("start-time", read_phase_start),      VALUE("end-time", read_phase_end),
    VALUE("phase-context", read_phase_context),
};

static bool is_noise(char c)
{
    return c == ' ' || c == ':' || c == '\n' || c == '\r' || c == '\t';
}

/* cut_raw - @t with at most @max bytes of its raw text, never in the middle of an escape. */
static struct rb_json_token cut_raw(struct rb_json_token t, size_t max)
{
    size_t n = 0;
    while (n < t.raw.len) {
        size_t step = 1;
        if (t.raw.ptr[n] == '\\') {
            step = t.raw.ptr[n + 1] == 'u' ? 6 : 2;
            bool high = step == 6 && (t.raw.ptr[n + 2] | 0x20) == 'd' &&
                        strchr("89abAB", t.raw.ptr[n + 3]) != NULL;
            step = high ? 12 : step;
        }
        if (n + step > max) {
            break;
        }
        n += step;
    }
    while (n > 0 && n < t.raw.len && ((unsigned char)t.raw.ptr[n] & 0xC0U) == 0x80U) {
        n--;
    }
    t.raw.len = n;
    return t;
}

/* join_contexts - what the phase says, without the ": " that AWS writes for nothing. */
static enum rb_code join_contexts(struct walk *w, struct rb_err *err)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf joined = RB_BUF_INIT(2 * JOINED_MAX_BYTES);
    for (unsigned i = 0; i < w->phase.n_contexts && joined.len < JOINED_MAX_BYTES; i++) {
        struct rb_json_token t = cut_raw(w->phase.contexts[i], JOINED_MAX_BYTES - joined.len);
        struct rb_slice s = t.raw;
        if (t.escaped) {
            s = rb_slice_str(rb_json_dup(&t, w->arena));
            if (s.ptr == NULL) {
                return exhausted(err);
            }
        }
        while (s.len > 0 && is_noise(s.ptr[0])) {
            s.ptr++;
            s.len--;
        }
        while (s.len > 0 && is_noise(s.ptr[s.len - 1])) {
            s.len--;
        }
        if (s.len > 0 && joined.len > 0) {
            rb_buf_adds(&joined, "; ");
        }
        rb_buf_add(&joined, s.ptr, s.len);
    }
    if (joined.len > 0 && !rb_buf_failed(&joined)) {
        w->build.message = rb_arena_strndup(w->arena, joined.data, joined.len);
    }
    return rb_buf_failed(&joined) || (joined.len > 0 && w->build.message == NULL) ? exhausted(err)
                                                                                  : RB_OK;
}

static bool is_string(const struct rb_json_token *t)
{
    return t->type == RB_JSON_STRING && t->raw.len > 0;
}

/* says - whether the string @t reads @text, however it is escaped. */
static bool says(struct rb_json_token t, const char *text)
{
    t.type = RB_JSON_KEY;
    return rb_json_key_is(&t, text);
}

/* keep_phase - the phase that failed first is the one the model knows. */
static enum rb_code keep_phase(struct walk *w, struct rb_err *err)
{
    const struct phase *p = &w->phase;
    if (is_string(&p->end)) {
        w->last_end = p->end;
    }
    if (is_string(&p->type) && says(p->type, "COMPLETED")) {
        w->ended = p->start;
    }
    if (w->build.phase != NULL || !is_string(&p->status) || !is_string(&p->type) ||
        says(p->status, "SUCCEEDED") || p->type.raw.len > TEXT_MAX_BYTES ||
        p->status.raw.len > TEXT_MAX_BYTES) {
        return RB_OK;
    }
    w->build.phase = rb_json_dup(&p->type, w->arena);
    w->build.phase_status = rb_json_dup(&p->status, w->arena);
    if (w->build.phase == NULL || w->build.phase_status == NULL) {
        return exhausted(err);
    }
    return join_contexts(w, err);
}

static enum rb_code read_phases(struct walk *w, struct rb_err *err)
{
    struct rb_json_token t;
    enum rb_code rc = rb_json_next(&w->reader, &t, err);
    if (rc != RB_OK || t.type != RB_JSON_ARRAY_BEGIN) {
        return rc != RB_OK ? rc : drain(w, &t, err);
    }
    while ((rc = rb_json_next(&w->reader, &t, err)) == RB_OK && t.type != RB_JSON_ARRAY_END) {
        if (t.type == RB_JSON_OBJECT_BEGIN) {
            w->phase.type.type = w->phase.status.type = RB_JSON_NULL;
            w->phase.start.type = w->phase.end.type = RB_JSON_NULL;
            w->phase.n_contexts = 0;
            rc = read_open_object(w, phase_members, RB_ARRAY_LEN(phase_members), err);
            rc = rc == RB_OK ? keep_phase(w, err) : rc;
        } else {
            rc = drain(w, &t, err);
        }
        if (rc != RB_OK) {
            return rc;
        }
    }
    return rc;
}

/* ---- detail ---- */
static enum rb_code read_number(struct walk *w, struct rb_err *err)
{
    struct rb_json_token t;
    enum rb_code rc = rb_json_next(&w->reader, &t, err);
    if (rc != RB_OK) {
        return rc;
    }
    int64_t v = 0;
    if (t.type == RB_JSON_NUMBER && rb_json_int(&t, &v) && v > 0) {
        w->build.number = v;
    }
    return drain(w, &t, err);
}

static const struct member source_members[] = {
    TEXT("type", build.source_type, TEXT_MAX_BYTES),
    TEXT("location", build.repository, TEXT_MAX_BYTES),
};

static enum rb_code read_source(struct walk *w, struct rb_err *err)
{
    bool is_object = false;
    return read_object(w, source_members, RB_ARRAY_LEN(source_members), &is_object, err);
}

static const struct member log_members[] = {TEXT("deep-link", build.url, URL_MAX_BYTES)};

static enum rb_code read_logs(struct walk *w, struct rb_err *err)
{
    bool is_object = false;
    return read_object(w, log_members, RB_ARRAY_LEN(log_members), &is_object, err);
}

static const struct member information_members[] = {
    VALUE("phases", read_phases),
    VALUE("build-number", read_number),
    TEXT("initiator", build.initiator, TEXT_MAX_BYTES),
    TEXT("build-start-time", build_started, TEXT_MAX_BYTES),
    VALUE("source", read_source),
    TEXT("source-version", build.source_version, TEXT_MAX_BYTES),
    VALUE("logs", read_logs),
};

static enum rb_code read_information(struct walk *w, struct rb_err *err)
{
    bool is_object = false;
    return read_object(w, information_members, RB_ARRAY_LEN(information_members), &is_object, err);
}

static const struct member detail_members[] = {
    TEXT("build-status", build.status, TEXT_MAX_BYTES),
    TEXT("build-id", build_id, TEXT_MAX_BYTES),
    VALUE("additional-information", read_information),
};

static enum rb_code read_detail(struct walk *w, struct rb_err *err)
{
    if (w->detail_type != NULL && !rb_str_eq(w->detail_type, DETAIL_TYPE)) {
        w->has_detail = true; /* its name is reason enough */
        return rb_json_skip(&w->reader, err);
    }
    return read_object(w, detail_members, RB_ARRAY_LEN(detail_members), &w->has_detail, err);
}

static const struct member event_members[] = {
    TEXT("id", id, ID_MAX_BYTES),
    TEXT("detail-type", detail_type, TEXT_MAX_BYTES),
    TEXT("detailType", detail_type, TEXT_MAX_BYTES), /* CodeStar Notifications */
    TEXT("source", source, TEXT_MAX_BYTES),
    TEXT("account", account, TEXT_MAX_BYTES),
    TEXT("time", time, TEXT_MAX_BYTES),
    TEXT("region", region, TEXT_MAX_BYTES),
    VALUE("detail", read_detail),
};

/* ---- meaning ---- */
static int64_t us_time(struct walk *w, const struct rb_json_token *t)
{
    int64_t ms = 0;
    if (!is_string(t) || t->raw.len > TEXT_MAX_BYTES) {
        return 0;
    }
    struct rb_slice s = t->escaped ? rb_slice_str(rb_json_dup(t, w->arena)) : t->raw;
    return s.ptr != NULL && rb_time_parse_aws_us(s, &ms) ? ms : 0;
}

/* fill_reference - the ARN's account and region count; a short id takes those of the envelope. */
static enum rb_code fill_reference(struct walk *w, struct rb_err *err)
{
    const char *ref = w->build_id;
    if (ref != NULL && !rb_str_starts(ref, "arn:") && w->account != NULL && w->region != NULL) {
        ref = rb_arena_printf(w->arena, "arn:aws:codebuild:%s:%s:build/%s", w->region, w->account,
                              ref);
        if (ref == NULL) {
            return exhausted(err);
        }
    }
    enum rb_code rc = rb_build_parse_ref(ref, w->arena, &w->build, err);
    if (rc == RB_OK && w->build.account == NULL) {
        return rb_err_set(err, RB_E_INVALID, "a build id without account and region");
    }
    return rc;
}

static bool is_link(const char *url)
{
    if (!rb_str_starts(url, "https://")) {
        return false;
    }
    for (const char *p = url; *p != '\0'; p++) {
        if ((unsigned char)*p <= ' ' || *p == '"' || *p == '<' || *p == '>' || *p == '\x7f') {
            return false;
        }
    }
    return true;
}

static void fill_build(struct walk *w, struct rb_event *ev)
{
    struct rb_build *b = &w->build;
    if (b->url != NULL && !is_link(b->url)) {
        b->url = NULL;
    }
    if (w->build_started != NULL) {
        (void)rb_time_parse_aws_us(rb_slice_str(w->build_started), &b->started_ms);
    }
    b->ended_ms = us_time(w, &w->ended);
    if (b->ended_ms == 0) {
        b->ended_ms = us_time(w, &w->last_end);
    }
    if (b->ended_ms == 0) {
        b->ended_ms = ev->at_ms;
    }
    rb_build_derive(b, w->arena);
}

static enum rb_code none(struct rb_event *ev, const char *why, struct rb_err *err)
{
    if (why == NULL) {
        return exhausted(err);
    }
    ev->kind = RB_EVENT_NONE;
    ev->why = why;
    return RB_OK;
}

static enum rb_code judge(struct walk *w, struct rb_event *ev, struct rb_err *err)
{
    static const char *const other_ends[] = {"SUCCEEDED", "STOPPED"};
    const char *status = w->build.status;
    if (!w->has_detail) {
        return none(ev, "the body is JSON, but not an event: no usable build", err);
    }
    if (w->source == NULL || !rb_str_eq(w->source, "aws.codebuild")) {
        return none(ev, "the event's source is not aws.codebuild", err);
    }
    if (w->detail_type == NULL) {
        return none(ev, "the event has no detail-type", err);
    }
    if (!rb_str_eq(w->detail_type, DETAIL_TYPE)) {
        return none(
            ev, rb_arena_printf(w->arena, "detail-type '%.100s' is not followed", w->detail_type),
            err);
    }
    if (status == NULL) {
        return none(ev, "the event has no build-status", err);
    }
    if (rb_str_eq(status, "IN_PROGRESS")) {
        return none(ev, "the build is in progress", err);
    }
    bool ended = rb_str_eq(status, other_ends[0]) || rb_str_eq(status, other_ends[1]);
    if (!ended && !rb_build_failed(&w->build)) {
        return none(ev, rb_arena_printf(w->arena, "build-status '%.100s' is not known", status),
                    err);
    }
    enum rb_code rc = fill_reference(w, NULL);
    if (rc == RB_E_INVALID) {
        return none(ev, "the event has no usable build id", err);
    }
    if (rc != RB_OK) {
        return exhausted(err);
    }
    fill_build(w, ev);
    ev->kind = ended ? RB_EVENT_ENDED : RB_EVENT_FAILURE;
    ev->needs_inspection = !ended && w->build.phase == NULL;
    ev->build = w->build;
    return RB_OK;
}

enum rb_code rb_codebuild_event_parse(struct rb_slice body, struct rb_arena *a,
                                      struct rb_event *ret_event, const char **ret_id,
                                      struct rb_err *err)
{
    struct walk w;
    memset(&w.arena, 0, sizeof(w) - offsetof(struct walk, arena)); /* the reader clears itself */
    rb_json_reader_init(&w.reader, body.ptr, body.len);
    w.arena = a;
    w.build = (struct rb_build)RB_BUILD_INIT;
    w.ended.type = w.last_end.type = RB_JSON_NULL;
    bool is_object = false;
    enum rb_code rc = read_object(&w, event_members, RB_ARRAY_LEN(event_members), &is_object, err);
    if (rc == RB_OK) {
        rc = rb_json_finish(&w.reader, err);
    }
    if (rc != RB_OK) {
        return rc;
    }
    struct rb_event ev = {.build = RB_BUILD_INIT};
    if (w.time != NULL) {
        (void)rb_time_parse_iso(rb_slice_str(w.time), &ev.at_ms);
    }
    rc = judge(&w, &ev, err);
    if (rc == RB_OK) {
        *ret_event = ev;
        *ret_id = w.id;
    }
    return rc;
}

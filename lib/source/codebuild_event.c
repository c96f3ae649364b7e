/* codebuild_event.c - the event "CodeBuild Build State Change", read in one pass.
 *
 * Members come in any order, so the walk only collects: texts that the model keeps go to the arena,
 * everything else stays where it is in the body or is skipped, though all of it is validated.
 * Values of environment variables are in these events: no row here names them. When the walk is
 * over, `judge` says what the event means.
 */
#include <retrybuild/timefmt.h>

#include "codebuild_walk.h"

#define DETAIL_TYPE "CodeBuild Build State Change"
#define ID_MAX_BYTES 256
#define URL_MAX_BYTES 2048

static enum rb_code read_number(struct walk *w, const struct rb_json_token *t, struct rb_err *err)
{
    int64_t v = 0;
    if (t->type == RB_JSON_NUMBER && rb_json_int(t, &v) && v > 0) {
        w->build.number = v;
    }
    return rb_walk_drain(w, t, err);
}

static const struct member source_members[] = {
    TEXT("location", build.repository, TEXT_MAX_BYTES),
    TEXT("type", build.source_type, TEXT_MAX_BYTES),
};

static enum rb_code read_source(struct walk *w, const struct rb_json_token *t, struct rb_err *err)
{
    return rb_walk_object(w, t, source_members, RB_ARRAY_LEN(source_members), err);
}

static const struct member log_members[] = {TEXT("deep-link", build.url, URL_MAX_BYTES)};

static enum rb_code read_logs(struct walk *w, const struct rb_json_token *t, struct rb_err *err)
{
    return rb_walk_object(w, t, log_members, RB_ARRAY_LEN(log_members), err);
}

static const struct member information_members[] = {
    VALUE("build-number", read_number),
    TEXT("initiator", build.initiator, TEXT_MAX_BYTES),
    TEXT("build-start-time", build_started, TEXT_MAX_BYTES),
    VALUE("source", read_source),
    TEXT("source-version", build.source_version, TEXT_MAX_BYTES),
    VALUE("logs", read_logs),
    VALUE("phases", rb_walk_phases),
};

static enum rb_code read_information(struct walk *w, const struct rb_json_token *t,
                                     struct rb_err *err)
{
    return rb_walk_object(w, t, information_members, RB_ARRAY_LEN(information_members), err);
}

static const struct member detail_members[] = {
    TEXT("build-status", build.status, TEXT_MAX_BYTES),
    TEXT("build-id", build_id, TEXT_MAX_BYTES),
    VALUE("additional-information", read_information),
};

static enum rb_code read_detail(struct walk *w, const struct rb_json_token *t, struct rb_err *err)
{
    if (w->detail_type != NULL && !rb_str_eq(w->detail_type, DETAIL_TYPE)) {
        w->has_detail = true; /* its name is reason enough */
        return rb_walk_drain(w, t, err);
    }
    w->has_detail = t->type == RB_JSON_OBJECT_BEGIN;
    return rb_walk_object(w, t, detail_members, RB_ARRAY_LEN(detail_members), err);
}

static enum rb_code read_specversion(struct walk *w, const struct rb_json_token *t,
                                     struct rb_err *err)
{
    w->cloud_event = true;
    return rb_walk_drain(w, t, err);
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
    /* what an input transformer makes of it, and a detail without its envelope */
    TEXT("build", flat_build, TEXT_MAX_BYTES),
    TEXT("build-id", flat_build, TEXT_MAX_BYTES),
    TEXT("build_id", flat_build, TEXT_MAX_BYTES),
    TEXT("buildId", flat_build, TEXT_MAX_BYTES),
    TEXT("status", flat_status, TEXT_MAX_BYTES),
    TEXT("build-status", flat_status, TEXT_MAX_BYTES),
    TEXT("build_status", flat_status, TEXT_MAX_BYTES),
    TEXT("buildStatus", flat_status, TEXT_MAX_BYTES),
    TEXT("project", flat_project, TEXT_MAX_BYTES),
    TEXT("project-name", flat_project, TEXT_MAX_BYTES),
    TEXT("project_name", flat_project, TEXT_MAX_BYTES),
    TEXT("projectName", flat_project, TEXT_MAX_BYTES),
    TEXT("event-id", id, ID_MAX_BYTES),
    TEXT("event_id", id, ID_MAX_BYTES),
    TEXT("eventId", id, ID_MAX_BYTES),
    VALUE("additional-information", read_information),
    VALUE("specversion", read_specversion),
};

static int64_t us_time(struct walk *w, const struct rb_json_token *t)
{
    int64_t ms = 0;
    if (!rb_walk_is_string(t) || t->raw.len > TEXT_MAX_BYTES) {
        return 0;
    }
    struct rb_slice s = t->escaped ? rb_slice_str(rb_json_dup(t, w->arena)) : t->raw;
    return s.ptr != NULL && rb_time_parse_aws_us(s, &ms) ? ms : 0;
}

/* fill_reference - the ARN's account and region count; a short id takes those of the envelope.
 * Without an envelope they may be unknown. */
static enum rb_code fill_reference(struct walk *w, struct rb_err *err)
{
    const char *ref = w->build_id;
    if (ref != NULL && !rb_str_starts(ref, "arn:") && w->account != NULL && w->region != NULL) {
        ref = rb_arena_printf(w->arena, "arn:aws:codebuild:%s:%s:build/%s", w->region, w->account,
                              ref);
        if (ref == NULL) {
            return rb_walk_exhausted(err);
        }
    }
    enum rb_code rc = rb_build_parse_ref(ref, w->arena, &w->build, err);
    if (rc == RB_OK && w->build.account == NULL && w->has_detail) {
        return rb_err_set(err, RB_E_INVALID, "a build id without account and region");
    }
    return rc;
}

static bool is_link(const char *url)
{
    if (!rb_str_starts(url, "https://")) {
        return false;
    }
    unsigned strangers = 0; /* without an early end, many bytes are looked at in one step */
    for (size_t i = 0, len = strlen(url); i < len; i++) {
        char c = url[i];
        strangers |= (unsigned char)c <= ' ' || c == '"' || c == '<' || c == '>' || c == '\x7f';
    }
    return strangers == 0;
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
        return rb_walk_exhausted(err);
    }
    ev->kind = RB_EVENT_NONE;
    ev->why = why;
    return RB_OK;
}

/* judge_envelope - why an event is none of a build's end, by its envelope; RB_E_REFUSED when it
 * may be one. */
static enum rb_code judge_envelope(struct walk *w, struct rb_event *ev, struct rb_err *err)
{
    bool flat = !w->has_detail;
    if (flat && w->flat_build == NULL) {
        return none(ev, "the body is JSON, but not an event: no usable build", err);
    }
    if (w->source == NULL ? !flat : !rb_str_eq(w->source, "aws.codebuild")) {
        return none(ev, "the event's source is not aws.codebuild", err);
    }
    if (w->detail_type == NULL && !flat) {
        return none(ev, "the event has no detail-type", err);
    }
    if (w->detail_type != NULL && !rb_str_eq(w->detail_type, DETAIL_TYPE)) {
        return none(
            ev, rb_arena_sentence(w->arena, "detail-type '%.100s' is not followed", w->detail_type),
            err);
    }
    return RB_E_REFUSED;
}

/* take_flat - build and status of an event without a detail. */
static bool take_flat(struct walk *w)
{
    w->build.status = w->flat_status;
    w->build_id = w->flat_build;
    if (w->flat_project != NULL && strchr(w->flat_build, ':') == NULL) {
        w->build_id = rb_arena_printf(w->arena, "%s:%s", w->flat_project, w->flat_build);
    }
    return w->build_id != NULL;
}

static enum rb_code judge(struct walk *w, struct rb_event *ev, struct rb_err *err)
{
    static const char *const other_ends[] = {"SUCCEEDED", "STOPPED"};
    enum rb_code said = judge_envelope(w, ev, err);
    if (said != RB_E_REFUSED) {
        return said;
    }
    if (!w->has_detail && !take_flat(w)) {
        return rb_walk_exhausted(err);
    }
    const char *status = w->build.status;
    if (status == NULL) {
        return none(ev, "the event has no build-status", err);
    }
    if (rb_str_eq(status, "IN_PROGRESS")) {
        return none(ev, "the build is in progress", err);
    }
    bool ended = rb_str_eq(status, other_ends[0]) || rb_str_eq(status, other_ends[1]);
    if (!ended && !rb_build_failed(&w->build)) {
        return none(ev, rb_arena_sentence(w->arena, "build-status '%.100s' is not known", status),
                    err);
    }
    enum rb_code rc = fill_reference(w, NULL);
    if (rc == RB_E_INVALID) {
        return none(ev, "the event has no usable build id", err);
    }
    if (rc != RB_OK) {
        return rb_walk_exhausted(err);
    }
    fill_build(w, ev);
    ev->kind = ended ? RB_EVENT_ENDED : RB_EVENT_FAILURE;
    ev->needs_inspection = !ended && w->build.phase == NULL;
    ev->build = w->build;
    return RB_OK;
}

enum rb_code rb_codebuild_event_parse(struct rb_slice body, struct rb_arena *a,
                                      struct rb_event *ret_event, const char **ret_id,
                                      bool *ret_cloud_event, struct rb_err *err)
{
    struct walk w;
    memset(&w.arena, 0, sizeof(w) - offsetof(struct walk, arena)); /* the reader clears itself */
    rb_json_reader_init(&w.reader, body.ptr, body.len);
    w.arena = a;
    w.build = (struct rb_build)RB_BUILD_INIT;
    w.ended.type = w.last_end.type = RB_JSON_NULL;
    struct rb_json_token first;
    enum rb_code rc = rb_json_next(&w.reader, &first, err);
    if (rc == RB_OK) {
        rc = rb_walk_object(&w, &first, event_members, RB_ARRAY_LEN(event_members), err);
    }
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
        *ret_cloud_event = w.cloud_event && !w.has_detail;
    }
    return rc;
}

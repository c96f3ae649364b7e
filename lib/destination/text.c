/* The fields of a retry by name, and templates of them: "<name>" and nothing more. */
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/url.h>

#include "text.h"

#define VALUE_MAX_BYTES 2048
#define ARENA_MAX_BYTES 8192
#define SHORT_UUID 8

const char *rb_text_why(const struct rb_retry *r)
{
    for (unsigned i = r->n_history; i > 0; i--) {
        if (!rb_str_empty(r->history[i - 1].note)) {
            return r->history[i - 1].note;
        }
    }
    return r->decision.reason == NULL ? "" : r->decision.reason;
}

bool rb_text_goes_on(const struct rb_retry *r)
{
    return r->state == RB_STATE_FAILED_AGAIN && strstr(rb_text_why(r), "; rty_") != NULL;
}

bool rb_text_final(const struct rb_retry *r)
{
    return rb_state_terminal(r->state) && !rb_text_goes_on(r);
}

const char *rb_text_build_url(const struct rb_build *b, struct rb_arena *a)
{
    if (b->region == NULL || b->project == NULL || b->id == NULL || b->account == NULL) {
        return NULL;
    }
    const char *colon = strrchr(b->id, ':');
    if (colon == NULL) {
        return NULL;
    }
    const char *host = "console.aws.amazon.com";
    if (rb_str_eq(b->partition, "aws-cn")) {
        host = "console.amazonaws.cn";
    } else if (rb_str_eq(b->partition, "aws-us-gov")) {
        host = "console.amazonaws-us-gov.com";
    }
    return rb_arena_printf(a,
                           "https://%s.%s/codesuite/codebuild/%s/projects/%s/build/%s%%3A%s"
                           "?region=%s",
                           b->region, host, b->account, b->project, b->project, colon + 1,
                           b->region);
}

void rb_text_number(const struct rb_build *b, struct rb_buf *out)
{
    if (b->number > 0) {
        rb_buf_addf(out, "%lld", (long long)b->number);
        return;
    }
    const char *colon = b->id == NULL ? NULL : strrchr(b->id, ':');
    rb_buf_add(out, colon == NULL ? "?" : colon + 1,
               colon == NULL ? 1 : strnlen(colon + 1, SHORT_UUID));
}

static void build_link(const struct rb_build *b, enum rb_markup markup, struct rb_buf *out)
{
    RB_CLEANUP(rb_arena_release) struct rb_arena a;
    RB_CLEANUP(rb_buf_release) struct rb_buf number = RB_BUF_INIT(64);

    rb_arena_init(&a, ARENA_MAX_BYTES);
    rb_text_number(b, &number);
    rb_text_link(markup, rb_buf_str(&number), rb_text_build_url(b, &a), out);
}

/* "31 → 32", or "31" while there is no other. */
static void builds(const struct rb_report_view *v, enum rb_markup markup, struct rb_buf *out)
{
    build_link(&v->retry->build, markup, out);
    if (v->retry->has_child) {
        rb_buf_adds(out, " → ");
        build_link(&v->retry->child, markup, out);
    }
}

/* "4 min 10 s": from the failure that was retried to the end of the retry. */
static void took(const struct rb_report_view *v, struct rb_buf *out)
{
    const struct rb_retry *r = v->retry;
    int64_t from_ms = r->submitted_ms != 0 ? r->submitted_ms : r->created_ms;
    int64_t to_ms = r->finished_ms != 0 ? r->finished_ms : v->now_ms;
    int64_t s = to_ms > from_ms ? (to_ms - from_ms) / 1000 : 0;

    if (s >= 3600) {
        rb_buf_addf(out, "%lld h %lld min", (long long)(s / 3600), (long long)(s % 3600 / 60));
    } else if (s >= 60) {
        rb_buf_addf(out, "%lld min %lld s", (long long)(s / 60), (long long)(s % 60));
    } else {
        rb_buf_addf(out, "%lld s", (long long)s);
    }
}

static const char *plain_value(const char *name, const struct rb_retry *r)
{
    const struct {
        const char *name, *value;
    } rows[] = {
        {"account", r->build.account},
        {"branch", r->build.branch},
        {"by", r->requested_by},
        {"chain", r->chain},
        {"commit", rb_build_commit(&r->build)},
        {"phase", r->build.phase},
        {"project", r->build.project},
        {"pull_request", r->build.pull_request},
        {"reason", r->decision.reason},
        {"region", r->build.region},
        {"repository", r->build.repository},
        {"retry", r->id},
        {"rule", r->decision.rule},
        {"state", rb_state_name(r->state)},
        {"status", r->build.status},
        {"why", rb_text_why(r)},
    };

    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        if (rb_str_eq(rows[i].name, name)) {
            return rows[i].value == NULL ? "" : rows[i].value;
        }
    }
    return NULL;
}

/* Why it was to be retried: "rule provisioning: no capacity", or who asked. */
static void cause(const struct rb_report_view *v, enum rb_markup markup, struct rb_buf *out)
{
    const struct rb_retry *r = v->retry;
    const char *reason = r->state == RB_STATE_HELD ? rb_text_why(r) : r->decision.reason;

    if (!rb_str_empty(r->requested_by)) {
        rb_buf_adds(out, "asked for by ");
        rb_text_escape(markup, r->requested_by, out);
        reason = r->request_reason;
    } else if (!rb_str_empty(r->decision.rule)) {
        rb_buf_adds(out, "rule ");
        rb_text_escape(markup, r->decision.rule, out);
    } else {
        rb_buf_adds(out, "no rule");
    }
    if (!rb_str_empty(reason)) {
        rb_buf_adds(out, ": ");
        rb_text_escape(markup, reason, out);
    }
}

static bool add_field(const char *name, const struct rb_report_view *v, enum rb_markup markup,
                      struct rb_buf *out)
{
    const char *value = plain_value(name, v->retry);

    if (value != NULL) {
        rb_text_escape(markup, value, out);
    } else if (rb_str_eq(name, "attempt")) {
        rb_buf_addf(out, "%lld", (long long)v->retry->attempt);
    } else if (rb_str_eq(name, "limit")) {
        int64_t limit = v->retry->limit > v->retry->attempt ? v->retry->limit : v->retry->attempt;
        rb_buf_addf(out, "%lld", (long long)limit);
    } else if (rb_str_eq(name, "builds")) {
        builds(v, markup, out);
    } else if (rb_str_eq(name, "cause")) {
        cause(v, markup, out);
    } else if (rb_str_eq(name, "took")) {
        took(v, out);
    } else if (rb_str_eq(name, "next")) {
        rb_text_next(v, markup, out);
    } else {
        return false;
    }
    return true;
}

void rb_text_expand(const char *pattern, const struct rb_report_view *v, enum rb_markup markup,
                    struct rb_buf *out)
{
    for (const char *p = pattern; *p != '\0';) {
        const char *end = *p == '<' ? strchr(p, '>') : NULL;
        char name[32];
        size_t len = end == NULL ? 0 : (size_t)(end - p) - 1;
        if (len > 0 && len < sizeof(name)) {
            memcpy(name, p + 1, len);
            name[len] = '\0';
            if (add_field(name, v, markup, out)) {
                p = end + 1;
                continue;
            }
        }
        rb_buf_addc(out, *p++);
    }
}

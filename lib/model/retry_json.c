/* retry_json.c - a retry as JSON for people and programs; the order of members is the contract's.
 *
 * Written straight into the buffer: members are known and few. Absent is null, never left out.
 */
#include <retrybuild/record.h>
#include <retrybuild/timefmt.h>

static void key(struct rb_buf *out, const char *name)
{
    char last = out->len == 0 ? '\0' : out->data[out->len - 1];
    if (last != '{') {
        rb_buf_addc(out, ',');
    }
    rb_buf_addc(out, '"');
    rb_buf_adds(out, name);
    rb_buf_add(out, "\":", 2);
}

static void text_value(struct rb_buf *out, const char *s)
{
    rb_buf_add_json_string(out, s, s == NULL ? 0 : strlen(s));
}

static void text(struct rb_buf *out, const char *name, const char *s)
{
    key(out, name);
    text_value(out, s);
}

static void number(struct rb_buf *out, const char *name, int64_t v)
{
    key(out, name);
    rb_buf_addf(out, "%lld", (long long)v);
}

static void time_or_null(struct rb_buf *out, const char *name, int64_t ms)
{
    char iso[RB_TIME_ISO_BYTES];
    if (ms != 0) {
        rb_time_iso(ms, iso);
    }
    text(out, name, ms == 0 ? NULL : iso);
}

static void write_build(struct rb_buf *out, const char *name, const struct rb_build *b)
{
    key(out, name);
    if (b == NULL) {
        rb_buf_adds(out, "null");
        return;
    }
    rb_buf_addc(out, '{');
    text(out, "id", b->id);
    text(out, "arn", b->arn);
    if (b->number == 0) {
        text(out, "number", NULL);
    } else {
        number(out, "number", b->number);
    }
    text(out, "status", b->status);
    text(out, "phase", b->phase);
    text(out, "message", b->message);
    text(out, "url", b->url);
    rb_buf_addc(out, '}');
}

static void write_source(struct rb_buf *out, const struct rb_delivery *d)
{
    key(out, "source");
    rb_buf_addc(out, '{');
    text(out, "name", d->source);
    text(out, "type", d->type);
    text(out, "delivery", d->key);
    rb_buf_addc(out, '}');
}

static void write_delivery(struct rb_buf *out, const struct rb_delivery *d)
{
    rb_buf_addc(out, '{');
    text(out, "source", d->source);
    text(out, "type", d->type);
    text(out, "key", d->key);
    time_or_null(out, "at", d->at_ms);
    rb_buf_addc(out, '}');
}

/* A record that did not pass through a store's reading has its first delivery alone. */
static void write_deliveries(struct rb_buf *out, const struct rb_retry *r)
{
    key(out, "deliveries");
    rb_buf_addc(out, '[');
    if (r->n_deliveries == 0 && r->source.source != NULL) {
        write_delivery(out, &r->source);
    }
    for (unsigned i = 0; i < r->n_deliveries && i < RB_DELIVERIES_MAX; i++) {
        if (i > 0) {
            rb_buf_addc(out, ',');
        }
        write_delivery(out, &r->deliveries[i]);
    }
    rb_buf_addc(out, ']');
}

static void write_decision(struct rb_buf *out, const struct rb_decision *d)
{
    key(out, "decision");
    if (d->action == RB_ACTION_NONE && d->rule == NULL && d->reason == NULL) {
        rb_buf_adds(out, "null");
        return;
    }
    rb_buf_addc(out, '{');
    text(out, "action", d->action == RB_ACTION_NONE ? NULL : rb_action_name(d->action));
    text(out, "rule", d->rule);
    text(out, "reason", d->reason);
    rb_buf_addc(out, '}');
}

static void write_reports(struct rb_buf *out, const struct rb_retry *r)
{
    key(out, "reports");
    rb_buf_addc(out, '[');
    for (unsigned i = 0; i < r->n_reports; i++) {
        const struct rb_report *p = &r->reports[i];
        rb_buf_adds(out, i == 0 ? "{" : ",{");
        text(out, "destination", p->destination);
        text(out, "stage", rb_stage_name(p->stage));
        text(out, "state", rb_report_state_name(p->state));
        number(out, "attempts", p->attempts);
        text(out, "last_error", p->last_error);
        rb_buf_addc(out, '}');
    }
    rb_buf_addc(out, ']');
}

static void write_history(struct rb_buf *out, const struct rb_retry *r)
{
    key(out, "history");
    rb_buf_addc(out, '[');
    for (unsigned i = 0; i < r->n_history; i++) {
        rb_buf_adds(out, i == 0 ? "{" : ",{");
        time_or_null(out, "at", r->history[i].at_ms);
        text(out, "state", rb_state_name(r->history[i].state));
        text(out, "note", r->history[i].note);
        rb_buf_addc(out, '}');
    }
    rb_buf_addc(out, ']');
}

void rb_retry_write_json(const struct rb_retry *r, struct rb_buf *out)
{
    rb_buf_addc(out, '{');
    text(out, "id", r->id);
    text(out, "state", rb_state_name(r->state));
    text(out, "chain", r->chain);
    number(out, "attempt", r->attempt);
    number(out, "limit", r->limit);
    text(out, "project", r->build.project);
    text(out, "account", r->build.account);
    text(out, "region", r->build.region);
    write_build(out, "build", &r->build);
    write_build(out, "child", r->has_child ? &r->child : NULL);
    write_source(out, &r->source);
    write_deliveries(out, r);
    text(out, "repository", r->build.repository);
    text(out, "commit", rb_build_commit(&r->build));
    text(out, "branch", r->build.branch);
    text(out, "pull_request", r->build.pull_request);
    write_decision(out, &r->decision);
    text(out, "requested_by", r->requested_by);
    number(out, "duplicates", r->duplicates);
    time_or_null(out, "created_at", r->created_ms);
    time_or_null(out, "due_at", r->due_ms);
    time_or_null(out, "submitted_at", r->submitted_ms);
    time_or_null(out, "finished_at", r->finished_ms);
    write_reports(out, r);
    write_history(out, r);
    struct rb_trace trace;
    (void)rb_retry_trace(r, 1.0, &trace);
    text(out, "trace_id", trace.trace_id);
    rb_buf_addc(out, '}');
}

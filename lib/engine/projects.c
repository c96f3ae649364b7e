/* projects.c - GET /v1/projects: how each project went, with its budget and breaker. */
#include "internal.h"

#include "visit.h"

#define ARENA_BYTES ((size_t)64 * 1024 * 1024)
#define FEW_DAYS 2 /* as long as there are no more, hours say more */

static void add_steps(struct rb_buf *out, const struct rb_trend_step *steps, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        const struct rb_trend_step *s = &steps[i];
        rb_buf_adds(out, i == 0 ? "{" : ",{");
        rb_add_json_time(out, "at", s->at_ms);
        rb_buf_addf(out,
                    ",\"builds\":%lld,\"failed\":%lld,\"recovered\":%lld,\"failed_again\":%lld,"
                    "\"minutes_saved\":%.1f,\"minutes_lost\":%.1f}",
                    (long long)s->builds, (long long)s->failed, (long long)s->recovered,
                    (long long)s->failed_again, (double)s->saved_s / 60.0,
                    (double)s->lost_s / 60.0);
    }
}

static void add_trend(struct rb_buf *out, const struct rb_trend_sheet *x)
{
    struct rb_trend_step sum = {.builds = 0};
    bool hours = x->n_days <= FEW_DAYS;
    for (unsigned i = 0; i < x->n_days; i++) {
        sum.builds += x->days[i].builds;
        sum.failed += x->days[i].failed;
        sum.recovered += x->days[i].recovered;
        sum.failed_again += x->days[i].failed_again;
        sum.saved_s += x->days[i].saved_s;
        sum.lost_s += x->days[i].lost_s;
    }
    rb_buf_addf(out,
                ",\"builds\":%lld,\"failed\":%lld,\"recovered\":%lld,\"failed_again\":%lld,"
                "\"minutes_saved\":%.1f,\"minutes_lost\":%.1f,\"step\":\"%s\",\"trend\":[",
                (long long)sum.builds, (long long)sum.failed, (long long)sum.recovered,
                (long long)sum.failed_again, (double)sum.saved_s / 60.0, (double)sum.lost_s / 60.0,
                hours ? "hour" : "day");
    add_steps(out, hours ? x->hours : x->days, hours ? x->n_hours : x->n_days);
    rb_buf_addc(out, ']');
}

static void add_breaker(struct rb_visit *v, struct rb_buf *out, const struct rb_scope_sheet *x)
{
    enum rb_breaker_state st = rb_breaker_state(v->settings, x, v->now_ms);
    rb_buf_adds(out, ",\"breaker\":{");
    rb_buf_add_json_member(out, "state", rb_breaker_state_name(st));
    rb_buf_addc(out, ',');
    rb_add_json_time(out, "until",
                     st == RB_BREAKER_OPEN ? x->opened_ms + v->settings->breaker.open_ms : 0);
    rb_buf_addc(out, '}');
}

static void see(struct rb_visit *v, const struct rb_standing *x)
{
    struct rb_buf *out = v->projects;
    struct rb_budget b = rb_visit_budget(v, x);
    rb_buf_adds(out, out->len == 0 ? "{" : ",{");
    rb_buf_add_json_member(out, "project", x->seen->project);
    rb_buf_addc(out, ',');
    rb_buf_add_json_member(out, "account", x->seen->account);
    rb_buf_addc(out, ',');
    rb_buf_add_json_member(out, "region", x->seen->region);
    rb_buf_addc(out, ',');
    rb_add_json_time(out, "last_at", x->seen->last_ms);
    rb_buf_adds(out, ",\"budget\":");
    rb_budget_write_json(&b, out);
    add_breaker(v, out, &x->project);
    add_trend(out, &x->trend);
    rb_buf_addc(out, '}');
}

enum rb_code rb_engine_projects(struct rb_engine *e, struct rb_store_session *ses,
                                struct rb_buf *out, struct rb_err *err)
{
    RB_CLEANUP(rb_runtime_unrefp) struct rb_runtime *rt = rb_runtime_get(e);
    RB_CLEANUP(rb_buf_release) struct rb_buf projects = RB_BUF_INIT(6 << 20);
    RB_CLEANUP(rb_arena_release) struct rb_arena a;
    struct rb_visit v = {.e = e,
                         .settings = rt->settings,
                         .now_ms = rb_engine_now_ms(e),
                         .with_trend = true,
                         .see = see,
                         .projects = &projects};

    rb_arena_init(&a, ARENA_BYTES);
    enum rb_code rc = rb_visit_all(&v, ses, &a, err);
    if (rc == RB_OK && rb_buf_failed(&projects)) {
        rc = rb_err_set(err, RB_E_TOO_LARGE, "the projects are more than one answer can hold");
    }
    if (rc == RB_OK) {
        rb_buf_adds(out, "{\"projects\":[");
        rb_buf_add(out, projects.data, projects.len);
        rb_buf_adds(out, "]}\n");
    }
    return rc;
}

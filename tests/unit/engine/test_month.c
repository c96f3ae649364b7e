/* A simulated month: 200 projects, 100,000 builds, flakes, broken code, a project that fails
 * always, two incidents. The policy with its ledger against "retry everything twice", which is what
 * CodeBuild's own auto-retry with a limit of 2 does: the same builds, the same luck. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/policy.h>

#include "month.h"

struct tally {
    unsigned retries, recovered, in_incidents, wasted;
    int64_t wasted_ms;
};

/* ---- retry everything twice ---- */

static void count(struct tally *t, const struct run *r, int64_t began_ms, bool recovered)
{
    t->retries++;
    t->in_incidents += incident_at(began_ms) >= 0 ? 1 : 0;
    if (recovered) {
        t->recovered++;
    } else {
        t->wasted++;
        t->wasted_ms += r->duration_ms;
    }
}

static void retry_everything_twice(struct tally *t)
{
    for (unsigned i = 0; i < BUILDS; i++) {
        int64_t now_ms = runs[i].failed_ms;
        for (unsigned attempt = 1; runs[i].kind != GOOD && attempt <= 2; attempt++) {
            bool good = succeeds(&runs[i], i, attempt, now_ms + runs[i].duration_ms);
            count(t, &runs[i], now_ms, good);
            if (good) {
                break;
            }
            now_ms += runs[i].duration_ms;
        }
    }
}

/* ---- the policy ---- */

enum what { DELIVERED, DUE, ENDED };
struct event {
    int64_t at_ms;
    enum what what;
    unsigned build, attempt;
    int64_t began_ms;
    struct rb_rule_use uses[4];
    unsigned n_uses;
    bool taken;
    const char *rule;
};

static struct event *heap;
static unsigned n_heap, max_heap;

static void push(const struct event *e)
{
    if (n_heap == max_heap) {
        max_heap = max_heap == 0 ? 1024 : max_heap * 2;
        heap = realloc(heap, max_heap * sizeof(*heap));
        assert_non_null(heap);
    }
    unsigned at = n_heap++;
    while (at > 0 && heap[(at - 1) / 2].at_ms > e->at_ms) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = *e;
}

static struct event pop(void)
{
    struct event top = heap[0];
    struct event last = heap[--n_heap];
    unsigned at = 0;
    for (;;) {
        unsigned child = 2 * at + 1;
        if (child >= n_heap) {
            break;
        }
        if (child + 1 < n_heap && heap[child + 1].at_ms < heap[child].at_ms) {
            child++;
        }
        if (heap[child].at_ms >= last.at_ms) {
            break;
        }
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = last;
    return top;
}

static struct {
    struct rb_settings *settings;
    struct rb_policy *policy;
    struct rb_scope_sheet projects[PROJECTS], account;
    struct rb_count_sheet builds[PROJECTS], minutes;
    struct rb_flake_sheet flakes[PROJECTS];
    struct rb_incident_sheet incident;
    struct rb_rules_sheet rules;
    unsigned refused;
    struct tally t;
} world;

static char names[PROJECTS][16];

static void fill_retry(struct rb_retry *r, const struct event *e)
{
    const struct run *run = &runs[e->build];
    memset(r, 0, sizeof(*r));
    (void)snprintf(r->id, sizeof(r->id), "rty_%020u%06u", e->build, e->attempt);
    r->build = (struct rb_build)RB_BUILD_INIT;
    r->build.project = names[run->project];
    r->build.account = "123456789012";
    r->build.region = "us-east-1";
    r->build.status = "FAILED";
    r->build.phase = run->phase;
    r->build.phase_status = "FAILED";
    r->build.message = run->message;
    r->build.exit_code = run->exit_code;
    r->build.started_ms = e->at_ms - run->duration_ms;
    r->build.ended_ms = e->at_ms;
    r->child = r->build;
    r->decision.rule = e->rule;
}

static void open_desk(struct rb_desk *d, const struct event *e)
{
    unsigned p = runs[e->build].project;
    memset(d, 0, sizeof(*d));
    d->mark.taken = e->taken ? 1 : 0;
    d->project = world.projects[p];
    d->account = world.account;
    d->builds = world.builds[p];
    d->minutes = world.minutes;
    d->incident = world.incident;
    d->flakes = world.flakes[p];
    d->rules = world.rules;
}

static void close_desk(const struct rb_desk *d, const struct event *e)
{
    unsigned p = runs[e->build].project;
    world.projects[p] = d->project;
    world.account = d->account;
    world.minutes = d->minutes;
    world.incident = d->incident;
    world.flakes[p] = d->flakes;
    world.rules = d->rules;
}

static void use_rule(struct event *e, const char *rule)
{
    for (unsigned i = 0; i < e->n_uses; i++) {
        if (strcmp(e->uses[i].rule, rule) == 0) {
            e->uses[i].count++;
            return;
        }
    }
    e->uses[e->n_uses++] = (struct rb_rule_use){.rule = rule, .count = 1};
}

/* decide - a failed build; the next attempt is due later, or never. */
static void decide(struct event e)
{
    struct rb_retry r;
    struct rb_arena a;
    struct rb_decision d = {.action = RB_ACTION_NONE};
    fill_retry(&r, &e);
    rb_arena_init(&a, 1 << 16);
    const struct rb_policy_input in = {.build = &r.build,
                                       .source = "eventbridge",
                                       .event_at_ms = e.at_ms,
                                       .now_ms = e.at_ms,
                                       .attempt = e.attempt,
                                       .rule_uses = e.uses,
                                       .n_rule_uses = e.n_uses};
    rb_policy_decide(world.policy, &in, &a, &d);
    if (d.state == RB_STATE_SCHEDULED) {
        (void)rb_incident_note(world.settings, &world.incident, r.build.phase,
                               runs[e.build].project + 1U, e.at_ms, e.at_ms);
        e.what = DUE;
        e.attempt++;
        e.taken = false;
        for (unsigned i = 0; i < world.settings->n_rules + 1;
             i++) { /* its name outlives the arena */
            e.rule = i < world.settings->n_rules ? world.settings->rules[i].name : d.rule;
            if (strcmp(e.rule, d.rule) == 0) {
                break;
            }
        }
        use_rule(&e, e.rule);
        e.at_ms +=
            rb_policy_delay_ms(&d.delay, e.attempt, mix(e.build ^ (uint64_t)e.attempt << 32));
        push(&e);
    }
    rb_arena_release(&a);
}

static void submit(struct event e)
{
    struct rb_retry r;
    struct rb_desk d;
    struct rb_obstacle o;
    fill_retry(&r, &e);
    open_desk(&d, &e);
    rb_desk_obstacle(world.settings, &d, r.id, &r.build, e.at_ms, &o);
    if (o.refuses) {
        world.refused++;
        return;
    }
    if (o.note[0] != '\0') {
        e.at_ms += o.wait_ms + (int64_t)(luck(e.build, 40) * (double)o.wait_ms / 4) + 20;
        push(&e);
        return;
    }
    rb_desk_count(world.settings, &d, &r, e.at_ms);
    close_desk(&d, &e);
    e.taken = true;
    e.what = ENDED;
    e.began_ms = e.at_ms;
    e.at_ms += runs[e.build].duration_ms;
    push(&e);
}

static void end(struct event e)
{
    struct rb_retry r;
    struct rb_desk d;
    bool good = succeeds(&runs[e.build], e.build, e.attempt, e.at_ms);
    fill_retry(&r, &e);
    open_desk(&d, &e);
    rb_desk_settle(world.settings, &d, &r, good ? RB_ENDING_RECOVERED : RB_ENDING_FAILED, e.at_ms);
    close_desk(&d, &e);
    rb_series_add(&world.builds[runs[e.build].project].counted, RB_HOUR_MS, e.at_ms, 1, 0);
    count(&world.t, &runs[e.build], e.began_ms, good);
    if (!good) {
        decide(e);
    }
}

static struct rb_settings *month_settings(void)
{
    static struct rb_rule_setting rule = {
        .name = "network",
        .then = RB_ACTION_RETRY,
        .limit = 2,
        .delay = {.kind = RB_DELAY_JITTER, .base_ms = 30000, .cap_ms = 900000},
        .when = {.message = "ECONNRESET|50[23] (Bad|Service)|toomanyrequests"},
    };
    struct rb_settings *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    rb_arena_init(&s->arena, 1024);
    s->refs = 1;
    s->builtin_rules = true;
    s->rules = &rule;
    s->n_rules = 1;
    s->timing.max_event_age_ms = 6 * RB_HOUR_MS;
    s->budgets.per_chain = 2; /* all of these are the defaults */
    s->budgets.per_commit = 9;
    s->budgets.ratio = 0.2;
    s->budgets.floor_per_hour = 5;
    s->breaker.failed = 0.7;
    s->breaker.minimum = 5;
    s->breaker.window_ms = RB_HOUR_MS;
    s->breaker.open_ms = 10 * MINUTE_MS;
    s->incident.projects = 5;
    s->incident.window_ms = 5 * MINUTE_MS;
    s->incident.hold_ms = 15 * MINUTE_MS;
    return s;
}

static void retry_by_the_policy(void)
{
    for (unsigned p = 0; p < PROJECTS; p++) {
        (void)snprintf(names[p], sizeof(names[p]), "project-%u", p);
    }
    for (unsigned i = 0; i < BUILDS; i++) { /* deliveries come in order of time */
        while (n_heap > 0 && heap[0].at_ms <= runs[i].failed_ms) {
            struct event e = pop();
            if (e.what == DUE) {
                submit(e);
            } else {
                end(e);
            }
        }
        struct event e = {.at_ms = runs[i].failed_ms, .what = DELIVERED, .build = i};
        rb_series_add(&world.builds[runs[i].project].counted, RB_HOUR_MS, e.at_ms, 1, 0);
        if (runs[i].kind != GOOD) {
            decide(e);
        }
    }
    while (n_heap > 0) {
        struct event e = pop();
        if (e.what == DUE) {
            submit(e);
        } else {
            end(e);
        }
    }
}

static void print_tally(const char *name, const struct tally *t)
{
    (void)printf(
        "%-24s %7u retries %6u recovered %7u wasted %9.0f wasted minutes %5u in incidents\n", name,
        t->retries, t->recovered, t->wasted, (double)t->wasted_ms / MINUTE_MS, t->in_incidents);
}

static void a_month_of_the_policy_beats_retrying_everything_twice(void **state)
{
    (void)state;
    struct tally all = {0};
    unsigned flakes = 0;
    for (unsigned i = 0; i < BUILDS; i++) {
        make_run(i);
        flakes += runs[i].kind == FLAKE || runs[i].kind == INCIDENT ? 1 : 0;
    }
    world.settings = month_settings();
    assert_int_equal(rb_policy_new(world.settings, &world.policy, NULL), RB_OK);
    retry_everything_twice(&all);
    retry_by_the_policy();
    (void)printf("%u builds of %u projects in %d days, %u of them flakes or of an incident\n",
                 BUILDS, PROJECTS, DAYS, flakes);
    print_tally("retry everything twice", &all);
    print_tally("this policy", &world.t);
    (void)printf("refused by a budget: %u\n", world.refused);
    assert_true(world.t.recovered >= all.recovered);
    assert_true(world.t.wasted_ms * 3 <= all.wasted_ms);
    assert_true(all.in_incidents > 500);
    assert_true((uint64_t)world.t.in_incidents * 20 <= all.in_incidents);
    rb_policy_free(world.policy);
    rb_settings_unref(world.settings);
    free(heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_month_of_the_policy_beats_retrying_everything_twice)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Reports over a simulated day: the real engine, store and destinations, in front of receivers that
 * are down for a day or keep the limits of GitHub, Slack and Discord; time is the test's. */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include <retrybuild/destination.h>
#include <retrybuild/timefmt.h>

#define HOUR_MS (INT64_C(3600) * 1000)
#define DAY_MS (24 * HOUR_MS)
#define CHAINS 500
#define ENDED 40
#define OUTAGE_CHAINS 16
#define SENT_MAX 4096
#define SHA "0123456789abcdef0123456789abcdef01234567"

/* ---- receivers ---- */

struct receiver {
    int64_t at_ms[SENT_MAX]; /* what was taken, in order */
    char said[SENT_MAX][96]; /* hooks: "chain attempt type" */
    unsigned n, refused;
    int64_t late_ms;          /* hooks: the longest from a state to its report */
    int64_t not_before_ms;    /* it has asked for quiet until then */
    unsigned broken_silences; /* it was called in spite of that */
};
struct receivers {
    struct receiver down, up, slack, discord, github;
    bool is_down;
};
static struct receivers *them;

struct rb_httpc {
    int unused;
};

enum rb_code rb_httpc_new(const struct rb_settings *s, struct rb_httpc **ret_c, struct rb_err *err)
{
    (void)s;
    (void)err;
    *ret_c = calloc(1, sizeof(**ret_c));
    return *ret_c == NULL ? RB_E_NOMEM : RB_OK;
}

void rb_httpc_free(struct rb_httpc *c)
{
    free(c);
}

static void take(struct receiver *r, int64_t now_ms)
{
    assert_true(r->n < SENT_MAX);
    r->at_ms[r->n++] = now_ms;
}

/* How many were taken in the last @span_ms. */
static unsigned recent(const struct receiver *r, int64_t now_ms, int64_t span_ms)
{
    unsigned n = 0;

    while (n < r->n && r->at_ms[r->n - 1 - n] > now_ms - span_ms) {
        n++;
    }
    return n;
}

static void refuse(struct receiver *r, int64_t now_ms, int64_t wait_ms)
{
    r->refused++;
    r->broken_silences += now_ms < r->not_before_ms ? 1 : 0;
    r->not_before_ms = now_ms + wait_ms;
}

static void hook(struct receiver *r, const struct rb_http_request *req, int64_t now_ms)
{
    json_t *j = json_loadb(req->body, req->body_len, 0, NULL);
    const char *chain = NULL, *type = NULL, *time = NULL;
    int attempt = 0;
    int64_t at_ms = 0;

    assert_int_equal(json_unpack(j, "{s:s, s:s, s:{s:s, s:i}}", "type", &type, "timestamp", &time,
                                 "data", "chain", &chain, "attempt", &attempt),
                     0);
    assert_true(rb_time_parse_iso(rb_slice_str(time), &at_ms));
    r->late_ms = now_ms - at_ms > r->late_ms ? now_ms - at_ms : r->late_ms;
    take(r, now_ms);
    snprintf(r->said[r->n - 1], sizeof(r->said[0]), "%s %d %s", chain, attempt, type);
    json_decref(j);
}

/* One message a second and channel. Source: facts on integrations, 3.1. */
static long slack(struct receiver *r, const struct rb_http_request *req, int64_t now_ms,
                  struct rb_buf *headers, struct rb_buf *body)
{
    if (strstr(req->url, "/chat.update") != NULL) {
        rb_buf_adds(body, "{\"ok\":true}");
        return 200;
    }
    if (recent(r, now_ms, 1000) > 0) {
        refuse(r, now_ms, 1000);
        rb_buf_adds(headers, "retry-after: 1\n");
        return 429;
    }
    take(r, now_ms);
    rb_buf_addf(body, "{\"ok\":true,\"channel\":\"C1\",\"ts\":\"%u.0\"}", r->n);
    return 200;
}

/* A bucket of five in two seconds. Source: 3.3. */
static long discord(struct receiver *r, int64_t now_ms, struct rb_buf *headers, struct rb_buf *body)
{
    unsigned used = recent(r, now_ms, 2000);

    if (used >= 5) {
        refuse(r, now_ms, 2000);
        rb_buf_adds(body, "{\"message\":\"limited\",\"retry_after\":2.0,\"global\":false}");
        return 429;
    }
    take(r, now_ms);
    rb_buf_addf(headers, "x-ratelimit-limit: 5\nx-ratelimit-remaining: %u\n", 4 - used);
    rb_buf_addf(headers, "x-ratelimit-reset-after: %.3f\n",
                (double)(r->at_ms[r->n - 1 - used] + 2000 - now_ms) / 1000);
    rb_buf_adds(body, "{\"id\":\"1\"}");
    return 200;
}

/* What makes something: a second apart, 80 a minute, 500 an hour. Source: 2.1. */
static long github(struct receiver *r, int64_t now_ms, struct rb_buf *headers, struct rb_buf *body)
{
    unsigned in_hour = recent(r, now_ms, HOUR_MS);
    int64_t wait_ms = in_hour >= 500 ? r->at_ms[r->n - in_hour] + HOUR_MS - now_ms + 1000 : 60000;

    if (in_hour >= 500 || recent(r, now_ms, 60000) >= 80 || recent(r, now_ms, 1000) > 0) {
        refuse(r, now_ms, wait_ms);
        rb_buf_addf(headers, "retry-after: %lld\n", (long long)(wait_ms / 1000));
        rb_buf_adds(body, "{\"message\":\"You have exceeded a secondary rate limit\"}");
        return 403;
    }
    take(r, now_ms);
    rb_buf_adds(body, "{\"id\":1}");
    return 201;
}

enum rb_code rb_httpc_call(struct rb_httpc *c, const struct rb_http_request *req,
                           struct rb_http_answer *ret_answer, bool *ret_sent, struct rb_err *err)
{
    int64_t now_ms = world_now_ms(the_world);
    struct rb_http_answer a = {.status = 200};

    (void)c;
    (void)err;
    *ret_sent = true;
    rb_buf_init(&a.body, 65536);
    rb_buf_init(&a.raw_headers, 65536);
    if (strstr(req->url, "down.example") != NULL && them->is_down) {
        them->down.refused++;
        a.status = 503;
    } else if (strstr(req->url, "down.example") != NULL) {
        hook(&them->down, req, now_ms);
    } else if (strstr(req->url, "up.example") != NULL) {
        hook(&them->up, req, now_ms);
    } else if (strstr(req->url, "slack.example") != NULL) {
        a.status = slack(&them->slack, req, now_ms, &a.raw_headers, &a.body);
    } else if (strstr(req->url, "discord.example") != NULL) {
        a.status = discord(&them->discord, now_ms, &a.raw_headers, &a.body);
    } else {
        a.status = github(&them->github, now_ms, &a.raw_headers, &a.body);
    }
    *ret_answer = a;
    return RB_OK;
}

/* ---- time ---- */

/* Everybody works whenever there is something due, for @ms. */
static void live(struct world *w, int64_t ms)
{
    struct rb_worker *all[] = {&w->submit, &w->follow, &w->report};
    int64_t until_ms = w->now_ms + ms;

    for (;;) {
        int64_t next_ms = until_ms;
        bool worked = false;
        for (size_t i = 0; i < RB_ARRAY_LEN(all); i++) {
            struct rb_round round = {.worked = false};
            struct rb_err err = {.code = RB_OK};
            if (all[i]->role->round(all[i], &round, &err) != RB_OK) {
                fail_msg("%s: %s", all[i]->name, err.msg);
            }
            worked = worked || round.worked;
            next_ms = round.next_ms > 0 && round.next_ms < next_ms ? round.next_ms : next_ms;
        }
        if (worked) {
            continue;
        }
        if (w->now_ms >= until_ms) {
            return;
        }
        w->now_ms = next_ms > w->now_ms ? next_ms : w->now_ms + 1;
    }
}

static int setup(void **state, const char *destinations)
{
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    them = calloc(1, sizeof(*them));
    assert_non_null(them);
    w->destinations = destinations;
    world_prepare(w);
    world_open(w);
    w->now_ms += 60000;
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    free(them);
    return world_teardown(state);
}

static int64_t open_reports(struct world *w)
{
    struct rb_counts counts;
    struct rb_err err;

    assert_int_equal(rb_store_counts(w->ses, &counts, &err), RB_OK);
    return counts.tasks[RB_TASK_REPORT];
}

/* ---- a day ---- */

static int setup_day(void **state)
{
    return setup(state, "  - {name: down, type: webhook, url: 'https://down.example/x', give_up: "
                        "25h, stages: [started, finished]}\n"
                        "  - {name: up, type: webhook, url: 'https://up.example/x', stages: "
                        "[started, finished]}\n");
}

/* One chain: its first retry fails again, its second recovers; a minute or so. */
static void live_a_chain(struct world *w, unsigned n, char ret_chain[RB_ID_BYTES])
{
    char project[32], id[RB_ID_BYTES];

    snprintf(project, sizeof(project), "app-%u", n);
    struct world_build *b = world_failed(w, project, "main");
    (void)world_deliver(w, b, project, id);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, id);
    memcpy(ret_chain, r->chain, RB_ID_BYTES);
    live(w, 1000);
    world_end(w, world_child_of(w, id), "FAILED");
    live(w, 30000);
    world_newest(w, id);
    world_end(w, world_child_of(w, id), "SUCCEEDED");
    live(w, 30000);
    world_expect(w, id, RB_STATE_RECOVERED);
}

/* The ends of a chain, as they were told: "1 retry.failed_again 2 retry.recovered ". */
static void ends_of(const struct receiver *r, const char *chain, char *ret, size_t size)
{
    size_t len = 0;

    ret[0] = '\0';
    for (unsigned i = 0; i < r->n; i++) {
        if (strncmp(r->said[i], chain, strlen(chain)) == 0 &&
            strstr(r->said[i], "running") == NULL) {
            len += (size_t)snprintf(ret + len, size - len, "%s ", r->said[i] + strlen(chain) + 1);
            assert_true(len < size);
        }
    }
}

static void who_is_down_for_a_day_hears_every_end_in_order_and_delays_nobody(void **state)
{
    struct world *w = *state;
    static char chains[OUTAGE_CHAINS][RB_ID_BYTES];
    int64_t since_ms = w->now_ms;
    char told[128];

    them->is_down = true;
    for (unsigned i = 0; i < OUTAGE_CHAINS; i++) {
        live_a_chain(w, i, chains[i]);
        live(w, since_ms + (i + 1) * (DAY_MS / OUTAGE_CHAINS) - w->now_ms);
    }
    assert_int_equal(w->now_ms, since_ms + DAY_MS);
    assert_int_equal(them->down.n, 0);
    /* Whoever is up was told of every state at once. */
    assert_int_equal(them->up.n, 4 * OUTAGE_CHAINS);
    assert_true(them->up.late_ms <= 1000);
    /* A dead one is tried now and then, not by every report that waits. */
    assert_true(them->down.refused >= 24);
    assert_true(them->down.refused <= 24 * 60 + 5 * OUTAGE_CHAINS);

    them->is_down = false;
    live(w, HOUR_MS / 2);
    assert_int_equal(open_reports(w), 0);
    for (unsigned i = 0; i < OUTAGE_CHAINS; i++) {
        ends_of(&them->down, chains[i], told, sizeof(told));
        assert_string_equal(told, "1 retry.failed_again 2 retry.recovered ");
    }
}

/* ---- limits ---- */

static int setup_limits(void **state)
{
    return setup(state,
                 "  - {name: chat, type: slack, api: {url: 'https://slack.example/api', token: t}, "
                 "channel: ci, stages: [held, finished]}\n"
                 "  - {name: room, type: discord, url: 'https://discord.example/x', stages: [held, "
                 "finished]}\n"
                 "  - {name: commit, type: github-status, api: {url: 'https://github.example', "
                 "token: t}, stages: [held, finished]}\n");
}

static void hold_chains(struct world *w)
{
    struct world_build *first = world_failed(w, "web", SHA);

    w->decision.action = RB_ACTION_ASK;
    w->decision.state = RB_STATE_HELD;
    first->b.repository = "https://github.com/acme/web";
    first->b.resolved_version = SHA;
    for (unsigned i = 0; i < CHAINS; i++) {
        struct world_build b = *first;
        snprintf(b.id, sizeof(b.id), "web:%08x-1111-4222-8333-444444444444", i);
        snprintf(b.arn, sizeof(b.arn), "arn:aws:codebuild:us-east-1:" WORLD_ACCOUNT ":build/%s",
                 b.id);
        b.b.id = b.id;
        b.b.arn = b.arn;
        assert_int_equal(world_deliver(w, &b, b.id, NULL), RB_ADMIT_NEW);
    }
}

static void limits_are_kept_with_500_chains_at_once(void **state)
{
    struct world *w = *state;
    struct rb_retry *held[ENDED];
    char next[RB_CURSOR_BYTES];
    unsigned n = 0;
    struct rb_err err;

    hold_chains(w);
    int64_t since_ms = w->now_ms;
    live(w, 600 * 1000);
    assert_int_equal(them->slack.n, CHAINS);
    assert_int_equal(them->discord.n, CHAINS);
    assert_int_equal(them->github.n, CHAINS);
    assert_int_equal(them->slack.refused + them->discord.refused + them->github.refused, 0);
    /* As fast as may be, within a tenth. */
    assert_true(them->slack.at_ms[CHAINS - 1] - since_ms <= 550 * 1000);
    assert_true(them->discord.at_ms[CHAINS - 1] - since_ms <= 220 * 1000);

    const struct rb_filter f = {.by_state = true, .state = RB_STATE_HELD, .limit = ENDED};
    assert_int_equal(rb_store_list(w->ses, &f, held, &n, next, &err), RB_OK);
    assert_int_equal(n, ENDED);
    for (unsigned i = 0; i < n; i++) {
        struct rb_retry *denied = NULL;
        assert_int_equal(
            rb_engine_act(w->engine, w->ses, held[i]->id, RB_VERB_DENY, "ann", &denied, &err),
            RB_OK);
        rb_retry_free(denied);
        rb_retry_free(held[i]);
    }
    /* GitHub has no room for more in this hour: it says so once, and is left alone until then. */
    live(w, 2 * HOUR_MS);
    assert_int_equal(open_reports(w), 0);
    assert_int_equal(them->slack.n, CHAINS + ENDED);
    assert_int_equal(them->discord.n, CHAINS + ENDED);
    assert_int_equal(them->github.n, CHAINS + ENDED);
    assert_int_equal(them->slack.refused + them->discord.refused, 0);
    assert_int_equal(them->github.refused, 1);
    assert_int_equal(them->github.broken_silences, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            who_is_down_for_a_day_hears_every_end_in_order_and_delays_nobody, setup_day, teardown),
        cmocka_unit_test_setup_teardown(limits_are_kept_with_500_chains_at_once, setup_limits,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

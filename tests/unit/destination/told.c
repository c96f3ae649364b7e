#include "told.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <retrybuild/random.h>

#define LINK                                                                                      \
    "https://us-east-1.console.aws.amazon.com/codesuite/codebuild/123456789012/projects/web-app/" \
    "build/web-app%3A99999999-2222-3333-4444-555555555555?region=us-east-1"

int told_setup(void **state)
{
    struct told *t = calloc(1, sizeof(*t));

    assert_non_null(t);
    t->server = script_server_start();
    t->allow[0] = "127.0.0.1";
    t->settings.network.allow = (struct rb_strings){.items = t->allow, .n = 1};
    t->settings.timing.report_timeout_ms = 10000;
    assert_int_equal(rb_httpc_new(&t->settings, &t->http, NULL), RB_OK);
    snprintf(t->api_url, sizeof(t->api_url), "http://127.0.0.1:%d", script_server_port(t->server));
    snprintf(t->hook_url, sizeof(t->hook_url), "%s/hook?token=canary", t->api_url);
    t->f = fixture_new(t->hook_url);
    struct rb_retry *r = t->f->retry;
    r->build.number = 31;
    r->build.resolved_version = "0123456789abcdef0123456789abcdef01234567";
    r->build.pull_request = "12";
    r->has_child = true;
    r->child = r->build;
    r->child.number = 32;
    r->child.id = "web-app:99999999-2222-3333-4444-555555555555";
    r->decision.rule = "provisioning";
    r->decision.reason = "no capacity";
    r->submitted_ms = FIXTURE_NOW_MS - 250000;
    r->finished_ms = FIXTURE_NOW_MS;
    r->n_history = 0;
    *state = t;
    return 0;
}

int told_teardown(void **state)
{
    struct told *t = *state;

    rb_secret_free(t->f->destination.api.token);
    fixture_free(t->f);
    rb_httpc_free(t->http);
    script_server_stop(t->server);
    free(t);
    return 0;
}

void told_by_url(struct told *t, const char *type)
{
    t->f->destination.type = type;
}

void told_by_api(struct told *t, const char *type)
{
    struct rb_destination_setting *d = &t->f->destination;

    d->type = type;
    rb_secret_free(d->url);
    d->url = NULL;
    d->api.url = t->api_url;
    d->api.token = rb_secret_new("canary-token", 12);
}

void told_answer(struct told *t, int status, const char *headers, const char *body)
{
    script_server_push_json(t->server, status, headers, body);
}

void told_state(struct told *t, enum rb_state state, const char *note)
{
    struct rb_retry *r = t->f->retry;

    r->state = state;
    r->n_history = 1;
    r->history[0] =
        (struct rb_history_entry){.at_ms = FIXTURE_NOW_MS, .state = state, .note = note};
    r->has_child =
        state == RB_STATE_RUNNING || state == RB_STATE_RECOVERED || state == RB_STATE_FAILED_AGAIN;
}

enum rb_report_verdict told_post(struct told *t)
{
    char receipt[RB_RECEIPT_BYTES];

    memcpy(receipt, t->result.receipt, sizeof(receipt));
    t->f->view.receipt = receipt;
    rb_destination_post(&t->f->destination, &t->f->view, FIXTURE_NOW_MS, &t->settings, t->http,
                        rb_random_system(), &t->result);
    assert_null(strstr(t->result.error, "canary"));
    if (t->result.receipt[0] == '\0') {
        memcpy(t->result.receipt, receipt, sizeof(receipt));
    }
    t->f->view.receipt = NULL;
    return t->result.verdict;
}

void told_line(struct told *t, unsigned n, const char *line)
{
    char got[2048];

    assert_true(n < script_server_requests(t->server));
    const char *raw = script_server_request(t->server, n);
    snprintf(got, sizeof(got), "%.*s", (int)strcspn(raw, "\r"), raw);
    char *version = strstr(got, " HTTP/1.1");
    assert_non_null(version);
    *version = '\0';
    assert_string_equal(got, line);
}

void told_header(struct told *t, unsigned n, const char *name, const char *value)
{
    char *got = script_server_header(t->server, n, name);

    assert_non_null(got);
    assert_string_equal(got, value);
    free(got);
}

json_t *told_json(struct told *t, unsigned n)
{
    json_t *j = json_loads(script_server_body(t->server, n), 0, NULL);

    assert_non_null(j);
    return j;
}

void told_body(struct told *t, unsigned n, const char *json)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf wanted = RB_BUF_INIT(65536);

    for (const char *c = json; *c != '\0'; c++) {
        rb_buf_adds(&wanted, *c == '$' ? LINK : (const char[]){*c, '\0'});
    }
    json_t *want = json_loads(rb_buf_str(&wanted), 0, NULL), *got = told_json(t, n);
    assert_non_null(want);
    if (!json_equal(want, got)) {
        fail_msg("wanted %s\ngot    %s", rb_buf_str(&wanted), script_server_body(t->server, n));
    }
    json_decref(want);
    json_decref(got);
}

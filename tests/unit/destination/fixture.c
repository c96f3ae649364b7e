#include "fixture.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct fixture *fixture_new(const char *url)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert(f != NULL);
    f->retry = rb_retry_new();
    assert(f->retry != NULL);
    struct rb_retry *r = f->retry;
    memcpy(r->id, "rty_01JD3V5T9QK8YB6W2E4R7XCZ5M", RB_ID_BYTES);
    memcpy(r->chain, "chn_01JD3V5T9QK8YB6W2E4R7XCZ5M", RB_ID_BYTES);
    r->attempt = 1;
    r->limit = 2;
    r->build.account = "123456789012";
    r->build.region = "us-east-1";
    r->build.project = "web-app";
    r->build.id = "web-app:11111111-2222-3333-4444-555555555555";
    r->build.branch = "main";
    r->build.repository = "https://github.com/acme/web";
    r->source.source = "github";
    r->source.type = "github";
    r->created_ms = FIXTURE_NOW_MS - 60000;
    r->history[r->n_history++] =
        (struct rb_history_entry){.at_ms = FIXTURE_NOW_MS - 60000, .state = RB_STATE_RUNNING};
    r->history[r->n_history++] =
        (struct rb_history_entry){.at_ms = FIXTURE_NOW_MS - 5000, .state = RB_STATE_RECOVERED};
    r->history[r->n_history++] = (struct rb_history_entry){
        .at_ms = FIXTURE_NOW_MS - 4000, .state = RB_STATE_RECOVERED, .note = "a note"};
    r->state = RB_STATE_RECOVERED;
    f->destination.name = "hook";
    f->destination.type = "webhook";
    f->destination.url = rb_secret_new(url, strlen(url));
    f->destination.secrets.items = f->secrets;
    for (unsigned i = 0; i < RB_STAGE_COUNT; i++) {
        f->destination.stages[i] = true;
    }
    f->view = (struct rb_report_view){
        .retry = r, .stage = RB_STAGE_FINISHED, .message_id = "msg_1", .now_ms = FIXTURE_NOW_MS};
    return f;
}

void fixture_free(struct fixture *f)
{
    for (unsigned i = 0; i < f->destination.secrets.n; i++) {
        rb_secret_free(f->secrets[i].secret);
    }
    rb_secret_free(f->destination.url);
    rb_retry_free(f->retry);
    free(f);
}

void fixture_add_secret(struct fixture *f, const char *text, int64_t not_after_ms)
{
    assert(f->destination.secrets.n < 4);
    f->secrets[f->destination.secrets.n++] = (struct rb_secret_entry){
        .secret = rb_secret_new(text, strlen(text)), .not_after_ms = not_after_ms};
}

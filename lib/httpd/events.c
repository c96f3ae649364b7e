/* events.c - GET /v1/events: every change of a retry's state, as server-sent events.
 *
 * A reader's connection is suspended while there is nothing to read. It has no deadline, but gets a
 * comment now and then, so that one that is gone is noticed.
 */
#include <stdlib.h>
#include <string.h>

#include "feed.h"
#include "private.h"

#define BLOCK_BYTES 8192
#define ALIVE_EVERY_MS 15000
#define ALIVE ": still here\n\n"

struct rb_stream {
    struct rb_stream *next, **link; /* in httpd.streams */
    struct rb_exchange *ex;
    uint64_t at;          /* place in the feed */
    int64_t alive_due_ms; /* boot clock */
    bool suspended;
};

static void wake(void *arg)
{
    rb_httpd_wake(arg);
}

static bool ending(const struct rb_httpd *h)
{
    return atomic_load_explicit(&h->stopping, memory_order_relaxed) || h->admitter == NULL;
}

static ssize_t read_some(void *cls, uint64_t pos, char *buf, size_t max)
{
    struct rb_stream *s = cls;
    struct rb_httpd *h = s->ex->httpd;
    int64_t boot_ms = rb_boot_ms(h->deps.clock);
    (void)pos;
    if (ending(h)) {
        return MHD_CONTENT_READER_END_OF_STREAM;
    }
    size_t n = rb_feed_read(h->feed, &s->at, buf, max);
    if (n == 0 && boot_ms >= s->alive_due_ms && max >= sizeof ALIVE - 1) {
        n = sizeof ALIVE - 1;
        (void)memcpy(buf, ALIVE, n);
    }
    if (n > 0) {
        s->alive_due_ms = boot_ms + ALIVE_EVERY_MS;
        return (ssize_t)n;
    }
    s->suspended = true;
    rb_conn_suspend(s->ex->conn, s->ex->mhd);
    return 0;
}

void rb_events_turn(struct rb_httpd *h)
{
    int64_t boot_ms = h->streams == NULL ? 0 : rb_boot_ms(h->deps.clock);
    for (struct rb_stream *s = h->streams; s != NULL; s = s->next) {
        if (s->suspended &&
            (ending(h) || boot_ms >= s->alive_due_ms || rb_feed_has(h->feed, s->at))) {
            s->suspended = false;
            rb_conn_resume(h, s->ex->conn, s->ex->mhd);
        }
    }
}

int64_t rb_events_timeout_ms(const struct rb_httpd *h)
{
    int64_t due_ms = INT64_MAX;
    for (const struct rb_stream *s = h->streams; s != NULL; s = s->next) {
        due_ms = s->alive_due_ms < due_ms ? s->alive_due_ms : due_ms;
    }
    int64_t left_ms = due_ms == INT64_MAX ? -1 : due_ms - rb_boot_ms(h->deps.clock);
    return due_ms == INT64_MAX || left_ms > 0 ? left_ms : 0;
}

void rb_events_end(struct rb_exchange *ex)
{
    struct rb_stream *s = ex->stream;
    if (s == NULL) {
        return;
    }
    *s->link = s->next;
    if (s->next != NULL) {
        s->next->link = s->link;
    }
    rb_feed_leave(ex->httpd->feed);
    free(s);
    ex->stream = NULL;
}

/* last_seen - the id of Last-Event-ID, 0 when there is none that reads as one. */
static uint64_t last_seen(struct rb_exchange *ex)
{
    uint64_t id = 0;
    const char *text = MHD_lookup_connection_value(ex->mhd, MHD_HEADER_KIND, "Last-Event-ID");
    return text != NULL && rb_parse_u64(rb_slice_str(text), &id) ? id : 0;
}

static bool begin(struct rb_exchange *ex)
{
    struct rb_httpd *h = ex->httpd;
    struct rb_err err = {.code = RB_OK};
    enum rb_code rc = RB_OK;
    struct rb_stream *s = calloc(1, sizeof *s);
    if (s == NULL) {
        rc = rb_err_set(&err, RB_E_UNAVAIL, "no memory for a reader of events");
    } else if (h->feed == NULL) {
        rc = rb_feed_new(h->deps.store, h->deps.clock, wake, h, &h->feed, &err);
    }
    if (rc == RB_OK) {
        rc = rb_feed_join(h->feed, last_seen(ex), &s->at, &err);
    }
    if (rc != RB_OK) {
        free(s);
        rb_answer_err(ex, rc, &err);
        return false;
    }
    s->ex = ex;
    s->next = h->streams;
    s->link = &h->streams;
    if (s->next != NULL) {
        s->next->link = &s->next;
    }
    h->streams = s;
    ex->stream = s;
    return true;
}

void rb_handle_events(struct rb_exchange *ex)
{
    if (strcmp(ex->method, "HEAD") == 0) {
        ex->status = 200;
        ex->content_type = "text/event-stream";
    } else if (begin(ex)) {
        ex->status = 200;
        ex->content_type = "text/event-stream";
        rb_answer_header(ex, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
        rb_answer_header(ex, "X-Accel-Buffering", "no");
    }
}

struct MHD_Response *rb_events_response(struct rb_exchange *ex)
{
    return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_some, ex->stream,
                                             NULL);
}

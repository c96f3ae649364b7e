/* feed.c - see feed.h. What is kept is a ring of text; a place in the stream is the number of bytes
 * before it, and the id of an event is the place where it begins. */
#include "feed.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <retrybuild/buf.h>
#include <retrybuild/cleanup.h>
#include <retrybuild/log.h>
#include <retrybuild/record.h>
#include <retrybuild/thread.h>
#include <retrybuild/timefmt.h>

#include "watched.h"

#define LOOK_EVERY_MS 500
#define PAGE 200
#define EVENT_MAX_BYTES (256 * 1024)

struct rb_feed {
    struct rb_store *store;
    const struct rb_clock *clock;
    void (*wake)(void *arg);
    void *arg;

    /* the feed's thread alone */
    struct rb_store_session *ses;
    struct rb_watched *watched;
    struct rb_buf event;

    /* guarded by lock */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char *ring;
    uint64_t begin, end; /* places kept */
    unsigned readers;
    int64_t since_ms; /* when the first of them joined */
    bool running, stop;
    pthread_t thread;
};

/* ---- the ring ---- */

static void ring_copy_in(struct rb_feed *f, const char *text, size_t len)
{
    size_t at = (size_t)(f->end % RB_FEED_BYTES);
    size_t first = len < RB_FEED_BYTES - at ? len : RB_FEED_BYTES - at;
    (void)memcpy(f->ring + at, text, first);
    (void)memcpy(f->ring, text + first, len - first);
    f->end += len;
}

static char ring_byte(const struct rb_feed *f, uint64_t place)
{
    return f->ring[place % RB_FEED_BYTES];
}

/* after_event - the place behind the event that contains @place. */
static uint64_t after_event(const struct rb_feed *f, uint64_t place)
{
    while (place + 1 < f->end &&
           !(ring_byte(f, place) == '\n' && ring_byte(f, place + 1) == '\n')) {
        place++;
    }
    return place + 2 < f->end ? place + 2 : f->end;
}

/* keep - @text, one whole event, goes in; whole events at the beginning make room for it. */
static void keep(struct rb_feed *f, const char *text, size_t len)
{
    while (f->end - f->begin + len > RB_FEED_BYTES) {
        f->begin = after_event(f, f->begin);
    }
    ring_copy_in(f, text, len);
}

/* ---- what changed ---- */

static void tell(void *arg, const struct rb_retry *r, const struct rb_history_entry *entry)
{
    struct rb_feed *f = arg;
    struct rb_buf *b = &f->event;
    char at[RB_TIME_ISO_BYTES];

    pthread_mutex_lock(&f->lock);
    uint64_t id = f->end;
    pthread_mutex_unlock(&f->lock);
    rb_buf_clear(b);
    rb_time_iso(entry->at_ms, at);
    rb_buf_addf(b, "id: %llu\nevent: retry\ndata: {\"state\":\"%s\",\"at\":\"%s\",\"note\":",
                (unsigned long long)id, rb_state_name(entry->state), at);
    rb_buf_add_json_string(b, entry->note, entry->note == NULL ? 0 : strlen(entry->note));
    rb_buf_adds(b, ",\"retry\":");
    rb_retry_write_json(r, b);
    rb_buf_adds(b, "}\n\n");
    if (rb_buf_failed(b)) {
        return;
    }
    pthread_mutex_lock(&f->lock);
    keep(f, rb_buf_str(b), b->len);
    pthread_mutex_unlock(&f->lock);
}

static void see_page(struct rb_feed *f, struct rb_retry **items, unsigned n)
{
    for (unsigned i = n; i-- > 0;) { /* a page is newest first */
        rb_watched_see(f->watched, items[i], tell, f);
        rb_retry_free(items[i]);
    }
}

static enum rb_code see_list(struct rb_feed *f, bool by_state, enum rb_state state,
                             struct rb_err *err)
{
    const struct rb_filter filter = {.by_state = by_state, .state = state, .limit = PAGE};
    struct rb_retry *items[PAGE] = {NULL};
    char next[RB_CURSOR_BYTES];
    unsigned n = 0;
    enum rb_code rc = rb_store_list(f->ses, &filter, items, &n, next, err);
    if (rc == RB_OK) {
        see_page(f, items, n);
    }
    return rc;
}

/* see_ended - what lived at the look before and stands in no list any more. */
static enum rb_code see_ended(struct rb_feed *f, struct rb_err *err)
{
    char ids[PAGE][RB_ID_BYTES];
    unsigned n = rb_watched_unseen(f->watched, ids, PAGE);
    enum rb_code rc = RB_OK;
    for (unsigned i = 0; i < n && rc == RB_OK; i++) {
        RB_CLEANUP(rb_retry_freep) struct rb_retry *r = NULL;
        rc = rb_store_get(f->ses, ids[i], &r, err);
        if (rc == RB_OK) {
            rb_watched_see(f->watched, r, tell, f);
        } else if (rc == RB_E_NOT_FOUND) {
            rb_watched_gone(f->watched, ids[i]);
            rc = RB_OK;
        }
    }
    return rc;
}

static enum rb_code look(struct rb_feed *f, struct rb_err *err)
{
    enum rb_code rc = RB_OK;
    if (f->ses == NULL) {
        rc = rb_store_session_open(f->store, &f->ses, err);
    }
    if (rc != RB_OK) {
        return rc;
    }
    rb_watched_begin(f->watched);
    for (int s = 0; s < RB_STATE_COUNT && rc == RB_OK; s++) {
        if (!rb_state_terminal((enum rb_state)s)) {
            rc = see_list(f, true, (enum rb_state)s, err);
        }
    }
    rc = rc == RB_OK ? see_ended(f, err) : rc;
    return rc == RB_OK ? see_list(f, false, RB_STATE_RECEIVED, err) : rc;
}

static void forget_everything(struct rb_feed *f)
{
    rb_watched_free(f->watched);
    f->watched = NULL;
    rb_store_session_close(f->ses);
    f->ses = NULL;
}

/* look_around - one look; what was not told before somebody read is not told at all. */
static void look_around(struct rb_feed *f)
{
    struct rb_err err = {.code = RB_OK};
    pthread_mutex_lock(&f->lock);
    uint64_t before = f->end;
    int64_t since_ms = f->since_ms;
    pthread_mutex_unlock(&f->lock);
    if (f->watched == NULL) {
        f->watched = rb_watched_new(since_ms);
    }
    enum rb_code rc = f->watched == NULL ? RB_E_NOMEM : look(f, &err);
    if (rc != RB_OK) {
        rb_log(RB_LOG_DEBUG, "events.no_look", RB_F("error", err.msg));
    }
    pthread_mutex_lock(&f->lock);
    bool news = f->end != before;
    pthread_mutex_unlock(&f->lock);
    if (news) {
        f->wake(f->arg);
    }
}

static void *feed_main(void *arg)
{
    struct rb_feed *f = arg;
    pthread_mutex_lock(&f->lock);
    while (!f->stop) {
        if (f->readers == 0) {
            pthread_mutex_unlock(&f->lock);
            forget_everything(f);
            pthread_mutex_lock(&f->lock);
            if (f->readers == 0 && !f->stop) {
                (void)rb_cond_wait_ms(&f->changed, &f->lock, -1);
            }
            continue;
        }
        pthread_mutex_unlock(&f->lock);
        look_around(f);
        pthread_mutex_lock(&f->lock);
        if (!f->stop && f->readers > 0) {
            (void)rb_cond_wait_ms(&f->changed, &f->lock, LOOK_EVERY_MS);
        }
    }
    pthread_mutex_unlock(&f->lock);
    forget_everything(f);
    return NULL;
}

/* ---- the loop's side ---- */

enum rb_code rb_feed_new(struct rb_store *store, const struct rb_clock *clock,
                         void (*wake)(void *arg), void *arg, struct rb_feed **ret_f,
                         struct rb_err *err)
{
    struct rb_feed *f = calloc(1, sizeof *f);
    if (f == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the stream of events");
    }
    *f = (struct rb_feed){
        .store = store, .clock = clock, .wake = wake, .arg = arg, .begin = 1, .end = 1};
    rb_buf_init(&f->event, EVENT_MAX_BYTES);
    pthread_mutex_init(&f->lock, NULL);
    rb_cond_init(&f->changed);
    *ret_f = f;
    return RB_OK;
}

void rb_feed_free(struct rb_feed *f)
{
    if (f == NULL) {
        return;
    }
    pthread_mutex_lock(&f->lock);
    f->stop = true;
    pthread_cond_signal(&f->changed);
    bool running = f->running;
    pthread_mutex_unlock(&f->lock);
    if (running) {
        pthread_join(f->thread, NULL);
    }
    pthread_mutex_destroy(&f->lock);
    pthread_cond_destroy(&f->changed);
    rb_buf_release(&f->event);
    free(f->ring);
    free(f);
}

/* start - the first reader brings the ring and the thread; both stay. */
static enum rb_code start(struct rb_feed *f, struct rb_err *err)
{
    if (f->ring == NULL) {
        f->ring = malloc(RB_FEED_BYTES);
    }
    if (f->ring == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the stream of events");
    }
    if (f->running) {
        return RB_OK;
    }
    enum rb_code rc = rb_thread_start(&f->thread, "rb-events", feed_main, f, err);
    f->running = rc == RB_OK;
    return rc;
}

enum rb_code rb_feed_join(struct rb_feed *f, uint64_t after, uint64_t *ret_at, struct rb_err *err)
{
    enum rb_code rc = RB_OK;
    pthread_mutex_lock(&f->lock);
    if (f->readers >= RB_FEED_READERS_MAX) {
        rc =
            rb_err_set(err, RB_E_FULL, "%d readers follow the events already", RB_FEED_READERS_MAX);
    } else {
        rc = start(f, err);
    }
    if (rc == RB_OK) {
        f->since_ms = f->readers == 0 ? rb_now_ms(f->clock) : f->since_ms;
        f->readers++;
        bool kept = after >= f->begin && after < f->end;
        *ret_at = kept ? after_event(f, after) : f->end;
        pthread_cond_signal(&f->changed);
    }
    pthread_mutex_unlock(&f->lock);
    return rc;
}

void rb_feed_leave(struct rb_feed *f)
{
    pthread_mutex_lock(&f->lock);
    f->readers--;
    pthread_cond_signal(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

bool rb_feed_has(struct rb_feed *f, uint64_t at)
{
    pthread_mutex_lock(&f->lock);
    bool has = f->end != at;
    pthread_mutex_unlock(&f->lock);
    return has;
}

size_t rb_feed_read(struct rb_feed *f, uint64_t *at, char *ret_text, size_t max)
{
    static const char lost[] = "event: lost\ndata: {}\n\n";
    size_t n = 0;
    pthread_mutex_lock(&f->lock);
    if (*at < f->begin && max >= sizeof lost - 1) {
        n = sizeof lost - 1;
        (void)memcpy(ret_text, lost, n);
        *at = f->begin;
    }
    while (n < max && *at >= f->begin && *at < f->end) {
        ret_text[n++] = ring_byte(f, (*at)++);
    }
    pthread_mutex_unlock(&f->lock);
    return n;
}

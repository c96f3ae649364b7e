/* sender.c - posts events and repeats those that were not taken, with a heap of due times and a few
 * threads for each target. Source: API destinations of EventBridge: five seconds for an answer;
 * 429, 5xx and no answer are repeated with backoff and jitter for up to a day, everything else is
 * final. */
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/clock.h>
#include <retrybuild/random.h>
#include <retrybuild/thread.h>

#include "sender.h"

#define THREADS_PER_TARGET 2
#define MAX_QUEUED 200000 /* per target; beyond it new events are dropped, as by a full bus */

struct item {
    char *body;
    int64_t due_ms, born_ms; /* boot clock */
    uint64_t order;          /* of posting: equal due times keep it */
    int64_t attempts;
};

struct target {
    struct sim_sender *sender;
    char *url;
    struct curl_slist *headers;
    pthread_t threads[THREADS_PER_TARGET];
    int n_threads;
    struct item *heap; /* guarded by the sender's lock, as are the next two */
    size_t n, cap;
};

struct sim_sender {
    struct sim_event_knobs knobs;
    struct target *targets;
    size_t n_targets;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stopping;  /* guarded by lock */
    uint64_t posts; /* guarded by lock */
    uint64_t epoch; /* guarded by lock; a clear begins a new one */
};

static bool before(const struct item *a, const struct item *b)
{
    return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : a->order < b->order;
}

static void swap(struct item *a, struct item *b)
{
    struct item t = *a;
    *a = *b;
    *b = t;
}

static bool push(struct target *t, struct item it)
{
    if (t->n == t->cap) {
        size_t cap = t->cap == 0 ? 64 : t->cap * 2;
        struct item *more = realloc(t->heap, cap * sizeof *more);
        if (more == NULL) {
            return false;
        }
        t->heap = more;
        t->cap = cap;
    }
    size_t i = t->n++;
    t->heap[i] = it;
    while (i > 0 && before(&t->heap[i], &t->heap[(i - 1) / 2])) {
        swap(&t->heap[i], &t->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    return true;
}

static struct item pop(struct target *t)
{
    struct item top = t->heap[0];
    t->heap[0] = t->heap[--t->n];
    size_t i = 0;
    for (;;) {
        size_t least = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < t->n; child++) {
            least = before(&t->heap[child], &t->heap[least]) ? child : least;
        }
        if (least == i) {
            return top;
        }
        swap(&t->heap[i], &t->heap[least]);
        i = least;
    }
}

static int64_t boot_ms(void)
{
    return rb_boot_ms(rb_clock_system());
}

/* The next item that is due, waiting for it; false: stopping. */
static bool take(struct target *t, struct item *ret_item, uint64_t *ret_epoch)
{
    struct sim_sender *s = t->sender;
    pthread_mutex_lock(&s->lock);
    while (!s->stopping) {
        int64_t wait_ms = t->n == 0 ? -1 : t->heap[0].due_ms - boot_ms();
        if (t->n > 0 && wait_ms <= 0) {
            *ret_item = pop(t);
            *ret_epoch = s->epoch;
            pthread_mutex_unlock(&s->lock);
            return true;
        }
        rb_cond_wait_ms(&s->changed, &s->lock, wait_ms);
    }
    pthread_mutex_unlock(&s->lock);
    return false;
}

static size_t discard(char *data, size_t size, size_t n, void *arg)
{
    (void)data;
    (void)arg;
    return size * n;
}

static int cut_on_stop(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    struct sim_sender *s = arg;
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    pthread_mutex_lock(&s->lock);
    bool stop = s->stopping;
    pthread_mutex_unlock(&s->lock);
    return stop ? 1 : 0;
}

/* One try. Returns the HTTP status, 0 without an answer; @ret_after_s: Retry-After, or 0. */
static long post_once(struct target *t, CURL *curl, const char *body, int64_t *ret_after_s)
{
    long status = 0;
    curl_off_t after_s = 0;
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, t->url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, t->headers);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "Amazon/EventBridge/ApiDestinations");
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)t->sender->knobs.timeout_ms);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, discard);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, cut_on_stop);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, t->sender);
    if (curl_easy_perform(curl) != CURLE_OK) {
        *ret_after_s = 0;
        return 0;
    }
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &after_s);
    *ret_after_s = after_s;
    return status;
}

/* Full jitter under a doubling ceiling, at least what the receiver asked for. */
static int64_t backoff_ms(const struct sim_event_knobs *k, int64_t attempts, int64_t after_s)
{
    int64_t ceiling_ms = k->retry_base_ms;
    for (int64_t i = 1; i < attempts && ceiling_ms < k->retry_cap_ms; i++) {
        ceiling_ms *= 2;
    }
    ceiling_ms = ceiling_ms < k->retry_cap_ms ? ceiling_ms : k->retry_cap_ms;
    uint64_t drawn = rb_random_below(rb_random_system(), (uint64_t)ceiling_ms + 1);
    int64_t asked_ms = after_s * 1000;
    return asked_ms > (int64_t)drawn ? asked_ms : (int64_t)drawn;
}

/* Back into the heap with its next time, or freed. */
static void settle(struct target *t, struct item it, long status, int64_t after_s, uint64_t epoch)
{
    struct sim_sender *s = t->sender;
    int64_t now_ms = boot_ms();
    it.attempts++;
    bool again = status == 0 || status == 429 || status >= 500;
    again =
        again && it.attempts < s->knobs.max_attempts && now_ms - it.born_ms < s->knobs.max_age_ms;
    if (again) {
        it.due_ms = now_ms + backoff_ms(&s->knobs, it.attempts, after_s);
        pthread_mutex_lock(&s->lock);
        bool kept = !s->stopping && s->epoch == epoch && push(t, it);
        pthread_mutex_unlock(&s->lock);
        if (kept) {
            return;
        }
    }
    free(it.body);
}

static void *run(void *arg)
{
    struct target *t = arg;
    CURL *curl = curl_easy_init();
    struct item it;
    uint64_t epoch = 0;
    while (curl != NULL && take(t, &it, &epoch)) {
        int64_t after_s = 0;
        long status = post_once(t, curl, it.body, &after_s);
        settle(t, it, status, after_s, epoch);
    }
    curl_easy_cleanup(curl);
    return NULL;
}

static enum rb_code set_headers(struct target *t, const struct rb_sim_target *from,
                                struct rb_err *err)
{
    static const char *const always[] = {"Content-Type: application/json; charset=utf-8",
                                         "Range: bytes=0-1048575", "Accept-Encoding: gzip,deflate",
                                         "Connection: close", "Expect:"};
    for (size_t i = 0; i < RB_ARRAY_LEN(always) + from->n_headers; i++) {
        const char *one =
            i < RB_ARRAY_LEN(always) ? always[i] : from->headers[i - RB_ARRAY_LEN(always)];
        if (strchr(one, ':') == NULL || strpbrk(one, "\r\n") != NULL) {
            return rb_err_set(err, RB_E_INVALID, "an event header must look like 'name: value'");
        }
        struct curl_slist *more = curl_slist_append(t->headers, one);
        if (more == NULL) {
            return rb_err_set(err, RB_E_NOMEM, "no memory for headers");
        }
        t->headers = more;
    }
    return RB_OK;
}

static enum rb_code start_target(struct sim_sender *s, struct target *t,
                                 const struct rb_sim_target *from, struct rb_err *err)
{
    t->sender = s;
    t->url = strdup(from->url);
    if (t->url == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a target");
    }
    if (strncmp(from->url, "http://", 7) != 0 && strncmp(from->url, "https://", 8) != 0) {
        return rb_err_set(err, RB_E_INVALID, "events go to http:// or https:// only");
    }
    enum rb_code rc = set_headers(t, from, err);
    while (rc == RB_OK && t->n_threads < THREADS_PER_TARGET) {
        rc = rb_thread_start(&t->threads[t->n_threads], "sim-events", run, t, err);
        t->n_threads += rc == RB_OK ? 1 : 0;
    }
    return rc;
}

enum rb_code sim_sender_start(const struct rb_sim_target *targets, size_t n,
                              const struct sim_event_knobs *knobs, struct sim_sender **ret_sender,
                              struct rb_err *err)
{
    struct sim_sender *s = calloc(1, sizeof *s);
    struct target *list = calloc(n, sizeof *list);
    if (s == NULL || list == NULL) {
        free(s);
        free(list);
        return rb_err_set(err, RB_E_NOMEM, "no memory for the event sender");
    }
    s->knobs = *knobs;
    s->targets = list;
    pthread_mutex_init(&s->lock, NULL);
    rb_cond_init(&s->changed);
    enum rb_code rc = RB_OK;
    for (; rc == RB_OK && s->n_targets < n; s->n_targets++) {
        rc = start_target(s, &s->targets[s->n_targets], &targets[s->n_targets], err);
    }
    if (rc != RB_OK) {
        sim_sender_stop(s);
        return rc;
    }
    *ret_sender = s;
    return RB_OK;
}

void sim_sender_post(struct sim_sender *s, const char *body)
{
    pthread_mutex_lock(&s->lock);
    int64_t now_ms = boot_ms();
    for (size_t i = 0; i < s->n_targets; i++) {
        struct item it = {
            .born_ms = now_ms, .due_ms = now_ms + s->knobs.delay_ms, .order = s->posts++};
        it.body = s->targets[i].n < MAX_QUEUED ? strdup(body) : NULL;
        if (it.body != NULL && !push(&s->targets[i], it)) {
            free(it.body);
        }
    }
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

void sim_sender_clear(struct sim_sender *s)
{
    pthread_mutex_lock(&s->lock);
    s->epoch++;
    for (size_t i = 0; i < s->n_targets; i++) {
        while (s->targets[i].n > 0) {
            free(s->targets[i].heap[--s->targets[i].n].body);
        }
    }
    pthread_mutex_unlock(&s->lock);
}

void sim_sender_stop(struct sim_sender *s)
{
    if (s == NULL) {
        return;
    }
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    for (size_t i = 0; i < s->n_targets; i++) {
        for (int k = 0; k < s->targets[i].n_threads; k++) {
            pthread_join(s->targets[i].threads[k], NULL);
        }
    }
    sim_sender_clear(s);
    for (size_t i = 0; i < s->n_targets; i++) {
        curl_slist_free_all(s->targets[i].headers);
        free(s->targets[i].url);
        free(s->targets[i].heap);
    }
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s->targets);
    free(s);
}

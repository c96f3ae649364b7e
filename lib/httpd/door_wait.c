/* door_wait.c - how front-door requests wait without holding the loop.
 *
 * A RetryBuild waits for a worker of the engine, which may be one of another process on the same
 * store: so it is looked at again and again, in pauses that grow to half a second, by the API
 * thread. The few that wait at once (a person, a script, a pipeline) make this cheaper than a bell
 * that every worker of every process would have to ring. Calls to CodeBuild have threads of their
 * own, each with its client: a slow AWS must not hold the list of retries.
 */
#include <retrybuild/httpc.h>
#include <retrybuild/log.h>
#include <retrybuild/thread.h>

#include "door.h"

#define FIRST_PAUSE_MS 25
#define LONGEST_PAUSE_MS 500

bool rb_door_enter(struct rb_exchange *ex)
{
    struct rb_httpd *h = ex->httpd;
    if (h->n_door >= RB_DOOR_WAITING_MAX) {
        rb_door_error(ex, "ThrottlingException", "Rate exceeded");
        return false;
    }
    struct rb_err err = {.code = RB_OK};
    if (rb_door_threads(h, &err) != RB_OK) {
        rb_log(RB_LOG_ERROR, "door.no_threads", RB_F("why", err.msg));
        rb_door_error(ex, "ServiceUnavailableException", "No thread for the request.");
        return false;
    }
    h->n_door++;
    ex->door->counted = true;
    ex->door->pause_ms = FIRST_PAUSE_MS;
    rb_conn_hold(ex->conn);
    return true;
}

void rb_door_look_again(struct rb_exchange *ex,
                        void (*look)(struct rb_exchange *ex, struct rb_store_session *ses))
{
    struct rb_door *d = ex->door;
    d->look = look;
    d->due_ms = rb_boot_ms(ex->httpd->deps.clock) + d->pause_ms;
    d->pause_ms = d->pause_ms * 2 < LONGEST_PAUSE_MS ? d->pause_ms * 2 : LONGEST_PAUSE_MS;
    ex->next_step = RB_NEXT_LOOK;
}

void rb_door_go_on(struct rb_exchange *ex)
{
    struct rb_httpd *h = ex->httpd;
    enum rb_next_step step = ex->next_step;
    ex->next_step = RB_NEXT_ANSWER;
    if (atomic_load(&h->stopping)) {
        rb_door_error(ex, "ServiceUnavailableException",
                      "The service is stopping; the same request again finds the retry.");
        rb_exchange_resume(ex);
    } else if (step == RB_NEXT_CALL) {
        rb_exchange_call(ex, ex->call);
    } else {
        ex->next = h->door_waiting;
        h->door_waiting = ex;
        h->door_due_ms = ex->door->due_ms < h->door_due_ms ? ex->door->due_ms : h->door_due_ms;
    }
}

void rb_door_turn(struct rb_httpd *h)
{
    int64_t boot_ms = rb_boot_ms(h->deps.clock);
    bool stopping = atomic_load_explicit(&h->stopping, memory_order_relaxed);
    if (h->door_waiting == NULL || (boot_ms < h->door_due_ms && !stopping)) {
        return;
    }
    struct rb_exchange *list = h->door_waiting;
    h->door_waiting = NULL;
    h->door_due_ms = INT64_MAX;
    while (list != NULL) {
        struct rb_exchange *ex = list;
        list = ex->next;
        if (stopping || ex->door->due_ms > boot_ms) {
            ex->next_step = RB_NEXT_LOOK;
            rb_door_go_on(ex);
        } else {
            rb_exchange_job(ex, ex->door->look);
        }
    }
}

int64_t rb_door_timeout_ms(const struct rb_httpd *h)
{
    if (h->door_waiting == NULL) {
        return -1;
    }
    int64_t ms = h->door_due_ms - rb_boot_ms(h->deps.clock);
    return ms > 0 ? ms : 0;
}

/* ---- threads ---- */

static struct rb_exchange *next_call(struct rb_httpd *h)
{
    pthread_mutex_lock(&h->lock);
    while (h->calls == NULL && !h->calls_stop) {
        rb_cond_wait_ms(&h->calls_cond, &h->lock, -1);
    }
    struct rb_exchange *ex = h->calls;
    if (ex != NULL) {
        h->calls = ex->next;
        if (h->calls == NULL) {
            h->calls_tail = &h->calls;
        }
    }
    pthread_mutex_unlock(&h->lock);
    return ex;
}

/* Whom a thread calls with: CodeBuild, and the servers that hooks need something of. */
struct clients {
    struct rb_codebuild *codebuild;
    struct rb_httpc *http;
    struct rb_settings *http_settings; /* that `http` was made by */
};

static void run_ask(struct rb_exchange *ex, struct clients *c)
{
    struct rb_err err = {.code = RB_OK};
    struct rb_settings *s = ex->view->settings;
    if (c->http_settings != s) {
        rb_httpc_free(c->http);
        c->http = NULL;
        rb_settings_unrefp(&c->http_settings);
    }
    if (c->http == NULL && rb_httpc_new(s, &c->http, &err) == RB_OK) {
        c->http_settings = rb_settings_ref(s);
    }
    ex->ask(ex, c->http);
}

static enum rb_code need_codebuild(struct rb_httpd *h, const struct rb_exchange *ex,
                                   struct rb_codebuild **client, struct rb_err *err)
{
    enum rb_code rc = RB_OK;
    if (*client == NULL) {
        rc = rb_codebuild_new(h->deps.aws, ex->view->settings, client, err);
        if (rc == RB_OK) {
            rb_codebuild_cancel_on(*client, &h->calls_cancel);
        }
    }
    return rc;
}

static void run_codebuild(struct rb_httpd *h, struct rb_exchange *ex, struct rb_codebuild **client)
{
    struct rb_err err = {.code = RB_OK};
    enum rb_code rc = need_codebuild(h, ex, client, &err);
    if (rc != RB_OK && ex->resolve != NULL) {
        rb_answer_problem(ex, 503, "CodeBuild cannot be asked; send it again");
    } else if (rc != RB_OK && ex->door != NULL) {
        rb_door_no_answer(ex, rc, &err);
    } else {
        ex->call(ex, *client);
    }
}

static void run_call(struct rb_httpd *h, struct rb_exchange *ex, struct clients *c)
{
    struct rb_err err = {.code = RB_OK};
    if (ex->ask != NULL) {
        if (ex->testing && need_codebuild(h, ex, &c->codebuild, &err) == RB_OK) {
            ex->codebuild = c->codebuild;
        }
        run_ask(ex, c);
    } else {
        run_codebuild(h, ex, &c->codebuild);
    }
    pthread_mutex_lock(&h->lock);
    ex->next = h->done;
    h->done = ex;
    pthread_mutex_unlock(&h->lock);
    rb_httpd_wake(h);
}

static void *door_main(void *arg)
{
    struct rb_httpd *h = arg;
    struct clients c = {.codebuild = NULL};
    for (struct rb_exchange *ex; (ex = next_call(h)) != NULL;) {
        run_call(h, ex, &c);
    }
    rb_codebuild_free(c.codebuild);
    rb_httpc_free(c.http);
    rb_settings_unrefp(&c.http_settings);
    return NULL;
}

enum rb_code rb_door_threads(struct rb_httpd *h, struct rb_err *err)
{
    while (h->n_door_threads < RB_DOOR_THREADS) {
        enum rb_code rc =
            rb_thread_start(&h->door_threads[h->n_door_threads], "rb-door", door_main, h, err);
        if (rc != RB_OK) {
            return h->n_door_threads > 0 ? RB_OK : rc;
        }
        h->n_door_threads++;
    }
    return RB_OK;
}

void rb_door_stop(struct rb_httpd *h)
{
    atomic_store(&h->calls_cancel, true);
    pthread_mutex_lock(&h->lock);
    h->calls_stop = true;
    pthread_cond_broadcast(&h->calls_cond);
    pthread_mutex_unlock(&h->lock);
    while (h->n_door_threads > 0) {
        pthread_join(h->door_threads[--h->n_door_threads], NULL);
    }
}

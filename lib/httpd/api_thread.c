/* api_thread.c - one thread with its own store session for the requests that read or act, so that
 * the loop never waits for them. */
#include <retrybuild/log.h>
#include <retrybuild/thread.h>

#include "private.h"

static struct rb_exchange *next_job(struct rb_httpd *h)
{
    pthread_mutex_lock(&h->lock);
    while (h->jobs == NULL && !h->jobs_stop) {
        rb_cond_wait_ms(&h->jobs_cond, &h->lock, -1);
    }
    struct rb_exchange *ex = h->jobs;
    if (ex != NULL) {
        h->jobs = ex->next;
        if (h->jobs == NULL) {
            h->jobs_tail = &h->jobs;
        }
    }
    pthread_mutex_unlock(&h->lock);
    return ex;
}

static void run_job(struct rb_httpd *h, struct rb_exchange *ex, struct rb_store_session **ses)
{
    struct rb_err err = {.code = RB_OK};
    enum rb_code rc = RB_OK;
    if (*ses == NULL) {
        rc = rb_store_session_open(h->deps.store, ses, &err);
    }
    if (rc != RB_OK) {
        rb_answer_err(ex, RB_E_UNAVAIL, &err);
    } else {
        ex->job(ex, *ses);
    }
    pthread_mutex_lock(&h->lock);
    ex->next = h->done;
    h->done = ex;
    pthread_mutex_unlock(&h->lock);
    rb_httpd_wake(h);
}

static void *api_main(void *arg)
{
    struct rb_httpd *h = arg;
    struct rb_store_session *ses = NULL;
    for (struct rb_exchange *ex; (ex = next_job(h)) != NULL;) {
        run_job(h, ex, &ses);
    }
    rb_store_session_close(ses);
    return NULL;
}

enum rb_code rb_api_start(struct rb_httpd *h, struct rb_err *err)
{
    enum rb_code rc = rb_thread_start(&h->api_thread, "rb-api", api_main, h, err);
    h->api_running = rc == RB_OK;
    return rc;
}

void rb_api_stop(struct rb_httpd *h)
{
    if (!h->api_running) {
        return;
    }
    pthread_mutex_lock(&h->lock);
    h->jobs_stop = true;
    pthread_cond_signal(&h->jobs_cond);
    pthread_mutex_unlock(&h->lock);
    pthread_join(h->api_thread, NULL);
    h->api_running = false;
}

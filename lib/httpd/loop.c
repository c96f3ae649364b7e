/* loop.c - the listener's loop, its start and its end.
 *
 * One thread, one epoll descriptor that holds the listening socket, those of connections (ready.h)
 * or the library's own epoll descriptor, the store's (through the admitter) and an eventfd. The
 * library's internal epoll thread is not used: it stalls when a multiple of 128 connections is
 * ready at once, while MHD_run from a loop of our own never blocks. One turn: what the store
 * answered is completed and its connections resumed; the library runs, which sends those answers
 * and reads new requests; what they added goes to the store as one batch.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/log.h>
#include <retrybuild/thread.h>

#include "door.h"
#include "feed.h"
#include "listen.h"
#include "private.h"
#include "ready.h"
#include "tls.h"

#define EVENTS_A_TURN 256
#define STOP_TICK_MS 20

void rb_httpd_wake(struct rb_httpd *h)
{
    uint64_t one = 1;
    (void)!write(h->wake_fd, &one, sizeof one);
}

/* admitted - the store's answer for one admission of an exchange. */
static void admitted(void *arg, struct rb_admission *a)
{
    (void)arg;
    struct rb_exchange *ex = a->user;
    if (--ex->n_waiting == 0) {
        rb_exchange_resume(ex);
    }
}

static void drain_eventfd(int fd)
{
    uint64_t n = 0;
    (void)!read(fd, &n, sizeof n);
}

/* goes_on - what a front-door thread found out is what the API thread needs. */
static bool goes_on(struct rb_exchange *ex)
{
    if (ex->next_step != RB_NEXT_JOB) {
        return false;
    }
    ex->next_step = RB_NEXT_ANSWER;
    if (ex->httpd->jobs_stop) {
        rb_answer_problem(ex, 503, "the service is stopping; send it again");
        return false;
    }
    rb_exchange_job(ex, ex->job);
    return true;
}

/* collect - finished jobs of the API thread, and a new view after a reload. */
static void collect(struct rb_httpd *h)
{
    drain_eventfd(h->wake_fd);
    pthread_mutex_lock(&h->lock);
    struct rb_exchange *done = h->done;
    h->done = NULL;
    struct rb_view *view = h->next_view;
    h->next_view = NULL;
    pthread_mutex_unlock(&h->lock);
    while (done != NULL) {
        struct rb_exchange *ex = done;
        done = ex->next;
        if (goes_on(ex) || rb_defer_back(ex)) {
            continue;
        }
        if (ex->next_step == RB_NEXT_ANSWER) {
            rb_exchange_resume(ex);
        } else {
            rb_door_go_on(ex);
        }
    }
    if (view != NULL) {
        rb_view_unref(h->view);
        h->view = view;
        h->request_timeout_ms = view->settings->listen.request_timeout_ms;
    }
}

static int next_timeout_ms(struct rb_httpd *h, int64_t until_cut_ms)
{
    int64_t best = until_cut_ms < 0 ? 60000 : until_cut_ms + 1;
    struct MHD_Daemon *const daemons[] = {h->mhd, h->mhd_many};
    for (size_t i = 0; i < RB_ARRAY_LEN(daemons); i++) {
        MHD_UNSIGNED_LONG_LONG mhd_ms = 0;
        if (MHD_get_timeout(daemons[i], &mhd_ms) == MHD_YES && (int64_t)mhd_ms < best) {
            best = (int64_t)mhd_ms;
        }
    }
    int64_t accept_ms = rb_ready_accept_again(h);
    if (accept_ms >= 0 && accept_ms < best) {
        best = accept_ms;
    }
    int64_t door_ms = rb_door_timeout_ms(h);
    if (door_ms >= 0 && door_ms < best) {
        best = door_ms;
    }
    int64_t defer_ms = rb_defer_timeout_ms(h);
    if (defer_ms >= 0 && defer_ms < best) {
        best = defer_ms;
    }
    int64_t events_ms = rb_events_timeout_ms(h);
    if (events_ms >= 0 && events_ms < best) {
        best = events_ms;
    }
    int admitter_ms = rb_admitter_timeout_ms(h->admitter);
    if (admitter_ms >= 0 && admitter_ms < best) {
        best = admitter_ms;
    }
    if (atomic_load_explicit(&h->stopping, memory_order_relaxed) && best > STOP_TICK_MS) {
        best = STOP_TICK_MS;
    }
    return (int)best;
}

static void pump(struct rb_httpd *h)
{
    if (h->admitter != NULL) {
        rb_admitter_pump(h->admitter, rb_now_ms(h->deps.clock));
    }
}

/* take_events - tags are addresses of members of @h; any other is that of a connection. */
static void take_events(struct rb_httpd *h, const struct epoll_event *events, int n)
{
    for (int i = 0; i < n; i++) {
        void *tag = events[i].data.ptr;
        if (tag == &h->wake_fd) {
            collect(h);
        } else if (tag == &h->listen_fd) {
            rb_ready_accept(h);
        } else if (tag != &h->mhd_many && tag != &h->admitter) {
            rb_ready_event(h, tag, events[i].events);
        }
    }
}

static void turn(struct rb_httpd *h)
{
    struct epoll_event events[EVENTS_A_TURN];
    int64_t until_cut_ms = rb_conns_cut(h, rb_boot_ms(h->deps.clock));
    int n = epoll_wait(h->epoll_fd, events, EVENTS_A_TURN, next_timeout_ms(h, until_cut_ms));
    if (n < 0 && errno != EINTR) {
        rb_log(RB_LOG_ERROR, "listener.epoll_failed", RB_FI("errno", errno));
        return;
    }
    take_events(h, events, n);
    rb_door_turn(h);
    rb_defer_turn(h);
    rb_events_turn(h);
    pump(h);
    rb_ready_run(h, pump);
}

/* let_go - resume whatever is suspended, so that the library may be stopped. */
static void let_go(struct rb_httpd *h)
{
    rb_api_stop(h);
    rb_door_stop(h);
    collect(h);
    rb_defer_stop(h);
    rb_door_turn(h);
    rb_admitter_close(
        h->admitter); /* completes what is under way with RB_E_CLOSED, which resumes it */
    h->admitter = NULL;
    rb_events_turn(h);
    rb_ready_run(h, pump);
}

static void *loop_main(void *arg)
{
    struct rb_httpd *h = arg;
    bool quiesced = false;
    for (;;) {
        turn(h);
        if (!atomic_load(&h->stopping)) {
            continue;
        }
        if (!quiesced) {
            rb_closep(&h->listen_fd);
            h->listen_fd = -1;
            quiesced = true;
        }
        if (h->n_exchanges == 0 || rb_boot_ms(h->deps.clock) >= atomic_load(&h->stop_by_ms)) {
            break;
        }
    }
    let_go(h);
    return NULL;
}

__attribute__((format(printf, 2, 0))) static void log_of_library(void *cls, const char *fmt,
                                                                 va_list ap)
{
    (void)cls;
    if (!rb_log_enabled(RB_LOG_DEBUG)) {
        return;
    }
    struct rb_buf text = RB_BUF_INIT(512);
    rb_buf_addvf(&text, fmt, ap);
    rb_log(RB_LOG_DEBUG, "listener.http", RB_F("text", rb_buf_str(&text)));
    rb_buf_release(&text);
}

/* start_daemon - one of the two, for our own sockets; NULL: the library says no. */
static struct MHD_Daemon *start_daemon(struct rb_httpd *h, unsigned flags,
                                       struct MHD_OptionItem *tls_items)
{
    return MHD_start_daemon(
        flags | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | MHD_USE_NO_LISTEN_SOCKET, 0, NULL,
        NULL, rb_httpd_access, h, MHD_OPTION_EXTERNAL_LOGGER, log_of_library, NULL,
        MHD_OPTION_NOTIFY_COMPLETED, rb_httpd_completed, h, MHD_OPTION_NOTIFY_CONNECTION,
        rb_conn_notify, h, MHD_OPTION_CONNECTION_LIMIT, h->max_conns,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)RB_CONNECTION_MEMORY_BYTES,
        MHD_OPTION_STRICT_FOR_CLIENT, 0, MHD_OPTION_ARRAY, tls_items, MHD_OPTION_UNESCAPE_CALLBACK,
        rb_route_unescape, NULL, MHD_OPTION_END);
}

static enum rb_code start_library(struct rb_httpd *h, const struct rb_settings *s,
                                  struct rb_err *err)
{
    struct MHD_OptionItem tls_items[3] = {
        {MHD_OPTION_END, 0, NULL}, {MHD_OPTION_END, 0, NULL}, {MHD_OPTION_END, 0, NULL}};
    struct MHD_OptionItem none[1] = {{MHD_OPTION_END, 0, NULL}};
    RB_CLEANUP(rb_tls_files_release) struct rb_tls_files tls = {NULL, NULL};
    h->secure = s->listen.certificate_file != NULL;
    if (h->secure) {
        enum rb_code rc = rb_tls_files_load(s, &tls, err);
        if (rc != RB_OK) {
            return rc;
        }
        tls_items[0] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, tls.certificate};
        tls_items[1] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, tls.key};
    }
    h->max_conns = (unsigned)s->listen.max_connections;
    h->mhd = start_daemon(h, 0, none);
    h->mhd_many =
        start_daemon(h, MHD_USE_EPOLL | (h->secure ? (unsigned)MHD_USE_TLS : 0U), tls_items);
    if (h->mhd == NULL || h->mhd_many == NULL) {
        return rb_err_set(
            err, RB_E_IO, "the HTTP listener did not start on '%s'%s", h->address,
            !h->secure ? "" : " (do listen.tls.certificate_file and key_file belong together?)");
    }
    return RB_OK;
}

static enum rb_code watch(struct rb_httpd *h, int fd, void *tag, struct rb_err *err)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = tag};
    if (fd < 0 || epoll_ctl(h->epoll_fd, EPOLL_CTL_ADD, fd, &ev) != 0) {
        return rb_err_errno(err, RB_E_IO, errno, "listener: epoll_ctl");
    }
    return RB_OK;
}

static enum rb_code start_parts(struct rb_httpd *h, struct rb_settings *s, struct rb_err *err)
{
    enum rb_code rc = rb_listen_passed(&h->listen_fd, err);
    if (rc == RB_OK && h->listen_fd < 0) {
        rc = rb_listen_open(s->listen.address, &h->listen_fd, err);
    }
    if (rc != RB_OK) {
        return rc;
    }
    h->port = rb_listen_describe(h->listen_fd, h->address, sizeof h->address);
    h->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    h->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    h->view = rb_view_new(s);
    h->signers = rb_signers_new();
    if (h->signers == NULL || h->epoll_fd < 0 || h->wake_fd < 0 || h->view == NULL) {
        return rb_err_errno(err, RB_E_IO, errno, "listener: no descriptors or memory");
    }
    rc = start_library(h, s, err);
    if (rc == RB_OK) {
        const union MHD_DaemonInfo *info =
            MHD_get_daemon_info(h->mhd_many, MHD_DAEMON_INFO_EPOLL_FD);
        rc = watch(h, info == NULL ? -1 : info->epoll_fd, &h->mhd_many, err);
    }
    if (rc == RB_OK) {
        rc = watch(h, h->listen_fd, &h->listen_fd, err);
    }
    if (rc == RB_OK) {
        rc = watch(h, h->wake_fd, &h->wake_fd, err);
    }
    if (rc == RB_OK) {
        rc = rb_admitter_open(h->deps.store, h->epoll_fd, &h->admitter, admitted, h, &h->admitter,
                              err);
    }
    if (rc == RB_OK) {
        rc = rb_api_start(h, err);
    }
    if (rc == RB_OK) {
        rc = rb_thread_start(&h->loop_thread, "rb-listener", loop_main, h, err);
        h->loop_running = rc == RB_OK;
    }
    return rc;
}

static void release(struct rb_httpd *h)
{
    rb_api_stop(h);
    rb_door_stop(h);
    if (h->admitter != NULL) {
        rb_admitter_close(h->admitter);
    }
    if (h->mhd != NULL) {
        MHD_stop_daemon(h->mhd);
    }
    if (h->mhd_many != NULL) {
        MHD_stop_daemon(h->mhd_many);
    }
    rb_feed_free(h->feed);
    rb_closep(&h->listen_fd);
    rb_closep(&h->wake_fd);
    rb_closep(&h->epoll_fd);
    while (h->spare != NULL) {
        struct rb_exchange *ex = h->spare;
        h->spare = ex->next;
        rb_buf_release(&ex->body);
        rb_buf_release(&ex->answer);
        rb_arena_release(&ex->arena);
        free(ex);
    }
    rb_view_unref(h->view);
    rb_view_unref(h->next_view);
    rb_signers_free(h->signers);
    rb_buf_release(&h->openapi);
    pthread_mutex_destroy(&h->lock);
    pthread_cond_destroy(&h->jobs_cond);
    pthread_cond_destroy(&h->calls_cond);
    free(h);
}

enum rb_code rb_httpd_start(const struct rb_httpd_deps *deps, struct rb_settings *s,
                            struct rb_httpd **ret_h, struct rb_err *err)
{
    struct rb_httpd *h = calloc(1, sizeof *h);
    if (h == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "listener: no memory");
    }
    h->deps = *deps;
    h->listen_fd = h->epoll_fd = h->wake_fd = -1;
    h->conns.next = h->conns.prev = &h->conns;
    h->request_timeout_ms = s->listen.request_timeout_ms;
    h->jobs_tail = &h->jobs;
    h->calls_tail = &h->calls;
    h->door_due_ms = INT64_MAX;
    h->duration = rb_metric_cell(RB_M_DELIVERY_DURATION, NULL, NULL);
    pthread_mutex_init(&h->lock, NULL);
    rb_cond_init(&h->jobs_cond);
    rb_cond_init(&h->calls_cond);
    enum rb_code rc = start_parts(h, s, err);
    if (rc != RB_OK) {
        release(h);
        return rc;
    }
    *ret_h = h;
    return RB_OK;
}

uint16_t rb_httpd_port(const struct rb_httpd *h)
{
    return h->port;
}

const char *rb_httpd_address(const struct rb_httpd *h)
{
    return h->address;
}

void rb_httpd_reload(struct rb_httpd *h, struct rb_settings *s)
{
    struct rb_view *v = rb_view_new(s);
    if (v == NULL) {
        rb_log(RB_LOG_ERROR, "listener.reload_failed", RB_F("why", "no memory"));
        return;
    }
    pthread_mutex_lock(&h->lock);
    struct rb_view *unseen = h->next_view;
    h->next_view = v;
    pthread_mutex_unlock(&h->lock);
    rb_view_unref(unseen);
    rb_httpd_wake(h);
}

void rb_httpd_drain(struct rb_httpd *h)
{
    atomic_store(&h->draining, true);
}

void rb_httpd_stop(struct rb_httpd *h, int64_t grace_ms)
{
    if (h == NULL) {
        return;
    }
    atomic_store(&h->draining, true);
    atomic_store(&h->stop_by_ms, rb_boot_ms(h->deps.clock) + grace_ms);
    atomic_store(&h->stopping, true);
    rb_httpd_wake(h);
    if (h->loop_running) {
        pthread_join(h->loop_thread, NULL);
    }
    release(h);
}

/* private.h - what the files of the listener share.
 *
 * Threads: an exchange belongs to the loop, except while its job is in the API thread's queue; then
 * that thread alone touches `answer`, `status` and `headers`, and hands it back through the done
 * list.
 */
#ifndef RB_HTTPD_PRIVATE_H
#define RB_HTTPD_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/select.h>
#include <time.h>

#include <microhttpd.h>

#include <retrybuild/buf.h>
#include <retrybuild/counters.h>
#include <retrybuild/httpd.h>
#include <retrybuild/mem.h>
#include <retrybuild/source.h>

#define RB_HEADER_BYTES_MAX 8192
#define RB_HEADERS_MAX 64
#define RB_URL_BYTES_MAX 1024
#define RB_CONNECTION_MEMORY_BYTES 12288
#define RB_ANSWER_MAX_BYTES (8 * 1024 * 1024)
#define RB_BODY_KEEP_BYTES 16384 /* a larger body buffer is freed after its request */
#define RB_LARGE_BODIES_MAX_BYTES (64 * 1024 * 1024) /* of all bodies beyond RB_BODY_KEEP_BYTES */
#define RB_SPARE_EXCHANGES 512
#define RB_DISCARD_MAX_BYTES (16 * 1024 * 1024)
#define RB_RETRY_AFTER_SECONDS "5"
#define RB_DOOR_THREADS 4
#define RB_FEW_EVENTS 4   /* of one delivery, without an allocation */
#define RB_FETCHES_MAX 64 /* deliveries that wait for a certificate or a confirmation */
#define RB_ACCOUNT_BYTES 13
#define RB_RESOLVING_MAX 64 /* deliveries whose build is being looked for */

/* ---- results of a delivery, as in deliveries_total{result} ---- */
enum rb_delivery_result {
    RB_RESULT_ACCEPTED,
    RB_RESULT_DUPLICATE,
    RB_RESULT_IGNORED,
    RB_RESULT_REFUSED,
    RB_RESULT_UNAUTHORIZED,
    RB_RESULT_INVALID,
    RB_RESULT_MISMATCH,
    RB_RESULT_OVERLOADED,
    RB_RESULT_UNAVAILABLE,
    RB_RESULT_COUNT
};

/* ---- one connection: its deadline, and its place among the others in order of deadlines ---- */
struct rb_conn {
    struct rb_conn *prev, *next;
    struct MHD_Connection *mhd;
    int fd;
    int64_t deadline_ms; /* boot clock; then the socket is shut down */
    bool cut;
    /* ready.c */
    struct rb_conn *next_touched;
    uint32_t watched; /* epoll's events for it, 0 = not in the set */
    bool quick;       /* of the daemon that polls nothing */
    bool touched;     /* looked at in this turn */
    bool suspended;
    bool answering; /* its answer was queued and has not ended */
    bool unsure;    /* was read from in this step; the library may have an answer of its own */
};

/* ---- one source as the hot path wants it ---- */
struct rb_source_view {
    const struct rb_source_setting *setting;
    const struct rb_source_type *type;
    struct rb_certificate *pinned; /* of certificate_file; NULL = none, or it cannot be read */
    struct rb_metric_cell *results[RB_RESULT_COUNT];
    struct rb_metric_cell *bad_proof;
};

/* The settings in force with what is derived from them; reference counted, swapped by a reload. */
struct rb_view {
    struct rb_settings *settings;
    struct rb_source_view *sources;
    unsigned n_sources;
    unsigned refs; /* loop thread only */
};

struct rb_exchange;
struct rb_route;

struct rb_extra_header {
    const char *name;
    const char *value; /* static, or in the exchange's arena */
};
#define RB_EXTRA_HEADERS_MAX 10

enum rb_exchange_phase {
    RB_EX_BODY,    /* reading */
    RB_EX_WAITING, /* suspended: store or API thread */
    RB_EX_READY,   /* answer is set; queue it */
    RB_EX_ANSWERED,
};

/* What the loop does with an exchange that comes back from another thread. */
enum rb_next_step {
    RB_NEXT_ANSWER,
    RB_NEXT_LOOK, /* after a pause, the API thread looks again (door.h) */
    RB_NEXT_CALL, /* a front-door thread asks CodeBuild */
    RB_NEXT_JOB,  /* `job` is next, for the API thread */
};

struct rb_codebuild;
struct rb_door;
struct rb_hook_commands;
struct rb_fetch;
struct rb_httpc;
struct rb_signers;
struct rb_feed;
struct rb_stream;

#define RB_REQUEST_ID_BYTES 37 /* a UUID + NUL */

/* One request from its headers to its answer. */
struct rb_exchange {
    struct rb_exchange *next; /* spare list, job queue, done list */
    struct rb_httpd *httpd;
    struct MHD_Connection *mhd;
    struct rb_conn *conn;
    struct rb_view *view;
    const struct rb_route *route;
    const char *method;
    const char *path;
    struct rb_slice param; /* the path's variable segment */
    const char *actor;     /* token name */
    enum rb_role role;     /* of that token */
    enum rb_exchange_phase phase;
    struct rb_buf body;
    size_t discarded; /* bytes of a body past a limit */
    size_t large;     /* what this body takes of the room for large ones */
    bool crowded;     /* there was no room for it */
    struct rb_arena arena;
    struct timespec started; /* monotonic, for the histogram alone */

    /* hooks and the REST call: admissions under way */
    const struct rb_source_view *source;
    struct rb_admission **admissions; /* `few`, or for more of them in the arena */
    const char **reasons;             /* why an event gave nothing, in the arena */
    unsigned n_events, n_admitted, n_waiting;
    struct rb_resolve *resolve; /* hook_resolve.c; in the arena */
    bool asking;                /* counted in n_resolving */
    struct rb_whose *whose;     /* whose.c; in the arena */
    bool testing;               /* a destination; counted in n_fetches */
    struct rb_admission *few[RB_FEW_EVENTS];
    const char *few_reasons[RB_FEW_EVENTS];
    uint8_t *bad;           /* a batch's: whether an event is none at all */
    struct rb_fetch *fetch; /* hook_fetch.c; in the arena */

    /* the answer */
    unsigned status;
    const char *content_type;
    struct rb_buf answer;
    struct rb_extra_header headers[RB_EXTRA_HEADERS_MAX];
    unsigned n_headers;
    bool close;

    struct rb_hook_commands *commands;      /* of this delivery, in the arena; NULL = none */
    void (*finish)(struct rb_exchange *ex); /* when every admission has its outcome */
    void (*job)(struct rb_exchange *ex, struct rb_store_session *ses); /* for the API thread */
    char retry_id[RB_ID_BYTES];
    struct rb_exchange *next_deferrable; /* hook_defer.c */
    int64_t defer_at_ms;                 /* boot clock; 0 = not in that list */
    struct rb_late *late;                /* in the arena */
    bool deferring;                      /* resumed for an early answer */
    bool detached; /* answered early: without a connection, and ends by itself */

    /* POST / alone */
    bool aws_form; /* answers and errors are those of AWS */
    char request_id[RB_REQUEST_ID_BYTES];
    struct rb_stream *stream; /* GET /v1/events alone */
    struct rb_door *door;     /* in the arena; set when the caller has proved who it is */
    enum rb_next_step next_step;
    void (*call)(struct rb_exchange *ex, struct rb_codebuild *c); /* for a front-door thread */
    void (*ask)(struct rb_exchange *ex, struct rb_httpc *c);      /* the same, of a hook */
    struct rb_codebuild *codebuild; /* of the thread that runs `ask`; NULL = none */
};

struct rb_httpd {
    struct rb_httpd_deps deps;
    struct MHD_Daemon *mhd;      /* polls nothing: it is told what is ready (ready.h) */
    struct MHD_Daemon *mhd_many; /* with an epoll descriptor of its own */
    int listen_fd;
    int epoll_fd;
    int wake_fd; /* eventfd: done list, reload, stop */
    char address[128];
    uint16_t port;
    int64_t request_timeout_ms;
    pthread_t loop_thread;
    bool loop_running;
    struct rb_admitter *admitter;

    /* loop thread only */
    struct rb_view *view;
    struct rb_conn conns; /* list head */
    struct rb_exchange *spare;
    unsigned n_spare;
    unsigned n_exchanges; /* in use */
    size_t large_bytes;   /* held by bodies beyond RB_BODY_KEEP_BYTES */
    bool resumed;
    struct rb_conn *touched;   /* connections that this turn looks at */
    fd_set readable, writable; /* of the first daemon's, for its next step */
    unsigned n_quick, n_conns, max_conns;
    bool secure;           /* TLS */
    bool many_added;       /* the second daemon has connections that it has not begun */
    bool deaf;             /* the listening socket is not watched */
    int64_t deaf_until_ms; /* boot clock */
    struct rb_metric_cell *duration;
    struct rb_exchange *door_waiting; /* between two looks */
    int64_t door_due_ms;              /* boot clock: the first of those looks; INT64_MAX = none */
    struct rb_exchange *deferrable;   /* commands whose answer may come later */
    unsigned n_resolving;             /* requests that wait for the build they mean */
    struct rb_feed *feed;             /* made by the first reader of events */
    struct rb_stream *streams;        /* their connections */
    unsigned n_door;                  /* front-door requests that wait for something */
    pthread_t door_threads[RB_DOOR_THREADS];
    unsigned n_door_threads; /* started by the first request that needs one */
    unsigned n_fetches;      /* hooks that wait for a front-door thread */
    struct rb_buf openapi;   /* made by the first who asks */

    /* guarded by lock */
    pthread_mutex_t lock;
    pthread_cond_t jobs_cond;
    struct rb_exchange *jobs, **jobs_tail;
    char own_account[RB_ACCOUNT_BYTES]; /* of our credentials, once CodeBuild has told it */
    struct rb_exchange *done;
    struct rb_view *next_view;
    bool jobs_stop;
    pthread_cond_t calls_cond;
    struct rb_exchange *calls, **calls_tail;
    bool calls_stop;
    struct rb_signers *signers; /* certificates of senders; has a lock of its own */

    pthread_t api_thread;
    bool api_running;
    atomic_bool calls_cancel; /* calls to CodeBuild end soon */
    atomic_bool draining;
    atomic_bool stopping;
    atomic_int_least64_t stop_by_ms; /* boot clock */
};

/* ---- check.c ---- */
/* rb_check_request - what libmicrohttpd lets through and must not pass; 0 = fine, else the HTTP
 * status to refuse with and *ret_why. */
unsigned rb_check_request(struct MHD_Connection *mhd, const char *method, const char *version,
                          const char *url, uint64_t max_body, const char **ret_why);

/* ---- route.c ---- */
struct rb_route {
    const char *method;
    const char *pattern; /* one '*' stands for one path segment */
    enum rb_role role;   /* NONE: no token asked */
    bool has_body;
    void (*handle)(struct rb_exchange *ex); /* with the whole body; sets the answer, or starts
                                               something and leaves phase WAITING */
};
/* rb_routes - the whole table. */
const struct rb_route *rb_routes(size_t *ret_n);
/* rb_route_unescape - %XX in place, for the library; "%00" stays as it is, for a NUL would end the
 * path or argument for every reader but a careful one. */
size_t rb_route_unescape(void *cls, struct MHD_Connection *mhd, char *s);
/* rb_route_find - the route, or NULL with *ret_allow (static, for the Allow header; NULL = the path
 * is unknown). */
const struct rb_route *rb_route_find(const char *method, const char *path,
                                     struct rb_slice *ret_param, const char **ret_allow);

/* ---- respond.c ---- */
void rb_answer_problem(struct rb_exchange *ex, unsigned status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* rb_store_trouble - why the store did not take an admission, as the beginning of a sentence. */
const char *rb_store_trouble(enum rb_code rc);
/* rb_answer_err - problem+json for a code of the store or engine; 503 carries Retry-After. */
void rb_answer_err(struct rb_exchange *ex, enum rb_code rc, const struct rb_err *err);
void rb_answer_header(struct rb_exchange *ex, const char *name, const char *value);
void rb_answer_json(struct rb_exchange *ex, unsigned status);
/* rb_answer_send - queue ex's answer on its connection. */
enum MHD_Result rb_answer_send(struct rb_exchange *ex);

/* ---- auth.c ---- */
/* rb_auth_bearer - the role of the presented token and its name; NONE when absent or unknown. Time
 * does not depend on which token fits. */
enum rb_role rb_auth_bearer(const struct rb_settings *s, struct MHD_Connection *mhd,
                            const char **ret_name);

/* ---- exchange.c ---- */
struct rb_exchange *rb_exchange_new(struct rb_httpd *h, struct MHD_Connection *mhd);
void rb_exchange_free(struct rb_exchange *ex);
/* rb_exchange_admit - hand ex's admissions to the store and suspend; answers at once when none
 * could be added. */
void rb_exchange_admit(struct rb_exchange *ex, void (*finish)(struct rb_exchange *ex));
/* rb_exchange_job - let the API thread run @job and suspend (or stay suspended). */
void rb_exchange_job(struct rb_exchange *ex,
                     void (*job)(struct rb_exchange *ex, struct rb_store_session *ses));
/* rb_exchange_call - let a front-door thread run @call and suspend (or stay suspended). Without
 * memory for it the client is NULL, save at the front door itself. */
void rb_exchange_call(struct rb_exchange *ex,
                      void (*call)(struct rb_exchange *ex, struct rb_codebuild *c));
/* rb_exchange_ask - let a front-door thread run @ask with its HTTP client, then the loop @finish;
 * suspends. False, with a 503 as answer, when there is no thread or too many wait. */
bool rb_exchange_ask(struct rb_exchange *ex,
                     void (*ask)(struct rb_exchange *ex, struct rb_httpc *c),
                     void (*finish)(struct rb_exchange *ex));
void rb_exchange_resume(struct rb_exchange *ex);
enum MHD_Result rb_httpd_access(void *cls, struct MHD_Connection *mhd, const char *url,
                                const char *method, const char *version, const char *data,
                                size_t *data_len, void **req_cls);
void rb_httpd_completed(void *cls, struct MHD_Connection *mhd, void **req_cls,
                        enum MHD_RequestTerminationCode why);

/* ---- conns.c ---- */
void rb_conn_notify(void *cls, struct MHD_Connection *mhd, void **conn_cls,
                    enum MHD_ConnectionNotificationCode code);
/* rb_conn_extend - a new deadline from now. */
void rb_conn_extend(struct rb_httpd *h, struct rb_conn *c);
/* rb_conn_hold - no deadline until the next rb_conn_extend: what the request waits for has its own.
 */
void rb_conn_hold(struct rb_conn *c);
/* rb_conns_cut - shut down what is past its deadline; returns ms until the next one, -1 = no
 * connection. */
int64_t rb_conns_cut(struct rb_httpd *h, int64_t boot_ms);

/* ---- ready.c ---- */
/* rb_conn_suspend, rb_conn_resume - as the library's, for a connection with or without a @c. */
void rb_conn_suspend(struct rb_conn *c, struct MHD_Connection *mhd);
void rb_conn_resume(struct rb_httpd *h, struct rb_conn *c, struct MHD_Connection *mhd);

/* ---- view.c ---- */
struct rb_view *rb_view_new(struct rb_settings *s); /* NULL without memory */
void rb_view_unref(struct rb_view *v);
/* rb_view_api, rb_view_front_door - the two ways in that no source row describes. */
const struct rb_source_view *rb_view_api(const struct rb_view *v);
const struct rb_source_view *rb_view_front_door(const struct rb_view *v);
const struct rb_source_view *rb_view_source(const struct rb_view *v, struct rb_slice name);

/* ---- reads.c ---- */
/* rb_take_retry_id - the path's id into ex->retry_id; false after a 404. */
bool rb_take_retry_id(struct rb_exchange *ex);

/* ---- search.c ---- */
struct rb_filter;
/* rb_search - rb_store_list with words that each retry must hold somewhere. It looks at a bounded
 * number of retries: ret_next may be set when nothing was found, and the search goes on there. */
enum rb_code rb_search(struct rb_exchange *ex, struct rb_store_session *ses,
                       const struct rb_filter *f, const char *words, struct rb_retry **ret_items,
                       unsigned *ret_n, char ret_next[RB_CURSOR_BYTES], struct rb_err *err);

/* ---- ways.c ---- */
/* rb_source_result - one delivery of ex->source ended so: counted for metrics and for people. */
void rb_source_result(struct rb_exchange *ex, enum rb_delivery_result result);

void rb_test_end(struct rb_exchange *ex); /* nothing when it is no test of a destination */

/* ---- api_thread.c ---- */
enum rb_code rb_api_start(struct rb_httpd *h, struct rb_err *err);
void rb_api_stop(struct rb_httpd *h); /* runs what is queued, then joins */

/* ---- loop.c ---- */
void rb_httpd_wake(struct rb_httpd *h);

/* ---- hook.c, hook_command.c, hook_fetch.c ---- */
/* rb_hook_request - the request as sources see it; valid while the exchange lives. */
void rb_hook_request(struct rb_exchange *ex, struct rb_request *ret_req);
/* rb_hook_commands_start - carry out what people asked for, then answer. */
void rb_hook_commands_start(struct rb_exchange *ex, const struct rb_events *events,
                            const struct rb_delivery *delivery);
/* rb_hook_verified - the proof is good: parse, admit, answer. */
void rb_hook_verified(struct rb_exchange *ex, const struct rb_request *req);
void rb_hook_denied(struct rb_exchange *ex);
/* rb_hook_fetch - the signer's certificate at @url, then the hook once more. */
void rb_hook_fetch(struct rb_exchange *ex, const char *url);
/* rb_hook_confirm - call the region that the subscription's topic lives in, and answer. */
void rb_hook_confirm(struct rb_exchange *ex, const struct rb_events *events);
void rb_hook_end(struct rb_exchange *ex);
/* rb_hook_certificate - what a fetch brought, or what is known of @url; NULL = none. The exchange
 * keeps it. */
const struct rb_certificate *rb_hook_certificate(struct rb_exchange *ex, const char *url);
struct rb_signers *rb_signers_new(void);
void rb_signers_free(struct rb_signers *s); /* NULL accepted */

/* ---- hook_defer.c; the loop's thread ---- */
/* rb_defer_watch - @ex waits for another thread; when that takes long, it is answered early. */
void rb_defer_watch(struct rb_exchange *ex);
void rb_defer_end(struct rb_exchange *ex); /* no longer; nothing when it is not watched */
void rb_defer_turn(struct rb_httpd *h);    /* those whose time has come */
int64_t rb_defer_timeout_ms(const struct rb_httpd *h); /* until the next one; -1 = none */
/* rb_defer_split - what is resumed for an early answer: *ret_early has connection and answer, and
 * @ex goes on without. False: there is no memory, and @ex waits on. */
bool rb_defer_split(struct rb_exchange *ex, struct rb_exchange **ret_early);
/* rb_defer_back - @ex came back from another thread; true when nobody else has to care. */
bool rb_defer_back(struct rb_exchange *ex);
void rb_defer_stop(
    struct rb_httpd *h); /* threads have ended: whatever is still to be told is not */
/* ---- hook_command.c, for it ---- */
const struct rb_command *rb_hook_commands_first(const struct rb_exchange *ex);
/* rb_hook_commands_late - count what became of a command that was answered early; true: @ret_p is
 * to be posted. */
bool rb_hook_commands_late(struct rb_exchange *ex, struct rb_push *ret_p);
/* rb_hook_commands_post - false: not told, or not yet; a front-door thread's. */
bool rb_hook_commands_post(const struct rb_exchange *ex, const struct rb_push *p,
                           int64_t timeout_ms);

/* ---- events.c ---- */
/* rb_events_turn - go on with readers for whom there is something, or of whom nothing was heard. */
void rb_events_turn(struct rb_httpd *h);
int64_t rb_events_timeout_ms(const struct rb_httpd *h); /* until that is due; -1 = no reader */
void rb_events_end(struct rb_exchange *ex);             /* nothing when it is no reader's */
struct MHD_Response *rb_events_response(struct rb_exchange *ex);

/* ---- handlers ---- */
void rb_handle_events(struct rb_exchange *ex);
void rb_handle_hook(struct rb_exchange *ex);
void rb_handle_greet(struct rb_exchange *ex);
void rb_handle_retries_post(struct rb_exchange *ex);
void rb_handle_retries_list(struct rb_exchange *ex);
void rb_handle_retry_get(struct rb_exchange *ex);
void rb_handle_chain(struct rb_exchange *ex);
void rb_handle_cancel(struct rb_exchange *ex);
void rb_handle_approve(struct rb_exchange *ex);
void rb_handle_deny(struct rb_exchange *ex);
void rb_handle_requeue(struct rb_exchange *ex);
void rb_handle_pause(struct rb_exchange *ex);
void rb_handle_resume(struct rb_exchange *ex);
void rb_handle_explain(struct rb_exchange *ex);
void rb_handle_stats(struct rb_exchange *ex);
void rb_handle_front_door(struct rb_exchange *ex);
void rb_handle_page(struct rb_exchange *ex);
void rb_handle_asset(struct rb_exchange *ex);
void rb_handle_projects(struct rb_exchange *ex);
void rb_handle_rules(struct rb_exchange *ex);
void rb_handle_sources(struct rb_exchange *ex);
void rb_handle_destinations(struct rb_exchange *ex);
void rb_handle_destination_test(struct rb_exchange *ex);
void rb_handle_session(struct rb_exchange *ex);
void rb_handle_overview(struct rb_exchange *ex);
void rb_handle_livez(struct rb_exchange *ex);
void rb_handle_readyz(struct rb_exchange *ex);
void rb_handle_metrics(struct rb_exchange *ex);
void rb_handle_openapi(struct rb_exchange *ex);

#endif

/* internal.h - the queue of spans, and what a collector's answer means. */
#ifndef RB_TELEMETRY_INTERNAL_H
#define RB_TELEMETRY_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include <retrybuild/httpc.h>
#include <retrybuild/telemetry.h>
#include <retrybuild/thread.h>

#define RB_BATCHES 8
#define RB_BATCH_SPANS 512
#define RB_BATCH_BYTES ((size_t)512 * 1024)
#define RB_GATHER_MS 1000 /* from the first span of a batch until it goes */

/* ---- queue.c: batches of spans in the order of their coming ---- */
struct rb_batch_of_spans {
    struct rb_buf json; /* spans with a ',' between them */
    unsigned n;
    int64_t since_boot_ms; /* when the first one came */
};
struct rb_span_queue {
    struct rb_batch_of_spans batches[RB_BATCHES]; /* a ring: first, and n_batches from there */
    unsigned first, n_batches;
};
void rb_span_queue_init(struct rb_span_queue *q);
void rb_span_queue_release(struct rb_span_queue *q);
/* rb_span_queue_add - behind the others; false when there is no room. */
bool rb_span_queue_add(struct rb_span_queue *q, const struct rb_buf *span, int64_t boot_ms);
/* rb_span_queue_wait_ms - until the first batch is to go: 0 = now, -1 = there is none. */
int64_t rb_span_queue_wait_ms(const struct rb_span_queue *q, int64_t boot_ms);
/* rb_span_queue_take - the first batch into @into, which is empty and whose memory the queue takes
 * over. */
void rb_span_queue_take(struct rb_span_queue *q, struct rb_batch_of_spans *into);

/* ---- otlp.c: requests and answers, pure ---- */
/* rb_otlp_url - where spans go, for what telemetry.otlp_endpoint says. In @a, NULL without memory.
 */
const char *rb_otlp_url(const char *endpoint, struct rb_arena *a);
/* rb_otlp_write - the body of a request. @instance: of this process. */
void rb_otlp_write(const char *service, const char *version, const char *instance,
                   const struct rb_batch_of_spans *b, struct rb_buf *out);
enum rb_otlp_verdict { RB_OTLP_TAKEN, RB_OTLP_AGAIN, RB_OTLP_REFUSED };
/* rb_otlp_judge - of an answer of @status; *ret_rejected of a request that was TAKEN were not, and
 * @ret_why (may be "") says why. */
enum rb_otlp_verdict rb_otlp_judge(long status, const struct rb_buf *body, int64_t *ret_rejected,
                                   char *ret_why, size_t why_size);

struct rb_tracer {
    const struct rb_clock *clock;
    const struct rb_random *random;
    const char *version;
    char instance[37]; /* a UUID of this process */
    atomic_bool on;
    atomic_bool cancel; /* the call under way ends now */

    pthread_mutex_t lock; /* guards the block below */
    pthread_cond_t changed;
    struct rb_settings *settings;
    uint64_t generation;
    struct rb_span_queue queue;
    bool running, stopping, ended;
    int64_t stop_boot_ms; /* nothing is posted after it */
    pthread_t thread;
};
/* rb_tracer_main - the thread: export.c. */
void *rb_tracer_main(void *arg);

#endif

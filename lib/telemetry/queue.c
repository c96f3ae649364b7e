/* queue.c - a ring of batches; the newest is filled, the oldest goes. */
#include "internal.h"

void rb_span_queue_init(struct rb_span_queue *q)
{
    *q = (struct rb_span_queue){.first = 0};
    for (unsigned i = 0; i < RB_BATCHES; i++) {
        rb_buf_init(&q->batches[i].json, RB_BATCH_BYTES);
    }
}

void rb_span_queue_release(struct rb_span_queue *q)
{
    for (unsigned i = 0; i < RB_BATCHES; i++) {
        rb_buf_release(&q->batches[i].json);
    }
    q->n_batches = 0;
}

static struct rb_batch_of_spans *nth(struct rb_span_queue *q, unsigned i)
{
    return &q->batches[(q->first + i) % RB_BATCHES];
}

static bool full(const struct rb_batch_of_spans *b, size_t more)
{
    return b->n == RB_BATCH_SPANS || (b->n > 0 && b->json.len + 1 + more > RB_BATCH_BYTES);
}

bool rb_span_queue_add(struct rb_span_queue *q, const struct rb_buf *span, int64_t boot_ms)
{
    struct rb_batch_of_spans *b = q->n_batches == 0 ? NULL : nth(q, q->n_batches - 1);

    if (b == NULL || full(b, span->len)) {
        if (q->n_batches == RB_BATCHES || span->len > RB_BATCH_BYTES) {
            return false;
        }
        b = nth(q, q->n_batches++);
        b->n = 0;
        b->since_boot_ms = boot_ms;
        rb_buf_clear(&b->json);
    }
    size_t len = b->json.len;
    rb_buf_adds(&b->json, b->n == 0 ? "" : ",");
    rb_buf_add(&b->json, span->data, span->len);
    if (rb_buf_failed(&b->json)) {
        rb_buf_truncate(&b->json, len);
        q->n_batches -= b->n == 0 ? 1 : 0;
        return false;
    }
    b->n++;
    return true;
}

int64_t rb_span_queue_wait_ms(const struct rb_span_queue *q, int64_t boot_ms)
{
    const struct rb_batch_of_spans *b = &q->batches[q->first];

    if (q->n_batches == 0) {
        return -1;
    }
    int64_t left_ms = b->since_boot_ms + RB_GATHER_MS - boot_ms;
    return q->n_batches > 1 || full(b, 0) || left_ms < 0 ? 0 : left_ms;
}

void rb_span_queue_take(struct rb_span_queue *q, struct rb_batch_of_spans *into)
{
    struct rb_batch_of_spans *b = nth(q, 0), taken = *b;

    *b = *into;
    *into = taken;
    q->first = (q->first + 1) % RB_BATCHES;
    q->n_batches--;
}

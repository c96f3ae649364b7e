/* admitter.c - the event loop's way in: what is added fills one op, a pump sends it. The writer
 * takes everything that is queued at once, so a pump need not wait for the batch before.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <retrybuild/cleanup.h>

#include "session.h"

#define FIRST_ITEMS 64

struct batch {
    struct rb_sq_op *op;
    struct rb_admission **items; /* as many as room */
    unsigned n, room;
    int64_t sent_ms; /* by the machine's clock */
    struct batch *next;
};

struct rb_sq_admitter {
    struct rb_admitter base;
    struct rb_sq_store *store;
    struct rb_sq_waiter *waiter;
    int epoll_fd;
    unsigned in_flight;
    struct batch *filling;     /* NULL = nothing added since the last pump */
    struct batch *sent, *last; /* oldest first */
    struct batch *spare;       /* one, to be used again */
};

static int64_t machine_ms(void)
{
    return rb_boot_ms(rb_clock_system());
}

static void batch_free(struct rb_sq_store *s, struct batch *b)
{
    if (b != NULL) {
        if (b->op != NULL) {
            rb_sq_op_drop(s, b->op);
        }
        free(b->items);
        free(b);
    }
}

enum rb_code rb_sq_admitter_open(struct rb_store *s, int epoll_fd, void *tag,
                                 struct rb_admitter **ret_adm, struct rb_err *err)
{
    struct rb_sq_admitter *adm = calloc(1, sizeof(*adm));
    int event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (adm == NULL || event_fd < 0) {
        enum rb_code rc = rb_err_errno(err, RB_E_NOMEM, errno, "open an admitter");
        rb_closep(&event_fd);
        free(adm);
        return rc;
    }
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = tag}};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, event_fd, &event) != 0) {
        enum rb_code rc = rb_err_errno(err, RB_E_IO, errno, "watch an admitter");
        rb_closep(&event_fd);
        free(adm);
        return rc;
    }
    adm->waiter = rb_sq_waiter_new(event_fd); /* closes it without memory */
    if (adm->waiter == NULL) {
        free(adm);
        return rb_err_set(err, RB_E_NOMEM, "open an admitter: no memory");
    }
    adm->store = (struct rb_sq_store *)s;
    adm->epoll_fd = epoll_fd;
    *ret_adm = &adm->base;
    return RB_OK;
}

/* ---- adding ---- */

static struct batch *batch_get(struct rb_sq_admitter *adm)
{
    struct batch *b = RB_TAKE(adm->spare);
    if (b == NULL) {
        b = calloc(1, sizeof(*b));
    }
    if (b != NULL && b->op == NULL) {
        b->op = rb_sq_op_new(rb_sq_op_admit);
    }
    if (b != NULL && b->op == NULL) {
        batch_free(adm->store, b);
        b = NULL;
    }
    return b;
}

/* The op keeps room for as many admissions as there is room for items. */
static bool batch_grow(struct batch *b)
{
    unsigned room = b->n == 0 ? FIRST_ITEMS : b->n * 2;
    if (b->n < b->room && b->op->heap != NULL) {
        return true;
    }
    room = room > b->room ? room : b->room;
    struct rb_admission **items = realloc(b->items, room * sizeof(struct rb_admission *));
    if (items == NULL) {
        return false;
    }
    b->items = items;
    b->room = room;
    void *heap = realloc(b->op->heap, room * sizeof(*b->op->admissions));
    if (heap == NULL) {
        b->room = b->n;
        return false;
    }
    b->op->heap = heap;
    b->op->admissions = heap;
    return true;
}

enum rb_code rb_sq_admitter_add(struct rb_admitter *base, struct rb_admission *a,
                                struct rb_err *err)
{
    struct rb_sq_admitter *adm = (struct rb_sq_admitter *)base;
    enum rb_sq_health health = atomic_load(&adm->store->health);
    if (health == RB_SQ_FULL) {
        return rb_err_set(err, RB_E_NO_SPACE, "the disk is full");
    }
    if (health != RB_SQ_UP) {
        return rb_err_set(err, RB_E_UNAVAIL, "the store is away");
    }
    if (adm->in_flight >= RB_ADMITTER_MAX_ITEMS) {
        return rb_err_set(err, RB_E_FULL, "%u admissions are under way", adm->in_flight);
    }
    if (adm->filling == NULL) {
        adm->filling = batch_get(adm);
    }
    struct batch *b = adm->filling;
    if (b == NULL || !batch_grow(b)) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for an admission");
    }
    enum rb_code rc = rb_sq_pack_admission(a, &b->op->arena, &b->op->admissions[b->n], err);
    if (rc == RB_OK) {
        b->items[b->n++] = a;
        b->op->n_admissions = b->n;
        adm->in_flight++;
    }
    return rc;
}

/* ---- pumping ---- */

/* @b is in no list any more. */
static void finish(struct rb_sq_admitter *adm, struct batch *b, enum rb_code rc)
{
    for (unsigned i = 0; i < b->n; i++) {
        struct rb_admission *a = b->items[i];
        if (rc == RB_OK) {
            rb_sq_unpack_admission(&b->op->admissions[i], a);
        } else {
            a->rc = rc;
        }
        adm->in_flight--;
        adm->base.done(adm->base.arg, a);
    }
    rb_sq_op_drop(adm->store, RB_TAKE(b->op));
    b->n = 0;
    if (adm->spare == NULL) {
        adm->spare = b;
    } else {
        batch_free(adm->store, b);
    }
}

static struct batch *unlink_batch(struct rb_sq_admitter *adm, const struct rb_sq_op *op)
{
    struct batch *before = NULL;
    struct batch *b = adm->sent;
    while (b != NULL && b->op != op) {
        before = b;
        b = b->next;
    }
    if (b == NULL) {
        return NULL;
    }
    if (before == NULL) {
        adm->sent = b->next;
    } else {
        before->next = b->next;
    }
    if (adm->last == b) {
        adm->last = before;
    }
    b->next = NULL;
    return b;
}

static void take_finished(struct rb_sq_admitter *adm)
{
    struct rb_sq_op *op = rb_sq_finished(adm->store, adm->waiter);
    while (op != NULL) {
        struct rb_sq_op *next = op->next;
        struct batch *b = unlink_batch(adm, op);
        rb_sq_op_drop(adm->store, op); /* the reference of the queue; the batch has its own */
        if (b != NULL) {
            finish(adm, b, b->op->rc);
        }
        op = next;
    }
}

static void give_up_late(struct rb_sq_admitter *adm)
{
    int64_t now_ms = machine_ms();
    while (adm->sent != NULL && now_ms - adm->sent->sent_ms >= RB_STORE_DEADLINE_MS) {
        struct batch *b = unlink_batch(adm, adm->sent->op);
        rb_sq_leave(adm->store, b->op);
        finish(adm, b, RB_E_TIMEOUT);
    }
}

static void send_filling(struct rb_sq_admitter *adm, int64_t now_ms)
{
    struct batch *b = adm->filling;
    if (b == NULL || b->n == 0) {
        return;
    }
    adm->filling = NULL;
    b->op->now_ms = now_ms;
    b->sent_ms = machine_ms();
    enum rb_code rc = rb_sq_send(adm->store, b->op, adm->waiter, NULL);
    if (rc != RB_OK) {
        finish(adm, b, rc);
        return;
    }
    if (adm->last == NULL) {
        adm->sent = b;
    } else {
        adm->last->next = b;
    }
    adm->last = b;
}

void rb_sq_admitter_pump(struct rb_admitter *base, int64_t now_ms)
{
    struct rb_sq_admitter *adm = (struct rb_sq_admitter *)base;
    uint64_t count = 0;
    (void)!read(adm->waiter->event_fd, &count, sizeof(count)); /* nothing there is fine */
    take_finished(adm);
    give_up_late(adm);
    send_filling(adm, now_ms);
}

int rb_sq_admitter_timeout_ms(const struct rb_admitter *base)
{
    const struct rb_sq_admitter *adm = (const struct rb_sq_admitter *)base;
    if (adm->filling != NULL && adm->filling->n > 0) {
        return 0;
    }
    if (adm->sent == NULL) {
        return -1;
    }
    int64_t left_ms = adm->sent->sent_ms + RB_STORE_DEADLINE_MS - machine_ms();
    return left_ms < 0 ? 0 : (int)left_ms;
}

unsigned rb_sq_admitter_in_flight(const struct rb_admitter *base)
{
    return ((const struct rb_sq_admitter *)base)->in_flight;
}

void rb_sq_admitter_close(struct rb_admitter *base)
{
    struct rb_sq_admitter *adm = (struct rb_sq_admitter *)base;
    for (struct batch *b = adm->sent; b != NULL; b = b->next) {
        rb_sq_leave(adm->store, b->op);
    }
    /* what had finished before that still has the reference of the queue */
    for (struct rb_sq_op *op = rb_sq_finished(adm->store, adm->waiter), *next = NULL; op != NULL;
         op = next) {
        next = op->next;
        rb_sq_op_drop(adm->store, op);
    }
    while (adm->sent != NULL) {
        struct batch *b = unlink_batch(adm, adm->sent->op);
        finish(adm, b, RB_E_CLOSED);
    }
    if (adm->filling != NULL) {
        finish(adm, RB_TAKE(adm->filling), RB_E_CLOSED);
    }
    (void)epoll_ctl(adm->epoll_fd, EPOLL_CTL_DEL, adm->waiter->event_fd, NULL);
    rb_sq_waiter_drop(adm->store, adm->waiter);
    batch_free(adm->store, adm->spare);
    free(adm);
}

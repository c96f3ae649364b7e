/* entry.c - from the model to what the writer needs, and back. */
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/digest.h>
#include <retrybuild/record.h>

#include "entry.h"

#define MAX_DELIVERY_BYTES 2048

static enum rb_code no_memory(struct rb_err *err)
{
    return rb_err_set(err, RB_E_NOMEM, "no memory for a store request");
}

const uint8_t *rb_sq_pack_key(struct rb_arena *a, const char *text, bool *ok)
{
    if (text == NULL) {
        return NULL;
    }
    uint8_t *key = rb_arena_alloc(a, RB_SQ_KEY_BYTES);
    if (key == NULL || !rb_unhex(text, RB_KEY_BYTES - 1, key, RB_SQ_KEY_BYTES)) {
        *ok = false;
        return NULL;
    }
    return key;
}

static const char *pack_text(struct rb_arena *a, const char *text, bool *ok)
{
    const char *copy = rb_arena_strdup(a, text);
    *ok = *ok && (copy != NULL || text == NULL);
    return copy;
}

static struct rb_sq_blob pack_bytes(struct rb_arena *a, const struct rb_buf *b, bool *ok)
{
    struct rb_sq_blob blob = {.len = b->len};
    char *copy = rb_arena_alloc(a, b->len + 1);
    if (copy == NULL) {
        *ok = false;
    } else if (b->len > 0) {
        memcpy(copy, b->data, b->len);
    }
    blob.data = copy;
    return blob;
}

static enum rb_code pack_record(const struct rb_retry *r, struct rb_arena *a,
                                struct rb_sq_record *to, struct rb_err *err)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf bytes = RB_BUF_INIT(RB_RECORD_MAX_BYTES);
    enum rb_code rc = rb_record_encode(r, &bytes, err);
    if (rc != RB_OK) {
        return rb_err_wrap(err, rc, "retry '%s'", r->id);
    }
    bool ok = true;
    *to = (struct rb_sq_record){
        .id = pack_text(a, r->id, &ok),
        .chain = pack_text(a, r->chain, &ok),
        .previous = pack_text(a, r->previous, &ok),
        .account = pack_text(a, r->build.account, &ok),
        .region = pack_text(a, r->build.region, &ok),
        .project = pack_text(a, r->build.project, &ok),
        .source = pack_text(a, r->source.source, &ok),
        .state = r->state,
        .created_ms = r->created_ms,
        .due_ms = r->due_ms,
        .version = r->version,
        .bytes = pack_bytes(a, &bytes, &ok),
    };
    return ok ? RB_OK : no_memory(err);
}

static struct rb_sq_reports pack_reports(const struct rb_report_task *items, unsigned n,
                                         struct rb_arena *a, bool *ok)
{
    struct rb_sq_reports reports = {.n = n};
    struct rb_report_task *copy = rb_arena_alloc(a, (n + 1) * sizeof(*copy));
    if (copy == NULL) {
        *ok = false;
        return (struct rb_sq_reports){0};
    }
    for (unsigned i = 0; i < n; i++) {
        copy[i] = items[i];
        copy[i].destination = pack_text(a, items[i].destination, ok);
    }
    reports.items = copy;
    return reports;
}

/* ---- deliveries: three texts, each with its length in two bytes, and the time ---- */

static void add_text(struct rb_buf *b, const char *s)
{
    size_t len = s == NULL ? 0 : strlen(s);
    len = len > 512 ? 512 : len;
    rb_buf_addc(b, (char)(len & 0xff));
    rb_buf_addc(b, (char)(len >> 8));
    rb_buf_add(b, s, len);
}

static struct rb_sq_blob pack_delivery(const struct rb_delivery *d, struct rb_arena *a, bool *ok)
{
    if (d == NULL) {
        return (struct rb_sq_blob){0};
    }
    RB_CLEANUP(rb_buf_release) struct rb_buf b = RB_BUF_INIT(MAX_DELIVERY_BYTES);
    add_text(&b, d->source);
    add_text(&b, d->type);
    add_text(&b, d->key);
    rb_buf_add(&b, &d->at_ms, sizeof(d->at_ms));
    *ok = *ok && !rb_buf_failed(&b);
    return pack_bytes(a, &b, ok);
}

static bool take(struct rb_sq_blob *from, void *to, size_t len)
{
    if (from->len < len) {
        return false;
    }
    memcpy(to, from->data, len);
    from->data = (const char *)from->data + len;
    from->len -= len;
    return true;
}

static bool take_text(struct rb_sq_blob *from, struct rb_arena *a, const char **ret_s)
{
    uint8_t head[2];
    if (!take(from, head, sizeof(head))) {
        return false;
    }
    size_t len = (size_t)head[0] | (size_t)head[1] << 8;
    if (from->len < len) {
        return false;
    }
    *ret_s = len == 0 ? NULL : rb_arena_strndup(a, from->data, len);
    from->data = (const char *)from->data + len;
    from->len -= len;
    return len == 0 || *ret_s != NULL;
}

bool rb_sq_unpack_delivery(struct rb_sq_blob *list, struct rb_arena *a, struct rb_delivery *ret_d)
{
    struct rb_delivery d = {0};
    if (list->len == 0 || !take_text(list, a, &d.source) || !take_text(list, a, &d.type) ||
        !take_text(list, a, &d.key) || !take(list, &d.at_ms, sizeof(d.at_ms))) {
        return false;
    }
    *ret_d = d;
    return true;
}

/* ---- the two writes ---- */

enum rb_code rb_sq_pack_admission(const struct rb_admission *from, struct rb_arena *a,
                                  struct rb_sq_admission *to, struct rb_err *err)
{
    bool ok = true;
    *to = (struct rb_sq_admission){
        .mode = from->mode,
        .delivery_key = rb_sq_pack_key(a, from->delivery_key, &ok),
        .token_key = rb_sq_pack_key(a, from->token_key, &ok),
        .fingerprint = rb_sq_pack_key(a, from->token_fingerprint, &ok),
        .build_key = rb_sq_pack_key(a, from->build_key, &ok),
        .delivery = pack_delivery(from->delivery, a, &ok),
        .task = from->task,
        .token_ttl_ms = from->token_ttl_ms,
    };
    if (from->mode != RB_ADMIT_ENDED) {
        to->reports = pack_reports(from->reports, from->n_reports, a, &ok);
        enum rb_code rc = pack_record(from->retry, a, &to->record, err);
        if (rc != RB_OK) {
            return rc;
        }
    }
    return ok ? RB_OK : no_memory(err);
}

void rb_sq_unpack_admission(const struct rb_sq_admission *from, struct rb_admission *to)
{
    to->rc = from->rc;
    to->result = from->result;
    memcpy(to->retry_id, from->retry_id, sizeof(to->retry_id));
    to->retry_state = from->retry_state;
}

enum rb_code rb_sq_pack_settle(const struct rb_settle *from, struct rb_arena *a,
                               struct rb_sq_settle *to, struct rb_err *err)
{
    bool ok = true;
    char build_key[RB_KEY_BYTES];
    bool needs_key = from->task == NULL || from->take_effect != RB_EFFECT_KEEP;
    if (needs_key) {
        rb_build_key(&from->retry->build, build_key);
    }
    *to = (struct rb_sq_settle){
        .by_fence = from->task != NULL,
        .fence = from->task == NULL ? 0 : from->task->fence,
        .next = from->next,
        .next_due_ms = from->next_due_ms,
        .keep_lease = from->keep_lease,
        .give_effect = from->give_effect,
        .open_intent = rb_sq_pack_key(a, from->open_intent, &ok),
        .close_intent = rb_sq_pack_key(a, from->close_intent, &ok),
        .not_a_child = rb_sq_pack_key(a, from->not_a_child, &ok),
        .child_key = rb_sq_pack_key(a, from->child_key, &ok),
        .build_key = rb_sq_pack_key(a, needs_key ? build_key : NULL, &ok),
        .take_effect = from->take_effect,
        .ended_after_ms = from->ended_after_ms,
        .reports = pack_reports(from->reports, from->n_reports, a, &ok),
    };
    enum rb_code rc = pack_record(from->retry, a, &to->record, err);
    if (rc == RB_OK && from->follow_on != NULL) {
        to->follow_on = rb_arena_alloc(a, sizeof(*to->follow_on));
        rc = to->follow_on == NULL ? no_memory(err)
                                   : rb_sq_pack_admission(from->follow_on, a, to->follow_on, err);
    }
    return rc != RB_OK || ok ? rc : no_memory(err);
}

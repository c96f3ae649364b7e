/* entry.h - what travels to the writer: admissions and settles in plain form, made by the thread
 * that asks, so that the writer's thread only moves bytes. Everything lives in the op's arena.
 */
#ifndef RB_STORE_SQLITE_ENTRY_H
#define RB_STORE_SQLITE_ENTRY_H

#include "db.h"

struct rb_sq_blob {
    const void *data;
    size_t len;
};

/* A retry as it is written: its bytes, and what the columns repeat of it. */
struct rb_sq_record {
    const char *id, *chain, *previous;
    const char *account, *region, *project, *source;
    enum rb_state state;
    int64_t created_ms, due_ms;
    uint64_t version; /* what a person saw */
    struct rb_sq_blob bytes;
};
struct rb_sq_reports {
    const struct rb_report_task *items;
    unsigned n;
};

struct rb_sq_admission {
    enum rb_admit_mode mode;
    const uint8_t *delivery_key, *token_key, *fingerprint, *build_key; /* NULL = none */
    int64_t token_ttl_ms;                                              /* 0 = delivery_ttl */
    struct rb_sq_blob delivery;                                        /* rb_sq_pack_delivery */
    struct rb_sq_record record;
    enum rb_task_kind task;
    struct rb_sq_reports reports;
    /* out */
    enum rb_code rc;
    enum rb_admit_result result;
    char retry_id[RB_ID_BYTES];
    enum rb_state retry_state;
};

struct rb_sq_settle {
    bool by_fence;
    uint64_t fence;
    struct rb_sq_record record;
    enum rb_task_kind next;
    int64_t next_due_ms;
    bool keep_lease, give_effect;
    const uint8_t *open_intent, *close_intent, *not_a_child, *child_key;
    const uint8_t *build_key; /* of people's changes: an ended retry that lives again holds it; of
                                 those that take it */
    enum rb_effect_take take_effect;
    int64_t ended_after_ms;
    struct rb_sq_reports reports;
    struct rb_sq_admission *follow_on; /* NULL = none */
    /* out */
    enum rb_settle_conflict conflict;
    char other_id[RB_ID_BYTES];
};

/* rb_sq_pack_key - key text as bytes; NULL for NULL; *ok only ever becomes false. */
const uint8_t *rb_sq_pack_key(struct rb_arena *a, const char *text, bool *ok);
/* Packing; RB_E_NOMEM when @a is full, RB_E_TOO_LARGE for a record beyond its bound. */
enum rb_code rb_sq_pack_admission(const struct rb_admission *from, struct rb_arena *a,
                                  struct rb_sq_admission *to, struct rb_err *err);
void rb_sq_unpack_admission(const struct rb_sq_admission *from, struct rb_admission *to);
enum rb_code rb_sq_pack_settle(const struct rb_settle *from, struct rb_arena *a,
                               struct rb_sq_settle *to, struct rb_err *err);

/* The list of duplicate deliveries is packed entries, one after the other. */
bool rb_sq_unpack_delivery(struct rb_sq_blob *list, struct rb_arena *a, struct rb_delivery *ret_d);

/* ---- steps of a transaction ---- */
/* admit.c: the outcome is in @a; RB_E_FULL only as a->rc */
void rb_sq_admit(struct rb_sq_db *db, struct rb_sq_admission *a, bool is_follow_on, int64_t now_ms);
/* settle.c */
enum rb_code rb_sq_settle(struct rb_sq_db *db, struct rb_sq_settle *s, int64_t now_ms,
                          struct rb_err *err);
/* report.c */
void rb_sq_reports_add(struct rb_sq_db *db, int64_t rid, const struct rb_sq_record *record,
                       uint64_t version, const struct rb_sq_reports *reports, int64_t now_ms);

#endif

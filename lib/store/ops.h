/* ops.h - what a store backend is: one table of functions, and the heads of its three objects.
 *
 * lib/store/store.c checks arguments, then calls through the table; a backend never sees a NULL
 * output or a number out of range. A backend's structs begin with the heads below (`base` first).
 * Contracts of the functions are those of the public functions of the same name in
 * include/retrybuild/store.h; what differs stands beside the member. Besides that, what both
 * backends must do alike and is no storage stands here as plain functions.
 */
#ifndef RB_STORE_OPS_H
#define RB_STORE_OPS_H

#include <retrybuild/store.h>

#include "bell.h"

struct rb_store {
    const struct rb_store_ops *ops;
    struct rb_settings *settings; /* referenced by rb_store_open, dropped after ops->close */
    const struct rb_clock *clock;
    struct rb_bell due; /* the backend's open makes it ready, its close releases it */
};
struct rb_store_session {
    struct rb_store *store;
};
struct rb_admitter {
    struct rb_store *store;
    void (*done)(void *arg, struct rb_admission *a);
    void *arg;
};

/* rb_store_left_alone - tell that the task of a retry was claimed, but only a newer release can
 * read its record, as @why says. It is not settled: when its lease has run out the newer one takes
 * it. */
void rb_store_left_alone(const char *retry_id, const struct rb_err *why);

struct rb_store_ops {
    /* open - @url is the whole text of settings.store.url. The result's base is filled by the
     * caller afterwards, but settings and clock are needed before: they are passed too. */
    enum rb_code (*open)(const char *url, struct rb_settings *settings,
                         const struct rb_clock *clock, struct rb_store **ret_store,
                         struct rb_err *err);
    /* examine - *ret_h is empty but for replicas and round_trip_us, which are -1 */
    enum rb_code (*examine)(const char *url, struct rb_settings *settings,
                            const struct rb_clock *clock, struct rb_arena *a,
                            struct rb_store_health *ret_h, struct rb_err *err);
    void (*close)(struct rb_store *s); /* frees @s itself; never NULL */
    bool (*up)(const struct rb_store *s);
    /* listen - somebody waits for base.due (before any session); NULL when nothing is to be done */
    void (*listen)(struct rb_store *s);

    /* session_open, admitter_open - base of the result is filled by the caller afterwards */
    enum rb_code (*session_open)(struct rb_store *s, struct rb_store_session **ret_ses,
                                 struct rb_err *err);
    void (*session_close)(struct rb_store_session *ses); /* never NULL */

    enum rb_code (*admit)(struct rb_store_session *ses, struct rb_admission **items, unsigned n,
                          int64_t now_ms, struct rb_err *err); /* n > 0; every item was checked */
    enum rb_code (*admitter_open)(struct rb_store *s, int epoll_fd, void *tag,
                                  struct rb_admitter **ret_adm, struct rb_err *err);
    void (*admitter_close)(struct rb_admitter *adm); /* never NULL; completes what is under way */
    enum rb_code (*admitter_add)(struct rb_admitter *adm, struct rb_admission *a,
                                 struct rb_err *err);
    void (*admitter_pump)(struct rb_admitter *adm, int64_t now_ms);
    int (*admitter_timeout_ms)(const struct rb_admitter *adm);
    unsigned (*admitter_in_flight)(const struct rb_admitter *adm);

    /* claim - @ret_tasks has room for @max; ret_next_ms is never NULL */
    enum rb_code (*claim)(struct rb_store_session *ses, enum rb_task_kind kind, unsigned max,
                          int64_t lease_ms, int64_t now_ms, struct rb_task **ret_tasks,
                          unsigned *ret_n, int64_t *ret_next_ms, struct rb_err *err);
    enum rb_code (*renew)(struct rb_store_session *ses, struct rb_task *t, int64_t lease_ms,
                          int64_t now_ms, struct rb_err *err);
    enum rb_code (*release)(struct rb_store_session *ses, const struct rb_task *t, int64_t due_ms,
                            int64_t now_ms, struct rb_err *err);
    enum rb_code (*settle)(struct rb_store_session *ses, struct rb_settle *s, int64_t now_ms,
                           struct rb_err *err); /* conflict and other_id are cleared before */
    enum rb_code (*report_settle)(struct rb_store_session *ses, const struct rb_task *t,
                                  enum rb_report_outcome outcome, int64_t again_ms,
                                  const char *last_error, int64_t now_ms, struct rb_err *err);
    enum rb_code (*report_requeue)(struct rb_store_session *ses, const char *retry_id,
                                   int64_t now_ms, unsigned *ret_n, struct rb_err *err);

    enum rb_code (*get)(struct rb_store_session *ses, const char *retry_id, struct rb_retry **ret_r,
                        struct rb_err *err);
    enum rb_code (*child_of)(struct rb_store_session *ses, const char *build_key,
                             char ret_retry_id[RB_ID_BYTES], struct rb_err *err);
    /* list - @after_created_ms and @after_id are the decoded cursor, after_id "" on the first page;
     * f->cursor is not to be read. Whatever the backend wrote there by rb_cursor_write comes back,
     * besides the id of a retry. Looks for RB_LIST_MS, then returns what it has and a cursor. */
    enum rb_code (*list)(struct rb_store_session *ses, const struct rb_filter *f,
                         int64_t after_created_ms, const char *after_id,
                         struct rb_retry **ret_items, unsigned *ret_n,
                         char ret_next[RB_CURSOR_BYTES], struct rb_err *err);
    enum rb_code (*counts)(struct rb_store_session *ses, struct rb_counts *ret_c,
                           struct rb_err *err); /* *ret_c is zeroed before */
    enum rb_code (*pause)(struct rb_store_session *ses, const char *project /* "*" = all */,
                          bool on, struct rb_err *err);
    enum rb_code (*paused)(struct rb_store_session *ses, struct rb_arena *a,
                           const char ***ret_names, unsigned *ret_n, struct rb_err *err);
    enum rb_code (*projects)(struct rb_store_session *ses, int64_t since_ms, struct rb_arena *a,
                             unsigned max, struct rb_project_seen **ret_items, unsigned *ret_n,
                             struct rb_err *err);
    enum rb_code (*sheets_get)(struct rb_store_session *ses, struct rb_sheet *sheets, unsigned n,
                               int64_t now_ms, struct rb_arena *a, struct rb_err *err);
    enum rb_code (*sheets_put)(struct rb_store_session *ses, const struct rb_sheet *sheets,
                               unsigned n, int64_t now_ms, struct rb_err *err);
    enum rb_code (*epoch)(struct rb_store_session *ses, int64_t now_ms, int64_t *ret_birth_ms,
                          struct rb_err *err);
    enum rb_code (*trim)(struct rb_store_session *ses, int64_t before_ms, unsigned max,
                         int64_t now_ms, unsigned *ret_n, struct rb_err *err);
};

/* ---- alike in every backend ----
 *
 * What the public header leaves open, decided once:
 * Admission. The effect key is build_key. ENDED looks at the child index only. FORCE looks at token
 * and delivery key only, and takes the effect key over. The child index does not stop a record
 * whose `previous` is the retry it points at. NEW and DUPLICATE store the delivery and token key
 * that were not known, CHILD, MISMATCH and UNKNOWN store nothing. An admission whose own retry id
 * is found (a repeat of a write whose answer was lost) is NEW again, and counts nothing. RB_E_FULL:
 * settings.store.max_waiting (0 = no limit) main tasks exist; follow-ons are never refused for it.
 * Wake. A child's end while its follow task is leased does not touch the lease; the settle or
 * release that ends the lease with a follow task makes that one due at once, woken.
 * Version is 1 at birth; every settle adds 1, claims and duplicates add nothing. keep_lease writes
 * do not reset tries. A lease that has run out stays good until somebody else claims the task.
 * Reports. A later stage is a greater enum rb_stage. Every report_settle counts one attempt. What
 * is superseded, delivered or dead no longer stands in the way of its destination and chain. A
 * report made while an older one of the line is pending waits, whatever its due_ms.
 * Effect. A settle that takes another key gives up the one that was held, which is free at once;
 * whoever held the taken one has none any more.
 * Trim. A retry stays while its effect key does. *ret_n counts retries and keys. Its child, intent
 * and effect entries go with it.
 */

/* A last sign of life older than this when the store is opened: the service may have been down, or
 * an old backup put back, and nobody can tell which. Longer than a restart or an upgrade takes, so
 * that those never cost a quarantine; a backup that is younger than this is not found out so. */
#define RB_STORE_SILENCE_MS (15 * 60000)
#define RB_STORE_DEADLINE_MS 2000   /* longest wait of a session */
#define RB_LIST_MS 250              /* of one page: what fits few is looked for page by page */
#define RB_CLAIM_MAX 128            /* tasks of one claim */
#define RB_LEASE_MAX_MS 3600000     /* longest lease */
#define RB_ADMITTER_MAX_ITEMS 8192  /* under way in one admitter; more is RB_E_FULL */
#define RB_ADMIT_BATCH_MAX 256      /* admissions that travel together */
#define RB_LAST_ERROR_MAX_BYTES 256 /* kept of a report's last error */

#define RB_FIRST_ID "rty_00000000000000000000000000" /* no id of its millisecond is before it */

/* rb_message_id - "msg_" and 32 hex digits from (retry, destination, stage, @made_version: the
 * record's version when the report was made): the same on every attempt, and after a repeat of the
 * write that made it. */
void rb_message_id(const char *retry_id, const char *destination, enum rb_stage stage,
                   uint64_t made_version, char ret_id[64]);

#endif

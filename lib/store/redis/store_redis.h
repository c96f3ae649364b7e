/* store_redis.h - the objects of the Redis backend: store, session, admission items.
 *
 * The store owns one thread, the keeper (keeper.c): it finds the server (resolver, sentinels),
 * checks once a second that it may be used, listens on the wake channel, and publishes address and
 * state. Sessions and admitters have a connection each and only read what the keeper published.
 */
#ifndef RB_REDIS_STORE_REDIS_H
#define RB_REDIS_STORE_REDIS_H

#include <pthread.h>
#include <stdatomic.h>

#include "cmd.h"
#include "conn.h"
#include "ops.h"
#include "scripts.h"

#define RDEADLINE_MS RB_STORE_DEADLINE_MS
#define RBACKOFF_FIRST_MS 50
#define RBACKOFF_CAP_MS 5000
#define RWAIT_REPLICAS "1"
#define RWAIT_MS "100"

struct redis_store {
    struct rb_store base;
    const struct rb_clock *clock;
    struct rtarget target;
    SSL_CTX *tls; /* NULL = plain */
    int64_t delivery_ttl_ms, effect_ttl_ms, max_waiting;
    atomic_bool up, stopping, listens; /* listens: somebody wants on_due */
    atomic_uint replicas;
    atomic_bool barred;        /* the server may evict: nothing goes to it */
    atomic_bool full;          /* the last check found no memory left there */
    char process[17];          /* names this opening of the store among the beats */
    atomic_int_least64_t beat; /* the last one that the server confirmed, 0 = none */
    atomic_bool judged;        /* the age of what was found at opening has been looked at */
    int poke_fd;               /* eventfd that wakes the keeper */
    pthread_t keeper;
    bool keeper_runs;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct raddresses addresses; /* lock; n == 0: not known yet */
    uint64_t generation;         /* lock; counts changes of addresses */
    uint64_t attempts;           /* lock; tries to connect that have ended, well or not */
    struct rb_err why;           /* lock; why the last one failed */
    bool hears, missed;          /* lock; subscribed; may have missed what was published before */
};

/* redis.c */
enum rb_code rstore_tls(struct redis_store *s, const struct rb_settings *settings,
                        struct rb_err *err);
/* examine.c */
enum rb_code redis_examine(const char *url, struct rb_settings *settings,
                           const struct rb_clock *clock, struct rb_arena *a,
                           struct rb_store_health *ret_h, struct rb_err *err);
/* keeper.c */
enum rb_code rkeeper_start(struct redis_store *s, struct rb_err *err);
void rkeeper_stop(struct redis_store *s);
/* rkeeper_listen - begin to hear the wake channel; waits a moment for it when the server is up. */
void rkeeper_listen(struct redis_store *s);
void rkeeper_poke(struct redis_store *s);
/* rkeeper_doubt - somebody met a server that does not work: down until the keeper has looked. */
void rkeeper_doubt(struct redis_store *s);
/* rkeeper_addresses - wait for an address until @deadline_ms of the boot clock (0 = do not wait).
 */
enum rb_code rkeeper_addresses(struct redis_store *s, int64_t deadline_ms, struct raddresses *ret_a,
                               uint64_t *ret_generation, struct rb_err *err);
/* rkeeper_find - ask the resolver or the sentinels where the server is. */
enum rb_code rkeeper_find(struct redis_store *s, struct raddresses *ret_a, struct rb_err *err);
int64_t rbackoff_ms(unsigned failures); /* jittered; 0 for the first */

/* beat.c */
void rbeat_init(struct redis_store *s);
enum rbeat_of { RBEAT_OF_KEEPER, RBEAT_OF_SESSION };
/* rbeat_put - the command; one reply follows, for rbeat_take. @now_ms: the caller's time. */
void rbeat_put(struct redis_store *s, struct rb_buf *out, enum rbeat_of of, int64_t now_ms);
enum rb_code rbeat_take(struct redis_store *s, enum rbeat_of of, const redisReply *r,
                        struct rb_err *err);
/* rstore_away - why nothing can be written now. */
enum rb_code rstore_away(const struct redis_store *s, struct rb_err *err);

/* sentinel.c */
enum rb_code rsentinel_find(struct redis_store *s, struct raddresses *ret_a, struct rb_err *err);

/* ---- session.c ---- */
struct redis_session {
    struct rb_store_session base;
    struct redis_store *store;
    struct rconn conn;
    uint64_t generation;
    int64_t deadline_ms; /* of the call under way, boot clock */
    struct rb_buf cmd;   /* commands of the round trip being made */
    struct rb_buf scratch;
    redisReply **replies;
    unsigned n_replies, cap_replies;
    /* The last write here whose answer was lost: the same write again is answered by
     * what it did the first time. */
    bool has_lost;
    uint8_t lost_id[RKEY_RAW];
    uint64_t lost_mark; /* fence, or version */
};
static inline struct redis_session *rses(struct rb_store_session *ses)
{
    return (struct redis_session *)ses;
}
static inline struct redis_store *rstore(struct rb_store *s)
{
    return (struct redis_store *)s;
}

/* rses_begin - connect if need be; empties cmd. The call's deadline starts here. */
enum rb_code rses_begin(struct redis_session *ses, struct rb_err *err);
/* rses_run - send the @n commands of cmd (cmd stays, for a repeat; the next rses_next empties it)
 * and wait for their replies. @writes: with replicas attached, wait for one of them too. An error
 * reply to any of them is the call's error. */
enum rb_code rses_run(struct redis_session *ses, unsigned n, bool writes, struct rb_err *err);
/* rses_is_repeat - this write is the one whose answer was lost. rses_note_outcome - remember, or
 * forget. */
bool rses_is_repeat(const struct redis_session *ses, const uint8_t id[RKEY_RAW], uint64_t mark);
void rses_note_outcome(struct redis_session *ses, const uint8_t id[RKEY_RAW], uint64_t mark,
                       enum rb_code rc);
/* rses_next - empty cmd for another round trip of the same call. */
void rses_next(struct redis_session *ses);
enum rb_code rses_odd(struct rb_err *err); /* the reply is not of the shape that was asked for */
/* rscript_begin - EVALSHA with its numbers: @n_keys keys and @n_args arguments follow. */
void rscript_begin(struct rb_buf *out, enum rscript script, size_t n_keys, size_t n_args);

/* ---- heads of records (prelude.lua) ---- */
#define RHEAD_BYTES 52
#define RHEAD_CHILD_BYTES 68
struct rhead {
    enum rb_state state;
    enum rb_task_kind kind;
    bool woken;
    uint32_t version;
    uint64_t fence;
    int64_t lease_ms, due_ms, tries, created_ms;
    uint8_t effect[RKEY_RAW];
    bool has_child;
    uint8_t child[RKEY_RAW];
};
/* rhead_read - false when it is no record. */
bool rhead_read(const char *data, size_t len, struct rhead *ret_h, size_t *ret_body_at);
/* rhead_new - append the head of a record that is being created; @far: its task is in the calendar.
 */
void rhead_new(struct rb_buf *out, const struct rb_retry *r, enum rb_task_kind kind, bool far,
               const uint8_t effect[RKEY_RAW]);
/* rrecord_read - head and decoded record. RB_E_CORRUPT. */
enum rb_code rrecord_read(const redisReply *r, struct rhead *ret_h, struct rb_retry **ret_retry,
                          struct rb_err *err);
/* ---- calendar.c ---- */
#define RSLOT_MS 4096
#define RSLOT_ENTRY_BYTES (6 + RKEY_RAW) /* due, id */
/* rslot - the start of the slot of a time. */
int64_t rslot(int64_t at_ms);
/* rcalendar_takes - whether the admission's task waits in the calendar. */
bool rcalendar_takes(const struct rb_admission *a, int64_t now_ms);
void rcalendar_key(struct rb_buf *out, int64_t slot_ms);
/* rcalendar_put_first - the command for the first slot; rcalendar_first - its reply, 0 = none. */
void rcalendar_put_first(struct rb_buf *out);
int64_t rcalendar_first(const redisReply *r);
void rcalendar_put_entries(struct rb_buf *out, int64_t slot_ms, int64_t max);
/* rcalendar_turn - move what waits in slots that have begun, @slot_ms first, into the task index.
 */
enum rb_code rcalendar_turn(struct redis_session *ses, int64_t slot_ms, int64_t now_ms,
                            struct rb_err *err);

/* reffect_ttl_ms - how long an ended retry still holds its key. */
int64_t reffect_ttl_ms(const struct redis_store *s);
/* reffect_value - id and the time until which an ended retry still holds the key (0 = it lives). */
void reffect_value(const struct redis_store *s, const uint8_t id[RKEY_RAW], enum rb_state state,
                   int64_t now_ms, uint8_t ret_value[RKEY_RAW + 6]);
int64_t rdelivery_ttl_ms(const struct redis_store *s);
/* An entry of the list of all records: creation time (6 bytes), id, then hashes of project and
 * source, so that a filtered list reads few records in vain. */
#define RENTRY_TAIL 6
#define RENTRY_BYTES (6 + RKEY_RAW + RENTRY_TAIL)
void rentry_tail(const struct rb_retry *r, uint8_t ret_tail[RENTRY_TAIL]);
void rput_deliveries(struct rb_buf *out, const struct rb_delivery *d);
void rread_deliveries(const redisReply *hash, struct rb_retry *r);
void rread_reports(const redisReply *hash, struct rb_retry *r);

/* ---- admission.c: what a session and an admitter share ---- */
#define RCHUNK 64 /* admissions of one call of the script */
enum ritem_stage { RITEM_FIRST, RITEM_SECOND, RITEM_DONE };
struct ritem {
    struct rb_admission *a;
    enum ritem_stage stage;
    char what;       /* of the first half: D or C */
    enum rb_code rc; /* DONE: the outcome, also in the fields below */
    enum rb_admit_result result;
    enum rb_state state;
    uint8_t id[RKEY_RAW];    /* of the admission's own record */
    uint8_t found[RKEY_RAW]; /* of the retry it met, or its own */
};
#define RVALUE_BYTES (RKEY_RAW + 6) /* of an effect or delivery key: id, until when */
static inline bool ritem_has_token(const struct rb_admission *a)
{
    return a->mode != RB_ADMIT_ENDED && a->token_key != NULL;
}
/* rtoken_ttl_ms - how long the admission's token is remembered. */
static inline int64_t rtoken_ttl_ms(const struct redis_store *s, const struct rb_admission *a)
{
    return a->token_ttl_ms > 0 ? a->token_ttl_ms : rdelivery_ttl_ms(s);
}
static inline bool ritem_has_delivery(const struct rb_admission *a)
{
    return a->mode != RB_ADMIT_ENDED && a->delivery_key != NULL;
}
/* ritem_init - false when the record's id is none. */
bool ritem_init(struct ritem *it, struct rb_admission *a);
/* ritems_send - append one EVALSHA for @n items (1..RCHUNK), all of the same stage. */
enum rb_code ritems_send(const struct redis_store *s, struct rb_buf *out, struct rb_buf *scratch,
                         struct ritem *const *items, unsigned n, int64_t now_ms,
                         struct rb_err *err);
/* ritems_receive - the answer to that; moves each item to its next stage. */
enum rb_code ritems_receive(const redisReply *r, struct ritem *const *items, unsigned n,
                            struct rb_err *err);
/* columns.c */
/* rcolumns_put - value of the effect key, record, entry, and place in slot or tasks of all items.
 * @slot_of: of each, 0 = its task is not in the calendar. */
enum rb_code rcolumns_put(const struct redis_store *s, struct rb_buf *out, struct rb_buf *scratch,
                          struct ritem *const *items, unsigned n, const uint8_t *slot_of,
                          int64_t now_ms, struct rb_err *err);
/* repeat.c: the same for items of the second stage. */
void ritems_send_second(const struct redis_store *s, struct rb_buf *out, struct rb_buf *scratch,
                        struct ritem *const *items, unsigned n, int64_t now_ms);
enum rb_code ritems_receive_second(const redisReply *r, struct ritem *const *items, unsigned n,
                                   struct rb_err *err);
/* ritem_check - whether the item can be sent at all; what ritems_send failed for is found by it. */
enum rb_code ritem_check(const struct ritem *it, struct rb_buf *scratch, struct rb_err *err);
void ritem_finish(const struct ritem *it); /* into the admission */

/* ---- the table's functions, by file ---- */
enum rb_code redis_admit(struct rb_store_session *ses, struct rb_admission **items, unsigned n,
                         int64_t now_ms, struct rb_err *err);
enum rb_code redis_admitter_open(struct rb_store *s, int epoll_fd, void *tag,
                                 struct rb_admitter **ret_adm, struct rb_err *err);
void redis_admitter_close(struct rb_admitter *adm);
enum rb_code redis_admitter_add(struct rb_admitter *adm, struct rb_admission *a,
                                struct rb_err *err);
void redis_admitter_pump(struct rb_admitter *adm, int64_t now_ms);
int redis_admitter_timeout_ms(const struct rb_admitter *adm);
unsigned redis_admitter_in_flight(const struct rb_admitter *adm);

enum rb_code redis_claim(struct rb_store_session *ses, enum rb_task_kind kind, unsigned max,
                         int64_t lease_ms, int64_t now_ms, struct rb_task **ret_tasks,
                         unsigned *ret_n, int64_t *ret_next_ms, struct rb_err *err);
enum rb_code redis_renew(struct rb_store_session *ses, struct rb_task *t, int64_t lease_ms,
                         int64_t now_ms, struct rb_err *err);
enum rb_code redis_release(struct rb_store_session *ses, const struct rb_task *t, int64_t due_ms,
                           int64_t now_ms, struct rb_err *err);
enum rb_code redis_settle(struct rb_store_session *ses, struct rb_settle *s, int64_t now_ms,
                          struct rb_err *err);

/* outbox.c */
enum rb_code routbox_claim(struct redis_session *ses, unsigned max, int64_t lease_ms,
                           int64_t now_ms, struct rb_task **ret_tasks, unsigned *ret_n,
                           int64_t *ret_next_ms, struct rb_err *err);
/* routbox_change - "done", "again", "give_up", "renew", "release". */
enum rb_code routbox_change(struct redis_session *ses, const struct rb_task *t, const char *what,
                            int64_t at_ms, const char *last_error, int64_t now_ms,
                            struct rb_err *err);
enum rb_code redis_report_settle(struct rb_store_session *ses, const struct rb_task *t,
                                 enum rb_report_outcome outcome, int64_t again_ms,
                                 const char *last_error, int64_t now_ms, struct rb_err *err);
enum rb_code redis_report_requeue(struct rb_store_session *ses, const char *retry_id,
                                  int64_t now_ms, unsigned *ret_n, struct rb_err *err);

enum rb_code redis_get(struct rb_store_session *ses, const char *retry_id, struct rb_retry **ret_r,
                       struct rb_err *err);
enum rb_code redis_child_of(struct rb_store_session *ses, const char *build_key,
                            char ret_retry_id[RB_ID_BYTES], struct rb_err *err);
enum rb_code redis_list(struct rb_store_session *ses, const struct rb_filter *f,
                        int64_t after_created_ms, const char *after_id, struct rb_retry **ret_items,
                        unsigned *ret_n, char ret_next[RB_CURSOR_BYTES], struct rb_err *err);
enum rb_code redis_counts(struct rb_store_session *ses, struct rb_counts *ret_c,
                          struct rb_err *err);
enum rb_code redis_pause(struct rb_store_session *ses, const char *project, bool on,
                         struct rb_err *err);
enum rb_code redis_paused(struct rb_store_session *ses, struct rb_arena *a, const char ***ret_names,
                          unsigned *ret_n, struct rb_err *err);
enum rb_code redis_projects(struct rb_store_session *ses, int64_t since_ms, struct rb_arena *a,
                            unsigned max, struct rb_project_seen **ret_items, unsigned *ret_n,
                            struct rb_err *err);
/* sheets.c */
enum rb_code redis_sheets_get(struct rb_store_session *ses, struct rb_sheet *sheets, unsigned n,
                              int64_t now_ms, struct rb_arena *a, struct rb_err *err);
enum rb_code redis_sheets_put(struct rb_store_session *ses, const struct rb_sheet *sheets,
                              unsigned n, int64_t now_ms, struct rb_err *err);
enum rb_code redis_epoch(struct rb_store_session *ses, int64_t now_ms, int64_t *ret_birth_ms,
                         struct rb_err *err);
enum rb_code redis_trim(struct rb_store_session *ses, int64_t before_ms, unsigned max,
                        int64_t now_ms, unsigned *ret_n, struct rb_err *err);

#endif

/* session.h - the functions of the ops table, in the shape of ops.h; backend.c lists them. */
#ifndef RB_STORE_SQLITE_SESSION_H
#define RB_STORE_SQLITE_SESSION_H

#include "writer.h"

struct rb_sq_session {
    struct rb_store_session base;
    struct rb_sq_store *store;
    struct rb_sq_waiter *waiter;
};

/* rb_sq_ask - send @op, wait, drop it unless the answer is RB_OK (then the caller drops it).
 * @op NULL: there was no memory. */
enum rb_code rb_sq_ask(struct rb_sq_session *ses, struct rb_sq_op *op, struct rb_err *err);

/* session.c */
enum rb_code rb_sq_session_open(struct rb_store *s, struct rb_store_session **ret_ses,
                                struct rb_err *err);
void rb_sq_session_close(struct rb_store_session *ses);
enum rb_code rb_sq_session_admit(struct rb_store_session *ses, struct rb_admission **items,
                                 unsigned n, int64_t now_ms, struct rb_err *err);
enum rb_code rb_sq_session_claim(struct rb_store_session *ses, enum rb_task_kind kind, unsigned max,
                                 int64_t lease_ms, int64_t now_ms, struct rb_task **ret_tasks,
                                 unsigned *ret_n, int64_t *ret_next_ms, struct rb_err *err);
enum rb_code rb_sq_session_renew(struct rb_store_session *ses, struct rb_task *t, int64_t lease_ms,
                                 int64_t now_ms, struct rb_err *err);
enum rb_code rb_sq_session_release(struct rb_store_session *ses, const struct rb_task *t,
                                   int64_t due_ms, int64_t now_ms, struct rb_err *err);
enum rb_code rb_sq_session_settle(struct rb_store_session *ses, struct rb_settle *s, int64_t now_ms,
                                  struct rb_err *err);
enum rb_code rb_sq_session_report_settle(struct rb_store_session *ses, const struct rb_task *t,
                                         enum rb_report_outcome outcome, int64_t again_ms,
                                         const char *last_error, int64_t now_ms,
                                         struct rb_err *err);
enum rb_code rb_sq_session_report_requeue(struct rb_store_session *ses, const char *retry_id,
                                          int64_t now_ms, unsigned *ret_n, struct rb_err *err);
/* questions.c */
enum rb_code rb_sq_session_get(struct rb_store_session *ses, const char *retry_id,
                               struct rb_retry **ret_r, struct rb_err *err);
enum rb_code rb_sq_session_child_of(struct rb_store_session *ses, const char *build_key,
                                    char ret_retry_id[RB_ID_BYTES], struct rb_err *err);
enum rb_code rb_sq_session_list(struct rb_store_session *ses, const struct rb_filter *f,
                                int64_t after_created_ms, const char *after_id,
                                struct rb_retry **ret_items, unsigned *ret_n,
                                char ret_next[RB_CURSOR_BYTES], struct rb_err *err);
enum rb_code rb_sq_session_counts(struct rb_store_session *ses, struct rb_counts *ret_c,
                                  struct rb_err *err);
enum rb_code rb_sq_session_pause(struct rb_store_session *ses, const char *project, bool on,
                                 struct rb_err *err);
enum rb_code rb_sq_session_paused(struct rb_store_session *ses, struct rb_arena *a,
                                  const char ***ret_names, unsigned *ret_n, struct rb_err *err);
enum rb_code rb_sq_session_projects(struct rb_store_session *ses, int64_t since_ms,
                                    struct rb_arena *a, unsigned max,
                                    struct rb_project_seen **ret_items, unsigned *ret_n,
                                    struct rb_err *err);
enum rb_code rb_sq_session_epoch(struct rb_store_session *ses, int64_t now_ms,
                                 int64_t *ret_birth_ms, struct rb_err *err);
enum rb_code rb_sq_session_trim(struct rb_store_session *ses, int64_t before_ms, unsigned max,
                                int64_t now_ms, unsigned *ret_n, struct rb_err *err);
/* sheets.c */
enum rb_code rb_sq_session_sheets_get(struct rb_store_session *ses, struct rb_sheet *sheets,
                                      unsigned n, int64_t now_ms, struct rb_arena *a,
                                      struct rb_err *err);
enum rb_code rb_sq_session_sheets_put(struct rb_store_session *ses, const struct rb_sheet *sheets,
                                      unsigned n, int64_t now_ms, struct rb_err *err);
/* admitter.c */
enum rb_code rb_sq_admitter_open(struct rb_store *s, int epoll_fd, void *tag,
                                 struct rb_admitter **ret_adm, struct rb_err *err);
void rb_sq_admitter_close(struct rb_admitter *adm);
enum rb_code rb_sq_admitter_add(struct rb_admitter *adm, struct rb_admission *a,
                                struct rb_err *err);
void rb_sq_admitter_pump(struct rb_admitter *adm, int64_t now_ms);
int rb_sq_admitter_timeout_ms(const struct rb_admitter *adm);
unsigned rb_sq_admitter_in_flight(const struct rb_admitter *adm);

#endif

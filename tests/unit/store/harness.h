/* harness.h - what the tests of the store share: a fresh store a test, entries to admit, short ways
 * to claim and settle. The backend is chosen by the program's argument: "sqlite" (a new file) or
 * "redis" (the server of REDIS_URL, which is emptied, or one that the program starts itself).
 */
#ifndef RB_TESTS_STORE_HARNESS_H
#define RB_TESTS_STORE_HARNESS_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/store.h>

/* A time that no server thinks is past. Everything else counts from here. */
#define T0 INT64_C(1900000000000)
#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define LEASE (30 * SECOND)

struct fix {
    struct rb_settings *settings;
    struct rb_store *store;
    struct rb_store_session *ses;
    pthread_mutex_t m;
    pthread_cond_t cond;
    unsigned due[RB_TASK_KIND_COUNT]; /* calls of the due function; guarded by m */
    char path[200];                   /* of the SQLite file; "" for Redis */
};

/* false: this machine lacks what the backend needs; the reason was printed */
bool harness_start(const char *backend);
void harness_stop(void);
bool harness_is_sqlite(void);

/* setup and teardown of a test: *state is a struct fix */
int fix_setup(void **state);
int fix_teardown(void **state);
/* fix_reopen - close and open again, as a restart of the process does. */
void fix_reopen(struct fix *f);
void fix_close(struct fix *f);
struct rb_store *fix_open_second(struct fix *f, enum rb_code *ret_rc, struct rb_err *err);
/* fix_wait_due - calls of the due function for @kind, once there is one; 0: none came. */
unsigned fix_wait_due(struct fix *f, enum rb_task_kind kind);
struct rb_store_session *fix_session(struct fix *f); /* one more; the caller closes it */

struct entry {
    struct rb_retry *retry;
    struct rb_admission a;
    struct rb_delivery delivery;
    struct rb_report_task reports[4];
    char delivery_key[RB_KEY_BYTES], token_key[RB_KEY_BYTES], fingerprint[RB_KEY_BYTES];
    char build_key[RB_KEY_BYTES], intent_key[RB_KEY_BYTES];
    char delivery_text[64];
};
/* entry_init - build number @build of @project, told by delivery number @delivery (0 = by none);
 * scheduled, its submit task due at @now. */
void entry_init(struct entry *e, const char *project, unsigned build, unsigned delivery,
                int64_t now);
void entry_release(struct entry *e);
void entry_token(struct entry *e, const char *token, const char *parameters);
void entry_report(struct entry *e, const char *destination, enum rb_stage stage, int64_t due);
void entry_state(struct entry *e, enum rb_state state, enum rb_task_kind task);
/* entry_anonymous - asked for by the id alone: the account is not known. */
void entry_anonymous(struct entry *e);
/* build_key_of - the key of build number @build of @project. */
void build_key_of(const char *project, unsigned build, char ret_key[RB_KEY_BYTES]);

enum rb_admit_result admit(struct fix *f, struct entry *e, int64_t now);
/* admit_new - init, admit, be sure it is new; returns the retry's id in @ret_id. */
void admit_new(struct fix *f, const char *project, unsigned build, int64_t now,
               char ret_id[RB_ID_BYTES]);
/* admit_ended - the build ended otherwise; the result, and whose child in @ret_id. */
enum rb_admit_result admit_ended(struct fix *f, const char *project, unsigned build, int64_t now,
                                 char ret_id[RB_ID_BYTES]);

/* claim - one due task, NULL = none due; the caller frees it. */
struct rb_task *claim(struct fix *f, enum rb_task_kind kind, int64_t now);
struct rb_task *must_claim(struct fix *f, enum rb_task_kind kind, int64_t now);
unsigned claim_all(struct fix *f, enum rb_task_kind kind, int64_t now);

/* settle - @s->retry is the task's own record unless set; returns the code. */
enum rb_code settle(struct fix *f, struct rb_task *t, struct rb_settle *s, int64_t now);
/* to_running - admit, submit, and follow the child, build number @child: the retry runs, its follow
 * task is due at @due. */
void to_running(struct fix *f, const char *project, unsigned build, unsigned child, int64_t due,
                char ret_id[RB_ID_BYTES]);
/* held - a held retry, with a report of its being held; @ret_chain may be NULL. */
void held(struct fix *f, unsigned build, const char *destination, char ret_id[RB_ID_BYTES],
          char ret_chain[RB_ID_BYTES]);
/* held_next - the same to "ci", of that chain. */
void held_next(struct fix *f, unsigned build, const char *chain, char ret_id[RB_ID_BYTES]);
/* move - a person moves the retry on, which makes a report of @stage. */
void move(struct fix *f, const char *id, enum rb_state to, enum rb_task_kind next,
          const char *destination, enum rb_stage stage, int64_t now);
struct rb_retry *get(struct fix *f, const char *id);
enum rb_state state_of(struct fix *f, const char *id);
void finish(struct fix *f, const char *id, int64_t now); /* a scheduled one: claimed, refused */

/* The suites: arrays ended by a test without function. */
extern const struct CMUnitTest contract_admit_tests[], contract_keys_tests[],
    contract_child_tests[], contract_task_tests[], contract_settle_tests[], contract_report_tests[],
    contract_receipt_tests[], contract_list_tests[], contract_read_tests[], contract_async_tests[],
    contract_later_tests[], contract_sheets_tests[], contract_effect_tests[],
    contract_pages_tests[];

#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

#endif

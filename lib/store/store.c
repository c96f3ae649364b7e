/* store.c - the door of the store: picks the backend, checks arguments, calls through its table.
 *
 * What a wrong argument means is decided here once, so that no backend differs in it.
 */
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/log.h>
#include <retrybuild/secret.h>

#include "cursor.h"
#include "ops.h"

void rb_store_left_alone(const char *retry_id, const struct rb_err *why)
{
    rb_log(RB_LOG_WARN, "store.newer_record", RB_F("retry", retry_id), RB_F("what", why->msg));
}

/* The scheme is what stands before the first ':'. The URL may hold a password: it is never shown.
 */
static const struct rb_store_backend *find_backend(const struct rb_store_backend *const *backends,
                                                   const char *url)
{
    size_t scheme_len = strcspn(url, ":");
    for (; url[scheme_len] == ':' && *backends != NULL; backends++) {
        for (const char *const *scheme = (*backends)->schemes; *scheme != NULL; scheme++) {
            if (strlen(*scheme) == scheme_len && strncmp(*scheme, url, scheme_len) == 0) {
                return *backends;
            }
        }
    }
    return NULL;
}

static enum rb_code no_backend(const struct rb_store_backend *const *backends, struct rb_err *err)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf known = RB_BUF_INIT(256);
    for (; *backends != NULL; backends++) {
        for (const char *const *scheme = (*backends)->schemes; *scheme != NULL; scheme++) {
            rb_buf_addf(&known, "%s%s:", known.len == 0 ? "" : ", ", *scheme);
        }
    }
    return rb_err_set(err, RB_E_INVALID, "store.url begins with none of %s", rb_buf_str(&known));
}

enum rb_code rb_store_open(const struct rb_store_backend *const *backends,
                           struct rb_settings *settings, const struct rb_clock *clock,
                           struct rb_store **ret_store, struct rb_err *err)
{
    const char *url = settings->store.url == NULL ? "" : rb_secret_data(settings->store.url);
    const struct rb_store_backend *backend = find_backend(backends, url);
    if (backend == NULL) {
        return no_backend(backends, err);
    }
    struct rb_store *s = NULL;
    enum rb_code rc = backend->ops->open(url, settings, clock, &s, err);
    if (rc != RB_OK) {
        return rb_err_wrap(err, rc, "open the store");
    }
    s->ops = backend->ops;
    s->settings = rb_settings_ref(settings);
    s->clock = clock;
    *ret_store = s;
    return RB_OK;
}

enum rb_code rb_store_examine(const struct rb_store_backend *const *backends,
                              struct rb_settings *settings, const struct rb_clock *clock,
                              struct rb_arena *a, struct rb_store_health *ret_h, struct rb_err *err)
{
    const char *url = settings->store.url == NULL ? "" : rb_secret_data(settings->store.url);
    const struct rb_store_backend *backend = find_backend(backends, url);

    *ret_h = (struct rb_store_health){.replicas = -1, .round_trip_us = -1};
    if (backend == NULL) {
        return no_backend(backends, err);
    }
    return backend->ops->examine(url, settings, clock, a, ret_h, err);
}

void rb_store_close(struct rb_store *s)
{
    if (s != NULL) {
        struct rb_settings *settings = s->settings;
        s->ops->close(s);
        rb_settings_unref(settings);
    }
}

bool rb_store_up(const struct rb_store *s)
{
    return s->ops->up(s);
}

void rb_store_on_due(struct rb_store *s, void (*fn)(void *arg, enum rb_task_kind kind), void *arg)
{
    rb_bell_set(&s->due, fn, arg);
    if (fn != NULL && s->ops->listen != NULL) {
        s->ops->listen(s);
    }
}

enum rb_code rb_store_session_open(struct rb_store *s, struct rb_store_session **ret_ses,
                                   struct rb_err *err)
{
    struct rb_store_session *ses = NULL;
    enum rb_code rc = s->ops->session_open(s, &ses, err);
    if (rc == RB_OK) {
        ses->store = s;
        *ret_ses = ses;
    }
    return rc;
}

void rb_store_session_close(struct rb_store_session *ses)
{
    if (ses != NULL) {
        ses->store->ops->session_close(ses);
    }
}

/* ---- admission ---- */

static bool main_task(enum rb_task_kind kind)
{
    return kind == RB_TASK_NONE || kind == RB_TASK_INSPECT || kind == RB_TASK_SUBMIT ||
           kind == RB_TASK_FOLLOW;
}

static bool reports_good(const struct rb_report_task *reports, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (rb_str_empty(reports[i].destination) ||
            strlen(reports[i].destination) >= sizeof(((struct rb_task *)0)->destination) ||
            reports[i].stage >= RB_STAGE_COUNT) {
            return false;
        }
    }
    return n == 0 || reports != NULL;
}

static bool key_good(const char *key)
{
    return key != NULL && strspn(key, "0123456789abcdef") == RB_KEY_BYTES - 1 &&
           key[RB_KEY_BYTES - 1] == '\0';
}

static bool key_good_or_absent(const char *key)
{
    return key == NULL || key_good(key);
}

static enum rb_code check_admission(const struct rb_admission *a, struct rb_err *err)
{
    if (!key_good(a->build_key) || !key_good_or_absent(a->delivery_key) ||
        !key_good_or_absent(a->token_key) || !key_good_or_absent(a->token_fingerprint) ||
        (a->token_key != NULL && a->token_fingerprint == NULL)) {
        return rb_err_set(err, RB_E_INVALID, "admission: a key is missing or is no key");
    }
    if (a->mode == RB_ADMIT_ENDED) {
        return RB_OK;
    }
    if (a->retry == NULL || a->retry->id[0] == '\0' || !main_task(a->task) ||
        !reports_good(a->reports, a->n_reports)) {
        return rb_err_set(err, RB_E_INVALID, "admission: record, task or report is not complete");
    }
    return RB_OK;
}

enum rb_code rb_store_admit(struct rb_store_session *ses, struct rb_admission **items, unsigned n,
                            int64_t now_ms, struct rb_err *err)
{
    enum rb_code rc = RB_OK;
    for (unsigned i = 0; i < n && rc == RB_OK; i++) {
        rc = check_admission(items[i], err);
    }
    for (unsigned i = 0; i < n && rc != RB_OK; i++) {
        items[i]->rc = rc;
    }
    return rc != RB_OK || n == 0 ? rc : ses->store->ops->admit(ses, items, n, now_ms, err);
}

enum rb_code rb_admitter_open(struct rb_store *s, int epoll_fd, void *tag,
                              void (*done)(void *arg, struct rb_admission *a), void *arg,
                              struct rb_admitter **ret_adm, struct rb_err *err)
{
    struct rb_admitter *adm = NULL;
    enum rb_code rc = s->ops->admitter_open(s, epoll_fd, tag, &adm, err);
    if (rc == RB_OK) {
        adm->store = s;
        adm->done = done;
        adm->arg = arg;
        *ret_adm = adm;
    }
    return rc;
}

void rb_admitter_close(struct rb_admitter *adm)
{
    if (adm != NULL) {
        adm->store->ops->admitter_close(adm);
    }
}

enum rb_code rb_admitter_add(struct rb_admitter *adm, struct rb_admission *a, struct rb_err *err)
{
    enum rb_code rc = check_admission(a, err);
    return rc != RB_OK ? rc : adm->store->ops->admitter_add(adm, a, err);
}

void rb_admitter_pump(struct rb_admitter *adm, int64_t now_ms)
{
    adm->store->ops->admitter_pump(adm, now_ms);
}

int rb_admitter_timeout_ms(const struct rb_admitter *adm)
{
    return adm->store->ops->admitter_timeout_ms(adm);
}

unsigned rb_admitter_in_flight(const struct rb_admitter *adm)
{
    return adm->store->ops->admitter_in_flight(adm);
}

/* ---- tasks ---- */

void rb_task_free(struct rb_task *t)
{
    if (t != NULL) {
        rb_retry_free(t->retry);
        free(t);
    }
}

void rb_task_freep(struct rb_task **t)
{
    rb_task_free(*t);
}

static bool lease_good(int64_t lease_ms)
{
    return lease_ms >= 1 && lease_ms <= RB_LEASE_MAX_MS;
}

enum rb_code rb_store_claim(struct rb_store_session *ses, enum rb_task_kind kind, unsigned max,
                            int64_t lease_ms, int64_t now_ms, struct rb_task **ret_tasks,
                            unsigned *ret_n, int64_t *ret_next_ms, struct rb_err *err)
{
    int64_t next_ms = 0;
    if (kind <= RB_TASK_NONE || kind >= RB_TASK_KIND_COUNT || max < 1 || max > RB_CLAIM_MAX ||
        !lease_good(lease_ms)) {
        return rb_err_set(err, RB_E_INVALID, "claim: kind, number or lease is out of range");
    }
    return ses->store->ops->claim(ses, kind, max, lease_ms, now_ms, ret_tasks, ret_n,
                                  ret_next_ms == NULL ? &next_ms : ret_next_ms, err);
}

enum rb_code rb_store_renew(struct rb_store_session *ses, struct rb_task *t, int64_t lease_ms,
                            int64_t now_ms, struct rb_err *err)
{
    if (!lease_good(lease_ms)) {
        return rb_err_set(err, RB_E_INVALID, "renew: lease is out of range");
    }
    return ses->store->ops->renew(ses, t, lease_ms, now_ms, err);
}

enum rb_code rb_store_release(struct rb_store_session *ses, const struct rb_task *t, int64_t due_ms,
                              int64_t now_ms, struct rb_err *err)
{
    return ses->store->ops->release(ses, t, due_ms, now_ms, err);
}

enum rb_code rb_store_settle(struct rb_store_session *ses, struct rb_settle *s, int64_t now_ms,
                             struct rb_err *err)
{
    s->conflict = RB_CONFLICT_NONE;
    s->other_id[0] = '\0';
    if (!key_good_or_absent(s->open_intent) || !key_good_or_absent(s->close_intent) ||
        !key_good_or_absent(s->not_a_child) || !key_good_or_absent(s->child_key)) {
        return rb_err_set(err, RB_E_INVALID, "settle: a key is no key");
    }
    if (s->retry == NULL || !main_task(s->next) || !reports_good(s->reports, s->n_reports) ||
        (s->task == NULL && s->keep_lease) ||
        (s->task != NULL && s->task->kind == RB_TASK_REPORT)) {
        return rb_err_set(err, RB_E_INVALID, "settle: record, task or report is not complete");
    }
    enum rb_code rc = s->follow_on == NULL ? RB_OK : check_admission(s->follow_on, err);
    return rc != RB_OK ? rc : ses->store->ops->settle(ses, s, now_ms, err);
}

enum rb_code rb_store_report_settle(struct rb_store_session *ses, const struct rb_task *t,
                                    enum rb_report_outcome outcome, int64_t again_ms,
                                    const char *last_error, int64_t now_ms, struct rb_err *err)
{
    if (t->kind != RB_TASK_REPORT) {
        return rb_err_set(err, RB_E_INVALID, "report settle: the task is no report");
    }
    return ses->store->ops->report_settle(ses, t, outcome, again_ms, last_error, now_ms, err);
}

enum rb_code rb_store_report_requeue(struct rb_store_session *ses, const char *retry_id,
                                     int64_t now_ms, unsigned *ret_n, struct rb_err *err)
{
    return ses->store->ops->report_requeue(ses, retry_id, now_ms, ret_n, err);
}

/* ---- reading ---- */

enum rb_code rb_store_get(struct rb_store_session *ses, const char *retry_id,
                          struct rb_retry **ret_r, struct rb_err *err)
{
    return ses->store->ops->get(ses, retry_id, ret_r, err);
}

enum rb_code rb_store_child_of(struct rb_store_session *ses, const char *build_key,
                               char ret_retry_id[RB_ID_BYTES], struct rb_err *err)
{
    if (!key_good(build_key)) {
        return rb_err_set(err, RB_E_INVALID, "child of: the key is no key");
    }
    return ses->store->ops->child_of(ses, build_key, ret_retry_id, err);
}

enum rb_code rb_store_list(struct rb_store_session *ses, const struct rb_filter *f,
                           struct rb_retry **ret_items, unsigned *ret_n,
                           char ret_next[RB_CURSOR_BYTES], struct rb_err *err)
{
    int64_t after_ms = 0;
    char after_id[RB_ID_BYTES] = "";
    if (f->limit < 1 || f->limit > 200 || (f->by_state && f->state >= RB_STATE_COUNT)) {
        return rb_err_set(err, RB_E_INVALID, "list: limit or state is out of range");
    }
    if (f->cursor != NULL && !rb_cursor_read(f->cursor, &after_ms, after_id)) {
        return rb_err_set(err, RB_E_INVALID, "the cursor is not one of ours");
    }
    if (f->cursor == NULL &&
        f->before_ms > 0) { /* behind the first that its millisecond may have */
        after_ms = f->before_ms;
        (void)memcpy(after_id, RB_FIRST_ID, sizeof(RB_FIRST_ID));
    }
    char next[RB_CURSOR_BYTES] = "";
    unsigned n = 0;
    enum rb_code rc = ses->store->ops->list(ses, f, after_ms, after_id, ret_items, &n, next, err);
    if (rc == RB_OK) {
        (void)memcpy(ret_next, next, sizeof(next));
        *ret_n = n;
    }
    return rc;
}

void rb_store_cursor(const struct rb_retry *r, char ret_next[RB_CURSOR_BYTES])
{
    rb_cursor_write(r->created_ms, r->id, ret_next);
}

enum rb_code rb_store_counts(struct rb_store_session *ses, struct rb_counts *ret_c,
                             struct rb_err *err)
{
    struct rb_counts c = {0};
    enum rb_code rc = ses->store->ops->counts(ses, &c, err);
    if (rc == RB_OK) {
        *ret_c = c;
    }
    return rc;
}

/* ---- switches, projects, epoch, retention ---- */

enum rb_code rb_store_pause(struct rb_store_session *ses, const char *project, bool on,
                            struct rb_err *err)
{
    return ses->store->ops->pause(ses, project == NULL ? "*" : project, on, err);
}

enum rb_code rb_store_paused(struct rb_store_session *ses, struct rb_arena *a,
                             const char ***ret_names, unsigned *ret_n, struct rb_err *err)
{
    return ses->store->ops->paused(ses, a, ret_names, ret_n, err);
}

enum rb_code rb_store_projects(struct rb_store_session *ses, int64_t since_ms, struct rb_arena *a,
                               unsigned max, struct rb_project_seen **ret_items, unsigned *ret_n,
                               struct rb_err *err)
{
    return ses->store->ops->projects(ses, since_ms, a, max, ret_items, ret_n, err);
}

static enum rb_code check_sheets(const struct rb_sheet *sheets, unsigned n, struct rb_err *err)
{
    if (n < 1 || n > RB_SHEETS_MAX) {
        return rb_err_set(err, RB_E_INVALID, "sheets: 1 to %d at once", RB_SHEETS_MAX);
    }
    for (unsigned i = 0; i < n; i++) {
        if (rb_str_empty(sheets[i].name) || strlen(sheets[i].name) > RB_SHEET_NAME_MAX_BYTES) {
            return rb_err_set(err, RB_E_INVALID, "sheets: a name has 1 to %d bytes",
                              RB_SHEET_NAME_MAX_BYTES);
        }
    }
    return RB_OK;
}

enum rb_code rb_store_sheets_get(struct rb_store_session *ses, struct rb_sheet *sheets, unsigned n,
                                 int64_t now_ms, struct rb_arena *a, struct rb_err *err)
{
    enum rb_code rc = check_sheets(sheets, n, err);
    return rc == RB_OK ? ses->store->ops->sheets_get(ses, sheets, n, now_ms, a, err) : rc;
}

enum rb_code rb_store_sheets_put(struct rb_store_session *ses, const struct rb_sheet *sheets,
                                 unsigned n, int64_t now_ms, struct rb_err *err)
{
    enum rb_code rc = check_sheets(sheets, n, err);
    for (unsigned i = 0; i < n && rc == RB_OK; i++) {
        const struct rb_sheet *s = &sheets[i];
        if (s->next != 0 && (s->ttl_ms <= 0 || s->len > RB_SHEET_MAX_BYTES)) {
            rc =
                rb_err_set(err, RB_E_INVALID, "sheet '%.60s': bad length or time to live", s->name);
        }
    }
    return rc == RB_OK ? ses->store->ops->sheets_put(ses, sheets, n, now_ms, err) : rc;
}

enum rb_code rb_store_epoch(struct rb_store_session *ses, int64_t now_ms, int64_t *ret_birth_ms,
                            struct rb_err *err)
{
    return ses->store->ops->epoch(ses, now_ms, ret_birth_ms, err);
}

enum rb_code rb_store_trim(struct rb_store_session *ses, int64_t before_ms, unsigned max,
                           int64_t now_ms, unsigned *ret_n, struct rb_err *err)
{
    return ses->store->ops->trim(ses, before_ms, max, now_ms, ret_n, err);
}

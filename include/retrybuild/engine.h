/* engine.h - the heart: admission, the once-only call, following, reporting, the sweep; the only
 * starter of worker threads.
 *
 * Threads: rb_engine_* may be called from any thread unless said. Blocks: start and stop.
 */
#ifndef RETRYBUILD_ENGINE_H
#define RETRYBUILD_ENGINE_H

#include <retrybuild/aws.h>
#include <retrybuild/buf.h>
#include <retrybuild/clock.h>
#include <retrybuild/err.h>
#include <retrybuild/forge.h>
#include <retrybuild/model.h>
#include <retrybuild/policy.h>
#include <retrybuild/random.h>
#include <retrybuild/settings.h>
#include <retrybuild/source.h>
#include <retrybuild/store.h>

struct rb_engine;
struct rb_tracer;

struct rb_engine_deps {
    struct rb_settings *settings;
    struct rb_store *store;
    struct rb_aws *aws;
    const struct rb_clock *clock;
    const struct rb_random *random;
    struct rb_tracer *tracer; /* outlives the engine; NULL = no spans */
};

enum rb_code rb_engine_new(const struct rb_engine_deps *deps, struct rb_engine **ret_e,
                           struct rb_err *err);
/* rb_engine_free - after stop, and after the store is closed: until then the store's own threads
 * may still call the engine to say that work is due. NULL accepted. */
void rb_engine_free(struct rb_engine *e);
/* rb_engine_start - threads: workers.submit submitters, 1 inspector, 1 follower, workers.report
 * reporters, 1 sweeper, 1 keeper (gauges, retention). submit = 0: only reporters and the keeper. */
enum rb_code rb_engine_start(struct rb_engine *e, struct rb_err *err);
/* rb_engine_stop - no new claims; work under way finishes or gives its lease back within @grace_ms;
 * joins. Returns false when something had to be cut (its lease runs out by itself). */
bool rb_engine_stop(struct rb_engine *e, int64_t grace_ms);
/* rb_engine_reload - new settings for everything reloadable; work under way finishes under the old
 * ones. */
enum rb_code rb_engine_reload(struct rb_engine *e, struct rb_settings *s, struct rb_err *err);
/* rb_engine_settings - a reference to the settings in force. */
struct rb_settings *rb_engine_settings(struct rb_engine *e);
/* rb_engine_forge_tokens - tokens of apps, shared by all that ask git hosts; lives as long as @e.
 */
struct rb_forge_tokens *rb_engine_forge_tokens(struct rb_engine *e);

/* ---- reports ---- */
struct rb_codebuild;
struct rb_destination_setting;
struct rb_post_result;
struct rb_report_view;
/* rb_report_by_aws - post and judge a report that is a call of AWS (sns, eventbridge), by the
 * credentials of @c; false: @d is of another type, nothing was done. Blocks: as publish.h. */
bool rb_report_by_aws(struct rb_codebuild *c, const struct rb_settings *s,
                      const struct rb_destination_setting *d, const struct rb_report_view *v,
                      int64_t first_due_ms, struct rb_post_result *ret);

/* ---- admission, for the listener ---- */
/* rb_engine_admission_new - an event of a verified delivery becomes an admission: decision, record,
 * first task, reports, keys. Pure but for clock and random of the deps; never blocks. *ret_a is
 * NULL with RB_OK when there is nothing to store (RB_EVENT_NONE). */
enum rb_code rb_engine_admission_new(struct rb_engine *e, const struct rb_event *ev,
                                     const struct rb_delivery *delivery,
                                     struct rb_admission **ret_a, struct rb_err *err);

struct rb_person_request {
    const struct rb_build *build; /* at least project, id, region; account where it is known */
    bool account_found;           /* who asks did not say it: no parameter of theirs */
    const char *token;            /* explicit idempotency token, NULL = none */
    const char *caller;           /* token name: scopes the idempotency token */
    const char *reason, *callback_url;
    const char *channel; /* of a chat; NULL = none */
    const char *reply;   /* handle for answers to who asked (rb_command.reply); NULL = none */
    bool force;
    const char *traceparent, *tracestate; /* as sent; NULL = none */
    struct rb_delivery delivery;          /* source api */
};
/* rb_engine_person_new - as above for a person's request: mode PERSON or FORCE; starts as received
 * with an inspect task (its build is not known yet). */
enum rb_code rb_engine_person_new(struct rb_engine *e, const struct rb_person_request *p,
                                  struct rb_admission **ret_a, struct rb_err *err);
/* rb_engine_person_continue - the build turned out to be the child of @parent, which has ended: the
 * same request as the next attempt of that chain, to be admitted once more. */
void rb_engine_person_continue(struct rb_admission *a, const struct rb_retry *parent);
void rb_engine_admission_free(struct rb_admission *a); /* frees the record too; NULL accepted */

/* rb_engine_explain - the JSON of rb_explain_payload by the settings in force, or, where @req is
 * NULL, of rb_explain_retry of the retry @retry_id. Changes nothing; blocks as the store does. */
enum rb_code rb_engine_explain(struct rb_engine *e, struct rb_store_session *ses,
                               const char *source, const struct rb_request *req,
                               const char *retry_id, struct rb_buf *out, struct rb_err *err);

/* rb_engine_stats - the JSON of GET /v1/stats. */
enum rb_code rb_engine_stats(struct rb_engine *e, struct rb_store_session *ses, struct rb_buf *out,
                             struct rb_err *err);

/* rb_engine_projects - the JSON of GET /v1/projects: up to 500 of the last seven days. */
enum rb_code rb_engine_projects(struct rb_engine *e, struct rb_store_session *ses,
                                struct rb_buf *out, struct rb_err *err);

/* rb_engine_rules - the JSON of GET /v1/rules. */
enum rb_code rb_engine_rules(struct rb_engine *e, struct rb_store_session *ses, struct rb_buf *out,
                             struct rb_err *err);
/* rb_engine_destination_standing - "ok", "failing" (its breaker is open) or "off" (it said that it
 * is gone), as this process sees it. */
const char *rb_engine_destination_standing(struct rb_engine *e, const char *name);

/* ---- how rules, sources and destinations are used: over all replicas, kept by the store ---- */
enum rb_use { RB_USE_RULE, RB_USE_SOURCE, RB_USE_DESTINATION, RB_USE_COUNT };
/* rb_engine_used - counted in memory for some hundred nanoseconds under a lock, written within
 * seconds. @error: why it was in vain, cut at 159 bytes; NULL = it was not. */
void rb_engine_used(struct rb_engine *e, enum rb_use use, const char *name, const char *error);
/* rb_engine_uses - the JSON members of the row @name in @set, which rb_engine_uses_read has filled:
 * ,"used":…,"failed":…,"last_at":…,"last_failed_at":…,"last_error":… */
struct rb_uses_sheet;
enum rb_code rb_engine_uses_read(struct rb_engine *e, struct rb_store_session *ses, enum rb_use use,
                                 struct rb_uses_sheet **ret_set, struct rb_err *err);
void rb_engine_uses_free(struct rb_uses_sheet *set); /* NULL accepted */
void rb_engine_uses_json(const struct rb_uses_sheet *set, const char *name, struct rb_buf *out);
/* rb_engine_uses_name - the i-th name of it, NULL = there are no more. */
const char *rb_engine_uses_name(const struct rb_uses_sheet *set, unsigned i);

/* rb_engine_test_send - a message that says of itself that it is a test to the destination @name,
 * by the way that reports take; for a thread that may wait for HTTP. RB_E_NOT_FOUND: no such
 * destination. */
struct rb_post_result;
struct rb_codebuild;
struct rb_httpc;
enum rb_code rb_engine_test_send(struct rb_engine *e, const char *name, struct rb_httpc *http,
                                 struct rb_codebuild *codebuild, struct rb_post_result *ret,
                                 struct rb_err *err);

/* rb_engine_release_incident - every incident hold ends now; *ret_n says how many there were. */
enum rb_code rb_engine_release_incident(struct rb_engine *e, struct rb_store_session *ses,
                                        unsigned *ret_n, struct rb_err *err);

/* ---- what a person may do with a retry; for the API's own thread and session ---- */
enum rb_verb { RB_VERB_CANCEL, RB_VERB_APPROVE, RB_VERB_DENY, RB_VERB_REQUEUE, RB_VERB_EXPIRE };
/* rb_engine_act - RB_E_NOT_FOUND, RB_E_CONFLICT (state does not allow it; message says which states
 * do). @who: token name. */
enum rb_code rb_engine_act(struct rb_engine *e, struct rb_store_session *ses, const char *retry_id,
                           enum rb_verb verb, const char *who, struct rb_retry **ret_r,
                           struct rb_err *err);

#endif

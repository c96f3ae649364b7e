/* ledger.h - what budgets, breakers, the incident hold and the flake ledger count: sheets of the
 * store as structs, and what is done with them.
 *
 * Everything here is pure: sheets, settings and time come in, sheets and verdicts go out. gate.c
 * and tally.c read and write the sheets. Times are milliseconds since 1970. Threads: any.
 */
#ifndef RB_ENGINE_LEDGER_H
#define RB_ENGINE_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include <retrybuild/buf.h>
#include <retrybuild/model.h>
#include <retrybuild/settings.h>

#define RB_WORD_BYTES 24 /* a phase, a message class */
#define RB_HOUR_MS (60LL * 60 * 1000)
#define RB_DAY_MS (24 * RB_HOUR_MS)
#define RB_FLAKE_HALF_LIFE_MS (7 * RB_DAY_MS)

/* ---- a window that slides: two counts in at most 64 steps ---- */
#define RB_SERIES_STEPS 64
struct rb_series {
    unsigned n;
    struct {
        int64_t at_ms, a, b;
    } steps[RB_SERIES_STEPS]; /* oldest first */
};
/* rb_series_add - into the step of now; @window_ms / 60 is its width, older ones go. */
void rb_series_add(struct rb_series *s, int64_t window_ms, int64_t now_ms, int64_t a, int64_t b);
/* rb_series_sum - of the window that ends now. */
void rb_series_sum(const struct rb_series *s, int64_t window_ms, int64_t now_ms, int64_t *ret_a,
                   int64_t *ret_b);

/* ---- sheets ---- */
struct rb_probe { /* one retry is let through to see; "" = none is out */
    char id[RB_ID_BYTES];
    int64_t at_ms;
};
struct rb_scope_sheet {        /* of a project, or of an account */
    struct rb_series takes;    /* a: retries submitted, of the last hour */
    struct rb_series outcomes; /* a: failed again, b: recovered; of breaker.window */
    int64_t opened_ms;         /* 0 = the breaker is closed */
    struct rb_probe probe;
};
struct rb_count_sheet { /* ended builds of a project by the hour; seconds of retries by the day */
    struct rb_series counted;
};
struct rb_census_sheet { /* ended builds of a project by the hour, as CodeBuild showed them */
    struct rb_series shown;
    int64_t looked_ms;
};
struct rb_commit_sheet {
    int64_t retries;
};
struct rb_mark_sheet { /* what one retry has counted already */
    int64_t taken, settled, reserved_s;
};
#define RB_INCIDENT_PHASES 12
#define RB_INCIDENT_PROJECTS 32
struct rb_incident_row {
    char phase[RB_WORD_BYTES];
    unsigned n;
    struct {
        uint64_t project;
        int64_t at_ms;
    } seen[RB_INCIDENT_PROJECTS];
    int64_t since_ms, until_ms; /* of the hold; since 0 = none */
    int64_t next_probe_ms;
    struct rb_probe probe;
};
struct rb_incident_sheet {
    unsigned n;
    struct rb_incident_row rows[RB_INCIDENT_PHASES];
};
#define RB_FLAKE_ROWS 32
struct rb_flake_row {
    char phase[RB_WORD_BYTES], class[RB_WORD_BYTES];
    double flakes, failures; /* as of decayed_ms */
    int64_t decayed_ms, last_ms, lost_s, saved_s;
};
struct rb_flake_sheet {
    unsigned n;
    struct rb_flake_row rows[RB_FLAKE_ROWS];
};
#define RB_RULE_ROWS 64
struct rb_rule_row {
    char name[64];
    int64_t tried, recovered;           /* retries of ours that ended */
    int64_t shadowed, shadow_recovered; /* only thought about; somebody retried them anyway */
    int64_t last_ms;
};
struct rb_rules_sheet {
    unsigned n;
    struct rb_rule_row rows[RB_RULE_ROWS];
    int64_t lost_s, saved_s;
};
struct rb_link_sheet { /* a build that somebody else started: the retry whose build it runs again */
    char retry[RB_ID_BYTES];
};
#define RB_NOTICE_ROWS 32
struct rb_notice_sheet { /* which destination was told of something by which retry */
    unsigned n;
    struct {
        uint64_t destination;
        int64_t at_ms;
        char retry[RB_ID_BYTES];
    } rows[RB_NOTICE_ROWS];
};
struct rb_shadow_sheet { /* a failure that shadow mode would have retried */
    char rule[64];
    int64_t recovered;
};

enum rb_sheet_of {
    RB_SHEET_SCOPE,
    RB_SHEET_COUNT,
    RB_SHEET_COMMIT,
    RB_SHEET_MARK,
    RB_SHEET_INCIDENT,
    RB_SHEET_FLAKES,
    RB_SHEET_RULES,
    RB_SHEET_SHADOW,
    RB_SHEET_LINK,
    RB_SHEET_CENSUS,
    RB_SHEET_NOTICE,
};
/* rb_sheet_read - bytes of the store into the struct of that kind; what is not there, or does not
 * read, is empty. */
void rb_sheet_read(enum rb_sheet_of of, const uint8_t *data, size_t len, void *ret_sheet);
/* rb_sheet_write - append; @out fails beyond its maximum. */
void rb_sheet_write(enum rb_sheet_of of, const void *sheet, struct rb_buf *out);

/* ---- breaker ---- */
struct rb_wait {
    bool waits;
    int64_t ms; /* look again after this */
};
enum rb_breaker_state { RB_BREAKER_CLOSED, RB_BREAKER_OPEN, RB_BREAKER_HALF_OPEN };
enum rb_breaker_state rb_breaker_state(const struct rb_settings *s, const struct rb_scope_sheet *x,
                                       int64_t now_ms);
const char *rb_breaker_state_name(enum rb_breaker_state st);
struct rb_wait rb_breaker_judge(const struct rb_settings *s, const struct rb_scope_sheet *x,
                                const char *retry_id, int64_t now_ms);
/* rb_breaker_pass - the retry goes: it is the probe of a breaker that is half open. */
bool rb_breaker_pass(const struct rb_settings *s, struct rb_scope_sheet *x, const char *retry_id,
                     int64_t now_ms);

enum rb_ending { RB_ENDING_NONE, RB_ENDING_RECOVERED, RB_ENDING_FAILED };
/* rb_breaker_outcome - returns true when it opens by this. @minimum: that of a project or of an
 * account. */
bool rb_breaker_outcome(const struct rb_settings *s, struct rb_scope_sheet *x, int64_t minimum,
                        const char *retry_id, enum rb_ending outcome, int64_t now_ms);
int64_t rb_breaker_minimum(const struct rb_settings *s, bool of_account);

/* ---- budgets ---- */
struct rb_budget {
    int64_t used, limit; /* limit 0 = none */
};
struct rb_budgets {
    struct rb_budget commit, project, account, minutes;
};
struct rb_budget_sheets {
    struct rb_scope_sheet *project, *account;
    struct rb_count_sheet *builds, *minutes;
    struct rb_commit_sheet *commit; /* NULL: the commit is not known */
    struct rb_census_sheet *census; /* NULL: not asked for */
};
void rb_budgets_of(const struct rb_settings *s, const struct rb_budget_sheets *x, int64_t now_ms,
                   struct rb_budgets *ret_b);
/* rb_budgets_spent - the name of the first one that is used up, NULL = none is. */
const char *rb_budgets_spent(const struct rb_budgets *b);
/* rb_budgets_enough - so many ended builds would make the project's budget twice what is used. */
int64_t rb_budgets_enough(const struct rb_settings *s, const struct rb_budget *project);
/* rb_budget_seconds - what @seconds of @b count, by budgets.prices. */
int64_t rb_budget_seconds(const struct rb_settings *s, const struct rb_build *b, int64_t seconds);
void rb_budgets_take(const struct rb_settings *s, struct rb_budget_sheets *x, int64_t reserved_s,
                     int64_t now_ms);

/* ---- incidents ---- */
/* rb_incident_note - a failure worth a retry; true when a hold begins by it. */
bool rb_incident_note(const struct rb_settings *s, struct rb_incident_sheet *x, const char *phase,
                      uint64_t project, int64_t at_ms, int64_t now_ms);
/* rb_incident_active - the row of a hold that is on, NULL = none. */
const struct rb_incident_row *rb_incident_active(const struct rb_settings *s,
                                                 const struct rb_incident_sheet *x, int64_t now_ms);
struct rb_wait rb_incident_judge(const struct rb_settings *s, const struct rb_incident_row *row,
                                 const char *retry_id, int64_t now_ms);
/* rb_incident_pass - the retry goes as the probe. */
void rb_incident_pass(struct rb_incident_sheet *x, const struct rb_incident_row *row,
                      const char *retry_id, int64_t now_ms);
/* rb_incident_outcome - of a probe: recovered ends the hold, failed makes it longer. True: changed.
 */
bool rb_incident_outcome(const struct rb_settings *s, struct rb_incident_sheet *x,
                         const char *retry_id, enum rb_ending outcome, int64_t now_ms);
/* rb_incident_release - every hold ends now; how many there were. */
unsigned rb_incident_release(const struct rb_settings *s, struct rb_incident_sheet *x,
                             int64_t now_ms);

/* ---- flakes, rules ---- */
/* rb_message_class - of a failure, for the ledger: a static word. */
const char *rb_message_class(const struct rb_build *b);
void rb_flake_outcome(struct rb_flake_sheet *x, const struct rb_build *failed, bool recovered,
                      int64_t lost_s, int64_t saved_s, int64_t now_ms);
double rb_flake_decayed(double v, int64_t then_ms, int64_t now_ms);
/* rb_flake_lately - some of it was seen in the last days. */
bool rb_flake_lately(const struct rb_flake_row *row, int64_t now_ms);
/* rb_flake_known - has a failure like @b recovered on the same commit lately? */
bool rb_flake_known(const struct rb_flake_sheet *x, const struct rb_build *b, int64_t now_ms);
struct rb_rule_row *rb_rule_row(struct rb_rules_sheet *x, const char *rule, int64_t now_ms);

#endif

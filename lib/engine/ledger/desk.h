/* desk.h - the sheets that concern one retry, side by side, and what is decided over them: may it
 * go now, what does that count, what does its outcome count. Pure, as all of the ledger. */
#ifndef RB_ENGINE_DESK_H
#define RB_ENGINE_DESK_H

#include "ledger.h"

#define RB_DESK_NOTE_BYTES 400

enum rb_desk_sheet {
    RB_DESK_MARK,
    RB_DESK_PROJECT,
    RB_DESK_ACCOUNT,
    RB_DESK_INCIDENT,
    RB_DESK_MINUTES,
    RB_DESK_BUILDS,
    RB_DESK_CENSUS,
    RB_DESK_COMMIT,
    RB_DESK_FLAKES,
    RB_DESK_RULES,
    RB_DESK_COUNT
};
struct rb_desk {
    struct rb_mark_sheet mark;
    struct rb_scope_sheet project, account;
    struct rb_incident_sheet incident;
    struct rb_count_sheet minutes, builds;
    struct rb_census_sheet census;
    struct rb_commit_sheet commit;
    struct rb_flake_sheet flakes; /* of outcomes */
    struct rb_rules_sheet rules;
    bool has_commit;
    bool changed[RB_DESK_COUNT];
    bool opened_project, opened_account, ended_probe; /* by the outcome */
};

/* What stands in the way, as a note; "" = nothing. */
struct rb_obstacle {
    char note[RB_DESK_NOTE_BYTES];
    bool refuses;
    bool uncounted; /* for too small a part of too few builds: CodeBuild was not asked lately */
    int64_t wait_ms;
};
void rb_desk_obstacle(const struct rb_settings *s, struct rb_desk *d, const char *retry_id,
                      const struct rb_build *b, int64_t now_ms, struct rb_obstacle *ret_o);
/* rb_desk_passes - whatever stands in the way: a person forces it, or asked at the AWS front door,
 * where nothing more can be said. */
bool rb_desk_passes(const struct rb_retry *r);
void rb_desk_budgets(const struct rb_settings *s, struct rb_desk *d, int64_t now_ms,
                     struct rb_budgets *ret_b);
/* rb_desk_count - the retry goes: once counted, it counts no more. */
void rb_desk_count(const struct rb_settings *s, struct rb_desk *d, const struct rb_retry *r,
                   int64_t now_ms);
void rb_desk_settle(const struct rb_settings *s, struct rb_desk *d, const struct rb_retry *r,
                    enum rb_ending outcome, int64_t now_ms);
/* rb_name_or_dash - names of sheets and scopes have no empty parts. */
const char *rb_name_or_dash(const char *s);

#endif

/* A simulated world around the decisions of the once-only call: workers that crash, stall past
 * their lease and wake up again, copies of the call that arrive minutes late or never, answers that
 * get lost, a CodeBuild with a token window, a signature window and a lag of its lists, clocks that
 * are wrong, a store that loses its memory. One seed is one life of one failed build.
 *
 * The worker here does what submit.c and send.c do around the pure functions: look, intent, mark,
 * send, answer, each write fenced. Thousands of seeds must start no second build and come to an
 * end; and with any one of the rules switched off a second build must be found, otherwise the
 * simulation could not see one.
 */
#ifndef RB_TEST_DST_H
#define RB_TEST_DST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plan.h"

#define WORKERS 3
#define MAX_COPIES 64
#define MAX_BUILDS 64
#define START 1000000000LL
#define SECOND 1000LL
#define MINUTE (60 * SECOND)
#define FAULTS_UNTIL (START + 45 * MINUTE)
#define HORIZON (START + 6 * 60 * MINUTE)
#define LEASE (30 * SECOND)
#define QUARANTINE (7 * MINUTE)
#define NEVER INT64_MAX

enum mutant {
    NO_MUTANT,
    UNFENCED,        /* rule 1: writes do not name the fence */
    INTENT_AFTER,    /* rule 1: nothing is written before the call */
    RESIGNED,        /* rule 2: every send carries its own date */
    UNMARKED,        /* rule 3: not marked before the wire */
    ENDLESS_RESEND,  /* rule 3: resent whenever */
    CONCLUDED_EARLY, /* rule 4: "did not happen" as soon as the resend window ends */
    NOT_LOOKED,      /* rule 4: "did not happen" without a look */
    NO_QUARANTINE,   /* a lost memory goes on at once */
};

/* How CodeBuild shows who started a build. */
enum naming {
    NO_NAMES,     /* one key for all: the initiator proves nothing */
    NAMED,        /* exact mode: each call by a session named after its retry */
    ONLY_THE_ROLE /* exact mode, and a CodeBuild that leaves the session out */
};

extern const struct rb_timing dst_timing;

struct intent {
    int64_t issue, unknowns, date_ms, low_water, sends;
    bool ambiguous;
};

struct record {
    enum rb_state state;
    struct intent intent;
    int64_t due_ms;
    uint64_t life; /* tokens of another life of the store are other tokens */
};

enum copy_state { COPY_FREE, COPY_TRAVELS, COPY_ANSWERED };
struct copy {
    enum copy_state state;
    int64_t arrives_ms, answers_ms;
    int64_t date_ms;
    uint64_t life;
    int64_t issue;
    enum rb_code rc;
    unsigned build; /* of RB_OK */
};

struct build {
    int64_t started_ms, visible_ms;
    uint64_t life; /* 0 = somebody else's */
    int64_t issue;
    bool ours;
};

enum pc { IDLE, LOOKING, JUDGE, MARK, SEND, WAIT_ANSWER };
struct worker {
    enum pc pc;
    int64_t at_ms;
    int64_t skew_ms; /* its idea of AWS's clock is wrong by this */
    uint64_t fence;
    struct record r; /* as it knows it */
    struct rb_look_result look;
    unsigned candidate;
    bool was_ambiguous;
    int64_t sends_before;
    int64_t deadline_ms;
    unsigned copy;
};

struct world {
    uint64_t random;
    enum mutant mutant;
    enum naming naming;
    struct rb_plan_windows windows;
    int64_t now_ms;
    struct record store;
    uint64_t fence;
    int64_t lease_until_ms;
    int64_t birth_ms, loss_at_ms, readmitted_ms;
    struct worker workers[WORKERS];
    struct copy copies[MAX_COPIES];
    struct build builds[MAX_BUILDS];
    unsigned n_builds, effects, foreign_left, wrongly_adopted;
    int64_t foreign_at_ms;
    struct rb_retry *scratch;
    unsigned crash_percent, stall_percent;
};

/* dst_live - one life; ended: nothing is under way any more. */
struct dst_outcome {
    unsigned effects;
    enum rb_state state;
    bool ended;
    bool resent;
    unsigned wrongly_adopted; /* somebody else's build taken for ours */
};
struct dst_outcome dst_live(uint64_t seed, enum mutant mutant, enum naming naming,
                            struct rb_retry *scratch);

/* ---- between the files of the simulation ---- */
uint64_t dst_random(struct world *w);
int64_t dst_between(struct world *w, int64_t from, int64_t to);
bool dst_chance(struct world *w, unsigned percent); /* never after the time of faults */
void dst_start_build(struct world *w, uint64_t life, int64_t issue, bool ours);
unsigned dst_push_copy(struct world *w, const struct worker *k, int64_t date_ms);
void dst_step(struct world *w, struct worker *k);

#endif

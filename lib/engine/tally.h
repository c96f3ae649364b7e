/* tally.h - what deliveries tell about builds, counted in memory and written to the ledger now and
 * then: admission costs no store access for it.
 *
 * Ended builds by project (for the budget that is a part of them), and failures worth a retry by
 * phase (for incidents). The same end told over several channels counts once in a process, as far
 * as a few thousand recent builds go. Threads: any; a lock is held for some hundred nanoseconds. */
#ifndef RB_ENGINE_TALLY_H
#define RB_ENGINE_TALLY_H

#include <pthread.h>

#include "ledger/ledger.h"

#define RB_TALLY_PROJECTS 256
#define RB_TALLY_FAILURES 256
#define RB_TALLY_SHADOWS 128
#define RB_TALLY_SEEN 4096 /* a power of two */
#define RB_TALLY_NAME_BYTES 320

struct rb_tally_shadow {
    char name[RB_TALLY_NAME_BYTES]; /* of the sheet: project and source version */
    size_t project_len;             /* of it */
    char rule[64];                  /* "": a success that may belong to one */
    bool shadow;
    char phase[RB_WORD_BYTES], class[RB_WORD_BYTES];
    int64_t lost_s;
};

struct rb_tally_counts {
    struct {
        char name[RB_TALLY_NAME_BYTES]; /* account/region/project */
        uint64_t hash;
        int64_t builds, failed;
    } projects[RB_TALLY_PROJECTS];
    unsigned n_projects;
    struct {
        char phase[RB_WORD_BYTES];
        uint64_t project;
        int64_t at_ms;
    } failures[RB_TALLY_FAILURES];
    unsigned n_failures;
    struct rb_tally_shadow shadows[RB_TALLY_SHADOWS];
    unsigned n_shadows;
};

struct rb_tally {
    pthread_mutex_t lock;
    struct rb_tally_counts now;   /* lock */
    uint64_t seen[RB_TALLY_SEEN]; /* lock; a build may push another out */
};

#endif

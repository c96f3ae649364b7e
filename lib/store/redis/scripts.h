/* scripts.h - the Lua scripts, embedded by the build from scripts/ (embed.c), with their SHA-1. */
#ifndef RB_REDIS_SCRIPTS_H
#define RB_REDIS_SCRIPTS_H

#include <stddef.h>

enum rscript {
    RSCRIPT_ADMIT,
    RSCRIPT_BEAT,
    RSCRIPT_CLAIM,
    RSCRIPT_EPOCH,
    RSCRIPT_LEASE,
    RSCRIPT_OUTBOX_CLAIM,
    RSCRIPT_OUTBOX_REQUEUE,
    RSCRIPT_OUTBOX_SETTLE,
    RSCRIPT_PROMOTE,
    RSCRIPT_REPEAT,
    RSCRIPT_SET_ASIDE,
    RSCRIPT_SETTLE,
    RSCRIPT_SHEETS_PUT,
    RSCRIPT_TRIM,
    RSCRIPT_COUNT
};

struct rscript_text {
    const char *name;
    const char *text;
    size_t len;
    const char *sha1; /* 40 hex digits: what EVALSHA wants */
};
extern const struct rscript_text rscripts[RSCRIPT_COUNT];

#endif

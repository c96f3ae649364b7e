/* month.h - the builds of a simulated month, and their luck: the same for whoever retries them. */
#ifndef RB_TESTS_ENGINE_MONTH_H
#define RB_TESTS_ENGINE_MONTH_H

#include <stdbool.h>
#include <stdint.h>

#include "ledger/desk.h"

#define PROJECTS 200
#define BUILDS 100000
#define DAYS 30
#define MINUTE_MS 60000LL

enum kind { GOOD, FLAKE, BROKEN, ALWAYS, INCIDENT };

struct run {
    unsigned project;
    enum kind kind;
    int64_t failed_ms, duration_ms;
    const char *phase, *message;
    int exit_code;
};
extern struct run runs[BUILDS];

uint64_t mix(uint64_t x);
/* luck - in [0, 1), by build and what it is about. */
double luck(unsigned build, unsigned what);
int incident_at(int64_t ms); /* -1 = none */
/* succeeds - the attempt that ends now. */
bool succeeds(const struct run *r, unsigned build, unsigned attempt, int64_t now_ms);
void make_run(unsigned i);

#endif

/* month.c - a month of builds: flakes, broken code, a project that fails always, two incidents. */
#include "month.h"

#include <retrybuild/cleanup.h>

#define START_MS INT64_C(1793000000000)
#define BROKEN_FOR_EVER (PROJECTS - 1)
#define SEED UINT64_C(20261103)

static const struct {
    int64_t from_ms, to_ms;
    const char *phase, *message;
} incidents[] = {
    {START_MS + 6 * RB_DAY_MS, START_MS + 6 * RB_DAY_MS + 3 * RB_HOUR_MS, "PROVISIONING",
     "no capacity"},
    {START_MS + 19 * RB_DAY_MS, START_MS + 19 * RB_DAY_MS + 2 * RB_HOUR_MS, "DOWNLOAD_SOURCE",
     "dial tcp: i/o timeout"},
};

struct run runs[BUILDS];

/* ---- luck: the same for both, by build and attempt ---- */

uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

double luck(unsigned build, unsigned what)
{
    return (double)(mix(SEED ^ mix((uint64_t)build << 8 | what)) >> 11) / (double)(1ULL << 53);
}

int incident_at(int64_t ms)
{
    for (unsigned i = 0; i < RB_ARRAY_LEN(incidents); i++) {
        if (ms >= incidents[i].from_ms && ms < incidents[i].to_ms) {
            return (int)i;
        }
    }
    return -1;
}

bool succeeds(const struct run *r, unsigned build, unsigned attempt, int64_t now_ms)
{
    switch (r->kind) {
    case FLAKE:
        return luck(build, 16 + attempt) < 0.9;
    case INCIDENT:
        return incident_at(now_ms) < 0 || luck(build, 16 + attempt) < 0.05;
    case GOOD:
    case BROKEN:
    case ALWAYS:
        break;
    }
    return false;
}

/* ---- the builds of the month ---- */

void make_run(unsigned i)
{
    static const struct {
        const char *phase, *message;
    } flakes[] = {
        {"PROVISIONING", "BUILD_CONTAINER_UNABLE_TO_PULL_IMAGE: toomanyrequests"},
        {"DOWNLOAD_SOURCE", "Get https://github.com: connection reset by peer"},
        {"INSTALL", "npm ERR! code ECONNRESET"},
        {"BUILD", "pull failed: received unexpected HTTP status: 503 Service Unavailable"},
    };
    struct run *r = &runs[i];
    int64_t at_ms = START_MS + (int64_t)i * (DAYS * RB_DAY_MS / BUILDS);
    r->project = (unsigned)(luck(i, 0) * luck(i, 1) * (PROJECTS - 1)); /* some are busy */
    if (i % 250 == 0) {
        r->project = BROKEN_FOR_EVER;
    }
    r->duration_ms = (int64_t)((2.0 + 18.0 * luck(r->project, 2)) * (double)MINUTE_MS);
    r->failed_ms = at_ms;
    r->exit_code = -1;
    int incident = incident_at(at_ms);
    if (r->project == BROKEN_FOR_EVER) {
        r->kind = ALWAYS;
        r->phase = "PROVISIONING";
        r->message = "the subnet has no way out";
    } else if (incident >= 0 && luck(i, 3) < 0.9) {
        r->kind = INCIDENT;
        r->phase = incidents[incident].phase;
        r->message = incidents[incident].message;
    } else if (luck(i, 4) < 0.12) {
        r->kind = BROKEN;
        r->phase = "BUILD";
        r->exit_code = 1;
        r->message = "Error while executing command: make test. Reason: exit status 1";
    } else if (luck(i, 5) < 0.03) {
        unsigned which = (unsigned)(luck(i, 6) * (double)RB_ARRAY_LEN(flakes));
        r->kind = FLAKE;
        r->phase = flakes[which].phase;
        r->message = flakes[which].message;
    } else {
        r->kind = GOOD;
    }
}

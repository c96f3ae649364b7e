/* incident.c - several projects failing in one phase within minutes: all automatic retries wait,
 * one goes to see.
 *
 * Only failures that the policy would retry are noted: broken code in five projects at once is no
 * incident. A hold ends when a probe recovers, or by itself when nothing bad was seen for its
 * length and no probe is out. */
#include <stdio.h>
#include <string.h>

#include "ledger.h"

#define LOOK_MIN_MS 250
#define LOOK_MAX_MS 15000
#define PROBES_A_HOLD 3
#define PROBE_LOST_MS (2 * RB_HOUR_MS)

static struct rb_incident_row *row_of(struct rb_incident_sheet *x, const char *phase)
{
    for (unsigned i = 0; i < x->n; i++) {
        if (strcmp(x->rows[i].phase, phase) == 0) {
            return &x->rows[i];
        }
    }
    if (x->n == RB_INCIDENT_PHASES) {
        return NULL; /* there are eleven phases */
    }
    struct rb_incident_row *row = &x->rows[x->n++];
    *row = (struct rb_incident_row){.n = 0};
    (void)snprintf(row->phase, sizeof(row->phase), "%s", phase);
    return row;
}

static void see(struct rb_incident_row *row, uint64_t project, int64_t at_ms, int64_t window_ms,
                int64_t now_ms)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < row->n; i++) {
        if (row->seen[i].at_ms > now_ms - window_ms && row->seen[i].project != project) {
            row->seen[kept++] = row->seen[i];
        }
    }
    row->n = kept;
    if (at_ms <= now_ms - window_ms) {
        return;
    }
    if (row->n == RB_INCIDENT_PROJECTS) {
        memmove(row->seen, row->seen + 1, (RB_INCIDENT_PROJECTS - 1) * sizeof(row->seen[0]));
        row->n--;
    }
    row->seen[row->n].project = project;
    row->seen[row->n].at_ms = at_ms;
    row->n++;
}

static bool is_on(const struct rb_settings *s, const struct rb_incident_row *row, int64_t now_ms)
{
    bool probe = row->probe.id[0] != '\0' && now_ms < row->probe.at_ms + PROBE_LOST_MS;
    return s->incident.projects > 0 && row->since_ms > 0 && (now_ms < row->until_ms || probe);
}

bool rb_incident_note(const struct rb_settings *s, struct rb_incident_sheet *x, const char *phase,
                      uint64_t project, int64_t at_ms, int64_t now_ms)
{
    struct rb_incident_row *row =
        phase == NULL || s->incident.projects <= 0 || strlen(phase) >= RB_WORD_BYTES
            ? NULL
            : row_of(x, phase);
    if (row == NULL) {
        return false;
    }
    see(row, project, at_ms, s->incident.window_ms, now_ms);
    if ((int64_t)row->n < s->incident.projects) {
        return false;
    }
    bool begins = !is_on(s, row, now_ms);
    if (begins) {
        row->since_ms = now_ms;
        row->next_probe_ms = now_ms;
        row->probe = (struct rb_probe){.id = ""};
    }
    row->until_ms = now_ms + s->incident.hold_ms;
    return begins;
}

const struct rb_incident_row *rb_incident_active(const struct rb_settings *s,
                                                 const struct rb_incident_sheet *x, int64_t now_ms)
{
    for (unsigned i = 0; i < x->n; i++) {
        if (is_on(s, &x->rows[i], now_ms)) {
            return &x->rows[i];
        }
    }
    return NULL;
}

struct rb_wait rb_incident_judge(const struct rb_settings *s, const struct rb_incident_row *row,
                                 const char *retry_id, int64_t now_ms)
{
    int64_t look_ms = s->incident.hold_ms / 20;
    look_ms = look_ms < LOOK_MIN_MS ? LOOK_MIN_MS : look_ms;
    look_ms = look_ms > LOOK_MAX_MS ? LOOK_MAX_MS : look_ms;
    bool mine = strcmp(row->probe.id, retry_id) == 0;
    bool out = row->probe.id[0] != '\0' && now_ms < row->probe.at_ms + PROBE_LOST_MS;
    return (struct rb_wait){.waits = !mine && (out || now_ms < row->next_probe_ms), .ms = look_ms};
}

void rb_incident_pass(struct rb_incident_sheet *x, const struct rb_incident_row *row,
                      const char *retry_id, int64_t now_ms)
{
    struct rb_incident_row *own = row_of(x, row->phase);
    (void)snprintf(own->probe.id, sizeof(own->probe.id), "%s", retry_id);
    own->probe.at_ms = now_ms;
}

static void end_hold(struct rb_incident_row *row)
{
    row->since_ms = 0;
    row->until_ms = 0;
    row->n = 0;
    row->probe = (struct rb_probe){.id = ""};
}

bool rb_incident_outcome(const struct rb_settings *s, struct rb_incident_sheet *x,
                         const char *retry_id, enum rb_ending outcome, int64_t now_ms)
{
    for (unsigned i = 0; i < x->n; i++) {
        struct rb_incident_row *row = &x->rows[i];
        if (row->probe.id[0] == '\0' || strcmp(row->probe.id, retry_id) != 0) {
            continue;
        }
        row->probe = (struct rb_probe){.id = ""};
        if (outcome == RB_ENDING_RECOVERED) {
            end_hold(row);
        } else if (outcome == RB_ENDING_FAILED) {
            row->until_ms = now_ms + s->incident.hold_ms;
            row->next_probe_ms = now_ms + s->incident.hold_ms / PROBES_A_HOLD;
        }
        return true;
    }
    return false;
}

unsigned rb_incident_release(const struct rb_settings *s, struct rb_incident_sheet *x,
                             int64_t now_ms)
{
    unsigned n = 0;
    for (unsigned i = 0; i < x->n; i++) {
        n += is_on(s, &x->rows[i], now_ms) ? 1 : 0;
        end_hold(&x->rows[i]);
    }
    return n;
}

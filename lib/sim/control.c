/* control.c - /_sim/: the ledger to read, faults, clock and reset to steer by. Open to whoever
 * reaches the port: this is a tool for tests on one's own machine. */
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>
#include <retrybuild/str.h>
#include <retrybuild/timefmt.h>

#include "http.h"
#include "sender.h"

static void bad(struct sim_reply *reply, const char *what)
{
    sim_reply_json(reply, 400, json_pack("{s:s}", "message", what));
}

static void get_ledger(struct rb_sim *sim, json_t *in, struct sim_reply *reply)
{
    (void)in;
    pthread_mutex_lock(&sim->lock);
    sim_tick_locked(sim, sim_now_locked(sim));
    json_t *effects = json_copy(sim->effects);
    pthread_mutex_unlock(&sim->lock);
    sim_reply_json(reply, 200, json_pack("{s:o}", "effects", effects));
}

static void post_faults(struct rb_sim *sim, json_t *in, struct sim_reply *reply)
{
    json_t *rows = json_object_get(in, "faults");
    if (!json_is_array(rows)) {
        bad(reply, "faults: must be a list");
        return;
    }
    struct rb_err err;
    pthread_mutex_lock(&sim->lock);
    enum rb_code rc = sim_faults_set(sim, rows, &err);
    size_t n = sim->n_faults;
    pthread_mutex_unlock(&sim->lock);
    if (rc != RB_OK) {
        bad(reply, err.msg);
        return;
    }
    sim_reply_json(reply, 200, json_pack("{s:I}", "faults", (json_int_t)n));
}

static void reply_clock(struct rb_sim *sim, struct sim_reply *reply)
{
    char now[RB_TIME_ISO_BYTES];
    rb_time_iso(rb_sim_now_ms(sim), now);
    sim_reply_json(reply, 200, json_pack("{s:s}", "now", now));
}

static void get_clock(struct rb_sim *sim, json_t *in, struct sim_reply *reply)
{
    (void)in;
    reply_clock(sim, reply);
}

static void post_clock(struct rb_sim *sim, json_t *in, struct sim_reply *reply)
{
    const char *advance = json_string_value(json_object_get(in, "advance"));
    int64_t ms = 0;
    if (advance == NULL || !sim_parse_span(advance, &ms)) {
        bad(reply, "advance: must be a duration like 6m");
        return;
    }
    rb_sim_advance(sim, ms);
    reply_clock(sim, reply);
}

static void post_reset(struct rb_sim *sim, json_t *in, struct sim_reply *reply)
{
    (void)in;
    struct rb_err err;
    /* the file first: what was in memory is written before it is forgotten */
    enum rb_code rc = sim_ledger_sync(sim, &err);
    pthread_mutex_lock(&sim->ledger_lock);
    pthread_mutex_lock(&sim->lock);
    if (rc == RB_OK) {
        sim_state_release(sim);
        rc = sim_state_init(sim, &err);
        sim->ledger_written = 0;
    }
    pthread_mutex_unlock(&sim->lock);
    pthread_mutex_unlock(&sim->ledger_lock);
    if (rc != RB_OK) {
        sim_reply_json(reply, 500, json_pack("{s:s}", "message", err.msg));
        return;
    }
    if (sim->sender != NULL) {
        sim_sender_clear(sim->sender);
    }
    sim_reply_json(reply, 200, json_object());
}

static const struct {
    const char *method, *path;
    void (*handler)(struct rb_sim *sim, json_t *in, struct sim_reply *reply);
} routes[] = {
    {"GET", "/_sim/clock", get_clock},   {"GET", "/_sim/ledger", get_ledger},
    {"POST", "/_sim/clock", post_clock}, {"POST", "/_sim/faults", post_faults},
    {"POST", "/_sim/reset", post_reset},
};

void sim_control(struct rb_sim *sim, const struct sim_request *r, struct sim_reply *reply)
{
    RB_CLEANUP(rb_json_decrefp) json_t *in = NULL;
    struct rb_err err;
    for (size_t i = 0; i < RB_ARRAY_LEN(routes); i++) {
        if (strcmp(routes[i].path, r->path) != 0 || strcmp(routes[i].method, r->method) != 0) {
            continue;
        }
        if (r->body_len > 0 && rb_json_load(r->body, r->body_len, &in, &err) != RB_OK) {
            bad(reply, err.msg);
            return;
        }
        routes[i].handler(sim, in, reply);
        return;
    }
    sim_reply_json(reply, 404, json_pack("{s:s}", "message", "no such control"));
}

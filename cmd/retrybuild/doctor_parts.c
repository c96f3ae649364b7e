/* doctor_parts.c - the store, the sources and the destinations. */
#include <stdio.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/clock.h>
#include <retrybuild/destination.h>
#include <retrybuild/httpc.h>
#include <retrybuild/store.h>

#include "doctor.h"

#define ARENA_MAX_BYTES ((size_t)1024 * 1024)
#define DAY_MS (24 * 3600 * INT64_C(1000))
#define NEAR_MS (14 * DAY_MS)

/* ---- the store ---- */

static const char *store_advice(enum rb_code rc)
{
    switch ((int)rc) {
    case RB_E_INVALID:
        return "correct store.url, or run the version that wrote it";
    case RB_E_CORRUPT:
        return "put a backup back, or move the file away: `serve` then begins with an empty one "
               "and "
               "finds failures by its sweep";
    case RB_E_IO:
        return "give the service's user the right to write there";
    default:
        return "see that the server runs and that store.url, password and TLS are right";
    }
}

static void store_facts(json_t *row, const struct rb_store_health *h)
{
    rb_doctor_fact(row, "kind", h->kind);
    rb_doctor_fact(row, "place", h->place);
    rb_doctor_fact(row, "version", h->version);
    rb_doctor_fact(row, "maxmemory_policy", h->policy);
    rb_doctor_time(row, "epoch", h->birth_ms);
    if (row == NULL) {
        return;
    }
    (void)json_object_set_new(row, "held", json_boolean(h->held));
    (void)json_object_set_new(row, "replicas",
                              h->replicas < 0 ? json_null() : json_integer(h->replicas));
    (void)json_object_set_new(row, "round_trip_ms",
                              h->round_trip_us < 0 ? json_null()
                                                   : json_real((double)h->round_trip_us / 1000.0));
}

static void redis_rows(struct rb_doctor *d, const struct rb_store_health *h)
{
    (void)rb_doctor_add(d, h->policy == NULL ? RB_NOTICE : RB_FINE, "store", "maxmemory-policy",
                        "%s", h->policy == NULL ? "the server does not tell" : h->policy);
    (void)rb_doctor_add(d, RB_FINE, "store", "replicas", "%lld attached%s", (long long)h->replicas,
                        h->replicas > 0 ? ": writes wait for one of them" : "");
    (void)rb_doctor_add(d, RB_FINE, "store", "round trip", "%.2f ms",
                        (double)h->round_trip_us / 1000.0);
}

void rb_doctor_store(struct rb_doctor *d, struct rb_settings *s)
{
    RB_CLEANUP(rb_arena_release) struct rb_arena a;
    struct rb_store_health h;
    struct rb_err err = {.code = RB_OK};
    json_t *row = NULL;

    rb_arena_init(&a, ARENA_MAX_BYTES);
    enum rb_code rc = rb_store_examine(rb_cli_backends, s, rb_clock_system(), &a, &h, &err);
    const char *name = h.kind == NULL ? "store.url" : h.kind;
    if (rc != RB_OK) {
        row = rb_doctor_add(d, RB_ATTENTION, "store", name, "%s%s%s",
                            h.place == NULL ? "" : h.place, h.place == NULL ? "" : ": ", err.msg);
        rb_doctor_advise(row, "%s", store_advice(rc));
    } else if (h.held) {
        row = rb_doctor_add(d, RB_FINE, "store", name,
                            "%s: held by a running service, so it is not looked into", h.place);
    } else if (h.absent) {
        row = rb_doctor_add(d, RB_FINE, "store", name, "%s: not there yet, `serve` makes it",
                            h.place);
    } else {
        row = rb_doctor_add(d, h.notice == NULL ? RB_FINE : RB_NOTICE, "store", name, "%s: %s%s%s",
                            h.place, h.version == NULL ? "its version is not told" : h.version,
                            h.notice == NULL ? "" : "; ", h.notice == NULL ? "" : h.notice);
    }
    store_facts(row, &h);
    if (rc != RB_OK || h.held || h.absent) {
        return;
    }
    if (h.round_trip_us >= 0) {
        redis_rows(d, &h);
    }
    row = rb_doctor_add(d, RB_FINE, "store", "epoch", "%s",
                        h.birth_ms == 0 ? "none yet: no service has used it"
                                        : "its memory begins at the time of `epoch`");
    rb_doctor_time(row, "epoch", h.birth_ms);
}

/* ---- sources ---- */

/* Secrets of which any one will do. */
struct keys {
    unsigned n, past, ending; /* ending: good now, and past within NEAR_MS */
    int64_t first_end_ms;     /* of those that are good; 0 = none of them ends */
};

static struct keys count_keys(const struct rb_secrets *all, int64_t now_ms)
{
    struct keys k = {.n = all->n};

    for (unsigned i = 0; i < all->n; i++) {
        int64_t end_ms = all->items[i].not_after_ms;
        if (end_ms == 0) {
            continue;
        }
        if (end_ms < now_ms) {
            k.past++;
            continue;
        }
        k.ending += end_ms - now_ms < NEAR_MS ? 1 : 0;
        if (k.first_end_ms == 0 || end_ms < k.first_end_ms) {
            k.first_end_ms = end_ms;
        }
    }
    return k;
}

static bool all_past(const struct keys *k)
{
    return k->n > 0 && k->past == k->n;
}

static bool soon_none(const struct keys *k)
{
    return k->n > 0 && k->past + k->ending == k->n;
}

static void look_at_source(struct rb_doctor *d, const struct rb_source_setting *s, int64_t now_ms)
{
    /* Where there are both, both must fit: the worse of the two counts. */
    struct keys k = count_keys(&s->secrets, now_ms);
    const struct keys signing = count_keys(&s->signing_secrets, now_ms);
    bool none = all_past(&k) || all_past(&signing);
    bool soon = soon_none(&k) || soon_none(&signing);

    k.n += signing.n;
    k.past += signing.past;
    k.ending += signing.ending;
    if (signing.first_end_ms != 0 &&
        (k.first_end_ms == 0 || signing.first_end_ms < k.first_end_ms)) {
        k.first_end_ms = signing.first_end_ms;
    }
    json_t *row = rb_doctor_add(
        d,
        soon           ? RB_ATTENTION
        : k.ending > 0 ? RB_NOTICE
                       : RB_FINE,
        "sources", s->name, "%s, %u secret%s%s%s", s->type, k.n, k.n == 1 ? "" : "s",
        none           ? ", each past its not_after: every delivery is refused"
        : soon         ? ", the last of which ends within 14 days"
        : k.ending > 0 ? ", one of which ends within 14 days"
                       : "",
        !none && k.past > 0 ? "; some are past their not_after and can be taken out" : "");
    if (none) {
        rb_doctor_advise(row, "add a secret that is still good, there and at the sender");
    } else if (soon) {
        rb_doctor_advise(row, "add the next secret here first, then change it at the sender");
    }
    rb_doctor_fact(row, "type", s->type);
    rb_doctor_time(row, "next_not_after", k.first_end_ms);
    if (row != NULL) {
        (void)json_object_set_new(row, "secrets", json_integer(k.n));
        (void)json_object_set_new(row, "past", json_integer(k.past));
    }
}

void rb_doctor_sources(struct rb_doctor *d, const struct rb_settings *s)
{
    int64_t now_ms = rb_now_ms(rb_clock_system());

    for (unsigned i = 0; i < s->n_sources; i++) {
        look_at_source(d, &s->sources[i], now_ms);
    }
    if (s->n_sources == 0) {
        (void)rb_doctor_add(d, RB_NOTICE, "sources", "none",
                            "failures come by the API, the front door and the sweep only");
    }
}

/* ---- destinations ---- */

/* Where a report would go: as configured, else as one is rendered that is not sent. */
static enum rb_code where(const struct rb_destination_setting *dest, struct rb_arena *a,
                          const char **ret_url, struct rb_err *err)
{
    int64_t now_ms = rb_now_ms(rb_clock_system());
    const struct rb_destination_type *type = rb_destination_type_find(dest->type);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *test = rb_doctor_test_retry(now_ms);
    struct rb_rendered r = {.url = NULL};

    const struct rb_secret *url = dest->url;
    if (url != NULL || dest->api.url != NULL) {
        *ret_url = url != NULL ? rb_secret_data(url) : dest->api.url;
        return RB_OK;
    }
    if (test == NULL || type == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a report");
    }
    const struct rb_report_view view = {
        .retry = test, .stage = RB_STAGE_FINISHED, .message_id = "msg_test", .now_ms = now_ms};
    enum rb_code rc = type->render(dest, &view, a, &r, err);
    *ret_url = r.url;
    return rc;
}

static void look_at_destination(struct rb_doctor *d, const struct rb_settings *s,
                                const struct rb_destination_setting *dest)
{
    RB_CLEANUP(rb_arena_release) struct rb_arena a;
    struct rb_err err = {.code = RB_OK};
    const char *url = NULL, *host = NULL;
    json_t *row = NULL;

    rb_arena_init(&a, ARENA_MAX_BYTES);
    enum rb_code rc = where(dest, &a, &url, &err);
    if (rc != RB_OK) { /* a made-up report need not fit; what a real one lacks is told then */
        row = rb_doctor_add(d, RB_NOTICE, "destinations", dest->name,
                            "%s: no test report can be made for it: %s", dest->type, err.msg);
        rb_doctor_fact(row, "type", dest->type);
        return;
    }
    if (url != NULL) {
        rc = rb_httpc_judge(s, url, &a, &host, &err);
    }
    if (rc == RB_OK) {
        row = rb_doctor_add(d, RB_FINE, "destinations", dest->name, "%s to %s", dest->type,
                            host == NULL ? "a place that depends on the report" : host);
    } else {
        row = rb_doctor_add(d, RB_ATTENTION, "destinations", dest->name, "%s%s%s: %s", dest->type,
                            host == NULL ? "" : " to ", host == NULL ? "" : host, err.msg);
        rb_doctor_advise(row, "%s",
                         rc == RB_E_BLOCKED
                             ? "add the address to network.allow if reports may go there"
                             : "correct it in the configuration, or the name in DNS");
    }
    rb_doctor_fact(row, "type", dest->type);
    rb_doctor_fact(row, "host", host);
    if (row != NULL) {
        (void)json_object_set_new(row, "refused", json_boolean(rc == RB_E_BLOCKED));
    }
}

void rb_doctor_destinations(struct rb_doctor *d, const struct rb_settings *s)
{
    for (unsigned i = 0; i < s->n_destinations; i++) {
        look_at_destination(d, s, &s->destinations[i]);
    }
    if (s->n_destinations == 0) {
        (void)rb_doctor_add(d, RB_NOTICE, "destinations", "none",
                            "nobody is told what became of a retry");
    }
}

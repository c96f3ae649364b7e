/* sim.c - start and stop: the script first, then state, ledger, sender, ticker, and the socket
 * last, so that the first request finds everything there. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <curl/curl.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/str.h>
#include <retrybuild/thread.h>

#include "identity.h"
#include "sender.h"

#define MAX_TICK_WAIT_MS 60000

/* Ends phases at their time when nobody calls, for the sake of the events. */
static void *tick(void *arg)
{
    struct rb_sim *sim = arg;
    pthread_mutex_lock(&sim->lock);
    while (!sim->stopping) {
        int64_t now_ms = sim_now_locked(sim);
        size_t effects = json_array_size(sim->effects);
        sim_tick_locked(sim, now_ms);
        if (json_array_size(sim->effects) > effects) { /* an auto-retry */
            pthread_mutex_unlock(&sim->lock);
            sim_ledger_sync(sim, NULL);
            pthread_mutex_lock(&sim->lock);
            continue;
        }
        int64_t due_ms = sim_next_due_locked(sim);
        int64_t wait_ms = due_ms < 0 ? -1 : due_ms - now_ms;
        if (wait_ms != 0) {
            wait_ms = wait_ms > MAX_TICK_WAIT_MS ? MAX_TICK_WAIT_MS : wait_ms;
            rb_cond_wait_ms(&sim->changed, &sim->lock, wait_ms);
        }
    }
    pthread_mutex_unlock(&sim->lock);
    return NULL;
}

static enum rb_code add_keys(struct rb_sim *sim, const struct rb_sim_options *o, struct rb_err *err)
{
    sim->keys = calloc(o->n_access_keys + 1, sizeof *sim->keys);
    for (size_t i = 0; sim->keys != NULL && i < o->n_access_keys; i++) {
        const char *colon = strchr(o->access_keys[i], ':');
        if (colon == NULL || colon == o->access_keys[i] || colon[1] == '\0') {
            return rb_err_set(err, RB_E_INVALID, "an access key must look like ID:SECRET");
        }
        struct sim_key *k = &sim->keys[sim->n_keys++];
        k->id = strndup(o->access_keys[i], (size_t)(colon - o->access_keys[i]));
        k->secret = rb_secret_new(colon + 1, strlen(colon + 1));
        if (k->id == NULL || k->secret == NULL) {
            return rb_err_set(err, RB_E_NOMEM, "no memory for an access key");
        }
    }
    return RB_OK;
}

static enum rb_code set_options(struct rb_sim *sim, const struct rb_sim_options *o,
                                struct rb_err *err)
{
    if (strlen(o->account) != 12 || strspn(o->account, "0123456789") != 12) {
        return rb_err_set(err, RB_E_INVALID, "account: must have 12 digits");
    }
    if (rb_str_empty(o->region) ||
        strspn(o->region, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(o->region)) {
        return rb_err_set(err, RB_E_INVALID, "region: must look like us-east-1");
    }
    if (!(o->speed > 0 && o->speed <= 1e6)) {
        return rb_err_set(err, RB_E_INVALID, "speed: must be above 0 and at most 1000000");
    }
    sim->clock = o->clock == NULL ? rb_clock_system() : o->clock;
    sim->speed = o->speed;
    sim->has_seed = o->has_seed;
    sim->seed = o->seed;
    sim->partition = rb_str_starts(o->region, "cn-")       ? "aws-cn"
                     : rb_str_starts(o->region, "us-gov-") ? "aws-us-gov"
                     : rb_str_starts(o->region, "eusc-")   ? "aws-eusc"
                                                           : "aws";
    sim->region = strdup(o->region);
    sim->account = strdup(o->account);
    if (sim->region == NULL || sim->account == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the simulator");
    }
    return add_keys(sim, o, err);
}

static enum rb_code start(struct rb_sim *sim, const struct rb_sim_options *o, struct rb_err *err)
{
    enum rb_code rc = set_options(sim, o, err);
    if (rc == RB_OK) {
        rc = sim_script_load(o->script_path, o->script_text, &sim->script, err);
    }
    if (rc == RB_OK) {
        rc = sim_state_init(sim, err);
    }
    if (rc == RB_OK && o->ledger_path != NULL) {
        rc = sim_ledger_open(sim, o->ledger_path, err);
    }
    if (rc == RB_OK && o->n_events > 0) {
        rc = sim_sender_start(o->events, o->n_events, &sim->script->events, &sim->sender, err);
    }
    if (rc == RB_OK) {
        rc = rb_thread_start(&sim->ticker, "sim-ticker", tick, sim, err);
        sim->has_ticker = rc == RB_OK;
    }
    return rc == RB_OK ? sim_server_start(sim, o->listen, err) : rc;
}

enum rb_code rb_sim_start(const struct rb_sim_options *options, struct rb_sim **ret_sim,
                          struct rb_err *err)
{
    struct rb_sim *sim = calloc(1, sizeof *sim);
    if (sim == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the simulator");
    }
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(sim);
        return rb_err_set(err, RB_E_NOMEM, "libcurl does not start");
    }
    sim->ledger_fd = -1;
    sim_identity_init(&sim->identity);
    pthread_mutex_init(&sim->lock, NULL);
    pthread_mutex_init(&sim->ledger_lock, NULL);
    rb_cond_init(&sim->changed);
    enum rb_code rc = start(sim, options, err);
    if (rc != RB_OK) {
        rb_sim_stop(sim);
        return rc;
    }
    *ret_sim = sim;
    return RB_OK;
}

void rb_sim_stop(struct rb_sim *sim)
{
    if (sim == NULL) {
        return;
    }
    pthread_mutex_lock(&sim->lock);
    sim->stopping = true; /* ends the waits of faults and the ticker */
    pthread_cond_broadcast(&sim->changed);
    pthread_mutex_unlock(&sim->lock);
    sim_server_stop(sim);
    if (sim->has_ticker) {
        pthread_join(sim->ticker, NULL);
    }
    sim_sender_stop(sim->sender);
    sim_state_release(sim);
    sim_script_free(sim->script);
    for (size_t i = 0; i < sim->n_keys; i++) {
        free(sim->keys[i].id);
        rb_secret_free(sim->keys[i].secret);
    }
    free(sim->keys);
    sim_identity_release(&sim->identity);
    if (sim->ledger_fd >= 0) {
        close(sim->ledger_fd);
    }
    pthread_cond_destroy(&sim->changed);
    pthread_mutex_destroy(&sim->ledger_lock);
    pthread_mutex_destroy(&sim->lock);
    free(sim->region);
    free(sim->account);
    free(sim->url);
    free(sim);
    curl_global_cleanup();
}

void rb_sim_stopp(struct rb_sim **sim)
{
    rb_sim_stop(*sim);
}

uint16_t rb_sim_port(const struct rb_sim *sim)
{
    return sim->port;
}

const char *rb_sim_url(const struct rb_sim *sim)
{
    return sim->url;
}

void rb_sim_advance(struct rb_sim *sim, int64_t ms)
{
    pthread_mutex_lock(&sim->lock);
    sim->advance_ms += ms;
    sim_tick_locked(sim, sim_now_locked(sim));
    pthread_cond_broadcast(&sim->changed);
    pthread_mutex_unlock(&sim->lock);
}

int64_t rb_sim_now_ms(struct rb_sim *sim)
{
    pthread_mutex_lock(&sim->lock);
    int64_t now_ms = sim_now_locked(sim);
    pthread_mutex_unlock(&sim->lock);
    return now_ms;
}

size_t rb_sim_effects(struct rb_sim *sim, const char *operation, const char *parent)
{
    size_t n = 0;
    size_t i;
    json_t *one;
    pthread_mutex_lock(&sim->lock);
    json_array_foreach(sim->effects, i, one)
    {
        const char *o = json_string_value(json_object_get(one, "operation"));
        const char *p = json_string_value(json_object_get(one, "parent"));
        n += (operation == NULL || rb_str_eq(operation, o)) &&
                     (parent == NULL || rb_str_eq(parent, p))
                 ? 1
                 : 0;
    }
    pthread_mutex_unlock(&sim->lock);
    return n;
}

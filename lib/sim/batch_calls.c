/* batch_calls.c - the operations of batch builds. */
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/str.h>

#include "batch.h"
#include "page.h"

/* The reply, the token, the ledger: once it has happened. */
static void answer(struct sim_call *c, const struct sim_batch *b)
{
    sim_token_keep(c, b->id);
    sim_ledger_row(c->sim, b->id, NULL, c->operation,
                   json_string_value(json_object_get(c->in, "idempotencyToken")), c->access_key,
                   c->now_ms);
    c->out = json_pack("{s:o}", "buildBatch", sim_batch_json(c->sim, b));
}

void sim_start_build_batch(struct sim_call *c)
{
    const char *name = json_string_value(json_object_get(c->in, "projectName"));
    if (sim_token_replay(c)) {
        return;
    }
    struct sim_project *p = sim_project_find(c->sim, name);
    if (p == NULL) {
        sim_missing_project(c, name);
        return;
    }
    const struct sim_batch *b =
        sim_batch_start(c->sim, p, c->in, sim_initiator(c->sim, c->access_key), c->now_ms);
    if (b == NULL) {
        sim_fail(c, "InternalFailure", "out of memory");
        return;
    }
    answer(c, b);
}

/* The batch that the call's id names, or NULL with its error set. */
static struct sim_batch *named(struct sim_call *c)
{
    const char *id = json_string_value(json_object_get(c->in, "id"));
    id = id == NULL ? NULL : sim_id_of(id, ":build-batch/");
    if (id == NULL || strchr(id, ':') == NULL) {
        sim_fail(c, "InvalidInputException", "Invalid build batch ID provided");
        return NULL;
    }
    struct sim_batch *b = sim_batch_find(c->sim, id);
    if (b == NULL) {
        sim_fail(c, "ResourceNotFoundException", "Build batch %s does not exist", id);
    }
    return b;
}

void sim_retry_build_batch(struct sim_call *c)
{
    if (json_is_string(json_object_get(c->in, "id")) && sim_token_replay(c)) {
        return;
    }
    struct sim_batch *b = named(c);
    if (b == NULL) {
        return;
    }
    if (b->project->deleted) {
        sim_missing_project(c, b->project->name);
        return;
    }
    bool good = strcmp(b->status, "SUCCEEDED") == 0;
    if (!b->complete || (good && !c->sim->script->retry_succeeded_batch)) {
        sim_fail(c, "InvalidInputException", "Build batch %s cannot be retried: its status is %s",
                 b->id, b->status);
        return;
    }
    const char *type = json_string_value(json_object_get(c->in, "retryType"));
    bool all = !rb_str_eq(type, "RETRY_FAILED_BUILDS");
    if (c->sim->script->retry_new_batch) {
        b = sim_batch_anew(c->sim, b, all, sim_initiator(c->sim, c->access_key), c->now_ms);
    } else if (!sim_batch_again(c->sim, b, all, c->now_ms)) {
        b = NULL;
    }
    if (b == NULL) {
        sim_fail(c, "InternalFailure", "out of memory");
        return;
    }
    answer(c, b);
}

void sim_stop_build_batch(struct sim_call *c)
{
    struct sim_batch *b = named(c);
    if (b == NULL) {
        return;
    }
    if (!b->complete) {
        sim_batch_stop(c->sim, b, c->now_ms);
        sim_ledger_row(c->sim, b->id, NULL, c->operation, NULL, c->access_key, c->now_ms);
    }
    c->out = json_pack("{s:o}", "buildBatch", sim_batch_json(c->sim, b));
}

void sim_batch_get_build_batches(struct sim_call *c)
{
    json_t *found = json_array();
    json_t *missing = json_array();
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(c->in, "ids"), i, one)
    {
        const char *id = sim_id_of(json_string_value(one), ":build-batch/");
        const struct sim_batch *b = sim_batch_find(c->sim, id);
        if (b != NULL) {
            json_array_append_new(found, sim_batch_json(c->sim, b));
        } else {
            json_array_append(missing, one);
        }
    }
    c->out = json_pack("{s:o, s:o}", "buildBatches", found, "buildBatchesNotFound", missing);
}

/* Newest first unless asked otherwise. @p NULL: of all projects. */
static void list(struct sim_call *c, const struct sim_project *p)
{
    struct rb_sim *sim = c->sim;
    json_t *filter = json_object_get(c->in, "filter");
    const char *status = json_string_value(json_object_get(filter, "status"));
    struct sim_page page;
    RB_CLEANUP(rb_buf_release) struct rb_buf key = RB_BUF_INIT(SIM_CURSOR_BYTES - 2);
    rb_buf_addf(&key, "batches %s %s", p == NULL ? "*" : p->name, status == NULL ? "" : status);
    if (!sim_page_open(c, rb_buf_str(&key), true, &page)) {
        return;
    }
    for (size_t i = 0; i < sim->n_batches; i++) {
        const struct sim_batch *b = sim->batches[page.descending ? sim->n_batches - 1 - i : i];
        bool fits = (p == NULL || b->project == p) && b->visible_ms <= c->now_ms &&
                    sim_batch_find(sim, b->id) != NULL;
        bool ended_page = page.skipping && strcmp(b->id, page.after) == 0;
        if (fits && (status == NULL || strcmp(status, b->status) == 0 || ended_page) &&
            !sim_page_add(&page, b->id)) {
            break;
        }
    }
    sim_page_close(c, &page, "ids");
}

void sim_list_build_batches(struct sim_call *c)
{
    list(c, NULL);
}

void sim_list_build_batches_for_project(struct sim_call *c)
{
    const char *name = json_string_value(json_object_get(c->in, "projectName"));
    if (name == NULL) {
        sim_fail(c, "InvalidInputException", "Invalid project name: it is required");
        return;
    }
    const struct sim_project *p = sim_project_find(c->sim, name);
    if (p == NULL) {
        sim_fail(c, "ResourceNotFoundException",
                 "The provided project arn:%s:codebuild:%s:%s:project/%s does not exist",
                 c->sim->partition, c->sim->region, c->sim->account, name);
        return;
    }
    list(c, p);
}

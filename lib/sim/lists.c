/* lists.c - reading builds: by id, and in pages. */
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/str.h>

#include "core.h"
#include "page.h"

void sim_batch_get_builds(struct sim_call *c)
{
    json_t *found = json_array();
    json_t *missing = json_array();
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(c->in, "ids"), i, one)
    {
        const char *id = json_string_value(one);
        const struct sim_build *b = sim_build_find(c->sim, sim_id_of(id, ":build/"));
        if (b != NULL) {
            json_array_append_new(found, sim_build_json(c->sim, b));
        } else {
            json_array_append(missing, one);
        }
    }
    c->out = json_pack("{s:o, s:o}", "builds", found, "buildsNotFound", missing);
}

static int by_id(const void *a, const void *b)
{
    const struct sim_build *const *x = a;
    const struct sim_build *const *y = b;
    return strcmp((*x)->id, (*y)->id);
}

/* Both lists show a build only when it has become visible, which the script may delay. */
static void list(struct sim_call *c, struct sim_build *const *builds, size_t n, const char *name)
{
    struct sim_page page;
    if (!sim_page_open(c, name, true, &page)) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const struct sim_build *b = builds[page.descending ? n - 1 - i : i];
        if (b->visible_ms <= c->now_ms && !sim_build_gone(c->sim, b) &&
            !sim_page_add(&page, b->id)) {
            break;
        }
    }
    sim_page_close(c, &page, "ids");
}

void sim_list_builds(struct sim_call *c)
{
    size_t n = c->sim->n_builds;
    RB_CLEANUP(rb_freep) struct sim_build **sorted = calloc(n + 1, sizeof *sorted);
    if (sorted == NULL) {
        sim_fail(c, "InternalFailure", "out of memory");
        return;
    }
    if (n > 0) {
        memcpy(sorted, c->sim->builds, n * sizeof *sorted);
        qsort(sorted, n, sizeof *sorted, by_id);
    }
    list(c, sorted, n, "builds");
}

void sim_list_builds_for_project(struct sim_call *c)
{
    const char *name = json_string_value(json_object_get(c->in, "projectName"));
    const struct sim_project *p = sim_project_find(c->sim, name);
    if (p == NULL) {
        sim_fail(c, "ResourceNotFoundException",
                 "The provided project arn:%s:codebuild:%s:%s:project/%s does not exist",
                 c->sim->partition, c->sim->region, c->sim->account, name);
        return;
    }
    struct rb_buf key = RB_BUF_INIT(SIM_CURSOR_BYTES - 2);
    rb_buf_addf(&key, "project %s", p->name);
    list(c, p->builds, p->n_builds, rb_buf_str(&key));
    rb_buf_release(&key);
}

/* What the tests of budgets, breakers and holds share. */
#include "gate_world.h"

#include <stdio.h>
#include <string.h>

char gate_ids[8][RB_ID_BYTES];

int gate_setup(void **state)
{
    int rc = world_setup(state);
    struct world *w = *state;
    w->limit = 1;
    return rc;
}

struct world_build *gate_fail(struct world *w, const char *project, unsigned at)
{
    static char commits[64][41];
    static unsigned n;
    char key[16];
    char *commit = commits[n++ % 64];
    (void)snprintf(commit, 41, "%040x", n);
    (void)snprintf(key, sizeof(key), "d%u", n);
    struct world_build *b = world_failed(w, project, commit);
    b->b.resolved_version = commit;
    assert_int_equal(world_deliver(w, b, key, gate_ids[at]), RB_ADMIT_NEW);
    return b;
}

void gate_end_child(struct world *w, unsigned at, const char *status)
{
    world_end(w, world_child_of(w, gate_ids[at]), status);
    world_work(w, &w->follow, 20000);
}

void gate_expect_refused(struct world *w, unsigned at, const char *reason)
{
    world_expect(w, gate_ids[at], RB_STATE_REFUSED);
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = world_get(w, gate_ids[at]);
    assert_string_equal(r->decision.reason, reason);
    assert_string_equal(rb_work_last_note(r), reason);
}

void gate_expect_stats(struct world *w, const char *part)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf out = RB_BUF_INIT(1 << 20);
    struct rb_err err = {.code = RB_OK};
    if (rb_engine_stats(w->engine, w->ses, &out, &err) != RB_OK) {
        fail_msg("%s", err.msg);
    }
    if (strstr(rb_buf_str(&out), part) == NULL) {
        fail_msg("no %s in %s", part, rb_buf_str(&out));
    }
}

unsigned gate_posted(struct world *w, enum rb_stage stage, enum rb_state state)
{
    unsigned n = 0;
    world_work(w, &w->report, 1000);
    for (unsigned i = 0; i < w->n_posts; i++) {
        n += w->posts[i].stage == stage && w->posts[i].state == state ? 1 : 0;
    }
    return n;
}

/* facts.c - what two tellers say about one build, put together. */
#include "internal.h"

#define KEEP(field) b->field = b->field == NULL ? was.field : b->field
#define FIRM(field) b->field = was.field == NULL ? b->field : was.field

bool rb_facts_merge(struct rb_build *b, const struct rb_build *seen, struct rb_arena *a)
{
    struct rb_build was = *b;

    if (!rb_build_copy(b, seen, a)) {
        *b = was;
        return false;
    }
    FIRM(id);
    FIRM(account);
    FIRM(region);
    FIRM(project);
    KEEP(partition);
    KEEP(arn);
    KEEP(phase);
    KEEP(phase_status);
    KEEP(message);
    KEEP(url);
    KEEP(initiator);
    KEEP(author);
    KEEP(source_type);
    KEEP(source_version);
    KEEP(resolved_version);
    KEEP(repository);
    KEEP(branch);
    KEEP(pull_request);
    KEEP(batch_arn);
    KEEP(compute_type);
    b->run_ms = b->run_ms == 0 ? was.run_ms : b->run_ms;
    b->exit_code = b->exit_code < 0 ? was.exit_code : b->exit_code;
    return true;
}

int64_t rb_lease_ms(const struct rb_timing *t)
{
    int64_t floor_ms = t->call_timeout_ms + t->call_timeout_ms / 2 + 1000;
    return t->lease_ms > floor_ms ? t->lease_ms : floor_ms;
}

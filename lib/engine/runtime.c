/* runtime.c - the settings in force with what was compiled from them, counted and swapped as one.
 */
#include "internal.h"

struct rb_runtime *rb_runtime_get(struct rb_engine *e)
{
    pthread_mutex_lock(&e->lock);
    struct rb_runtime *rt = e->runtime;
    atomic_fetch_add_explicit(&rt->refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&e->lock);
    return rt;
}

struct rb_forge_tokens *rb_engine_forge_tokens(struct rb_engine *e)
{
    return e->forge_tokens;
}

void rb_runtime_unref(struct rb_runtime *rt)
{
    if (rt == NULL || atomic_fetch_sub_explicit(&rt->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    rb_policy_free(rt->policy);
    rb_settings_unref(rt->settings);
    free(rt);
}

void rb_runtime_unrefp(struct rb_runtime **rt)
{
    rb_runtime_unref(*rt);
    *rt = NULL;
}

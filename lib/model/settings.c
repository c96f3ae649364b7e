/* settings.c - the life of a configuration: shared by threads, wiped by the last one. */
#include <stdlib.h>

#include <retrybuild/settings.h>

struct rb_settings *rb_settings_ref(struct rb_settings *s)
{
    if (s != NULL) {
        (void)__atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
    }
    return s;
}

static void free_secrets(struct rb_secrets *s)
{
    for (unsigned i = 0; i < s->n; i++) {
        rb_secret_freep(&s->items[i].secret);
    }
    s->n = 0;
}

static void free_api(struct rb_api_setting *a)
{
    rb_secret_freep(&a->token);
    rb_secret_freep(&a->app_key);
}

void rb_settings_unref(struct rb_settings *s)
{
    if (s == NULL || __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) > 0) {
        return;
    }
    for (unsigned i = 0; i < s->n_tokens; i++) {
        rb_secret_freep(&s->tokens[i].secret);
    }
    for (unsigned i = 0; i < s->front_door.n_access_keys; i++) {
        rb_secret_freep(&s->front_door.access_keys[i].secret);
    }
    for (unsigned i = 0; i < s->n_sources; i++) {
        free_secrets(&s->sources[i].secrets);
        free_secrets(&s->sources[i].signing_secrets);
        free_api(&s->sources[i].api);
    }
    for (unsigned i = 0; i < s->n_destinations; i++) {
        rb_secret_freep(&s->destinations[i].url);
        free_secrets(&s->destinations[i].secrets);
        free_api(&s->destinations[i].api);
    }
    for (unsigned i = 0; i < s->telemetry.n_headers; i++) {
        rb_secret_freep(&s->telemetry.headers[i].value);
    }
    rb_secret_freep(&s->store.url);
    rb_secret_freep(&s->store.password);
    rb_arena_release(&s->arena);
    free(s);
}

const char *rb_settings_own_account(const struct rb_settings *s)
{
    return s->aws.n_accounts > 0 ? NULL : s->aws.account;
}

void rb_settings_unrefp(struct rb_settings **s)
{
    rb_settings_unref(*s);
}

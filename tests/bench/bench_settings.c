#include "bench_settings.h"

#include <stdlib.h>
#include <string.h>

#include <retrybuild/secret.h>

struct rb_settings *bench_settings(const char *url)
{
    struct rb_settings *s = calloc(1, sizeof(*s));
    if (s != NULL) {
        rb_arena_init(&s->arena, 4096);
        s->refs = 1;
        s->store.url = rb_secret_new(url, strlen(url));
        s->store.shards = 1;
        s->timing.delivery_ttl_ms = INT64_C(96) * 3600000;
        s->timing.effect_ttl_ms = INT64_C(24) * 3600000;
    }
    return s;
}

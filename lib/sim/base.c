/* base.c - the simulator's clock, its waits, its randomness, its growing lists. */
#include <stdio.h>
#include <stdlib.h>

#include <retrybuild/digest.h>
#include <retrybuild/random.h>
#include <retrybuild/thread.h>

#include "core.h"

int64_t sim_now_locked(struct rb_sim *sim)
{
    return rb_now_ms(sim->clock) + sim->script->clock_offset_ms + sim->advance_ms;
}

bool sim_wait(struct rb_sim *sim, int64_t ms)
{
    const struct rb_clock *real = rb_clock_system();
    int64_t until = rb_boot_ms(real) + ms;
    pthread_mutex_lock(&sim->lock);
    int64_t left = ms;
    while (!sim->stopping && left > 0) {
        rb_cond_wait_ms(&sim->changed, &sim->lock, left);
        left = until - rb_boot_ms(real);
    }
    bool go_on = !sim->stopping;
    pthread_mutex_unlock(&sim->lock);
    return go_on;
}

double sim_time_s(int64_t unix_ms)
{
    return (double)unix_ms / 1000.0;
}

uint64_t sim_random_locked(struct rb_sim *sim)
{
    if (!sim->has_seed) {
        const struct rb_random *r = rb_random_system();
        return r->next(r->arg);
    }
    /* splitmix64: any seed is a good one */
    uint64_t z = (sim->random_state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

bool sim_chance_locked(struct rb_sim *sim, double probability)
{
    double drawn = (double)(sim_random_locked(sim) >> 11) / 9007199254740992.0; /* 2^53 */
    return drawn < probability;
}

void sim_uuid(char ret_uuid[SIM_UUID_BYTES])
{
    uint8_t b[16];
    char hex[33];
    rb_random_bytes(rb_random_system(), b, sizeof b);
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40); /* version 4 */
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80); /* RFC 4122 variant */
    rb_hex(b, sizeof b, hex);
    snprintf(ret_uuid, SIM_UUID_BYTES, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12,
             hex + 16, hex + 20);
}

bool sim_grow(void *items, size_t n, size_t *cap)
{
    void **list = *(void ***)items;
    if (n < *cap) {
        return true;
    }
    size_t want = *cap == 0 ? 64 : *cap * 2;
    void **more = realloc(list, want * sizeof *more);
    if (more == NULL) {
        return false;
    }
    *(void ***)items = more;
    *cap = want;
    return true;
}

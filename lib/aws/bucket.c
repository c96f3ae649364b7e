/* Token bucket: takers reserve, so that they are served in their order and wait once each. */
#include "internal.h"

void rb_bucket_init(struct rb_bucket *b, double per_second, double burst, int64_t boot_ms)
{
    *b = (struct rb_bucket){.per_second = per_second,
                            .burst = burst < 1 ? 1 : burst,
                            .tokens = burst < 1 ? 1 : burst,
                            .filled_boot_ms = boot_ms};
}

int64_t rb_bucket_take(struct rb_bucket *b, int64_t boot_ms, int64_t max_wait_ms)
{
    if (b->per_second <= 0) {
        return 0;
    }
    if (boot_ms > b->filled_boot_ms) {
        b->tokens += (double)(boot_ms - b->filled_boot_ms) * b->per_second / 1000.0;
        b->tokens = b->tokens > b->burst ? b->burst : b->tokens;
        b->filled_boot_ms = boot_ms;
    }
    double wait_ms = b->tokens >= 1 ? 0 : (1 - b->tokens) * 1000.0 / b->per_second;
    if (wait_ms > (double)max_wait_ms) {
        return -1;
    }
    b->tokens -= 1;
    return wait_ms > 0 ? (int64_t)wait_ms + 1 : 0;
}

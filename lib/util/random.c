/* random.c - numbers from the kernel through a small pool a thread, and ids made of them.
 *
 * The pool saves a system call a number. What was handed out is wiped, so that a later look at the
 * memory does not show earlier numbers. A child of fork would repeat them: nothing here forks and
 * goes on without exec.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/random.h>

#define POOL_NUMBERS 256 /* a delivery takes five; the call costs more than what it brings */
#define MAX_DRAWS 64     /* of one rb_random_below; the chance to need more is below 2^-64 */

static const char base32[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"; /* Crockford's, as ULIDs use */

struct pool {
    uint64_t number[POOL_NUMBERS];
    size_t left;
};

static void fill(struct pool *p)
{
    unsigned char *at = (unsigned char *)p->number;
    size_t missing = sizeof(p->number);
    while (missing > 0) {
        ssize_t n = getrandom(at, missing, 0);
        if (n > 0) {
            at += n;
            missing -= (size_t)n;
        } else if (errno != EINTR) {
            abort(); /* no id and no token may ever be made without it */
        }
    }
    p->left = POOL_NUMBERS;
}

static uint64_t system_next(void *arg)
{
    static _Thread_local struct pool pool;
    (void)arg;
    if (pool.left == 0) {
        fill(&pool);
    }
    uint64_t v = pool.number[--pool.left];
    pool.number[pool.left] = 0;
    return v;
}

const struct rb_random *rb_random_system(void)
{
    static const struct rb_random system_random = {.next = system_next, .arg = NULL};
    return &system_random;
}

uint64_t rb_random_below(const struct rb_random *r, uint64_t bound)
{
    if (bound == 0) {
        return 0;
    }
    /* The high half of number * bound is the result; the low half tells the few numbers that would
     * favour some results. The limit on draws keeps a constant test source from looping. */
    const uint64_t unfair = (0 - bound) % bound;
    uint64_t result = 0;
    for (int draw = 0; draw < MAX_DRAWS; draw++) {
        __extension__ unsigned __int128 product =
            (__extension__(unsigned __int128) r->next(r->arg)) * bound;
        result = (uint64_t)(product >> 64);
        if ((uint64_t)product >= unfair) {
            break;
        }
    }
    return result;
}

void rb_random_bytes(const struct rb_random *r, void *buf, size_t len)
{
    unsigned char *at = buf;
    while (len > 0) {
        uint64_t v = r->next(r->arg);
        size_t n = len < sizeof(v) ? len : sizeof(v);
        memcpy(at, &v, n);
        at += n;
        len -= n;
    }
}

/* put_base32 - the low 5 * @n bits of @v, most significant character first. */
static void put_base32(char *s, size_t n, uint64_t v)
{
    while (n > 0) {
        s[--n] = base32[v & 31U];
        v >>= 5;
    }
}

void rb_id_make(const struct rb_random *r, const char *prefix, int64_t now_ms, unsigned shard,
                char ret_id[RB_ID_BYTES])
{
    memcpy(ret_id, prefix, 4);
    char *ulid = ret_id + 4;
    uint64_t ms = now_ms > 0 ? (uint64_t)now_ms & 0xFFFFFFFFFFFFU : 0;
    put_base32(ulid, 10, ms);
    put_base32(ulid + 10, 12, r->next(r->arg));
    put_base32(ulid + 22, 3, r->next(r->arg));
    put_base32(ulid + 25, 1, shard);
    ulid[RB_ULID_LEN] = '\0';
}

static int base32_value(char c)
{
    const char *at = c == '\0' ? NULL : strchr(base32, c);
    return at == NULL ? -1 : (int)(at - base32);
}

int rb_id_shard(const char *prefix, const char *id)
{
    if (id == NULL || strlen(id) != 4 + RB_ULID_LEN || strncmp(id, prefix, 4) != 0 || id[4] > '7') {
        return -1;
    }
    int value = -1;
    for (const char *c = id + 4; *c != '\0'; c++) {
        value = base32_value(*c);
        if (value < 0) {
            return -1;
        }
    }
    return value;
}

/* fault.c - the killer behind RB_FAULT_POINT; compiled into test builds only. */
#include "fault.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <retrybuild/str.h>

#define RB_FAULT_MAX 64

void rb_fault_point(const char *name)
{
    static struct {
        const char *name; /* a literal of the caller */
        atomic_uint passes;
    } points[RB_FAULT_MAX];
    static atomic_flag busy = ATOMIC_FLAG_INIT;
    const char *spec = getenv("RB_FAULT_AT");
    size_t len = strlen(name);
    unsigned pass = 0;

    if (spec == NULL) {
        return;
    }
    while (atomic_flag_test_and_set(&busy)) {
    }
    for (size_t i = 0; i < RB_FAULT_MAX; i++) {
        if (points[i].name == NULL || strcmp(points[i].name, name) == 0) {
            points[i].name = name;
            pass = atomic_fetch_add(&points[i].passes, 1) + 1;
            break;
        }
    }
    atomic_flag_clear(&busy);
    for (const char *p = spec; *p != '\0'; p += strcspn(p, ","), p += *p == ',' ? 1 : 0) {
        uint64_t at = 0;
        size_t n = strcspn(p, ",");
        if (n > len + 1 && strncmp(p, name, len) == 0 && p[len] == ':' &&
            rb_parse_u64((struct rb_slice){.ptr = p + len + 1, .len = n - len - 1}, &at) &&
            at == pass) {
            raise(SIGKILL);
        }
    }
}

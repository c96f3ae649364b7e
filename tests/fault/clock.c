/* clock.c - a wall clock that is RB_FAULT_CLOCK_S seconds away from the machine's, for tests with
 * messages of another day. The program is linked with --wrap=clock_gettime; time that is measured
 * stays as it is. */
#include <stdlib.h>
#include <time.h>

int __real_clock_gettime(clockid_t id, struct timespec *t);
int __wrap_clock_gettime(clockid_t id, struct timespec *t);

int __wrap_clock_gettime(clockid_t id, struct timespec *t)
{
    int rc = __real_clock_gettime(id, t);
    const char *shift = id == CLOCK_REALTIME ? getenv("RB_FAULT_CLOCK_S") : NULL;
    if (rc == 0 && shift != NULL) {
        t->tv_sec += strtoll(shift, NULL, 10);
    }
    return rc;
}

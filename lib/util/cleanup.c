/* cleanup.c - the releases that do not belong to a type of their own. */
#include <errno.h>
#include <unistd.h>

#include <retrybuild/cleanup.h>

void rb_closep(int *fd)
{
    if (*fd >= 0) {
        int saved = errno; /* a cleanup must not hide the error that led to it */
        (void)close(*fd);
        errno = saved;
        *fd = -1;
    }
}

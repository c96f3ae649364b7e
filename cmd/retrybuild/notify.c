/* notify.c - the readiness protocol of systemd's Type=notify: one datagram to the socket named in
 * the environment. Source: sd_notify(3). */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include <retrybuild/buf.h>
#include <retrybuild/cleanup.h>

#include "notify.h"

void rb_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    if (path == NULL || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof sa.sun_path) {
        return;
    }
    size_t path_len = strlen(path);
    memcpy(sa.sun_path, path, path_len);
    if (path[0] == '@') {
        sa.sun_path[0] = '\0';
    }
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(256);
    rb_buf_adds(&text, state);
    if (strcmp(state, "RELOADING=1") == 0) {
        struct timespec now = {.tv_sec = 0};
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        rb_buf_addf(&text, "\nMONOTONIC_USEC=%lld",
                    (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    }
    RB_CLEANUP(rb_closep) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        (void)sendto(fd, text.data, text.len, MSG_NOSIGNAL | MSG_DONTWAIT,
                     (const struct sockaddr *)&sa,
                     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_len));
    }
}

/* conns.c - an absolute deadline for every connection, in order.
 *
 * The library's own timeout starts again with each byte, so a client that drips one header a second
 * stays for ever. Here a connection gets request_timeout to deliver its headers, again from there
 * to the end of its body, again to take its answer; since every extension is of the same length,
 * moving the connection to the tail keeps the list ordered by deadline. Past it the socket is shut
 * down; the library then closes it.
 */
#include <sys/socket.h>

#include "ready.h"

static void unlink_conn(struct rb_conn *c)
{
    c->prev->next = c->next;
    c->next->prev = c->prev;
}

static void link_tail(struct rb_httpd *h, struct rb_conn *c)
{
    c->prev = h->conns.prev;
    c->next = &h->conns;
    h->conns.prev->next = c;
    h->conns.prev = c;
}

void rb_conn_extend(struct rb_httpd *h, struct rb_conn *c)
{
    if (c == NULL || c->cut) {
        return;
    }
    unlink_conn(c);
    c->deadline_ms = rb_boot_ms(h->deps.clock) + h->request_timeout_ms;
    link_tail(h, c);
}

void rb_conn_hold(struct rb_conn *c)
{
    if (c != NULL && !c->cut) {
        unlink_conn(c);
        c->prev = c->next = c;
    }
}

void rb_conn_notify(void *cls, struct MHD_Connection *mhd, void **conn_cls,
                    enum MHD_ConnectionNotificationCode code)
{
    struct rb_httpd *h = cls;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
        int fd = info == NULL ? -1 : info->connect_fd;
        struct rb_conn *c = calloc(1, sizeof *c);
        *conn_cls = c;
        h->n_conns++;
        if (c == NULL) {
            (void)shutdown(fd, SHUT_RDWR); /* nothing would watch it */
            return;
        }
        c->fd = fd;
        c->mhd = mhd;
        c->deadline_ms = rb_boot_ms(h->deps.clock) + h->request_timeout_ms;
        link_tail(h, c);
        rb_ready_begin(h, c);
        return;
    }
    struct rb_conn *c = *conn_cls;
    h->n_conns--;
    if (c != NULL) {
        rb_ready_end(h, c);
        unlink_conn(c);
        free(c);
        *conn_cls = NULL;
    }
}

int64_t rb_conns_cut(struct rb_httpd *h, int64_t boot_ms)
{
    struct rb_conn *c = h->conns.next;
    while (c != &h->conns && c->deadline_ms <= boot_ms) {
        struct rb_conn *next = c->next;
        if (c->fd >= 0) {
            (void)shutdown(c->fd, SHUT_RDWR);
        }
        c->cut = true;
        unlink_conn(c); /* out of the order: the library closes it when it sees the end */
        c->prev = c->next = c;
        c = next;
    }
    return c == &h->conns ? -1 : c->deadline_ms - boot_ms;
}

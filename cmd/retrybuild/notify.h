/* notify.h - the readiness protocol of systemd's Type=notify. Threads: any. Blocks: never. */
#ifndef RB_CLI_NOTIFY_H
#define RB_CLI_NOTIFY_H

/* rb_notify - send @state ("READY=1") to $NOTIFY_SOCKET; nothing happens when it is unset.
 * RELOADING=1 gets its monotonic time added. */
void rb_notify(const char *state);

#endif

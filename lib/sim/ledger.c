/* ledger.c - every effect, in the order in which it happened: what tests count. In memory for
 * GET /_sim/ledger, and in a file as one object a line, on the disk before the answer leaves.
 * Callers that come while one writes are written by the next: one sync serves many. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/timefmt.h>

#include "core.h"

#define MAX_BATCH_BYTES (64 * 1024 * 1024)

enum rb_code sim_ledger_open(struct rb_sim *sim, const char *path, struct rb_err *err)
{
    sim->ledger_fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (sim->ledger_fd < 0) {
        return rb_err_errno(err, RB_E_IO, errno, "open ledger '%s'", path);
    }
    return RB_OK;
}

void sim_ledger_row(struct rb_sim *sim, const char *id, const char *parent, const char *operation,
                    const char *token, const char *access_key, int64_t now_ms)
{
    char time[RB_TIME_ISO_BYTES];
    rb_time_iso(now_ms, time);
    json_array_append_new(sim->effects, json_pack("{s:s, s:s, s:s?, s:s?, s:s?, s:s}", "build", id,
                                                  "operation", operation, "parent", parent, "token",
                                                  token, "access_key", access_key, "time", time));
}

void sim_ledger_add(struct rb_sim *sim, const struct sim_build *b, const char *operation,
                    const char *token, const char *access_key, int64_t now_ms)
{
    sim_ledger_row(sim, b->id, b->parent == NULL ? NULL : b->parent->id, operation, token,
                   access_key, now_ms);
}

static enum rb_code write_all(int fd, const char *data, size_t len, struct rb_err *err)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno != EINTR) {
            return rb_err_errno(err, RB_E_IO, errno, "write the ledger");
        }
        if (n > 0) {
            data += n;
            len -= (size_t)n;
        }
    }
    if (fdatasync(fd) != 0 && errno != EINVAL && errno != EROFS) { /* a pipe cannot sync */
        return rb_err_errno(err, RB_E_IO, errno, "sync the ledger");
    }
    return RB_OK;
}

enum rb_code sim_ledger_sync(struct rb_sim *sim, struct rb_err *err)
{
    enum rb_code rc = RB_OK;
    pthread_mutex_lock(&sim->ledger_lock); /* guards the file alone */
    if (sim->ledger_fd >= 0) {
        RB_CLEANUP(rb_buf_release) struct rb_buf lines = RB_BUF_INIT(MAX_BATCH_BYTES);
        pthread_mutex_lock(&sim->lock);
        size_t n = json_array_size(sim->effects);
        for (size_t i = sim->ledger_written; i < n; i++) {
            char *text = json_dumps(json_array_get(sim->effects, i), JSON_COMPACT);
            rb_buf_adds(&lines, text);
            rb_buf_addc(&lines, '\n');
            free(text);
        }
        pthread_mutex_unlock(&sim->lock);
        if (lines.len > 0) {
            rc = write_all(sim->ledger_fd, rb_buf_str(&lines), lines.len, err);
        }
        sim->ledger_written = n;
    }
    pthread_mutex_unlock(&sim->ledger_lock);
    return rc;
}

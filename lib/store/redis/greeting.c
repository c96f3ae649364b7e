/* greeting.c - what is said when a connection opens, in one pipeline, and what must be answered. */
#include <stdio.h>
#include <string.h>

#include <retrybuild/str.h>

#include "cmd.h"
#include "conn.h"
#include "scripts.h"

enum greeting { GREET_AUTH, GREET_SELECT, GREET_NAME, GREET_INFO, GREET_SCRIPTS };

static bool wants_auth(const struct rconn *c)
{
    return c->target->password != NULL;
}

static bool wants_select(const struct rconn *c)
{
    return c->target->db != 0;
}

void rscripts_send_load(struct rb_buf *out)
{
    for (size_t i = 0; i < RSCRIPT_COUNT; i++) {
        rcmd_begin(out, 3);
        rcmd_str(out, "SCRIPT");
        rcmd_str(out, "LOAD");
        rcmd_arg(out, rscripts[i].text, rscripts[i].len);
    }
}

void rgreet_send(struct rconn *c)
{
    const struct rtarget *t = c->target;
    c->greeting_at = 0;
    c->greeting_left = 2;
    if (wants_auth(c)) {
        c->greeting_left++;
        rcmd_begin(&c->out, t->user != NULL ? 3 : 2);
        rcmd_str(&c->out, "AUTH");
        if (t->user != NULL) {
            rcmd_arg(&c->out, rb_secret_data(t->user), rb_secret_len(t->user));
        }
        rcmd_arg(&c->out, rb_secret_data(t->password), rb_secret_len(t->password));
    }
    if (wants_select(c)) {
        c->greeting_left++;
        rcmd_begin(&c->out, 2);
        rcmd_str(&c->out, "SELECT");
        rcmd_int(&c->out, t->db);
    }
    rcmd_words(&c->out, "CLIENT", "SETNAME", "retrybuild", (const char *)NULL);
    rcmd_words(&c->out, "INFO", (const char *)NULL);
    if (c->role == RCONN_COMMANDS) {
        rscripts_send_load(&c->out);
        c->greeting_left += RSCRIPT_COUNT;
    }
}

static enum greeting greeting_of(const struct rconn *c)
{
    unsigned at = c->greeting_at;
    if (wants_auth(c) && at-- == 0) {
        return GREET_AUTH;
    }
    if (wants_select(c) && at-- == 0) {
        return GREET_SELECT;
    }
    return at == 0 ? GREET_NAME : at == 1 ? GREET_INFO : GREET_SCRIPTS;
}

static enum rb_code read_and_check(const redisReply *r, struct rinfo *ret_info, struct rb_err *err)
{
    enum rb_code rc = rinfo_read(r, ret_info, err);
    return rc == RB_OK ? rinfo_check(ret_info, err) : rc;
}

enum rb_code rgreet_reply(struct rconn *c, const redisReply *r, struct rb_err *err)
{
    switch (greeting_of(c)) {
    case GREET_NAME: /* a name is a convenience, unless the refusal says that we are nobody */
        return rreply_is(r, REDIS_REPLY_ERROR) && rb_str_starts(r->str, "NOAUTH")
                   ? rreply_error(r, err)
                   : RB_OK;
    case GREET_INFO:
        return read_and_check(r, &c->info, err);
    case GREET_SCRIPTS:
    case GREET_AUTH:
    case GREET_SELECT:
    default:
        if (rreply_is(r, REDIS_REPLY_ERROR)) {
            enum rb_code rc = rreply_error(r, err);
            return rc == RB_E_INTERNAL || rc == RB_E_NO_SPACE ? RB_E_UNAVAIL : rc;
        }
        return RB_OK;
    }
}

bool rinfo_field(const char *text, const char *name, char *ret_value, size_t size)
{
    size_t name_len = strlen(name);
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n' ? 1 : 0;
        if (strncmp(line, name, name_len) == 0 && line[name_len] == ':') {
            const char *value = line + name_len + 1;
            size_t len = strcspn(value, "\r\n");
            (void)snprintf(ret_value, size, "%.*s", (int)(len < size ? len : size - 1), value);
            return true;
        }
    }
    return false;
}

static enum rb_code judge(const char *text, struct rb_err *err)
{
    char value[64];
    if (rinfo_field(text, "loading", value, sizeof(value)) && !rb_str_eq(value, "0")) {
        return rb_err_set(err, RB_E_UNAVAIL, "the server is still loading its data");
    }
    if (rinfo_field(text, "role", value, sizeof(value)) && !rb_str_eq(value, "master")) {
        return rb_err_set(err, RB_E_UNAVAIL, "the server is a replica, not the primary");
    }
    if (rinfo_field(text, "redis_version", value, sizeof(value)) && value[1] == '.' &&
        value[0] < '7') {
        return rb_err_set(err, RB_E_UNAVAIL, "Redis %s is too old: 7.0 or later is needed", value);
    }
    if (rinfo_field(text, "cluster_enabled", value, sizeof(value)) && rb_str_eq(value, "1")) {
        return rb_err_set(err, RB_E_UNAVAIL, "the server is part of a cluster");
    }
    return RB_OK;
}

enum rb_code rinfo_check(const struct rinfo *info, struct rb_err *err)
{
    if (info->policy[0] != '\0') {
        return rb_err_set(err, RB_E_UNAVAIL,
                          "maxmemory-policy is %s: it would delete records that were accepted; set "
                          "it to noeviction (CONFIG SET maxmemory-policy noeviction, and in "
                          "redis.conf)",
                          info->policy);
    }
    return RB_OK;
}

enum rb_code rinfo_read(const redisReply *r, struct rinfo *ret_info, struct rb_err *err)
{
    if (rreply_is(r, REDIS_REPLY_ERROR)) {
        /* Some services close INFO to users; what cannot be read is not judged. */
        return rb_str_starts(r->str, "NOPERM") || rb_str_starts(r->str, "ERR unknown command")
                   ? RB_OK
                   : rreply_error(r, err);
    }
    if (!rreply_is(r, REDIS_REPLY_STRING)) {
        return rb_err_set(err, RB_E_UNAVAIL, "INFO was not answered by text");
    }
    enum rb_code rc = judge(r->str, err);
    if (rc != RB_OK) {
        return rc;
    }
    struct rinfo info = {.replicas = 0};
    char value[24];
    uint64_t n = 0;
    if (rinfo_field(r->str, "connected_slaves", value, sizeof(value)) &&
        rb_parse_u64(rb_slice_str(value), &n)) {
        info.replicas = n > 1000 ? 1000 : (unsigned)n;
    }
    (void)rinfo_field(r->str, "master_replid", info.id, sizeof(info.id));
    (void)rinfo_field(r->str, "master_replid2", info.from, sizeof(info.from));
    if (strspn(info.from, "0") == strlen(info.from)) {
        info.from[0] = '\0';
    }
    if (rinfo_field(r->str, "maxmemory_policy", info.policy, sizeof(info.policy)) &&
        rb_str_eq(info.policy, "noeviction")) {
        info.policy[0] = '\0';
    }
    *ret_info = info;
    return RB_OK;
}

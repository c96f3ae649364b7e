/* session.c - the sessions that the simulator has handed out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>

#include "identity.h"

#define DEFAULT_LIFE_MS (60 * 60 * 1000)
#define SESSIONS_MAX 10000

void sim_identity_init(struct sim_identity *i)
{
    *i = (struct sim_identity){.life_ms = DEFAULT_LIFE_MS};
}

void sim_identity_release(struct sim_identity *i)
{
    free(i->sessions);
    *i = (struct sim_identity){.sessions = NULL};
}

/* arn:P:iam::ACCOUNT:role/[path/]NAME to account and name. */
static bool cut_role(const char *role_arn, char account[13], const char **ret_name)
{
    const char *iam = strstr(role_arn, ":iam::");
    const char *role = strstr(role_arn, ":role/");

    if (strncmp(role_arn, "arn:", 4) != 0 || iam == NULL || role == NULL || role - iam != 6 + 12 ||
        strspn(iam + 6, "0123456789") != 12) {
        return false;
    }
    snprintf(account, 13, "%.12s", iam + 6);
    const char *slash = strrchr(role, '/');
    *ret_name = slash + 1;
    return **ret_name != '\0';
}

bool sim_session_new(struct rb_sim *sim, const char *role_arn, const char *name, int64_t now_ms,
                     struct sim_session *ret_s)
{
    struct sim_identity *i = &sim->identity;
    struct sim_session s = {.expires_ms = now_ms + i->life_ms};
    char uuid[SIM_UUID_BYTES], more[SIM_UUID_BYTES];
    const char *role = NULL;

    if (!cut_role(role_arn, s.account, &role)) {
        return false;
    }
    if (i->n == i->cap) {
        size_t cap = i->cap == 0 ? 16 : i->cap * 2;
        struct sim_session *grown =
            i->n >= SESSIONS_MAX ? NULL : realloc(i->sessions, cap * sizeof *grown);
        if (grown == NULL) {
            return false;
        }
        i->sessions = grown;
        i->cap = cap;
    }
    sim_uuid(uuid);
    snprintf(s.key, sizeof s.key, "ASIASIM%06zu%.6s", i->n, uuid);
    for (char *p = s.key; *p != '\0'; p++) {
        *p = *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p;
    }
    sim_uuid(uuid);
    snprintf(s.secret, sizeof s.secret, "sim+%s", uuid);
    sim_uuid(uuid);
    sim_uuid(more);
    snprintf(s.token, sizeof s.token, "%s/%s", uuid, more);
    snprintf(s.arn, sizeof s.arn, "arn:%s:sts::%s:assumed-role/%.80s/%.80s", sim->partition,
             s.account, role, name);
    i->sessions[i->n++] = s;
    *ret_s = s;
    return true;
}

const struct sim_session *sim_session_find(const struct rb_sim *sim, struct rb_slice key)
{
    for (size_t i = 0; i < sim->identity.n; i++) {
        if (rb_slice_eq(key, sim->identity.sessions[i].key)) {
            return &sim->identity.sessions[i];
        }
    }
    return NULL;
}

const char *sim_session_secret(struct rb_sim *sim, struct rb_slice key, const char *token,
                               int64_t now_ms, const char **ret_error)
{
    const struct sim_session *s = sim_session_find(sim, key);

    if (s == NULL || token == NULL || strcmp(token, s->token) != 0) {
        *ret_error = "UnrecognizedClientException";
        return NULL;
    }
    if (s->expires_ms <= now_ms) {
        *ret_error = "ExpiredTokenException";
        return NULL;
    }
    return s->secret;
}

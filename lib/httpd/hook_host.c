/* hook_host.c - a git host is asked about a command, and shown what became of it.
 *
 * Who the actor is stands in the payload, what they may do does not: members whose membership is
 * private look like strangers there. So the API is asked, and who it does not know has no right.
 * Strangers get no reaction and no comment: they must not be able to make us write.
 */
#include "hook_host.h"

#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/log.h>

#define GROUPS_MAX 16

static void httpc_freep(struct rb_httpc **c)
{
    rb_httpc_free(*c);
    *c = NULL;
}

static void log_trouble(const struct rb_source_setting *s, const char *what,
                        const struct rb_err *err)
{
    rb_log(RB_LOG_WARN, "host.not_asked", RB_F("source", s->name), RB_F("what", what),
           RB_F("why", err->msg));
}

static struct rb_forge forge_of(const struct rb_finder *f, const struct rb_source_setting *s,
                                struct rb_httpc *http)
{
    return (struct rb_forge){.type = s->type,
                             .api = &s->api,
                             .http = http,
                             .tokens = f->tokens,
                             .clock = f->clock,
                             .until_boot_ms = f->until_boot_ms,
                             .cancel = f->cancel};
}

/* is_ours - a comment that we wrote ourselves, with our own token. */
static bool is_ours(const struct rb_forge *forge, const struct rb_command *c, struct rb_arena *a)
{
    const char *id = NULL;
    const char *name = NULL;
    if (c->place.comment == NULL || rb_forge_self(forge, a, &id, &name, NULL) != RB_OK) {
        return false;
    }
    return (id != NULL && rb_str_eq(id, c->actor.id)) ||
           (id == NULL && name != NULL && rb_str_ieq(name, c->actor.name));
}

/* join_groups - those of the configuration that the actor is in: payloads do not tell. */
static enum rb_code join_groups(const struct rb_source_setting *s, const struct rb_forge *forge,
                                struct rb_command *c, struct rb_arena *a, struct rb_err *err)
{
    const char **groups = rb_arena_alloc(a, GROUPS_MAX * sizeof(*groups));
    unsigned n_asked = 0;
    unsigned n = 0;
    if (groups == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for groups");
    }
    for (unsigned i = 0; i < s->n_who; i++) {
        const struct rb_strings *listed = &s->who[i].groups;
        for (unsigned k = 0; k < listed->n && n_asked < GROUPS_MAX; k++, n_asked++) {
            bool member = false;
            enum rb_code rc =
                rb_forge_member(forge, listed->items[k], c->actor.id, c->actor.name, &member, err);
            if (rc != RB_OK && rc != RB_E_INVALID) {
                return rc;
            }
            if (rc == RB_OK && member) {
                groups[n++] = listed->items[k];
            }
        }
    }
    c->actor.groups = groups;
    c->actor.n_groups = n;
    return RB_OK;
}

static enum rb_code ask(const struct rb_finder *f, const struct rb_source_setting *s,
                        const struct rb_forge *forge, const struct rb_command *c,
                        struct rb_arena *a, struct rb_command_facts *ret_f, struct rb_err *err)
{
    struct rb_command_facts facts = {.head = c->place.commit, .closed = c->place.closed};
    const char *repository = c->place.repository;
    enum rb_code rc =
        rb_forge_permission(forge, repository, c->actor.id, c->actor.name, &facts.permission, err);
    bool about_pull =
        c->trouble == NULL && c->verb != RB_COMMAND_HELP && c->verb != RB_COMMAND_VERSION;
    if (rc == RB_OK && about_pull && c->place.pull_request > 0) {
        struct rb_forge_pull pull = {.commit = NULL};
        rc = rb_forge_pull(forge, repository, c->place.pull_request, a, &pull, err);
        if (rc == RB_OK) {
            facts.head = pull.commit;
            facts.closed = !pull.open;
        }
    }
    if (rc == RB_OK && about_pull && c->verb == RB_COMMAND_RETRY && facts.head != NULL &&
        !facts.closed) {
        struct rb_build *builds = NULL;
        const struct rb_find_in in = {.repository = repository,
                                      .repository_url = c->place.repository_url,
                                      .commit = facts.head};
        rc = rb_find_failed(f, s, &in, a, &builds, &facts.n_builds, err);
        rc = rc == RB_E_INVALID ? RB_OK : rc; /* this host does not tell */
        facts.builds = builds;
    }
    if (rc == RB_OK) {
        *ret_f = facts;
    }
    return rc;
}

bool rb_host_facts(const struct rb_finder *f, const struct rb_source_setting *s,
                   struct rb_command *c, struct rb_arena *a, struct rb_command_facts *ret_f)
{
    RB_CLEANUP(httpc_freep) struct rb_httpc *http = NULL;
    struct rb_err err = {.code = RB_OK};
    if (!rb_forge_known(s->type) || rb_httpc_new(f->settings, &http, &err) != RB_OK) {
        return false;
    }
    const struct rb_forge forge = forge_of(f, s, http);
    if (is_ours(&forge, c, a)) {
        c->actor.bot = true;
        return false;
    }
    if (join_groups(s, &forge, c, a, &err) != RB_OK ||
        ask(f, s, &forge, c, a, ret_f, &err) != RB_OK) {
        log_trouble(s, "what is asked of a command", &err);
        return false;
    }
    return true;
}

void rb_host_show(const struct rb_finder *f, const struct rb_source_setting *s,
                  const struct rb_command *c, const struct rb_command_facts *facts,
                  const struct rb_command_answer *answer)
{
    RB_CLEANUP(httpc_freep) struct rb_httpc *http = NULL;
    struct rb_err err = {.code = RB_OK};
    bool taken = answer->outcome != RB_COMMAND_IGNORED && answer->outcome != RB_COMMAND_DENIED &&
                 !answer->stranger;
    bool started = answer->outcome == RB_COMMAND_DONE;
    bool known = taken || (facts != NULL && facts->permission >= RB_PERMISSION_READ);
    if (!known || answer->outcome == RB_COMMAND_IGNORED || c->place.comment == NULL ||
        rb_httpc_new(f->settings, &http, &err) != RB_OK) {
        return;
    }
    const struct rb_forge forge = forge_of(f, s, http);
    if (taken && rb_forge_react(&forge, c->place.repository, c->place.comment_kind,
                                c->place.comment, "eyes", &err) != RB_OK) {
        log_trouble(s, "a reaction", &err);
    }
    if (!started && answer->outcome != RB_COMMAND_ALREADY && c->place.pull_request > 0 &&
        !rb_str_empty(answer->text) &&
        rb_forge_comment(&forge, c->place.repository, c->place.pull_request, answer->text, &err) !=
            RB_OK) {
        log_trouble(s, "a comment", &err);
    }
}

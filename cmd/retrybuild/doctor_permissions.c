/* doctor_permissions.c - which calls we may make: tried with builds that cannot exist. */
#include <stdio.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/examine.h>

#include "doctor.h"

#define ARENA_MAX_BYTES ((size_t)1024 * 1024)
#define PROJECTS_MAX 16

struct trial {
    struct rb_doctor *d;
    const struct rb_settings *s;
    struct rb_codebuild *c;
    const char *account, *region, *who;
    const char *projects[PROJECTS_MAX];
    unsigned n_projects;
    struct rb_arena arena;
    bool silent; /* nobody answers: the rest is not tried */
};

static bool some_rule(const struct rb_settings *s, enum rb_how how)
{
    for (unsigned i = 0; i < s->n_rules; i++) {
        if (s->rules[i].how == how) {
            return true;
        }
    }
    return false;
}

/* What the service cannot do without, for this configuration; else why it may want it. */
static bool needed(const struct rb_settings *s, const char *operation, const char **ret_why)
{
    *ret_why = "";
    if (rb_str_eq(operation, "StartBuild")) {
        *ret_why = "rules with how: start";
        return some_rule(s, RB_HOW_START);
    }
    if (rb_str_starts(operation, "GetPipeline") || rb_str_starts(operation, "ListAction") ||
        rb_str_starts(operation, "RetryStage")) {
        *ret_why = "rules with how: pipeline";
        return some_rule(s, RB_HOW_PIPELINE);
    }
    if (strstr(operation, "BuildBatch") != NULL) {
        *ret_why = "batch builds";
        return false;
    }
    if (rb_str_eq(operation, "BatchGetProjects")) {
        *ret_why = "reading projects through the front door";
        return false;
    }
    if (rb_str_eq(operation, "GetLogEvents")) {
        *ret_why = "conditions on a build's log";
        return false;
    }
    return true;
}

static void add_project(struct trial *t, const char *name)
{
    for (unsigned i = 0; i < t->n_projects; i++) {
        if (rb_str_eq(t->projects[i], name)) {
            return;
        }
    }
    if (t->n_projects < PROJECTS_MAX && strpbrk(name, "*?![") == NULL) {
        t->projects[t->n_projects++] = name;
    }
}

/* Those of the configuration are our own account's. */
static void find_projects(struct trial *t)
{
    for (unsigned i = 0; i < t->d->projects->n; i++) {
        add_project(t, t->d->projects->items[i]);
    }
    for (unsigned i = 0; t->account == NULL && i < t->s->sweep_projects.n; i++) {
        add_project(t, t->s->sweep_projects.items[i]);
    }
}

static json_t *add(struct trial *t, enum rb_finding f, const struct rb_probe *p,
                   const char *project, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

static json_t *add(struct trial *t, enum rb_finding f, const struct rb_probe *p,
                   const char *project, const char *fmt, ...)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(2048);
    va_list ap;

    va_start(ap, fmt);
    rb_buf_addvf(&text, fmt, ap);
    va_end(ap);
    json_t *row = rb_doctor_add(t->d, f, "permissions", p->action, "%s %s, %s: %s",
                                t->account == NULL ? "own account" : t->account, t->region,
                                project == NULL ? "a made-up project" : project, rb_buf_str(&text));
    rb_doctor_fact(row, "account", t->account);
    rb_doctor_fact(row, "region", t->region);
    rb_doctor_fact(row, "project", project);
    return row;
}

static void denied(struct trial *t, const struct rb_probe *p, const char *project, const char *said)
{
    const char *why = "";
    bool must = needed(t->s, p->operation, &why);
    bool sure = project != NULL;
    json_t *row = NULL;

    if (!must && why[0] != '\0') {
        row = add(t, RB_NOTICE, p, project, "not allowed; only needed for %s", why);
    } else if (!sure) {
        row = add(t, RB_NOTICE, p, project,
                  p->of == RB_PROBE_MADE_UP
                      ? "not allowed; with a real one this cannot be tried without its effect"
                      : "not allowed; a policy for named projects may still allow it");
        rb_doctor_advise(row, p->of == RB_PROBE_MADE_UP
                                  ? "see that the policy has it for your projects"
                                  : "try again with --project and the name of a real project");
    } else {
        row = add(t, RB_ATTENTION, p, project, "not allowed: %s", said);
        rb_doctor_advise(row, "allow %s on %s to %s", p->action,
                         rb_str_starts(p->action, "logs:") ? "its log group" : "that project",
                         t->who == NULL ? "the service's role" : t->who);
    }
    rb_doctor_fact(row, "answer", "denied");
}

static void try_one(struct trial *t, const struct rb_probe *p, const char *project)
{
    struct rb_err err = {.code = RB_OK};
    enum rb_probe_answer answer = RB_PROBE_UNSURE;
    const char *said = "";

    project = p->of == RB_PROBE_MADE_UP ? NULL : project;
    enum rb_code rc =
        rb_codebuild_probe(t->c, p, t->region, project, &t->arena, &answer, &said, &err);
    if (rc != RB_OK) {
        json_t *row = add(t, RB_ATTENTION, p, project, "no answer: %s", err.msg);
        rb_doctor_fact(row, "answer", "none");
        rb_doctor_advise(row, "see that the endpoint can be reached and accepts the credentials; "
                              "the other permissions were not tried");
        t->silent = true;
        return;
    }
    if (answer == RB_PROBE_DENIED) {
        denied(t, p, project, said);
        return;
    }
    bool sure = answer == RB_PROBE_ALLOWED;
    json_t *row = add(t, sure ? RB_FINE : RB_NOTICE, p, project, "%s%s",
                      sure ? "allowed" : "the answer does not tell: ", sure ? "" : said);
    rb_doctor_fact(row, "answer", sure ? "allowed" : "unsure");
}

static void try_all(struct trial *t, const struct rb_probe *p)
{
    const char *why = "";

    if (p->of == RB_PROBE_MADE_UP && !needed(t->s, p->operation, &why)) {
        return; /* its probe is the least certain one: only where the answer matters */
    }
    if (t->n_projects == 0 || p->of == RB_PROBE_MADE_UP) {
        try_one(t, p, NULL);
        return;
    }
    for (unsigned i = 0; i < t->n_projects && !t->silent; i++) {
        try_one(t, p, t->projects[i]);
    }
}

bool rb_doctor_permissions(struct rb_doctor *d, const struct rb_settings *s, struct rb_codebuild *c,
                           const char *account, const char *region, const char *who)
{
    struct trial t = {.d = d, .s = s, .c = c, .account = account, .region = region, .who = who};

    rb_arena_init(&t.arena, ARENA_MAX_BYTES);
    find_projects(&t);
    rb_codebuild_of_account(c, account);
    for (const struct rb_probe *p = rb_probes; p->action != NULL && !t.silent; p++) {
        try_all(&t, p);
    }
    rb_codebuild_of_account(c, NULL);
    rb_arena_release(&t.arena);
    return !t.silent;
}

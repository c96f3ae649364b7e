/* problems.c - load a configuration and print what is wrong with it, as FILE:LINE:COLUMN: sentence.
 *
 * The loader knows the schema; what other areas know (types of sources and destinations, addresses,
 * expressions) is asked of them here.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <retrybuild/buf.h>
#include <retrybuild/cleanup.h>
#include <retrybuild/config.h>
#include <retrybuild/destination.h>
#include <retrybuild/httpc.h>
#include <retrybuild/policy.h>
#include <retrybuild/source.h>

#include "problems.h"

#define KEY_PATH_BYTES 64
#define ITEM_KEYS_MAX 64
#define STRONG_SECRET_BYTES 16

struct findings {
    const struct rb_problem_ear *ear;
    const char *file;
    const struct rb_settings *settings;
    const struct rb_problems *before; /* what the loader found */
    unsigned n;
};

static void print_problem(void *arg, const char *file, unsigned line, unsigned column,
                          const char *text)
{
    (void)arg;
    if (line > 0) {
        (void)fprintf(stderr, "%s:%u:%u: %s\n", file, line, column, text);
    } else {
        (void)fprintf(stderr, "%s: %s\n", file == NULL ? "defaults" : file, text);
    }
}

static void wrong(struct findings *f, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* is_known - did the loader find fault with @key, or with something in it? What is missing only
 * because it was wrong needs no second problem. */
static bool is_known(const struct findings *f, const char *key)
{
    size_t len = strlen(key);
    for (unsigned i = 0; f->before != NULL && i < f->before->n; i++) {
        const char *text = f->before->items[i].text;
        if (text != NULL && strncmp(text, key, len) == 0 && strchr(":.[_", text[len]) != NULL) {
            return true;
        }
    }
    return false;
}

static void wrong(struct findings *f, const char *key, const char *fmt, ...)
{
    unsigned line = 0;
    unsigned column = 0;
    if (is_known(f, key)) {
        return;
    }
    rb_config_place(f->settings, key, &line, &column);
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(2048);
    rb_buf_addf(&text, "%s: ", key);
    va_list ap;
    va_start(ap, fmt);
    rb_buf_addvf(&text, fmt, ap);
    va_end(ap);
    f->ear->told(f->ear->arg, f->file, line, column, rb_buf_str(&text));
    f->n++;
}

/* wrong_type - "no such type; did you mean", or all that there are. */
static void wrong_type(struct findings *f, const char *list, unsigned i, const char *type,
                       const char *const *names)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf all = RB_BUF_INIT(1024);
    size_t n = 0;
    for (; names[n] != NULL; n++) {
        rb_buf_addf(&all, "%s%s", n == 0 ? "" : ", ", names[n]);
    }
    char key[KEY_PATH_BYTES];
    (void)snprintf(key, sizeof key, "%s[%u].type", list, i);
    const char *near = rb_nearest(type, names, n);
    if (near != NULL) {
        wrong(f, key, "there is no type '%.60s'; did you mean '%s'?", type, near);
    } else {
        wrong(f, key, "there is no type '%.60s'; known are %s", type, rb_buf_str(&all));
    }
}

static bool is_among(const char *word, const char *const *words)
{
    for (; words != NULL && *words != NULL; words++) {
        if (rb_str_eq(word, *words)) {
            return true;
        }
    }
    return false;
}

/* check_keys - every key that item @i of @list has must be one of all types or of its own. */
static void check_keys(struct findings *f, const char *list, unsigned i, const char *type,
                       const char *const *common, const char *const *own)
{
    const char *written[ITEM_KEYS_MAX];
    unsigned n = rb_config_item_keys(f->settings, list, i, written, ITEM_KEYS_MAX);
    for (unsigned k = 0; k < n; k++) {
        if (is_among(written[k], common) || is_among(written[k], own)) {
            continue;
        }
        RB_CLEANUP(rb_buf_release) struct rb_buf all = RB_BUF_INIT(512);
        for (const char *const *p = own; p != NULL && *p != NULL; p++) {
            rb_buf_addf(&all, "%s%s", p == own ? "" : ", ", *p);
        }
        char key[2 * KEY_PATH_BYTES];
        (void)snprintf(key, sizeof key, "%s[%u].%.60s", list, i, written[k]);
        wrong(f, key, "type '%s' has no use for it%s%s", type,
              all.len == 0 ? "" : "; keys of its own are ", rb_buf_str(&all));
    }
}

/* found_by_type - what the row of the type says about the item. */
static void found_by_type(struct findings *f, const char *list, unsigned i, enum rb_code rc,
                          const char *name, const struct rb_err *err)
{
    if (rc != RB_OK) {
        char key[KEY_PATH_BYTES];
        (void)snprintf(key, sizeof key, "%s[%u].%s", list, i, name);
        wrong(f, key, "%s", err->msg);
    }
}

static void check_sources(struct findings *f)
{
    static const char *const common[] = {"name", "type", "secrets", "who", NULL};
    const struct rb_settings *s = f->settings;
    for (unsigned i = 0; i < s->n_sources; i++) {
        if (s->sources[i].type == NULL) {
            continue; /* the loader told */
        }
        const struct rb_source_type *type = rb_source_type_find(s->sources[i].type);
        if (type == NULL) {
            wrong_type(f, "sources", i, s->sources[i].type, rb_source_type_names());
            continue;
        }
        check_keys(f, "sources", i, type->type, common, type->keys);
        struct rb_err err = {.code = RB_OK};
        const char *key = "type";
        if (type->check != NULL) {
            enum rb_code rc = type->check(&s->sources[i], &key, &err); /* before key is read */
            found_by_type(f, "sources", i, rc, key, &err);
        }
    }
}

static void check_destinations(struct findings *f)
{
    static const char *const common[] = {"name",    "type",    "when",     "stages",        "reply",
                                         "timeout", "give_up", "schedule", "max_in_flight", NULL};
    const struct rb_settings *s = f->settings;
    for (unsigned i = 0; i < s->n_destinations; i++) {
        if (s->destinations[i].type == NULL) {
            continue;
        }
        const struct rb_destination_type *type = rb_destination_type_find(s->destinations[i].type);
        if (type == NULL) {
            wrong_type(f, "destinations", i, s->destinations[i].type, rb_destination_type_names());
            continue;
        }
        check_keys(f, "destinations", i, type->type, common, type->keys);
        struct rb_err err = {.code = RB_OK};
        const char *key = "type";
        if (type->check != NULL) {
            enum rb_code rc = type->check(&s->destinations[i], &key, &err);
            found_by_type(f, "destinations", i, rc, key, &err);
        }
    }
}

static void check_addresses(struct findings *f)
{
    const struct rb_strings *allow = &f->settings->network.allow;
    for (unsigned i = 0; i < allow->n; i++) {
        const struct rb_strings one = {.items = &allow->items[i], .n = 1};
        struct rb_netlist *list = NULL;
        struct rb_err err = {.code = RB_OK};
        if (rb_netlist_parse(&one, &list, &err) != RB_OK) {
            char key[KEY_PATH_BYTES];
            (void)snprintf(key, sizeof key, "network.allow[%u]", i);
            wrong(f, key, "%s", err.msg);
        }
        rb_netlist_free(list);
    }
}

/* check_reach - a URL that the guard will refuse whatever its name is. Of the address alone: the
 * rest of it may be a secret, and other faults of it are told elsewhere. */
static void check_reach_of(struct findings *f, const char *key, const char *url)
{
    struct rb_err err = {.code = RB_OK};
    if (url != NULL && rb_httpc_foresee(f->settings, url, &err) == RB_E_BLOCKED) {
        wrong(f, key, "%s", err.msg);
    }
}

static void check_reach(struct findings *f, const char *list, unsigned i, const char *name,
                        const char *url)
{
    char key[KEY_PATH_BYTES];
    (void)snprintf(key, sizeof key, "%s[%u].%s", list, i, name);
    check_reach_of(f, key, url);
}

static void check_reaches(struct findings *f)
{
    const struct rb_settings *s = f->settings;
    for (unsigned i = 0; i < s->n_sources; i++) {
        check_reach(f, "sources", i, "api.url", s->sources[i].api.url);
    }
    for (unsigned i = 0; i < s->n_destinations; i++) {
        const struct rb_destination_setting *d = &s->destinations[i];
        check_reach(f, "destinations", i, "url", d->url == NULL ? NULL : rb_secret_data(d->url));
        check_reach(f, "destinations", i, "api.url", d->api.url);
    }
    check_reach_of(f, "telemetry.otlp_endpoint", s->telemetry.otlp_endpoint);
}

void rb_find_unreachable(const char *path, const struct rb_settings *s,
                         const struct rb_problem_ear *ear)
{
    struct findings f = {.ear = ear, .file = path, .settings = s};
    check_reaches(&f);
}

static void check_weak(struct findings *f, const char *list, unsigned i,
                       const struct rb_secret *secret)
{
    if (secret != NULL && rb_secret_len(secret) < STRONG_SECRET_BYTES) {
        char key[KEY_PATH_BYTES];
        (void)snprintf(key, sizeof key, "%s[%u].secret", list, i);
        wrong(f, key,
              "is shorter than %d bytes and could be guessed; make one with 'openssl rand -hex 24'",
              STRONG_SECRET_BYTES);
    }
}

void rb_find_weak(const char *path, const struct rb_settings *s, const struct rb_problem_ear *ear)
{
    struct findings f = {.ear = ear, .file = path, .settings = s};
    for (unsigned i = 0; i < s->n_tokens; i++) {
        check_weak(&f, "api.tokens", i, s->tokens[i].secret);
    }
    for (unsigned i = 0; i < s->front_door.n_access_keys; i++) {
        check_weak(&f, "api.front_door.access_keys", i, s->front_door.access_keys[i].secret);
    }
}

/* check_pattern - rule @i with no other condition than one expression, so that every bad one is
 * found and its key is known. */
static void check_pattern(struct findings *f, unsigned i, const char *condition,
                          const struct rb_when *when)
{
    struct rb_rule_setting rule = f->settings->rules[i];
    struct rb_settings alone = *f->settings; /* borrows everything; its count never reaches 0 */
    struct rb_policy *policy = NULL;
    struct rb_err err = {.code = RB_OK};
    rule.when = *when;
    alone.rules = &rule;
    alone.n_rules = 1;
    alone.refs = 1;
    if (rb_policy_new(&alone, &policy, &err) != RB_OK) {
        char key[KEY_PATH_BYTES];
        (void)snprintf(key, sizeof key, "rules[%u].when.%s", i, condition);
        wrong(f, key, "%s", err.msg);
    }
    rb_policy_free(policy);
}

static void check_rules(struct findings *f)
{
    for (unsigned i = 0; i < f->settings->n_rules; i++) {
        const struct rb_when *when = &f->settings->rules[i].when;
        const struct rb_when message = {.message = when->message};
        const struct rb_when log = {.log = when->log};
        check_pattern(f, i, "message", &message);
        check_pattern(f, i, "log", &log);
    }
}

enum rb_code rb_find_problems(const char *path, const struct rb_problem_ear *ear,
                              struct rb_settings **ret_s, struct rb_err *err)
{
    RB_CLEANUP(rb_problems_release) struct rb_problems problems = {.items = NULL};
    RB_CLEANUP(rb_settings_unrefp) struct rb_settings *s = NULL;
    enum rb_code rc = rb_config_load(path, &s, &problems, err);
    for (unsigned i = 0; i < problems.n; i++) {
        ear->told(ear->arg, path, problems.items[i].line, problems.items[i].column,
                  problems.items[i].text == NULL ? "no memory" : problems.items[i].text);
    }
    if (rc == RB_E_INVALID && problems.n == 0) {
        ear->told(ear->arg, path, 0, 0, err->msg);
    }
    const struct rb_settings *readable = rc == RB_OK ? s : problems.partial;
    if (readable == NULL) {
        return rc;
    }
    struct findings findings = {
        .ear = ear, .file = path, .settings = readable, .before = &problems};
    check_sources(&findings);
    check_destinations(&findings);
    check_addresses(&findings);
    check_rules(&findings);
    if (ear->strict) {
        check_reaches(&findings);
    }
    if (rc != RB_OK || findings.n > 0) {
        return RB_E_INVALID;
    }
    *ret_s = RB_TAKE(s);
    return RB_OK;
}

static int load(const struct rb_command *c, const char *path, bool strict,
                struct rb_settings **ret_s)
{
    const struct rb_problem_ear ear = {.told = print_problem, .strict = strict};
    struct rb_err err = {.code = RB_OK};

    enum rb_code rc = rb_find_problems(path, &ear, ret_s, &err);
    if (rc != RB_OK && rc != RB_E_INVALID) {
        rb_cli_error(c, "%s", err.msg);
    }
    return rc == RB_OK ? RB_EXIT_OK : RB_EXIT_CONFIG;
}

int rb_load_settings(const struct rb_command *c, const char *path, struct rb_settings **ret_s)
{
    return load(c, path, false, ret_s);
}

int rb_check_settings(const struct rb_command *c, const char *path, struct rb_settings **ret_s)
{
    return load(c, path, true, ret_s);
}

/* validate.c - rules that concern several keys, and values that come from the environment. */
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/str.h>

#include "validate.h"

#define NAME_MAX_BYTES 63
#define DEFAULT_REGION "us-east-1"

static unsigned line_of(const struct rb_node *root, const char *key)
{
    for (unsigned i = 0; i < root->n; i++) {
        if (strcmp(root->entries[i].key, key) == 0) {
            return root->entries[i].line;
        }
    }
    return 0;
}

static bool is_name(const char *s)
{
    size_t len = strlen(s);
    if (len == 0 || len > NAME_MAX_BYTES || strchr("._-", s[0]) != NULL) {
        return false;
    }
    return strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789._-") == len;
}

static void check_name(struct rb_conversion *c, const char *list, unsigned i, unsigned line,
                       const char *name)
{
    if (name == NULL) {
        rb_problem_add(&c->problems, line, 1, "%s[%u].name is missing", list, i);
    } else if (!is_name(name)) {
        rb_problem_add(&c->problems, line, 1,
                       "%s[%u].name: '%.70s' must be 1 to %d of a-z, 0-9, '.', '_', '-', starting "
                       "with a letter or digit",
                       list, i, name, NAME_MAX_BYTES);
    }
}

static const char *lower(struct rb_conversion *c, const char *s)
{
    char *copy = rb_arena_strdup(&c->settings->arena, s);
    for (char *p = copy; p != NULL && *p != '\0'; p++) {
        if (*p >= 'A' && *p <= 'Z') {
            *p = (char)(*p + 32);
        }
    }
    return copy;
}

static void check_sources(struct rb_conversion *c)
{
    struct rb_settings *s = c->settings;
    for (unsigned i = 0; i < s->n_sources; i++) {
        struct rb_source_setting *x = &s->sources[i];
        check_name(c, "sources", i, x->line, x->name);
        if (x->type == NULL) {
            rb_problem_add(&c->problems, x->line, 1, "sources[%u].type is missing", i);
        }
        if (x->secrets.n == 0) {
            rb_problem_add(
                &c->problems, x->line, 1,
                "sources[%u].secrets: at least one secret is needed, or anybody could start builds",
                i);
        }
        x->header = lower(c, x->header);
        for (unsigned k = 0; k < i; k++) {
            if (rb_str_eq(x->name, s->sources[k].name)) {
                rb_problem_add(&c->problems, x->line, 1,
                               "sources[%u].name: '%s' is taken by sources[%u]", i, x->name, k);
            }
        }
    }
}

static void check_destinations(struct rb_conversion *c)
{
    struct rb_settings *s = c->settings;
    for (unsigned i = 0; i < s->n_destinations; i++) {
        struct rb_destination_setting *x = &s->destinations[i];
        check_name(c, "destinations", i, x->line, x->name);
        if (x->type == NULL) {
            rb_problem_add(&c->problems, x->line, 1, "destinations[%u].type is missing", i);
        }
        if (x->url == NULL) {
            rb_problem_add(&c->problems, x->line, 1,
                           "destinations[%u].url is missing (or url_file, url_env)", i);
        }
        for (unsigned o = 0; o < x->when_outcome.n; o++) {
            enum rb_state state = RB_STATE_RECEIVED;
            if (!rb_state_parse(x->when_outcome.items[o], &state)) {
                rb_problem_add(&c->problems, x->line, 1,
                               "destinations[%u].when.outcome: '%.60s' is not a state", i,
                               x->when_outcome.items[o]);
            }
        }
        for (unsigned k = 0; k < i; k++) {
            if (rb_str_eq(x->name, s->destinations[k].name)) {
                rb_problem_add(&c->problems, x->line, 1,
                               "destinations[%u].name: '%s' is taken by destinations[%u]", i,
                               x->name, k);
            }
        }
    }
}

static void check_rules(struct rb_conversion *c)
{
    struct rb_settings *s = c->settings;
    for (unsigned i = 0; i < s->n_rules; i++) {
        struct rb_rule_setting *x = &s->rules[i];
        if (x->name == NULL) {
            x->name = rb_arena_printf(&s->arena, "rule-%u", i + 1);
        } else {
            check_name(c, "rules", i, x->line, x->name);
        }
        for (unsigned k = 0; k < i; k++) {
            if (rb_str_eq(x->name, s->rules[k].name)) {
                rb_problem_add(&c->problems, x->line, 1,
                               "rules[%u].name: '%s' is taken by rules[%u]; limits count by name",
                               i, x->name, k);
            }
        }
    }
}

static void check_tokens(struct rb_conversion *c, unsigned line)
{
    struct rb_settings *s = c->settings;
    for (unsigned i = 0; i < s->n_tokens; i++) {
        struct rb_token_setting *x = &s->tokens[i];
        check_name(c, "api.tokens", i, line, x->name);
        if (x->role == RB_ROLE_NONE) {
            rb_problem_add(&c->problems, line, 1,
                           "api.tokens[%u].role is missing: viewer or operator", i);
        }
        if (x->secret == NULL) {
            rb_problem_add(&c->problems, line, 1,
                           "api.tokens[%u].secret is missing (or secret_file, secret_env)", i);
        } else if (rb_secret_len(x->secret) < 16) {
            rb_problem_add(&c->problems, line, 1,
                           "api.tokens[%u].secret is shorter than 16 bytes; make one with 'openssl "
                           "rand -hex 24'",
                           i);
        }
    }
}

static void check_timing(struct rb_conversion *c, unsigned line)
{
    const struct rb_timing *t = &c->settings->timing;
    if (t->resend_window_ms >= t->token_window_ms) {
        rb_problem_add(&c->problems, line, 1,
                       "timing.resend_window must be shorter than timing.token_window, or AWS "
                       "could have forgotten the token of a call sent again");
    }
    if (t->resend_window_ms >= t->signature_window_ms) {
        rb_problem_add(&c->problems, line, 1,
                       "timing.resend_window must be shorter than timing.signature_window, or a "
                       "call sent again would be refused");
    }
}

/* fill_store - a relative SQLite path lies in $STATE_DIRECTORY, else beside the configuration, else
 * in the current folder. */
static void fill_store(struct rb_conversion *c, unsigned line)
{
    struct rb_settings *s = c->settings;
    const char *url = rb_secret_data(s->store.url);
    if (strstr(url, ":") == NULL) {
        rb_problem_add(&c->problems, line, 1, "store.url: expected sqlite:PATH or redis://HOST");
        return;
    }
    if (!rb_str_starts(url, "sqlite:") || url[7] == '/' || url[7] == '\0' || url[7] == ':') {
        return;
    }
    const char *state_dir = getenv("STATE_DIRECTORY");
    const char *dir = state_dir != NULL && state_dir[0] == '/' ? state_dir : s->base_dir;
    if (dir != NULL) {
        const char *made =
            rb_arena_printf(&s->arena, "sqlite:%.*s/%s", (int)strcspn(dir, ":"), dir, url + 7);
        struct rb_secret *resolved = made == NULL ? NULL : rb_secret_new(made, strlen(made));
        if (resolved != NULL) {
            rb_secret_free(s->store.url);
            s->store.url = resolved;
        }
    }
}

static void fill_aws(struct rb_conversion *c, unsigned line)
{
    struct rb_settings *s = c->settings;
    static const char *const variables[] = {"AWS_REGION", "AWS_DEFAULT_REGION"};
    for (unsigned i = 0; i < RB_ARRAY_LEN(variables) && s->aws.region == NULL; i++) {
        const char *v = getenv(variables[i]);
        if (v != NULL && v[0] != '\0') {
            s->aws.region = rb_arena_strdup(&s->arena, v);
        }
    }
    if (s->aws.region == NULL) {
        s->aws.region = DEFAULT_REGION;
    }
    if (strspn(s->aws.region, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(s->aws.region)) {
        rb_problem_add(&c->problems, line, 1,
                       "aws.region: '%.60s' is not a region such as us-east-1", s->aws.region);
    }
    const char *account = s->aws.account;
    if (account != NULL && (strlen(account) != 12 || strspn(account, "0123456789") != 12)) {
        rb_problem_add(&c->problems, line, 1,
                       "aws.account: '%.60s' is not 12 digits; write it in quotes", account);
    }
    const char *endpoint = s->aws.endpoint_url;
    if (endpoint != NULL && !rb_str_starts(endpoint, "http://") &&
        !rb_str_starts(endpoint, "https://")) {
        rb_problem_add(&c->problems, line, 1,
                       "aws.endpoint_url: '%.100s' is not an http or https URL", endpoint);
    }
}

void rb_validate(struct rb_conversion *c, const struct rb_node *root)
{
    const struct rb_settings *s = c->settings;
    if ((s->listen.certificate_file == NULL) != (s->listen.key_file == NULL)) {
        rb_problem_add(&c->problems, line_of(root, "listen"), 1,
                       "listen.tls needs certificate_file and key_file, or neither");
    }
    if (strrchr(s->listen.address, ':') == NULL) {
        rb_problem_add(&c->problems, line_of(root, "listen"), 1,
                       "listen.address: '%.100s' is not HOST:PORT", s->listen.address);
    }
    check_tokens(c, line_of(root, "api"));
    fill_store(c, line_of(root, "store"));
    fill_aws(c, line_of(root, "aws"));
    check_sources(c);
    check_rules(c);
    check_destinations(c);
    check_timing(c, line_of(root, "timing"));
}

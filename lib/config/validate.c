/* validate.c - rules that concern several keys, and values that come from the environment. */
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/str.h>
#include <retrybuild/url.h>

#include "place.h"
#include "validate.h"

#define NAME_MAX_BYTES 63
#define ACCESS_KEY_MAX_BYTES 128
#define SECRET_KEY_MAX_BYTES 256
#define PORT_MAX 65535
#define DEFAULT_REGION "us-east-1"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define CAPITALS "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

static const char *const statuses[] = {"FAILED", "FAULT", "TIMED_OUT", "STOPPED", "SUCCEEDED"};
static const char *const phases[] = {
    "SUBMITTED", "QUEUED",     "PROVISIONING",     "DOWNLOAD_SOURCE", "INSTALL",   "PRE_BUILD",
    "BUILD",     "POST_BUILD", "UPLOAD_ARTIFACTS", "FINALIZING",      "COMPLETED",
};
static const char *const phase_statuses[] = {"FAILED",       "FAULT",   "TIMED_OUT",
                                             "CLIENT_ERROR", "STOPPED", "SUCCEEDED"};
static const char *const store_schemes[] = {"sqlite:", "redis://", "rediss://", "redis+unix:/",
                                            "redis+sentinel://"};

static bool is_http_url(const char *text)
{
    return rb_str_starts(text, "http://") || rb_str_starts(text, "https://");
}

static bool is_name(const char *s)
{
    size_t len = strlen(s);
    if (len == 0 || len > NAME_MAX_BYTES || strchr("._-", s[0]) != NULL) {
        return false;
    }
    return strspn(s, "abcdefghijklmnopqrstuvwxyz" DIGITS "._-") == len;
}

static void check_name(struct rb_conversion *c, const char *list, unsigned i, const char *name)
{
    const char *path = rb_path(c, "%s[%u].name", list, i);
    if (name == NULL) {
        rb_wrong(c, path, "is missing");
    } else if (!is_name(name)) {
        rb_wrong(c, path,
                 "'%.70s' must be 1 to %d of a-z, 0-9, '.', '_', '-', starting with a letter or "
                 "digit",
                 name, NAME_MAX_BYTES);
    }
}

/* check_taken - @name of item @i is that of item @k, which came before. */
static void check_taken(struct rb_conversion *c, const char *list, unsigned i, unsigned k,
                        const char *name, const char *other)
{
    if (name != NULL && rb_str_eq(name, other)) {
        rb_wrong(c, rb_path(c, "%s[%u].name", list, i), "'%s' is taken by %s[%u]; take another",
                 name, list, k);
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
    return copy == NULL ? "" : copy;
}

/* proven_otherwise - types whose senders sign with a key that is not ours. */
static bool proven_otherwise(const char *type)
{
    return rb_str_eq(type, "sns") || rb_str_eq(type, "discord");
}

static void check_api(struct rb_conversion *c, const char *list, unsigned i,
                      struct rb_api_setting *api)
{
    if (api->url == NULL) {
        return;
    }
    if (!is_http_url(api->url)) {
        rb_wrong(c, rb_path(c, "%s[%u].api.url", list, i), "is not an http:// or https:// URL");
        return;
    }
    char *copy = rb_arena_strdup(&c->settings->arena, api->url);
    size_t len = copy == NULL ? 0 : strlen(copy);
    while (len > 0 && copy[len - 1] == '/') {
        copy[--len] = '\0';
    }
    api->url = copy;
}

static void check_sources(struct rb_conversion *c)
{
    struct rb_settings *s = c->settings;
    for (unsigned i = 0; i < s->n_sources; i++) {
        struct rb_source_setting *x = &s->sources[i];
        check_name(c, "sources", i, x->name);
        if (x->type == NULL) {
            rb_wrong(c, rb_path(c, "sources[%u].type", i), "is missing, for example eventbridge");
        }
        const char *path = rb_path(c, "sources[%u].secrets", i);
        bool proven = x->secrets.n > 0 || x->signing_secrets.n > 0 || x->audience != NULL ||
                      proven_otherwise(x->type);
        if (!proven && !rb_has_problem(c, path)) {
            rb_wrong(c, path, "at least one secret is needed, or anybody could start builds");
        }
        x->header = x->header == NULL ? NULL : lower(c, x->header);
        size_t len = x->header == NULL ? 0 : strlen(x->header);
        if (x->header != NULL && len == 0) {
            len = 0;
        }
        if (x->header != NULL &&
            (len == 0 || strspn(x->header, LETTERS DIGITS "!#$%&'*+-.^_`|~") != len)) {
            rb_wrong(c, rb_path(c, "sources[%u].header", i),
                     "'%.60s' is not the name of a header, such as x-retrybuild-key", x->header);
        }
        check_api(c, "sources", i, &x->api);
        for (unsigned k = 0; k < i; k++) {
            check_taken(c, "sources", i, k, x->name, s->sources[k].name);
        }
    }
}

/* check_words - globs that must be able to match one of @words: a plain word has to be one. */
static void check_words(struct rb_conversion *c, const char *path, const struct rb_strings *globs,
                        const char *const *words, size_t n)
{
    for (unsigned i = 0; i < globs->n; i++) {
        const char *word = globs->items[i] + (globs->items[i][0] == '!' ? 1 : 0);
        bool good = strpbrk(word, "*?[") != NULL;
        for (size_t w = 0; w < n && !good; w++) {
            good = strcmp(word, words[w]) == 0;
        }
        if (!good) {
            const char *near = rb_nearest(word, words, n);
            rb_wrong(c, path, "'%.60s' never happens; did you mean '%s'?", word,
                     near == NULL ? words[0] : near);
        }
    }
}

static void check_outcomes(struct rb_conversion *c, unsigned i)
{
    const struct rb_strings *outcomes = &c->settings->destinations[i].when_outcome;
    const char *names[RB_STATE_COUNT];
    for (unsigned s = 0; s < RB_STATE_COUNT; s++) {
        names[s] = rb_state_name((enum rb_state)s);
    }
    check_words(c, rb_path(c, "destinations[%u].when.outcome", i), outcomes, names, RB_STATE_COUNT);
}

static void check_destinations(struct rb_conversion *c)
{
    struct rb_settings *s = c->settings;
    for (unsigned i = 0; i < s->n_destinations; i++) {
        struct rb_destination_setting *x = &s->destinations[i];
        check_name(c, "destinations", i, x->name);
        if (x->type == NULL) {
            rb_wrong(c, rb_path(c, "destinations[%u].type", i), "is missing, for example webhook");
        }
        const char *path = rb_path(c, "destinations[%u].url", i);
        if (x->url == NULL) {
            bool needed = x->type == NULL || rb_str_eq(x->type, "webhook");
            if (needed && !rb_has_problem(c, path)) {
                rb_wrong(c, path, "is missing (or url_file, url_env)");
            }
        } else if (!is_http_url(rb_secret_data(x->url))) {
            rb_wrong(c, path, "is not an http:// or https:// URL");
        }
        if (rb_str_eq(x->name, "reply")) {
            rb_wrong(c, rb_path(c, "destinations[%u].name", i),
                     "'reply' is what answers to commands are called; take another");
        }
        check_api(c, "destinations", i, &x->api);
        check_outcomes(c, i);
        for (unsigned k = 0; k < i; k++) {
            check_taken(c, "destinations", i, k, x->name, s->destinations[k].name);
        }
    }
}

static void check_rules(struct rb_conversion *c)
{
    struct rb_settings *s = c->settings;
    for (unsigned i = 0; i < s->n_rules; i++) {
        struct rb_rule_setting *x = &s->rules[i];
        if (x->name == NULL) {
            x->name = rb_path(c, "rule-%u", i + 1);
        } else {
            check_name(c, "rules", i, x->name);
        }
        check_words(c, rb_path(c, "rules[%u].when.status", i), &x->when.status, statuses,
                    RB_ARRAY_LEN(statuses));
        check_words(c, rb_path(c, "rules[%u].when.phase", i), &x->when.phase, phases,
                    RB_ARRAY_LEN(phases));
        check_words(c, rb_path(c, "rules[%u].when.phase_status", i), &x->when.phase_status,
                    phase_statuses, RB_ARRAY_LEN(phase_statuses));
        rb_validate_conditions(c, i);
        for (unsigned k = 0; k < i; k++) {
            check_taken(c, "rules", i, k, x->name, s->rules[k].name);
        }
    }
}

static void check_tokens(struct rb_conversion *c)
{
    struct rb_settings *s = c->settings;
    for (unsigned i = 0; i < s->n_tokens; i++) {
        struct rb_token_setting *x = &s->tokens[i];
        check_name(c, "api.tokens", i, x->name);
        const char *path = rb_path(c, "api.tokens[%u].role", i);
        if (x->role == RB_ROLE_NONE && !rb_has_problem(c, path)) {
            rb_wrong(c, path, "is missing: viewer or operator");
        }
        path = rb_path(c, "api.tokens[%u].secret", i);
        if (x->secret == NULL && !rb_has_problem(c, path)) {
            rb_wrong(c, path, "is missing (or secret_file, secret_env)");
        }
        for (unsigned k = 0; k < i; k++) {
            check_taken(c, "api.tokens", i, k, x->name, s->tokens[k].name);
        }
    }
}

/* check_access_key_id - capitals, so that it is never the name of a token: both stand in
 * requested_by and scope idempotency tokens. */
static void check_access_key_id(struct rb_conversion *c, unsigned i)
{
    const struct rb_access_key_setting *keys = c->settings->front_door.access_keys;
    const char *path = rb_path(c, "api.front_door.access_keys[%u].id", i);
    const char *id = keys[i].id;
    if (id == NULL) {
        if (!rb_has_problem(c, path)) {
            rb_wrong(c, path, "is missing, for example AKIAFRONTDOOR");
        }
        return;
    }
    size_t len = strlen(id);
    if (len < 4 || len > ACCESS_KEY_MAX_BYTES || id[0] < 'A' || id[0] > 'Z' ||
        strspn(id, CAPITALS DIGITS "_") != len) {
        rb_wrong(c, path,
                 "'%.70s' must be 4 to %d of A-Z, 0-9 and '_', starting with a letter, such as "
                 "AKIAFRONTDOOR",
                 id, ACCESS_KEY_MAX_BYTES);
    }
    for (unsigned k = 0; k < i; k++) {
        if (rb_str_eq(id, keys[k].id)) {
            rb_wrong(c, path, "'%s' is taken by api.front_door.access_keys[%u]; take another", id,
                     k);
        }
    }
}

static void check_front_door(struct rb_conversion *c)
{
    const struct rb_settings *s = c->settings;
    for (unsigned i = 0; i < s->front_door.n_access_keys; i++) {
        const struct rb_access_key_setting *x = &s->front_door.access_keys[i];
        check_access_key_id(c, i);
        const char *path = rb_path(c, "api.front_door.access_keys[%u].secret", i);
        if (x->secret == NULL) {
            if (!rb_has_problem(c, path)) {
                rb_wrong(c, path, "is missing (or secret_file, secret_env)");
            }
        } else if (rb_secret_len(x->secret) > SECRET_KEY_MAX_BYTES) {
            rb_wrong(c, path, "is longer than %d bytes; make one with 'openssl rand -hex 20'",
                     SECRET_KEY_MAX_BYTES);
        }
    }
}

static void check_timing(struct rb_conversion *c)
{
    const struct rb_timing *t = &c->settings->timing;
    if (t->resend_window_ms >= t->token_window_ms) {
        rb_wrong(c, "timing.resend_window",
                 "must be shorter than timing.token_window, or AWS could have forgotten the token "
                 "of a call sent again");
    }
    if (t->resend_window_ms >= t->signature_window_ms) {
        rb_wrong(c, "timing.resend_window",
                 "must be shorter than timing.signature_window, or a call sent again would be "
                 "refused");
    }
}

/* fill_store - a relative SQLite path lies in $STATE_DIRECTORY, else beside the configuration, else
 * in the current folder. The URL may hold a password: it is never shown. */
static void fill_store(struct rb_conversion *c)
{
    struct rb_settings *s = c->settings;
    const char *url = s->store.url == NULL ? "" : rb_secret_data(s->store.url);
    bool known = false;
    for (unsigned i = 0; i < RB_ARRAY_LEN(store_schemes); i++) {
        known = known || rb_str_starts(url, store_schemes[i]);
    }
    if (!known || rb_str_eq(url, "sqlite:")) {
        rb_wrong(c, "store.url",
                 rb_str_starts(url, "redis+cluster:")
                     ? "redis+cluster is not supported by this version; use one Redis or "
                       "redis+sentinel://HOST,HOST/NAME"
                     : "expected sqlite:PATH, redis://HOST, rediss://HOST, redis+unix:///PATH or "
                       "redis+sentinel://HOST,HOST/NAME");
        return;
    }
    if (!rb_str_starts(url, "sqlite:") || url[7] == '/' || url[7] == ':') {
        return;
    }
    const char *state_dir = getenv("STATE_DIRECTORY");
    const char *dir = state_dir != NULL && state_dir[0] == '/' ? state_dir : s->base_dir;
    if (dir != NULL) {
        /* systemd separates several state directories by ':' */
        int dir_len = dir == state_dir ? (int)strcspn(dir, ":") : (int)strlen(dir);
        const char *made =
            rb_arena_printf(&s->arena, "sqlite:%.*s/%s", dir_len, dir, url + strlen("sqlite:"));
        struct rb_secret *resolved = made == NULL ? NULL : rb_secret_new(made, strlen(made));
        if (resolved != NULL) {
            rb_secret_free(s->store.url);
            s->store.url = resolved;
        }
    }
}

static bool is_account(const char *text)
{
    return text != NULL && strlen(text) == 12 && strspn(text, DIGITS) == 12;
}

static void check_accounts(struct rb_conversion *c)
{
    const struct rb_settings *s = c->settings;
    for (unsigned i = 0; i < s->aws.n_accounts; i++) {
        const struct rb_account_setting *x = &s->aws.accounts[i];
        if (!is_account(x->id)) {
            rb_wrong(c, rb_path(c, "aws.accounts[%u].id", i),
                     "must be 12 digits in quotes, such as \"123456789012\"");
        }
        if (x->role_arn == NULL || !rb_str_starts(x->role_arn, "arn:") ||
            strstr(x->role_arn, ":role/") == NULL) {
            rb_wrong(c, rb_path(c, "aws.accounts[%u].role_arn", i),
                     "must be a role such as arn:aws:iam::123456789012:role/retrybuild");
        }
        for (unsigned k = 0; k < i; k++) {
            if (rb_str_eq(x->id, s->aws.accounts[k].id)) {
                rb_wrong(c, rb_path(c, "aws.accounts[%u].id", i), "stands at aws.accounts[%u] too",
                         k);
            }
        }
    }
}

static void fill_aws(struct rb_conversion *c)
{
    struct rb_settings *s = c->settings;
    static const char *const variables[] = {"AWS_REGION", "AWS_DEFAULT_REGION"};
    s->aws.region_from = s->aws.region == NULL ? NULL : "aws.region";
    for (unsigned i = 0; i < RB_ARRAY_LEN(variables) && s->aws.region == NULL; i++) {
        const char *v = getenv(variables[i]);
        if (v != NULL && v[0] != '\0') {
            s->aws.region = rb_arena_strdup(&s->arena, v);
            s->aws.region_from = variables[i];
        }
    }
    if (s->aws.region == NULL) {
        s->aws.region = DEFAULT_REGION; /* unless rb_aws_settle_region finds another */
    }
    size_t len = strlen(s->aws.region);
    if (len == 0 || strspn(s->aws.region, "abcdefghijklmnopqrstuvwxyz" DIGITS "-") != len) {
        rb_wrong(c, "aws.region", "'%.60s' is not a region such as us-east-1", s->aws.region);
    }
    const char *account = s->aws.account;
    if (account != NULL && !is_account(account)) {
        rb_wrong(c, "aws.account", "'%.60s' is not 12 digits such as \"123456789012\"", account);
    }
    if (s->aws.endpoint_url != NULL && !is_http_url(s->aws.endpoint_url)) {
        rb_wrong(c, "aws.endpoint_url", "is not an http:// or https:// URL");
    }
    check_accounts(c);
    if (!rb_str_empty(s->network.proxy) && !is_http_url(s->network.proxy)) {
        rb_wrong(c, "network.proxy", "is not an http:// or https:// URL");
    }
}

static void check_prices(struct rb_conversion *c)
{
    const struct rb_settings *s = c->settings;
    for (unsigned i = 0; i < s->budgets.n_prices; i++) {
        if (rb_str_empty(s->budgets.prices[i].compute_type)) {
            rb_wrong(c, rb_path(c, "budgets.prices[%u].compute_type", i),
                     "is missing: a glob such as BUILD_GENERAL1_LARGE or \"*\"");
        }
    }
}

static void check_listen(struct rb_conversion *c)
{
    const struct rb_settings *s = c->settings;
    if ((s->listen.certificate_file == NULL) != (s->listen.key_file == NULL)) {
        rb_wrong(c, "listen.tls", "needs certificate_file and key_file, or neither");
    }
    if ((s->store.tls_certificate_file == NULL) != (s->store.tls_key_file == NULL)) {
        rb_wrong(c, "store.tls", "needs certificate_file and key_file, or neither");
    }
    const char *address = s->listen.address;
    const char *colon = strrchr(address, ':');
    int64_t port = -1;
    bool bare_v6 = colon != NULL && address[0] != '[' && strchr(address, ':') != colon;
    if (colon == NULL || bare_v6 || !rb_parse_i64(rb_slice_str(colon + 1), &port) || port < 0 ||
        port > PORT_MAX) {
        rb_wrong(c, "listen.address",
                 "'%.100s' is not HOST:PORT with a port of 0 to %d, such as 127.0.0.1:8080 or "
                 "[::1]:8080",
                 address, PORT_MAX);
    }
}

void rb_validate(struct rb_conversion *c)
{
    check_listen(c);
    check_tokens(c);
    check_front_door(c);
    fill_store(c);
    fill_aws(c);
    check_sources(c);
    check_rules(c);
    check_prices(c);
    check_destinations(c);
    check_timing(c);
    rb_validate_telemetry(c);
}

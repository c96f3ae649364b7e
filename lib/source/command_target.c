/* command_target.c - what one word of a person points at: a build, a retry, a project, a change.
 *
 * The order decides: what is unmistakable first. Links are believed only when their host is AWS's
 * console. Source: facts on integrations, 1.1 and 3.5.
 */
#include <retrybuild/cleanup.h>
#include <retrybuild/url.h>

#include "command_private.h"

#define HEX "0123456789abcdefABCDEF"
#define NAME "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
#define REGION "abcdefghijklmnopqrstuvwxyz0123456789-"

static bool is_uuid(const char *s)
{
    static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    if (strlen(s) != sizeof form - 1) {
        return false;
    }
    for (size_t i = 0; form[i] != '\0'; i++) {
        if (form[i] == '-' ? s[i] != '-' : strchr(HEX, s[i]) == NULL) {
            return false;
        }
    }
    return true;
}

static bool is_commit(const char *s)
{
    size_t n = strlen(s);
    return n >= 7 && n <= 40 && strspn(s, HEX) == n;
}

static bool is_project(const char *s)
{
    size_t n = strlen(s);
    return n >= 2 && n <= 255 && strspn(s, NAME) == n && s[0] != '-' && s[0] != '_';
}

static bool is_pull(const char *s)
{
    if (s[0] != '#' && s[0] != '!') {
        return false;
    }
    size_t n = strlen(s + 1);
    return n >= 1 && n <= 12 && strspn(s + 1, "0123456789") == n;
}

static const char *console_region(const char *host, struct rb_arena *a, bool *ret_ours)
{
    static const char *const domains[] = {"console.aws.amazon.com", "console.amazonaws.cn",
                                          "console.amazonaws-us-gov.com"};
    *ret_ours = false;
    for (size_t i = 0; i < RB_ARRAY_LEN(domains); i++) {
        size_t n = strlen(host), d = strlen(domains[i]);
        if (n == d && strcmp(host, domains[i]) == 0) {
            *ret_ours = true;
            return NULL;
        }
        if (n > d + 1 && host[n - d - 1] == '.' && strcmp(host + n - d, domains[i]) == 0) {
            size_t r = n - d - 1;
            *ret_ours = strspn(host, REGION) == r;
            return *ret_ours ? rb_arena_strndup(a, host, r) : NULL;
        }
    }
    return NULL;
}

static const char *query_region(const struct rb_url *u, struct rb_arena *a)
{
    const char *parts[] = {u->query, u->fragment};
    for (size_t i = 0; i < RB_ARRAY_LEN(parts); i++) {
        const char *at = parts[i] == NULL ? NULL : strstr(parts[i], "region=");
        size_t n = at == NULL ? 0 : strspn(at + 7, REGION);
        if (n > 0 && n <= 32) {
            return rb_arena_strndup(a, at + 7, n);
        }
    }
    return NULL;
}

/* build_at - "<project>:<uuid>" at the beginning of @at. */
static bool build_at(const char *at, struct rb_arena *a, struct rb_build *ret_b)
{
    size_t project = strspn(at, NAME);
    if (at[project] != ':' || strlen(at + project) < 37) {
        return false;
    }
    const char *id = rb_arena_strndup(a, at, project + 37);
    return id != NULL && is_uuid(id + project + 1) &&
           rb_build_parse_ref(id, a, ret_b, NULL) == RB_OK;
}

/* build_in - "…/<project>:<uuid>…" behind "/builds/" or "/build/". */
static bool build_in(const char *text, struct rb_arena *a, struct rb_build *ret_b)
{
    static const char *const before[] = {"/builds/", "/build/"};
    const char *decoded = text == NULL ? NULL : rb_url_decode(text, strlen(text), false, a);
    for (size_t i = 0; decoded != NULL && i < RB_ARRAY_LEN(before); i++) {
        const char *at = strstr(decoded, before[i]);
        if (at != NULL && build_at(at + strlen(before[i]), a, ret_b)) {
            return true;
        }
    }
    return false;
}

static const char *account_in(const char *path, struct rb_arena *a)
{
    static const char before[] = "/codesuite/codebuild/";
    const char *at = strstr(path, before);
    at = at == NULL ? NULL : at + sizeof before - 1;
    return at != NULL && strspn(at, "0123456789") == 12 && at[12] == '/'
               ? rb_arena_strndup(a, at, 12)
               : NULL;
}

static bool console_url(const char *text, struct rb_arena *a, struct rb_build *ret_b)
{
    struct rb_url u;
    bool ours = false;
    if (rb_url_parse(text, strlen(text), a, &u, NULL) != RB_OK || u.userinfo != NULL ||
        !rb_str_eq(u.scheme, "https") || u.port != 0) {
        return false;
    }
    const char *region = console_region(u.host, a, &ours);
    struct rb_build b = RB_BUILD_INIT;
    if (!ours || (!build_in(u.fragment, a, &b) && !build_in(u.path, a, &b))) {
        return false;
    }
    b.region = region != NULL ? region : query_region(&u, a);
    b.account = account_in(u.path, a);
    *ret_b = b;
    return true;
}

/* trimmed - without the punctuation of a sentence at its end. */
static const char *trimmed(const char *word, struct rb_arena *a)
{
    size_t n = strlen(word);
    while (n > 0 && strchr(".,;!?", word[n - 1]) != NULL) {
        n--;
    }
    return rb_arena_strndup(a, word, n);
}

static bool build_target(const char *word, struct rb_arena *a, struct rb_command *c)
{
    struct rb_build b = RB_BUILD_INIT;
    struct rb_err err = {.code = RB_OK};
    if (rb_str_starts(word, "https://") || rb_str_starts(word, "http://")) {
        if (!console_url(word, a, &b)) {
            c->trouble = "this link is no build of the CodeBuild console; give the build's id "
                         "(project:uuid) instead";
            return false;
        }
    } else if (rb_build_parse_ref(word, a, &b, &err) != RB_OK) {
        c->trouble = rb_arena_printf(a, "'%.80s' is no build: %s", word, err.msg);
        return false;
    }
    c->build = b;
    c->target = RB_TARGET_BUILD;
    return true;
}

bool rb_command_target(const char *word, struct rb_arena *a, struct rb_command *c)
{
    word = trimmed(word, a);
    if (word == NULL) {
        return false;
    }
    c->target_text = word;
    if (rb_str_ieq(word, "last")) {
        c->target = RB_TARGET_LAST;
    } else if (is_pull(word)) {
        c->target = RB_TARGET_PULL;
    } else if (rb_id_shard("rty_", word) >= 0) {
        c->target = RB_TARGET_RETRY;
    } else if (rb_str_starts(word, "rty_")) {
        c->trouble = rb_arena_printf(a, "'%.40s' is no id of a retry (rty_ and 26 letters)", word);
        return false;
    } else if (strchr(word, ':') != NULL) {
        return build_target(word, a, c);
    } else if (is_uuid(word)) {
        c->target = RB_TARGET_UUID;
    } else if (is_commit(word)) {
        c->target = RB_TARGET_COMMIT;
    } else if (is_project(word)) {
        c->target = RB_TARGET_PROJECT;
    } else {
        c->trouble = rb_arena_printf(a,
                                     "'%.80s' is no target: give a build (project:uuid, ARN or "
                                     "console link), a project, 'last', '#pr' or a commit",
                                     word);
        return false;
    }
    return true;
}

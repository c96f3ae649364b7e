/* command_target.c - what one word of a person points at: a build, a retry, a project, a change.
 *
 * The order decides: what is unmistakable first. Links are believed only when their host is AWS's
 * console. Source: facts on integrations, 1.1 and 3.5.
 */
#include <retrybuild/cleanup.h>
#include <retrybuild/console.h>

#include "command_private.h"

#define HEX "0123456789abcdefABCDEF"
#define NAME "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

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

static bool console_url(const char *text, struct rb_arena *a, struct rb_build *ret_b)
{
    static const struct rb_strings no_more_hosts = {NULL, 0};
    struct rb_link link;
    if (!rb_str_starts(text, "https://") || !rb_link_parse(text, &no_more_hosts, a, &link) ||
        link.kind != RB_LINK_BUILD || rb_build_parse_ref(link.id, a, ret_b, NULL) != RB_OK) {
        return false;
    }
    ret_b->region = link.region;
    ret_b->account = link.account;
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
        c->trouble = rb_arena_sentence(a, "'%.80s' is no build: %s", word, err.msg);
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
        c->trouble =
            rb_arena_sentence(a, "'%.40s' is no id of a retry (rty_ and 26 letters)", word);
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
        c->trouble = rb_arena_sentence(a,
                                       "'%.80s' is no target: give a build (project:uuid, ARN or "
                                       "console link), a project, 'last', '#pr' or a commit",
                                       word);
        return false;
    }
    return true;
}

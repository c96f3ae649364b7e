/* command_line.c - the words of one command line become a command, or the sentence that says what
 * is wrong with it and what would be right. Nothing is ever skipped silently. */
#include <retrybuild/cleanup.h>

#include "command_private.h"

#define BIT(v) (1U << (v))
#define ANY_VERB (BIT(RB_COMMAND_VERB_COUNT) - 1)
#define TARGETS (BIT(RB_TARGET_FAILED + 1) - 1)
#define ONE_OR_NONE (BIT(RB_TARGET_NONE) | BIT(RB_TARGET_PROJECT))

struct verb_row {
    const char *name;
    unsigned targets; /* kinds that it takes */
    bool last;        /* without a target it means the last one */
    const char *usage;
};

static const struct verb_row verbs[RB_COMMAND_VERB_COUNT] = {
    [RB_COMMAND_RETRY] = {"retry", TARGETS, true,
                          "retry [target] [--force] [--batch] [--failed-only] [--dry-run] "
                          "[--region=R] [--reason=\"…\"]"},
    [RB_COMMAND_STATUS] = {"status", TARGETS, true, "status [target]"},
    [RB_COMMAND_CANCEL] = {"cancel", TARGETS, true, "cancel [target] [--reason=\"…\"]"},
    [RB_COMMAND_LIST] = {"list", ONE_OR_NONE | BIT(RB_TARGET_PULL), false, "list [project|#pr]"},
    [RB_COMMAND_APPROVE] = {"approve", TARGETS, false, "approve [target]"},
    [RB_COMMAND_DENY] = {"deny", TARGETS, false, "deny [target] [--reason=\"…\"]"},
    [RB_COMMAND_PAUSE] = {"pause", ONE_OR_NONE, false, "pause [project]"},
    [RB_COMMAND_RESUME] = {"resume", ONE_OR_NONE, false, "resume [project]"},
    [RB_COMMAND_EXPLAIN] = {"explain", TARGETS, true, "explain [target]"},
    [RB_COMMAND_HELP] = {"help", BIT(RB_TARGET_NONE), false, "help"},
    [RB_COMMAND_VERSION] = {"version", BIT(RB_TARGET_NONE), false, "version"},
};

enum flag_kind { FLAG_BOOL, FLAG_TEXT, FLAG_TARGET };

struct flag_row {
    const char *name;
    enum flag_kind kind;
    size_t offset; /* in struct rb_command */
    unsigned verbs;
};

#define MEMBER(m) offsetof(struct rb_command, m)
static const struct flag_row flags[] = {
    {"force", FLAG_BOOL, MEMBER(force), BIT(RB_COMMAND_RETRY)},
    {"batch", FLAG_BOOL, MEMBER(batch), BIT(RB_COMMAND_RETRY)},
    {"failed-only", FLAG_BOOL, MEMBER(failed_only), BIT(RB_COMMAND_RETRY)},
    {"dry-run", FLAG_BOOL, MEMBER(dry_run), BIT(RB_COMMAND_RETRY)},
    {"region", FLAG_TEXT, MEMBER(region), ANY_VERB},
    {"reason", FLAG_TEXT, MEMBER(reason), ANY_VERB},
    {"build", FLAG_TARGET, 0, ANY_VERB},
    {"project", FLAG_TARGET, 0, ANY_VERB},
};
static const char *const flag_names[] = {"force",  "batch",  "failed-only", "dry-run",
                                         "region", "reason", "build",       "project"};
_Static_assert(RB_ARRAY_LEN(flag_names) == RB_ARRAY_LEN(flags), "a name for each flag");

const char *rb_command_verb_name(enum rb_command_verb v)
{
    return (unsigned)v < RB_COMMAND_VERB_COUNT ? verbs[v].name : "?";
}

bool rb_command_verb_parse(const char *name, enum rb_command_verb *ret_v)
{
    if (rb_str_ieq(name, "build")) {
        *ret_v = RB_COMMAND_RETRY;
        return true;
    }
    for (unsigned i = 0; i < RB_COMMAND_VERB_COUNT; i++) {
        if (rb_str_ieq(name, verbs[i].name)) {
            *ret_v = (enum rb_command_verb)i;
            return true;
        }
    }
    return false;
}

const char *rb_command_usage(enum rb_command_verb v)
{
    return (unsigned)v < RB_COMMAND_VERB_COUNT ? verbs[v].usage : "";
}

struct reading {
    const struct rb_command_words *w;
    unsigned at; /* next word */
    struct rb_arena *a;
    struct rb_command *c;
    bool failed; /* "retest" */
};

#define TROUBLE(k, ...) ((k)->c->trouble = rb_arena_sentence((k)->a, __VA_ARGS__))

/* near_verb - for a word that is no verb and could be a slip of one: most slips keep the first
 * letter, and many project names are near to some verb without that. */
static const char *near_verb(const char *word)
{
    const char *names[RB_COMMAND_VERB_COUNT];
    unsigned n = 0;
    for (unsigned i = 0; i < RB_COMMAND_VERB_COUNT; i++) {
        if ((verbs[i].name[0] | 0x20) == (word[0] | 0x20)) {
            names[n++] = verbs[i].name;
        }
    }
    return n == 0 ? NULL : rb_nearest(word, names, n);
}

static const struct flag_row *flag_of(const char *name)
{
    for (size_t i = 0; i < RB_ARRAY_LEN(flags); i++) {
        if (rb_str_ieq(name, flags[i].name)) {
            return &flags[i];
        }
    }
    return NULL;
}

static bool target(struct reading *k, const char *word)
{
    struct rb_command *c = k->c;
    if (c->target != RB_TARGET_NONE) {
        TROUBLE(k, "one target at a time: '%.80s' is one too many. Usage: %s", word,
                verbs[c->verb].usage);
        return false;
    }
    if (!rb_command_target(word, k->a, c)) {
        return false;
    }
    if ((verbs[c->verb].targets & BIT(c->target)) == 0) {
        TROUBLE(k, "'%s' does not go with '%.80s'. Usage: %s", verbs[c->verb].name, word,
                verbs[c->verb].usage);
        return false;
    }
    return true;
}

static bool set_bool(struct reading *k, const struct flag_row *f, const char *value)
{
    bool off = value != NULL && rb_str_ieq(value, "false");
    if (value != NULL && !off && !rb_str_ieq(value, "true")) {
        TROUBLE(k, "--%s is true or false, not '%.40s'", f->name, value);
        return false;
    }
    *(bool *)((char *)k->c + f->offset) = !off;
    return true;
}

static bool set_text(struct reading *k, const struct flag_row *f, const char *value)
{
    if (value == NULL && k->at < k->w->n) {
        value = k->w->items[k->at++].text;
    }
    if (rb_str_empty(value)) {
        TROUBLE(k, "--%s needs a value. Usage: %s", f->name, verbs[k->c->verb].usage);
        return false;
    }
    if (strlen(value) > RB_COMMAND_REASON_BYTES_MAX || !rb_utf8_valid(value, strlen(value))) {
        TROUBLE(k, "--%s is longer than %d bytes, or not UTF-8", f->name,
                RB_COMMAND_REASON_BYTES_MAX);
        return false;
    }
    if (f->offset == MEMBER(region) &&
        (strlen(value) > 32 ||
         strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(value))) {
        TROUBLE(k, "'%.40s' is no region; one is called us-east-1", value);
        return false;
    }
    *(const char **)((char *)k->c + f->offset) = value;
    return true;
}

/* flag - "name" or "name=value", without its dashes. */
static bool flag(struct reading *k, const char *as_written, const char *text)
{
    const char *eq = strchr(text, '=');
    const char *name = eq == NULL ? text : rb_arena_strndup(k->a, text, (size_t)(eq - text));
    const struct flag_row *f = name == NULL ? NULL : flag_of(name);
    if (f == NULL) {
        const char *near = name == NULL || *name == '\0'
                               ? NULL
                               : rb_nearest(name, flag_names, RB_ARRAY_LEN(flag_names));
        TROUBLE(k, "unknown flag '%.40s'%s%s%s Usage: %s", as_written,
                near == NULL ? "." : "; did you mean '--", near == NULL ? "" : near,
                near == NULL ? "" : "'?", verbs[k->c->verb].usage);
        return false;
    }
    if ((f->verbs & BIT(k->c->verb)) == 0) {
        TROUBLE(k, "--%s does not go with '%s'. Usage: %s", f->name, verbs[k->c->verb].name,
                verbs[k->c->verb].usage);
        return false;
    }
    const char *value = eq == NULL ? NULL : eq + 1;
    switch (f->kind) {
    case FLAG_BOOL:
        return set_bool(k, f, value);
    case FLAG_TEXT:
        return set_text(k, f, value);
    case FLAG_TARGET:
    default:
        if (value == NULL && k->at < k->w->n) {
            value = k->w->items[k->at++].text;
        }
        return target(k, value == NULL ? "" : value);
    }
}

static bool is_pair(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_");
    return n > 0 && s[n] == '=';
}

static bool argument(struct reading *k, const struct rb_command_word *w)
{
    if (w->mention) {
        TROUBLE(k, "'%.40s' is no target. Usage: %s", w->text, verbs[k->c->verb].usage);
        return false;
    }
    if (!w->quoted && w->text[0] == '-') {
        size_t dashes = strspn(w->text, "-");
        bool known = dashes == 2;
        return flag(k, w->text, known ? w->text + 2 : w->text);
    }
    if (!w->quoted && is_pair(w->text)) {
        return flag(k, w->text, w->text);
    }
    return target(k, w->text);
}

/* says_build_again - "retry build TARGET": the second verb says what the first did. */
static bool says_build_again(const struct reading *k, const char *verb)
{
    const struct rb_command_word *w = &k->w->items[k->at]; /* and what stands behind it */
    return rb_str_ieq(verb, "retry") && k->at + 1 < k->w->n && !w->quoted &&
           rb_str_ieq(w->text, "build") && w[1].text[0] != '-' && !is_pair(w[1].text);
}

/* take_verb - the verb, if the next word is one. False: it looks like one and is none. */
static bool take_verb(struct reading *k, bool named)
{
    const struct rb_command_word *w = k->at < k->w->n ? &k->w->items[k->at] : NULL;
    if (w == NULL || w->quoted || w->mention) {
        return true;
    }
    if (rb_command_verb_parse(w->text, &k->c->verb)) {
        k->at++;
        k->at += says_build_again(k, w->text) ? 1 : 0;
        return true;
    }
    if (!named && rb_str_ieq(w->text, "retest")) {
        k->at++;
        k->failed = true;
        return true;
    }
    const char *near = named ? NULL : near_verb(w->text);
    struct rb_command as_target = {.target = RB_TARGET_NONE};
    if (near != NULL && rb_command_target(w->text, k->a, &as_target) &&
        as_target.target == RB_TARGET_PROJECT) {
        TROUBLE(k, "unknown command '%.40s'; did you mean '%s'? (for a project: retry %.40s)",
                w->text, near, w->text);
        return false;
    }
    return true;
}

/* complete - what was not said. */
static void complete(struct reading *k)
{
    struct rb_command *c = k->c;
    if (k->failed && c->target != RB_TARGET_NONE && c->target != RB_TARGET_PULL) {
        TROUBLE(k,
                "retest takes no target but '#pr': it runs again what failed of that pull "
                "request; for one build: %s",
                verbs[RB_COMMAND_RETRY].usage);
        return;
    }
    if (c->target == RB_TARGET_NONE && k->failed) {
        c->target = RB_TARGET_FAILED;
    } else if (c->target == RB_TARGET_NONE && verbs[c->verb].last) {
        c->target = RB_TARGET_LAST;
    }
    c->failed_only = c->failed_only || k->failed;
    if (c->target == RB_TARGET_BUILD && c->region != NULL && c->build.region == NULL) {
        c->build.region = c->region;
    } else if (c->target == RB_TARGET_BUILD && c->region != NULL &&
               !rb_str_eq(c->build.region, c->region)) {
        TROUBLE(k, "the build is one of %s, not of %s", c->build.region, c->region);
    }
}

enum rb_code rb_command_read(const struct rb_command_words *w, unsigned first,
                             enum rb_command_verb verb, bool named, bool failed, struct rb_arena *a,
                             struct rb_command *ret_c, struct rb_err *err)
{
    struct rb_command c = {.verb = verb, .build = RB_BUILD_INIT};
    struct reading k = {.w = w, .at = first, .a = a, .c = &c, .failed = failed};
    bool ok = w->trouble == NULL;
    c.trouble = w->trouble;
    ok = ok && (failed || take_verb(&k, named));
    if (ok && c.verb == RB_COMMAND_HELP) { /* "help retry": the help shows every verb anyway */
        enum rb_command_verb topic = RB_COMMAND_HELP;
        k.at += k.at < w->n && rb_command_verb_parse(w->items[k.at].text, &topic) ? 1 : 0;
    }
    while (ok && k.at < w->n) {
        ok = argument(&k, &w->items[k.at++]);
    }
    if (ok) {
        complete(&k);
    } else if (c.trouble == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a command");
    }
    *ret_c = c;
    return RB_OK;
}

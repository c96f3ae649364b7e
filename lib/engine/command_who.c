/* command_who.c - who may give which command, and the sentence for who may not.
 *
 * Any row of `who` allows; what a row names must all hold. Without rows: on git hosts who may write
 * to the repository, in chats nobody. Whoever may write to one repository is not asked about the
 * whole service: pausing it from a comment needs a row that names the command.
 */
#include "command_internal.h"

#define GIT(o) ((o)->c->place.repository != NULL)

static bool contains(const struct rb_strings *list, const char *s)
{
    for (unsigned i = 0; s != NULL && i < list->n; i++) {
        if (strcmp(list->items[i], s) == 0) {
            return true;
        }
    }
    return false;
}

/* A git host's login is as good as an id; a display name of a chat is anybody's to choose, and so
 * is the nickname at Bitbucket Cloud. */
static bool user_fits(const struct rb_order *o, const struct rb_strings *users)
{
    const struct rb_actor *who = &o->c->actor;
    bool login = GIT(o) && !rb_str_eq(o->q->source->type, "bitbucket");
    return contains(users, who->id) || (login && contains(users, who->name));
}

static bool group_fits(const struct rb_order *o, const struct rb_strings *groups)
{
    for (unsigned i = 0; i < o->c->actor.n_groups; i++) {
        if (contains(groups, o->c->actor.groups[i])) {
            return true;
        }
    }
    return false;
}

static bool project_fits(const struct rb_strings *globs, const char *project)
{
    if (globs->n == 0) {
        return true;
    }
    for (unsigned i = 0; project != NULL && i < globs->n; i++) {
        if (rb_glob_match(globs->items[i], project)) {
            return true;
        }
    }
    return false;
}

static bool about_all(enum rb_command_verb v)
{
    return v == RB_COMMAND_PAUSE || v == RB_COMMAND_RESUME;
}

static enum rb_permission permission_of(const struct rb_order *o)
{
    return o->q->facts == NULL ? RB_PERMISSION_NONE : o->q->facts->permission;
}

static bool row_allows(const struct rb_order *o, const struct rb_who_setting *w,
                       enum rb_command_verb verb, const char *project)
{
    const char *name = rb_command_verb_name(verb);
    bool says_who = w->anyone || w->users.n > 0 || w->groups.n > 0 || w->channels.n > 0 ||
                    w->permission != RB_PERMISSION_NONE;
    if (!says_who || (w->commands.n > 0 && !contains(&w->commands, name)) ||
        !project_fits(&w->projects, project)) {
        return false;
    }
    if (GIT(o) && about_all(verb) && w->commands.n == 0) {
        return false;
    }
    return (w->users.n == 0 || user_fits(o, &w->users)) &&
           (w->groups.n == 0 || group_fits(o, &w->groups)) &&
           (w->channels.n == 0 || contains(&w->channels, o->c->place.channel)) &&
           (w->permission == RB_PERMISSION_NONE || permission_of(o) >= w->permission);
}

bool rb_order_may(const struct rb_order *o, enum rb_command_verb verb, const char *project)
{
    const struct rb_source_setting *s = o->q->source;
    if (verb == RB_COMMAND_HELP || verb == RB_COMMAND_VERSION) {
        return true;
    }
    for (unsigned i = 0; i < s->n_who; i++) {
        if (row_allows(o, &s->who[i], verb, project)) {
            return true;
        }
    }
    return s->n_who == 0 && GIT(o) && !about_all(verb) && permission_of(o) >= RB_PERMISSION_WRITE;
}

bool rb_command_asks_host(const struct rb_source_setting *s, const struct rb_command *c)
{
    if (c->place.repository == NULL || c->actor.bot) {
        return false;
    }
    bool permission = s->n_who == 0;
    for (unsigned i = 0; i < s->n_who; i++) {
        permission =
            permission || s->who[i].permission != RB_PERMISSION_NONE || s->who[i].groups.n > 0;
    }
    return permission || (c->verb == RB_COMMAND_RETRY && c->trouble == NULL);
}

static const char *const permission_names[] = {"none", "read", "write", "admin"};

static void name_row(struct rb_order *o, const struct rb_who_setting *w, unsigned n)
{
    struct rb_buf *b = &o->text;
    rb_buf_adds(b, n == 0 ? "" : ", or ");
    const char *and = "";
    if (w->users.n > 0) {
        rb_buf_adds(b, "to be one of the listed users");
        and = " and ";
    }
    if (w->groups.n > 0) {
        rb_buf_addf(b, "%sto be in a listed group", and);
        and = " and ";
    }
    if (w->channels.n > 0) {
        rb_buf_addf(b, "%sone of the listed channels", and);
        and = " and ";
    }
    if (w->permission != RB_PERMISSION_NONE) {
        rb_buf_addf(b, "%spermission '%s' on the repository", and, permission_names[w->permission]);
        and = " and ";
    }
    if (w->projects.n > 0) {
        rb_buf_addf(b, "%sone of the projects listed with it", and);
    }
}

void rb_order_missing(struct rb_order *o, enum rb_command_verb verb, const char *project)
{
    const struct rb_source_setting *s = o->q->source;
    const char *id = o->c->actor.id == NULL ? "unknown" : o->c->actor.id;
    const char *name = rb_command_verb_name(verb);
    unsigned n = 0;

    rb_buf_addf(&o->text, "Sorry, you (%s) may not use '%s'%s%s here. ", id, name,
                project == NULL ? "" : " for ", project == NULL ? "" : project);
    size_t before = o->text.len;
    rb_buf_adds(&o->text, "It takes ");
    if (s->n_who == 0 && GIT(o) && !about_all(verb)) {
        rb_buf_adds(&o->text, "permission 'write' on the repository");
        n++;
    }
    for (unsigned i = 0; i < s->n_who && n < 5; i++) {
        const struct rb_who_setting *w = &s->who[i];
        bool skipped = (w->commands.n > 0 && !contains(&w->commands, name)) ||
                       (GIT(o) && about_all(verb) && w->commands.n == 0);
        if (!skipped) {
            name_row(o, w, n);
            n++;
        }
    }
    if (n == 0) {
        rb_buf_truncate(&o->text, before);
        rb_buf_adds(&o->text, "Nobody is allowed to yet");
    }
    rb_buf_addf(&o->text, " (`who` of source '%s' in the configuration; ask the operator).",
                s->name);
}

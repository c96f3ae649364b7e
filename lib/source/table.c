/* table.c - every source type there is, by name; and the comparison of shared secrets. */
#include <retrybuild/cleanup.h>
#include <retrybuild/source.h>

#include "types.h"

static const struct rb_source_type *const rows[] = {
    &rb_source_bitbucket,   &rb_source_bitbucket_server,
    &rb_source_cloudevents, &rb_source_discord,
    &rb_source_eventbridge, &rb_source_forgejo,
    &rb_source_generic,     &rb_source_gitea,
    &rb_source_github,      &rb_source_gitlab,
    &rb_source_googlechat,  &rb_source_mattermost,
    &rb_source_rocketchat,  &rb_source_slack,
    &rb_source_sns,         &rb_source_standard_webhooks,
    &rb_source_teams,
};

const struct rb_source_type *rb_source_type_find(const char *type)
{
    for (size_t i = 0; type != NULL && i < RB_ARRAY_LEN(rows); i++) {
        if (rb_str_eq(rows[i]->type, type)) {
            return rows[i];
        }
    }
    return NULL;
}

const char *const *rb_source_type_names(void)
{
    static const char *const names[] = {"bitbucket",   "bitbucket-server",
                                        "cloudevents", "discord",
                                        "eventbridge", "forgejo",
                                        "generic",     "gitea",
                                        "github",      "gitlab",
                                        "googlechat",  "mattermost",
                                        "rocketchat",  "slack",
                                        "sns",         "standard-webhooks",
                                        "teams",       NULL};
    _Static_assert(RB_ARRAY_LEN(names) == RB_ARRAY_LEN(rows) + 1, "a name for each row");
    return names;
}

bool rb_secrets_match(const struct rb_secrets *s, const char *presented, size_t len, int64_t now_ms)
{
    /* no early end: how long this takes must not tell which secret was nearly right */
    unsigned matches = 0;
    for (unsigned i = 0; i < s->n; i++) {
        const struct rb_secret_entry *e = &s->items[i];
        unsigned equal = rb_secret_equal(e->secret, presented, len) ? 1U : 0U;
        unsigned alive = e->not_after_ms == 0 || now_ms <= e->not_after_ms ? 1U : 0U;
        matches |= equal & alive;
    }
    return matches != 0;
}

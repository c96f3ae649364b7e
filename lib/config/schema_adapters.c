/* schema_adapters.c - the keys of sources and destinations. A type's row in its own area says which
 * of them it knows; the rest are problems there. */
#include "schema.h"

static const char *const permission_words[] = {"", "read", "write", "admin", NULL};
static const char *const algorithm_words[] = {"sha256", "sha1", "sha512", NULL};
static const char *const encoding_words[] = {"hex", "base64", NULL};

static const struct rb_key source_app_keys[] = {
    {"id", RB_KEY_TEXT, NULL, true, "the app's id or client id", IN(rb_source_setting, api.app_id)},
    {"private_key", RB_KEY_SECRET, NULL, true, "its RSA key, PEM",
     IN(rb_source_setting, api.app_key)},
    {"installation", RB_KEY_TEXT, NULL, true, "installation id; absent = that of the repository",
     IN(rb_source_setting, api.app_installation)},
};

static const struct rb_key source_api_keys[] = {
    {"url", RB_KEY_TEXT, NULL, true,
     "root of the host's REST API with its prefix, such as https://HOST/api/v3; absent = the "
     "public "
     "host's",
     IN(rb_source_setting, api.url)},
    {"token", RB_KEY_SECRET, NULL, true, "credential of that API",
     IN(rb_source_setting, api.token)},
    {"app", RB_KEY_MAP, NULL, true, "GitHub App instead of a token", CHILDREN(source_app_keys)},
};

static const struct rb_key destination_app_keys[] = {
    {"id", RB_KEY_TEXT, NULL, true, "the app's id or client id",
     IN(rb_destination_setting, api.app_id)},
    {"private_key", RB_KEY_SECRET, NULL, true, "its RSA key, PEM",
     IN(rb_destination_setting, api.app_key)},
    {"installation", RB_KEY_TEXT, NULL, true, "installation id; absent = that of the repository",
     IN(rb_destination_setting, api.app_installation)},
};

static const struct rb_key destination_api_keys[] = {
    {"url", RB_KEY_TEXT, NULL, true,
     "root of the host's REST API with its prefix, such as https://HOST/api/v3; absent = the "
     "public "
     "host's",
     IN(rb_destination_setting, api.url)},
    {"token", RB_KEY_SECRET, NULL, true, "credential of that API",
     IN(rb_destination_setting, api.token)},
    {"app", RB_KEY_MAP, NULL, true, "GitHub App instead of a token",
     CHILDREN(destination_app_keys)},
};

static const struct rb_key who_keys[] = {
    {"users", RB_KEY_TEXTS, NULL, true, "the platform's user ids or names",
     IN(rb_who_setting, users)},
    {"groups", RB_KEY_TEXTS, NULL, true, "the platform's groups", IN(rb_who_setting, groups)},
    {"channels", RB_KEY_TEXTS, NULL, true, "the platform's channels", IN(rb_who_setting, channels)},
    {"permission", RB_KEY_WORD, NULL, true, "git hosts: at least read, write or admin",
     IN(rb_who_setting, permission), .words = permission_words},
    {"anyone", RB_KEY_BOOL, "false", true, "everybody who can write there",
     IN(rb_who_setting, anyone)},
    {"commands", RB_KEY_TEXTS, NULL, true, "only these verbs; absent = all",
     IN(rb_who_setting, commands)},
    {"projects", RB_KEY_TEXTS, NULL, true, "only these projects, globs; absent = all",
     IN(rb_who_setting, projects)},
};

static const struct rb_key path_keys[] = {
    {"build", RB_KEY_TEXT, NULL, true, "id or ARN of the build; absent = data.build",
     IN(rb_source_setting, paths.build)},
    {"project", RB_KEY_TEXT, NULL, true, "project, where the build is a bare uuid",
     IN(rb_source_setting, paths.project)},
    {"region", RB_KEY_TEXT, NULL, true, "region, where the build is no ARN",
     IN(rb_source_setting, paths.region)},
    {"account", RB_KEY_TEXT, NULL, true, "account, where the build is no ARN",
     IN(rb_source_setting, paths.account)},
    {"status", RB_KEY_TEXT, NULL, true, "build status; absent = asked of CodeBuild",
     IN(rb_source_setting, paths.status)},
    {"token", RB_KEY_TEXT, NULL, true, "idempotency token", IN(rb_source_setting, paths.token)},
};

const struct rb_key rb_source_keys[RB_SOURCE_KEYS] = {
    {"name", RB_KEY_TEXT, NULL, true, "last part of the hook's path: POST /v1/hooks/NAME",
     IN(rb_source_setting, name)},
    {"type", RB_KEY_TEXT, NULL, true, "eventbridge, sns, github, slack, …",
     IN(rb_source_setting, type)},
    {"header", RB_KEY_TEXT, NULL, true,
     "the header that carries the secret or signature; absent = x-retrybuild-key",
     IN(rb_source_setting, header)},
    {"secrets", RB_KEY_SECRETS, NULL, true,
     "accepted secrets, all tried: [{value|file|env, not_after: the last day}]",
     IN(rb_source_setting, secrets)},
    {"signing_secrets", RB_KEY_SECRETS, NULL, true,
     "gitlab: signing tokens (whsec_…); a delivery must then be signed with one",
     IN(rb_source_setting, signing_secrets)},
    {"api", RB_KEY_MAP, NULL, true, "the sender's REST API", CHILDREN(source_api_keys)},
    {"who", RB_KEY_LIST, NULL, true,
     "who may give commands, any row allows; absent = permission write on git hosts, nobody in "
     "chat",
     IN(rb_source_setting, who),
     LIST_OF(rb_who_setting, who_keys, offsetof(struct rb_source_setting, n_who),
             offsetof(struct rb_who_setting, line))},
    {"commands", RB_KEY_TEXTS, NULL, true, "chat: the verbs that are understood; absent = all",
     IN(rb_source_setting, commands)},
    {"console_hosts", RB_KEY_TEXTS, NULL, true,
     "git hosts: further hosts that a build link may point to",
     IN(rb_source_setting, console_hosts)},
    {"topics", RB_KEY_TEXTS, NULL, true, "sns: globs of topic ARNs", IN(rb_source_setting, topics)},
    {"confirm", RB_KEY_BOOL, "false", true, "sns: confirm subscriptions of these topics",
     IN(rb_source_setting, confirm)},
    {"signature_versions", RB_KEY_TEXTS, NULL, true, "sns: 1, 2; absent = both",
     IN(rb_source_setting, signature_versions)},
    {"certificate_file", RB_KEY_PATH, NULL, true,
     "sns, googlechat: the signer's certificate, for servers that are not AWS's or Google's",
     IN(rb_source_setting, certificate_file)},
    {"public_key", RB_KEY_TEXT, NULL, true, "discord: the application's public key",
     IN(rb_source_setting, public_key)},
    {"audience", RB_KEY_TEXT, NULL, true,
     "googlechat: the app's authentication audience, its project number or the URL of the hook",
     IN(rb_source_setting, audience)},
    {"paths", RB_KEY_MAP, NULL, true,
     "standard-webhooks, generic: where the body says what, dotted", CHILDREN(path_keys)},
    {"algorithm", RB_KEY_WORD, "sha256", true, "generic: sha256, sha1 or sha512",
     IN(rb_source_setting, algorithm), .words = algorithm_words},
    {"encoding", RB_KEY_WORD, "hex", true, "generic: hex or base64",
     IN(rb_source_setting, encoding), .words = encoding_words},
    {"prefix", RB_KEY_TEXT, NULL, true,
     "generic: before the digest, such as sha256=", IN(rb_source_setting, prefix)},
};

static const struct rb_key destination_when_keys[] = {
    {"project", RB_KEY_TEXTS, NULL, true, "globs", IN(rb_destination_setting, when_project)},
    {"branch", RB_KEY_TEXTS, NULL, true, "globs", IN(rb_destination_setting, when_branch)},
    {"repository", RB_KEY_TEXTS, NULL, true, "globs", IN(rb_destination_setting, when_repository)},
    {"outcome", RB_KEY_TEXTS, NULL, true, "states: recovered, failed_again, dead, …",
     IN(rb_destination_setting, when_outcome)},
    {"source", RB_KEY_TEXTS, NULL, true, "globs of the source's name",
     IN(rb_destination_setting, when_source)},
};

const struct rb_key rb_destination_keys[RB_DESTINATION_KEYS] = {
    {"name", RB_KEY_TEXT, NULL, true, "shown in reports and metrics",
     IN(rb_destination_setting, name)},
    {"type", RB_KEY_TEXT, NULL, true,
     "webhook, slack, github-status, …: each has a README section of its own",
     IN(rb_destination_setting, type)},
    {"url", RB_KEY_SECRET, NULL, true, "where to post; a secret", IN(rb_destination_setting, url)},
    {"secrets", RB_KEY_SECRETS, NULL, true,
     "signing keys (whsec_… or text); several while one is being replaced",
     IN(rb_destination_setting, secrets)},
    {"api", RB_KEY_MAP, NULL, true, "the receiver's REST API", CHILDREN(destination_api_keys)},
    {"context", RB_KEY_TEXT, NULL, true,
     "commit statuses: their name, a template; absent = retrybuild/<project>; original = "
     "CodeBuild's "
     "own",
     IN(rb_destination_setting, context)},
    {"channel", RB_KEY_TEXT, NULL, true, "slack with api: where to post",
     IN(rb_destination_setting, channel)},
    {"format", RB_KEY_TEXT, NULL, true,
     "webhook: standard or cloudevents; sns: json or q-developer; absent = the first",
     IN(rb_destination_setting, format)},
    {"topic_arn", RB_KEY_TEXT, NULL, true, "sns: the topic", IN(rb_destination_setting, topic_arn)},
    {"bus", RB_KEY_TEXT, NULL, true, "eventbridge: name or ARN; absent = default",
     IN(rb_destination_setting, bus)},
    {"source", RB_KEY_TEXT, NULL, true, "eventbridge: source of the events; absent = retrybuild",
     IN(rb_destination_setting, event_source)},
    {"endpoint_url", RB_KEY_TEXT, NULL, true, "sns, eventbridge: another endpoint than AWS's own",
     IN(rb_destination_setting, endpoint_url)},
    {"reply", RB_KEY_BOOL, "false", true,
     "slack with api: what was asked for in a channel is told there; answers to commands and "
     "comments "
     "need no key",
     IN(rb_destination_setting, reply)},
    {"when", RB_KEY_MAP, NULL, true, "which retries are reported; absent = all",
     CHILDREN(destination_when_keys)},
    {"stages", RB_KEY_STAGES, "[held, started, finished, refused]", true,
     "which of held, started, finished, refused", IN(rb_destination_setting, stages)},
    {"timeout", RB_KEY_DURATION, NULL, true, "for one post; absent = timing.report_timeout",
     IN(rb_destination_setting, timeout_ms), .min = 100, .max = 2 * MINUTE},
    {"give_up", RB_KEY_DURATION, "24h", true, "after this a report is dead",
     IN(rb_destination_setting, give_up_ms), .min = SECOND, .max = 30 * DAY},
    {"schedule", RB_KEY_DURATIONS, NULL, true,
     "waits between attempts, the last repeats; absent = full jitter from 1s, cap 15m",
     IN(rb_destination_setting, schedule_ms),
     .count_offset = offsetof(struct rb_destination_setting, n_schedule)},
    {"max_in_flight", RB_KEY_INT, "4", true, "posts under way at once",
     IN(rb_destination_setting, max_in_flight), .min = 1, .max = 256},
};

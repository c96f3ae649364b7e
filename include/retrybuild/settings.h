/* settings.h - the configuration as plain data. Made by config.h, read by everybody, changed by
 * nobody.
 *
 * A struct rb_settings owns everything below it and is reference counted; a reload makes a new one.
 * Times in ms, sizes in bytes. Threads: read-only after creation.
 */
#ifndef RETRYBUILD_SETTINGS_H
#define RETRYBUILD_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include <retrybuild/mem.h>
#include <retrybuild/model.h>
#include <retrybuild/secret.h>

struct rb_node;

struct rb_strings {
    const char **items;
    unsigned n;
};

struct rb_secret_entry { /* one accepted secret; several = rotation, all are always tried */
    struct rb_secret *secret;
    int64_t not_after_ms; /* 0 = for ever */
};
struct rb_secrets {
    struct rb_secret_entry *items;
    unsigned n;
};

enum rb_role { RB_ROLE_NONE, RB_ROLE_VIEWER, RB_ROLE_OPERATOR };

struct rb_token_setting {
    const char *name;
    enum rb_role role;
    struct rb_secret *secret;
};

struct rb_access_key_setting { /* of the front door; made by the operator, unknown to AWS */
    const char *id;
    enum rb_role role;
    struct rb_secret *secret;
};

/* A host's REST API: where it is and who we are there. */
struct rb_api_setting {
    const char *url;         /* root with its prefix, no '/' at its end; NULL = the public host's */
    struct rb_secret *token; /* NULL = none */
    const char *app_id;      /* GitHub App instead of a token; NULL = none */
    struct rb_secret *app_key;
    const char *app_installation; /* NULL = asked of the API */
};

enum rb_permission {
    RB_PERMISSION_NONE,
    RB_PERMISSION_READ,
    RB_PERMISSION_WRITE,
    RB_PERMISSION_ADMIN
};

struct rb_who_setting { /* any row allows; what a row names must all hold, lists by any of theirs */
    struct rb_strings users, groups, channels; /* ids of the platform */
    enum rb_permission permission;             /* at least this on the repository */
    bool anyone;
    struct rb_strings commands, projects; /* n == 0 = all */
    unsigned line;
};

struct rb_source_setting {
    const char *name; /* the path segment of /v1/hooks/{name}: [a-z0-9][a-z0-9._-]{0,62} */
    const char *type;
    const char *header; /* lower case; NULL = the type's own */
    struct rb_secrets secrets;
    struct rb_secrets
        signing_secrets; /* gitlab: Standard Webhooks keys; when given, they must fit */
    struct rb_api_setting api;
    struct rb_who_setting *who; /* n_who == 0: the type's default */
    unsigned n_who;
    struct rb_strings console_hosts;      /* further hosts a build link may point to */
    struct rb_strings commands;           /* chat: allowed verbs; n == 0 = all */
    struct rb_strings topics;             /* sns: ARN globs */
    struct rb_strings signature_versions; /* sns: "1", "2"; n == 0 = both */
    bool confirm;                         /* sns: confirm subscriptions of allowed topics */
    const char *certificate_file;         /* sns, googlechat: pins the signer's certificate */
    const char *public_key;               /* discord: 64 hex digits */
    const char *audience;                 /* googlechat: project number, or the hook's URL */
    struct {
        const char *build, *project, *region, *account, *status, *token; /* dotted */
    } paths;
    enum rb_hmac_algorithm { RB_HMAC_SHA256, RB_HMAC_SHA1, RB_HMAC_SHA512 } algorithm;
    enum rb_hmac_encoding { RB_HMAC_HEX, RB_HMAC_BASE64 } encoding;
    const char *prefix; /* before the digest, such as "sha256="; NULL = none */
    unsigned line;      /* of the configuration, for messages */
};

enum rb_flaky_is { RB_FLAKY_ANY, RB_FLAKY_TRUE, RB_FLAKY_FALSE };

struct rb_when { /* n == 0 / NULL = condition absent */
    struct rb_strings project, repository, branch, account, region, source, status, phase,
        phase_status, initiator, author;
    struct rb_strings exit_code, attempt, duration; /* as range.h reads them */
    struct rb_strings hours;
    enum rb_flaky_is flaky;
    const char *message, *log; /* PCRE2 */
};

enum rb_how { RB_HOW_RETRY, RB_HOW_START, RB_HOW_PIPELINE };

struct rb_rule_setting {
    const char *name;
    struct rb_when when;
    enum rb_action then;
    int64_t limit;
    struct rb_delay delay;
    enum rb_how how;
    enum rb_rule_mode {
        RB_RULE_MODE_ANY, /* that of the project, else the global one */
        RB_RULE_MODE_AUTO,
        RB_RULE_MODE_ASK,
        RB_RULE_MODE_SHADOW
    } mode;
    unsigned line;
};

struct rb_destination_setting {
    const char *name;
    const char *type;
    struct rb_secret *url;
    struct rb_secrets secrets;
    struct rb_api_setting api;
    const char *context; /* template of a commit status; NULL = retrybuild/<project> */
    const char *channel; /* slack */
    const char *format;  /* webhook: standard, cloudevents; sns: json, q-developer; NULL = first */
    const char *topic_arn;    /* sns */
    const char *bus;          /* eventbridge; NULL = default */
    const char *event_source; /* eventbridge: key `source`; NULL = retrybuild */
    const char *endpoint_url; /* sns, eventbridge */
    bool reply;               /* answers in the channel that the request came from */
    bool to_asker;            /* not configured: the answer to who asked, by rb_reply_type_find */
    struct rb_strings when_project, when_branch, when_repository, when_outcome,
        when_source; /* globs; n == 0 = all */
    bool stages[RB_STAGE_COUNT];
    int64_t timeout_ms; /* 0 = timing.report_timeout */
    int64_t give_up_ms; /* default 24 h */
    int64_t schedule_ms[RB_DELAY_LIST_MAX];
    unsigned n_schedule; /* 0 = full jitter from 1 s, cap 15 m */
    int64_t max_in_flight;
    unsigned line;
};

struct rb_account_setting { /* builds of another account, by a role there */
    const char *id, *role_arn;
    const char *external_id;   /* NULL = none */
    struct rb_strings regions; /* n == 0 = all */
    bool exact; /* the call that starts a build is signed by a session named after the retry */
    unsigned line;
};

struct rb_price_setting {     /* what a minute of a build counts */
    const char *compute_type; /* glob */
    double per_minute;
    unsigned line;
};

struct rb_telemetry_header { /* of every request to the collector */
    const char *name;
    struct rb_secret *value;
};

struct rb_timing {
    int64_t lease_ms, resend_window_ms, token_window_ms, signature_window_ms, visibility_grace_ms,
        quarantine_ms, follow_poll_ms, sweep_every_ms, max_event_age_ms, double_click_ms,
        delivery_ttl_ms, effect_ttl_ms, held_ttl_ms, call_timeout_ms, report_timeout_ms,
        shutdown_ms;
};

/* What a newer build of its branch or pull request has made old. */
enum rb_stale { RB_STALE_SKIP, RB_STALE_RETRY };

enum rb_mode { RB_MODE_AUTO, RB_MODE_ASK, RB_MODE_SHADOW };

struct rb_settings {
    struct rb_arena arena;
    const char *path;               /* file read; NULL = defaults only */
    const char *base_dir;           /* relative paths start here */
    const struct rb_node *document; /* as written, for rb_config_place; NULL = nothing */
    struct {
        const char *address; /* host:port */
        uint64_t max_body;
        int64_t max_connections;
        int64_t request_timeout_ms;
        const char *certificate_file, *key_file; /* both or none */
    } listen;
    struct rb_token_setting *tokens;
    unsigned n_tokens;
    struct {
        struct rb_access_key_setting *access_keys; /* none = closed */
        unsigned n_access_keys;
        int64_t wait_ms; /* most time until RetryBuild is answered */
    } front_door;
    struct {
        struct rb_secret *url; /* sqlite:PATH, redis://…; may hold a password */
        struct rb_secret *password;
        int64_t retention_ms;
        int64_t shards;
        int64_t max_waiting;
        const char *tls_ca_file, *tls_certificate_file, *tls_key_file;
    } store;
    struct {
        const char *region, *endpoint_url, *account;
        const char *region_from; /* who said it, for people; NULL = nobody, it is the default */
        const char *profile;     /* NULL = AWS_PROFILE, else default */
        bool imds_v1;
        struct rb_account_setting *accounts;
        unsigned n_accounts;
        double rate_per_second;
        int64_t rate_burst;
    } aws;
    enum rb_mode mode;
    int64_t submit_workers, report_workers;
    struct rb_source_setting *sources;
    unsigned n_sources;
    struct rb_strings projects_allow, projects_deny;
    struct rb_strings projects_auto, projects_ask, projects_shadow; /* their own mode */
    enum rb_stale stale;
    struct rb_rule_setting *rules;
    unsigned n_rules;
    bool builtin_rules;
    struct { /* 0 = no limit */
        int64_t per_chain, per_commit;
        double ratio;           /* of a project's ended builds in the last hour, ... */
        int64_t floor_per_hour; /* ... on top of these */
        int64_t per_account;
        int64_t minutes_per_day;
        struct rb_price_setting *prices; /* the first that fits; none: 1 a minute */
        unsigned n_prices;
    } budgets;
    struct {
        double failed;
        int64_t minimum; /* 0 = off */
        int64_t window_ms, open_ms;
    } breaker;
    struct {
        int64_t projects; /* 0 = off */
        int64_t window_ms, hold_ms;
    } incident;
    struct rb_strings sweep_projects;
    struct rb_destination_setting *destinations;
    unsigned n_destinations;
    struct {
        struct rb_strings allow; /* CIDRs that outbound calls may reach in spite of the guard */
        const char *ca_file;
        const char *proxy; /* "" = none */
    } network;
    struct {
        const char *otlp_endpoint; /* NULL or "" = no spans are made */
        struct rb_telemetry_header *headers;
        unsigned n_headers;
        double sampling; /* 0..1, of traces that begin here */
        const char *service_name;
        int64_t timeout_ms;
    } telemetry;
    struct rb_timing timing;
    int refs; /* atomic; use the functions */
};

struct rb_settings *rb_settings_ref(struct rb_settings *s); /* NULL accepted */
void rb_settings_unref(
    struct rb_settings *s); /* the last one wipes secrets and frees; NULL accepted */
void rb_settings_unrefp(struct rb_settings **s);
/* rb_settings_own_account - that of a build of which no account is said; NULL = not configured, or
 * it may be one of aws.accounts. */
const char *rb_settings_own_account(const struct rb_settings *s);

#endif

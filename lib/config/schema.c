/* schema.c - every key of the configuration: name, type, default, reloadable, meaning. A new key is
 * one row here and one in configs/retrybuild.yaml. */
#include <retrybuild/cleanup.h>
#include <retrybuild/settings.h>

#include "schema.h"

static const char *const role_words[] = {"", "viewer", "operator", NULL};
static const char *const mode_words[] = {"auto", "ask", "shadow", NULL};
static const char *const rule_mode_words[] = {"", "auto", "ask", "shadow", NULL};
static const char *const how_words[] = {"retry", "start", "pipeline", NULL};
static const char *const stale_words[] = {"skip", "retry", NULL};
static const char *const flaky_words[] = {"", "true", "false", NULL};
static const char *const then_words[] = {"", "retry", "ask", "ignore", NULL};

static const struct rb_key tls_keys[] = {
    {"certificate_file", RB_KEY_PATH, NULL, false, "PEM file with the certificate and its chain",
     AT(listen.certificate_file)},
    {"key_file", RB_KEY_PATH, NULL, false, "PEM file with the private key", AT(listen.key_file)},
};

static const struct rb_key listen_keys[] = {
    {"address", RB_KEY_TEXT, "127.0.0.1:8080", false,
     "HOST:PORT to listen on; port 0 picks a free one", AT(listen.address)},
    {"max_body", RB_KEY_SIZE, "1MiB", true, "largest body of a request", AT(listen.max_body),
     .min = 1024, .max = 64 * 1024 * 1024},
    {"max_connections", RB_KEY_INT, "4096", false, "connections open at once",
     AT(listen.max_connections), .min = 1, .max = 100000},
    {"request_timeout", RB_KEY_DURATION, "10s", true,
     "time for a request's headers, again for its body, again for its answer",
     AT(listen.request_timeout_ms), .min = 100, .max = 10 * MINUTE},
    {"tls", RB_KEY_MAP, NULL, false, "serve HTTPS; both files or none", CHILDREN(tls_keys)},
};

static const struct rb_key token_keys[] = {
    {"name", RB_KEY_TEXT, NULL, true, "who this token stands for, as shown in requested_by",
     IN(rb_token_setting, name)},
    {"role", RB_KEY_WORD, NULL, true, "viewer (reads) or operator (reads and acts)",
     IN(rb_token_setting, role), .words = role_words},
    {"secret", RB_KEY_SECRET, NULL, true, "the bearer token", IN(rb_token_setting, secret)},
};

static const struct rb_key access_key_keys[] = {
    {"id", RB_KEY_TEXT, NULL, true,
     "access key id: A-Z, 0-9 and '_'; shown in requested_by, unknown to AWS",
     IN(rb_access_key_setting, id)},
    {"role", RB_KEY_WORD, "operator", true, "viewer (looks) or operator (RetryBuild too)",
     IN(rb_access_key_setting, role), .words = role_words},
    {"secret", RB_KEY_SECRET, NULL, true, "secret access key", IN(rb_access_key_setting, secret)},
};

static const struct rb_key front_door_keys[] = {
    {"access_keys", RB_KEY_LIST, NULL, true,
     "keys that AWS SDKs and the AWS CLI may sign with; none = the front door is closed",
     AT(front_door.access_keys),
     LIST_OF(rb_access_key_setting, access_key_keys,
             offsetof(struct rb_settings, front_door.n_access_keys), SIZE_MAX)},
    {"wait", RB_KEY_DURATION, "20s", true,
     "most time until RetryBuild is answered; then the client is told to ask again",
     AT(front_door.wait_ms), .min = 100, .max = 5 * MINUTE},
};

static const struct rb_key api_keys[] = {
    {"tokens", RB_KEY_LIST, NULL, true, "bearer tokens of the API; none = the API is closed",
     AT(tokens),
     LIST_OF(rb_token_setting, token_keys, offsetof(struct rb_settings, n_tokens), SIZE_MAX)},
    {"front_door", RB_KEY_MAP, NULL, true, "POST / for AWS SDKs and the AWS CLI",
     CHILDREN(front_door_keys)},
};

static const struct rb_key store_tls_keys[] = {
    {"ca_file", RB_KEY_PATH, NULL, false, "CA bundle for rediss://; absent = the system's",
     AT(store.tls_ca_file)},
    {"certificate_file", RB_KEY_PATH, NULL, false, "client certificate",
     AT(store.tls_certificate_file)},
    {"key_file", RB_KEY_PATH, NULL, false, "client key", AT(store.tls_key_file)},
};

static const struct rb_key store_keys[] = {
    {"url", RB_KEY_SECRET, "sqlite:retrybuild.db", false,
     "sqlite:PATH, redis://[user:pass@]host[:6379][/db], rediss://… (TLS) or redis+unix:///path",
     AT(store.url)},
    {"password", RB_KEY_SECRET, NULL, false, "Redis password, when it is not in the URL",
     AT(store.password)},
    {"retention", RB_KEY_DURATION, "30d", true, "how long ended retries are kept",
     AT(store.retention_ms), .min = MINUTE, .max = 3650 * DAY},
    {"tls", RB_KEY_MAP, NULL, false, "TLS towards Redis", CHILDREN(store_tls_keys)},
};

static const struct rb_key rate_keys[] = {
    {"per_second", RB_KEY_NUMBER, "5", false, "calls to CodeBuild a second, on average",
     AT(aws.rate_per_second)},
    {"burst", RB_KEY_INT, "10", false, "calls that may come at once", AT(aws.rate_burst), .min = 1,
     .max = 10000},
};

static const struct rb_key account_keys[] = {
    {"id", RB_KEY_TEXT, NULL, false, "12 digits", IN(rb_account_setting, id)},
    {"role_arn", RB_KEY_TEXT, NULL, false, "the role there that our credentials may assume",
     IN(rb_account_setting, role_arn)},
    {"external_id", RB_KEY_TEXT, NULL, false, "what the role's trust policy asks for, if it does",
     IN(rb_account_setting, external_id)},
    {"regions", RB_KEY_TEXTS, NULL, false, "only these; absent = all",
     IN(rb_account_setting, regions)},
    {"exact", RB_KEY_BOOL, "false", false,
     "sign each RetryBuild by a session that is named after the retry, so that the build's "
     "initiator "
     "says whose it is; costs one AssumeRole a retry",
     IN(rb_account_setting, exact)},
};

static const struct rb_key aws_keys[] = {
    {"region", RB_KEY_TEXT, NULL, false,
     "region of builds that do not say one; absent = AWS_REGION, AWS_DEFAULT_REGION, the "
     "profile's, "
     "the instance's, us-east-1",
     AT(aws.region)},
    {"endpoint_url", RB_KEY_TEXT, NULL, false,
     "another CodeBuild endpoint (a simulator, a VPC endpoint); absent = "
     "AWS_ENDPOINT_URL_CODEBUILD, AWS_ENDPOINT_URL, AWS's own",
     AT(aws.endpoint_url)},
    {"account", RB_KEY_TEXT, NULL, true,
     "our account id; builds of another one are refused, unless it is among accounts; absent = not "
     "judged, or asked of STS where there are accounts",
     AT(aws.account)},
    {"profile", RB_KEY_TEXT, NULL, false,
     "profile of the credentials and config files; keys of the environment are passed over then; "
     "absent = AWS_PROFILE, default",
     AT(aws.profile)},
    {"imds_v1", RB_KEY_BOOL, "false", false,
     "fall back to version 1 of the instance metadata service when it gives no token",
     AT(aws.imds_v1)},
    {"accounts", RB_KEY_LIST, NULL, false,
     "other accounts whose builds are retried; all that are not listed are refused then",
     AT(aws.accounts),
     LIST_OF(rb_account_setting, account_keys, offsetof(struct rb_settings, aws.n_accounts),
             offsetof(struct rb_account_setting, line))},
    {"rate", RB_KEY_MAP, NULL, false, "limit on calls", CHILDREN(rate_keys)},
};

static const struct rb_key workers_keys[] = {
    {"submit", RB_KEY_INT, "8", false,
     "threads that call RetryBuild; 0 = this process only accepts and reports", AT(submit_workers),
     .min = 0, .max = 256},
    {"report", RB_KEY_INT, "8", false, "threads that post results", AT(report_workers), .min = 1,
     .max = 256},
};

static const struct rb_key projects_keys[] = {
    {"allow", RB_KEY_TEXTS, "*", true, "globs of projects that may be retried", AT(projects_allow)},
    {"deny", RB_KEY_TEXTS, NULL, true, "globs of projects that never are; wins over allow",
     AT(projects_deny)},
    {"ask", RB_KEY_TEXTS, NULL, true,
     "globs of projects, such as deployments, where a person is asked whatever a rule says",
     AT(projects_ask)},
    {"shadow", RB_KEY_TEXTS, NULL, true,
     "globs of projects where it is only recorded what would be done, whatever a rule says",
     AT(projects_shadow)},
    {"auto", RB_KEY_TEXTS, NULL, true,
     "globs of projects that are retried although mode is ask or shadow", AT(projects_auto)},
};

static const struct rb_key when_keys[] = {
    {"project", RB_KEY_TEXTS, NULL, true, "globs; \"!glob\" excludes",
     IN(rb_rule_setting, when.project)},
    {"repository", RB_KEY_TEXTS, NULL, true, "globs of the clone URL without .git",
     IN(rb_rule_setting, when.repository)},
    {"branch", RB_KEY_TEXTS, NULL, true, "globs", IN(rb_rule_setting, when.branch)},
    {"account", RB_KEY_TEXTS, NULL, true, "globs", IN(rb_rule_setting, when.account)},
    {"region", RB_KEY_TEXTS, NULL, true, "globs", IN(rb_rule_setting, when.region)},
    {"source", RB_KEY_TEXTS, NULL, true, "globs of the source's name",
     IN(rb_rule_setting, when.source)},
    {"status", RB_KEY_TEXTS, NULL, true, "FAILED, FAULT, TIMED_OUT",
     IN(rb_rule_setting, when.status)},
    {"phase", RB_KEY_TEXTS, NULL, true, "first phase that did not succeed",
     IN(rb_rule_setting, when.phase)},
    {"phase_status", RB_KEY_TEXTS, NULL, true, "that phase's status",
     IN(rb_rule_setting, when.phase_status)},
    {"initiator", RB_KEY_TEXTS, NULL, true, "who started the build",
     IN(rb_rule_setting, when.initiator)},
    {"author", RB_KEY_TEXTS, NULL, true, "globs of the commit's author, where the source tells it",
     IN(rb_rule_setting, when.author)},
    {"exit_code", RB_KEY_TEXTS, NULL, true, "values and ranges: 75, \"64-78\", \"!1\"",
     IN(rb_rule_setting, when.exit_code)},
    {"attempt", RB_KEY_TEXTS, NULL, true,
     "which retry of its chain this would be, from 1: values and ranges",
     IN(rb_rule_setting, when.attempt)},
    {"duration", RB_KEY_TEXTS, NULL, true, "how long the build ran: \"5m-20m\", \"10m-\", \"-90s\"",
     IN(rb_rule_setting, when.duration)},
    {"hours", RB_KEY_TEXTS, NULL, true,
     "when the decision is made: \"Mon-Fri 08:00-18:00 Europe/Berlin\"; zone absent = UTC",
     IN(rb_rule_setting, when.hours)},
    {"flaky", RB_KEY_WORD, NULL, true,
     "true = failures like this one have recovered on the same commit in the last 7 days; or false",
     IN(rb_rule_setting, when.flaky), .words = flaky_words},
    {"message", RB_KEY_TEXT, NULL, true, "regular expression (PCRE2) over that phase's message",
     IN(rb_rule_setting, when.message)},
    {"log", RB_KEY_TEXT, NULL, true,
     "regular expression (PCRE2) over the last 64 KiB of the build's log",
     IN(rb_rule_setting, when.log)},
};

static const struct rb_key rule_keys[] = {
    {"name", RB_KEY_TEXT, NULL, true, "shown in decisions and metrics", IN(rb_rule_setting, name)},
    {"when", RB_KEY_MAP, NULL, true, "conditions, all of which must hold; absent = every failure",
     CHILDREN(when_keys)},
    {"then", RB_KEY_WORD, "retry", true, "retry, ask or ignore", IN(rb_rule_setting, then),
     .words = then_words},
    {"limit", RB_KEY_INT, "1", true, "retries that this rule allows one chain; 0 = never",
     IN(rb_rule_setting, limit), .min = 0, .max = 100},
    {"delay", RB_KEY_DELAY, "{base: 30s, cap: 15m}", true,
     "before the call: {base, cap} with full jitter, {fixed} or {list}",
     IN(rb_rule_setting, delay)},
    {"how", RB_KEY_WORD, "retry", true,
     "retry = RetryBuild, start = StartBuild with the original's settings, pipeline = retry the "
     "failed stage of CodePipeline",
     IN(rb_rule_setting, how), .words = how_words},
    {"mode", RB_KEY_WORD, NULL, true,
     "auto, ask or shadow for what this rule decides; absent = that of the project, else mode",
     IN(rb_rule_setting, mode), .words = rule_mode_words},
};

static const struct rb_key project_budget_keys[] = {
    {"ratio", RB_KEY_NUMBER, "0.2", true, "part of the project's builds of the last hour",
     AT(budgets.ratio), .min = 0, .max = 100},
    {"floor_per_hour", RB_KEY_INT, "5", true, "and so many on top", AT(budgets.floor_per_hour),
     .min = 0, .max = 100000},
};

static const struct rb_key price_keys[] = {
    {"compute_type", RB_KEY_TEXT, NULL, true, "glob, such as BUILD_GENERAL1_LARGE",
     IN(rb_price_setting, compute_type)},
    {"per_minute", RB_KEY_NUMBER, "1", true, "what a minute of it counts",
     IN(rb_price_setting, per_minute), .min = 0, .max = 100000},
};

static const struct rb_key budget_keys[] = {
    {"per_chain", RB_KEY_INT, "2", true,
     "retries of one chain, whatever the rules say; 0 = no limit", AT(budgets.per_chain), .min = 0,
     .max = 1000},
    {"per_commit", RB_KEY_INT, "9", true, "retries of one commit, in all projects; 0 = no limit",
     AT(budgets.per_commit), .min = 0, .max = 100000},
    {"per_project", RB_KEY_MAP, NULL, true, "retries of one project in an hour; both 0 = no limit",
     CHILDREN(project_budget_keys)},
    {"per_account", RB_KEY_INT, "0", true, "retries of one account in an hour; 0 = no limit",
     AT(budgets.per_account), .min = 0, .max = 1000000},
    {"minutes_per_day", RB_KEY_INT, "0", true,
     "build minutes of all retries in a day; 0 = no limit", AT(budgets.minutes_per_day), .min = 0,
     .max = 100000000},
    {"prices", RB_KEY_LIST, NULL, true,
     "what a minute of each compute type counts, the first that fits; absent = 1. With money for a "
     "minute minutes_per_day is money for a day",
     AT(budgets.prices),
     LIST_OF(rb_price_setting, price_keys, offsetof(struct rb_settings, budgets.n_prices),
             offsetof(struct rb_price_setting, line))},
};

static const struct rb_key breaker_keys[] = {
    {"failed", RB_KEY_NUMBER, "0.7", true,
     "part of the retries that failed again, at which it opens", AT(breaker.failed), .min = 0,
     .max = 1},
    {"minimum", RB_KEY_INT, "5", true,
     "of at least so many retries of a project, twice as many of an account; 0 = no breaker",
     AT(breaker.minimum), .min = 0, .max = 10000},
    {"window", RB_KEY_DURATION, "60m", true, "of the last so long", AT(breaker.window_ms),
     .min = 100, .max = 7 * DAY},
    {"open", RB_KEY_DURATION, "10m", true, "how long retries wait; then one goes to see",
     AT(breaker.open_ms), .min = 100, .max = 7 * DAY},
};

static const struct rb_key incident_keys[] = {
    {"projects", RB_KEY_INT, "5", true,
     "so many projects failing in one phase are an incident: automatic retries wait; 0 = never",
     AT(incident.projects), .min = 0, .max = 32},
    {"window", RB_KEY_DURATION, "5m", true, "within so long", AT(incident.window_ms), .min = 100,
     .max = DAY},
    {"hold", RB_KEY_DURATION, "15m", true,
     "how long they wait, from the last bad sign; one at a time goes to see", AT(incident.hold_ms),
     .min = 100, .max = 7 * DAY},
};

static const struct rb_key sweep_keys[] = {
    {"projects", RB_KEY_TEXTS, NULL, true,
     "projects to sweep for missed failures beside those of recent deliveries", AT(sweep_projects)},
};

static const struct rb_key network_keys[] = {
    {"allow", RB_KEY_TEXTS, NULL, true,
     "addresses and CIDRs that posts may reach although they are private", AT(network.allow)},
    {"ca_file", RB_KEY_PATH, NULL, false, "CA bundle for outbound TLS; absent = the system's",
     AT(network.ca_file)},
    {"proxy", RB_KEY_TEXT, "", false,
     "HTTP proxy for outbound calls; the environment's is never used", AT(network.proxy)},
};

static const struct rb_key telemetry_header_keys[] = {
    {"name", RB_KEY_TEXT, NULL, true, "such as authorization", IN(rb_telemetry_header, name)},
    {"value", RB_KEY_SECRET, NULL, true, "such as Bearer TOKEN", IN(rb_telemetry_header, value)},
};

static const struct rb_key telemetry_keys[] = {
    {"otlp_endpoint", RB_KEY_TEXT, "", true,
     "root of a collector's OTLP/HTTP, to which /v1/traces is added; empty = nothing is exported",
     AT(telemetry.otlp_endpoint)},
    {"headers", RB_KEY_LIST, NULL, true, "of every request to it", AT(telemetry.headers),
     LIST_OF(rb_telemetry_header, telemetry_header_keys,
             offsetof(struct rb_settings, telemetry.n_headers), SIZE_MAX)},
    {"sampling", RB_KEY_NUMBER, "1", true,
     "part of the traces that begin here which is recorded; one that comes says so itself",
     AT(telemetry.sampling), .min = 0, .max = 1},
    {"service_name", RB_KEY_TEXT, "retrybuild", true, "service.name of the spans",
     AT(telemetry.service_name)},
    {"timeout", RB_KEY_DURATION, "10s", true, "for one request to the collector",
     AT(telemetry.timeout_ms), .min = 10, .max = 5 * MINUTE},
};

#define WINDOW(key, member, def, least, help)                                                    \
    {                                                                                            \
        key, RB_KEY_DURATION, def, true, help, AT(timing.member), .min = least, .max = 365 * DAY \
    }

static const struct rb_key timing_keys[] = {
    WINDOW("lease", lease_ms, "30s", 100, "a worker's right to a task; renewed at a third"),
    WINDOW("resend_window", resend_window_ms, "4m", 0,
           "how long after its signature date a call may be sent again"),
    WINDOW("token_window", token_window_ms, "5m", 1, "how long AWS remembers an idempotency token"),
    WINDOW("signature_window", signature_window_ms, "5m", 1, "how long AWS accepts a signature"),
    WINDOW("visibility_grace", visibility_grace_ms, "2m", 0,
           "until a started build is surely listed"),
    WINDOW("quarantine", quarantine_ms, "7m", 0,
           "after a store loss, before older failures are submitted"),
    WINDOW("follow_poll", follow_poll_ms, "15s", 10, "between looks at a running build"),
    WINDOW("sweep_every", sweep_every_ms, "5m", 10, "between sweeps for missed failures"),
    WINDOW("max_event_age", max_event_age_ms, "6h", SECOND,
           "older failures are recorded and ignored"),
    WINDOW("double_click", double_click_ms, "10s", 0, "a person's same request within this is one"),
    WINDOW("delivery_ttl", delivery_ttl_ms, "96h", SECOND,
           "how long a delivery's id is remembered"),
    WINDOW("effect_ttl", effect_ttl_ms, "24h", 0,
           "how long a failure is remembered after its retry ended"),
    WINDOW("held_ttl", held_ttl_ms, "24h", 0,
           "a question that nobody answers ends as cancelled; 0s = never"),
    WINDOW("call_timeout", call_timeout_ms, "10s", 10, "for one call to AWS"),
    WINDOW("report_timeout", report_timeout_ms, "10s", 10, "for one post to a destination"),
    WINDOW("shutdown", shutdown_ms, "20s", 0, "for work under way when the service stops"),
};

const struct rb_key rb_schema[] = {
    {"listen", RB_KEY_MAP, NULL, false, "the listener", CHILDREN(listen_keys)},
    {"api", RB_KEY_MAP, NULL, true, "the REST API", CHILDREN(api_keys)},
    {"store", RB_KEY_MAP, NULL, false, "where retries are kept", CHILDREN(store_keys)},
    {"aws", RB_KEY_MAP, NULL, false, "AWS", CHILDREN(aws_keys)},
    {"mode", RB_KEY_WORD, "auto", true,
     "auto, ask (a person approves each retry) or shadow (decide and record, touch nothing)",
     AT(mode), .words = mode_words},
    {"workers", RB_KEY_MAP, NULL, false, "threads", CHILDREN(workers_keys)},
    {"sources", RB_KEY_LIST, NULL, true, "ways in", AT(sources),
     LIST_OF(rb_source_setting, rb_source_keys, offsetof(struct rb_settings, n_sources),
             offsetof(struct rb_source_setting, line))},
    {"projects", RB_KEY_MAP, NULL, true, "which projects at all", CHILDREN(projects_keys)},
    {"rules", RB_KEY_LIST, NULL, true, "first match wins; after them come the built-in rules",
     AT(rules),
     LIST_OF(rb_rule_setting, rule_keys, offsetof(struct rb_settings, n_rules),
             offsetof(struct rb_rule_setting, line))},
    {"builtin_rules", RB_KEY_BOOL, "true", true, "false leaves only the rules above",
     AT(builtin_rules)},
    {"stale", RB_KEY_WORD, "skip", true,
     "a failure whose branch or pull request has a newer build or head: skip (superseded) or retry",
     AT(stale), .words = stale_words},
    {"budgets", RB_KEY_MAP, NULL, true, "limits beside the rules", CHILDREN(budget_keys)},
    {"breaker", RB_KEY_MAP, NULL, true, "stops retries that fail again and again",
     CHILDREN(breaker_keys)},
    {"incident", RB_KEY_MAP, NULL, true, "holds retries while something larger is broken",
     CHILDREN(incident_keys)},
    {"sweep", RB_KEY_MAP, NULL, true, "the search for failures that no delivery brought",
     CHILDREN(sweep_keys)},
    {"destinations", RB_KEY_LIST, NULL, true, "ways out", AT(destinations),
     LIST_OF(rb_destination_setting, rb_destination_keys,
             offsetof(struct rb_settings, n_destinations),
             offsetof(struct rb_destination_setting, line))},
    {"network", RB_KEY_MAP, NULL, false, "outbound connections", CHILDREN(network_keys)},
    {"telemetry", RB_KEY_MAP, NULL, true, "spans of each retry's life, for a collector",
     CHILDREN(telemetry_keys)},
    {"timing", RB_KEY_MAP, NULL, true, "every window of the protocol", CHILDREN(timing_keys)},
};
const size_t rb_schema_len = RB_ARRAY_LEN(rb_schema);

const char *rb_key_type_name(enum rb_key_type t)
{
    static const char *const names[] = {
        [RB_KEY_TEXT] = "text",
        [RB_KEY_PATH] = "path",
        [RB_KEY_SECRET] = "secret",
        [RB_KEY_SECRETS] = "list of secrets",
        [RB_KEY_DURATION] = "duration",
        [RB_KEY_SIZE] = "size",
        [RB_KEY_INT] = "whole number",
        [RB_KEY_NUMBER] = "number",
        [RB_KEY_BOOL] = "true or false",
        [RB_KEY_WORD] = "word",
        [RB_KEY_TEXTS] = "list of texts",
        [RB_KEY_DELAY] = "delay",
        [RB_KEY_DURATIONS] = "list of durations",
        [RB_KEY_STAGES] = "list of stages",
        [RB_KEY_MAP] = "map",
        [RB_KEY_LIST] = "list",
    };
    return names[t];
}

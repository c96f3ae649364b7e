/* serve.c - retrybuild serve: wiring, signals, the order of start and stop.
 *
 * The only file that names the store backends. Start: settings, store, AWS, engine, listener,
 * workers, ready. Stop (SIGTERM, SIGINT): readiness off, a short wait for load balancers to notice,
 * workers stop claiming while requests under way get their answers, then everything is closed. A
 * second signal ends at once: every piece of work is safe to abandon, its lease runs out. SIGHUP:
 * reload.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <retrybuild/aws.h>
#include <retrybuild/cleanup.h>
#include <retrybuild/config.h>
#include <retrybuild/counters.h>
#include <retrybuild/engine.h>
#include <retrybuild/httpd.h>
#include <retrybuild/log.h>
#include <retrybuild/store.h>
#include <retrybuild/telemetry.h>

#include "cli.h"
#include "notify.h"
#include "problems.h"
#include "version.h"

#define LAME_DUCK_MS 300
#define SPANS_GRACE_MS 1500
#define DESCRIPTORS_BESIDE 256 /* store, workers, destinations, files */

struct service {
    const char *config_path;
    struct rb_settings *settings;
    struct rb_store *store;
    struct rb_aws *aws;
    struct rb_tracer *tracer;
    struct rb_engine *engine;
    struct rb_httpd *httpd;
};

const struct rb_store_backend *const rb_cli_backends[] = {&rb_store_backend_sqlite,
                                                          &rb_store_backend_redis, NULL};

static void block_signals(sigset_t *ret_set)
{
    (void)sigemptyset(ret_set);
    (void)sigaddset(ret_set, SIGTERM);
    (void)sigaddset(ret_set, SIGINT);
    (void)sigaddset(ret_set, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, ret_set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

static void end_at_once(int signo)
{
    (void)signo;
    _exit(RB_EXIT_FAILED);
}

/* arm_second_signal - from here on SIGTERM or SIGINT ends the process without further ado. */
static void arm_second_signal(void)
{
    struct sigaction sa = {.sa_handler = end_at_once};
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaction(SIGTERM, &sa, NULL);
    (void)sigaction(SIGINT, &sa, NULL);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* raise_descriptors - room for every connection: the soft limit of a shell or a service manager is
 * often 1024. */
static void raise_descriptors(int64_t connections)
{
    struct rlimit limit = {.rlim_cur = 0, .rlim_max = 0};
    rlim_t wanted = (rlim_t)connections + DESCRIPTORS_BESIDE;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) {
        return;
    }
    limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max < wanted) {
        rb_log(RB_LOG_WARN, "service.few_descriptors",
               RB_F("what", "fewer connections than listen.max_connections will be open at once"),
               RB_FI("limit", (int64_t)limit.rlim_max));
    }
}

static enum rb_code start(struct service *s, struct rb_err *err)
{
    const struct rb_clock *clock = rb_clock_system();
    raise_descriptors(s->settings->listen.max_connections);
    enum rb_code rc = rb_store_open(rb_cli_backends, s->settings, clock, &s->store, err);
    if (rc == RB_OK) {
        rc = rb_aws_new(s->settings, clock, &s->aws, err);
    }
    if (rc == RB_OK) {
        rc = rb_tracer_new(s->settings, clock, rb_random_system(), RB_VERSION, &s->tracer, err);
    }
    if (rc == RB_OK) {
        const struct rb_engine_deps deps = {s->settings, s->store,           s->aws,
                                            clock,       rb_random_system(), s->tracer};
        rc = rb_engine_new(&deps, &s->engine, err);
    }
    if (rc == RB_OK) {
        const struct rb_httpd_deps deps = {s->engine, s->store, s->aws, clock, RB_VERSION};
        rc = rb_httpd_start(&deps, s->settings, &s->httpd, err);
    }
    if (rc == RB_OK) {
        rc = rb_engine_start(s->engine, err);
    }
    return rc;
}

static void stop(struct service *s)
{
    int64_t grace_ms = s->settings->timing.shutdown_ms;
    if (s->httpd != NULL) {
        rb_httpd_drain(s->httpd);
        struct timespec wait = {.tv_sec = 0, .tv_nsec = LAME_DUCK_MS * 1000000L};
        (void)nanosleep(&wait, NULL);
    }
    bool whole = s->engine == NULL || rb_engine_stop(s->engine, grace_ms);
    rb_httpd_stop(s->httpd, grace_ms);
    if (s->tracer != NULL) {
        rb_tracer_stop(s->tracer, SPANS_GRACE_MS);
    }
    rb_log(RB_LOG_INFO, "service.stopped",
           RB_F("work", whole ? "finished" : "cut; its leases run out"));
    if (!whole) {
        _exit(RB_EXIT_OK); /* a thread that would not end still uses everything below */
    }
    rb_store_close(s->store);
    rb_engine_free(s->engine);
    rb_tracer_free(s->tracer);
    rb_aws_free(s->aws);
}

static void log_diff(const char *diff)
{
    while (*diff != '\0') {
        size_t len = strcspn(diff, "\n");
        struct rb_buf line = RB_BUF_INIT(2048);
        rb_buf_add(&line, diff, len);
        bool later = strstr(rb_buf_str(&line), "(needs a restart)") != NULL;
        rb_log(later ? RB_LOG_WARN : RB_LOG_INFO, "config.changed",
               RB_F("what", rb_buf_str(&line)));
        rb_buf_release(&line);
        diff += len + (diff[len] == '\n' ? 1 : 0);
    }
}

static void log_unreachable(void *arg, const char *file, unsigned line, unsigned column,
                            const char *text)
{
    (void)arg;
    (void)column;
    rb_log(RB_LOG_WARN, "config.unreachable", RB_F("file", file), RB_FI("line", line),
           RB_F("what", text));
}

static void log_weak(void *arg, const char *file, unsigned line, unsigned column, const char *text)
{
    (void)arg;
    (void)column;
    rb_log(RB_LOG_WARN, "config.weak_secret", RB_F("file", file), RB_FI("line", line),
           RB_F("what", text));
}

/* Said once each time: what will be refused by the address guard, and what could be guessed. */
static void warn_of(const char *path, const struct rb_settings *s)
{
    const struct rb_problem_ear unreachable = {.told = log_unreachable};
    const struct rb_problem_ear weak = {.told = log_weak};

    rb_find_unreachable(path, s, &unreachable);
    rb_find_weak(path, s, &weak);
}

static void log_problem(void *arg, const char *file, unsigned line, unsigned column,
                        const char *text)
{
    (void)arg;
    rb_log(RB_LOG_ERROR, "config.problem", RB_F("file", file), RB_FI("line", line),
           RB_FI("column", column), RB_F("what", text));
}

static void reload(struct service *s)
{
    static const struct rb_problem_ear ear = {.told = log_problem};
    struct rb_err err = {.code = RB_OK};
    RB_CLEANUP(rb_settings_unrefp) struct rb_settings *fresh = NULL;
    rb_notify("RELOADING=1");
    enum rb_code loaded = rb_find_problems(s->config_path, &ear, &fresh, &err);
    if (loaded == RB_OK) {
        rb_aws_settle_region(fresh, rb_clock_system());
    }
    if (loaded != RB_OK || rb_engine_reload(s->engine, fresh, &err) != RB_OK) {
        rb_log(RB_LOG_ERROR, "config.reload_failed",
               RB_F("what", "the old configuration stays in force"),
               RB_F("why", err.code == RB_OK ? NULL : err.msg));
        rb_gauge(RB_M_CONFIG_RELOAD_OK, NULL, 0.0);
    } else {
        rb_httpd_reload(s->httpd, fresh);
        rb_tracer_reload(s->tracer, fresh);
        warn_of(s->config_path, fresh);
        RB_CLEANUP(rb_buf_release) struct rb_buf diff = RB_BUF_INIT(256 * 1024);
        rb_config_diff(s->settings, fresh, &diff);
        log_diff(rb_buf_str(&diff));
        rb_settings_unref(s->settings);
        s->settings = RB_TAKE(fresh);
        rb_gauge(RB_M_CONFIG_RELOAD_OK, NULL, 1.0);
        rb_log(RB_LOG_INFO, "config.reloaded", RB_F("file", s->config_path));
    }
    rb_notify("READY=1");
}

static int serve(struct service *s, const sigset_t *signals)
{
    struct rb_err err = {.code = RB_OK};
    if (start(s, &err) != RB_OK) {
        rb_cli_error(&rb_command_serve, "%s", err.msg);
        stop(s);
        return err.code == RB_E_INVALID ? RB_EXIT_CONFIG : RB_EXIT_FAILED;
    }
    rb_metric_set(rb_metric_cell(RB_M_BUILD_INFO, RB_VERSION, RB_REVISION), 1.0);
    rb_gauge(RB_M_CONFIG_RELOAD_OK, NULL, 1.0);
    (void)printf("listening on %s://%s\n",
                 s->settings->listen.certificate_file == NULL ? "http" : "https",
                 rb_httpd_address(s->httpd));
    (void)fflush(stdout);
    rb_log(RB_LOG_INFO, "service.ready", RB_F("address", rb_httpd_address(s->httpd)),
           RB_F("version", RB_VERSION), RB_F("config", s->config_path));
    rb_notify("READY=1");
    for (;;) {
        int signo = 0;
        if (sigwait(signals, &signo) != 0) {
            continue;
        }
        if (signo != SIGHUP) {
            rb_log(RB_LOG_INFO, "service.stopping", RB_FI("signal", signo));
            break;
        }
        reload(s);
    }
    rb_notify("STOPPING=1");
    arm_second_signal();
    stop(s);
    return RB_EXIT_OK;
}

static bool parse_level(const char *name, enum rb_log_level *ret_level)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    for (unsigned i = 0; i < RB_ARRAY_LEN(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            *ret_level = (enum rb_log_level)i;
            return true;
        }
    }
    return false;
}

static int run(int argc, char **argv)
{
    struct service s = {.config_path = rb_config_find()};
    const char *level_name = "info";
    const struct rb_option options[] = {
        {"--config", RB_OPTION_TEXT,
         "FILE; default: RETRYBUILD_CONFIG, then /etc/retrybuild/retrybuild.yaml",
         .text = &s.config_path},
        {"--log-level", RB_OPTION_TEXT, "debug, info (default), warn or error",
         .text = &level_name},
    };
    struct rb_words words = {NULL, 0};
    int status = RB_EXIT_OK;
    if (!rb_cli_parse(&rb_command_serve, argc, argv, options, RB_ARRAY_LEN(options), 0, 0, &words,
                      &status)) {
        return status;
    }
    enum rb_log_level level = RB_LOG_INFO;
    if (!parse_level(level_name, &level)) {
        rb_cli_error(&rb_command_serve, "--log-level is debug, info, warn or error, not '%s'",
                     level_name);
        return RB_EXIT_USAGE;
    }
    rb_log_setup(level, RB_LOG_AUTO, STDERR_FILENO);
    sigset_t signals;
    block_signals(&signals);
    status = rb_load_settings(&rb_command_serve, s.config_path, &s.settings);
    if (status == RB_EXIT_OK) {
        rb_aws_settle_region(s.settings, rb_clock_system());
        warn_of(s.config_path, s.settings);
        status = serve(&s, &signals);
    }
    rb_settings_unref(s.settings);
    return status;
}

const struct rb_command rb_command_serve = {
    .name = "serve",
    .usage = "[--config FILE] [--log-level LEVEL]",
    .summary = "run the service",
    .run = run,
};

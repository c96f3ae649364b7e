/* main.c - codebuild-sim: argv to options, the ready line, and a clean end on a signal. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/mem.h>
#include <retrybuild/sim.h>
#include <retrybuild/str.h>

#define EXIT_USAGE 2
#define EXIT_BAD_SCRIPT 78
#define MAX_LIST 64

static const char usage[] =
    "usage: codebuild-sim [--listen 127.0.0.1:4570] [--region us-east-1] [--account 123456789012]\n"
    "  [--script FILE] [--seed N] [--speed FACTOR] [--access-key ID:SECRET]... [--ledger FILE]\n"
    "  [--events URL [--events-header 'name: value']...]...\n"
    "\n"
    "A CodeBuild on your laptop: AWS JSON at POST /, builds that end as the script says, "
    "EventBridge\n"
    "events, faults, and a ledger of every effect at GET /_sim/ledger. configs/sim.yaml documents\n"
    "the script. It runs no buildspecs.\n";

struct arguments {
    struct rb_sim_options options;
    const char *keys[MAX_LIST];
    struct rb_sim_target targets[MAX_LIST];
    const char *headers[MAX_LIST][MAX_LIST];
};

static bool take_listen(struct arguments *a, const char *value)
{
    a->options.listen = value;
    return true;
}

static bool take_region(struct arguments *a, const char *value)
{
    a->options.region = value;
    return true;
}

static bool take_account(struct arguments *a, const char *value)
{
    a->options.account = value;
    return true;
}

static bool take_script(struct arguments *a, const char *value)
{
    a->options.script_path = value;
    return true;
}

static bool take_ledger(struct arguments *a, const char *value)
{
    a->options.ledger_path = value;
    return true;
}

static bool take_seed(struct arguments *a, const char *value)
{
    a->options.has_seed = true;
    return rb_parse_u64(rb_slice_str(value), &a->options.seed);
}

static bool take_speed(struct arguments *a, const char *value)
{
    char *end = NULL;
    errno = 0;
    a->options.speed = strtod(value, &end);
    return errno == 0 && end != value && *end == '\0';
}

static bool take_key(struct arguments *a, const char *value)
{
    if (a->options.n_access_keys == MAX_LIST) {
        return false;
    }
    a->keys[a->options.n_access_keys++] = value;
    return true;
}

static bool take_events(struct arguments *a, const char *value)
{
    if (a->options.n_events == MAX_LIST) {
        return false;
    }
    a->targets[a->options.n_events++].url = value;
    return true;
}

static bool take_events_header(struct arguments *a, const char *value)
{
    size_t n = a->options.n_events;
    if (n == 0 || a->targets[n - 1].n_headers == MAX_LIST) {
        return false; /* a header belongs to the URL before it */
    }
    a->headers[n - 1][a->targets[n - 1].n_headers++] = value;
    return true;
}

static const struct {
    const char *name;
    bool (*take)(struct arguments *a, const char *value);
} flags[] = {
    {"--access-key", take_key}, {"--account", take_account},
    {"--events", take_events},  {"--events-header", take_events_header},
    {"--ledger", take_ledger},  {"--listen", take_listen},
    {"--region", take_region},  {"--script", take_script},
    {"--seed", take_seed},      {"--speed", take_speed},
};

/* "--name value" and "--name=value". Returns how many words were used, 0 on an error. */
static int take_flag(struct arguments *a, char **argv)
{
    const char *names[RB_ARRAY_LEN(flags)];
    size_t len = strcspn(argv[0], "=");
    for (size_t i = 0; i < RB_ARRAY_LEN(flags); i++) {
        names[i] = flags[i].name;
        if (strlen(flags[i].name) != len || strncmp(flags[i].name, argv[0], len) != 0) {
            continue;
        }
        bool inside = argv[0][len] == '=';
        const char *value = inside ? argv[0] + len + 1 : argv[1];
        if (value == NULL) {
            fprintf(stderr, "codebuild-sim: %s needs a value\n", flags[i].name);
            return 0;
        }
        if (!flags[i].take(a, value)) {
            fprintf(stderr, "codebuild-sim: %s: this value does not fit\n", flags[i].name);
            return 0;
        }
        return inside ? 1 : 2;
    }
    const char *near = rb_nearest(argv[0], names, RB_ARRAY_LEN(names));
    fprintf(stderr, "codebuild-sim: unknown argument '%s'%s%s%s\n", argv[0],
            near == NULL ? "" : ", did you mean '", near == NULL ? "" : near,
            near == NULL ? "" : "'?");
    return 0;
}

static void point_lists(struct arguments *a)
{
    for (size_t i = 0; i < a->options.n_events; i++) {
        a->targets[i].headers = a->headers[i];
    }
    a->options.access_keys = a->keys;
    a->options.events = a->targets;
}

int main(int argc, char **argv)
{
    static struct arguments a = {.options = RB_SIM_OPTIONS_INIT};
    a.options.listen = "127.0.0.1:4570";
    for (int i = 1; i < argc;) {
        if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0) {
            fputs(usage, stdout);
            return EXIT_SUCCESS;
        }
        int used = take_flag(&a, &argv[i]);
        if (used == 0) {
            fputs(usage, stderr);
            return EXIT_USAGE;
        }
        i += used;
    }
    point_lists(&a);
    rb_tune_malloc();
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, NULL); /* before the first thread, so that all inherit it */
    signal(SIGPIPE, SIG_IGN);
    struct rb_sim *sim = NULL;
    struct rb_err err;
    enum rb_code rc = rb_sim_start(&a.options, &sim, &err);
    if (rc != RB_OK) {
        fprintf(stderr, "codebuild-sim: %s\n", err.msg);
        return rc == RB_E_INVALID || rc == RB_E_NOT_FOUND ? EXIT_BAD_SCRIPT : EXIT_FAILURE;
    }
    printf("listening on %s\n", rb_sim_url(sim));
    fflush(stdout);
    int which = 0;
    sigwait(&ends, &which);
    rb_sim_stop(sim);
    return EXIT_SUCCESS;
}

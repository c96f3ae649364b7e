/* credential_process: a program of the operator whose stdout is a set of credentials as JSON.
 *
 * No shell: the command is cut into words as a POSIX shell would, and nothing is expanded. The
 * program has a group of its own, which is killed when its time is up; its stdin is empty and its
 * stderr is dropped, because it may tell secrets. Source: facts on AWS, 4.1.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>

#include "identity.h"

#define OUTPUT_MAX_BYTES ((size_t)64 * 1024)
#define WORDS_MAX 256
#define PROCESS_TIMEOUT_MS 20000

extern char **environ;

/* ---- words ---- */

struct split {
    const char *p;
    char *out;
    bool in_word;
};

static bool take_quoted(struct split *s)
{
    char quote = *s->p++;

    for (; *s->p != quote; s->p++) {
        if (*s->p == '\0') {
            return false;
        }
        if (quote == '"' && *s->p == '\\' && (s->p[1] == '"' || s->p[1] == '\\')) {
            s->p++;
        }
        *s->out++ = *s->p;
    }
    s->p++;
    return true;
}

/* One word into s->out; false: quotes or a backslash without an end. */
static bool take_word(struct split *s)
{
    while (*s->p != '\0' && strchr(" \t\r\n", *s->p) == NULL) {
        if (*s->p == '\'' || *s->p == '"') {
            if (!take_quoted(s)) {
                return false;
            }
        } else {
            s->p += *s->p == '\\' ? 1 : 0;
            if (*s->p == '\0') {
                return false;
            }
            *s->out++ = *s->p++;
        }
    }
    *s->out++ = '\0';
    return true;
}

enum rb_code rb_process_split(const char *command, struct rb_arena *a, char ***ret_argv,
                              struct rb_err *err)
{
    char **argv = rb_arena_alloc(a, (WORDS_MAX + 1) * sizeof(*argv));
    struct split s = {.p = command, .out = rb_arena_alloc(a, strlen(command) + 2)};
    unsigned n = 0;

    if (argv == NULL || s.out == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for credential_process");
    }
    for (;;) {
        s.p += strspn(s.p, " \t\r\n");
        if (*s.p == '\0') {
            break;
        }
        if (n == WORDS_MAX) {
            return rb_err_set(err, RB_E_CREDENTIALS, "credential_process has more than %d words",
                              WORDS_MAX);
        }
        argv[n++] = s.out;
        if (!take_word(&s)) {
            return rb_err_set(err, RB_E_CREDENTIALS,
                              "credential_process has a quote or backslash without an end");
        }
    }
    if (n == 0) {
        return rb_err_set(err, RB_E_CREDENTIALS, "credential_process is empty");
    }
    *ret_argv = argv;
    return RB_OK;
}

/* ---- the program ---- */

struct child {
    pid_t pid; /* 0 = none, or gone */
    int out, pidfd;
};

static void child_release(struct child *c)
{
    if (c->pid > 0) {
        (void)kill(-c->pid, SIGKILL);
        while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    rb_closep(&c->out);
    rb_closep(&c->pidfd);
}

static int spawn(char **argv, int out, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none, all;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attr);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawnattr_setpgroup(&attr, 0);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                        POSIX_SPAWN_SETSIGDEF);
    int rc = posix_spawnp(ret_pid, argv[0], &actions, &attr, argv, environ);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&actions);
    return rc;
}

static enum rb_code start(char **argv, struct child *c, struct rb_err *err)
{
    RB_CLEANUP(rb_closep) int in = -1;
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0) {
        return rb_err_errno(err, RB_E_CREDENTIALS, errno, "no pipe for credential_process");
    }
    c->out = ends[0];
    in = ends[1];
    pid_t pid = 0;
    int rc = spawn(argv, in, &pid);
    if (rc != 0) {
        return rb_err_errno(err, RB_E_CREDENTIALS, rc, "credential_process '%.200s' does not start",
                            argv[0]);
    }
    c->pid = pid;
    c->pidfd = pidfd_open(pid, 0);
    if (c->pidfd < 0 || fcntl(c->out, F_SETFL, O_NONBLOCK) != 0) {
        return rb_err_errno(err, RB_E_CREDENTIALS, errno, "cannot watch credential_process");
    }
    return RB_OK;
}

/* What there is to read; *ret_more false at the end of the output. */
static enum rb_code drain(const struct child *c, struct rb_buf *out, bool *ret_more,
                          struct rb_err *err)
{
    for (;;) {
        char piece[4096];
        ssize_t n = read(c->out, piece, sizeof(piece));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            *ret_more = n < 0 && errno == EAGAIN;
            return RB_OK;
        }
        rb_buf_add(out, piece, (size_t)n);
        rb_wipe(piece, (size_t)n);
        if (rb_buf_failed(out)) {
            return rb_err_set(err, RB_E_CREDENTIALS, "credential_process says more than %zu bytes",
                              OUTPUT_MAX_BYTES);
        }
    }
}

static enum rb_code check_end(struct child *c, struct rb_err *err)
{
    siginfo_t info = {.si_pid = 0};

    if (waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0) {
        return rb_err_set(err, RB_E_CREDENTIALS, "credential_process has no end");
    }
    (void)kill(-c->pid, SIGKILL); /* whatever it left behind in its group */
    c->pid = 0;
    if (info.si_code != CLD_EXITED || info.si_status != 0) {
        return rb_err_set(err, RB_E_CREDENTIALS, "credential_process ended with %s %d",
                          info.si_code == CLD_EXITED ? "status" : "signal", info.si_status);
    }
    return RB_OK;
}

static enum rb_code collect(struct child *c, int64_t timeout_ms, struct rb_buf *out,
                            struct rb_err *err)
{
    const struct rb_clock *clock = rb_clock_system();
    int64_t deadline_boot_ms = rb_boot_ms(clock) + timeout_ms;
    bool more = true, ended = false;

    while (!ended) {
        int64_t left_ms = deadline_boot_ms - rb_boot_ms(clock);
        struct pollfd fds[] = {{.fd = c->pidfd, .events = POLLIN},
                               {.fd = more ? c->out : -1, .events = POLLIN}};
        if (left_ms <= 0) {
            return rb_err_set(err, RB_E_CREDENTIALS,
                              "credential_process did not end within %lld ms",
                              (long long)timeout_ms);
        }
        (void)poll(fds, RB_ARRAY_LEN(fds), (int)left_ms);
        ended = fds[0].revents != 0;
        enum rb_code rc = more ? drain(c, out, &more, err) : RB_OK; /* after the end: the rest */
        if (rc != RB_OK) {
            return rc;
        }
    }
    return check_end(c, err);
}

enum rb_code rb_process_run(const char *command, int64_t timeout_ms, struct rb_credentials *ret_c,
                            struct rb_err *err)
{
    RB_CLEANUP(rb_arena_release) struct rb_arena a;
    RB_CLEANUP(child_release) struct child c = {.pid = 0, .out = -1, .pidfd = -1};
    RB_CLEANUP(rb_identity_wiped_release) struct rb_buf out = RB_BUF_INIT(OUTPUT_MAX_BYTES);
    RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;
    char **argv = NULL;

    rb_arena_init(&a, (size_t)1024 * 1024);
    enum rb_code rc = rb_process_split(command, &a, &argv, err);
    if (rc == RB_OK) {
        rc = start(argv, &c, err);
    }
    if (rc == RB_OK) {
        rc = collect(&c, timeout_ms, &out, err);
    }
    if (rc != RB_OK) {
        return rc;
    }
    if (rb_json_load(rb_buf_str(&out), out.len, &j, NULL) != RB_OK || !json_is_object(j)) {
        return rb_err_set(err, RB_E_CREDENTIALS, "credential_process did not print a JSON object");
    }
    if (json_integer_value(json_object_get(j, "Version")) != 1) {
        return rb_err_set(err, RB_E_CREDENTIALS,
                          "credential_process must print \"Version\": 1, no other is known");
    }
    rc = rb_credentials_from_json(j, "SessionToken", false, ret_c, err);
    return rc == RB_OK ? RB_OK : rb_err_wrap(err, rc, "credential_process");
}

static enum rb_code fetch(struct rb_aws *aws, struct rb_credentials *ret_c, struct rb_err *err)
{
    RB_CLEANUP(rb_profiles_freep) struct rb_profiles *p = NULL;
    bool named = false;
    const char *profile = rb_profile_name(aws, &named);

    enum rb_code rc = rb_profiles_load(&p, err);
    if (rc != RB_OK) {
        return rc;
    }
    const char *command = rb_profiles_get(p, profile, "credential_process", RB_PROFILE_EITHER);
    if (command == NULL) {
        return rb_err_set(err, RB_E_NOT_FOUND, "profile '%s' has no credential_process", profile);
    }
    rc = rb_process_run(command, PROCESS_TIMEOUT_MS, ret_c, err);
    if (rc == RB_OK) { /* the command itself may hold what nobody should read */
        rb_credentials_source(ret_c, "credential_process of profile '%.60s'", profile);
    }
    return rc;
}

const struct rb_provider rb_provider_process = {.name = "credential-process", .fetch = fetch};

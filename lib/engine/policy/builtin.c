/* builtin.c - the rules that are always there, in the order in which they are tried.
 *
 * What failed before or after the build's own commands is worth another run; what the commands say
 * is believed, unless they say that it will pass.
 */
#include <retrybuild/cleanup.h>

#include "rules.h"

#define EX_TEMPFAIL 75

static bool is_one_of(const char *s, const char *const *words, size_t n)
{
    for (size_t i = 0; s != NULL && i < n; i++) {
        if (rb_str_eq(s, words[i])) {
            return true;
        }
    }
    return false;
}

static bool is_platform_phase(const char *phase)
{
    static const char *const phases[] = {"SUBMITTED", "QUEUED", "PROVISIONING", "FINALIZING",
                                         "UPLOAD_ARTIFACTS"};
    return is_one_of(phase, phases, RB_ARRAY_LEN(phases));
}

static bool is_command_phase(const char *phase)
{
    static const char *const phases[] = {"INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD"};
    return is_one_of(phase, phases, RB_ARRAY_LEN(phases));
}

static const char *or_else(const char *s, const char *otherwise)
{
    return s == NULL ? otherwise : s;
}

/* ---- stopped ---- */
static const char *stopped_failed(const struct rb_policy *p, const struct rb_build *b,
                                  struct rb_slice *ret_hit)
{
    (void)p;
    (void)ret_hit;
    return rb_str_eq(b->status, "STOPPED") ? NULL : "status";
}

static const char *stopped_reason(const struct rb_build *b, struct rb_slice hit, struct rb_arena *a)
{
    (void)b;
    (void)hit;
    (void)a;
    return "Somebody stopped this build.";
}

/* ---- client-error ---- */
static const char *client_failed(const struct rb_policy *p, const struct rb_build *b,
                                 struct rb_slice *ret_hit)
{
    (void)p;
    (void)ret_hit;
    return rb_str_eq(b->phase_status, "CLIENT_ERROR") ? NULL : "phase_status";
}

static const char *client_reason(const struct rb_build *b, struct rb_slice hit, struct rb_arena *a)
{
    (void)hit;
    return or_else(rb_arena_printf(a,
                                   "Phase %.32s ended with CLIENT_ERROR: settings are wrong, and "
                                   "another run would end in the same way.",
                                   or_else(b->phase, "unknown")),
                   "A phase ended with CLIENT_ERROR.");
}

/* ---- platform-fault ---- */
static const char *platform_failed(const struct rb_policy *p, const struct rb_build *b,
                                   struct rb_slice *ret_hit)
{
    (void)p;
    (void)ret_hit;
    return rb_str_eq(b->status, "FAULT") || is_platform_phase(b->phase) ? NULL : "phase";
}

static const char *platform_reason(const struct rb_build *b, struct rb_slice hit,
                                   struct rb_arena *a)
{
    (void)hit;
    if (!is_platform_phase(b->phase)) {
        return "CodeBuild itself reports a fault.";
    }
    return or_else(
        rb_arena_printf(a, "It failed in %s, which is CodeBuild's part of the build.", b->phase),
        "It failed in CodeBuild's part of the build.");
}

/* ---- transient-download, failed-download ---- */
static const char *download_failed(const struct rb_policy *p, const struct rb_build *b,
                                   struct rb_slice *ret_hit)
{
    if (!rb_str_eq(b->phase, "DOWNLOAD_SOURCE")) {
        return "phase";
    }
    return rb_transient_find(p, b, ret_hit) ? NULL : "message";
}

static const char *download_reason(const struct rb_build *b, struct rb_slice hit,
                                   struct rb_arena *a)
{
    (void)b;
    return or_else(
        rb_arena_printf(a,
                        "The source could not be fetched, and the message looks transient: "
                        "\"%.*s\".",
                        (int)hit.len, hit.ptr),
        "The source could not be fetched, and the message looks transient.");
}

static const char *no_source_failed(const struct rb_policy *p, const struct rb_build *b,
                                    struct rb_slice *ret_hit)
{
    (void)p;
    (void)ret_hit;
    return rb_str_eq(b->phase, "DOWNLOAD_SOURCE") ? NULL : "phase";
}

static const char *no_source_reason(const struct rb_build *b, struct rb_slice hit,
                                    struct rb_arena *a)
{
    (void)b;
    (void)hit;
    (void)a;
    return "The source could not be fetched, and the message does not look transient.";
}

/* ---- transient-failure ---- */
static const char *commands_failed(const struct rb_policy *p, const struct rb_build *b,
                                   struct rb_slice *ret_hit)
{
    if (b->exit_code == EX_TEMPFAIL) {
        return NULL;
    }
    if (!is_command_phase(b->phase)) {
        return "phase";
    }
    return rb_transient_find(p, b, ret_hit) ? NULL : "message";
}

static const char *commands_reason(const struct rb_build *b, struct rb_slice hit,
                                   struct rb_arena *a)
{
    if (hit.ptr == NULL) {
        return "The build asks for another try: exit code 75 means a temporary failure.";
    }
    return or_else(rb_arena_printf(a, "The message of %s looks transient: \"%.*s\".", b->phase,
                                   (int)hit.len, hit.ptr),
                   "The message looks transient.");
}

/* ---- timed-out ---- */
static const char *timed_out_failed(const struct rb_policy *p, const struct rb_build *b,
                                    struct rb_slice *ret_hit)
{
    (void)p;
    (void)ret_hit;
    return rb_str_eq(b->status, "TIMED_OUT") ? NULL : "status";
}

static const char *timed_out_reason(const struct rb_build *b, struct rb_slice hit,
                                    struct rb_arena *a)
{
    (void)b;
    (void)hit;
    (void)a;
    return "It ran into its time limit, and another run may cost as much: a person decides.";
}

/* ---- real-failure ---- */
static const char *nothing_failed(const struct rb_policy *p, const struct rb_build *b,
                                  struct rb_slice *ret_hit)
{
    (void)p;
    (void)b;
    (void)ret_hit;
    return NULL;
}

static const char *real_reason(const struct rb_build *b, struct rb_slice hit, struct rb_arena *a)
{
    static const char plain[] = "It looks like a real failure.";
    (void)hit;
    if (b->phase == NULL) {
        return plain;
    }
    if (b->exit_code < 0) {
        return or_else(rb_arena_printf(a, "It looks like a real failure in %.32s.", b->phase),
                       plain);
    }
    return or_else(rb_arena_printf(a, "It looks like a real failure in %.32s (exit status %d).",
                                   b->phase, b->exit_code),
                   plain);
}

const struct builtin rb_policy_builtins[] = {
    {"stopped", RB_ACTION_IGNORE, 0, stopped_failed, stopped_reason},
    {"client-error", RB_ACTION_IGNORE, 0, client_failed, client_reason},
    {"platform-fault", RB_ACTION_RETRY, 2, platform_failed, platform_reason},
    {"transient-download", RB_ACTION_RETRY, 2, download_failed, download_reason},
    {"failed-download", RB_ACTION_IGNORE, 0, no_source_failed, no_source_reason},
    {"transient-failure", RB_ACTION_RETRY, 1, commands_failed, commands_reason},
    {"timed-out", RB_ACTION_ASK, 1, timed_out_failed, timed_out_reason},
    {"real-failure", RB_ACTION_IGNORE, 0, nothing_failed, real_reason},
};
const unsigned rb_policy_n_builtins = RB_ARRAY_LEN(rb_policy_builtins);

/* pattern.c - PCRE2 with limits, so that no expression of a user can hold a thread.
 *
 * The just-in-time compiler is used where the machine has one. A match that runs into a limit is
 * no match: the policy stays a total function. The limits of PCRE2 count anew at each character of
 * the text, so a user's expression has a time limit too, looked at from callouts.
 */
#include <stdlib.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/clock.h>

#include "rules.h"

#define MATCH_LIMIT 200000U
#define DEPTH_LIMIT 2000U
#define HEAP_LIMIT_KIB 1024U
#define CALLS_A_LOOK 64U /* callouts between two looks at the clock */

struct pattern {
    pcre2_code *code;
    pcre2_match_context *limits;
    bool timed;
};

void rb_pattern_free(struct pattern *p)
{
    if (p != NULL) {
        pcre2_match_context_free(p->limits);
        pcre2_code_free(p->code);
        free(p);
    }
}

static void pattern_freep(struct pattern **p)
{
    rb_pattern_free(*p);
}

enum rb_code rb_pattern_new(const char *text, bool caseless, bool timed, struct pattern **ret_p,
                            struct rb_err *err)
{
    RB_CLEANUP(pattern_freep) struct pattern *p = calloc(1, sizeof(*p));
    if (p == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a pattern");
    }
    int error = 0;
    PCRE2_SIZE at = 0;
    uint32_t options = PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C | (caseless ? PCRE2_CASELESS : 0U) |
                       (timed ? PCRE2_AUTO_CALLOUT : 0U);
    p->timed = timed;
    p->code = pcre2_compile((PCRE2_SPTR)text, strlen(text), options, &error, &at, NULL);
    if (p->code == NULL) {
        PCRE2_UCHAR why[160];
        if (pcre2_get_error_message(error, why, sizeof(why)) < 0) {
            why[0] = '\0';
        }
        return rb_err_set(err, RB_E_INVALID, "the expression is wrong at character %zu: %s", at + 1,
                          (const char *)why);
    }
    p->limits = pcre2_match_context_create(NULL);
    if (p->limits == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a pattern");
    }
    (void)pcre2_set_match_limit(p->limits, MATCH_LIMIT);
    (void)pcre2_set_depth_limit(p->limits, DEPTH_LIMIT);
    (void)pcre2_set_heap_limit(p->limits, HEAP_LIMIT_KIB);
    (void)pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE); /* without it the interpreter runs */
    *ret_p = RB_TAKE(p);
    return RB_OK;
}

static void match_data_freep(pcre2_match_data **m)
{
    pcre2_match_data_free(*m);
}

static void match_context_freep(pcre2_match_context **c)
{
    pcre2_match_context_free(*c);
}

struct stopwatch {
    unsigned calls;
    int64_t until_ms; /* boot clock; 0 = not looked yet */
};

static int look_at_clock(pcre2_callout_block *block, void *arg)
{
    struct stopwatch *watch = arg;
    (void)block;
    if (watch->calls++ % CALLS_A_LOOK != CALLS_A_LOOK - 1) {
        return 0;
    }
    int64_t now_ms = rb_boot_ms(rb_clock_system());
    if (watch->until_ms == 0) {
        watch->until_ms = now_ms + RB_PATTERN_TIME_MS;
    }
    return now_ms > watch->until_ms ? PCRE2_ERROR_CALLOUT : 0;
}

bool rb_pattern_find(const struct pattern *p, struct rb_slice s, struct rb_slice *ret_hit)
{
    RB_CLEANUP(match_data_freep) pcre2_match_data *m = pcre2_match_data_create(1, NULL);
    RB_CLEANUP(match_context_freep) pcre2_match_context *timed = NULL;
    struct stopwatch watch = {.calls = 0};
    if (m == NULL || s.ptr == NULL) {
        return false;
    }
    if (p->timed) {
        timed = pcre2_match_context_copy(p->limits);
        if (timed == NULL) {
            return false;
        }
        (void)pcre2_set_callout(timed, look_at_clock, &watch);
    }
    if (pcre2_match(p->code, (PCRE2_SPTR)s.ptr, s.len, 0, 0, m, timed == NULL ? p->limits : timed) <
        0) {
        return false;
    }
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(m);
    if (ret_hit != NULL && at[1] >= at[0]) {
        *ret_hit = (struct rb_slice){.ptr = s.ptr + at[0], .len = at[1] - at[0]};
    }
    return true;
}

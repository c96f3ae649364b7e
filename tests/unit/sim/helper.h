/* helper.h - a simulator with a clock that only tests move, asked without a socket between. */
#ifndef RB_TEST_SIM_HELPER_H
#define RB_TEST_SIM_HELPER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "http.h"

#define TEST_START_MS INT64_C(1793714711250) /* 2026-11-03T14:05:11.250Z */

/* One answer; body is the parsed JSON or NULL. Release with answer_release. */
struct answer {
    struct sim_reply reply;
    json_t *body;
};

struct rb_sim *test_sim(const char *script);
struct rb_sim *test_sim_with(struct rb_sim_options *o, const char *script);
/* ask - one call; @headers: name, value, ..., NULL, or NULL. */
struct answer ask_with(struct rb_sim *sim, const char *operation, const char *body,
                       const char *const *headers);
struct answer ask(struct rb_sim *sim, const char *operation, const char *body);
struct answer control(struct rb_sim *sim, const char *method, const char *path, const char *body);
void answer_release(struct answer *a);
/* The error's name, copied from the header after checking that the body says the same. */
void assert_error(struct rb_sim *sim, const char *operation, const char *body, const char *error);
/* start and retry - ids of new builds, owned by the caller (free). */
char *start_build(struct rb_sim *sim, const char *body);
char *retry_build(struct rb_sim *sim, const char *id, const char *token);
/* The build as BatchGetBuilds shows it (new reference). */
json_t *read_build(struct rb_sim *sim, const char *id);
const char *text_at(json_t *obj, const char *key);
json_t *phase_of(json_t *build, const char *type);
/* Every member's path ("a.b[].c") that @value has and @known lacks fails the test; counts them. */
size_t assert_members_known(json_t *value, json_t *known);
bool has_member(json_t *value, const char *path);
json_t *load_data(const char *name);

#endif

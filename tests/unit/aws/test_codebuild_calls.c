/* The other calls against a scripted server: what arrives, what is read, what is repeated. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <retrybuild/cleanup.h>

#include "codebuild_world.h"

/* ---- StopBuild ---- */

static enum rb_code stop(struct world *w, struct rb_build *ret_b)
{
    return rb_codebuild_stop(w->client, "us-east-1", CHILD, &w->arena, ret_b, &w->err);
}

static void stop_sends_the_id_and_reads_the_build(void **state)
{
    struct world *w = *state;
    struct rb_build b = RB_BUILD_INIT;

    script_server_push_json(w->server, 200, "",
                            "{\"build\":{\"id\":\"" CHILD "\",\"buildStatus\":\"STOPPED\"}}");
    assert_int_equal(stop(w, &b), RB_OK);
    assert_string_equal(b.status, "STOPPED");
    assert_string_equal(script_server_body(w->server, 0), "{\"id\":\"" CHILD "\"}");
    char *target = script_server_header(w->server, 0, "x-amz-target");
    assert_string_equal(target, "CodeBuild_20161006.StopBuild");
    free(target);
    assert_true(world_counted("StopBuild", "ok") == 1);
}

static void stop_without_an_answer_is_repeated(void **state)
{
    struct world *w = *state;
    struct rb_build b = RB_BUILD_INIT;

    script_server_push_json(w->server, 503, "", "");
    script_server_push_json(w->server, 200, "",
                            "{\"build\":{\"id\":\"" CHILD "\",\"buildStatus\":\"STOPPED\"}}");
    assert_int_equal(stop(w, &b), RB_OK);
    assert_int_equal(script_server_requests(w->server), 2);
}

static void stop_that_is_refused_is_not(void **state)
{
    struct world *w = *state;
    struct rb_build b = RB_BUILD_INIT;

    script_server_push_json(w->server, 400, "",
                            "{\"__type\":\"AccessDeniedException\",\"message\":\"no\"}");
    assert_int_equal(stop(w, &b), RB_E_REFUSED);
    assert_int_equal(script_server_requests(w->server), 1);
    script_server_push_json(w->server, 200, "", "{}");
    assert_int_equal(stop(w, &b), RB_E_AMBIGUOUS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(stop_sends_the_id_and_reads_the_build),
        ROW(stop_without_an_answer_is_repeated),
        ROW(stop_that_is_refused_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

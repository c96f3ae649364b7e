/* Projects and lists: defaults, constraints, names or ARNs, pages. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>

#include "helper.h"

static const char minimal[] =
    "{\"name\":\"web\",\"source\":{\"type\":\"NO_SOURCE\",\"buildspec\":\"x\"},"
    "\"artifacts\":{\"type\":\"NO_ARTIFACTS\"},\"serviceRole\":\"arn:aws:iam::123456789012:role/"
    "r\","
    "\"environment\":{\"type\":\"LINUX_CONTAINER\",\"image\":\"i\","
    "\"computeType\":\"BUILD_GENERAL1_SMALL\"}}";

static void a_created_project_has_the_defaults_of_aws(void **state)
{
    (void)state;
    RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = test_sim(NULL);
    struct answer a = ask(sim, "CreateProject", minimal);
    json_t *p = json_object_get(a.body, "project");
    assert_int_equal(a.reply.status, 200);
    assert_string_equal(text_at(p, "arn"), "arn:aws:codebuild:us-east-1:123456789012:project/web");
    assert_int_equal(json_integer_value(json_object_get(p, "timeoutInMinutes")), 60);
    assert_int_equal(json_integer_value(json_object_get(p, "queuedTimeoutInMinutes")), 480);
    assert_true(json_real_value(json_object_get(p, "created")) == (double)TEST_START_MS / 1000.0);
    assert_true(has_member(p, "environment.environmentVariables"));
    assert_true(has_member(p, "badge.badgeEnabled"));
    answer_release(&a);
    assert_error(sim, "CreateProject", minimal, "ResourceAlreadyExistsException");
}

static void constraints_of_the_model_hold(void **state)
{
    (void)state;
    static const struct {
        const char *operation, *body, *error, *message;
    } cases[] = {
        {"CreateProject", "{}", "InvalidInputException", "'name'"},
        {"CreateProject", "{\"name\":\"-x\"}", "InvalidInputException", "project name"},
        {"CreateProject", "{\"name\":\"web\",\"source\":{\"type\":\"CVS\"}}",
         "InvalidInputException", "'source.type'"},
        {"StartBuild", "{\"projectName\":\"\"}", "InvalidInputException", "'projectName'"},
        {"StartBuild", "{\"projectName\":\"a\",\"timeoutInMinutesOverride\":4}",
         "InvalidInputException", "'timeoutInMinutesOverride'"},
        {"StartBuild",
         "{\"projectName\":\"a\",\"environmentVariablesOverride\":[{\"name\":\"A\",\"value\":\"\"},"
         "{\"name\":\"B\"}]}",
         "InvalidInputException", "'environmentVariablesOverride.2.member.value'"},
        {"StartBuild", "{\"projectName\":{}}", "SerializationException", "'projectName'"},
        {"BatchGetBuilds", "{\"ids\":\"a\"}", "SerializationException", "'ids'"},
        {"BatchGetProjects", "{\"names\":[]}", "InvalidInputException", "'names'"},
        {"ListBuilds", "{\"sortOrder\":\"UP\"}", "InvalidInputException",
         "[ASCENDING, DESCENDING]"},
        {"RetryBuild", "{\"id\":\"\"}", "InvalidInputException", "'id'"},
        {"RetryBuild", "not JSON", "SerializationException", ""},
        {"RetryBuild", "[]", "SerializationException", ""},
        {"UpdateFleet", "{}", "UnknownOperationException", ""},
    };
    RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = test_sim(NULL);
    for (size_t i = 0; i < RB_ARRAY_LEN(cases); i++) {
        struct answer a = ask(sim, cases[i].operation, cases[i].body);
        assert_string_equal(a.reply.error_type, cases[i].error);
        assert_int_equal(a.reply.status, 400);
        if (strstr(text_at(a.body, "message"), cases[i].message) == NULL) {
            fail_msg("%s: %s", cases[i].message, a.reply.body);
        }
        answer_release(&a);
    }
}

static void projects_are_found_by_name_or_arn_until_deleted(void **state)
{
    (void)state;
    RB_CLEANUP(rb_sim_stopp)
    struct rb_sim *sim = test_sim("projects: [{name: web}, {name: 'x-*'}]");
    static const char body[] =
        "{\"names\":[\"web\",\"arn:aws:codebuild:us-east-1:123456789012:project/web\",\"no\"]}";
    struct answer a = ask(sim, "BatchGetProjects", body);
    assert_int_equal(json_array_size(json_object_get(a.body, "projects")), 2);
    assert_int_equal(json_array_size(json_object_get(a.body, "projectsNotFound")), 1);
    answer_release(&a);
    for (int i = 0; i < 2; i++) { /* deleting what is not there is fine */
        a = ask(sim, "DeleteProject", "{\"name\":\"web\"}");
        assert_int_equal(a.reply.status, 200);
        answer_release(&a);
    }
    a = ask(sim, "ListProjects", "{}");
    assert_int_equal(json_array_size(json_object_get(a.body, "projects")), 0);
    answer_release(&a);
    assert_error(sim, "ListBuildsForProject", "{\"projectName\":\"web\"}",
                 "ResourceNotFoundException");
}

static size_t count_pages(struct rb_sim *sim, const char *operation, const char *more,
                          size_t *ret_n)
{
    size_t pages = 0;
    RB_CLEANUP(rb_freep) char *token = NULL;
    do {
        RB_CLEANUP(rb_buf_release) struct rb_buf body = RB_BUF_INIT(2048);
        rb_buf_addf(&body, "{%s%s%s%s%s}", more, token != NULL && *more != '\0' ? "," : "",
                    token == NULL ? "" : "\"nextToken\":\"", token == NULL ? "" : token,
                    token == NULL ? "" : "\"");
        struct answer a = ask(sim, operation, rb_buf_str(&body));
        assert_int_equal(a.reply.status, 200);
        *ret_n += json_array_size(json_object_get(a.body, "ids"));
        const char *next = json_string_value(json_object_get(a.body, "nextToken"));
        free(token);
        token = next == NULL ? NULL : strdup(next);
        answer_release(&a);
        pages++;
    } while (token != NULL && pages < 10);
    return pages;
}

static void lists_come_in_pages_of_a_hundred(void **state)
{
    (void)state;
    RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = test_sim("projects: [{name: web}, {name: api}]");
    for (int i = 0; i < 200; i++) {
        free(start_build(sim, "{\"projectName\":\"web\"}"));
    }
    size_t n = 0;
    assert_int_equal(count_pages(sim, "ListBuilds", "", &n), 2);
    assert_int_equal(n, 200);
    free(start_build(sim, "{\"projectName\":\"web\"}"));
    n = 0;
    assert_int_equal(count_pages(sim, "ListBuildsForProject",
                                 "\"projectName\":\"web\",\"sortOrder\":\"ASCENDING\"", &n),
                     3);
    assert_int_equal(n, 201);
    assert_error(sim, "ListBuilds", "{\"nextToken\":\"bm9uc2Vuc2U=\"}", "InvalidInputException");
    assert_error(sim, "ListBuilds", "{\"nextToken\":\"%%%\"}", "InvalidInputException");
}

static void builds_show_in_lists_when_their_lag_is_over(void **state)
{
    (void)state;
    RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = test_sim("{projects: [{name: web}], lag: 90s}");
    free(start_build(sim, "{\"projectName\":\"web\"}"));
    size_t n = 0;
    rb_sim_advance(sim, 89999);
    count_pages(sim, "ListBuilds", "", &n);
    assert_int_equal(n, 0);
    rb_sim_advance(sim, 1);
    count_pages(sim, "ListBuildsForProject", "\"projectName\":\"web\"", &n);
    assert_int_equal(n, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_created_project_has_the_defaults_of_aws),
        cmocka_unit_test(constraints_of_the_model_hold),
        cmocka_unit_test(projects_are_found_by_name_or_arn_until_deleted),
        cmocka_unit_test(lists_come_in_pages_of_a_hundred),
        cmocka_unit_test(builds_show_in_lists_when_their_lag_is_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

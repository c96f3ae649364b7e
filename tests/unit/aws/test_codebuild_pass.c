/* Calls of others, passed on: AWS's own answer, and what is never given. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <retrybuild/cleanup.h>

#include "codebuild_world.h"

#define QUESTION "{ \"names\" : [ \"w\xc3\xa4\" ] }"

static enum rb_code pass(struct world *w, struct rb_http_answer *ret_answer)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf body = RB_BUF_INIT(1024);

    rb_buf_adds(&body, QUESTION);
    return rb_codebuild_pass(w->client, "eu-west-1", "BatchGetProjects", &body, ret_answer,
                             &w->err);
}

static void assert_passed(struct world *w, int status, const char *body)
{
    RB_CLEANUP(rb_http_answer_release) struct rb_http_answer answer = {.status = 0};

    script_server_push_json(w->server, status, "x-amzn-RequestId: 1-2\r\n", body);
    assert_int_equal(pass(w, &answer), RB_OK);
    assert_int_equal(answer.status, status);
    assert_string_equal(rb_buf_str(&answer.body), body);
    assert_string_equal(rb_http_answer_header(&answer, "x-amzn-requestid", &w->arena), "1-2");
}

static void answers_pass_byte_for_byte_whatever_their_status(void **state)
{
    struct world *w = *state;

    assert_passed(w, 200, "{ \"projects\" : [],\"x\":1.50 }");
    assert_passed(w, 200, "not even JSON");
    assert_passed(w, 400, "{\"__type\":\"InvalidInputException\",\"message\":\"no\"}");
    assert_passed(w, 400, "{\"__type\":\"ThrottlingException\",\"message\":\"Rate exceeded\"}");
    assert_passed(w, 400, "{\"__type\":\"AccessDeniedException\",\"message\":\"User: x\"}");
    assert_passed(w, 503, "<html>away</html>");
    assert_int_equal(script_server_requests(w->server), 6); /* none was sent twice */
}

static void the_question_passes_as_it_was_written_in_the_region_it_was_for(void **state)
{
    struct world *w = *state;

    assert_passed(w, 200, "{}");
    char *target = script_server_header(w->server, 0, "x-amz-target");
    char *authorization = script_server_header(w->server, 0, "authorization");
    assert_string_equal(script_server_body(w->server, 0), QUESTION);
    assert_string_equal(target, "CodeBuild_20161006.BatchGetProjects");
    assert_non_null(strstr(authorization, "/eu-west-1/codebuild/aws4_request"));
    free(target);
    free(authorization);
}

static void what_aws_says_of_our_own_signature_is_not_given(void **state)
{
    static const char refused[] = "{\"__type\":\"InvalidSignatureException\",\"message\":\"The "
                                  "canonical string was x-amz-security-token:" TOKEN "\"}";
    struct world *w = *state;
    RB_CLEANUP(rb_http_answer_release) struct rb_http_answer answer = {.status = 0};

    script_server_push_json(w->server, 400, "", refused);
    script_server_push_json(w->server, 400, "", refused);
    assert_int_equal(pass(w, &answer), RB_E_CREDENTIALS);
    assert_int_equal(script_server_requests(w->server), 2); /* once more, freshly fetched */
    assert_int_equal(answer.status, 0);
    assert_null(strstr(w->err.msg, TOKEN));
}

static void a_wrong_date_is_mended_and_the_call_repeated_once(void **state)
{
    static const char expired[] =
        "{\"__type\":\"InvalidSignatureException\",\"message\":\"Signature expired: a\"}";
    struct world *w = *state;

    w->now_ms = DATE_MS - 300000;
    script_server_push_json(w->server, 400, "Date: " DATE_HEADER "\r\n", expired);
    assert_passed(w, 200, "{}");
    char *second = script_server_header(w->server, 1, "x-amz-date");
    assert_string_equal(second, "20261118T110640Z");
    free(second);
}

static void a_cut_answer_is_no_answer(void **state)
{
    struct world *w = *state;
    RB_CLEANUP(rb_http_answer_release) struct rb_http_answer answer = {.status = 0};

    script_server_push(w->server, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"a\"",
                       SCRIPT_CLOSE);
    assert_int_equal(pass(w, &answer), RB_E_AMBIGUOUS);
    assert_int_equal(answer.status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(answers_pass_byte_for_byte_whatever_their_status),
        ROW(the_question_passes_as_it_was_written_in_the_region_it_was_for),
        ROW(what_aws_says_of_our_own_signature_is_not_given),
        ROW(a_wrong_date_is_mended_and_the_call_repeated_once),
        ROW(a_cut_answer_is_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

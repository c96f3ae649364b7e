/* fuzz_codebuild.c - libFuzzer target: an answer of CodeBuild is a build, a batch, an error, or
 * nothing; what is read of it is well formed, and StartBuild's body is JSON. The first byte says
 * which HTTP status it came with. */
#include <retrybuild/json.h>

#include "../../lib/aws/internal.h"
#include "fuzz.h"

static void check_build(const struct rb_build *b)
{
    const char *texts[] = {b->id,     b->arn,    b->project, b->status,     b->phase,
                           b->message, b->branch, b->author,  b->repository, b->url};
    for (size_t i = 0; i < RB_ARRAY_LEN(texts); i++) {
        is_text(texts[i]);
    }
}

static void check_start(const json_t *j)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf body = RB_BUF_INIT(1 << 20);
    RB_CLEANUP(rb_json_decrefp) json_t *again = NULL;
    if (rb_start_body(j, "token", &body, NULL) == RB_OK) {
        need(rb_json_load(rb_buf_str(&body), body.len, &again, NULL) == RB_OK);
    }
}

static void check_error(const uint8_t *data, size_t len, long status)
{
    struct rb_http_answer answer = {
        .status = status, .body = RB_BUF_INIT(1 << 20), .raw_headers = RB_BUF_INIT(256)};
    struct rb_arena a;
    struct rb_err err = {.code = RB_OK};
    rb_buf_add(&answer.body, data, len);
    rb_arena_init(&a, 1 << 20);
    need(rb_aws_judge("RetryBuild", &answer, &err) != RB_OK && err.msg[0] != '\0');
    is_text(rb_aws_error_type(&answer, &a));
    rb_arena_release(&a);
    rb_http_answer_release(&answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const long statuses[] = {400, 403, 404, 429, 500, 503};
    RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;
    struct rb_build b = RB_BUILD_INIT;
    struct rb_batch batch = {.n_members = 0};
    struct rb_arena a;
    if (len == 0) {
        return 0;
    }
    check_error(data + 1, len - 1, statuses[data[0] % RB_ARRAY_LEN(statuses)]);
    if (rb_json_load((const char *)data + 1, len - 1, &j, NULL) != RB_OK) {
        return 0;
    }
    rb_arena_init(&a, 1 << 20);
    if (rb_codebuild_build_from_json(j, "eu-central-1", &a, &b, NULL) == RB_OK) {
        check_build(&b);
    }
    if (rb_codebuild_batch_from_json(j, "eu-central-1", &a, &batch, NULL) == RB_OK) {
        for (unsigned i = 0; i < batch.n_members; i++) {
            need(batch.members[i].id != NULL);
            is_text(batch.members[i].status);
        }
    }
    check_start(j);
    rb_arena_release(&a);
    return 0;
}

/* build_link.c - where a person looks at a build: the CodeBuild console of its partition. */
#include <retrybuild/model.h>
#include <retrybuild/url.h>

static const char *console_domain(const struct rb_build *b)
{
    if (rb_str_eq(b->partition, "aws-cn")) {
        return "console.amazonaws.cn";
    }
    return rb_str_eq(b->partition, "aws-us-gov") ? "console.amazonaws-us-gov.com"
                                                 : "console.aws.amazon.com";
}

void rb_build_add_link(const struct rb_build *b, struct rb_buf *out)
{
    if (b->region == NULL || b->project == NULL || b->id == NULL) {
        return;
    }
    rb_buf_addf(out, "https://%s.%s/codesuite/codebuild/", b->region, console_domain(b));
    if (b->account != NULL) {
        rb_buf_addf(out, "%s/", b->account);
    }
    rb_buf_addf(out, "projects/%s/build/", b->project);
    rb_url_encode(out, b->id, strlen(b->id));
    rb_buf_adds(out, "/log");
}

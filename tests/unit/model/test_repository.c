/* Addresses of repositories, as hooks, clones and pages have them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/model.h>

struct pair {
    const char *a, *b;
};

static void expect(const struct pair *pairs, size_t n, bool same)
{
    for (size_t i = 0; i < n; i++) {
        if (rb_repository_same(pairs[i].a, pairs[i].b) != same ||
            rb_repository_same(pairs[i].b, pairs[i].a) != same) {
            fail_msg("%s and %s", pairs[i].a, pairs[i].b);
        }
    }
}

static void every_way_to_clone_is_of_the_same_repository(void **state)
{
    static const struct pair pairs[] = {
        {"https://github.com/o/r.git", "https://github.com/o/r"},
        {"https://github.com/o/r.git", "https://github.com/o/r/"},
        {"https://github.com/o/r.git", "https://GitHub.com/O/R.GIT"},
        {"https://github.com/o/r", "git@github.com:o/r.git"},
        {"https://github.com/o/r", "ssh://git@github.com/o/r.git"},
        {"https://github.com/o/r", "ssh://git@ssh.github.com:443/o/r.git"},
        {"https://github.com/o/r", "https://user:secret@github.com/o/r.git"},
        {"https://github.com/o/r", "https://github.com:443/o/r?ref=main#x"},
        {"https://github.com./o/r", "http://github.com/o/r"},
        {"https://ghe.example.com/o/r", "git@ghe.example.com:o/r"},
        {"https://bitbucket.org/o/r", "ssh://git@altssh.bitbucket.org:443/o/r.git"},
        {"https://someone@bitbucket.org/o/r.git", "https://bitbucket.org/o/r"},
        {"https://gitlab.com/g/sub/p.git", "git@gitlab.com:g/sub/p.git"},
        {"https://[::1]:8443/o/r", "https://[::1]:8443/o/r.git"},
    };
    (void)state;
    expect(pairs, RB_ARRAY_LEN(pairs), true);
}

static void bitbucket_data_center_has_three_paths_to_one(void **state)
{
    static const struct pair pairs[] = {
        {"https://bb.example.com/scm/PRJ/web.git", "https://bb.example.com/scm/prj/web"},
        {"https://bb.example.com/scm/PRJ/web.git", "ssh://git@bb.example.com:7999/prj/web.git"},
        {"https://bb.example.com/scm/prj/web.git",
         "https://bb.example.com/projects/PRJ/repos/web/browse"},
        {"https://bb.example.com/bitbucket/scm/prj/web.git",
         "ssh://git@bb.example.com:7999/prj/web.git"},
        {"https://bb.example.com/scm/~ann/web.git", "https://bb.example.com/users/ann/repos/web"},
    };
    static const struct pair others[] = {
        {"https://bb.example.com/scm/prj/web", "https://bb.example.com/prj/web"},
        {"https://bb.example.com/scm/prj/web", "https://bb.example.com/scm/other/web"},
        {"https://bb.example.com/scm/~ann/web", "https://bb.example.com/projects/ann/repos/web"},
        {"https://bb.example.com/scm/prj/web", "https://other.example.com/scm/prj/web"},
    };
    (void)state;
    expect(pairs, RB_ARRAY_LEN(pairs), true);
    expect(others, RB_ARRAY_LEN(others), false);
}

static void what_differs_in_host_path_or_port_is_another(void **state)
{
    static const struct pair pairs[] = {
        {"https://github.com/o/r", "https://github.com/o/r2"},
        {"https://github.com/o/r", "https://github.com/o2/r"},
        {"https://github.com/o/r", "https://github.com.evil.example/o/r"},
        {"https://github.com/o/r", "https://evil.example/github.com/o/r"},
        {"https://github.com/o/r", "https://github.com@evil.example/o/r"},
        {"https://github.com/o/r", "https://gitlab.com/o/r"},
        {"https://github.com/o/r", "https://github.com/o/r/tree/main"},
        {"https://gitlab.com/g/p", "https://gitlab.com/g/sub/p"},
        {"https://gitlab.com/scm/g/p", "https://gitlab.com/g/p"},
        {"https://127.0.0.1:3000/o/r", "https://127.0.0.1:3001/o/r"},
        {"https://github.com/o/r.git.git", "https://github.com/o/r"},
        {"https://github.com/", "https://github.com/"},
        {"bucket/key.zip", "bucket/key.zip"},
        {"s3://bucket/key", "s3://bucket/key"},
        {"file:///o/r", "file:///o/r"},
        {"", ""},
        {NULL, NULL},
        {NULL, "https://github.com/o/r"},
        {"://", "://"},
        {"@:", "@:"},
    };
    (void)state;
    expect(pairs, RB_ARRAY_LEN(pairs), false);
}

static void a_bucket_is_no_repository(void **state)
{
    (void)state;
    assert_true(rb_repository_is("https://git-codecommit.us-east-1.amazonaws.com/v1/repos/web"));
    assert_false(rb_repository_is("bucket/key.zip"));
    assert_false(rb_repository_is("arn:aws:s3:::bucket/key"));
    assert_false(rb_repository_is(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way_to_clone_is_of_the_same_repository),
        cmocka_unit_test(bitbucket_data_center_has_three_paths_to_one),
        cmocka_unit_test(what_differs_in_host_path_or_port_is_another),
        cmocka_unit_test(a_bucket_is_no_repository),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

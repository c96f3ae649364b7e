/* test_cases.c - configurations in tests/data/config, each beside what it must lead to.
 *
 * bad/NAME.yaml and bad/NAME.txt: every problem, as LINE:COLUMN: sentence. good/NAME.yaml and
 * good/NAME.txt: how the settings differ from the defaults. The folder stands as DIR in both. The
 * word CANARY in a document marks a secret: no output may hold it. The folder is the program's
 * argument.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/config.h>
#include <retrybuild/str.h>

#define MIN_BAD 130
#define MIN_GOOD 15
#define MAX_TEXT ((size_t)1 << 20)

static const char *root;
static struct rb_settings *defaults;

static void read_text(const char *path, struct rb_buf *out)
{
    FILE *f = fopen(path, "rbe");
    if (f == NULL) {
        fail_msg("%s is missing", path);
        return;
    }
    char chunk[4096];
    size_t n = 0;
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0) {
        rb_buf_add(out, chunk, n);
    }
    assert_int_equal(fclose(f), 0);
}

/* add_without - @text with every @what written as @with. */
static void add_without(struct rb_buf *out, const char *text, const char *what, const char *with)
{
    for (const char *at = strstr(text, what); at != NULL; at = strstr(text, what)) {
        rb_buf_add(out, text, (size_t)(at - text));
        rb_buf_adds(out, with);
        text = at + strlen(what);
    }
    rb_buf_adds(out, text);
}

/* outcome_of - the problems of @path, or how its settings differ from the defaults. */
static bool outcome_of(const char *path, struct rb_buf *out)
{
    struct rb_problems problems;
    struct rb_settings *s = NULL;
    struct rb_err err = {0};
    enum rb_code rc = rb_config_load(path, &s, &problems, &err);
    for (unsigned i = 0; i < problems.n; i++) {
        rb_buf_addf(out, "%u:%u: %s\n", problems.items[i].line, problems.items[i].column,
                    problems.items[i].text);
    }
    if (rc == RB_OK) {
        rb_config_diff(defaults, s, out);
    } else if (problems.n == 0) {
        rb_buf_addf(out, "%s\n", err.msg);
    }
    assert_int_equal(rc == RB_OK, problems.n == 0 && s != NULL);
    rb_problems_release(&problems);
    rb_settings_unref(s);
    return rc == RB_OK;
}

static bool check(const char *dir, const char *name, bool must_load)
{
    RB_CLEANUP(rb_freep) char *path = NULL;
    RB_CLEANUP(rb_freep) char *beside = NULL;
    assert_true(asprintf(&path, "%s/%s", dir, name) > 0);
    assert_true(asprintf(&beside, "%.*s.txt", (int)(strlen(path) - strlen(".yaml")), path) > 0);
    RB_CLEANUP(rb_buf_release) struct rb_buf raw = RB_BUF_INIT(MAX_TEXT);
    RB_CLEANUP(rb_buf_release) struct rb_buf got = RB_BUF_INIT(MAX_TEXT);
    RB_CLEANUP(rb_buf_release) struct rb_buf wanted = RB_BUF_INIT(MAX_TEXT);
    bool loaded = outcome_of(path, &raw);
    add_without(&got, rb_buf_str(&raw), dir, "DIR");
    read_text(beside, &wanted);
    bool good = loaded == must_load && strcmp(rb_buf_str(&got), rb_buf_str(&wanted)) == 0 &&
                strstr(rb_buf_str(&got), "CANARY") == NULL;
    if (!good) {
        print_error("%s: expected\n%sgot\n%s", name, rb_buf_str(&wanted), rb_buf_str(&got));
    }
    return good;
}

static void each_case(const char *folder, int minimum, bool must_load)
{
    RB_CLEANUP(rb_freep) char *dir = NULL;
    assert_true(asprintf(&dir, "%s/%s", root, folder) > 0);
    DIR *d = opendir(dir);
    assert_non_null(d);
    int n = 0;
    int wrong = 0;
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        if (rb_str_ends(e->d_name, ".yaml")) {
            n++;
            wrong += check(dir, e->d_name, must_load) ? 0 : 1;
        }
    }
    assert_int_equal(closedir(d), 0);
    assert_int_equal(wrong, 0);
    if (n < minimum) {
        fail_msg("%s has %d documents, at least %d are expected", dir, n, minimum);
    }
}

static void a_bad_configuration_gets_every_problem_with_place_and_remedy(void **state)
{
    (void)state;
    each_case("bad", MIN_BAD, false);
}

static void a_good_configuration_becomes_the_settings_it_describes(void **state)
{
    (void)state;
    each_case("good", MIN_GOOD, true);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bad_configuration_gets_every_problem_with_place_and_remedy),
        cmocka_unit_test(a_good_configuration_becomes_the_settings_it_describes),
    };
    if (argc != 2) {
        return EXIT_FAILURE;
    }
    root = argv[1];
    static const char *const absent[] = {"STATE_DIRECTORY", "AWS_REGION", "AWS_DEFAULT_REGION",
                                         "ABSENT"};
    for (unsigned i = 0; i < RB_ARRAY_LEN(absent); i++) {
        (void)unsetenv(absent[i]);
    }
    (void)setenv("EMPTY", "", 1);
    (void)setenv("WORD", "web", 1);
    (void)setenv("SECRET", "CANARY-from-the-environment", 1);
    struct rb_problems problems;
    if (rb_config_load(NULL, &defaults, &problems, NULL) != RB_OK) {
        return EXIT_FAILURE;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rb_settings_unref(defaults);
    return failed;
}

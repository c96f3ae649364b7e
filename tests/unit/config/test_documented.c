/* test_documented.c - configs/retrybuild.yaml against the schema: every key is there, none that the
 * schema lacks, and what it calls a default is one. The file is the program's argument.
 *
 * The file's examples stand behind '#': a line whose comment reads like a key or an item is taken
 * as one, which gives a second document that must load too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/config.h>
#include <retrybuild/str.h>

#define MAX_TEXT ((size_t)1 << 20)
#define MAX_KEYS 400
#define MAX_DEPTH 8
#define MIN_KEYS 80

static const char *file;
static char dir[] = "/tmp/retrybuild-documented-XXXXXX";

struct written { /* a key as it stands in the file */
    char path[128];
    char value[128]; /* without comment and quotes */
};

static void read_text(struct rb_buf *out)
{
    FILE *f = fopen(file, "rbe");
    assert_non_null(f);
    char chunk[4096];
    size_t n = 0;
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0) {
        rb_buf_add(out, chunk, n);
    }
    assert_int_equal(fclose(f), 0);
    assert_false(rb_buf_failed(out));
}

/* key_len - length of "word:" at @s when a blank or the end follows, else 0. */
static size_t key_len(const char *s)
{
    size_t len = strspn(s, "abcdefghijklmnopqrstuvwxyz_0123456789");
    return len > 0 && s[len] == ':' && (s[len + 1] == ' ' || s[len + 1] == '\0') ? len : 0;
}

/* example - the text of a comment that reads like a key or an item, else NULL. */
static const char *example(const char *comment)
{
    if (comment[0] != '#' || comment[1] != ' ') {
        return NULL;
    }
    const char *s = comment + 2 + strspn(comment + 2, " ");
    bool item = rb_str_starts(s, "- ");
    s += item ? 2 : 0;
    return key_len(s) > 0 || (item && s[0] == '{') ? comment + 2 : NULL;
}

/* with_examples - the file with its examples taken as written. */
static void with_examples(const char *text, struct rb_buf *out)
{
    while (*text != '\0') {
        size_t len = strcspn(text, "\n");
        RB_CLEANUP(rb_freep) char *line = strndup(text, len);
        size_t indent = strspn(line, " ");
        const char *rest = example(line + indent);
        rb_buf_addf(out, "%.*s%s\n", (int)indent, line, rest == NULL ? line + indent : rest);
        text += len + (text[len] == '\n' ? 1 : 0);
    }
}

/* open_lists - "key: []" whose next line is an item loses its "[]". */
static void open_lists(const char *text, struct rb_buf *out)
{
    while (*text != '\0') {
        size_t len = strcspn(text, "\n");
        const char *next = text + len + (text[len] == '\n' ? 1 : 0);
        RB_CLEANUP(rb_freep) char *line = strndup(text, len);
        char *empty = strstr(line, ": []");
        if (empty != NULL && rb_str_starts(next + strspn(next, " "), "- ")) {
            empty[1] = '\0';
        }
        rb_buf_addf(out, "%s\n", line);
        text = next;
    }
}

static void take_value(const char *s, char *ret_value, size_t len)
{
    s += strspn(s, " ");
    size_t n = strlen(s);
    const char *comment = strstr(s, " #");
    if (s[0] == '#') {
        n = 0;
    } else if (comment != NULL) {
        n = (size_t)(comment - s);
    }
    while (n > 0 && s[n - 1] == ' ') {
        n--;
    }
    size_t used = 0;
    for (size_t i = 0; i < n && used + 1 < len; i++) {
        if (s[i] != '"') {
            ret_value[used++] = s[i];
        }
    }
    ret_value[used] = '\0';
}

/* written_keys - every key of block maps with its path, lists as "[]". */
static unsigned written_keys(const char *text, struct written *keys)
{
    struct {
        size_t indent;
        char path[100];
    } open[MAX_DEPTH] = {{0, ""}};
    unsigned depth = 0;
    unsigned n = 0;
    while (*text != '\0') {
        size_t len = strcspn(text, "\n");
        RB_CLEANUP(rb_freep) char *line = strndup(text, len);
        text += len + (text[len] == '\n' ? 1 : 0);
        size_t indent = strspn(line, " ");
        bool item = rb_str_starts(line + indent, "- ");
        indent += item ? 2 : 0;
        size_t word = key_len(line + indent);
        if (word == 0) {
            continue;
        }
        while (depth > 0 && open[depth].indent >= indent) {
            depth--;
        }
        if (item && !rb_str_ends(open[depth].path, "[]")) {
            char list[100];
            (void)snprintf(list, sizeof list, "%.97s[]", open[depth].path);
            memcpy(open[depth].path, list, sizeof list);
        }
        assert_true(n < MAX_KEYS && depth + 1 < MAX_DEPTH);
        (void)snprintf(keys[n].path, sizeof keys[n].path, "%s%s%.*s", open[depth].path,
                       depth == 0 ? "" : ".", (int)word, line + indent);
        take_value(line + indent + word + 1, keys[n].value, sizeof keys[n].value);
        depth++;
        open[depth].indent = indent;
        (void)snprintf(open[depth].path, sizeof open[depth].path, "%.99s", keys[n].path);
        n++;
    }
    return n;
}

struct row { /* a line of rb_config_describe */
    char path[128], type[32], fallback[64];
};

static unsigned schema_rows(struct row *rows)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(MAX_TEXT);
    rb_config_describe(&text);
    unsigned n = 0;
    for (const char *p = rb_buf_str(&text); *p != '\0'; p += strcspn(p, "\n") + 1) {
        size_t path = strcspn(p, "\t");
        const char *type = p + path + 1;
        size_t type_len = strcspn(type, "\t");
        const char *fallback = type + type_len + 1;
        assert_true(n < MAX_KEYS);
        (void)snprintf(rows[n].path, sizeof rows[n].path, "%.*s", (int)path, p);
        (void)snprintf(rows[n].type, sizeof rows[n].type, "%.*s", (int)type_len, type);
        (void)snprintf(rows[n].fallback, sizeof rows[n].fallback, "%.*s",
                       (int)strcspn(fallback, "\t"), fallback);
        n++;
    }
    return n;
}

/* means - does @key of the file name @row? Lists are "x" before their first item, "x[]" behind; a
 * secret has forms. */
static bool means(const struct written *key, const struct row *row)
{
    size_t len = strlen(row->path);
    if (rb_str_ends(row->path, "[]")) {
        len -= 2;
    }
    if (strncmp(key->path, row->path, len) != 0) {
        return false;
    }
    const char *rest = key->path + len;
    bool secret = strcmp(row->type, "secret") == 0;
    return rest[0] == '\0' || (secret && (strcmp(rest, "_file") == 0 || strcmp(rest, "_env") == 0));
}

static void examples(struct rb_buf *out)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(MAX_TEXT);
    RB_CLEANUP(rb_buf_release) struct rb_buf commented = RB_BUF_INIT(MAX_TEXT);
    read_text(&text);
    with_examples(rb_buf_str(&text), &commented);
    open_lists(rb_buf_str(&commented), out);
}

static void load(const char *text, struct rb_settings **ret_s)
{
    struct rb_problems problems;
    enum rb_code rc = rb_config_parse(text, strlen(text), file, dir, ret_s, &problems, NULL);
    for (unsigned i = 0; i < problems.n; i++) {
        print_error("%u:%u: %s\n", problems.items[i].line, problems.items[i].column,
                    problems.items[i].text);
    }
    rb_problems_release(&problems);
    assert_int_equal(rc, RB_OK);
}

static void the_file_as_it_stands_is_the_defaults(void **state)
{
    (void)state;
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(MAX_TEXT);
    RB_CLEANUP(rb_buf_release) struct rb_buf diff = RB_BUF_INIT(MAX_TEXT);
    RB_CLEANUP(rb_settings_unrefp) struct rb_settings *s = NULL;
    RB_CLEANUP(rb_settings_unrefp) struct rb_settings *defaults = NULL;
    read_text(&text);
    load(rb_buf_str(&text), &s);
    load("", &defaults);
    rb_config_diff(defaults, s, &diff);
    assert_string_equal(rb_buf_str(&diff), "");
}

static void every_key_of_the_schema_stands_in_the_file(void **state)
{
    (void)state;
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(MAX_TEXT);
    static struct written keys[MAX_KEYS];
    static struct row rows[MAX_KEYS];
    examples(&text);
    unsigned n_keys = written_keys(rb_buf_str(&text), keys);
    unsigned n_rows = schema_rows(rows);
    unsigned missing = 0;
    for (unsigned r = 0; r < n_rows; r++) {
        bool found = false;
        for (unsigned k = 0; k < n_keys && !found; k++) {
            found = means(&keys[k], &rows[r]);
        }
        if (!found) {
            print_error("%s is not in the file\n", rows[r].path);
            missing++;
        }
    }
    assert_int_equal(missing, 0);
    assert_true(n_rows >= MIN_KEYS);
}

static void every_key_of_the_file_stands_in_the_schema_with_its_default(void **state)
{
    (void)state;
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(MAX_TEXT);
    static struct written keys[MAX_KEYS];
    static struct row rows[MAX_KEYS];
    examples(&text);
    unsigned n_keys = written_keys(rb_buf_str(&text), keys);
    unsigned n_rows = schema_rows(rows);
    unsigned wrong = 0;
    for (unsigned k = 0; k < n_keys; k++) {
        const struct row *row = NULL;
        for (unsigned r = 0; r < n_rows && row == NULL; r++) {
            row = means(&keys[k], &rows[r]) ? &rows[r] : NULL;
        }
        char one[80];
        (void)snprintf(one, sizeof one, "[%s]", row == NULL ? "" : row->fallback);
        if (row == NULL) {
            print_error("%s is not in the schema\n", keys[k].path);
            wrong++;
        } else if (row->fallback[0] != '\0' && strcmp(row->fallback, keys[k].value) != 0 &&
                   strcmp(one, keys[k].value) != 0) {
            print_error("%s: the file says %s, the schema %s\n", keys[k].path, keys[k].value,
                        row->fallback);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
    assert_true(n_keys >= MIN_KEYS);
}

static void the_examples_of_the_file_are_good(void **state)
{
    (void)state;
    static const char *const files[] = {
        "eventbridge.key", "ops.token",      "ci.url",         "ci.key",       "redis.password",
        "server.pem",      "server.key",     "redis-ca.pem",   "client.pem",   "client.key",
        "company-ca.pem",  "front-door.key", "sns.pem",        "github.token", "app.pem",
        "slack.token",     "google.pem",     "collector.token"};
    assert_non_null(mkdtemp(dir));
    for (unsigned i = 0; i < RB_ARRAY_LEN(files); i++) {
        RB_CLEANUP(rb_freep) char *path = NULL;
        assert_true(asprintf(&path, "%s/%s", dir, files[i]) > 0);
        FILE *f = fopen(path, "we");
        assert_non_null(f);
        assert_true(fputs("https://ci.example/a-secret-of-some-length\n", f) >= 0);
        assert_int_equal(fclose(f), 0);
    }
    static const char *const variables[] = {"EVENTBRIDGE_KEY_BEFORE", "CLOUDEVENTS_KEY",
                                            "GITHUB_WEBHOOK_SECRET",  "GITLAB_SIGNING_TOKEN",
                                            "SLACK_SIGNING_SECRET",   "DEPLOYS_SECRET"};
    for (unsigned i = 0; i < RB_ARRAY_LEN(variables); i++) {
        assert_int_equal(setenv(variables[i], "a secret", 1), 0);
    }
    RB_CLEANUP(rb_buf_release) struct rb_buf text = RB_BUF_INIT(MAX_TEXT);
    RB_CLEANUP(rb_settings_unrefp) struct rb_settings *s = NULL;
    examples(&text);
    load(rb_buf_str(&text), &s);
    assert_int_equal(s->n_sources, 9);
    assert_int_equal(s->sources[0].secrets.n, 3);
    assert_int_equal(s->n_tokens, 1);
    assert_int_equal(s->front_door.n_access_keys, 1);
    assert_int_equal(s->front_door.access_keys[0].role, RB_ROLE_OPERATOR);
    assert_int_equal(s->n_rules, 1);
    assert_int_equal(s->n_destinations, 5);
    assert_int_equal(s->destinations[0].n_schedule, 4);
    for (unsigned i = 0; i < RB_ARRAY_LEN(files); i++) {
        RB_CLEANUP(rb_freep) char *path = NULL;
        assert_true(asprintf(&path, "%s/%s", dir, files[i]) > 0);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rmdir(dir), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_file_as_it_stands_is_the_defaults),
        cmocka_unit_test(every_key_of_the_schema_stands_in_the_file),
        cmocka_unit_test(every_key_of_the_file_stands_in_the_schema_with_its_default),
        cmocka_unit_test(the_examples_of_the_file_are_good),
    };
    if (argc != 2) {
        return EXIT_FAILURE;
    }
    file = argv[1];
    (void)unsetenv("STATE_DIRECTORY");
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* cli.c - options, messages, files for the subcommands. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <retrybuild/buf.h>
#include <retrybuild/err.h>
#include <retrybuild/str.h>

#include "cli.h"

#define NAMES_MAX 24
#define PRINTABLE_MAX_BYTES 65536

void rb_cli_error(const struct rb_command *c, const char *fmt, ...)
{
    struct rb_buf line = RB_BUF_INIT(4096);
    va_list ap;
    va_start(ap, fmt);
    rb_buf_addf(&line, "retrybuild %s: ", c->name);
    rb_buf_addvf(&line, fmt, ap);
    va_end(ap);
    char *shown = rb_cli_printable(rb_buf_str(&line));
    (void)fprintf(stderr, "%s\n", shown);
    free(shown);
    rb_buf_release(&line);
}

char *rb_cli_printable(const char *text)
{
    struct rb_buf out = RB_BUF_INIT(PRINTABLE_MAX_BYTES);
    for (const char *p = text == NULL ? "" : text; *p != '\0'; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == 0xC2 && (unsigned char)p[1] >= 0x80 && (unsigned char)p[1] <= 0x9F) {
            p++; /* U+0080 to U+009F, two bytes in UTF-8 */
            c = 0;
        }
        rb_buf_addc(&out, c < 0x20 || c == 0x7F ? '?' : (char)c);
    }
    char *made = rb_buf_detach(&out);
    return made == NULL ? strdup("") : made;
}

bool rb_cli_colour(int fd)
{
    const char *no = getenv("NO_COLOR");
    return (no == NULL || no[0] == '\0') && isatty(fd) == 1;
}

static void print_help(const struct rb_command *c, const struct rb_option *options, size_t n)
{
    (void)printf("usage: retrybuild %s%s%s\n%s\n", c->name, c->usage[0] == '\0' ? "" : " ",
                 c->usage, c->summary);
    for (size_t i = 0; i < n; i++) {
        (void)printf("  %-18s %s\n", options[i].name, options[i].help);
    }
}

/* print_options - one line an option, "name<TAB>help", for a shell that completes words. */
static void print_options(const struct rb_option *options, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        (void)printf("%s\t%s\n", options[i].name, options[i].help);
    }
    (void)printf("--help\texplain this command\n");
}

static const struct rb_option *find_option(const struct rb_option *options, size_t n,
                                           const char *word, size_t len)
{
    for (size_t i = 0; i < n; i++) {
        if (strlen(options[i].name) == len && memcmp(options[i].name, word, len) == 0) {
            return &options[i];
        }
    }
    return NULL;
}

static void unknown_option(const struct rb_command *c, const struct rb_option *options, size_t n,
                           const char *word)
{
    const char *names[NAMES_MAX];
    size_t n_names = 0;
    for (size_t i = 0; i < n && i < NAMES_MAX; i++) {
        names[n_names++] = options[i].name;
    }
    const char *near = rb_nearest(word, names, n_names);
    if (near != NULL) {
        rb_cli_error(c, "unknown option '%s'; did you mean '%s'?", word, near);
    } else {
        rb_cli_error(c, "unknown option '%s'; -h lists them", word);
    }
}

static bool take_value(const struct rb_command *c, const struct rb_option *o, const char *value)
{
    if (o->kind == RB_OPTION_TEXT) {
        *o->text = value;
        return true;
    }
    if (o->list->n == RB_OPTION_LIST_MAX) {
        rb_cli_error(c, "%s may be given %d times", o->name, RB_OPTION_LIST_MAX);
        return false;
    }
    o->list->items[o->list->n++] = value;
    return true;
}

/* parse_option - argv[*i] is an option; moves *i over its value. */
static bool parse_option(const struct rb_command *c, const struct rb_option *options, size_t n,
                         int argc, char **argv, int *i)
{
    const char *word = argv[*i];
    const char *equals = strchr(word, '=');
    size_t len = equals == NULL ? strlen(word) : (size_t)(equals - word);
    const struct rb_option *o = find_option(options, n, word, len);
    if (o == NULL) {
        unknown_option(c, options, n, word);
        return false;
    }
    if (o->kind == RB_OPTION_FLAG) {
        if (equals != NULL) {
            rb_cli_error(c, "%s takes no value", o->name);
            return false;
        }
        *o->flag = true;
        return true;
    }
    if (equals != NULL) {
        return take_value(c, o, equals + 1);
    }
    if (*i + 1 >= argc) {
        rb_cli_error(c, "%s needs a value", o->name);
        return false;
    }
    return take_value(c, o, argv[++*i]);
}

bool rb_cli_parse(const struct rb_command *c, int argc, char **argv,
                  const struct rb_option *options, size_t n_options, int min_words, int max_words,
                  struct rb_words *ret_words, int *ret_exit)
{
    int n_words = 0;
    bool ended = false;
    *ret_exit = RB_EXIT_USAGE;
    if (argc == 2 && strcmp(argv[1], "--complete") == 0) {
        print_options(options, n_options);
        *ret_exit = RB_EXIT_OK;
        return false;
    }
    for (int i = 1; i < argc; i++) {
        if (!ended && strcmp(argv[i], "--") == 0) {
            ended = true;
        } else if (!ended && (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0)) {
            print_help(c, options, n_options);
            *ret_exit = RB_EXIT_OK;
            return false;
        } else if (!ended && argv[i][0] == '-' && argv[i][1] != '\0') {
            if (!parse_option(c, options, n_options, argc, argv, &i)) {
                return false;
            }
        } else {
            argv[1 + n_words++] = argv[i]; /* words move to the front; n_words < i always */
        }
    }
    if (n_words < min_words || (max_words >= 0 && n_words > max_words)) {
        rb_cli_error(c, "usage: retrybuild %s %s", c->name, c->usage);
        return false;
    }
    ret_words->items = argv + 1;
    ret_words->n = n_words;
    return true;
}

char *rb_cli_read_file(const struct rb_command *c, const char *path, size_t max, size_t *ret_len)
{
    struct rb_err err = {.code = RB_OK};
    bool standard_input = strcmp(path, "-") == 0;
    FILE *f = standard_input ? stdin : fopen(path, "re");
    if (f == NULL) {
        (void)rb_err_errno(&err, RB_E_IO, errno, "cannot open '%s'", path);
        rb_cli_error(c, "%s", err.msg);
        return NULL;
    }
    struct rb_buf b = RB_BUF_INIT(max);
    char chunk[16384];
    size_t n = 0;
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0) {
        rb_buf_add(&b, chunk, n);
    }
    bool bad = ferror(f) != 0;
    if (!standard_input) {
        (void)fclose(f);
    }
    if (bad || rb_buf_failed(&b)) {
        rb_cli_error(c, "cannot read '%s'%s", path, bad ? "" : ": it is too large");
        rb_buf_release(&b);
        return NULL;
    }
    *ret_len = b.len;
    return rb_buf_detach(&b);
}

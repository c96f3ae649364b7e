/* man_page.c - run by the build: retrybuild.yaml(5) for scdoc, from the rows of the schema. */
#include <stdio.h>

#include <retrybuild/buf.h>
#include <retrybuild/cleanup.h>

#include "schema.h"

#define PATH_MAX_BYTES 1024

static const char *const head =
    "retrybuild.yaml(5)\n\n# NAME\n\nretrybuild.yaml - configuration of retrybuild\n\n"
    "# DESCRIPTION\n\n"
    "*retrybuild serve* reads one file in YAML. A key that it does not know is an error with its "
    "line; *retrybuild check-config* says all of them at once, and *retrybuild check-config "
    "--schema* prints the same as JSON Schema for editors.\n\n"
    "Durations are written _500ms_, _30s_, _15m_, _24h_ or _30d_, sizes _64KiB_ or _1MiB_. "
    "A secret _x_ may be given as _x\\_file_ or _x\\_env_ instead; one newline at the end of a "
    "file "
    "is dropped. Paths are relative to the file's folder. _${VAR}_ and _${VAR:-default}_ expand in "
    "values. SIGHUP loads the file again: what is marked _reload_ takes effect at once, the rest "
    "at "
    "the next start.\n\n# KEYS\n";

static const char *const tail =
    "\n# FILES\n\n_/etc/retrybuild/retrybuild.yaml_\n\tRead where neither *--config* nor "
    "*RETRYBUILD\\_CONFIG* names another.\n\n# SEE ALSO\n\n*retrybuild*(1)\n";

/* print_escaped - what scdoc would take for markup is text here. */
static void print_escaped(const char *s)
{
    for (; *s != '\0'; s++) {
        if (*s == '_' || *s == '*' || *s == '\\' || *s == '#' || *s == '<' || *s == '[') {
            (void)putchar('\\');
        }
        (void)putchar(*s);
    }
}

static void print_bounds(const struct rb_key *k)
{
    bool bounded = k->max > 0;
    if (k->type == RB_KEY_INT && bounded) {
        (void)printf(" from %lld to %lld", (long long)k->min, (long long)k->max);
    } else if (k->type == RB_KEY_DURATION && bounded) {
        (void)printf(" from %lldms to %llds", (long long)k->min, (long long)(k->max / 1000));
    } else if (k->type == RB_KEY_SIZE && bounded) {
        (void)printf(" from %lld to %lld bytes", (long long)k->min, (long long)k->max);
    }
    for (size_t i = 0; k->type == RB_KEY_WORD && k->words[i] != NULL; i++) {
        (void)printf("%s%s", i == 0 ? ": " : k->words[i - 1][0] == '\0' ? "" : ", ", k->words[i]);
    }
}

static void print_rows(const struct rb_key *keys, size_t n, struct rb_buf *path)
{
    for (size_t i = 0; i < n; i++) {
        const struct rb_key *k = &keys[i];
        size_t len = path->len;
        rb_buf_addf(path, "%s%s%s", len == 0 ? "" : ".", k->name,
                    k->type == RB_KEY_LIST ? "[]" : "");
        if (len == 0) {
            (void)printf("\n## %s\n", k->name);
        }
        (void)printf("\n*");
        print_escaped(rb_buf_str(path));
        (void)printf("*\n\t");
        print_escaped(k->help);
        (void)printf(". %s", rb_key_type_name(k->type));
        print_bounds(k);
        if (k->fallback != NULL) {
            (void)printf("; default ");
            print_escaped(k->fallback);
        }
        (void)printf("; %s.\n", k->reloadable ? "reload" : "restart");
        print_rows(k->children, k->n_children, path);
        path->len = len;
        path->data[len] = '\0';
    }
}

int main(void)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf path = RB_BUF_INIT(PATH_MAX_BYTES);
    (void)fputs(head, stdout);
    print_rows(rb_schema, rb_schema_len, &path);
    (void)fputs(tail, stdout);
    return rb_buf_failed(&path) || fflush(stdout) != 0;
}

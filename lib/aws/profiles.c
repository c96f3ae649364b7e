/* The shared credentials file and the config file, read as Python's configparser reads them:
 * sections in brackets, `key = value` or `key: value`, comments on lines of their own, names of
 * keys in any case, indented lines belong to the key before. Sections and keys that come twice are
 * refused.
 *
 * Values stay where the file was read to, and that is wiped in the end. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <retrybuild/cleanup.h>

#include "identity.h"

#define FILE_MAX_BYTES ((size_t)1024 * 1024)
#define ARENA_MAX_BYTES ((size_t)4 * 1024 * 1024)
#define BLANKS " \t\r\f\v"

struct row {
    struct row *next;
    const char *profile, *key, *value; /* key NULL: the section itself */
    enum rb_profile_file file;
};

struct rb_profiles {
    struct rb_arena arena;
    struct rb_buf text[2];
    const char *path[2]; /* NULL = no home */
    struct row *first;
};

struct reading {
    struct rb_profiles *p;
    enum rb_profile_file file;
    const char *path;
    unsigned line;
    const char *profile; /* NULL: a section that is no profile, or none yet */
    bool in_section;
    const struct row *last; /* what an indented line belongs to */
};

void rb_profiles_freep(struct rb_profiles **p)
{
    if (*p == NULL) {
        return;
    }
    for (size_t i = 0; i < RB_ARRAY_LEN((*p)->text); i++) {
        if ((*p)->text[i].data != NULL) {
            rb_wipe((*p)->text[i].data, (*p)->text[i].cap);
        }
        rb_buf_release(&(*p)->text[i]);
    }
    rb_arena_release(&(*p)->arena);
    free(*p);
}

static enum rb_code bad(const struct reading *r, const char *what, struct rb_err *err)
{
    return rb_err_set(err, RB_E_CREDENTIALS, "%s, line %u: %s", r->path, r->line, what);
}

static const struct row *find(const struct rb_profiles *p, const char *profile, const char *key,
                              enum rb_profile_file file)
{
    for (const struct row *i = p->first; i != NULL; i = i->next) {
        if (i->file == file && rb_str_eq(i->key, key) && rb_str_eq(i->profile, profile)) {
            return i;
        }
    }
    return NULL;
}

static char *trim(char *s)
{
    s += strspn(s, BLANKS);
    size_t len = strlen(s);
    while (len > 0 && strchr(BLANKS, s[len - 1]) != NULL) {
        s[--len] = '\0';
    }
    return s;
}

static enum rb_code add_row(struct reading *r, const char *key, const char *value,
                            struct rb_err *err)
{
    if (r->profile == NULL) {
        r->last = NULL;
        return RB_OK;
    }
    if (find(r->p, r->profile, key, r->file) != NULL) {
        return bad(r, key == NULL ? "this profile comes twice" : "this key comes twice", err);
    }
    struct row *row = rb_arena_alloc(&r->p->arena, sizeof(*row));
    if (row == NULL) {
        return bad(r, "too much to read", err);
    }
    *row = (struct row){
        .next = r->p->first, .profile = r->profile, .key = key, .value = value, .file = r->file};
    r->p->first = row;
    r->last = row;
    return RB_OK;
}

/* [name] of the credentials file; [default] and [profile name] of the config file, where the name
 * may stand in quotes. Other sections are somebody else's. */
static enum rb_code take_section(struct reading *r, char *line, struct rb_err *err)
{
    char *end = strrchr(line, ']');

    if (end == NULL) {
        return bad(r, "a section needs its closing bracket", err);
    }
    *end = '\0';
    char *name = r->file == RB_PROFILE_CREDENTIALS ? line + 1 : trim(line + 1);
    r->in_section = true;
    r->last = NULL;
    r->profile = name;
    if (r->file == RB_PROFILE_CONFIG && !rb_str_eq(name, "default")) {
        r->profile = NULL;
        if (strncmp(name, "profile", 7) == 0 && name[7] != '\0' &&
            strchr(BLANKS, name[7]) != NULL) {
            name = trim(name + 7);
            size_t len = strlen(name);
            if (len >= 2 && (name[0] == '"' || name[0] == '\'') && name[len - 1] == name[0]) {
                name[len - 1] = '\0';
                name++;
            }
            r->profile = name;
        }
    }
    return add_row(r, NULL, NULL, err);
}

static enum rb_code take_line(struct reading *r, char *line, struct rb_err *err)
{
    bool indented = line[0] != '\0' && strchr(BLANKS, line[0]) != NULL;
    char *s = trim(line);

    if (s[0] == '\0' || s[0] == '#' || s[0] == ';') {
        return RB_OK;
    }
    if (indented && r->in_section) {
        /* what has a value already is not continued; nested sections have none */
        return r->last != NULL && r->last->key != NULL && r->last->value[0] != '\0'
                   ? bad(r, "a value over several lines is not understood", err)
                   : RB_OK;
    }
    if (s[0] == '[') {
        return take_section(r, s, err);
    }
    size_t len = strcspn(s, "=:");
    if (!r->in_section || len == 0 || s[len] == '\0') {
        return bad(r, "expected [section] or key = value", err);
    }
    s[len] = '\0';
    char *key = trim(s);
    for (char *c = key; *c != '\0'; c++) {
        *c = (char)tolower((unsigned char)*c);
    }
    return add_row(r, key, trim(s + len + 1), err);
}

static enum rb_code read_text(const char *path, struct rb_buf *out, struct rb_err *err)
{
    RB_CLEANUP(rb_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;

    rb_buf_init(out, FILE_MAX_BYTES);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        return RB_OK;
    }
    if (fd < 0 || fstat(fd, &st) != 0) {
        return rb_err_errno(err, RB_E_CREDENTIALS, errno, "cannot read '%s'", path);
    }
    if (S_ISCHR(st.st_mode)) { /* /dev/null: nothing there */
        return RB_OK;
    }
    if (!S_ISREG(st.st_mode) || st.st_size > (off_t)FILE_MAX_BYTES) {
        return rb_err_set(err, RB_E_CREDENTIALS, "'%s' is no file, or one of more than 1 MiB",
                          path);
    }
    for (;;) {
        char *room = rb_buf_reserve(out, (size_t)st.st_size - out->len + 1);
        ssize_t n = room == NULL ? -1 : read(fd, room, (size_t)st.st_size - out->len);
        if (n < 0) {
            return rb_err_set(err, RB_E_CREDENTIALS, "cannot read '%s'", path);
        }
        rb_buf_commit(out, (size_t)n);
        if (n == 0 || out->len == (size_t)st.st_size) {
            return memchr(rb_buf_str(out), '\0', out->len) == NULL
                       ? RB_OK
                       : rb_err_set(err, RB_E_CREDENTIALS, "'%s' holds a NUL byte", path);
        }
    }
}

static enum rb_code read_file(struct rb_profiles *p, enum rb_profile_file file,
                              const char *variable, const char *name, struct rb_err *err)
{
    const char *path = getenv(variable), *home = getenv("HOME");
    struct rb_buf *text = &p->text[file];

    if (rb_str_empty(path) || rb_str_starts(path, "~/")) {
        if (rb_str_empty(home)) {
            return RB_OK; /* a service without a home has no files there */
        }
        path = rb_str_empty(path) ? rb_arena_printf(&p->arena, "%s/.aws/%s", home, name)
                                  : rb_arena_printf(&p->arena, "%s%s", home, path + 1);
    }
    if (path == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for profiles");
    }
    p->path[file] = rb_arena_strdup(&p->arena, path);
    struct reading r = {.p = p, .file = file, .path = path};
    enum rb_code rc = read_text(path, text, err);
    char *next = text->data;
    while (rc == RB_OK && next != NULL) {
        char *line = next;
        next = strchr(line, '\n');
        if (next != NULL) {
            *next++ = '\0';
        }
        r.line++;
        rc = take_line(&r, line, err);
    }
    return rc;
}

enum rb_code rb_profiles_load(struct rb_profiles **ret_p, struct rb_err *err)
{
    RB_CLEANUP(rb_profiles_freep) struct rb_profiles *p = calloc(1, sizeof(*p));

    if (p == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for profiles");
    }
    rb_arena_init(&p->arena, ARENA_MAX_BYTES);
    enum rb_code rc =
        read_file(p, RB_PROFILE_CREDENTIALS, "AWS_SHARED_CREDENTIALS_FILE", "credentials", err);
    if (rc == RB_OK) {
        rc = read_file(p, RB_PROFILE_CONFIG, "AWS_CONFIG_FILE", "config", err);
    }
    if (rc == RB_OK) {
        *ret_p = RB_TAKE(p);
    }
    return rc;
}

bool rb_profiles_has(const struct rb_profiles *p, const char *profile)
{
    return find(p, profile, NULL, RB_PROFILE_CREDENTIALS) != NULL ||
           find(p, profile, NULL, RB_PROFILE_CONFIG) != NULL;
}

const char *rb_profiles_get(const struct rb_profiles *p, const char *profile, const char *key,
                            enum rb_profile_file file)
{
    const struct row *row = NULL;

    if (file != RB_PROFILE_CONFIG) {
        row = find(p, profile, key, RB_PROFILE_CREDENTIALS);
    }
    if (row == NULL && file != RB_PROFILE_CREDENTIALS) {
        row = find(p, profile, key, RB_PROFILE_CONFIG);
    }
    return row == NULL || row->value[0] == '\0' ? NULL : row->value;
}

enum rb_code rb_profiles_keys(const struct rb_profiles *p, const char *profile,
                              enum rb_profile_file file, struct rb_credentials *ret_c,
                              struct rb_err *err)
{
    const char *key_id = rb_profiles_get(p, profile, "aws_access_key_id", file);
    const char *secret = rb_profiles_get(p, profile, "aws_secret_access_key", file);

    if (key_id == NULL) {
        return rb_err_set(err, RB_E_NOT_FOUND, "profile '%s' has no aws_access_key_id", profile);
    }
    if (secret == NULL) {
        return rb_err_set(err, RB_E_CREDENTIALS,
                          "profile '%s' has aws_access_key_id but no aws_secret_access_key",
                          profile);
    }
    enum rb_code rc = rb_credentials_make(
        key_id, secret, rb_profiles_get(p, profile, "aws_session_token", file), 0, ret_c, err);
    if (rc != RB_OK) {
        return rb_err_wrap(err, rc, "profile '%s'", profile);
    }
    bool shared = file != RB_PROFILE_CONFIG &&
                  find(p, profile, "aws_access_key_id", RB_PROFILE_CREDENTIALS) != NULL;
    const char *path = p->path[shared ? RB_PROFILE_CREDENTIALS : RB_PROFILE_CONFIG];
    rb_credentials_source(ret_c, "profile '%.60s' of %.180s", profile, path == NULL ? "" : path);
    return RB_OK;
}

const char *rb_profile_name(const struct rb_aws *aws, bool *ret_named)
{
    const char *const names[] = {aws->profile, getenv("AWS_PROFILE"),
                                 getenv("AWS_DEFAULT_PROFILE")};

    for (size_t i = 0; i < RB_ARRAY_LEN(names); i++) {
        if (!rb_str_empty(names[i])) {
            *ret_named = true;
            return names[i];
        }
    }
    *ret_named = false;
    return "default";
}

/* secret.c - secrets in pages of their own, which core files leave out.
 *
 * The reference count lives in ordinary memory, the bytes in an anonymous mapping: advice about
 * core files works on whole pages only.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/secret.h>
#include <retrybuild/str.h>

struct rb_secret {
    _Atomic unsigned refs;
    size_t len;
    char *data; /* len bytes and a NUL, in a mapping of len + 1 */
};

struct rb_secret *rb_secret_new(const void *data, size_t len)
{
    if (len > RB_SECRET_MAX_BYTES) {
        return NULL;
    }
    RB_CLEANUP(rb_freep) struct rb_secret *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return NULL;
    }
    void *pages = mmap(NULL, len + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) {
        return NULL;
    }
    (void)madvise(pages, len + 1, MADV_DONTDUMP); /* where the kernel allows */
    if (len > 0) {
        memcpy(pages, data, len);
    }
    s->data = pages;
    s->len = len;
    atomic_init(&s->refs, 1);
    return RB_TAKE(s);
}

struct rb_secret *rb_secret_ref(struct rb_secret *s)
{
    if (s != NULL) {
        atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    }
    return s;
}

void rb_secret_free(struct rb_secret *s)
{
    if (s == NULL || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    rb_wipe(s->data, s->len);
    (void)munmap(s->data, s->len + 1);
    free(s);
}

void rb_secret_freep(struct rb_secret **s)
{
    rb_secret_free(*s);
    *s = NULL;
}

const char *rb_secret_data(const struct rb_secret *s)
{
    return s->data;
}

size_t rb_secret_len(const struct rb_secret *s)
{
    return s->len;
}

bool rb_secret_equal(const struct rb_secret *s, const void *data, size_t len)
{
    if (s == NULL || data == NULL) {
        return false;
    }
    const unsigned char *given = data;
    /* another length: compare the input with itself, which takes as long */
    const unsigned char *held = s->len == len ? (const unsigned char *)s->data : given;
    volatile unsigned char differs = s->len == len ? 0 : 1;
    for (size_t i = 0; i < len; i++) {
        differs = (unsigned char)(differs | (held[i] ^ given[i]));
    }
    return differs == 0;
}

/* read_all - up to @cap bytes of @fd; *ret_len == @cap means that there may be more. */
static enum rb_code read_all(int fd, const char *path, char *into, size_t cap, size_t *ret_len,
                             struct rb_err *err)
{
    size_t len = 0;
    while (len < cap) {
        ssize_t n = read(fd, into + len, cap - len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return rb_err_errno(err, RB_E_IO, errno, "read '%s'", path);
        }
        if (n == 0) {
            break;
        }
        len += (size_t)n;
    }
    *ret_len = len;
    return RB_OK;
}

/* is_blank - what an editor or a template leaves behind, and everybody can guess. */
static bool is_blank(const char *data, size_t len)
{
    size_t n = 0;
    while (n < len && (data[n] == ' ' || data[n] == '\t' || data[n] == '\r' || data[n] == '\n')) {
        n++;
    }
    return n == len;
}

static enum rb_code from_bytes(const char *path, const char *data, size_t len,
                               struct rb_secret **ret_s, struct rb_err *err)
{
    if (len > 0 && data[len - 1] == '\n') {
        len--;
        if (len > 0 && data[len - 1] == '\r') {
            len--; /* CR LF is one newline */
        }
    }
    if (len == 0) {
        return rb_err_set(err, RB_E_INVALID, "secret file '%s' is empty", path);
    }
    if (is_blank(data, len)) {
        return rb_err_set(err, RB_E_INVALID, "secret file '%s' holds nothing but blanks", path);
    }
    if (len > RB_SECRET_MAX_BYTES) {
        return rb_err_set(err, RB_E_TOO_LARGE, "secret file '%s' is larger than %d bytes", path,
                          RB_SECRET_MAX_BYTES);
    }
    struct rb_secret *s = rb_secret_new(data, len);
    if (s == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for secret file '%s'", path);
    }
    *ret_s = s;
    return RB_OK;
}

enum rb_code rb_secret_load_file(const char *path, struct rb_secret **ret_s, struct rb_err *err)
{
    RB_CLEANUP(rb_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        enum rb_code code = errno == ENOENT ? RB_E_NOT_FOUND : RB_E_IO;
        return rb_err_errno(err, code, errno, "open secret file '%s'", path);
    }
    const size_t cap = RB_SECRET_MAX_BYTES + 3; /* a newline, and one byte that is too many */
    RB_CLEANUP(rb_freep) char *data = malloc(cap);
    if (data == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for secret file '%s'", path);
    }
    size_t len = 0;
    enum rb_code rc = read_all(fd, path, data, cap, &len, err);
    if (rc == RB_OK) {
        rc = from_bytes(path, data, len, ret_s, err);
    }
    rb_wipe(data, cap);
    return rc;
}

enum rb_code rb_secret_load_env(const char *name, struct rb_secret **ret_s, struct rb_err *err)
{
    const char *value = getenv(name);
    if (rb_str_empty(value)) {
        return rb_err_set(err, RB_E_NOT_FOUND, "environment variable %s is not set", name);
    }
    size_t len = strlen(value);
    if (is_blank(value, len)) {
        return rb_err_set(err, RB_E_INVALID, "environment variable %s holds nothing but blanks",
                          name);
    }
    if (len > RB_SECRET_MAX_BYTES) {
        return rb_err_set(err, RB_E_TOO_LARGE, "environment variable %s is larger than %d bytes",
                          name, RB_SECRET_MAX_BYTES);
    }
    struct rb_secret *s = rb_secret_new(value, len);
    if (s == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for environment variable %s", name);
    }
    *ret_s = s;
    return RB_OK;
}

void rb_wipe(void *p, size_t len)
{
    if (p != NULL && len > 0) {
        explicit_bzero(p, len);
    }
}

void rb_process_harden(void)
{
    /* each is a layer of its own; a kernel that refuses one keeps the others */
    const struct rlimit no_core = {.rlim_cur = 0, .rlim_max = 0};
    (void)setrlimit(RLIMIT_CORE, &no_core);
    (void)prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L);
}

/* fuzz_sigv4.c - libFuzzer target: a request at the front door is refused, or taken apart into what
 * can be proven; nobody has our secret. The input is a line of the target, "name: value" lines, a
 * blank line and the body. */
#include <retrybuild/mem.h>
#include <retrybuild/sigv4.h>

#include "fuzz.h"

#define HEADERS_MAX 80

static const char *copy(struct rb_arena *a, struct rb_slice s)
{
    const char *text = rb_arena_strndup(a, s.ptr, s.len);
    need(text != NULL);
    return text;
}

/* take_headers - values end in a NUL, as the listener's do. */
static unsigned take_headers(struct rb_slice *in, struct rb_arena *a, struct rb_header *ret)
{
    unsigned n = 0;
    while (in->len > 0 && n < HEADERS_MAX) {
        struct rb_slice line = take_line(in);
        const char *colon = line.len == 0 ? NULL : memchr(line.ptr, ':', line.len);
        if (colon == NULL) {
            return n;
        }
        size_t name_len = (size_t)(colon - line.ptr);
        size_t skip = name_len + 1 + (name_len + 1 < line.len && colon[1] == ' ' ? 1 : 0);
        ret[n].name = (struct rb_slice){copy(a, (struct rb_slice){line.ptr, name_len}), name_len};
        ret[n].value = rb_slice_str(copy(a, (struct rb_slice){line.ptr + skip, line.len - skip}));
        n++;
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct rb_header headers[HEADERS_MAX];
    struct rb_slice in = input(data, len);
    struct rb_sigv4_proof proof;
    struct rb_err err = {.code = RB_OK};
    struct rb_arena a;
    rb_arena_init(&a, 4 << 20);
    struct rb_slice line = take_line(&in);
    const char *mark = line.len == 0 ? NULL : memchr(line.ptr, '?', line.len);
    size_t path_len = mark == NULL ? line.len : (size_t)(mark - line.ptr);
    const char *path = copy(&a, (struct rb_slice){line.ptr, path_len});
    struct rb_sigv4_received r = {
        .method = "POST",
        .path = path[0] == '/' ? path : "/",
        .query = mark == NULL
                     ? NULL
                     : copy(&a, (struct rb_slice){mark + 1, line.len - path_len - 1}),
        .headers = headers,
        .n_headers = take_headers(&in, &a, headers),
    };
    r.body = in.ptr;
    r.body_len = in.len;
    const char *wrong = rb_sigv4_receive(&r, &proof, &err);
    if (wrong == NULL) {
        need(proof.n_signed > 0 && proof.n_signed <= RB_SIGV4_SIGNED_MAX);
        need(proof.region[0] != '\0' && strlen(proof.payload_hash) == 64);
        need(rb_sigv4_prove(&r, &proof, "nobody's", 8, &err) != NULL);
    } else {
        need(wrong[0] != '\0' && err.msg[0] != '\0');
    }
    rb_arena_release(&a);
    return 0;
}

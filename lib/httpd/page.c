/* page.c - the dashboard: GET / and GET /assets/{file}, from memory.
 *
 * The files ask for no token: they hold nothing but code, and what they show comes from the API
 * with the token of who looks. The policy below lets the page load and call this server alone, and
 * run no script that is not one of these files.
 */
#include <string.h>

#include "page.h"
#include "private.h"

#define PAGE "index.html"
#define POLICY                                                                            \
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "       \
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " \
    "require-trusted-types-for 'script'; trusted-types 'none'"

static const struct rb_asset *find(struct rb_slice name)
{
    for (unsigned i = 0; i < rb_n_assets; i++) {
        if (strlen(rb_assets[i].name) == name.len &&
            memcmp(rb_assets[i].name, name.ptr, name.len) == 0) {
            return &rb_assets[i];
        }
    }
    return NULL;
}

static bool is_known(struct rb_exchange *ex, const char *tag)
{
    const char *known =
        MHD_lookup_connection_value(ex->mhd, MHD_HEADER_KIND, MHD_HTTP_HEADER_IF_NONE_MATCH);
    return known != NULL && strstr(known, tag) != NULL;
}

static void answer(struct rb_exchange *ex, const struct rb_asset *a)
{
    rb_answer_header(ex, MHD_HTTP_HEADER_ETAG, a->tag);
    rb_answer_header(ex, MHD_HTTP_HEADER_CACHE_CONTROL, "no-cache");
    rb_answer_header(ex, "Content-Security-Policy", POLICY);
    rb_answer_header(ex, "X-Content-Type-Options", "nosniff");
    rb_answer_header(ex, "Referrer-Policy", "no-referrer");
    rb_answer_header(ex, "Cross-Origin-Opener-Policy", "same-origin");
    rb_answer_header(ex, "Cross-Origin-Resource-Policy", "same-origin");
    ex->content_type = a->content_type;
    ex->status = is_known(ex, a->tag) ? 304 : 200;
    if (ex->status == 200) {
        rb_buf_add(&ex->answer, (const char *)a->data, a->len);
    }
}

void rb_handle_page(struct rb_exchange *ex)
{
    answer(ex, find(rb_slice_str(PAGE)));
}

void rb_handle_asset(struct rb_exchange *ex)
{
    const struct rb_asset *a = find(ex->param);
    if (a == NULL) {
        rb_answer_problem(ex, 404, "there is nothing at this path");
    } else {
        answer(ex, a);
    }
}

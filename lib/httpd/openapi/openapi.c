/* openapi.c - GET /openapi.json: composed from the route table and two embedded files, so that it
 * tells of no route that is not there, and of each one who may use it. */
#include <ctype.h>
#include <string.h>

#include <jansson.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>

#include "../private.h"
#include "openapi.h"

#define DOCUMENT_MAX_BYTES (1024 * 1024)

bool rb_openapi_template_fits(const char *path, const char *pattern)
{
    const char *brace = strchr(path, '{');
    const char *star = strchr(pattern, '*');
    if (brace == NULL || star == NULL) {
        return brace == NULL && star == NULL && strcmp(path, pattern) == 0;
    }
    const char *end = strchr(brace, '}');
    return end != NULL && brace - path == star - pattern &&
           strncmp(path, pattern, (size_t)(brace - path)) == 0 && strcmp(end + 1, star + 1) == 0;
}

static json_t *load(const unsigned char *text, size_t len)
{
    return json_loadb((const char *)text, len, JSON_REJECT_DUPLICATES, NULL);
}

/* add_answer - a shared answer, where the operation has none of its own for @status. */
static int add_answer(json_t *operation, const char *status, const char *name)
{
    json_t *answers = json_object_get(operation, "responses");
    if (json_object_get(answers, status) != NULL) {
        return 0;
    }
    return json_object_set_new(answers, status,
                               json_pack("{s:s+}", "$ref", "#/components/responses/", name));
}

/* follow_role - what a route's role means for its callers. */
static int follow_role(json_t *operation, const struct rb_route *route)
{
    int bad = 0;
    if (route->role == RB_ROLE_NONE) {
        if (json_object_get(operation, "security") == NULL) {
            bad |= json_object_set_new(operation, "security", json_array());
        }
    } else {
        bad |= json_object_set_new(operation, "security", json_pack("[{s:[]}]", "bearer"));
        bad |= json_object_set_new(
            operation, "x-role",
            json_string(route->role == RB_ROLE_OPERATOR ? "operator" : "viewer"));
        bad |= add_answer(operation, "401", "NoToken");
    }
    if (route->role == RB_ROLE_OPERATOR) {
        bad |= add_answer(operation, "403", "NotAllowed");
    }
    return bad | add_answer(operation, "default", "Problem");
}

/* add_route - its operation from @documented into @paths; nothing where it is not described. */
static int add_route(json_t *paths, json_t *documented, const struct rb_route *route)
{
    char method[8] = "";
    for (size_t i = 0; route->method[i] != '\0' && i < sizeof method - 1; i++) {
        method[i] = (char)tolower((unsigned char)route->method[i]);
    }
    const char *path = NULL;
    json_t *item = NULL;
    json_object_foreach(documented, path, item)
    {
        json_t *operation = json_object_get(item, method);
        if (operation == NULL || !rb_openapi_template_fits(path, route->pattern)) {
            continue;
        }
        if (json_object_get(paths, path) == NULL &&
            json_object_set_new(paths, path, json_object()) != 0) {
            return -1;
        }
        return follow_role(operation, route) |
               json_object_set(json_object_get(paths, path), method, operation);
    }
    return 0;
}

enum rb_code rb_openapi_write(const char *version, struct rb_buf *out, struct rb_err *err)
{
    RB_CLEANUP(rb_json_decrefp) json_t *doc = load(rb_openapi_base, rb_openapi_base_len);
    RB_CLEANUP(rb_json_decrefp) json_t *documented = load(rb_openapi_paths, rb_openapi_paths_len);
    size_t n = 0;
    const struct rb_route *routes = rb_routes(&n);
    json_t *paths = json_object();
    int bad = json_object_set_new(doc, "paths", paths) |
              json_object_set_new(json_object_get(doc, "info"), "version", json_string(version));
    for (size_t i = 0; i < n && bad == 0; i++) {
        bad = add_route(paths, documented, &routes[i]);
    }
    RB_CLEANUP(rb_freep) char *text = bad != 0 ? NULL : json_dumps(doc, JSON_INDENT(2));
    if (text == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for the document of the API");
    }
    rb_buf_adds(out, text);
    rb_buf_addc(out, '\n');
    return RB_OK;
}

void rb_handle_openapi(struct rb_exchange *ex)
{
    struct rb_buf *kept = &ex->httpd->openapi;
    if (kept->len == 0) {
        struct rb_err err = {.code = RB_OK};
        rb_buf_release(kept);
        rb_buf_init(kept, DOCUMENT_MAX_BYTES);
        enum rb_code rc = rb_openapi_write(ex->httpd->deps.version, kept, &err);
        if (rc != RB_OK || rb_buf_failed(kept)) {
            rb_buf_clear(kept);
            rb_answer_problem(ex, 503, "there is no memory for the document; ask again");
            return;
        }
    }
    rb_buf_add(&ex->answer, kept->data, kept->len);
    rb_answer_json(ex, 200);
}

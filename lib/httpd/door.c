/* door.c - the AWS front door: who calls, and what for.
 *
 * Closed (404, as if it were not there) while no access key is configured. A caller is proved by
 * Signature Version 4 over the body and the headers that the request itself lists; only then is the
 * operation looked at. Keys and their secrets are the operator's own: AWS does not know them.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <retrybuild/digest.h>
#include <retrybuild/random.h>
#include <retrybuild/sigv4.h>

#include "door.h"

#define SIGNATURE_WINDOW_MS (5 * 60 * 1000)
#define TARGET_PREFIX "CodeBuild_20161006."
#define SERVED                                                                         \
    "RetryBuild, BatchGetBuilds, ListBuildsForProject, ListBuilds, BatchGetProjects, " \
    "ListProjects"

static const struct operation {
    const char *name;
    enum rb_role role;
    void (*serve)(struct rb_exchange *ex);
} operations[] = {
    {"BatchGetBuilds", RB_ROLE_VIEWER, rb_door_pass},
    {"BatchGetProjects", RB_ROLE_VIEWER, rb_door_pass},
    {"ListBuilds", RB_ROLE_VIEWER, rb_door_pass},
    {"ListBuildsForProject", RB_ROLE_VIEWER, rb_door_pass},
    {"ListProjects", RB_ROLE_VIEWER, rb_door_pass},
    {"RetryBuild", RB_ROLE_OPERATOR, rb_door_retry},
};

static void make_request_id(char ret_id[RB_REQUEST_ID_BYTES])
{
    uint8_t b[16];
    char hex[33];
    rb_random_bytes(rb_random_system(), b, sizeof b);
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40); /* version 4 */
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80); /* RFC 4122 variant */
    rb_hex(b, sizeof b, hex);
    (void)snprintf(ret_id, RB_REQUEST_ID_BYTES, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12,
                   hex + 16, hex + 20);
}

bool rb_door_begin(struct rb_exchange *ex)
{
    if (strcmp(ex->path, "/") != 0) {
        return false;
    }
    bool page = strcmp(ex->method, "GET") == 0 || strcmp(ex->method, "HEAD") == 0;
    if (ex->view->settings->front_door.n_access_keys == 0) {
        return !page;
    }
    ex->aws_form = strcmp(ex->method, "POST") == 0;
    if (ex->aws_form) {
        make_request_id(ex->request_id);
        if (ex->body.max_bytes > RB_DOOR_BODY_MAX_BYTES) {
            ex->body.max_bytes = RB_DOOR_BODY_MAX_BYTES;
        }
    }
    return false;
}

void rb_door_end(struct rb_exchange *ex)
{
    if (ex->door != NULL && ex->door->counted) {
        ex->httpd->n_door--;
        ex->door->counted = false;
    }
}

struct headers {
    struct rb_header items[RB_HEADERS_MAX];
    unsigned n;
};

static enum MHD_Result take_header(void *cls, enum MHD_ValueKind kind, const char *key,
                                   const char *value)
{
    struct headers *h = cls;
    (void)kind;
    if (h->n < RB_HEADERS_MAX) {
        h->items[h->n++] = (struct rb_header){.name = rb_slice_str(key),
                                              .value = rb_slice_str(value == NULL ? "" : value)};
    }
    return MHD_YES;
}

static const struct rb_access_key_setting *find_key(const struct rb_settings *s,
                                                    struct rb_slice access_key)
{
    for (unsigned i = 0; i < s->front_door.n_access_keys; i++) {
        if (rb_slice_eq(access_key, s->front_door.access_keys[i].id)) {
            return &s->front_door.access_keys[i];
        }
    }
    return NULL;
}

/* verify - NULL with the key and the region that it signed for, else AWS's error. */
static const char *verify(struct rb_exchange *ex, const struct rb_access_key_setting **ret_key,
                          const char **ret_region, struct rb_err *err)
{
    struct headers headers = {.n = 0};
    struct rb_sigv4_proof proof;
    MHD_get_connection_values(ex->mhd, MHD_HEADER_KIND, take_header, &headers);
    const struct rb_sigv4_received received = {.method = ex->method,
                                               .path = ex->path,
                                               .headers = headers.items,
                                               .n_headers = headers.n,
                                               .body = rb_buf_str(&ex->body),
                                               .body_len = ex->body.len};
    const char *type = rb_sigv4_receive(&received, &proof, err);
    if (type != NULL) {
        return type;
    }
    const struct rb_access_key_setting *key = find_key(ex->view->settings, proof.claim.access_key);
    if (key == NULL) {
        (void)rb_err_set(err, RB_E_DENIED,
                         "The security token included in the request is invalid.");
        return "UnrecognizedClientException";
    }
    type = rb_sigv4_prove(&received, &proof, rb_secret_data(key->secret),
                          rb_secret_len(key->secret), err);
    if (type == NULL) {
        type = rb_sigv4_in_window(proof.date_ms, rb_now_ms(ex->httpd->deps.clock),
                                  SIGNATURE_WINDOW_MS, err);
    }
    if (type == NULL && strcmp(proof.service, "codebuild") != 0) {
        (void)rb_err_set(err, RB_E_DENIED,
                         "Credential should be scoped to correct service: 'codebuild'.");
        type = "InvalidSignatureException";
    }
    *ret_key = key;
    *ret_region = proof.region[0] == '\0' ? NULL : rb_arena_strdup(&ex->arena, proof.region);
    return type;
}

/* query_refused - a signature in the query would let a link start builds; the JSON protocol has no
 * use for a query at all. */
static bool query_refused(struct rb_exchange *ex)
{
    if (MHD_get_connection_values(ex->mhd, MHD_GET_ARGUMENT_KIND, NULL, NULL) <= 0) {
        return false;
    }
    rb_door_error(ex, "MissingAuthenticationTokenException",
                  "Missing Authentication Token: requests with a query, presigned ones among them, "
                  "are not served; sign with an Authorization header.");
    return true;
}

static const struct operation *find_operation(struct rb_exchange *ex)
{
    const char *target = MHD_lookup_connection_value(ex->mhd, MHD_HEADER_KIND, "X-Amz-Target");
    if (rb_str_starts(target, TARGET_PREFIX)) {
        for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
            if (strcmp(operations[i].name, target + strlen(TARGET_PREFIX)) == 0) {
                return &operations[i];
            }
        }
    }
    rb_door_error(ex, "UnknownOperationException",
                  "What is served here is " SERVED "; ask AWS itself for anything else.");
    return NULL;
}

void rb_handle_front_door(struct rb_exchange *ex)
{
    const struct rb_access_key_setting *key = NULL;
    const char *region = NULL;
    struct rb_err err = {.code = RB_OK};
    ex->source = rb_view_front_door(ex->view);
    const char *type = NULL;
    if (!query_refused(ex)) {
        type = verify(ex, &key, &region, &err);
        if (type != NULL) {
            rb_door_error(ex, type, "%s", err.msg);
        }
    }
    if (ex->status != 0) {
        rb_metric_add(ex->source->bad_proof, 1);
        rb_metric_add(ex->source->results[RB_RESULT_UNAUTHORIZED], 1);
        return;
    }
    const struct operation *o = find_operation(ex);
    if (o == NULL) {
        return;
    }
    ex->actor = key->id;
    if (key->role < o->role) {
        rb_door_error(ex, "AccessDeniedException",
                      "Access key %s is a viewer here and is not authorized to perform: "
                      "codebuild:%s (api.front_door.access_keys).",
                      key->id, o->name);
        return;
    }
    ex->door = rb_arena_alloc(&ex->arena, sizeof *ex->door);
    if (ex->door == NULL || region == NULL) {
        rb_door_error(ex, "ServiceUnavailableException", "No memory for the request.");
        return;
    }
    *ex->door = (struct rb_door){.region = region, .operation = o->name};
    o->serve(ex);
}

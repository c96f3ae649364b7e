/* openapi.h - the document of GET /openapi.json: what base.json and paths.json say of the routes
 * that there are. Threads: any; the texts are read-only. */
#ifndef RB_HTTPD_OPENAPI_H
#define RB_HTTPD_OPENAPI_H

#include <stddef.h>

#include <retrybuild/buf.h>
#include <retrybuild/err.h>

/* base.json: everything but the paths; paths.json: an operation for each route. */
extern const unsigned char rb_openapi_base[];
extern const size_t rb_openapi_base_len;
extern const unsigned char rb_openapi_paths[];
extern const size_t rb_openapi_paths_len;

struct rb_route;

/* rb_openapi_template_fits - is @path ("/v1/retries/{id}") what @pattern ("/v1/retries/…" with a
 * star) is called in the document? */
bool rb_openapi_template_fits(const char *path, const char *pattern);
/* rb_openapi_write - the document as JSON: each route of the table that paths.json describes, with
 * the security and the answers that follow from the route's role. @version is the product's. */
enum rb_code rb_openapi_write(const char *version, struct rb_buf *out, struct rb_err *err);

#endif

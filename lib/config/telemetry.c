/* telemetry.c - where spans go: a URL, and headers that can be sent. */
#include <string.h>

#include <retrybuild/cleanup.h>

#include "place.h"
#include "validate.h"

#define HEADERS_MAX 16
#define NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~"

static void check_header(struct rb_conversion *c, unsigned i)
{
    const struct rb_telemetry_header *h = &c->settings->telemetry.headers[i];
    const char *path = rb_path(c, "telemetry.headers[%u].name", i);

    if (h->name == NULL) {
        rb_wrong(c, path, "is missing, for example authorization");
    } else if (h->name[0] == '\0' || strspn(h->name, NAME_CHARS) != strlen(h->name)) {
        rb_wrong(c, path, "'%.60s' is not the name of a header, such as authorization", h->name);
    } else if (rb_str_ieq(h->name, "content-type") || rb_str_ieq(h->name, "content-length") ||
               rb_str_ieq(h->name, "host") || rb_str_ieq(h->name, "transfer-encoding")) {
        rb_wrong(c, path, "'%s' is set by the request itself", h->name);
    }
    path = rb_path(c, "telemetry.headers[%u].value", i);
    if (h->value == NULL) {
        if (!rb_has_problem(c, path)) {
            rb_wrong(c, path, "is missing (or value_file, value_env)");
        }
    } else if (strpbrk(rb_secret_data(h->value), "\r\n") != NULL) {
        rb_wrong(c, path, "must be one line");
    }
}

void rb_validate_telemetry(struct rb_conversion *c)
{
    const struct rb_settings *s = c->settings;
    const char *endpoint = s->telemetry.otlp_endpoint;

    if (!rb_str_empty(endpoint) && !rb_str_starts(endpoint, "http://") &&
        !rb_str_starts(endpoint, "https://")) {
        rb_wrong(c, "telemetry.otlp_endpoint", "is not an http:// or https:// URL");
    } else if (endpoint != NULL && strpbrk(endpoint, "?#") != NULL) {
        rb_wrong(c, "telemetry.otlp_endpoint",
                 "is the root of the collector: /v1/traces is added to it");
    }
    if (s->telemetry.n_headers > HEADERS_MAX) {
        rb_wrong(c, "telemetry.headers", "more than %d", HEADERS_MAX);
    }
    for (unsigned i = 0; i < s->telemetry.n_headers; i++) {
        check_header(c, i);
    }
    if (rb_str_empty(s->telemetry.service_name)) {
        rb_wrong(c, "telemetry.service_name", "is empty");
    }
}

/* Where a service of a region is called: the operator's override, or the rules of the region's
 * partition. Source: facts on AWS, 4.2. */
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/str.h>
#include <retrybuild/url.h>

#include "aws_state.h"

static const struct partition {
    const char *region_prefixes; /* words before "-<place>-<number>", each between two blanks */
    const char *suffix, *dual_stack_suffix;
} PARTITIONS[] = {
    {" us eu ap sa ca me af il mx ", "amazonaws.com", "api.aws"},
    {" cn ", "amazonaws.com.cn", "api.amazonwebservices.com.cn"},
    {" us-gov ", "amazonaws.com", "api.aws"},
    {" eusc-de ", "amazonaws.eu", "api.amazonwebservices.eu"},
    {" us-iso ", "c2s.ic.gov", "api.aws.ic.gov"},
    {" us-isob ", "sc2s.sgov.gov", "api.aws.scloud"},
    {" eu-isoe ", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"},
    {" us-isof ", "csp.hci.ic.gov", "api.aws.hci.ic.gov"},
};

static size_t count_class(const char *s, size_t len, const char *first, const char *last)
{
    size_t n = 0;

    while (n < len && s[len - n - 1] >= *first && s[len - n - 1] <= *last) {
        n++;
    }
    return n;
}

/* Length of what stands before "-<letters>-<digits>"; 0 when @region does not end so. */
static size_t prefix_len(const char *region)
{
    size_t len = strlen(region);
    size_t digits = count_class(region, len, "0", "9");

    if (digits == 0 || digits >= len || region[len - digits - 1] != '-') {
        return 0;
    }
    len -= digits + 1;
    size_t letters = count_class(region, len, "a", "z");
    if (letters == 0 || letters >= len || region[len - letters - 1] != '-') {
        return 0;
    }
    return len - letters - 1;
}

static const struct partition *partition_of(const char *region)
{
    char word[16] = " ";
    size_t len = prefix_len(region);

    if (len == 0 || len > sizeof(word) - 3 || memchr(region, ' ', len) != NULL) {
        return NULL;
    }
    memcpy(word + 1, region, len);
    word[len + 1] = ' ';
    word[len + 2] = '\0';
    for (size_t i = 0; i < RB_ARRAY_LEN(PARTITIONS); i++) {
        if (strstr(PARTITIONS[i].region_prefixes, word) != NULL) {
            return &PARTITIONS[i];
        }
    }
    return NULL;
}

static bool env_true(const char *name)
{
    return rb_str_ieq(getenv(name), "true");
}

/* A simulator on this machine has STS and CodePipeline too; an endpoint of CodeBuild elsewhere has
 * not. */
static bool on_this_machine(const char *url)
{
    static const char *const starts[] = {"http://127.", "http://localhost", "http://[::1]"};
    for (size_t i = 0; i < RB_ARRAY_LEN(starts); i++) {
        if (rb_str_starts(url, starts[i])) {
            return true;
        }
    }
    return false;
}

/* The settings' endpoint is CodeBuild's; else the environment's for this service, else for all;
 * NULL = none. */
static const char *override_of(const struct rb_aws *aws, const char *service)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf name = RB_BUF_INIT(128);

    bool own = rb_str_eq(service, "codebuild") || rb_str_eq(service, "logs");

    if (!rb_str_empty(aws->endpoint_url) && own) {
        return aws->endpoint_url;
    }
    if (env_true("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")) {
        return NULL;
    }
    rb_buf_adds(&name, "AWS_ENDPOINT_URL_");
    for (const char *p = service; *p != '\0'; p++) {
        rb_buf_addc(&name, *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p);
    }
    const char *url = getenv(rb_buf_str(&name));
    if (rb_str_empty(url)) {
        url = getenv("AWS_ENDPOINT_URL");
    }
    if (rb_str_empty(url) && !rb_str_empty(aws->endpoint_url) &&
        on_this_machine(aws->endpoint_url)) {
        url = aws->endpoint_url;
    }
    return rb_str_empty(url) ? NULL : url;
}

enum rb_code rb_aws_endpoint(const struct rb_aws *aws, const char *service, const char *region,
                             struct rb_arena *a, const char **ret_url, struct rb_err *err)
{
    const char *given = override_of(aws, service);
    const char *url = NULL;

    if (given != NULL) {
        url = rb_arena_strdup(a, given);
    } else {
        const struct partition *p = region == NULL ? NULL : partition_of(region);
        if (p == NULL) {
            return rb_err_set(err, RB_E_INVALID, "'%s' is not a region of any AWS partition",
                              region == NULL ? "" : region);
        }
        bool dual = env_true("AWS_USE_DUALSTACK_ENDPOINT");
        bool fips = env_true("AWS_USE_FIPS_ENDPOINT");
        url = rb_arena_printf(a, "https://%s%s.%s.%s", service, fips ? "-fips" : "", region,
                              dual ? p->dual_stack_suffix : p->suffix);
    }
    if (url == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for an endpoint");
    }
    *ret_url = url;
    return RB_OK;
}

/* Host as the request line's neighbour wants it: the port only when it is not the scheme's own. */
enum rb_code rb_aws_target(const struct rb_aws *aws, const char *service, const char *region,
                           struct rb_arena *a, struct rb_aws_target *ret_t, struct rb_err *err)
{
    const char *url = NULL;

    enum rb_code rc = rb_aws_endpoint(aws, service, region, a, &url, err);
    return rc == RB_OK ? rb_aws_target_at(url, service, a, ret_t, err)
                       : rb_err_wrap(err, rc, "endpoint of %s", service);
}

enum rb_code rb_aws_target_at(const char *url, const char *service, struct rb_arena *a,
                              struct rb_aws_target *ret_t, struct rb_err *err)
{
    struct rb_url u;

    enum rb_code rc = rb_url_parse(url, strlen(url), a, &u, err);
    if (rc != RB_OK) {
        return rb_err_wrap(err, rc, "endpoint of %s", service);
    }
    if ((!rb_str_eq(u.scheme, "https") && !rb_str_eq(u.scheme, "http")) || u.query != NULL) {
        return rb_err_set(err, RB_E_INVALID, "the endpoint of %s is not a plain http(s) URL",
                          service);
    }
    bool v6 = strchr(u.host, ':') != NULL;
    bool own_port = u.port != 0 && u.port != rb_url_default_port(u.scheme);
    const char *name = rb_arena_printf(a, v6 ? "[%s]" : "%s", u.host);
    ret_t->host = own_port ? rb_arena_printf(a, "%s:%u", name, (unsigned)u.port) : name;
    ret_t->path = u.path;
    ret_t->url = rb_arena_printf(a, "%s://%s%s", u.scheme, ret_t->host, u.path);
    return name != NULL && ret_t->url != NULL && ret_t->host != NULL
               ? RB_OK
               : rb_err_set(err, RB_E_NOMEM, "no memory for a request");
}

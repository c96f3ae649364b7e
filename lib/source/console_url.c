/* console_url.c - which build a link means.
 *
 * Links differ in where the id stands (path or fragment), in how it is escaped, and in whether
 * region and account are said; so path and fragment are searched for a segment that announces an
 * id. What follows it must be an id to the last byte.
 */
#include <retrybuild/cleanup.h>
#include <retrybuild/console.h>
#include <retrybuild/url.h>

#define TEXT_MAX_BYTES 2048
#define SEGMENTS_MAX 32
#define UUID_LEN 36
#define ACCOUNT_LEN 12

static const char *const console_domains[] = {
    "console.aws.amazon.com",
    "console.amazonaws.cn",
    "console.amazonaws-us-gov.com",
};
#define PUBLIC_DOMAIN "codebuild.aws.amazon.com"

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* is_region - words of small letters, the last is a number: us-gov-west-1. */
static bool is_region(struct rb_slice s)
{
    unsigned dashes = 0;
    if (s.len < 6 || s.len > 32 || s.ptr[s.len - 1] < '0' || s.ptr[s.len - 1] > '9') {
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!word && (c != '-' || i == 0 || s.ptr[i - 1] == '-')) {
            return false;
        }
        dashes += c == '-';
    }
    return dashes >= 2;
}

static bool is_project(struct rb_slice s)
{
    if (s.len == 0 || s.len > 255 || !is_alnum(s.ptr[0])) {
        return false;
    }
    for (size_t i = 1; i < s.len; i++) {
        if (!is_alnum(s.ptr[i]) && s.ptr[i] != '-' && s.ptr[i] != '_') {
            return false;
        }
    }
    return true;
}

static bool is_uuid(struct rb_slice s)
{
    if (s.len != UUID_LEN) {
        return false;
    }
    for (size_t i = 0; i < UUID_LEN; i++) {
        char c = s.ptr[i];
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        if (dash ? c != '-' : !hex) {
            return false;
        }
    }
    return true;
}

static bool is_account(struct rb_slice s)
{
    size_t digits = 0;
    while (digits < s.len && s.ptr[digits] >= '0' && s.ptr[digits] <= '9') {
        digits++;
    }
    return s.len == ACCOUNT_LEN && digits == ACCOUNT_LEN;
}

/* take_id - "project:uuid", nothing else. */
static bool take_id(struct rb_slice s, struct rb_arena *a, struct rb_link *l)
{
    const char *colon = s.ptr == NULL ? NULL : memchr(s.ptr, ':', s.len);
    if (colon == NULL) {
        return false;
    }
    struct rb_slice project = {s.ptr, (size_t)(colon - s.ptr)};
    struct rb_slice uuid = {colon + 1, s.len - project.len - 1};
    if (project.len < 2 || !is_project(project) || !is_uuid(uuid)) { /* as a build's id has it */
        return false;
    }
    l->project = rb_arena_strndup(a, project.ptr, project.len);
    l->uuid = rb_arena_strndup(a, uuid.ptr, uuid.len);
    l->id = rb_arena_strndup(a, s.ptr, s.len);
    return l->project != NULL && l->uuid != NULL && l->id != NULL;
}

/* ---- ARNs ---- */

static bool parse_arn(const char *text, struct rb_arena *a, struct rb_link *ret_l)
{
    struct rb_slice part[6]; /* arn, partition, service, region, account, resource */
    const char *p = text;
    for (unsigned i = 0; i < 5; i++) {
        size_t len = strcspn(p, ":");
        if (p[len] == '\0') {
            return false;
        }
        part[i] = (struct rb_slice){p, len};
        p += len + 1;
    }
    part[5] = rb_slice_str(p);
    struct rb_link l = {.kind = RB_LINK_BUILD};
    size_t skip = strlen("build/");
    if (rb_str_starts(p, "build-batch/")) {
        l.kind = RB_LINK_BATCH;
        skip = strlen("build-batch/");
    } else if (!rb_str_starts(p, "build/")) {
        return false;
    }
    bool partition = rb_slice_eq(part[1], "aws") || rb_slice_eq(part[1], "aws-cn") ||
                     rb_slice_eq(part[1], "aws-us-gov");
    if (!partition || !rb_slice_eq(part[2], "codebuild") || !is_region(part[3]) ||
        !is_account(part[4]) || !take_id((struct rb_slice){p + skip, part[5].len - skip}, a, &l)) {
        return false;
    }
    l.region = rb_arena_strndup(a, part[3].ptr, part[3].len);
    l.account = rb_arena_strndup(a, part[4].ptr, part[4].len);
    if (l.region == NULL || l.account == NULL) {
        return false;
    }
    *ret_l = l;
    return true;
}

/* ---- hosts ---- */

enum host_kind { HOST_FOREIGN, HOST_CONSOLE, HOST_PUBLIC };

/* under - is @host @domain, or one region before it? */
static bool under(const char *host, const char *domain, struct rb_slice *ret_region)
{
    size_t host_len = strlen(host);
    size_t domain_len = strlen(domain);
    *ret_region = (struct rb_slice){NULL, 0};
    if (strcmp(host, domain) == 0) {
        return true;
    }
    if (host_len <= domain_len + 1 || strcmp(host + host_len - domain_len, domain) != 0 ||
        host[host_len - domain_len - 1] != '.') {
        return false;
    }
    *ret_region = (struct rb_slice){host, host_len - domain_len - 1};
    return is_region(*ret_region);
}

static enum host_kind judge_host(const struct rb_url *u, const struct rb_strings *hosts,
                                 struct rb_slice *ret_region)
{
    bool plain = strcmp(u->scheme, "https") == 0 && (u->port == 0 || u->port == 443);
    for (size_t i = 0; plain && i < RB_ARRAY_LEN(console_domains); i++) {
        if (under(u->host, console_domains[i], ret_region)) {
            return HOST_CONSOLE;
        }
    }
    if (plain && under(u->host, PUBLIC_DOMAIN, ret_region) && ret_region->ptr != NULL) {
        return HOST_PUBLIC;
    }
    *ret_region = (struct rb_slice){NULL, 0};
    bool web = strcmp(u->scheme, "https") == 0 || strcmp(u->scheme, "http") == 0;
    for (unsigned i = 0; web && hosts != NULL && i < hosts->n; i++) {
        if (rb_glob_match(hosts->items[i], u->host)) {
            return HOST_CONSOLE;
        }
    }
    return HOST_FOREIGN;
}

/* ---- paths and fragments ---- */

struct segments {
    struct rb_slice s[SEGMENTS_MAX];
    unsigned n;
};

static void split(const char *text, struct segments *ret)
{
    ret->n = 0;
    while (ret->n < SEGMENTS_MAX && *text != '\0') {
        size_t len = strcspn(text, "/?&");
        if (len > 0) {
            ret->s[ret->n++] = (struct rb_slice){text, len};
        }
        text += len;
        text += *text != '\0';
    }
}

static bool is_word(const struct segments *g, unsigned i, const char *word)
{
    return i < g->n && rb_slice_eq(g->s[i], word);
}

static bool same(struct rb_slice a, const char *b)
{
    return rb_slice_eq(a, b);
}

/* find_id - the segment after "build", "builds" or "batch". Where the project stands before it as
 * well, the two must agree. */
static bool find_id(const struct segments *g, struct rb_arena *a, struct rb_link *l)
{
    for (unsigned i = 0; i + 1 < g->n; i++) {
        bool batch = is_word(g, i, "batch");
        if (!batch && !is_word(g, i, "build") && !is_word(g, i, "builds")) {
            continue;
        }
        if (!take_id(g->s[i + 1], a, l)) {
            continue;
        }
        if (i >= 2 && is_word(g, i - 2, "projects") && !same(g->s[i - 1], l->project)) {
            return false;
        }
        l->kind = batch ? RB_LINK_BATCH : RB_LINK_BUILD;
        return true;
    }
    return false;
}

static bool find_account(const struct segments *g, struct rb_arena *a, struct rb_link *l)
{
    for (unsigned i = 0; i + 1 < g->n; i++) {
        if (is_word(g, i, "codebuild") && is_account(g->s[i + 1])) {
            l->account = rb_arena_strndup(a, g->s[i + 1].ptr, g->s[i + 1].len);
            return l->account != NULL;
        }
    }
    return true;
}

/* find_region - `region=` of a query. */
static bool find_region(const char *query, struct rb_arena *a, struct rb_link *l)
{
    for (const char *p = query; l->region == NULL && p != NULL && *p != '\0';) {
        size_t len = strcspn(p, "&");
        if (rb_str_starts(p, "region=")) {
            struct rb_slice v = {p + 7, len - 7};
            if (is_region(v)) {
                l->region = rb_arena_strndup(a, v.ptr, v.len);
                return l->region != NULL;
            }
        }
        p += len;
        p += *p == '&';
    }
    return true;
}

/* find_public - ".../project/<what only AWS can read>/build/<uuid>". */
static bool find_public(const struct segments *g, struct rb_arena *a, struct rb_link *l)
{
    if (!is_word(g, 0, "project") || !is_word(g, 2, "build") || g->n < 4 || !is_uuid(g->s[3])) {
        return false;
    }
    l->kind = RB_LINK_PUBLIC;
    l->uuid = rb_arena_strndup(a, g->s[3].ptr, g->s[3].len);
    return l->uuid != NULL;
}

static bool parse_url(const char *text, const struct rb_strings *hosts, struct rb_arena *a,
                      struct rb_link *ret_l)
{
    struct rb_url u = {.scheme = NULL};
    struct rb_slice region = {NULL, 0};
    struct rb_link l = {.kind = RB_LINK_NONE};
    struct segments path;
    struct segments fragment = {.n = 0};
    if (rb_url_parse(text, strlen(text), a, &u, NULL) != RB_OK || u.userinfo != NULL ||
        u.host == NULL || u.path == NULL) {
        return false;
    }
    enum host_kind host = judge_host(&u, hosts, &region);
    if (host == HOST_FOREIGN) {
        return false;
    }
    const char *decoded = rb_url_decode(u.path, strlen(u.path), false, a);
    const char *inner = "";
    if (u.fragment != NULL) {
        inner = rb_url_decode(u.fragment, strlen(u.fragment), false, a);
    }
    if (decoded == NULL || inner == NULL) {
        return false;
    }
    if (region.ptr != NULL) {
        l.region = rb_arena_strndup(a, region.ptr, region.len);
    }
    split(decoded, &path);
    split(inner, &fragment);
    if (host == HOST_PUBLIC) {
        if (!find_public(&path, a, &l)) {
            return false;
        }
    } else if (!find_id(&path, a, &l) && !find_id(&fragment, a, &l)) {
        return false;
    }
    const char *inner_query = strchr(inner, '?');
    if (!find_account(&path, a, &l) || !find_region(u.query, a, &l) ||
        !find_region(inner_query == NULL ? NULL : inner_query + 1, a, &l)) {
        return false;
    }
    *ret_l = l;
    return true;
}

bool rb_link_parse(const char *text, const struct rb_strings *hosts, struct rb_arena *a,
                   struct rb_link *ret_link)
{
    if (text == NULL || strlen(text) > TEXT_MAX_BYTES) {
        return false;
    }
    return rb_str_starts(text, "arn:") ? parse_arn(text, a, ret_link)
                                       : parse_url(text, hosts, a, ret_link);
}

bool rb_context_parse(const char *text, struct rb_arena *a, struct rb_context *ret_c)
{
    static const char start[] = "AWS CodeBuild ";
    static const char batch[] = "BuildBatch ";
    struct rb_context c = {.batch = false};
    if (!rb_str_starts(text, start) || strlen(text) > TEXT_MAX_BYTES) {
        return false;
    }
    const char *p = text + sizeof(start) - 1;
    if (rb_str_starts(p, batch)) {
        c.batch = true;
        p += sizeof(batch) - 1;
    }
    struct rb_slice region = {p, strcspn(p, " ")};
    p += region.len;
    if (!is_region(region) || !rb_str_starts(p, " (") || !rb_str_ends(p, ")")) {
        return false;
    }
    struct rb_slice project = {p + 2, strlen(p) - 3};
    if (!is_project(project)) {
        return false;
    }
    c.region = rb_arena_strndup(a, region.ptr, region.len);
    c.project = rb_arena_strndup(a, project.ptr, project.len);
    if (c.region == NULL || c.project == NULL) {
        return false;
    }
    *ret_c = c;
    return true;
}

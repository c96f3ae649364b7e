/* build.c - references to builds, and what can be derived from one.
 *
 * A reference comes as an ARN (events) or as project:uuid (API, people); both end in the same id,
 * because keys (keys.c) are made of account, region and id alone.
 */
#include <limits.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/model.h>

#define COMMIT_HEX 40

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_project(struct rb_slice s)
{
    if (s.len < 2 || s.len > 255 || !is_alnum(s.ptr[0])) {
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
    if (s.len < 1 || s.len > 64) {
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        if (!is_alnum(s.ptr[i]) && s.ptr[i] != '-') {
            return false;
        }
    }
    return true;
}

/* is_word - [a-z0-9-]{1,40}: partitions and regions. */
static bool is_word(struct rb_slice s)
{
    if (s.len < 1 || s.len > 40) {
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-') {
            return false;
        }
    }
    return true;
}

static bool is_account(struct rb_slice s)
{
    if (s.len != 12) {
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') {
            return false;
        }
    }
    return true;
}

/* take - the slice before the next @sep; false when there is none. */
static bool take(struct rb_slice *rest, char sep, struct rb_slice *ret_part)
{
    const char *at = rest->len == 0 ? NULL : memchr(rest->ptr, sep, rest->len);
    if (at == NULL) {
        return false;
    }
    size_t n = (size_t)(at - rest->ptr);
    *ret_part = (struct rb_slice){.ptr = rest->ptr, .len = n};
    rest->ptr += n + 1;
    rest->len -= n + 1;
    return true;
}

static bool has_prefix(struct rb_slice s, struct rb_slice prefix)
{
    return s.len >= prefix.len && memcmp(s.ptr, prefix.ptr, prefix.len) == 0;
}

static const char *partition_of(const char *region)
{
    static const struct {
        const char *prefix, *partition;
    } rows[] = {
        {"cn-", "aws-cn"},      {"us-gov-", "aws-us-gov"}, {"us-isob-", "aws-iso-b"},
        {"us-iso-", "aws-iso"}, {"eu-isoe-", "aws-iso-e"}, {"us-isof-", "aws-iso-f"},
        {"eusc-", "aws-eusc"},
    };
    for (size_t i = 0; region != NULL && i < RB_ARRAY_LEN(rows); i++) {
        if (rb_str_starts(region, rows[i].prefix)) {
            return rows[i].partition;
        }
    }
    return "aws";
}

bool rb_build_make_arn(struct rb_build *b, struct rb_arena *a)
{
    if (b->account == NULL || b->region == NULL || b->id == NULL) {
        return false;
    }
    if (b->partition == NULL || rb_str_eq(b->partition, "aws")) {
        b->partition = partition_of(b->region);
    }
    const struct rb_slice parts[] = {
        RB_SLICE_LIT("arn:"),    rb_slice_str(b->partition), RB_SLICE_LIT(":codebuild:"),
        rb_slice_str(b->region), RB_SLICE_LIT(":"),          rb_slice_str(b->account),
        RB_SLICE_LIT(":build/"), rb_slice_str(b->id),
    };
    const char *arn = rb_arena_join(a, parts, RB_ARRAY_LEN(parts));
    if (arn == NULL) {
        return false;
    }
    b->arn = arn;
    return true;
}

static enum rb_code bad_ref(struct rb_err *err, const char *why)
{
    return rb_err_set(err, RB_E_INVALID, "not a build id or build ARN: %s", why);
}

/* parse_arn_head - "arn:<partition>:codebuild:<region>:<account>:build/"; *s becomes the rest. */
static enum rb_code parse_arn_head(struct rb_slice *s, struct rb_arena *a, struct rb_build *b,
                                   struct rb_err *err)
{
    struct rb_slice arn;
    struct rb_slice partition;
    struct rb_slice service;
    struct rb_slice region;
    struct rb_slice account;
    if (!take(s, ':', &arn) || !take(s, ':', &partition) || !take(s, ':', &service) ||
        !take(s, ':', &region) || !take(s, ':', &account)) {
        return bad_ref(err, "the ARN is too short");
    }
    if (!rb_slice_eq(service, "codebuild")) {
        return bad_ref(err, "the ARN is not of CodeBuild");
    }
    if (!is_word(partition) || !is_word(region)) {
        return bad_ref(err, "partition or region of the ARN is malformed");
    }
    if (!is_account(account)) {
        return bad_ref(err, "the account of the ARN is not 12 digits");
    }
    struct rb_slice kind = RB_SLICE_LIT("build/");
    if (!has_prefix(*s, kind)) {
        return bad_ref(err, "the ARN does not name a build");
    }
    s->ptr += kind.len;
    s->len -= kind.len;
    b->partition = rb_arena_strndup(a, partition.ptr, partition.len);
    b->region = rb_arena_strndup(a, region.ptr, region.len);
    b->account = rb_arena_strndup(a, account.ptr, account.len);
    if (b->partition == NULL || b->region == NULL || b->account == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a build reference");
    }
    return RB_OK;
}

enum rb_code rb_build_parse_ref(const char *s, struct rb_arena *a, struct rb_build *ret_b,
                                struct rb_err *err)
{
    struct rb_slice rest = rb_slice_str(s);
    struct rb_build b = RB_BUILD_INIT;
    bool is_arn = has_prefix(rest, RB_SLICE_LIT("arn:"));
    if (is_arn) {
        enum rb_code rc = parse_arn_head(&rest, a, &b, err);
        if (rc != RB_OK) {
            return rc;
        }
    }
    struct rb_slice project;
    if (!take(&rest, ':', &project)) {
        return bad_ref(err, "expected project:uuid");
    }
    if (rest.len > 0 && rest.ptr[0] == ':') { /* seen in AWS's own examples */
        rest.ptr++;
        rest.len--;
    }
    if (!is_project(project)) {
        return bad_ref(err, "the project's name is malformed");
    }
    if (!is_uuid(rest)) {
        return bad_ref(err, "the part after the project is not a build's uuid");
    }
    const struct rb_slice id[] = {project, RB_SLICE_LIT(":"), rest};
    b.project = rb_arena_strndup(a, project.ptr, project.len);
    b.id = rb_arena_join(a, id, RB_ARRAY_LEN(id));
    if (b.project == NULL || b.id == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a build reference");
    }
    if (is_arn && !rb_build_make_arn(&b, a)) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a build reference");
    }
    ret_b->partition = is_arn ? b.partition : "aws";
    ret_b->account = b.account;
    ret_b->region = b.region;
    ret_b->project = b.project;
    ret_b->id = b.id;
    ret_b->arn = b.arn;
    return RB_OK;
}

bool rb_build_failed(const struct rb_build *b)
{
    return b->status != NULL && (rb_str_eq(b->status, "FAILED") || rb_str_eq(b->status, "FAULT") ||
                                 rb_str_eq(b->status, "TIMED_OUT"));
}

bool rb_build_ended(const struct rb_build *b)
{
    return b->status != NULL && !rb_str_eq(b->status, "IN_PROGRESS");
}

bool rb_build_copy(struct rb_build *dst, const struct rb_build *src, struct rb_arena *a)
{
    struct rb_build copy = *src;
    const char **strings[] = {
        &copy.partition,        &copy.account,     &copy.region,
        &copy.project,          &copy.id,          &copy.arn,
        &copy.status,           &copy.phase,       &copy.phase_status,
        &copy.message,          &copy.url,         &copy.initiator,
        &copy.author,           &copy.source_type, &copy.source_version,
        &copy.resolved_version, &copy.repository,  &copy.branch,
        &copy.pull_request,     &copy.batch_arn,   &copy.next_auto_retry,
        &copy.compute_type,
    };
    for (size_t i = 0; i < RB_ARRAY_LEN(strings); i++) {
        if (*strings[i] != NULL) {
            *strings[i] = rb_arena_strdup(a, *strings[i]);
            if (*strings[i] == NULL) {
                return false;
            }
        }
    }
    *dst = copy;
    return true;
}

static bool is_commit(const char *s, size_t len)
{
    if (len != COMMIT_HEX) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        char c = s[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f') && !(c >= 'A' && c <= 'F')) {
            return false;
        }
    }
    return true;
}

/* exit_status - N of the last "exit status N" in @message, -1 when there is none. */
static int exit_status(const char *message)
{
    static const char words[] = "exit status ";
    const char *found = NULL;
    for (const char *p = message; (p = strstr(p, words)) != NULL;) {
        p += sizeof(words) - 1;
        found = p;
    }
    if (found == NULL) {
        return -1;
    }
    size_t digits = strspn(found, "0123456789");
    uint64_t v = 0;
    if (!rb_parse_u64((struct rb_slice){.ptr = found, .len = digits}, &v) || v > INT_MAX) {
        return -1;
    }
    return (int)v;
}

/* derive_version - source_version has the forms <40 hex>, pr/12, refs/heads/x, refs/pull/12/head
 * and each ref with ^{<40 hex>} behind it. */
static void derive_version(struct rb_build *b, struct rb_arena *a)
{
    const char *v = b->source_version;
    size_t len = strlen(v);
    if (len > COMMIT_HEX + 3 && v[len - 1] == '}' && memcmp(v + len - 43, "^{", 2) == 0 &&
        is_commit(v + len - 41, COMMIT_HEX)) {
        if (b->resolved_version == NULL) {
            b->resolved_version = rb_arena_strndup(a, v + len - 41, COMMIT_HEX);
        }
        len -= 43;
    }
    struct rb_slice s = {.ptr = v, .len = len};
    struct rb_slice heads = RB_SLICE_LIT("refs/heads/");
    struct rb_slice pull = RB_SLICE_LIT("refs/pull/");
    struct rb_slice pr = RB_SLICE_LIT("pr/");
    if (is_commit(s.ptr, s.len)) {
        if (b->resolved_version == NULL) {
            b->resolved_version = rb_arena_strndup(a, s.ptr, s.len);
        }
    } else if (has_prefix(s, heads) && s.len > heads.len) {
        if (b->branch == NULL) {
            b->branch = rb_arena_strndup(a, s.ptr + heads.len, s.len - heads.len);
        }
    } else if (b->pull_request == NULL && (has_prefix(s, pr) || has_prefix(s, pull))) {
        const char *digits = s.ptr + (has_prefix(s, pr) ? pr.len : pull.len);
        size_t n = 0;
        while (digits + n < s.ptr + s.len && digits[n] >= '0' && digits[n] <= '9') {
            n++;
        }
        b->pull_request = n == 0 ? NULL : rb_arena_strndup(a, digits, n);
    }
}

/* clean_location - without userinfo, query, fragment, a trailing slash and ".git". */
static const char *clean_location(const char *location, struct rb_arena *a)
{
    char *url = rb_arena_strdup(a, location);
    if (url == NULL) {
        return NULL; /* better no repository than one with a password in it */
    }
    char *host = strstr(url, "://");
    if (host != NULL) {
        host += 3;
        size_t authority = strcspn(host, "/?#");
        char *at = NULL;
        for (size_t i = 0; i < authority; i++) {
            at = host[i] == '@' ? host + i : at;
        }
        if (at != NULL) {
            memmove(host, at + 1, strlen(at + 1) + 1);
        }
        host[strcspn(host, "?#")] = '\0';
    }
    size_t len = strlen(url);
    while (len > 0 && url[len - 1] == '/') {
        url[--len] = '\0';
    }
    if (rb_str_ends(url, ".git")) {
        len -= 4;
        url[len] = '\0';
    }
    return len == 0 ? NULL : url;
}

static const char *cut_message(const char *message, struct rb_arena *a)
{
    size_t n = RB_MESSAGE_MAX_BYTES;
    while (n > 0 && ((unsigned char)message[n] & 0xC0U) == 0x80U) {
        n--;
    }
    return rb_arena_strndup(a, message, n);
}

void rb_build_derive(struct rb_build *b, struct rb_arena *a)
{
    if (b->message != NULL) {
        if (b->exit_code < 0) {
            b->exit_code = exit_status(b->message);
        }
        if (strlen(b->message) > RB_MESSAGE_MAX_BYTES) {
            b->message = cut_message(b->message, a);
        }
    }
    if (b->source_version != NULL) {
        derive_version(b, a);
    }
    if (b->repository != NULL) {
        b->repository = clean_location(b->repository, a);
    }
}

const char *rb_build_commit(const struct rb_build *b)
{
    if (b->resolved_version != NULL) {
        return b->resolved_version;
    }
    const char *v = b->source_version;
    return v != NULL && is_commit(v, strlen(v)) ? v : NULL;
}

bool rb_build_is_batch(const struct rb_build *b)
{
    return b->batch_arn != NULL && rb_str_eq(b->arn, b->batch_arn);
}

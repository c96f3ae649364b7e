/* sns_envelope.c - the members of an SNS message, the text that is signed, and the place of the
 * certificate. Source: facts on AWS, 6.1 to 6.3. */
#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>
#include <retrybuild/url.h>

#include "sns_envelope.h"

#define REGION_MAX_BYTES 32
#define TOPIC_MAX_BYTES 512
#define URL_MAX_BYTES 250
#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"
#define LETTERS LOWER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

static const struct partition {
    const char *name;
    const char *prefixes; /* of regions, before "-<place>-<number>"; each between two blanks */
    const char *suffix;
} partitions[] = {
    {"aws", " us eu ap sa ca me af il mx ", "amazonaws.com"},
    {"aws-cn", " cn ", "amazonaws.com.cn"},
    {"aws-us-gov", " us-gov ", "amazonaws.com"},
    {"aws-eusc", " eusc-de ", "amazonaws.eu"},
    {"aws-iso", " us-iso ", "c2s.ic.gov"},
    {"aws-iso-b", " us-isob ", "sc2s.sgov.gov"},
    {"aws-iso-e", " eu-isoe ", "cloud.adc-e.uk"},
    {"aws-iso-f", " us-isof ", "csp.hci.ic.gov"},
};

/* ---- members ---- */

static enum rb_code take_member(struct rb_sns_envelope *e, const struct rb_json_token *key,
                                const struct rb_json_token *t, struct rb_arena *a,
                                struct rb_err *err)
{
    const struct {
        const char *name;
        const char **value;
    } texts[] = {
        {"Type", &e->type},
        {"MessageId", &e->message_id},
        {"TopicArn", &e->topic},
        {"Subject", &e->subject},
        {"Message", &e->message},
        {"Timestamp", &e->timestamp},
        {"SignatureVersion", &e->version},
        {"Signature", &e->signature},
        {"SigningCertURL", &e->certificate_url},
        {"Token", &e->token},
        {"SubscribeURL", &e->subscribe_url},
    };
    for (size_t i = 0; t->type == RB_JSON_STRING && i < RB_ARRAY_LEN(texts); i++) {
        if (rb_json_key_is(key, texts[i].name)) {
            *texts[i].value = rb_json_dup(t, a);
            return *texts[i].value == NULL
                       ? rb_err_set(err, RB_E_NOMEM, "no memory for a message of SNS")
                       : RB_OK;
        }
    }
    return RB_OK;
}

static enum rb_code check(const struct rb_sns_envelope *e, struct rb_err *err)
{
    bool notification = rb_str_eq(e->type, "Notification");
    if (!notification && !rb_str_eq(e->type, "SubscriptionConfirmation") &&
        !rb_str_eq(e->type, "UnsubscribeConfirmation")) {
        return rb_err_set(err, RB_E_INVALID, "the body is not a message of SNS (Type)");
    }
    const char *needed[] = {e->message_id, e->topic, e->timestamp, e->version, e->signature};
    bool whole = e->message != NULL;
    for (size_t i = 0; i < RB_ARRAY_LEN(needed); i++) {
        whole = whole && !rb_str_empty(needed[i]);
    }
    if (!notification) {
        whole = whole && !rb_str_empty(e->token) && !rb_str_empty(e->subscribe_url);
    }
    return whole ? RB_OK
                 : rb_err_set(err, RB_E_INVALID, "the message of SNS lacks a member of its type");
}

enum rb_code rb_sns_envelope_read(struct rb_slice body, struct rb_arena *a,
                                  struct rb_sns_envelope *ret_e, struct rb_err *err)
{
    struct rb_sns_envelope e = {.type = NULL};
    struct rb_json_reader r;
    struct rb_json_token key;
    struct rb_json_token t;
    rb_json_reader_init(&r, body.ptr, body.len);
    enum rb_code rc = rb_json_next(&r, &t, err);
    if (rc == RB_OK && t.type != RB_JSON_OBJECT_BEGIN) {
        return rb_err_set(err, RB_E_INVALID, "a message of SNS is a JSON object");
    }
    while (rc == RB_OK) {
        rc = rb_json_member(&r, &key, &t, err);
        if (rc != RB_OK || key.type == RB_JSON_OBJECT_END) {
            break;
        }
        rc = take_member(&e, &key, &t, a, err);
        rc = rc == RB_OK ? rb_json_skip_rest(&r, &t, err) : rc;
    }
    rc = rc == RB_OK ? rb_json_finish(&r, err) : rc;
    rc = rc == RB_OK ? check(&e, err) : rc;
    if (rc == RB_OK) {
        *ret_e = e;
    }
    return rc;
}

/* ---- the signed text ---- */

static void add_pair(struct rb_buf *out, const char *name, const char *value)
{
    if (value != NULL) {
        rb_buf_adds(out, name);
        rb_buf_addc(out, '\n');
        rb_buf_adds(out, value);
        rb_buf_addc(out, '\n');
    }
}

void rb_sns_signed_text(const struct rb_sns_envelope *e, struct rb_buf *out)
{
    bool notification = rb_str_eq(e->type, "Notification");
    add_pair(out, "Message", e->message);
    add_pair(out, "MessageId", e->message_id);
    add_pair(out, "Subject", notification ? e->subject : NULL);
    add_pair(out, "SubscribeURL", notification ? NULL : e->subscribe_url);
    add_pair(out, "Timestamp", e->timestamp);
    add_pair(out, "Token", notification ? NULL : e->token);
    add_pair(out, "TopicArn", e->topic);
    add_pair(out, "Type", e->type);
}

/* ---- topic and certificate ---- */

/* has_region - "<prefix>-<letters>-<digits>" with a prefix of the partition. */
static bool has_region(const struct partition *p, struct rb_slice region)
{
    char word[REGION_MAX_BYTES + 3] = " ";
    size_t len = region.len;
    size_t digits = 0;
    size_t letters = 0;
    if (len > REGION_MAX_BYTES) {
        return false;
    }
    while (digits < len && memchr(DIGITS, region.ptr[len - digits - 1], 10) != NULL) {
        digits++;
    }
    len -= digits;
    if (digits == 0 || len == 0 || region.ptr[--len] != '-') {
        return false;
    }
    while (letters < len && memchr(LOWER, region.ptr[len - letters - 1], 26) != NULL) {
        letters++;
    }
    len -= letters;
    if (letters == 0 || len == 0 || region.ptr[--len] != '-' || len == 0 ||
        memchr(region.ptr, ' ', len) != NULL) {
        return false;
    }
    memcpy(word + 1, region.ptr, len);
    memcpy(word + 1 + len, " ", 2);
    return strstr(p->prefixes, word) != NULL;
}

/* next_part - what stands before the next ':' of *s, which moves behind it. */
static struct rb_slice next_part(const char **s)
{
    struct rb_slice part = {*s, strcspn(*s, ":")};
    *s += part.len + ((*s)[part.len] == ':' ? 1 : 0);
    return part;
}

bool rb_sns_topic_parse(const char *arn, struct rb_arena *a, struct rb_sns_topic *ret_t)
{
    const char *rest = arn;
    if (strlen(arn) > TOPIC_MAX_BYTES || !rb_slice_eq(next_part(&rest), "arn")) {
        return false;
    }
    struct rb_slice partition = next_part(&rest);
    struct rb_slice service = next_part(&rest);
    struct rb_slice region = next_part(&rest);
    struct rb_slice account = next_part(&rest);
    size_t name = strspn(rest, LETTERS DIGITS "-_");
    bool ends = rest[name] == '\0' || rb_str_eq(rest + name, ".fifo");
    if (!rb_slice_eq(service, "sns") || account.len != 12 ||
        strspn(account.ptr, DIGITS) < account.len || name == 0 || !ends) {
        return false;
    }
    for (size_t i = 0; i < RB_ARRAY_LEN(partitions); i++) {
        const struct partition *p = &partitions[i];
        if (rb_slice_eq(partition, p->name) && has_region(p, region)) {
            ret_t->region = rb_arena_strndup(a, region.ptr, region.len);
            ret_t->host = rb_arena_printf(a, "sns.%s.%s", ret_t->region, p->suffix);
            return ret_t->region != NULL && ret_t->host != NULL;
        }
    }
    return false;
}

static bool is_certificate_path(const char *path)
{
    static const char start[] = "/SimpleNotificationService";
    if (!rb_str_starts(path, start)) {
        return false;
    }
    path += sizeof(start) - 1;
    if (path[0] == '-') {
        size_t len = strspn(path + 1, LETTERS DIGITS);
        path += len == 0 ? 0 : len + 1;
    }
    return rb_str_eq(path, ".pem");
}

const char *rb_sns_certificate_url(const char *url, const struct rb_sns_topic *t,
                                   struct rb_arena *a)
{
    struct rb_url u;
    if (url == NULL || strlen(url) > URL_MAX_BYTES ||
        rb_url_parse(url, strlen(url), a, &u, NULL) != RB_OK || !rb_str_eq(u.scheme, "https") ||
        u.userinfo != NULL || (u.port != 0 && u.port != 443) || u.query != NULL ||
        u.fragment != NULL || !rb_str_eq(u.host, t->host) || !is_certificate_path(u.path)) {
        return NULL;
    }
    return rb_arena_printf(a, "https://%s%s", u.host, u.path);
}

/* paths.c - a build, its project, status and so on, each found in the body by a dotted path.
 *
 * A part of a path is the name of a member, or the number of an item of an array. What stands there
 * is a text or a number. Each path costs one more pass over the body: there are six at most, and
 * such senders are few.
 */
#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>

#include "paths.h"

#define DEFAULT_BUILD "data.build"
#define PART_MAX_BYTES 256
#define TEXT_MAX_BYTES 1024
#define TOKEN_MAX_BYTES 256
#define DIGITS "0123456789"

/* ---- finding ---- */

/* part_of - the first part of *path, as a text in @ret; *path moves behind it. */
static bool part_of(const char **path, char ret[PART_MAX_BYTES])
{
    size_t len = strcspn(*path, ".");
    if (len == 0 || len >= PART_MAX_BYTES) {
        return false;
    }
    memcpy(ret, *path, len);
    ret[len] = '\0';
    *path += len + ((*path)[len] == '.' ? 1 : 0);
    return true;
}

/* enter_object - *ret_t: the first token of member @name; END when there is none. */
static enum rb_code enter_object(struct rb_json_reader *r, const char *name,
                                 struct rb_json_token *ret_t, struct rb_err *err)
{
    struct rb_json_token key;
    enum rb_code rc = RB_OK;
    ret_t->type = RB_JSON_END;
    while ((rc = rb_json_next(r, &key, err)) == RB_OK && key.type == RB_JSON_KEY) {
        if (rb_json_key_is(&key, name)) {
            return rb_json_next(r, ret_t, err);
        }
        rc = rb_json_skip(r, err);
        if (rc != RB_OK) {
            return rc;
        }
    }
    return rc;
}

/* enter_array - *ret_t: the first token of item @name; END when there is none. */
static enum rb_code enter_array(struct rb_json_reader *r, const char *name,
                                struct rb_json_token *ret_t, struct rb_err *err)
{
    uint64_t at = 0;
    bool number = rb_parse_u64(rb_slice_str(name), &at);
    struct rb_json_token t;
    enum rb_code rc = RB_OK;
    ret_t->type = RB_JSON_END;
    for (uint64_t i = 0; (rc = rb_json_next(r, &t, err)) == RB_OK && t.type != RB_JSON_ARRAY_END;
         i++) {
        if (number && i == at) {
            *ret_t = t;
            return RB_OK;
        }
        rc = rb_json_skip_rest(r, &t, err);
        if (rc != RB_OK) {
            return rc;
        }
    }
    return rc;
}

/* find - the text at @path, NULL when there is none; the whole body is validated. */
static enum rb_code find(struct rb_slice body, const char *path, struct rb_arena *a,
                         const char **ret_text, struct rb_err *err)
{
    struct rb_json_reader r;
    struct rb_json_token t;
    char part[PART_MAX_BYTES];
    *ret_text = NULL;
    rb_json_reader_init(&r, body.ptr, body.len);
    enum rb_code rc = rb_json_next(&r, &t, err);
    bool there = path != NULL;
    while (rc == RB_OK && there && path[0] != '\0') {
        there = part_of(&path, part);
        if (there && t.type == RB_JSON_OBJECT_BEGIN) {
            rc = enter_object(&r, part, &t, err);
        } else if (there && t.type == RB_JSON_ARRAY_BEGIN) {
            rc = enter_array(&r, part, &t, err);
        } else {
            there = false;
        }
        there = there && t.type != RB_JSON_END;
    }
    bool text = t.type == RB_JSON_STRING || t.type == RB_JSON_NUMBER;
    if (rc == RB_OK && there && text && t.raw.len > 0 && t.raw.len <= TEXT_MAX_BYTES) {
        *ret_text = rb_json_dup(&t, a);
        if (*ret_text == NULL) {
            return rb_err_set(err, RB_E_NOMEM, "no memory for a text of the body");
        }
    }
    return rc == RB_OK ? rb_json_finish(&r, err) : rc;
}

/* ---- meaning ---- */

static const struct {
    const char *said, *status; /* status NULL: not ended */
} statuses[] = {
    {"failed", "FAILED"},     {"failure", "FAILED"},      {"error", "FAILED"},
    {"fault", "FAULT"},       {"timed_out", "TIMED_OUT"}, {"timed-out", "TIMED_OUT"},
    {"timeout", "TIMED_OUT"}, {"succeeded", "SUCCEEDED"}, {"success", "SUCCEEDED"},
    {"passed", "SUCCEEDED"},  {"stopped", "STOPPED"},     {"cancelled", "STOPPED"},
    {"canceled", "STOPPED"},  {"in_progress", NULL},      {"in-progress", NULL},
    {"running", NULL},        {"pending", NULL},          {"queued", NULL},
};

static void none(struct rb_event *ev, const char *why)
{
    ev->kind = RB_EVENT_NONE;
    ev->why = why;
}

/* judge_status - what the event is by its status; without one CodeBuild is asked. */
static void judge_status(struct rb_event *ev, const char *said, struct rb_arena *a)
{
    if (said == NULL) {
        ev->kind = RB_EVENT_FAILURE;
        ev->needs_inspection = true;
        return;
    }
    for (size_t i = 0; i < RB_ARRAY_LEN(statuses); i++) {
        if (!rb_str_ieq(said, statuses[i].said)) {
            continue;
        }
        ev->build.status = statuses[i].status;
        if (ev->build.status == NULL) {
            none(ev, "the build is in progress");
            return;
        }
        bool failed = rb_build_failed(&ev->build);
        ev->kind = failed ? RB_EVENT_FAILURE : RB_EVENT_ENDED;
        ev->needs_inspection = failed;
        return;
    }
    const char *why = rb_arena_sentence(a, "status '%.100s' is not known", said);
    none(ev, why == NULL ? "the status is not known" : why);
}

/* take_place - account and region, where the build does not say them itself. */
static bool take_place(struct rb_event *ev, const char *account, const char *region)
{
    struct rb_build *b = &ev->build;
    if (account != NULL && (strlen(account) != 12 || strspn(account, DIGITS) != 12)) {
        none(ev, "what stands at the path of the account is not 12 digits");
        return false;
    }
    if (region != NULL &&
        strspn(region, "abcdefghijklmnopqrstuvwxyz" DIGITS "-") != strlen(region)) {
        none(ev, "what stands at the path of the region is no region");
        return false;
    }
    b->account = b->account == NULL ? account : b->account;
    b->region = b->region == NULL ? region : b->region;
    return true;
}

enum rb_code rb_paths_parse(const struct rb_source_setting *s, struct rb_slice body,
                            struct rb_arena *a, struct rb_event *ret_event, struct rb_err *err)
{
    const char *build = NULL;
    const char *project = NULL;
    const char *region = NULL;
    const char *account = NULL;
    const char *status = NULL;
    struct rb_event ev = {.build = RB_BUILD_INIT};
    const struct {
        const char *path;
        const char **text;
    } wanted[] = {
        {s->paths.build == NULL ? DEFAULT_BUILD : s->paths.build, &build},
        {s->paths.project, &project},
        {s->paths.region, &region},
        {s->paths.account, &account},
        {s->paths.status, &status},
        {s->paths.token, &ev.token},
    };
    for (size_t i = 0; i < RB_ARRAY_LEN(wanted); i++) {
        if (i == 0 || wanted[i].path != NULL) {
            enum rb_code rc = find(body, wanted[i].path, a, wanted[i].text, err);
            if (rc != RB_OK) {
                return rc;
            }
        }
    }
    if (ev.token != NULL && strlen(ev.token) > TOKEN_MAX_BYTES) {
        return rb_err_set(err, RB_E_INVALID, "the token at '%.100s' has more than %d bytes",
                          s->paths.token, TOKEN_MAX_BYTES);
    }
    if (build != NULL && project != NULL && strchr(build, ':') == NULL) {
        build = rb_arena_printf(a, "%s:%s", project, build);
    }
    if (build == NULL) {
        const char *why =
            rb_arena_sentence(a, "there is no text at '%.200s': no usable build", wanted[0].path);
        none(&ev, why == NULL ? "no usable build" : why);
    } else if (rb_build_parse_ref(build, a, &ev.build, NULL) != RB_OK) {
        ev.build = (struct rb_build)RB_BUILD_INIT;
        none(&ev, "what stands at the path of the build is no build id or ARN");
    } else if (take_place(&ev, account, region)) {
        judge_status(&ev, status, a);
    }
    if (ev.kind == RB_EVENT_NONE) {
        ev.build = (struct rb_build)RB_BUILD_INIT;
        ev.token = NULL;
    }
    *ret_event = ev;
    return RB_OK;
}

enum rb_code rb_paths_check(const struct rb_source_setting *s, const char **ret_key,
                            struct rb_err *err)
{
    const struct {
        const char *key, *path;
    } all[] = {
        {"paths.build", s->paths.build},   {"paths.project", s->paths.project},
        {"paths.region", s->paths.region}, {"paths.account", s->paths.account},
        {"paths.status", s->paths.status}, {"paths.token", s->paths.token},
    };
    for (size_t i = 0; i < RB_ARRAY_LEN(all); i++) {
        const char *p = all[i].path;
        if (p == NULL) {
            continue;
        }
        size_t len = strlen(p);
        if (len == 0 || p[0] == '.' || p[len - 1] == '.' || strstr(p, "..") != NULL) {
            *ret_key = all[i].key;
            return rb_err_set(err, RB_E_INVALID,
                              "'%.60s' has an empty part; write it as data.build or builds.0.id",
                              p);
        }
    }
    return RB_OK;
}

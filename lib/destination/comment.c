/* github-comment, gitlab-comment - one comment of a pull or merge request a chain, edited in place,
 * with its attempts folded into a table.
 *
 * The receipt is "NUMBER/ID ROWS": the pull request, the comment, and of each attempt
 * "n,limit,state,build,child;". The comment carries the same rows in a mark that nobody sees, so
 * that one whose receipt was lost between the post and its settle is found again rather than
 * written twice. Source: facts on integrations, 2.1, 2.2.
 */
#include <stdio.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/timefmt.h>

#include "hosts.h"
#include "internal.h"

#define BODY_MAX_BYTES 32768
#define BODY_MAX_CHARS 30000
#define ROWS_MAX_BYTES 448
#define ID_MAX_BYTES 32
#define LOOK_BACK_MS (INT64_C(24) * 60 * 60 * 1000)

static enum rb_githost host_of(const struct rb_poster *p)
{
    return rb_str_eq(p->type->type, "gitlab-comment") ? RB_HOST_GITLAB : RB_HOST_GITHUB;
}

/* ---- rows ---- */

/* One word of a row is digits, letters, '_' and '-'. */
static bool rows_good(const char *rows)
{
    return strspn(rows, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-?,;") ==
           strlen(rows);
}

static void add_row(const struct rb_retry *r, struct rb_buf *out)
{
    rb_buf_addf(out, "%lld,%lld,%s,", (long long)r->attempt,
                (long long)(r->limit > r->attempt ? r->limit : r->attempt),
                rb_state_name(r->state));
    rb_text_number(&r->build, out);
    rb_buf_addc(out, ',');
    if (r->has_child) {
        rb_text_number(&r->child, out);
    }
    rb_buf_addc(out, ';');
}

/* @old with the row of this attempt replaced or added; the oldest give way when it grows long. */
static void join_rows(const char *old, const struct rb_retry *r, struct rb_buf *out)
{
    while (strlen(old) > ROWS_MAX_BYTES - 96) {
        const char *end = strchr(old, ';');
        old = end == NULL ? "" : end + 1;
    }
    while (*old != '\0') {
        size_t len = strcspn(old, ";");
        int64_t attempt = 0;
        (void)rb_parse_i64((struct rb_slice){.ptr = old, .len = strcspn(old, ",;")}, &attempt);
        if (attempt != r->attempt) {
            rb_buf_add(out, old, len);
            rb_buf_addc(out, ';');
        }
        old += len + (old[len] == ';' ? 1 : 0);
    }
    add_row(r, out);
}

/* "| 1 of 2 | 31 | 32 | failed again |" */
static void show_row(const char *row, size_t len, struct rb_buf *out)
{
    size_t column = 0;

    rb_buf_adds(out, "| ");
    for (size_t i = 0; i < len; i++) {
        if (row[i] != ',') {
            rb_buf_addc(out, row[i] == '_' ? ' ' : row[i]);
            continue;
        }
        rb_buf_adds(out, column == 0 ? " of " : " | ");
        column++;
    }
    rb_buf_adds(out, " |\n");
}

static void show_rows(const char *rows, struct rb_buf *out)
{
    rb_buf_adds(out, "| Attempt | Result | Build | New build |\n| --- | --- | --- | --- |\n");
    while (*rows != '\0') {
        size_t len = strcspn(rows, ";");
        show_row(rows, len, out);
        rows += len + (rows[len] == ';' ? 1 : 0);
    }
}

/* ---- the comment ---- */

static const char *mark_of(struct rb_poster *p)
{
    return rb_arena_printf(p->a, "<!-- retrybuild %s %s ", p->d->name, p->v->retry->chain);
}

static json_t *body_of(struct rb_poster *p, const char *mark, const char *rows)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf out = RB_BUF_INIT(BODY_MAX_BYTES);

    rb_buf_addf(&out, "%s%s -->\n", mark, rows);
    rb_text_summary(p->v, RB_MARKUP_MARKDOWN, &out);
    rb_buf_adds(&out, "\n\n");
    rb_text_next(p->v, RB_MARKUP_MARKDOWN, &out);
    rb_buf_adds(&out, "\n\n<details><summary>Attempts</summary>\n\n");
    show_rows(rows, &out);
    rb_buf_adds(&out, "\n</details>\n");
    return json_pack("{s:o}", "body", rb_text_json(&out, BODY_MAX_CHARS));
}

struct place { /* of comments: where they are listed and made, and where one of them is */
    const char *number;
    const char *all, *one; /* one: without its id */
};

static bool find_place(struct rb_poster *p, const char *number, struct place *ret_l)
{
    enum rb_githost host = host_of(p);
    const char *repository = rb_githost_repository(host, p->d, p->v->retry, p->a);

    if (repository == NULL || !rb_githost_has_pull(p->v->retry)) {
        rb_poster_fail(p, "the build has no pull request in a repository of this host");
        return false;
    }
    if (number == NULL && !rb_githost_pull(p, host, repository, &number)) {
        return false;
    }
    ret_l->number = number;
    if (host == RB_HOST_GITLAB) {
        ret_l->all = rb_githost_url(host, p->d, p->a, "projects/%s/merge_requests/%s/notes",
                                    repository, number);
        ret_l->one = ret_l->all;
    } else {
        ret_l->all =
            rb_githost_url(host, p->d, p->a, "repos/%s/issues/%s/comments", repository, number);
        ret_l->one = rb_githost_url(host, p->d, p->a, "repos/%s/issues/comments", repository);
    }
    if (ret_l->all == NULL || ret_l->one == NULL) {
        rb_poster_again(p, -1, "no memory for a report");
        return false;
    }
    return true;
}

struct known { /* the chain's comment; id "" = there is none */
    char id[ID_MAX_BYTES];
    const char *rows;
};

static void take_known(struct rb_poster *p, const char *id, size_t id_len, const char *rows,
                       struct known *ret_k)
{
    if (id_len == 0 || id_len >= sizeof(ret_k->id) || rows == NULL || !rows_good(rows)) {
        return;
    }
    memcpy(ret_k->id, id, id_len);
    ret_k->id[id_len] = '\0';
    ret_k->rows = rb_arena_strdup(p->a, rows);
    ret_k->rows = ret_k->rows == NULL ? "" : ret_k->rows;
}

/* Among the newest comments, the one with our mark. False: they could not be read. */
static bool look_for(struct rb_poster *p, const struct place *l, const char *mark,
                     struct known *ret_k)
{
    char since[RB_TIME_ISO_BYTES], id[ID_MAX_BYTES];
    bool gitlab = host_of(p) == RB_HOST_GITLAB;

    rb_time_iso(p->v->retry->created_ms - LOOK_BACK_MS, since);
    const char *url =
        gitlab ? rb_arena_printf(p->a, "%s?per_page=100&sort=desc&order_by=created_at", l->all)
               : rb_arena_printf(p->a, "%s?per_page=100&since=%s", l->all, since);
    if (!rb_githost_call(p, host_of(p), "GET", url, NULL)) {
        return false;
    }
    RB_CLEANUP(rb_json_decrefp) json_t *list = rb_poster_json(p);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *c = json_array_get(list, i);
        const char *body = json_string_value(json_object_get(c, "body"));
        const json_t *number = json_object_get(c, "id");
        if (body == NULL || !rb_str_starts(body, mark) || !json_is_integer(number)) {
            continue;
        }
        const char *rows = body + strlen(mark), *end = strstr(rows, " -->");
        (void)snprintf(id, sizeof(id), "%lld", (long long)json_integer_value(number));
        take_known(p, id, strlen(id),
                   end == NULL ? "" : rb_arena_strndup(p->a, rows, (size_t)(end - rows)), ret_k);
    }
    return true;
}

static void keep(struct rb_poster *p, const struct place *l, const char *id, const char *rows)
{
    const char *receipt = rb_arena_printf(p->a, "%s/%s %s", l->number, id, rows);

    (void)(receipt != NULL && rb_poster_keep(p, receipt));
}

static void make(struct rb_poster *p, const struct place *l, const char *mark, const char *rows)
{
    char id[ID_MAX_BYTES];

    if (!rb_githost_call(p, host_of(p), "POST", l->all, body_of(p, mark, rows))) {
        return;
    }
    RB_CLEANUP(rb_json_decrefp) json_t *j = rb_poster_json(p);
    const json_t *number = json_object_get(j, "id");
    if (json_is_integer(number)) {
        (void)snprintf(id, sizeof(id), "%lld", (long long)json_integer_value(number));
        keep(p, l, id, rows);
    }
}

/* What the last report kept. False: nothing that can be used. */
static bool read_receipt(struct rb_poster *p, const char **ret_number, struct known *ret_k)
{
    const char *receipt = p->v->receipt == NULL ? "" : p->v->receipt;
    size_t number_len = strcspn(receipt, "/ ");
    const char *id = receipt + number_len + (receipt[number_len] == '/' ? 1 : 0);
    const char *blank = strchr(id, ' ');

    if (receipt[number_len] != '/' || blank == NULL) {
        return false;
    }
    *ret_number = rb_arena_strndup(p->a, receipt, number_len);
    take_known(p, id, (size_t)(blank - id), blank + 1, ret_k);
    return *ret_number != NULL && ret_k->id[0] != '\0';
}

static void post(struct rb_poster *p)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf rows = RB_BUF_INIT(ROWS_MAX_BYTES);
    struct known known = {.id = "", .rows = ""};
    const char *number = NULL, *mark = mark_of(p);
    struct place l;

    bool kept = read_receipt(p, &number, &known);
    if (!find_place(p, kept ? number : NULL, &l)) {
        return;
    }
    if (mark == NULL) {
        rb_poster_again(p, -1, "no memory for a report");
        return;
    }
    if (!kept && !look_for(p, &l, mark, &known)) {
        return;
    }
    join_rows(known.rows, p->v->retry, &rows);
    if (known.id[0] == '\0') {
        make(p, &l, mark, rb_buf_str(&rows));
        return;
    }
    const char *method = host_of(p) == RB_HOST_GITLAB ? "PUT" : "PATCH";
    const char *url = rb_arena_printf(p->a, "%s/%s", l.one, known.id);
    if (rb_githost_call(p, host_of(p), method, url, body_of(p, mark, rb_buf_str(&rows)))) {
        keep(p, &l, known.id, rb_buf_str(&rows));
    } else if (p->answer.status == 404) { /* somebody has deleted it */
        make(p, &l, mark, rb_buf_str(&rows));
    }
}

/* ---- rows of the table ---- */

static bool applies_to(enum rb_githost host, const struct rb_destination_setting *d,
                       const struct rb_retry *r)
{
    RB_CLEANUP(rb_arena_release) struct rb_arena a;

    rb_arena_init(&a, BODY_MAX_BYTES);
    return rb_githost_has_pull(r) && rb_githost_repository(host, d, r, &a) != NULL;
}

static bool applies_github(const struct rb_destination_setting *d, const struct rb_retry *r,
                           enum rb_stage stage)
{
    (void)stage;
    return applies_to(RB_HOST_GITHUB, d, r);
}

static bool applies_gitlab(const struct rb_destination_setting *d, const struct rb_retry *r,
                           enum rb_stage stage)
{
    (void)stage;
    return applies_to(RB_HOST_GITLAB, d, r);
}

static enum rb_code check_github(const struct rb_destination_setting *d, const char **ret_key,
                                 struct rb_err *err)
{
    return rb_githost_check(RB_HOST_GITHUB, d, ret_key, err);
}

static enum rb_code check_gitlab(const struct rb_destination_setting *d, const char **ret_key,
                                 struct rb_err *err)
{
    return rb_githost_check(RB_HOST_GITLAB, d, ret_key, err);
}

static const char *const own_keys[] = {"api", NULL};

const struct rb_destination_type rb_destination_github_comment = {
    .type = "github-comment",
    .keys = own_keys,
    .check = check_github,
    .post = post,
    .judge = rb_githost_judge_github,
    .applies = applies_github,
    .pace_ms = 1000,
};

const struct rb_destination_type rb_destination_gitlab_comment = {
    .type = "gitlab-comment",
    .keys = own_keys,
    .check = check_gitlab,
    .post = post,
    .applies = applies_gitlab,
};

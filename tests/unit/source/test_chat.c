/* Cases of the chat adapters, tests/data/source/<type>/NAME.json: {secret, public_key, or audience
 * and certificate, now, headers, body, verified} and, when verified, any of {command: "verb
 * target", target, actor, force, reason, reply, delivery, answer, status, ignored, code}. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include <cmocka.h>

#include <retrybuild/certificate.h>
#include <retrybuild/cleanup.h>
#include <retrybuild/command.h>
#include <retrybuild/json.h>
#include <retrybuild/jwt.h>
#include <retrybuild/source.h>

#define MINIMUM_CASES 110

static const char *const types[] = {"discord",    "googlechat", "mattermost",
                                    "rocketchat", "slack",      "teams"};
static const char *where;

static const char *header(const void *arg, const char *name, unsigned *ret_n)
{
    const json_t *headers = arg;
    const char *key = NULL, *found = NULL;
    json_t *value = NULL;
    unsigned n = 0;
    json_object_foreach((json_t *)(uintptr_t)headers, key, value)
    {
        if (strcasecmp(key, name) == 0) {
            found = json_string_value(value);
            n++;
        }
    }
    if (ret_n != NULL) {
        *ret_n = n;
    }
    return found;
}

static const char *text(const json_t *c, const char *key)
{
    return json_string_value(json_object_get(c, key));
}

static void same(const char *what, const char *got, const char *wanted)
{
    if (!rb_str_eq(got, wanted)) {
        fail_msg("%s: %s is '%s', wanted '%s'", where, what, got == NULL ? "(none)" : got, wanted);
    }
}

static const char *meaning(const struct rb_command *c, char *buf, size_t len)
{
    static const char *const targets[] = {
        [RB_TARGET_NONE] = "none",   [RB_TARGET_BUILD] = "build",     [RB_TARGET_UUID] = "uuid",
        [RB_TARGET_RETRY] = "retry", [RB_TARGET_PROJECT] = "project", [RB_TARGET_LAST] = "last",
        [RB_TARGET_PULL] = "pull",   [RB_TARGET_COMMIT] = "commit",   [RB_TARGET_FAILED] = "failed",
    };
    if (c->trouble != NULL) {
        return "trouble";
    }
    (void)snprintf(buf, len, "%s %s", rb_command_verb_name(c->verb), targets[c->target]);
    return buf;
}

static void check_command(const json_t *c, const struct rb_events *e)
{
    char buf[64];
    if (text(c, "command") == NULL) {
        return;
    }
    if (e->n_commands != 1) {
        fail_msg("%s: %u commands", where, e->n_commands);
    }
    const struct rb_command *k = &e->commands[0];
    same("command", meaning(k, buf, sizeof buf), text(c, "command"));
    if (text(c, "target") != NULL) {
        same("target", k->target_text, text(c, "target"));
    }
    if (text(c, "actor") != NULL) {
        same("actor", k->actor.id, text(c, "actor"));
    }
    if (text(c, "reason") != NULL) {
        same("reason", k->reason, text(c, "reason"));
    }
    if (text(c, "reply") != NULL) {
        same("reply", k->reply == NULL ? "none" : k->reply, text(c, "reply"));
    }
    if (text(c, "delivery") != NULL) {
        same("delivery", e->delivery_id, text(c, "delivery"));
    }
    assert_int_equal(k->force, json_is_true(json_object_get(c, "force")));
}

static void check_parsed(const json_t *c, enum rb_code rc, const struct rb_events *e)
{
    if (text(c, "code") != NULL) {
        same("code", rb_code_name(rc), text(c, "code"));
        return;
    }
    same("code", rb_code_name(rc), rb_code_name(RB_OK));
    if (text(c, "answer") != NULL) {
        same("answer", e->answer, text(c, "answer"));
        assert_int_equal(e->n_commands, 0);
        json_int_t status = json_integer_value(json_object_get(c, "status"));
        assert_int_equal(e->answer_status, status == 0 ? 200 : status);
    }
    if (json_is_true(json_object_get(c, "ignored"))) {
        assert_int_equal(e->n_commands, 0);
        assert_null(e->answer);
        assert_non_null(e->ignored);
    }
    check_command(c, e);
}

/* run - verify, parse and write the answer; the body in memory of exactly its size. */
static void run(const struct rb_source_type *type, const json_t *c)
{
    RB_CLEANUP(rb_arena_release) struct rb_arena a;
    RB_CLEANUP(rb_buf_release) struct rb_buf out = RB_BUF_INIT(65536);
    RB_CLEANUP(rb_secret_freep) struct rb_secret *secret = NULL;
    const char *body = text(c, "body");
    size_t len = strlen(body);
    RB_CLEANUP(rb_freep) char *exact = malloc(len + 1);
    struct rb_secret_entry entry = {.not_after_ms = 0};
    struct rb_source_setting s = {.name = "chat",
                                  .type = type->type,
                                  .public_key = text(c, "public_key"),
                                  .audience = text(c, "audience")};
    RB_CLEANUP(rb_certificate_freep) struct rb_certificate *certificate = NULL;
    struct rb_events e = {.n = 0};
    struct rb_err err = {.code = RB_OK};

    rb_arena_init(&a, 256 * 1024);
    memcpy(exact, body, len);
    if (text(c, "secret") != NULL) {
        secret = rb_secret_new(text(c, "secret"), strlen(text(c, "secret")));
        entry.secret = secret;
        s.secrets = (struct rb_secrets){&entry, 1};
    }
    if (text(c, "certificate") != NULL) {
        const char *pem = text(c, "certificate");
        assert_int_equal(rb_certificate_parse(pem, strlen(pem), &certificate, &err), RB_OK);
    }
    struct rb_request req = {.method = "POST",
                             .certificate = certificate,
                             .path = "/v1/hooks/chat",
                             .body = {exact, len},
                             .header = header,
                             .arg = json_object_get(c, "headers"),
                             .now_ms =
                                 json_integer_value(json_object_get(c, "now")) * INT64_C(1000)};
    enum rb_code rc = type->verify(&s, &req, &err);
    bool verified = json_is_true(json_object_get(c, "verified"));
    same("proof", rb_code_name(rc), rb_code_name(verified ? RB_OK : RB_E_DENIED));
    if (!verified) {
        same("error", err.msg, "the proof of the sender is missing or wrong");
        return;
    }
    check_parsed(c, type->parse(&s, &req, &a, &e, &err), &e);
    const char *media = NULL;
    unsigned status = 0;
    struct rb_outcome o = {.status = 200, .word = "accepted", .message = "a <b> & \"@here\""};
    assert_int_equal(type->answer(&s, &req, &o, &out, &status, &media), RB_OK);
    assert_int_equal(status, 200);
    RB_CLEANUP(rb_json_decrefp) json_t *j = NULL;
    if (out.len > 0) {
        assert_int_equal(rb_json_load(rb_buf_str(&out), out.len, &j, &err), RB_OK);
    }
}

static void every_case_of_every_chat_is_as_it_says(void **state)
{
    (void)state;
    unsigned n = 0;
    for (size_t i = 0; i < RB_ARRAY_LEN(types); i++) {
        char folder[512];
        (void)snprintf(folder, sizeof folder, "%s/%s", RB_CASES_ROOT, types[i]);
        const struct rb_source_type *type = rb_source_type_find(types[i]);
        DIR *dir = opendir(folder);
        assert_non_null(type);
        assert_non_null(dir);
        for (const struct dirent *d = NULL; (d = readdir(dir)) != NULL;) {
            char path[1024];
            if (!rb_str_ends(d->d_name, ".json")) {
                continue;
            }
            (void)snprintf(path, sizeof path, "%s/%s", folder, d->d_name);
            json_error_t why;
            RB_CLEANUP(rb_json_decrefp) json_t *c = json_load_file(path, 0, &why);
            assert_non_null(c);
            where = path;
            run(type, c);
            n++;
        }
        (void)closedir(dir);
    }
    assert_true(n >= MINIMUM_CASES);
}

/* What `retrybuild send` would send is accepted by the same type. */
static void what_is_signed_is_verified(void **state)
{
    (void)state;
    static const struct {
        const char *type, *secret, *public_key, *content, *body;
    } rows[] = {
        {"slack", "s3cret", NULL, "application/x-www-form-urlencoded",
         "command=%2Fretry&user_id=U"},
        {"teams", "c2VjcmV0", NULL, "application/json", "{\"type\":\"message\"}"},
        {"mattermost", "tok", NULL, "application/x-www-form-urlencoded", "token=tok&command=x"},
        {"rocketchat", "tok", NULL, "application/json", "{\"token\":\"tok\"}"},
        {"googlechat", "tok", NULL, "application/json", "{\"token\":\"tok\"}"},
        {"discord", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
         "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8", "application/json",
         "{\"type\":1}"},
    };
    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        RB_CLEANUP(rb_arena_release) struct rb_arena a;
        RB_CLEANUP(rb_secret_freep)
        struct rb_secret *secret = rb_secret_new(rows[i].secret, strlen(rows[i].secret));
        RB_CLEANUP(rb_json_decrefp) json_t *headers = json_object();
        const char *lines[4] = {NULL};
        struct rb_secret_entry entry = {.secret = secret};
        struct rb_source_setting s = {.name = "chat",
                                      .type = rows[i].type,
                                      .public_key = rows[i].public_key,
                                      .secrets = {&entry, 1}};
        const struct rb_source_type *type = rb_source_type_find(rows[i].type);
        struct rb_slice body = rb_slice_str(rows[i].body);
        const char *key = NULL;
        struct rb_err err;
        rb_arena_init(&a, 65536);
        assert_int_equal(type->sign(secret, NULL, body, 1768490455000, &a, lines, &err), RB_OK);
        json_object_set_new(headers, "content-type", json_string(rows[i].content));
        for (unsigned k = 0; k < 4 && lines[k] != NULL; k++) {
            const char *colon = strstr(lines[k], ": ");
            json_object_set_new(headers, rb_arena_strndup(&a, lines[k], (size_t)(colon - lines[k])),
                                json_string(colon + 2));
        }
        struct rb_request req = {.method = "POST",
                                 .body = body,
                                 .header = header,
                                 .arg = headers,
                                 .now_ms = 1768490455000};
        where = rows[i].type;
        same("proof", rb_code_name(type->verify(&s, &req, &err)), rb_code_name(RB_OK));
        assert_int_equal(type->check(&s, &key, &err), RB_OK);
        s.secrets.n = 0;
        s.public_key = NULL;
        assert_int_equal(type->check(&s, &key, &err), RB_E_INVALID);
    }
}

/* What is answered before a command is carried out, and what tells its outcome then. */
static void a_command_that_takes_long_is_deferred_and_told_by_its_own_address(void **state)
{
    (void)state;
    static const struct {
        const char *type, *kind, *early;
        bool in_public;
        const char *method, *url, *body;
    } rows[] = {
        {"discord", NULL, "{\"type\":5,\"data\":{\"flags\":64}}", false, "PATCH",
         "https://c.example/w/messages/@original",
         "{\"content\":\"done\",\"allowed_mentions\":{\"parse\":[]}}"},
        {"discord", "button", "{\"type\":6}", true, "PATCH",
         "https://c.example/w/messages/@original",
         "{\"content\":\"done\",\"allowed_mentions\":{\"parse\":[]}}"},
        {"discord", "button", "{\"type\":6}", false, "POST", "https://c.example/w",
         "{\"content\":\"done\",\"flags\":64,\"allowed_mentions\":{\"parse\":[]}}"},
        {"slack", NULL,
         "{\"response_type\":\"ephemeral\",\"text\":\"Working on it…\",\"replace_original\":false}",
         true, NULL, "https://c.example/w",
         "{\"response_type\":\"in_channel\",\"text\":\"done\",\"replace_original\":false}"},
        {"slack", "button", "", true, NULL, "https://c.example/w",
         "{\"response_type\":\"in_channel\",\"text\":\"done\",\"replace_original\":true}"},
        {"slack", "button", "", false, NULL, "https://c.example/w",
         "{\"response_type\":\"ephemeral\",\"text\":\"done\",\"replace_original\":false}"},
    };
    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        RB_CLEANUP(rb_arena_release) struct rb_arena a;
        RB_CLEANUP(rb_buf_release) struct rb_buf early = RB_BUF_INIT(1024);
        const struct rb_source_type *type = rb_source_type_find(rows[i].type);
        struct rb_command c = {.reply = "1768491295000 https://c.example/w"};
        struct rb_outcome o = {.message = "done", .in_public = rows[i].in_public};
        struct rb_push p = {.url = NULL};
        rb_arena_init(&a, 65536);
        c.place.comment_kind = rows[i].kind;
        where = rows[i].type;
        assert_true(type->defer(&c, &early));
        same("early", rb_buf_str(&early), rows[i].early);
        assert_true(type->late(&c, &o, &a, &p));
        same("method", p.method, rows[i].method);
        same("url", p.url, rows[i].url);
        same("body", p.body, rows[i].body);
        c.reply = NULL; /* nothing could be told later: the answer waits */
        rb_buf_clear(&early);
        assert_false(type->defer(&c, &early));
        assert_false(type->late(&c, &o, &a, &p));
    }
}

static void a_secret_past_its_last_day_proves_nothing(void **state)
{
    (void)state;
    RB_CLEANUP(rb_json_decrefp)
    json_t *headers = json_pack("{s:s}", "content-type", "application/json");
    RB_CLEANUP(rb_secret_freep) struct rb_secret *secret = rb_secret_new("tok", 3);
    struct rb_secret_entry entry = {.secret = secret, .not_after_ms = 1000};
    struct rb_source_setting s = {.name = "chat", .type = "rocketchat", .secrets = {&entry, 1}};
    struct rb_request req = {
        .body = RB_SLICE_LIT("{\"token\":\"tok\"}"), .header = header, .arg = headers};
    struct rb_err err;
    req.now_ms = 1000;
    assert_int_equal(rb_source_type_find("rocketchat")->verify(&s, &req, &err), RB_OK);
    req.now_ms = 1001;
    assert_int_equal(rb_source_type_find("rocketchat")->verify(&s, &req, &err), RB_E_DENIED);
}

/* The names of keys and documents that Google publishes, and where they are asked for. */
static void the_certificate_of_a_token_is_asked_for_by_its_key_alone_and_found_in_the_document(
    void **state)
{
    (void)state;
    static const struct {
        const char *file, *url;
    } rows[] = {
        {"number", "https://www.googleapis.com/service_accounts/v1/metadata/x509/"
                   "chat@system.gserviceaccount.com#0123456789abcdef"},
        {"identity", "https://www.googleapis.com/oauth2/v1/certs#0123456789abcdef"},
        {"number-other-audience", NULL},
        {"number-expired", NULL},
        {"no-token", NULL},
    };
    const struct rb_source_type *type = rb_source_type_find("googlechat");
    for (size_t i = 0; i < RB_ARRAY_LEN(rows); i++) {
        RB_CLEANUP(rb_arena_release) struct rb_arena a;
        char path[1024];
        rb_arena_init(&a, 256 * 1024);
        (void)snprintf(path, sizeof path, "%s/googlechat/%s.json", RB_CASES_ROOT, rows[i].file);
        RB_CLEANUP(rb_json_decrefp) json_t *c = json_load_file(path, 0, NULL);
        assert_non_null(c);
        where = path;
        struct rb_source_setting s = {.type = "googlechat", .audience = text(c, "audience")};
        const struct rb_request req = {.header = header,
                                       .arg = json_object_get(c, "headers"),
                                       .now_ms = json_integer_value(json_object_get(c, "now")) *
                                                 INT64_C(1000)};
        const char *url = type->certificate_url(&s, &req, &a);
        assert_true((url == NULL) == (rows[i].url == NULL));
        if (url != NULL) {
            RB_CLEANUP(rb_json_decrefp)
            json_t *set = json_pack("{s:s, s:s}", "other", "-", "0123456789abcdef", "it");
            RB_CLEANUP(rb_freep) char *document = json_dumps(set, 0);
            same("url", url, rows[i].url);
            same("certificate", type->certificate_pem(document, strlen(document), url, &a), "it");
            assert_null(type->certificate_pem("{}", 2, url, &a));
            assert_null(type->certificate_pem("<html>", 6, url, &a));
        }
        s.certificate_file = "pinned.pem"; /* then nothing is ever asked for */
        assert_null(type->certificate_url(&s, &req, &a));
    }
}

/* answer_to - what the sender of a message is told, parsed. */
static json_t *answer_to(const char *space_type, bool in_public, const char *message)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf out = RB_BUF_INIT(65536);
    char body[256];
    (void)snprintf(body, sizeof body,
                   "{\"user\":{\"name\":\"users/42\"},\"space\":{\"type\":\"%s\"}}", space_type);
    const struct rb_source_setting s = {.type = "googlechat"};
    const struct rb_request req = {.body = rb_slice_str(body)};
    const struct rb_outcome o = {.message = message, .in_public = in_public};
    const char *media = NULL;
    unsigned status = 0;
    json_t *j = NULL;
    assert_int_equal(rb_source_type_find("googlechat")->answer(&s, &req, &o, &out, &status, &media),
                     RB_OK);
    assert_int_equal(rb_json_load(rb_buf_str(&out), out.len, &j, NULL), RB_OK);
    return j;
}

static void a_refusal_in_google_chat_is_shown_to_who_asked_alone_and_mentions_nobody(void **state)
{
    (void)state;
    RB_CLEANUP(rb_json_decrefp) json_t *room = answer_to("ROOM", false, "no <users/all>");
    RB_CLEANUP(rb_json_decrefp) json_t *everybody = answer_to("ROOM", true, "done");
    RB_CLEANUP(rb_json_decrefp) json_t *direct = answer_to("DM", false, "no");
    const json_t *viewer = json_object_get(room, "privateMessageViewer");
    same("viewer", json_string_value(json_object_get(viewer, "name")), "users/42");
    assert_null(strstr(json_string_value(json_object_get(room, "text")), "<users/"));
    assert_null(json_object_get(everybody, "privateMessageViewer"));
    assert_null(json_object_get(direct, "privateMessageViewer"));
}

/* What `retrybuild send` signs with a key is what a token of Google's says. */
static void a_signed_token_for_google_chat_says_its_audience(void **state)
{
    (void)state;
    RB_CLEANUP(rb_json_decrefp)
    json_t *v = json_load_file(RB_CASES_ROOT "/../jwt/app.json", 0, NULL);
    const char *pem = json_string_value(json_object_get(v, "private_key_pem"));
    RB_CLEANUP(rb_secret_freep) struct rb_secret *key = rb_secret_new(pem, strlen(pem));
    const struct rb_source_type *type = rb_source_type_find("googlechat");
    static const char *const audiences[] = {"77", "https://rb.example/v1/hooks/g"};
    for (size_t i = 0; i < RB_ARRAY_LEN(audiences); i++) {
        RB_CLEANUP(rb_arena_release) struct rb_arena a;
        const char *lines[4] = {NULL};
        struct rb_jwt t;
        struct rb_err err;
        rb_arena_init(&a, 65536);
        assert_int_equal(
            type->sign(key, audiences[i], RB_SLICE_LIT("{}"), 1768490455000, &a, lines, &err),
            RB_OK);
        assert_true(rb_str_starts(lines[0], "Authorization: Bearer "));
        assert_int_equal(rb_jwt_read(strrchr(lines[0], ' ') + 1, &a, &t, &err), RB_OK);
        same("audience", t.audience, audiences[i]);
        assert_int_equal(t.issued_s, 1768490455);
        assert_int_equal(type->sign(key, NULL, RB_SLICE_LIT("{}"), 0, &a, lines, &err),
                         RB_E_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_of_every_chat_is_as_it_says),
        cmocka_unit_test(what_is_signed_is_verified),
        cmocka_unit_test(
            the_certificate_of_a_token_is_asked_for_by_its_key_alone_and_found_in_the_document),
        cmocka_unit_test(a_refusal_in_google_chat_is_shown_to_who_asked_alone_and_mentions_nobody),
        cmocka_unit_test(a_signed_token_for_google_chat_says_its_audience),
        cmocka_unit_test(a_command_that_takes_long_is_deferred_and_told_by_its_own_address),
        cmocka_unit_test(a_secret_past_its_last_day_proves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

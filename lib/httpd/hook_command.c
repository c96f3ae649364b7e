/* hook_command.c - a delivery that holds commands of people: carried out by the API thread, and
 * answered in the sender's own form when all of it is durable.
 *
 * A delivery whose second command meets a store that is away is answered 503 as a whole; when it
 * comes again, the first one is known by its token.
 */
#include <stdatomic.h>
#include <string.h>

#include <retrybuild/command_run.h>
#include <retrybuild/httpc.h>
#include <retrybuild/log.h>

#include "door.h"
#include "hook_host.h"
#include "private.h"
#include "traced.h"

#define RB_TEXTS_MAX_BYTES ((size_t)RB_MAX_COMMANDS * 8192)
#define RB_PUSH_TIMEOUT_MS 1000

struct rb_hook_commands {
    struct rb_command *items;
    unsigned n;
    struct rb_delivery delivery;
    const char *traceparent, *tracestate; /* of the request */
    struct rb_command_answer answers[RB_MAX_COMMANDS];
    bool asks_host; /* a git host is asked before and shown the outcome after */
    int64_t until_boot_ms;
    struct rb_command_facts facts[RB_MAX_COMMANDS];
    bool told[RB_MAX_COMMANDS]; /* facts are there */
    bool pushed;                /* what is said elsewhere is on its way */
};

/* ---- what a git host knows, and what is shown there: in a front-door thread ---- */

static struct rb_finder finder_of(struct rb_exchange *ex, struct rb_codebuild *c)
{
    return rb_finder_of(ex, c, ex->commands->until_boot_ms);
}

static void ask_host(struct rb_exchange *ex, struct rb_codebuild *c)
{
    struct rb_hook_commands *h = ex->commands;
    const struct rb_source_setting *s = ex->source->setting;
    const struct rb_finder f = finder_of(ex, c);
    for (unsigned i = 0; i < h->n; i++) {
        if (rb_command_asks_host(s, &h->items[i])) {
            h->told[i] = rb_host_facts(&f, s, &h->items[i], &ex->arena, &h->facts[i]);
        }
    }
    rb_finder_done(&f);
}

static void show_host(struct rb_exchange *ex, struct rb_codebuild *c)
{
    struct rb_hook_commands *h = ex->commands;
    const struct rb_finder f = finder_of(ex, c);
    for (unsigned i = 0; i < h->n; i++) {
        rb_host_show(&f, ex->source->setting, &h->items[i], h->told[i] ? &h->facts[i] : NULL,
                     &h->answers[i]);
    }
    rb_finder_done(&f);
}

/* ---- whose builds are meant ---- */

/* names_no_account - a build that a chat may name without anybody having told of it. */
static bool names_no_account(const struct rb_command *c)
{
    return c->verb == RB_COMMAND_RETRY && c->target == RB_TARGET_BUILD && c->trouble == NULL &&
           !c->actor.bot && c->place.repository == NULL && c->build.account == NULL;
}

/* ask_whose - in a front-door thread; without a client nobody can tell. */
static void ask_whose(struct rb_exchange *ex, struct rb_codebuild *c)
{
    struct rb_hook_commands *h = ex->commands;
    for (unsigned i = 0; c != NULL && i < h->n; i++) {
        struct rb_command *command = &h->items[i];
        struct rb_err err = {.code = RB_OK};
        if (names_no_account(command)) {
            const struct rb_finder f = finder_of(ex, c);
            struct rb_build b = command->build;
            b.region = b.region != NULL ? b.region : command->region;
            if (rb_whose_ask(ex, &f, &b, &err) == RB_OK) {
                command->build.account = b.account;
                command->account_found = true;
            }
            rb_finder_done(&f);
        }
    }
    ex->next_step = RB_NEXT_JOB;
}

/* knows_whose - what need not be asked is filled in. */
static bool knows_whose(struct rb_exchange *ex)
{
    struct rb_hook_commands *h = ex->commands;
    const char *own = rb_whose_own(ex);
    bool known = true;
    for (unsigned i = 0; i < h->n; i++) {
        struct rb_command *c = &h->items[i];
        if (names_no_account(c) && own != NULL) {
            c->build.account = own;
            c->account_found = ex->view->settings->aws.account == NULL;
        }
        known = known && !names_no_account(c);
    }
    return known;
}

/* ---- the commands: in the API thread ---- */

static void run_all(struct rb_exchange *ex, struct rb_store_session *ses)
{
    struct rb_hook_commands *h = ex->commands;
    for (unsigned i = 0; i < h->n; i++) {
        const struct rb_command_request q = {
            .source = ex->source->setting,
            .delivery = &h->delivery,
            .traceparent = h->traceparent,
            .tracestate = h->tracestate,
            .index = i,
            .command = &h->items[i],
            .facts = h->told[i] ? &h->facts[i] : NULL,
            .version = ex->httpd->deps.version,
        };
        struct rb_err err = {.code = RB_OK};
        enum rb_code rc =
            rb_command_run(ex->httpd->deps.engine, ses, &q, &ex->arena, &h->answers[i], &err);
        if (rc == RB_E_FULL) {
            rb_answer_problem(ex, 429, "too many retries are waiting; ask again later");
            return;
        }
        if (rc != RB_OK) {
            rb_answer_problem(ex, 503, "%s; ask again", rb_store_trouble(rc));
            return;
        }
    }
}

static enum rb_delivery_result result_of(enum rb_command_outcome o)
{
    switch (o) {
    case RB_COMMAND_DONE:
        return RB_RESULT_ACCEPTED;
    case RB_COMMAND_ALREADY:
        return RB_RESULT_DUPLICATE;
    case RB_COMMAND_REFUSED:
    case RB_COMMAND_DENIED:
    case RB_COMMAND_WRONG:
        return RB_RESULT_REFUSED;
    case RB_COMMAND_TOLD:
    case RB_COMMAND_IGNORED:
    default:
        return RB_RESULT_IGNORED;
    }
}

static bool outranks(enum rb_delivery_result a, enum rb_delivery_result b)
{
    static const int rank[RB_RESULT_COUNT] = {
        [RB_RESULT_ACCEPTED] = 3, [RB_RESULT_REFUSED] = 2, [RB_RESULT_DUPLICATE] = 1};
    return rank[a] > rank[b];
}

/* sum_up - one outcome of all commands: the most important gives word and retry; the texts follow
 * each other. */
static void sum_up(const struct rb_exchange *ex, struct rb_buf *text, struct rb_outcome *ret_o,
                   enum rb_delivery_result *ret_result)
{
    static const char *const words[RB_RESULT_COUNT] = {[RB_RESULT_ACCEPTED] = "accepted",
                                                       [RB_RESULT_DUPLICATE] = "duplicate",
                                                       [RB_RESULT_IGNORED] = "ignored",
                                                       [RB_RESULT_REFUSED] = "refused"};
    const struct rb_hook_commands *h = ex->commands;
    enum rb_delivery_result best = RB_RESULT_IGNORED;
    struct rb_outcome o = {.in_public = true};
    for (unsigned i = 0; i < h->n; i++) {
        const struct rb_command_answer *a = &h->answers[i];
        enum rb_delivery_result r = result_of(a->outcome);
        if (i == 0 || outranks(r, best)) {
            best = r;
            o.retry = a->retry[0] == '\0' ? NULL : a->retry;
        }
        if (!rb_str_empty(a->text)) {
            rb_buf_addf(text, "%s%s", text->len > 0 ? "\n\n" : "", a->text);
            o.in_public = o.in_public && a->in_public;
        }
    }
    o.word = words[best];
    o.status = best == RB_RESULT_ACCEPTED ? 202 : 200;
    o.message = rb_buf_str(text);
    o.reason = text->len > 0 ? o.message : NULL;
    o.in_public = o.in_public && text->len > 0;
    *ret_o = o;
    *ret_result = best;
}

static void answer_ours(struct rb_exchange *ex, const struct rb_outcome *o)
{
    rb_buf_addf(&ex->answer, "{\"status\":\"%s\"", o->word);
    if (o->retry != NULL) {
        rb_buf_addf(&ex->answer, ",\"retry\":\"%s\"", o->retry);
    }
    if (o->reason != NULL) {
        rb_buf_adds(&ex->answer, ",\"reason\":");
        rb_buf_add_json_string(&ex->answer, o->reason, strlen(o->reason));
    }
    rb_buf_adds(&ex->answer, "}\n");
    rb_answer_json(ex, o->status);
}

static void write_answer(struct rb_exchange *ex, const struct rb_outcome *o)
{
    if (ex->source->type->answer == NULL) {
        answer_ours(ex, o);
        return;
    }
    struct rb_request req;
    unsigned status = 200;
    const char *type = "application/json";
    rb_hook_request(ex, &req);
    if (ex->source->type->answer(ex->source->setting, &req, o, &ex->answer, &status, &type) !=
        RB_OK) {
        rb_buf_clear(&ex->answer);
        rb_answer_problem(ex, 500, "the answer could not be written");
    } else {
        rb_answer_json(ex, status);
        ex->content_type = type;
    }
}

static void finish(struct rb_exchange *ex)
{
    if (ex->status != 0) { /* trouble was answered by the job */
        rb_source_result(ex, ex->status == 429 ? RB_RESULT_OVERLOADED : RB_RESULT_UNAVAILABLE);
        return;
    }
    struct rb_buf text = RB_BUF_INIT(RB_TEXTS_MAX_BYTES);
    struct rb_outcome o;
    enum rb_delivery_result result = RB_RESULT_IGNORED;
    sum_up(ex, &text, &o, &result);
    rb_source_result(ex, result);
    write_answer(ex, &o);
    rb_buf_release(&text);
}

/* ---- what is said elsewhere, before the answer: a front-door thread posts it ---- */

bool rb_hook_commands_post(const struct rb_exchange *ex, const struct rb_push *p,
                           int64_t timeout_ms)
{
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    const struct rb_http_request req = {
        .method = p->method == NULL ? "POST" : p->method,
        .url = p->url,
        .headers = headers,
        .body = p->body,
        .body_len = strlen(p->body),
        .reach = RB_REACH_GUARDED,
        .connect_timeout_ms = timeout_ms,
        .timeout_ms = timeout_ms,
        .max_answer_bytes = 4096,
        .cancel = &ex->httpd->calls_cancel,
    };
    struct rb_http_answer answer = {.status = 0};
    struct rb_httpc *http = NULL;
    struct rb_err err = {.code = RB_OK};
    bool sent = false;
    enum rb_code rc = rb_httpc_new(ex->view->settings, &http, &err);
    rc = rc == RB_OK ? rb_httpc_call(http, &req, &answer, &sent, &err) : rc;
    bool told = rc == RB_OK && answer.status >= 200 && answer.status <= 299;
    if (!told) {
        rb_log(RB_LOG_WARN, "command.not_told", RB_F("source", ex->source->setting->name),
               RB_FI("status", answer.status), RB_F("error", rc == RB_OK ? NULL : err.msg));
    }
    rb_http_answer_release(&answer);
    rb_httpc_free(http);
    return told;
}

/* push_all - a failure is logged and no more: what was asked for is durable all the same. */
static void push_all(struct rb_exchange *ex, struct rb_codebuild *c)
{
    (void)c;
    struct rb_buf text = RB_BUF_INIT(RB_TEXTS_MAX_BYTES);
    struct rb_outcome o;
    struct rb_push p;
    enum rb_delivery_result result = RB_RESULT_IGNORED;
    sum_up(ex, &text, &o, &result);
    if (ex->source->type->push(&ex->commands->items[0], &o, &ex->arena, &p)) {
        (void)rb_hook_commands_post(ex, &p, RB_PUSH_TIMEOUT_MS);
    }
    rb_buf_release(&text);
}

const struct rb_command *rb_hook_commands_first(const struct rb_exchange *ex)
{
    return &ex->commands->items[0];
}

bool rb_hook_commands_late(struct rb_exchange *ex, struct rb_push *ret_p)
{
    const struct rb_hook_commands *h = ex->commands;
    struct rb_buf text = RB_BUF_INIT(RB_TEXTS_MAX_BYTES);
    struct rb_outcome o = {.status = ex->status};
    enum rb_delivery_result result = RB_RESULT_IGNORED;
    if (ex->status != 0) {
        o.message = ex->status == 429
                        ? "Too many retries are waiting; nothing was started. Ask again later."
                        : "The store did not answer, so it may not have been done. Ask again.";
        result = ex->status == 429 ? RB_RESULT_OVERLOADED : RB_RESULT_UNAVAILABLE;
    } else {
        sum_up(ex, &text, &o, &result);
    }
    rb_source_result(ex, result);
    bool tell = !h->pushed && ex->source->type->late(&h->items[0], &o, &ex->arena, ret_p);
    rb_buf_release(&text);
    return tell;
}

static bool stopping(struct rb_exchange *ex)
{
    return ex->httpd->admitter == NULL || atomic_load(&ex->httpd->stopping);
}

/* after_run - everything is durable; a git host or the sender's own URL is told, and then the
 * delivery is answered. */
static void after_run(struct rb_exchange *ex)
{
    struct rb_outcome o = {.status = 0};
    struct rb_push p;
    bool pushes = ex->status == 0 && ex->source->type->push != NULL;
    if (ex->status == 0 && ex->commands->asks_host && !stopping(ex)) {
        ex->finish = finish;
        rb_exchange_call(ex, show_host);
        return;
    }
    if (pushes) {
        struct rb_buf text = RB_BUF_INIT(RB_TEXTS_MAX_BYTES);
        enum rb_delivery_result result = RB_RESULT_IGNORED;
        sum_up(ex, &text, &o, &result);
        pushes = ex->source->type->push(&ex->commands->items[0], &o, &ex->arena, &p);
        rb_buf_release(&text);
    }
    if (pushes && rb_door_threads(ex->httpd, NULL) == RB_OK) {
        ex->commands->pushed = true;
        ex->finish = finish;
        rb_exchange_call(ex, push_all);
    } else {
        finish(ex);
    }
}

static void after_ask(struct rb_exchange *ex)
{
    if (ex->status == 0 && stopping(ex)) {
        rb_answer_problem(ex, 503, "the service is stopping; send it again");
    }
    if (ex->status != 0) {
        finish(ex);
        return;
    }
    ex->finish = after_run;
    rb_exchange_job(ex, run_all);
}

static bool asks_host(const struct rb_source_setting *s, const struct rb_hook_commands *h)
{
    for (unsigned i = 0; rb_forge_known(s->type) && i < h->n; i++) {
        if (rb_command_asks_host(s, &h->items[i]) || h->items[i].place.comment != NULL) {
            return true;
        }
    }
    return false;
}

void rb_hook_commands_start(struct rb_exchange *ex, const struct rb_events *events,
                            const struct rb_delivery *delivery)
{
    struct rb_hook_commands *h = rb_arena_alloc(&ex->arena, sizeof *h);
    if (h == NULL) {
        rb_source_result(ex, RB_RESULT_UNAVAILABLE);
        rb_answer_problem(ex, 503, "out of memory; send it again");
        return;
    }
    h->items = events->commands;
    h->n = events->n_commands < RB_MAX_COMMANDS ? events->n_commands : RB_MAX_COMMANDS;
    h->delivery = *delivery;
    rb_exchange_trace(ex, &h->traceparent, &h->tracestate);
    ex->commands = h;
    h->asks_host = asks_host(ex->source->setting, h);
    if (!h->asks_host) {
        ex->finish = after_run;
        ex->job = run_all;
        if (!knows_whose(ex) && rb_finder_room(ex)) {
            h->until_boot_ms = rb_whose_until(ex);
            rb_exchange_call(ex, ask_whose);
        } else {
            rb_exchange_job(ex, run_all);
        }
        rb_defer_watch(ex);
    } else if (rb_finder_enter(ex, &h->until_boot_ms)) {
        ex->finish = after_ask;
        rb_exchange_call(ex, ask_host);
    }
}

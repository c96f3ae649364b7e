/* command_retry.c - commands that change something: retry, and what a person may do with a retry.
 *
 * Every request carries a token made of the delivery's key, the command's place in it and the
 * build: a delivery that comes twice asks twice for the same thing and gets the same retry.
 */
#include "command_internal.h"

#include <retrybuild/digest.h>

#define RB_ORDER_BUILDS_MAX 16

/* request_key - what the sender repeats. A git host's delivery id stands in a header, which no
 * signature covers; a comment's own id does not change, however often the comment is sent again,
 * and neither do the bytes of a button's delivery. */
static const char *request_key(const struct rb_order *o)
{
    const struct rb_place *p = &o->c->place;
    if (p->repository != NULL && p->comment != NULL) {
        return rb_arena_printf(o->a, "%s %s %s %d", p->repository,
                               p->comment_kind == NULL ? "" : p->comment_kind, p->comment,
                               o->c->force ? 1 : 0);
    }
    const struct rb_delivery *d = o->q->delivery;
    return d->proved != NULL ? d->proved : d->key;
}

static const char *order_token(const struct rb_order *o, const struct rb_build *b)
{
    const char *key = request_key(o);
    const struct rb_slice parts[] = {
        rb_slice_str(o->q->source->name), rb_slice_str(key == NULL ? "" : key),
        rb_slice_str(rb_arena_printf(o->a, "%u", o->q->index)), rb_slice_str(b->id)};
    uint8_t digest[RB_SHA256_BYTES];
    char hex[RB_SHA256_HEX_BYTES];
    rb_sha256_parts(parts, RB_ARRAY_LEN(parts), digest);
    rb_hex(digest, sizeof digest, hex);
    return rb_arena_strdup(o->a, hex);
}

/* admit - one more round where the build turned out to be the child of a retry that has ended:
 * then it is the next attempt of its chain. */
static enum rb_code admit(struct rb_order *o, struct rb_admission *a)
{
    int64_t now_ms = rb_engine_now_ms(o->e);
    enum rb_code rc = rb_store_admit(o->ses, &a, 1, now_ms, o->err);
    rc = rc == RB_OK ? a->rc : rc;
    if (rc != RB_OK || a->result != RB_ADMIT_CHILD) {
        return rc;
    }
    RB_CLEANUP(rb_retry_freep) struct rb_retry *parent = NULL;
    rc = rb_store_get(o->ses, a->retry_id, &parent, o->err);
    if (rc != RB_OK || !rb_state_terminal(parent->state)) {
        return rc;
    }
    rb_engine_person_continue(a, parent);
    rc = rb_store_admit(o->ses, &a, 1, now_ms, o->err);
    return rc == RB_OK ? a->rc : rc;
}

static void say_line_start(struct rb_order *o)
{
    rb_buf_adds(&o->text, o->text.len > 0 ? "\n" : "");
}

static void note_retry(struct rb_order *o, const char *id, enum rb_command_outcome outcome)
{
    struct rb_command_answer *answer = o->answer;
    if (answer->retry[0] == '\0' || (outcome == RB_COMMAND_DONE && answer->outcome != outcome)) {
        memcpy(answer->retry, id, sizeof answer->retry);
    }
    bool better = outcome == RB_COMMAND_DONE ||
                  (outcome == RB_COMMAND_ALREADY && answer->outcome != RB_COMMAND_DONE);
    answer->outcome = better ? outcome : answer->outcome;
    answer->in_public = answer->in_public || outcome == RB_COMMAND_DONE;
}

/* tell_admitted - what became of the request. @known: what a rule allows this chain, 0 = unknown.
 */
static enum rb_code tell_admitted(struct rb_order *o, const struct rb_admission *a, int64_t known)
{
    RB_CLEANUP(rb_retry_freep) struct rb_retry *r = NULL;
    enum rb_code rc = rb_store_get(o->ses, a->retry_id, &r, o->err);
    if (rc != RB_OK) {
        return rc;
    }
    bool fresh = a->result == RB_ADMIT_NEW;
    say_line_start(o);
    rb_buf_addf(&o->text, "%s `%s` (project %s), ",
                fresh ? o->c->force ? "Retrying by force" : "Retrying" : "Already retrying",
                r->build.id, r->build.project);
    int64_t most = r->limit > known ? r->limit : known;
    int64_t budget = o->rt->settings->budgets.per_chain;
    most = most > 0 ? most : budget;
    most = most > r->attempt ? most : r->attempt;
    rb_buf_addf(&o->text, "attempt %lld of %lld: ", (long long)r->attempt, (long long)most);
    rb_build_add_link(r->has_child ? &r->child : &r->build, &o->text);
    rb_buf_addf(&o->text, " (%s, %s)", r->id, rb_state_name(r->state));
    note_retry(o, r->id, fresh ? RB_COMMAND_DONE : RB_COMMAND_ALREADY);
    if (fresh) {
        rb_engine_wake(o->e, RB_TASK_INSPECT);
    }
    return RB_OK;
}

/* request - ask for @b to run again. */
static enum rb_code request(struct rb_order *o, const struct rb_build *b, int64_t known)
{
    const struct rb_settings *s = o->rt->settings;
    struct rb_build build = *b;

    build.region = build.region != NULL   ? build.region
                   : o->c->region != NULL ? o->c->region
                                          : s->aws.region;
    build.account = build.account != NULL ? build.account : rb_settings_own_account(s);
    if (o->c->dry_run) {
        say_line_start(o);
        rb_buf_addf(&o->text, "Would retry `%s` (project %s): ", build.id, build.project);
        rb_build_add_link(&build, &o->text);
        return RB_OK;
    }
    const struct rb_person_request p = {
        .build = &build,
        .account_found = b == &o->c->build && o->c->account_found,
        .token = order_token(o, &build),
        .caller = o->actor,
        .reason = o->c->reason,
        .channel = o->c->place.channel,
        .reply = o->c->reply,
        .force = o->c->force,
        .traceparent = o->q->traceparent,
        .tracestate = o->q->tracestate,
        .delivery = *o->q->delivery,
    };
    RB_CLEANUP(rb_engine_admission_freep) struct rb_admission *a = NULL;
    enum rb_code rc = rb_engine_person_new(o->e, &p, &a, o->err);
    rc = rc == RB_OK ? admit(o, a) : rc;
    return rc == RB_OK ? tell_admitted(o, a, known) : rc;
}

/* held - whoever asks for what is held and may approve it has approved it. */
static enum rb_code held(struct rb_order *o, const struct rb_retry *r)
{
    say_line_start(o);
    if (!rb_order_may(o, RB_COMMAND_APPROVE, r->build.project)) {
        rb_buf_addf(&o->text, "`%s` waits for approval; who may approve says: approve %s",
                    r->build.id, r->id);
        note_retry(o, r->id, RB_COMMAND_ALREADY);
        return RB_OK;
    }
    if (o->c->dry_run) {
        rb_buf_addf(&o->text, "Would approve %s of `%s`.", r->id, r->build.id);
        return RB_OK;
    }
    RB_CLEANUP(rb_retry_freep) struct rb_retry *now = NULL;
    enum rb_code rc = rb_engine_act(o->e, o->ses, r->id, RB_VERB_APPROVE, o->actor, &now, o->err);
    if (rc == RB_E_CONFLICT) {
        rb_buf_adds(&o->text, o->err->msg);
        return RB_OK;
    }
    if (rc == RB_OK) {
        rb_buf_adds(&o->text, "Approved: ");
        rb_order_line(now, &o->text);
        note_retry(o, now->id, RB_COMMAND_DONE);
    }
    return rc;
}

static enum rb_code retry_found(struct rb_order *o, const struct rb_retry *r)
{
    bool child_failed =
        r->has_child && (r->state == RB_STATE_FAILED_AGAIN || rb_build_failed(&r->child));
    if (o->c->batch && r->build.batch_arn == NULL) {
        say_line_start(o);
        rb_buf_addf(&o->text, "`%s` is not part of a batch; without --batch it is retried alone.",
                    r->build.id);
        return RB_OK;
    }
    if (r->state == RB_STATE_HELD && !o->c->force) {
        return held(o, r);
    }
    if (r->state == RB_STATE_RECOVERED && !o->c->force) {
        if (o->c->target != RB_TARGET_PULL && o->c->target != RB_TARGET_FAILED && !o->several) {
            say_line_start(o);
            rb_buf_adds(&o->text, "Not failed: ");
            rb_order_line(r, &o->text);
            rb_buf_adds(&o->text, ". --force runs it all the same.");
            note_retry(o, r->id, RB_COMMAND_REFUSED);
        }
        return RB_OK;
    }
    return request(o, child_failed ? &r->child : &r->build, r->limit);
}

static bool is_known(const struct rb_order *o, const struct rb_build *b)
{
    for (unsigned i = 0; i < o->n_found; i++) {
        if (rb_str_eq(o->found[i]->build.id, b->id) ||
            (o->found[i]->has_child && rb_str_eq(o->found[i]->child.id, b->id))) {
            return true;
        }
    }
    return false;
}

/* shown_by_host - builds that failed by the host's account, and of which no delivery came. */
static enum rb_code shown_by_host(struct rb_order *o)
{
    const struct rb_command_facts *f = o->q->facts;
    enum rb_target_kind t = o->c->target;
    enum rb_code rc = RB_OK;

    for (unsigned i = 0; f != NULL && rc == RB_OK && i < f->n_builds && i < RB_ORDER_BUILDS_MAX;
         i++) {
        const struct rb_build *b = &f->builds[i];
        bool named = t == RB_TARGET_BUILD && rb_str_eq(b->id, o->c->build.id);
        bool project = t == RB_TARGET_PROJECT && rb_str_eq(b->project, o->c->target_text);
        bool all = t == RB_TARGET_LAST || t == RB_TARGET_FAILED;
        if (is_known(o, b) || (!named && !project && !all)) {
            continue;
        }
        if (!rb_order_may(o, RB_COMMAND_RETRY, b->project)) {
            o->hidden = true;
            continue;
        }
        rc = request(o, b, 0);
    }
    return rc;
}

/* unknown_build - a chat may name any build; CodeBuild tells whether there is one. */
static enum rb_code unknown_build(struct rb_order *o)
{
    const struct rb_command *c = o->c;
    if (!rb_order_may(o, c->verb, c->build.project)) {
        o->hidden = true;
        return RB_OK;
    }
    if (c->batch) {
        rb_buf_adds(&o->text, "No batch is known for this build; --batch goes with a build of a "
                              "batch that failed.");
        return RB_OK;
    }
    return request(o, &c->build, 0);
}

enum rb_code rb_order_retry(struct rb_order *o)
{
    enum rb_code rc = rb_order_find(o);

    o->answer->outcome = RB_COMMAND_REFUSED;
    for (unsigned i = 0; rc == RB_OK && i < o->n_found; i++) {
        rc = retry_found(o, o->found[i]);
    }
    rc = rc == RB_OK ? shown_by_host(o) : rc;
    if (rc == RB_OK && o->text.len == 0 && o->n_found == 0 && o->c->target == RB_TARGET_BUILD &&
        o->c->place.repository == NULL) {
        rc = unknown_build(o);
    }
    if (rc == RB_OK && o->c->dry_run && o->text.len > 0) {
        o->answer->outcome = RB_COMMAND_TOLD;
    }
    return rc;
}

enum rb_code rb_order_act(struct rb_order *o, enum rb_verb verb)
{
    static const char *const done[] = {[RB_VERB_CANCEL] = "Cancelled",
                                       [RB_VERB_APPROVE] = "Approved",
                                       [RB_VERB_DENY] = "Denied",
                                       [RB_VERB_REQUEUE] = "Requeued"};
    enum rb_code rc = rb_order_find(o);

    o->answer->outcome = RB_COMMAND_REFUSED;
    for (unsigned i = 0; rc == RB_OK && i < o->n_found; i++) {
        RB_CLEANUP(rb_retry_freep) struct rb_retry *now = NULL;
        struct rb_err why = {.code = RB_OK};
        const char *id = o->found[i]->id;
        rc = rb_engine_act(o->e, o->ses, id, verb, o->actor, &now, &why);
        say_line_start(o);
        if (rc == RB_OK) {
            rb_buf_addf(&o->text, "%s: ", done[verb]);
            rb_order_line(now, &o->text);
            note_retry(o, id, RB_COMMAND_DONE);
        } else if (rc == RB_E_CONFLICT) {
            rb_buf_addf(&o->text, "Not possible: %s.", why.msg);
            note_retry(o, id, RB_COMMAND_REFUSED);
            rc = RB_OK;
        } else if (o->err != NULL) {
            *o->err = why;
        }
    }
    return rc;
}

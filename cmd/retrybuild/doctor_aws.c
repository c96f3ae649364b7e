/* doctor_aws.c - who we are at AWS, by which credentials, where, and by which clock. */
#include <stdio.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/examine.h>

#include "doctor.h"

#define ARENA_MAX_BYTES ((size_t)4 * 1024 * 1024)
#define OFFSET_WRONG_MS 30000
#define EXPIRY_NEAR_MS (15 * 60 * 1000)

struct aws_look {
    struct rb_doctor *d;
    struct rb_settings *s;
    struct rb_aws *aws;
    struct rb_codebuild *client;
    struct rb_arena arena;
};

static void look_release(struct aws_look *l)
{
    rb_codebuild_free(l->client);
    rb_aws_free(l->aws);
    rb_arena_release(&l->arena);
}

/* ---- credentials ---- */

static void list_tries(struct aws_look *l)
{
    struct rb_provider_try *tries = NULL;
    unsigned n = 0;
    struct rb_err err = {.code = RB_OK};
    bool gave = false, failed = false;

    enum rb_code rc = rb_aws_try_providers(l->aws, &l->arena, &tries, &n, &err);
    for (unsigned i = 0; i < n; i++) {
        static const char *const words[] = {[RB_TRY_GAVE] = "gave",
                                            [RB_TRY_PASSED_OVER] = "passed over",
                                            [RB_TRY_FAILED] = "failed",
                                            [RB_TRY_NOT_ASKED] = "not asked"};
        bool bad = tries[i].outcome == RB_TRY_FAILED;
        json_t *row = rb_doctor_add(l->d, bad ? RB_ATTENTION : RB_FINE, "credentials",
                                    tries[i].provider, "%s%s%s", words[tries[i].outcome],
                                    tries[i].why[0] == '\0' ? "" : ": ", tries[i].why);
        rb_doctor_fact(row, "outcome", words[tries[i].outcome]);
        if (bad) {
            rb_doctor_advise(row, "put it right or take its settings away: a provider that is "
                                  "configured and fails is not passed over");
        }
        gave = gave || tries[i].outcome == RB_TRY_GAVE;
        failed = failed || bad;
    }
    if (rc != RB_OK && !gave && !failed) {
        json_t *row = rb_doctor_add(l->d, RB_ATTENTION, "credentials", "none",
                                    "no provider has credentials for AWS");
        rb_doctor_advise(row, "give the service a role (instance, task, web identity), a profile, "
                              "or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
    }
}

static void add_identity(struct aws_look *l, const char *name, const struct rb_aws_identity *i,
                         enum rb_code rc, const struct rb_err *err)
{
    int64_t left_ms = i->expires_ms - rb_aws_now_ms(l->aws);
    bool near = i->expires_ms != 0 && left_ms < EXPIRY_NEAR_MS;
    json_t *row = NULL;

    if (rc != RB_OK) {
        row = rb_doctor_add(l->d, RB_ATTENTION, "identity", name, "%s", err->msg);
        rb_doctor_advise(row, i->provider == NULL
                                  ? "see the credentials above, and the role's trust policy"
                                  : "see that STS can be reached and that the key is still valid");
    } else {
        row = rb_doctor_add(l->d, near ? RB_NOTICE : RB_FINE, "identity", name,
                            "%s, key %s by %s (%s)%s", i->arn, i->access_key, i->provider,
                            i->source == NULL || i->source[0] == '\0' ? "-" : i->source,
                            near ? ", which expires within 15 minutes" : "");
    }
    rb_doctor_fact(row, "provider", i->provider);
    rb_doctor_fact(row, "source", i->source);
    rb_doctor_fact(row, "access_key", i->access_key);
    rb_doctor_time(row, "expires_at", i->expires_ms);
    rb_doctor_fact(row, "account", i->account);
    rb_doctor_fact(row, "arn", i->arn);
}

/* ---- where ---- */

static void list_endpoints(struct aws_look *l)
{
    static const char *const services[] = {"codebuild", "logs", "sts"};
    const char *region = l->s->aws.region;

    const char *from = l->s->aws.region_from;
    json_t *said =
        rb_doctor_add(l->d, from == NULL ? RB_NOTICE : RB_FINE, "endpoints", "region", "%s, by %s",
                      region, from == NULL ? "default: nobody says one" : from);
    rb_doctor_fact(said, "region", region);
    rb_doctor_fact(said, "from", from);
    for (size_t i = 0; i < RB_ARRAY_LEN(services); i++) {
        struct rb_err err = {.code = RB_OK};
        const char *url = NULL;
        if (rb_aws_endpoint(l->aws, services[i], region, &l->arena, &url, &err) == RB_OK) {
            rb_doctor_fact(rb_doctor_add(l->d, RB_FINE, "endpoints", services[i], "%s", url), "url",
                           url);
        } else {
            json_t *row =
                rb_doctor_add(l->d, RB_ATTENTION, "endpoints", services[i], "%s", err.msg);
            rb_doctor_advise(row, "write a region of AWS into aws.region");
        }
    }
}

static void look_at_clock(struct aws_look *l)
{
    int64_t offset_ms = rb_aws_offset_ms(l->aws);
    bool known = rb_aws_offset_known(l->aws);
    bool wrong = known && (offset_ms > OFFSET_WRONG_MS || offset_ms < -OFFSET_WRONG_MS);
    json_t *row = NULL;

    if (!known) {
        row = rb_doctor_add(l->d, RB_NOTICE, "clock", "offset",
                            "not measured: CodeBuild has not answered");
    } else {
        row = rb_doctor_add(l->d, wrong ? RB_ATTENTION : RB_FINE, "clock", "offset",
                            "AWS's clock minus ours: %.1f s", (double)offset_ms / 1000.0);
        if (row != NULL) {
            (void)json_object_set_new(row, "offset_ms", json_integer(offset_ms));
        }
    }
    if (wrong) {
        rb_doctor_advise(row, "let a time service (chrony, systemd-timesyncd) keep this clock: by "
                              "more than 30 s off, nothing is submitted until it is corrected");
    }
}

/* ---- accounts ---- */

static void look_at_own(struct aws_look *l)
{
    struct rb_aws_identity who;
    struct rb_err err = {.code = RB_OK};

    enum rb_code rc = rb_aws_identity(l->aws, NULL, l->s->aws.region, &l->arena, &who, &err);
    add_identity(l, "own account", &who, rc, &err);
    const char *said = l->s->aws.account;
    if (rc == RB_OK && said != NULL && who.account != NULL && !rb_str_eq(said, who.account)) {
        json_t *row = rb_doctor_add(l->d, RB_ATTENTION, "identity", "aws.account",
                                    "the configuration says %s, the credentials are of %s", said,
                                    who.account);
        rb_doctor_advise(row, "correct aws.account or the credentials: builds of the other account "
                              "are refused");
    }
    if (who.provider == NULL) {
        (void)rb_doctor_add(l->d, RB_NOTICE, "permissions", "own account",
                            "not tried: there are no credentials");
        return;
    }
    (void)rb_doctor_permissions(l->d, l->s, l->client, NULL, l->s->aws.region, who.arn);
}

static void look_at_account(struct aws_look *l, const struct rb_account_setting *a)
{
    const struct rb_strings own_region = {.items = &l->s->aws.region, .n = 1};
    const struct rb_strings *regions = a->regions.n > 0 ? &a->regions : &own_region;
    struct rb_aws_identity who;
    struct rb_err err = {.code = RB_OK};
    char name[64];

    snprintf(name, sizeof(name), "account %s", a->id);
    enum rb_code rc = rb_aws_identity(l->aws, a->id, regions->items[0], &l->arena, &who, &err);
    add_identity(l, name, &who, rc, &err);
    if (rc == RB_OK && who.account != NULL && !rb_str_eq(a->id, who.account)) {
        json_t *row = rb_doctor_add(l->d, RB_ATTENTION, "identity", name,
                                    "its role_arn is one of account %s", who.account);
        rb_doctor_advise(row, "correct id or role_arn of this row of aws.accounts");
    }
    if (who.provider == NULL) {
        (void)rb_doctor_add(l->d, RB_NOTICE, "permissions", name,
                            "not tried: its role cannot be assumed");
        return;
    }
    for (unsigned i = 0; i < regions->n; i++) {
        (void)rb_doctor_permissions(l->d, l->s, l->client, a->id, regions->items[i], who.arn);
    }
}

void rb_doctor_aws(struct rb_doctor *d, struct rb_settings *s)
{
    RB_CLEANUP(look_release) struct aws_look l = {.d = d, .s = s};
    struct rb_err err = {.code = RB_OK};

    rb_arena_init(&l.arena, ARENA_MAX_BYTES);
    rb_aws_settle_region(s, rb_clock_system());
    enum rb_code rc = rb_aws_new(s, rb_clock_system(), &l.aws, &err);
    if (rc == RB_OK) {
        rc = rb_codebuild_new(l.aws, s, &l.client, &err);
    }
    if (rc != RB_OK) {
        (void)rb_doctor_add(d, RB_ATTENTION, "credentials", "client", "%s", err.msg);
        return;
    }
    list_tries(&l);
    list_endpoints(&l);
    look_at_own(&l);
    for (unsigned i = 0; i < s->aws.n_accounts; i++) {
        look_at_account(&l, &s->aws.accounts[i]);
    }
    look_at_clock(&l);
}

/* rules_json.c - GET /v1/rules: the rules in force, in the order in which they are tried, with how
 * often each matched and what came of its retries; then what the ledger still knows of rules that
 * are gone. */
#include "internal.h"

#include <string.h>

#include "policy/rules.h"
#include "sheets.h"

#define ARENA_BYTES ((size_t)4 * 1024 * 1024)

struct listing {
    const struct rb_rules_sheet *ledger;
    const struct rb_uses_sheet *uses;
    struct rb_buf *out;
    unsigned n;
    const char *listed[RB_RULE_ROWS * 4]; /* names, so that none stands there twice */
};

static bool is_listed(const struct listing *l, const char *name)
{
    for (unsigned i = 0; i < l->n; i++) {
        if (strcmp(l->listed[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* add - @origin: "configured", "built-in", "gone". @limit < 0: not known. */
static void add(struct listing *l, const char *name, const char *origin, const char *then,
                int64_t limit)
{
    static const struct rb_rule_row none = {.name = ""};
    const struct rb_rule_row *row = &none;
    if (l->n == RB_ARRAY_LEN(l->listed) || is_listed(l, name)) {
        return;
    }
    for (unsigned i = 0; i < l->ledger->n; i++) {
        row = strcmp(l->ledger->rows[i].name, name) == 0 ? &l->ledger->rows[i] : row;
    }
    rb_buf_adds(l->out, l->n == 0 ? "{" : ",{");
    rb_buf_add_json_member(l->out, "rule", name);
    rb_buf_addc(l->out, ',');
    rb_buf_add_json_member(l->out, "origin", origin);
    rb_buf_addc(l->out, ',');
    rb_buf_add_json_member(l->out, "then", then);
    rb_buf_adds(l->out, ",\"limit\":");
    if (limit < 0) {
        rb_buf_adds(l->out, "null");
    } else {
        rb_buf_addf(l->out, "%lld", (long long)limit);
    }
    rb_buf_addf(l->out,
                ",\"retries\":%lld,\"recovered\":%lld,\"wasted\":%lld,\"shadowed\":%lld,"
                "\"shadow_recovered\":%lld",
                (long long)row->tried, (long long)row->recovered,
                (long long)(row->tried - row->recovered), (long long)row->shadowed,
                (long long)row->shadow_recovered);
    rb_engine_uses_json(l->uses, name, l->out);
    rb_buf_addc(l->out, '}');
    l->listed[l->n++] = name;
}

static void write_rules(struct listing *l, const struct rb_settings *s)
{
    rb_buf_adds(l->out, "{\"rules\":[");
    for (unsigned i = 0; i < s->n_rules; i++) {
        const struct rb_rule_setting *r = &s->rules[i];
        add(l, rb_name_or_dash(r->name), "configured", rb_action_name(r->then), r->limit);
    }
    for (unsigned i = 0; s->builtin_rules && i < rb_policy_n_builtins; i++) {
        const struct builtin *b = &rb_policy_builtins[i];
        add(l, b->name, "built-in", rb_action_name(b->then), b->limit);
    }
    for (unsigned i = 0; i < l->uses->n; i++) {
        add(l, l->uses->rows[i].name, "other", NULL, -1);
    }
    for (unsigned i = 0; i < l->ledger->n; i++) {
        add(l, l->ledger->rows[i].name, "other", NULL, -1);
    }
    rb_buf_adds(l->out, "]}\n");
}

enum rb_code rb_engine_rules(struct rb_engine *e, struct rb_store_session *ses, struct rb_buf *out,
                             struct rb_err *err)
{
    RB_CLEANUP(rb_runtime_unrefp) struct rb_runtime *rt = rb_runtime_get(e);
    RB_CLEANUP(rb_arena_release) struct rb_arena a;
    struct rb_uses_sheet *uses = NULL;
    struct rb_rules_sheet ledger;
    struct rb_set set;

    rb_arena_init(&a, ARENA_BYTES);
    rb_set_init(&set, &a);
    (void)rb_set_add(&set, RB_SHEET_RULES, &ledger, "r");
    enum rb_code rc = rb_set_read(&set, ses, rb_engine_now_ms(e), err);
    rc = rc == RB_OK ? rb_engine_uses_read(e, ses, RB_USE_RULE, &uses, err) : rc;
    if (rc == RB_OK) {
        struct listing l = {.ledger = &ledger, .uses = uses, .out = out};
        write_rules(&l, rt->settings);
    }
    rb_engine_uses_free(uses);
    return rc;
}

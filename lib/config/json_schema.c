/* json_schema.c - the schema's rows as JSON Schema 2020-12, for editors and other tools.
 *
 * It says what a single key may be. What needs more than one key (windows that must be shorter than
 * others, keys that a type does not know, files that must be there) is check-config's to tell.
 * Numbers and words may come from variables, so every scalar may hold "${".
 */
#include <retrybuild/cleanup.h>
#include <retrybuild/config.h>
#include <retrybuild/model.h>

#include "schema.h"

#define VARIABLE "{\"type\":\"string\",\"pattern\":\"[$][{]\"}"
#define SCALAR "\"type\":[\"string\",\"number\",\"boolean\"]"
#define DURATION "{\"type\":\"string\",\"pattern\":\"^[0-9]+(ms|s|m|h|d)$|[$][{]\"}"
#define SECRET_ENTRY                                                                         \
    "{\"type\":\"object\",\"additionalProperties\":false,\"minProperties\":1,"               \
    "\"properties\":{\"value\":{" SCALAR "},\"file\":{\"type\":\"string\"},"                 \
    "\"env\":{\"type\":\"string\"},\"not_after\":{\"type\":\"string\"}},"                    \
    "\"oneOf\":[{\"required\":[\"value\"]},{\"required\":[\"file\"]},{\"required\":[\"env\"" \
    "]}]}"

static void add_rows(const struct rb_key *keys, size_t n, struct rb_buf *out);

static void add_text(struct rb_buf *out, const char *s)
{
    rb_buf_add_json_string(out, s, strlen(s));
}

static void add_number(const struct rb_key *k, struct rb_buf *out)
{
    rb_buf_addf(out, "\"anyOf\":[{\"type\":\"null\"}," VARIABLE ",{\"type\":\"%s\"",
                k->type == RB_KEY_INT ? "integer" : "number");
    if (k->max > 0) {
        rb_buf_addf(out, ",\"minimum\":%lld,\"maximum\":%lld", (long long)k->min,
                    (long long)k->max);
    } else if (k->type == RB_KEY_INT) {
        rb_buf_addf(out, ",\"minimum\":%lld", (long long)k->min);
    } else {
        rb_buf_adds(out, ",\"exclusiveMinimum\":0");
    }
    rb_buf_adds(out, "},{\"type\":\"string\",\"pattern\":\"^[0-9]\"}]");
}

static void add_words(const struct rb_key *k, struct rb_buf *out)
{
    rb_buf_adds(out, "\"anyOf\":[" VARIABLE ",{\"enum\":[null");
    for (size_t i = 0; k->words[i] != NULL; i++) {
        if (strcmp(k->words[i], "true") == 0 || strcmp(k->words[i], "false") == 0) {
            rb_buf_addf(out, ",%s", k->words[i]); /* as YAML reads it without quotes */
        }
        if (k->words[i][0] != '\0') {
            rb_buf_addc(out, ',');
            add_text(out, k->words[i]);
        }
    }
    rb_buf_adds(out, "]}]");
}

static void add_stages(struct rb_buf *out)
{
    rb_buf_adds(out, "\"anyOf\":[{\"type\":\"null\"}," VARIABLE
                     ",{\"$ref\":\"#/$defs/stage\"},{\"type\":\"array\",\"items\":{\"anyOf\":["
                     "{\"$ref\":\"#/$defs/stage\"}," VARIABLE "]}}]");
}

/* add_type - the members that say what a value of the row may be. */
static void add_type(const struct rb_key *k, struct rb_buf *out)
{
    switch (k->type) {
    case RB_KEY_TEXT:
    case RB_KEY_PATH:
    case RB_KEY_SECRET:
        rb_buf_adds(out, "\"type\":[\"string\",\"number\",\"boolean\",\"null\"]");
        break;
    case RB_KEY_SECRETS:
        rb_buf_adds(out, "\"type\":[\"array\",\"null\"],\"items\":" SECRET_ENTRY);
        break;
    case RB_KEY_DURATION:
        rb_buf_adds(out, "\"anyOf\":[{\"type\":\"null\"}," DURATION "]");
        break;
    case RB_KEY_SIZE:
        rb_buf_adds(out, "\"anyOf\":[{\"type\":\"null\"},{\"type\":\"integer\",\"minimum\":0},"
                         "{\"type\":\"string\",\"pattern\":\"^[0-9]+(B|KiB|MiB|GiB)?$|[$][{]\"}]");
        break;
    case RB_KEY_INT:
    case RB_KEY_NUMBER:
        add_number(k, out);
        break;
    case RB_KEY_BOOL:
        rb_buf_adds(out, "\"enum\":[true,false,\"true\",\"false\",null]");
        break;
    case RB_KEY_WORD:
        add_words(k, out);
        break;
    case RB_KEY_TEXTS:
        rb_buf_adds(out, "\"type\":[\"string\",\"number\",\"boolean\",\"array\",\"null\"],"
                         "\"items\":{" SCALAR "}");
        break;
    case RB_KEY_DELAY:
        rb_buf_adds(out, "\"anyOf\":[{\"type\":\"null\"},{\"$ref\":\"#/$defs/delay\"}]");
        break;
    case RB_KEY_DURATIONS:
        rb_buf_addf(out,
                    "\"type\":[\"array\",\"null\"],\"minItems\":1,\"maxItems\":%d,\"items\":"
                    "{\"$ref\":\"#/$defs/duration\"}",
                    RB_DELAY_LIST_MAX);
        break;
    case RB_KEY_STAGES:
        add_stages(out);
        break;
    case RB_KEY_MAP:
        rb_buf_adds(out, "\"type\":[\"object\",\"null\"],\"additionalProperties\":false,"
                         "\"properties\":{");
        add_rows(k->children, k->n_children, out);
        rb_buf_addc(out, '}');
        break;
    case RB_KEY_LIST:
        rb_buf_adds(out, "\"type\":[\"array\",\"null\"],\"items\":{\"type\":\"object\","
                         "\"additionalProperties\":false,\"properties\":{");
        add_rows(k->children, k->n_children, out);
        rb_buf_adds(out, "}}");
        break;
    }
}

static void add_row(const struct rb_key *k, const char *form, struct rb_buf *out)
{
    rb_buf_addf(out, "\"%s%s\":{", k->name, form);
    add_type(k, out);
    rb_buf_adds(out, ",\"description\":");
    add_text(out, k->help);
    if (k->fallback != NULL && form[0] == '\0') {
        rb_buf_adds(out, ",\"x-default\":");
        add_text(out, k->fallback);
    }
    rb_buf_addf(out, ",\"x-reloadable\":%s}", k->reloadable ? "true" : "false");
}

static void add_rows(const struct rb_key *keys, size_t n, struct rb_buf *out)
{
    for (size_t i = 0; i < n; i++) {
        rb_buf_adds(out, i == 0 ? "" : ",");
        add_row(&keys[i], "", out);
        if (keys[i].type == RB_KEY_SECRET) {
            rb_buf_addc(out, ',');
            add_row(&keys[i], "_file", out);
            rb_buf_addc(out, ',');
            add_row(&keys[i], "_env", out);
        }
    }
}

void rb_config_json_schema(struct rb_buf *out)
{
    rb_buf_adds(out, "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\","
                     "\"title\":\"retrybuild.yaml\",\"type\":[\"object\",\"null\"],"
                     "\"additionalProperties\":false,\"properties\":{");
    add_rows(rb_schema, rb_schema_len, out);
    rb_buf_adds(out, "},\"$defs\":{\"duration\":" DURATION ",\"stage\":{\"enum\":[");
    for (int s = 0; s < RB_STAGE_COUNT; s++) {
        rb_buf_addf(out, "%s\"%s\"", s == 0 ? "" : ",", rb_stage_name((enum rb_stage)s));
    }
    rb_buf_addf(out,
                "]},\"delay\":{\"type\":\"object\",\"additionalProperties\":false,"
                "\"minProperties\":1,\"properties\":{\"base\":{\"$ref\":\"#/$defs/duration\"},"
                "\"cap\":{\"$ref\":\"#/$defs/duration\"},\"fixed\":{\"$ref\":\"#/$defs/duration\"},"
                "\"list\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":%d,\"items\":{\"$ref\":"
                "\"#/$defs/duration\"}}},\"dependentSchemas\":{\"fixed\":{\"maxProperties\":1},"
                "\"list\":{\"maxProperties\":1}}}}}\n",
                RB_DELAY_LIST_MAX);
}

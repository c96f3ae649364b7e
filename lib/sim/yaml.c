/* yaml.c - one YAML document as JSON, by libyaml's document API. Aliases are followed with a bound
 * on the depth and on the number of values, so that a document cannot grow by referring to itself.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>
#include <retrybuild/str.h>

#include "script.h"

#define MAX_DEPTH 32
#define MAX_VALUES 100000

struct walk {
    yaml_document_t *doc;
    size_t values;
    struct rb_err *err;
};

static enum rb_code convert(struct walk *w, int index, int depth, json_t **ret_json);

static enum rb_code at(struct walk *w, const yaml_node_t *node, const char *what)
{
    return rb_err_set(w->err, RB_E_INVALID, "line %zu: %s", node->start_mark.line + 1, what);
}

static json_t *plain_scalar(const char *s, size_t len)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
    for (size_t i = 0; i < RB_ARRAY_LEN(nulls); i++) {
        if (strcmp(s, nulls[i]) == 0) {
            return json_null();
        }
    }
    if (strcmp(s, "true") == 0 || strcmp(s, "false") == 0) {
        return json_boolean(s[0] == 't');
    }
    int64_t n = 0;
    bool octal_like = len > 1 && s[0] == '0';
    if (!octal_like && rb_parse_i64(rb_slice_str(s), &n)) {
        return json_integer(n);
    }
    if (strspn(s, "0123456789.-") == len && strchr(s, '.') != NULL) {
        char *end = NULL;
        errno = 0;
        double d = strtod(s, &end);
        if (errno == 0 && *end == '\0') {
            return json_real(d);
        }
    }
    return json_stringn(s, len);
}

static enum rb_code convert_mapping(struct walk *w, const yaml_node_t *node, int depth,
                                    json_t **ret_json)
{
    RB_CLEANUP(rb_json_decrefp) json_t *out = json_object();
    const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
    for (; pair < node->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = yaml_document_get_node(w->doc, pair->key);
        if (key == NULL || key->type != YAML_SCALAR_NODE) {
            return at(w, node, "a key must be plain text");
        }
        const char *name = (const char *)key->data.scalar.value;
        if (json_object_get(out, name) != NULL) {
            return at(w, key, "the key is there twice");
        }
        json_t *value = NULL;
        enum rb_code rc = convert(w, pair->value, depth + 1, &value);
        if (rc != RB_OK) {
            return rc;
        }
        if (json_object_set_new(out, name, value) != 0) {
            return at(w, key, "the key is not UTF-8 text");
        }
    }
    *ret_json = RB_TAKE(out);
    return RB_OK;
}

static enum rb_code convert_sequence(struct walk *w, const yaml_node_t *node, int depth,
                                     json_t **ret_json)
{
    RB_CLEANUP(rb_json_decrefp) json_t *out = json_array();
    const yaml_node_item_t *item = node->data.sequence.items.start;
    for (; item < node->data.sequence.items.top; item++) {
        json_t *value = NULL;
        enum rb_code rc = convert(w, *item, depth + 1, &value);
        if (rc != RB_OK) {
            return rc;
        }
        json_array_append_new(out, value);
    }
    *ret_json = RB_TAKE(out);
    return RB_OK;
}

static enum rb_code convert(struct walk *w, int index, int depth, json_t **ret_json)
{
    const yaml_node_t *node = yaml_document_get_node(w->doc, index);
    if (node == NULL) {
        return rb_err_set(w->err, RB_E_INVALID, "the document has a hole");
    }
    if (depth > MAX_DEPTH || ++w->values > MAX_VALUES) {
        return at(w, node, "nested too deep, or too many values");
    }
    switch (node->type) {
    case YAML_MAPPING_NODE:
        return convert_mapping(w, node, depth, ret_json);
    case YAML_SEQUENCE_NODE:
        return convert_sequence(w, node, depth, ret_json);
    case YAML_SCALAR_NODE: {
        const char *s = (const char *)node->data.scalar.value;
        size_t len = node->data.scalar.length;
        json_t *v = NULL;
        if (memchr(s, '\0', len) == NULL) {
            v = node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE ? plain_scalar(s, len)
                                                                   : json_stringn(s, len);
        }
        if (v == NULL) {
            return at(w, node, "not UTF-8 text");
        }
        *ret_json = v;
        return RB_OK;
    }
    case YAML_NO_NODE:
        break;
    }
    return at(w, node, "not a value");
}

enum rb_code sim_yaml_to_json(const char *text, size_t len, json_t **ret_json, struct rb_err *err)
{
    yaml_parser_t parser;
    if (yaml_parser_initialize(&parser) == 0) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a YAML parser");
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    yaml_document_t doc;
    enum rb_code rc = RB_OK;
    if (yaml_parser_load(&parser, &doc) == 0) {
        rc = rb_err_set(err, RB_E_INVALID, "line %zu: %s", parser.problem_mark.line + 1,
                        parser.problem == NULL ? "not YAML" : parser.problem);
        yaml_parser_delete(&parser);
        return rc;
    }
    if (yaml_document_get_root_node(&doc) == NULL) {
        *ret_json = json_object(); /* an empty file says nothing, which is fine */
    } else {
        struct walk w = {.doc = &doc, .err = err};
        rc = convert(&w, 1, 0, ret_json);
    }
    yaml_document_delete(&doc);
    yaml_parser_delete(&parser);
    return rc;
}

/* json_load.c - jansson behind the same bounds.
 *
 * The pull reader goes first: what it refuses (depth, tokens, duplicate keys) never reaches an
 * allocating parser. Errors carry no text of jansson's, for that quotes the document.
 */
#include <retrybuild/json.h>

enum rb_code rb_json_load(const char *data, size_t len, json_t **ret_json, struct rb_err *err)
{
    struct rb_json_reader r;
    rb_json_reader_init(&r, data, len);
    r.max_tokens = RB_JSON_LOAD_MAX_TOKENS;
    enum rb_code rc = rb_json_finish(&r, err);
    if (rc != RB_OK) {
        return rc;
    }
    json_error_t why;
    json_t *json = json_loadb(data, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
    if (json == NULL && json_error_code(&why) == json_error_out_of_memory) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a JSON document of %zu bytes", len);
    }
    if (json == NULL) {
        const char *what = json_error_code(&why) == json_error_numeric_overflow
                               ? "number out of range"
                               : "invalid";
        return rb_err_set(err, RB_E_INVALID, "JSON line %d column %d: %s", why.line, why.column,
                          what);
    }
    *ret_json = json;
    return RB_OK;
}

void rb_json_decrefp(json_t **j)
{
    json_decref(*j);
    *j = NULL;
}

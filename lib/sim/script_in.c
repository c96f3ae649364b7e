/* script_in.c - readers of one optional member of a mapping, each with its type and range. */
#include <stdio.h>
#include <string.h>

#include <retrybuild/str.h>

#include "script.h"

static const json_t *member(const struct sim_in *in, const char *key)
{
    const json_t *v = json_object_get(in->obj, key);
    return json_is_null(v) ? NULL : v;
}

static enum rb_code bad(const struct sim_in *in, const char *key, const char *want)
{
    return rb_err_set(in->err, RB_E_INVALID, "%s.%s: must be %s", in->where, key, want);
}

enum rb_code sim_in_keys(const struct sim_in *in, const char *const *known, size_t n)
{
    if (!json_is_object(in->obj)) {
        return rb_err_set(in->err, RB_E_INVALID, "%s: must be a mapping", in->where);
    }
    const char *key;
    json_t *value;
    json_object_foreach(in->obj, key, value)
    {
        bool found = false;
        for (size_t i = 0; i < n && !found; i++) {
            found = strcmp(known[i], key) == 0;
        }
        if (!found) {
            const char *near = rb_nearest(key, known, n);
            return rb_err_set(in->err, RB_E_INVALID, "%s.%s: unknown key%s%s%s", in->where, key,
                              near == NULL ? "" : ", did you mean '", near == NULL ? "" : near,
                              near == NULL ? "" : "'?");
        }
    }
    return RB_OK;
}

enum rb_code sim_in_str(const struct sim_in *in, const char *key, const char **ret_s)
{
    const json_t *v = member(in, key);
    if (v == NULL) {
        return RB_OK;
    }
    if (!json_is_string(v)) {
        return bad(in, key, "text");
    }
    *ret_s = json_string_value(v);
    return RB_OK;
}

enum rb_code sim_in_bool(const struct sim_in *in, const char *key, bool *ret_b)
{
    const json_t *v = member(in, key);
    if (v == NULL) {
        return RB_OK;
    }
    if (!json_is_boolean(v)) {
        return bad(in, key, "true or false");
    }
    *ret_b = json_is_true(v);
    return RB_OK;
}

enum rb_code sim_in_int(const struct sim_in *in, const char *key, int64_t min, int64_t max,
                        int64_t *ret_n)
{
    const json_t *v = member(in, key);
    if (v == NULL) {
        return RB_OK;
    }
    if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max) {
        return rb_err_set(in->err, RB_E_INVALID, "%s.%s: must be a whole number from %lld to %lld",
                          in->where, key, (long long)min, (long long)max);
    }
    *ret_n = json_integer_value(v);
    return RB_OK;
}

enum rb_code sim_in_probability(const struct sim_in *in, const char *key, double *ret_p)
{
    const json_t *v = member(in, key);
    if (v == NULL) {
        return RB_OK;
    }
    double p = json_is_number(v) ? json_number_value(v) : -1;
    if (p < 0 || p > 1) {
        return bad(in, key, "a number from 0 to 1");
    }
    *ret_p = p;
    return RB_OK;
}

bool sim_parse_span(const char *s, int64_t *ret_ms)
{
    bool minus = s[0] == '-';
    int64_t ms = 0;
    if (!rb_parse_duration_ms(rb_slice_str(s + (minus ? 1 : 0)), &ms)) {
        return false;
    }
    *ret_ms = minus ? -ms : ms;
    return true;
}

enum rb_code sim_in_duration(const struct sim_in *in, const char *key, bool negative,
                             int64_t *ret_ms)
{
    const json_t *v = member(in, key);
    if (v == NULL) {
        return RB_OK;
    }
    int64_t ms = 0;
    if (!json_is_string(v) || !sim_parse_span(json_string_value(v), &ms) || (ms < 0 && !negative)) {
        return bad(in, key, "a duration like 500ms, 30s, 5m");
    }
    *ret_ms = ms;
    return RB_OK;
}

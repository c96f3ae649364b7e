/* fuzz_config.c - libFuzzer target: a configuration is settings, or problems with their places. */
#include <retrybuild/config.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf diff = RB_BUF_INIT(1 << 20);
    struct rb_settings *s = NULL;
    struct rb_problems problems = {.n = 0};
    struct rb_err err = {.code = RB_OK};
    char *text = text_of(data, len);
    enum rb_code rc = rb_config_parse(text, len, "fuzz.yaml", "/nowhere", &s, &problems, &err);
    if (rc == RB_OK) {
        rb_config_diff(s, s, &diff);
        need(s != NULL && diff.len == 0);
    } else {
        need(s == NULL && (problems.n > 0 || err.msg[0] != '\0'));
    }
    for (unsigned i = 0; i < problems.n; i++) {
        need(problems.items[i].text != NULL && problems.items[i].text[0] != '\0');
        is_text(problems.items[i].text);
    }
    rb_problems_release(&problems);
    rb_settings_unref(s);
    free(text);
    return 0;
}

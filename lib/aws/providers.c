/* The credential providers in the order in which they are asked. */
#include "internal.h"

#include <retrybuild/cleanup.h>

static const struct rb_provider *const PROVIDERS[] = {
    &rb_provider_environment,
};

void rb_credentials_release(struct rb_credentials *c)
{
    if (c == NULL) {
        return;
    }
    free(c->access_key);
    rb_secret_free(c->secret_key);
    rb_secret_free(c->session_token);
    *c = (struct rb_credentials){.access_key = NULL};
}

enum rb_code rb_providers_fetch(struct rb_credentials *ret_c, struct rb_err *err)
{
    RB_CLEANUP(rb_buf_release) struct rb_buf asked = RB_BUF_INIT(256);

    for (size_t i = 0; i < RB_ARRAY_LEN(PROVIDERS); i++) {
        struct rb_err why = {.code = RB_OK};
        enum rb_code rc = PROVIDERS[i]->fetch(ret_c, &why);
        if (rc == RB_OK) {
            ret_c->provider = PROVIDERS[i]->name;
            return RB_OK;
        }
        if (rc != RB_E_NOT_FOUND) {
            return rb_err_set(err, RB_E_CREDENTIALS, "AWS credentials by %s: %s",
                              PROVIDERS[i]->name, why.msg);
        }
        rb_buf_addf(&asked, "%s%s: %s", i == 0 ? "" : "; ", PROVIDERS[i]->name, why.msg);
    }
    return rb_err_set(err, RB_E_CREDENTIALS, "no AWS credentials (%s)", rb_buf_str(&asked));
}

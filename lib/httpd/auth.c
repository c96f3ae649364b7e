/* auth.c - bearer tokens of the API. Every configured token is compared, in constant time,
 * whichever fits. */
#include <string.h>
#include <strings.h>

#include "private.h"

struct authorization {
    const char *value;
    unsigned n;
};

static enum MHD_Result take_authorization(void *cls, enum MHD_ValueKind kind, const char *key,
                                          const char *value)
{
    struct authorization *a = cls;
    (void)kind;
    if (strcasecmp(key, MHD_HTTP_HEADER_AUTHORIZATION) == 0) {
        a->value = value;
        a->n++;
    }
    return MHD_YES;
}

enum rb_role rb_auth_bearer(const struct rb_settings *s, struct MHD_Connection *mhd,
                            const char **ret_name)
{
    struct authorization a = {.value = NULL};
    MHD_get_connection_values(mhd, MHD_HEADER_KIND, take_authorization, &a);
    const char *value = a.value;
    if (a.n != 1 || value == NULL || strncasecmp(value, "Bearer ", 7) != 0) {
        return RB_ROLE_NONE; /* of two, somebody in front may have checked the other one */
    }
    value += 7;
    value += strspn(value, " ");
    size_t len = strlen(value);
    enum rb_role role = RB_ROLE_NONE;
    for (unsigned i = 0; i < s->n_tokens; i++) {
        if (rb_secret_equal(s->tokens[i].secret, value, len) && role == RB_ROLE_NONE) {
            role = s->tokens[i].role;
            *ret_name = s->tokens[i].name;
        }
    }
    return role;
}

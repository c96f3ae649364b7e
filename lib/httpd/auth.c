/* auth.c - bearer tokens of the API. Every configured token is compared, in constant time,
 * whichever fits. */
#include <string.h>
#include <strings.h>

#include "private.h"

enum rb_role rb_auth_bearer(const struct rb_settings *s, struct MHD_Connection *mhd,
                            const char **ret_name)
{
    const char *value =
        MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
    if (value == NULL || strncasecmp(value, "Bearer ", 7) != 0) {
        return RB_ROLE_NONE;
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

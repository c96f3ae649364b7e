/* The types of destinations, in alphabetical order. */
#include <retrybuild/cleanup.h>

#include "internal.h"

static const struct rb_destination_type *const TYPES[] = {
    &rb_destination_webhook,
};

const struct rb_destination_type *rb_destination_type_find(const char *type)
{
    for (size_t i = 0; i < RB_ARRAY_LEN(TYPES); i++) {
        if (rb_str_eq(TYPES[i]->type, type)) {
            return TYPES[i];
        }
    }
    return NULL;
}

const char *const *rb_destination_type_names(void)
{
    static const char *const names[] = {"webhook", NULL};

    return names;
}

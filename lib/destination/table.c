/* The types of destinations, in alphabetical order. */
#include <retrybuild/cleanup.h>

#include "internal.h"

static const struct rb_destination_type *const TYPES[] = {
    &rb_destination_eventbridge,
    &rb_destination_sns,
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

/* Answers to who asked, by the type of the source; never configured by a name. */
static const struct rb_destination_type *const REPLIES[] = {
    NULL,
};

const struct rb_destination_type *rb_reply_type_find(const char *source_type)
{
    for (size_t i = 0; REPLIES[i] != NULL; i++) {
        if (rb_str_eq(REPLIES[i]->type, source_type)) {
            return REPLIES[i];
        }
    }
    return NULL;
}

const char *const *rb_destination_type_names(void)
{
    static const char *const names[] = {"eventbridge", "sns", "webhook", NULL};

    return names;
}

/* record_fields.h - what a record holds, as tables that the encoder and the decoder share. */
#ifndef RB_MODEL_RECORD_FIELDS_H
#define RB_MODEL_RECORD_FIELDS_H

#include <stddef.h>

#include <retrybuild/record.h>

#include "pack.h"

#define RECORD_VERSION 1

enum record_type { TEXT, ID, INT64, INT, BOOL, STATE, ACTION, DELAY_KIND };

struct record_field {
    uint8_t tag;
    uint8_t type;
    int8_t absent; /* this value is not written */
    size_t offset;
};

enum { TAG_BUILD = 40, TAG_CHILD, TAG_RULE_USE, TAG_HISTORY, TAG_DELAY };

extern const struct record_field rb_record_build_fields[];
extern const size_t rb_record_n_build_fields;
extern const struct record_field rb_record_retry_fields[];
extern const size_t rb_record_n_retry_fields;
extern const struct record_field rb_record_use_fields[];
extern const size_t rb_record_n_use_fields;
extern const struct record_field rb_record_history_fields[];
extern const size_t rb_record_n_history_fields;

/* rb_record_words - what the texts behind the naming fields of @b may refer to. */
struct pack_words rb_record_words(const struct rb_build *b);

#endif

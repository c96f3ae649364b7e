/* schema.h - the configuration's schema as tables. A key is one row: the loader, check-config, the
 * reload's diff and the documentation's test read the same rows. Threads: read-only data. */
#ifndef RB_CONFIG_SCHEMA_H
#define RB_CONFIG_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/settings.h>

enum rb_key_type {
    RB_KEY_TEXT,      /* const char * */
    RB_KEY_PATH,      /* const char *, made absolute by the configuration's folder */
    RB_KEY_SECRET,    /* struct rb_secret *; forms KEY, KEY_file, KEY_env */
    RB_KEY_SECRETS,   /* struct rb_secrets; a list of {value|file|env, not_after} */
    RB_KEY_DURATION,  /* int64_t, ms */
    RB_KEY_SIZE,      /* uint64_t, bytes */
    RB_KEY_INT,       /* int64_t */
    RB_KEY_NUMBER,    /* double; above 0, or between the bounds where there are any */
    RB_KEY_BOOL,      /* bool */
    RB_KEY_WORD,      /* int-sized enum, by words[] */
    RB_KEY_TEXTS,     /* struct rb_strings */
    RB_KEY_DELAY,     /* struct rb_delay */
    RB_KEY_DURATIONS, /* int64_t[RB_DELAY_LIST_MAX], counted at count_offset */
    RB_KEY_STAGES,    /* bool[RB_STAGE_COUNT] */
    RB_KEY_MAP,       /* children, same base */
    RB_KEY_LIST, /* pointer to items of item_size, counted at count_offset; children describe an
                    item */
};

struct rb_key {
    const char *name;
    enum rb_key_type type;
    const char *fallback; /* default as it would be written; NULL = absent */
    bool reloadable;
    const char *help;
    size_t offset;
    int64_t min, max;         /* INT; DURATION in ms; SIZE in bytes; 0,0 = no bound but >= 0 */
    const char *const *words; /* WORD: NULL-terminated, index = value */
    const struct rb_key *children;
    size_t n_children;
    size_t item_size;
    size_t count_offset;
    size_t line_offset; /* LIST items: where the item's line goes; SIZE_MAX = nowhere */
};

/* Rows are written with these. */
#define AT(member) .offset = offsetof(struct rb_settings, member)
#define IN(type, member) .offset = offsetof(struct type, member)
#define CHILDREN(rows) .children = (rows), .n_children = RB_ARRAY_LEN(rows)
#define LIST_OF(type, rows, count, line) \
    CHILDREN(rows), .item_size = sizeof(struct type), .count_offset = (count), .line_offset = (line)
#define SECOND 1000LL
#define MINUTE (60 * SECOND)
#define DAY (24 * 60 * MINUTE)

#define RB_SOURCE_KEYS 19
#define RB_DESTINATION_KEYS 19
extern const struct rb_key rb_source_keys[RB_SOURCE_KEYS]; /* schema_adapters.c */
extern const struct rb_key rb_destination_keys[RB_DESTINATION_KEYS];

extern const struct rb_key rb_schema[];
extern const size_t rb_schema_len;

const char *rb_key_type_name(enum rb_key_type t);

#endif

/* keys.h - effect and delivery keys of a running transaction: the book leads, the row decides. */
#ifndef RB_STORE_SQLITE_KEYS_H
#define RB_STORE_SQLITE_KEYS_H

#include "db.h"

/* The retry that a key leads to. */
struct rb_sq_holder {
    int64_t rid; /* 0 = none */
    char id[RB_ID_BYTES];
    enum rb_state state;
    int64_t ended; /* 0 = it lives; filled for effect keys */
};

struct rb_sq_holder rb_sq_effect_get(struct rb_sq_db *db, const uint8_t *key);
/* rb_sq_delivery_get - only one that is not forgotten at @now_ms. */
struct rb_sq_holder rb_sq_delivery_get(struct rb_sq_db *db, const uint8_t *key, int64_t now_ms);
/* rb_sq_effect_move - the row of @rid was written with this key: nobody else has it any more. */
void rb_sq_effect_move(struct rb_sq_db *db, const uint8_t *key, int64_t rid);
/* rb_sq_effect_take - the row of @rid has this key from here on, in place of the one it had. */
void rb_sq_effect_take(struct rb_sq_db *db, const uint8_t *key, int64_t rid);
/* rb_sq_delivery_of_row - the row of @rid was written with this key. */
void rb_sq_delivery_of_row(struct rb_sq_db *db, const uint8_t *key, int64_t rid);
/* rb_sq_delivery_repeat - a further delivery of @rid, remembered until then. */
void rb_sq_delivery_repeat(struct rb_sq_db *db, const uint8_t *key, int64_t rid, int64_t until_ms);
/* rb_sq_keys_forget - before the row goes. */
void rb_sq_keys_forget(struct rb_sq_db *db, int64_t rid);
/* rb_sq_repeats_trim - at most @max that are forgotten at @now_ms; how many. */
unsigned rb_sq_repeats_trim(struct rb_sq_db *db, int64_t now_ms, unsigned max);

/* rb_sq_keys_sweep - strike keys that no admission can meet any more: of deliveries whose time is
 * over, and of effects of retries that ended long enough ago; @max rows further. */
void rb_sq_keys_sweep(struct rb_sq_db *db, int64_t now_ms, unsigned max);

#endif

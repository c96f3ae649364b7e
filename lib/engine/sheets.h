/* sheets.h - several sheets of the ledger read, changed and written back together.
 *
 * Threads: one owner. Blocks: as the store does. */
#ifndef RB_ENGINE_SHEETS_H
#define RB_ENGINE_SHEETS_H

#include <retrybuild/store.h>

#include "ledger/desk.h"

#define RB_SET_MAX 64

struct rb_set {
    struct rb_arena *a; /* names and bytes */
    unsigned n;
    bool full; /* a name found no memory, or there were too many */
    struct {
        enum rb_sheet_of of;
        void *at; /* the struct of that kind */
        int64_t ttl_ms;
        bool changed;
        struct rb_sheet sheet;
    } slots[RB_SET_MAX];
};
void rb_set_init(struct rb_set *s, struct rb_arena *a);
/* rb_set_add - the index of one more sheet. */
unsigned rb_set_add(struct rb_set *s, enum rb_sheet_of of, void *at, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
enum rb_code rb_set_read(struct rb_set *s, struct rb_store_session *ses, int64_t now_ms,
                         struct rb_err *err);
/* rb_set_write - those marked as changed, all or none. RB_E_CONFLICT: read again. */
enum rb_code rb_set_write(struct rb_set *s, struct rb_store_session *ses,
                          const struct rb_random *random, int64_t now_ms, struct rb_err *err);

/* Names of sheets: what belongs to a project stands behind one prefix each. */
#define RB_SHEET_OF_PROJECT "%s/%s/%s" /* account, region, project */
#define RB_SHEET_OF_SWEEP "w"          /* failures that no delivery brought */
#define RB_SWEPT_MS (7 * RB_DAY_MS)    /* in so long */
#define RB_SHEET_OF_LINK "n:%s"        /* key of the build */
#endif

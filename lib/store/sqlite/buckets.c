/* buckets.c - ranges of row ids, a few thousand retries each, by which the index of projects
 * begins.
 *
 * Without them an admission would touch a page for its project, of which there are many; with them
 * the pages of the newest bucket take all. A list of a project asks bucket by bucket, newest first.
 * A range never changes once it has begun, so that a row stays where it is found.
 */
#include <stdlib.h>

#include "db.h"

#define BUCKET_ROWS 2048

size_t rb_sq_bucket_of(const struct rb_sq_db *db, int64_t rid)
{
    size_t low = 0;
    size_t high = db->tally.n_buckets;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (db->buckets[middle] <= rid) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

bool rb_sq_bucket_add(struct rb_sq_db *db, int64_t first)
{
    if (db->tally.n_buckets == db->max_buckets) {
        size_t max = db->max_buckets == 0 ? 64 : db->max_buckets * 2;
        int64_t *buckets = realloc(db->buckets, max * sizeof(*buckets));
        if (buckets == NULL) {
            rb_sq_fail(db, SQLITE_NOMEM);
            return false;
        }
        db->buckets = buckets;
        db->max_buckets = max;
    }
    db->buckets[db->tally.n_buckets++] = first;
    return true;
}

size_t rb_sq_bucket_for(struct rb_sq_db *db, int64_t rid)
{
    size_t last = db->tally.n_buckets - 1;
    if (rid < db->buckets[last]) {
        return rb_sq_bucket_of(db, rid); /* the clock went back */
    }
    /* a row of the same bucket may come later with a smaller id: a new one begins with the highest
     * id so far only */
    if (db->tally.in_bucket >= BUCKET_ROWS && rid > db->tally.highest_rid &&
        rb_sq_bucket_add(db, rid)) {
        (void)rb_sq_run(db, SQ_BUCKET_PUT, "i", rid);
        db->tally.in_bucket = 0;
        last++;
    }
    db->tally.in_bucket++;
    if (rid > db->tally.highest_rid) {
        db->tally.highest_rid = rid;
    }
    return last;
}

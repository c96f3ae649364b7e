/* schema.c - the tables, version by version. A released script is never changed: a new version is a
 * new row.
 *
 * An admission only appends: whatever would have to be written at a random place (effect and
 * delivery keys, due times) is a column of the row and is found through memory (book.h, agenda.h).
 * A retry has a row id made of its creation time, so that the table itself is the newest-first
 * index and each other index holds eight bytes of it; the index by project begins with a bucket of
 * row ids, so that it too grows at its end (buckets.h). The record stands apart, because the row is
 * read and written more often. Keys are 16 bytes. Values of `state`, `kind` and `stage` are those
 * of the enums of the model; a report's `state` is enum rb_report_state.
 */
#include "db.h"

static const char version_1[] =
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE names(nid INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
    "CREATE TABLE retries("
    " rid INTEGER PRIMARY KEY,"
    " id TEXT NOT NULL,"
    " state INTEGER NOT NULL,"
    " project INTEGER NOT NULL,"
    " source INTEGER NOT NULL,"
    " version INTEGER NOT NULL,"
    " ended INTEGER NOT NULL," /* when it became terminal, 0 = it lives */
    " kind INTEGER NOT NULL,"  /* main task, 0 = none */
    " due INTEGER NOT NULL,"   /* when it may be claimed: a lease moves it */
    " first_due INTEGER NOT NULL,"
    " lease INTEGER NOT NULL," /* until when; 0 = not leased */
    " fence INTEGER NOT NULL,"
    " tries INTEGER NOT NULL,"
    " woken INTEGER NOT NULL," /* 1 = to be told at the claim, 2 = came during the lease */
    " bucket INTEGER NOT NULL,"
    " effect BLOB,"              /* NULL: another retry has taken the key over */
    " delivery BLOB,"            /* key of the first delivery */
    " until INTEGER NOT NULL,"   /* when that key is forgotten */
    " child BLOB, intent BLOB);" /* keys in children and intents */
    "CREATE UNIQUE INDEX retries_id ON retries(id);"
    "CREATE INDEX retries_state ON retries(state);"
    "CREATE INDEX retries_project ON retries(bucket, project);"
    "CREATE INDEX retries_source ON retries(source);"
    "CREATE TABLE records(rid INTEGER PRIMARY KEY, record BLOB NOT NULL);"
    "CREATE TABLE buckets(first INTEGER PRIMARY KEY);" /* row id that a bucket begins with */
    "CREATE TABLE repeats("                            /* keys of deliveries that were duplicates */
    " seq INTEGER PRIMARY KEY, k BLOB NOT NULL, rid INTEGER NOT NULL, until INTEGER NOT NULL);"
    "CREATE TABLE children(k BLOB PRIMARY KEY, rid INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE intents(k BLOB PRIMARY KEY, rid INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE tokens(k BLOB PRIMARY KEY, fingerprint BLOB NOT NULL, rid INTEGER NOT NULL,"
    " until INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX tokens_until ON tokens(until);"
    "CREATE TABLE duplicates(rid INTEGER PRIMARY KEY, n INTEGER NOT NULL, list BLOB NOT NULL);"
    "CREATE TABLE reports("
    " seq INTEGER PRIMARY KEY AUTOINCREMENT,"
    " rid INTEGER NOT NULL,"
    " chain TEXT NOT NULL,"
    " destination INTEGER NOT NULL," /* names.nid */
    " stage INTEGER NOT NULL,"
    " state INTEGER NOT NULL,"
    " head INTEGER NOT NULL," /* 1 = the oldest pending one of its destination and chain */
    " due INTEGER NOT NULL,"
    " first_due INTEGER NOT NULL,"
    " lease INTEGER NOT NULL,"
    " fence INTEGER NOT NULL,"
    " tries INTEGER NOT NULL,"
    " attempts INTEGER NOT NULL,"
    " message TEXT NOT NULL,"
    " last_error TEXT,"
    " version INTEGER NOT NULL," /* of the record below */
    " record BLOB);"             /* as it was when the report was made; NULL once delivered */
    "CREATE INDEX reports_rid ON reports(rid);"
    "CREATE INDEX reports_line ON reports(destination, chain) WHERE state = 0;"
    "CREATE INDEX reports_due ON reports(due) WHERE state = 0 AND head = 1;"
    "CREATE TABLE projects(account TEXT NOT NULL, region TEXT NOT NULL, project TEXT NOT NULL,"
    " last INTEGER NOT NULL, PRIMARY KEY(account, region, project)) WITHOUT ROWID;"
    "CREATE TABLE paused(name TEXT PRIMARY KEY) WITHOUT ROWID;";

static const char version_2[] =
    /* what the receiver gave for the chain's last report; goes with the retry of that report */
    "CREATE TABLE receipts("
    " destination INTEGER NOT NULL," /* names.nid */
    " chain TEXT NOT NULL,"
    " rid INTEGER NOT NULL,"
    " receipt TEXT NOT NULL,"
    " PRIMARY KEY(destination, chain)) WITHOUT ROWID;"
    "CREATE INDEX receipts_rid ON receipts(rid);";

static const char version_3[] =
    "CREATE TABLE sheets(name TEXT PRIMARY KEY, version INTEGER NOT NULL, until INTEGER NOT NULL,"
    " data BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX sheets_until ON sheets(until);";

const char *const rb_sq_schema[] = {version_1, version_2, version_3};
const int rb_sq_schema_version = sizeof(rb_sq_schema) / sizeof(rb_sq_schema[0]);
const int rb_sq_application_id = 0x72747279; /* "rtry" */

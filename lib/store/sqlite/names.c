/* names.c - two open-addressing maps. A map that has grown to its bound is emptied and fills again:
 * its tables have everything, it only spares look-ups.
 */
#include <stdlib.h>
#include <string.h>

#include <retrybuild/str.h>

#include "db.h"

#define FIRST_SLOTS 256
#define MAX_SLOTS 16384
#define MAX_TEXT_BYTES (4 * 1024 * 1024)
#define STORE_EVERY_MS 10000
#define MAX_NAME_BYTES 512

static uint64_t hash_text(const char *s)
{
    uint64_t h = 14695981039346656037U; /* FNV-1a */
    for (; *s != '\0'; s++) {
        h = (h ^ (unsigned char)*s) * 1099511628211U;
    }
    return h;
}

static struct rb_sq_name *slot_of(const struct rb_sq_map *m, const char *text, uint64_t hash)
{
    size_t at = (size_t)hash & (m->n_slots - 1);
    while (m->slots[at].text != NULL &&
           (m->slots[at].hash != hash || strcmp(m->slots[at].text, text) != 0)) {
        at = (at + 1) & (m->n_slots - 1);
    }
    return &m->slots[at];
}

static void map_empty(struct rb_sq_map *m)
{
    if (m->slots != NULL) {
        memset(m->slots, 0, m->n_slots * sizeof(*m->slots));
    }
    m->n = 0;
    rb_arena_reset(&m->arena);
}

/* False: no memory; the map stays as it is. */
static bool map_grow(struct rb_sq_map *m)
{
    size_t n_slots = m->n_slots == 0 ? FIRST_SLOTS : m->n_slots * 2;
    if (n_slots > MAX_SLOTS) {
        return false;
    }
    struct rb_sq_map bigger = {.n_slots = n_slots, .n = m->n, .arena = m->arena};
    bigger.slots = calloc(n_slots, sizeof(*bigger.slots));
    if (bigger.slots == NULL) {
        return false;
    }
    for (size_t i = 0; i < m->n_slots; i++) {
        if (m->slots[i].text != NULL) {
            *slot_of(&bigger, m->slots[i].text, m->slots[i].hash) = m->slots[i];
        }
    }
    free(m->slots);
    *m = bigger;
    return true;
}

static struct rb_sq_name *map_get(const struct rb_sq_map *m, const char *text)
{
    struct rb_sq_name *slot = m->n_slots == 0 ? NULL : slot_of(m, text, hash_text(text));
    return slot == NULL || slot->text == NULL ? NULL : slot;
}

/* NULL: no room was to be had. */
static struct rb_sq_name *map_put(struct rb_sq_map *m, const char *text)
{
    if (m->n * 4 >= m->n_slots * 3 && !map_grow(m)) {
        return NULL;
    }
    uint64_t hash = hash_text(text);
    struct rb_sq_name *slot = slot_of(m, text, hash);
    const char *copy = rb_arena_strdup(&m->arena, text);
    if (copy == NULL) {
        return NULL;
    }
    *slot = (struct rb_sq_name){.text = copy, .hash = hash};
    m->n++;
    return slot;
}

void rb_sq_names_init(struct rb_sq_names *n)
{
    memset(n, 0, sizeof(*n));
    rb_arena_init(&n->names.arena, MAX_TEXT_BYTES);
    rb_arena_init(&n->projects.arena, MAX_TEXT_BYTES);
}

void rb_sq_names_release(struct rb_sq_names *n)
{
    free(n->names.slots);
    free(n->projects.slots);
    rb_arena_release(&n->names.arena);
    rb_arena_release(&n->projects.arena);
}

void rb_sq_names_undo(struct rb_sq_names *n)
{
    map_empty(&n->names);
    for (size_t i = 0; i < n->projects.n_slots; i++) {
        n->projects.slots[i].stored = 0;
    }
}

int64_t rb_sq_name_find(struct rb_sq_db *db, const char *name)
{
    const struct rb_sq_name *known = map_get(&db->names.names, name);
    if (known != NULL) {
        return known->value;
    }
    int64_t id = 0;
    sqlite3_stmt *st = rb_sq_query(db, SQ_NAME_GET, "t", name);
    if (rb_sq_row(db, st)) {
        id = sqlite3_column_int64(st, 0);
        rb_sq_end(st);
    }
    return id;
}

int64_t rb_sq_name_id(struct rb_sq_db *db, const char *name)
{
    if (rb_str_empty(name)) {
        return 0;
    }
    int64_t id = rb_sq_name_find(db, name);
    if (id == 0 && rb_sq_run(db, SQ_NAME_PUT, "t", name) == 1) {
        id = sqlite3_last_insert_rowid(db->handle);
    }
    if (id != 0 && map_get(&db->names.names, name) == NULL) {
        struct rb_sq_name *slot = map_put(&db->names.names, name);
        if (slot != NULL) {
            slot->value = id;
        } else {
            map_empty(&db->names.names);
        }
    }
    return id;
}

static void store_project(struct rb_sq_db *db, struct rb_sq_name *seen)
{
    char text[MAX_NAME_BYTES];
    size_t len = strlen(seen->text);
    memcpy(text, seen->text, len + 1); /* shorter than MAX_NAME_BYTES: it was made that way */
    char *region = strchr(text, '/');
    char *project = region == NULL ? NULL : strchr(region + 1, '/');
    if (project != NULL) {
        *region++ = '\0';
        *project++ = '\0';
        (void)rb_sq_run(db, SQ_PROJECT_PUT, "ttti", text, region, project, seen->value);
        seen->stored = seen->value;
    }
}

void rb_sq_project_seen(struct rb_sq_db *db, const char *account, const char *region,
                        const char *project, int64_t now_ms)
{
    const char *parts[] = {account == NULL ? "" : account, region == NULL ? "" : region, project};
    char text[MAX_NAME_BYTES];
    size_t at = 0;
    if (rb_str_empty(project)) {
        return;
    }
    for (int i = 0; i < 3; i++) {
        size_t len = strlen(parts[i]);
        if (at + len + 1 >= sizeof(text)) {
            return; /* no account, region and project of AWS is that long */
        }
        memcpy(text + at, parts[i], len);
        at += len;
        text[at++] = i < 2 ? '/' : '\0';
    }
    struct rb_sq_name *seen = map_get(&db->names.projects, text);
    if (seen == NULL) {
        seen = map_put(&db->names.projects, text);
    }
    if (seen == NULL) {
        rb_sq_projects_flush(db);
        map_empty(&db->names.projects);
        seen = map_put(&db->names.projects, text);
    }
    if (seen == NULL) {
        rb_sq_fail(db, SQLITE_NOMEM);
        return;
    }
    if (now_ms > seen->value) {
        seen->value = now_ms;
    }
    if (seen->stored == 0 || seen->value - seen->stored >= STORE_EVERY_MS) {
        store_project(db, seen);
    }
}

void rb_sq_projects_flush(struct rb_sq_db *db)
{
    for (size_t i = 0; i < db->names.projects.n_slots; i++) {
        struct rb_sq_name *seen = &db->names.projects.slots[i];
        if (seen->text != NULL && seen->stored != seen->value) {
            store_project(db, seen);
        }
    }
}

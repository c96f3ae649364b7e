/* zone.c - a file of the time zone database: its table of transitions, and the rule in its footer
 * for what comes after the last of them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/clock.h>
#include <retrybuild/str.h>
#include <retrybuild/zone.h>

#include "zone_rule.h"

#define FOLDER "/usr/share/zoneinfo/"
#define FILE_MAX_BYTES 65536
#define NAME_MAX_BYTES 64
#define HEADER_BYTES 44
#define TYPE_BYTES 6
#define TRANSITIONS_MAX 4096
#define TYPES_MAX 256

struct rb_zone {
    unsigned n, n_types;
    int64_t at[TRANSITIONS_MAX];
    uint8_t type[TRANSITIONS_MAX];
    int32_t offsets[TYPES_MAX];
    bool has_rule;
    struct zone_rule rule;
};

struct counts {
    uint32_t isut, isstd, leap, times, types, chars;
};

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t get64(const uint8_t *p)
{
    return (int64_t)((uint64_t)get32(p) << 32 | get32(p + 4));
}

static bool read_header(const uint8_t *p, size_t len, struct counts *c)
{
    if (len < HEADER_BYTES || memcmp(p, "TZif", 4) != 0) {
        return false;
    }
    *c = (struct counts){get32(p + 20), get32(p + 24), get32(p + 28),
                         get32(p + 32), get32(p + 36), get32(p + 40)};
    return c->times <= TRANSITIONS_MAX && c->types >= 1 && c->types <= TYPES_MAX &&
           c->chars <= FILE_MAX_BYTES && c->leap <= FILE_MAX_BYTES && c->isut <= TYPES_MAX &&
           c->isstd <= TYPES_MAX;
}

static size_t block_bytes(const struct counts *c, size_t time_bytes)
{
    return c->times * (time_bytes + 1) + c->types * TYPE_BYTES + c->chars +
           c->leap * (time_bytes + 4) + c->isstd + c->isut;
}

static bool read_block(struct rb_zone *z, const uint8_t *p, const struct counts *c)
{
    const uint8_t *types = p + (size_t)c->times * 9;
    z->n = c->times;
    z->n_types = c->types;
    for (unsigned i = 0; i < c->types; i++) {
        z->offsets[i] = (int32_t)get32(types + (size_t)i * TYPE_BYTES);
    }
    for (unsigned i = 0; i < z->n; i++) {
        z->at[i] = get64(p + (size_t)i * 8);
        z->type[i] = p[(size_t)c->times * 8 + i];
        if (z->type[i] >= c->types) {
            return false;
        }
    }
    return true;
}

/* parse - version 2 or later: the first block, in 32 bits, is passed over. */
static bool parse(struct rb_zone *z, const uint8_t *p, size_t len)
{
    struct counts c;
    if (!read_header(p, len, &c) || p[4] < '2') {
        return false;
    }
    size_t skip = HEADER_BYTES + block_bytes(&c, 4);
    if (skip > len || !read_header(p + skip, len - skip, &c)) {
        return false;
    }
    p += skip + HEADER_BYTES;
    len -= skip + HEADER_BYTES;
    size_t block = block_bytes(&c, 8);
    if (block > len || !read_block(z, p, &c)) {
        return false;
    }
    const char *footer = (const char *)p + block;
    size_t left = len - block;
    if (left >= 2 && footer[0] == '\n') {
        const char *end = memchr(footer + 1, '\n', left - 1);
        z->has_rule =
            end != NULL &&
            rb_zone_rule_parse(
                (struct rb_slice){.ptr = footer + 1, .len = (size_t)(end - footer) - 1}, &z->rule);
    }
    return true;
}

static bool is_zone_name(const char *name)
{
    size_t len = strlen(name);
    return len > 0 && len <= NAME_MAX_BYTES && name[0] != '/' && strstr(name, "..") == NULL &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-/") ==
               len;
}

static void zone_freep(struct rb_zone **z)
{
    rb_zone_free(*z);
}

static enum rb_code no_zone(const char *name, struct rb_err *err)
{
    return rb_err_set(err, RB_E_INVALID,
                      "'%.64s' is not a time zone of this machine; write one such as "
                      "Europe/Berlin, America/New_York or UTC",
                      name);
}

enum rb_code rb_zone_load(const char *name, struct rb_zone **ret_z, struct rb_err *err)
{
    RB_CLEANUP(zone_freep) struct rb_zone *z = calloc(1, sizeof(*z));
    RB_CLEANUP(rb_freep) uint8_t *data = malloc(FILE_MAX_BYTES);
    char path[sizeof(FOLDER) + NAME_MAX_BYTES + 1];
    if (z == NULL || data == NULL) {
        return rb_err_set(err, RB_E_NOMEM, "no memory for a time zone");
    }
    if (rb_str_eq(name, "UTC") || rb_str_eq(name, "Z")) {
        z->n_types = 1; /* also where there is no database */
        *ret_z = RB_TAKE(z);
        return RB_OK;
    }
    if (!is_zone_name(name)) {
        return no_zone(name, err);
    }
    (void)snprintf(path, sizeof(path), FOLDER "%s", name);
    FILE *f = fopen(path, "rbe");
    size_t len = f == NULL ? 0 : fread(data, 1, FILE_MAX_BYTES, f);
    if (f != NULL) {
        (void)fclose(f);
    }
    if (len == 0 || len == FILE_MAX_BYTES || !parse(z, data, len)) {
        return no_zone(name, err);
    }
    *ret_z = RB_TAKE(z);
    return RB_OK;
}

void rb_zone_free(struct rb_zone *z)
{
    free(z);
}

int64_t rb_zone_offset_s(const struct rb_zone *z, int64_t unix_s)
{
    unsigned low = 0;
    unsigned high = z->n; /* the first transition that lies after @unix_s */
    while (low < high) {
        unsigned mid = low + (high - low) / 2;
        if (z->at[mid] <= unix_s) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    if (low == z->n && z->has_rule) {
        return rb_zone_rule_offset_s(&z->rule, unix_s);
    }
    return low == 0 ? z->offsets[0] : z->offsets[z->type[low - 1]];
}

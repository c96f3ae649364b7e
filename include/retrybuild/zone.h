/* zone.h - wall clocks: the system's time zone data, read without the process's own TZ.
 *
 * Source: RFC 8536 (TZif) and the POSIX rule in its footer. Threads: a zone is read-only once
 * loaded. Blocks: rb_zone_load reads a file.
 */
#ifndef RETRYBUILD_ZONE_H
#define RETRYBUILD_ZONE_H

#include <stdint.h>

#include <retrybuild/err.h>

struct rb_zone;

/* rb_zone_load - a name such as Europe/Berlin or UTC. RB_E_INVALID: no such zone here. */
enum rb_code rb_zone_load(const char *name, struct rb_zone **ret_z, struct rb_err *err);
void rb_zone_free(struct rb_zone *z); /* NULL accepted */
/* rb_zone_offset_s - what is added to UTC at @unix_s to read that wall clock. */
int64_t rb_zone_offset_s(const struct rb_zone *z, int64_t unix_s);

#endif

/* off.h - destinations that said they are gone (410). The store remembers them, so that every
 * process leaves them alone, also one that starts later; a reload, a requeue or another receiver
 * under the same name switches them on again. Blocks: as the store does. */
#ifndef RB_ENGINE_OFF_H
#define RB_ENGINE_OFF_H

#include "internal.h"

/* rb_off_look - before a report worker claims: what the store says, at most once a second for all
 * workers; after a reload everything is switched on first. *ret_wait: another worker makes the
 * first look, nothing may be posted before. */
enum rb_code rb_off_look(struct rb_worker *w, bool *ret_wait, struct rb_err *err);
/* rb_off_still - is @d off in the store too, now? Asked before a report is given up, for another
 * process may have switched it on since the last look. What it answers holds for this process. */
enum rb_code rb_off_still(struct rb_worker *w, const struct rb_destination_setting *d,
                          bool *ret_off, struct rb_err *err);
/* rb_off_gone - write down that @d is; what cannot be written holds for this process alone. */
void rb_off_gone(struct rb_worker *w, const struct rb_destination_setting *d);
/* rb_off_switch_on - a person asks for it: every destination gets another chance. */
enum rb_code rb_off_switch_on(struct rb_engine *e, struct rb_store_session *ses,
                              const struct rb_settings *s, struct rb_err *err);
/* rb_off_show - rows of the statistics' breakers, each with a comma before it unless @out is empty.
 */
enum rb_code rb_off_show(struct rb_store_session *ses, const struct rb_settings *s, int64_t now_ms,
                         struct rb_buf *out, struct rb_err *err);
/* rb_off_tell - log and gauge of a change. */
void rb_off_tell(const char *destination, bool off, const char *why);

#endif

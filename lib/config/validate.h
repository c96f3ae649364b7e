/* validate.h - rules that concern several keys. Threads: one. */
#ifndef RB_CONFIG_VALIDATE_H
#define RB_CONFIG_VALIDATE_H

#include "convert.h"

/* rb_validate - after all keys are in place; adds problems, fills what depends on the environment
 * (region, store path). */
void rb_validate(struct rb_conversion *c);
/* rb_validate_conditions - ranges and hours of rule @i. */
void rb_validate_conditions(struct rb_conversion *c, unsigned i);
void rb_validate_telemetry(struct rb_conversion *c);

#endif

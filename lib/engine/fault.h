/* fault.h - named points at which a test build kills itself; nothing in every other build.
 *
 * With -Dfault_points=true, RB_FAULT_AT="submit.after_intent:3" raises SIGKILL when the third pass
 * through that point is made in this process; several, separated by commas, each count for
 * themselves.
 */
#ifndef RB_ENGINE_FAULT_H
#define RB_ENGINE_FAULT_H

#ifdef RB_FAULT_POINTS
void rb_fault_point(const char *name);
#define RB_FAULT_POINT(name) rb_fault_point(name)
#else
#define RB_FAULT_POINT(name) ((void)0)
#endif

#endif

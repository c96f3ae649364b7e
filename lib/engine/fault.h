/* fault.h - named points at which a program for tests kills itself; nothing in every other program.
 *
 * The engine is compiled twice; what is linked with the second kind (tests/fault/retrybuild-fault)
 * reads RB_FAULT_AT="submit.after_intent:3" and raises SIGKILL when the third pass through that
 * point is made in this process; several, separated by commas, each count for themselves.
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

/* bench_settings.h - a store as a service has it by default. */
#ifndef RB_BENCH_SETTINGS_H
#define RB_BENCH_SETTINGS_H

#include <retrybuild/settings.h>

/* bench_settings - for the store at @url; NULL without memory. */
struct rb_settings *bench_settings(const char *url);

#endif

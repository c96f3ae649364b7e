/* some.h - retries for tests: random ones, and the usual one. */
#ifndef RB_TEST_MODEL_SOME_H
#define RB_TEST_MODEL_SOME_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include <retrybuild/record.h>

/* some_seed - the same numbers from here on in every run. */
void some_seed(uint64_t seed);
unsigned some_below(unsigned n);
/* some_retry - every member random; the caller frees. */
struct rb_retry *some_retry(void);
/* waiting_retry - one that waits, as an EventBridge failure makes it. */
struct rb_retry *waiting_retry(void);

#endif

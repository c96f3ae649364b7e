/* fixture.h - a retry and a destination for the tests of reports. */
#ifndef RB_TEST_DESTINATION_FIXTURE_H
#define RB_TEST_DESTINATION_FIXTURE_H

#include <retrybuild/destination.h>

#define FIXTURE_NOW_MS INT64_C(1795000000000)

struct fixture {
    struct rb_retry *retry;
    struct rb_destination_setting destination; /* type webhook, every stage */
    struct rb_secret_entry secrets[4];
    struct rb_report_view view;
};

struct fixture *fixture_new(const char *url);
void fixture_free(struct fixture *f);
void fixture_add_secret(struct fixture *f, const char *text, int64_t not_after_ms);

#endif

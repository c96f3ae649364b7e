/* doctor.h - what the parts of `retrybuild doctor` share: the list of findings.
 *
 * A finding is a row {area, name, status, detail, do?, facts…}; strings may come from outside and
 * are made printable when they are shown. Threads: main.
 */
#ifndef RB_CLI_DOCTOR_H
#define RB_CLI_DOCTOR_H

#include <jansson.h>

#include <retrybuild/settings.h>

#include "cli.h"

enum rb_finding {
    RB_FINE,
    RB_NOTICE,    /* worth knowing, nothing to do */
    RB_ATTENTION, /* exit status 1 */
};

struct rb_doctor {
    json_t *checks;
    bool attention;
    bool no_memory;
    const struct rb_option_list *projects; /* real ones that permissions are tried with */
};

/* rb_doctor_add - one more row; the result is the list's, for advice and facts. */
json_t *rb_doctor_add(struct rb_doctor *d, enum rb_finding f, const char *area, const char *name,
                      const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* rb_doctor_advise - what to do about it. */
void rb_doctor_advise(json_t *row, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* rb_doctor_fact - a member for machines; NULL text = null. */
void rb_doctor_fact(json_t *row, const char *name, const char *text);
void rb_doctor_time(json_t *row, const char *name, int64_t unix_ms); /* 0 = null */
void rb_doctor_print(const struct rb_doctor *d, bool as_json);

void rb_doctor_aws(struct rb_doctor *d, struct rb_settings *s);
void rb_doctor_store(struct rb_doctor *d, struct rb_settings *s);
void rb_doctor_sources(struct rb_doctor *d, const struct rb_settings *s);
void rb_doctor_destinations(struct rb_doctor *d, const struct rb_settings *s);

/* rb_doctor_permissions - of one account (NULL = our own) in one region; @who: the ARN that a
 * policy must name, NULL = not known. Returns false when nobody answers there. */
struct rb_codebuild;
bool rb_doctor_permissions(struct rb_doctor *d, const struct rb_settings *s, struct rb_codebuild *c,
                           const char *account, const char *region, const char *who);

/* rb_doctor_test_retry - a made-up retry that says of itself that it is a test; NULL without
 * memory.
 */
struct rb_retry *rb_doctor_test_retry(int64_t now_ms);
/* rb_doctor_send - post it to the destination, tell what the receiver said. */
int rb_doctor_send(const struct rb_command *command, struct rb_settings *s, const char *name,
                   bool as_json);

#endif

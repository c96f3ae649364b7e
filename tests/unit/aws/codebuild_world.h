/* codebuild_world.h - a client, a server that is told what to answer, and a clock that stands
 * still.
 */
#ifndef RB_TEST_CODEBUILD_WORLD_H
#define RB_TEST_CODEBUILD_WORLD_H

#include <retrybuild/codebuild.h>

#include "script_server.h"

#define PARENT "web-app:11111111-2222-3333-4444-555555555555"
#define CHILD "web-app:aaaaaaaa-2222-3333-4444-555555555555"
#define CHILD_ANSWER                                                     \
    "{\"build\":{\"id\":\"" CHILD                                        \
    "\",\"arn\":\"arn:aws:codebuild:us-east-1:123456789012:build/" CHILD \
    "\",\"buildNumber\":8,\"buildStatus\":\"IN_PROGRESS\",\"currentPhase\":\"QUEUED\"}}"
#define SECRET "canary-secret-key"
#define TOKEN "canary/session+token=="
#define DATE_MS INT64_C(1795000000000)
#define DATE_HEADER "Wed, 18 Nov 2026 11:06:40 GMT"

struct world {
    struct script_server *server;
    struct rb_settings settings;
    struct rb_clock clock;
    int64_t now_ms;
    struct rb_aws *aws;
    struct rb_codebuild *client;
    struct rb_arena arena;
    struct rb_err err;
    unsigned checks;
    enum rb_code check_says;
    bool repeats, start; /* of world_retry */
};

struct retried {
    enum rb_code rc;
    struct rb_build child;
    const char *access_key;
    int64_t retry_after_ms;
};

/* world_open, world_close - cmocka's setup and teardown. */
int world_open(void **state);
int world_close(void **state);
/* world_renew_client - another client on the same server, for a test that needs other settings. */
void world_renew_client(struct world *w);
/* world_retry - one RetryBuild of PARENT, dated a minute before the world's clock. */
struct retried world_retry(struct world *w);
/* world_counted - how many requests of this operation ended so. */
double world_counted(const char *operation, const char *result);

#define ROW(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)

#endif

/* What the engine asks about credentials and AWS's clock, in the test's world. */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct rb_aws {
    int unused;
};

enum rb_code rb_aws_credentials(struct rb_aws *aws, struct rb_credentials *ret_c,
                                struct rb_err *err)
{
    (void)aws;
    (void)err;
    *ret_c = (struct rb_credentials){.access_key = strdup("AKIDEXAMPLE")};
    return RB_OK;
}

void rb_credentials_release(struct rb_credentials *c)
{
    free(c->access_key);
    c->access_key = NULL;
}

enum rb_code rb_aws_credentials_for(struct rb_aws *aws, const char *account, const char *region,
                                    struct rb_credentials *ret_c, struct rb_err *err)
{
    (void)account;
    (void)region;
    return rb_aws_credentials(aws, ret_c, err); /* this world has one account */
}

enum rb_code rb_aws_session_initiator(struct rb_aws *aws, const char *account, const char *session,
                                      struct rb_arena *a, const char **ret_initiator,
                                      struct rb_err *err)
{
    (void)aws;
    (void)account;
    (void)err;
    *ret_initiator = the_world->exact ? rb_arena_printf(a, "retrybuild/%s", session) : NULL;
    return RB_OK;
}

enum rb_code rb_aws_credentials_as(struct rb_aws *aws, const char *account, const char *region,
                                   const char *session, struct rb_credentials *ret_c,
                                   struct rb_err *err)
{
    (void)aws;
    (void)account;
    (void)region;
    (void)err;
    assert_non_null(session);
    pthread_mutex_lock(&the_world->lock);
    unsigned n = the_world->n_sessions++; /* each time another key, as after a crash */
    pthread_mutex_unlock(&the_world->lock);
    *ret_c = (struct rb_credentials){.access_key = malloc(32)};
    assert_non_null(ret_c->access_key);
    snprintf(ret_c->access_key, 32, "ASIASESSION%u", n);
    return RB_OK;
}

void rb_aws_credentials_refused(struct rb_aws *aws)
{
    (void)aws;
    pthread_mutex_lock(&the_world->lock);
    the_world->n_refused_credentials++;
    pthread_mutex_unlock(&the_world->lock);
}

int64_t rb_aws_offset_ms(const struct rb_aws *aws)
{
    return rb_aws_offset_known(aws) ? the_world->offset_ms : 0;
}

bool rb_aws_offset_known(const struct rb_aws *aws)
{
    (void)aws;
    pthread_mutex_lock(&the_world->lock);
    bool known = the_world->offset_known;
    pthread_mutex_unlock(&the_world->lock);
    return known;
}

int64_t rb_aws_now_ms(const struct rb_aws *aws)
{
    return world_now_ms(the_world) + rb_aws_offset_ms(aws);
}

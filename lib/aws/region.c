/* The region where nobody has written one: of the profile, else of the instance. Source: facts on
 * AWS, 4.2. */
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/log.h>

#include "identity.h"

#define REGION_MAX_BYTES 40

static void aws_freep(struct rb_aws **aws)
{
    rb_aws_free(*aws);
}

static bool is_region(const char *s)
{
    size_t len = strlen(s);

    return len > 0 && len <= REGION_MAX_BYTES &&
           strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

/* In the arena; NULL: none. What is wrong with the files is told by whoever needs credentials. */
static const char *of_profile(const struct rb_aws *aws, struct rb_arena *a)
{
    RB_CLEANUP(rb_profiles_freep) struct rb_profiles *p = NULL;
    bool named = false;
    const char *profile = rb_profile_name(aws, &named);

    if (rb_profiles_load(&p, NULL) != RB_OK) {
        return NULL;
    }
    const char *region = rb_profiles_get(p, profile, "region", RB_PROFILE_CONFIG);
    if (region == NULL) {
        region = rb_profiles_get(p, profile, "region", RB_PROFILE_CREDENTIALS);
    }
    return rb_arena_strdup(a, region);
}

void rb_aws_settle_region(struct rb_settings *s, const struct rb_clock *clock)
{
    RB_CLEANUP(aws_freep) struct rb_aws *aws = NULL;
    const char *from = "the profile", *region = NULL;
    struct rb_err err = {.code = RB_OK};

    if (s->aws.region_from != NULL || rb_aws_new(s, clock, &aws, NULL) != RB_OK) {
        return;
    }
    region = of_profile(aws, &s->arena);
    if (region == NULL) {
        from = "the instance";
        if (rb_instance_region(aws, &s->arena, &region, &err) != RB_OK) {
            rb_log(RB_LOG_DEBUG, "aws.region", RB_F("error", err.msg));
            return;
        }
    }
    if (is_region(region)) {
        s->aws.region = region;
        s->aws.region_from = from;
    }
}

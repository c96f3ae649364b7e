#include "codebuild_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <retrybuild/counters.h>

static int64_t unix_ms(void *arg)
{
    const struct world *w = arg;
    return w->now_ms;
}

static int64_t boot_ms(void *arg)
{
    (void)arg;
    return rb_boot_ms(rb_clock_system());
}

int world_open(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    w->server = script_server_start();
    w->now_ms = DATE_MS;
    w->clock = (struct rb_clock){.unix_ms = unix_ms, .boot_ms = boot_ms, .arg = w};
    w->settings.aws.endpoint_url = script_server_url(w->server);
    w->settings.timing.call_timeout_ms = 20000;
    setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE", 1);
    setenv("AWS_SECRET_ACCESS_KEY", SECRET, 1);
    setenv("AWS_SESSION_TOKEN", TOKEN, 1);
    assert_int_equal(rb_aws_new(&w->settings, &w->clock, &w->aws, NULL), RB_OK);
    assert_int_equal(rb_codebuild_new(w->aws, &w->settings, &w->client, NULL), RB_OK);
    rb_arena_init(&w->arena, (size_t)1024 * 1024);
    rb_metrics_reset_for_test();
    *state = w;
    return 0;
}

int world_close(void **state)
{
    struct world *w = *state;

    rb_codebuild_free(w->client);
    rb_aws_free(w->aws);
    script_server_stop(w->server);
    rb_arena_release(&w->arena);
    free(w);
    return 0;
}

void world_renew_client(struct world *w)
{
    rb_codebuild_free(w->client);
    w->client = NULL;
    assert_int_equal(rb_codebuild_new(w->aws, &w->settings, &w->client, NULL), RB_OK);
}

static enum rb_code last_check(void *arg, struct rb_err *err)
{
    struct world *w = arg;

    w->checks++;
    return w->check_says == RB_OK ? RB_OK : rb_err_set(err, w->check_says, "the check said no");
}

struct retried world_retry(struct world *w)
{
    const struct rb_retry_call call = {.region = "us-east-1",
                                       .build_id = PARENT,
                                       .token = "token-1",
                                       .date_ms = DATE_MS - 60000,
                                       .repeats = w->repeats,
                                       .start = w->start,
                                       .last_check = last_check,
                                       .arg = w};
    struct retried r = {.rc = RB_OK};

    r.rc = rb_codebuild_retry(w->client, &call, &w->arena, &r.child, &r.access_key,
                              &r.retry_after_ms, &w->err);
    return r;
}

double world_counted(const char *operation, const char *result)
{
    return rb_metric_value(rb_metric_cell(RB_M_CODEBUILD_REQUESTS, operation, result));
}

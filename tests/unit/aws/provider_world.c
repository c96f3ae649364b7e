#include "provider_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <retrybuild/cleanup.h>

static const char *const VARIABLES[] = {
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_SESSION_NAME",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_STS",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
    "AWS_EC2_METADATA_V1_DISABLED",
};

int provider_world_open(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    for (size_t i = 0; i < RB_ARRAY_LEN(VARIABLES); i++) {
        unsetenv(VARIABLES[i]);
    }
    snprintf(w->dir, sizeof(w->dir), "/tmp/rb-providers-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    w->server = script_server_start();
    w->settings.aws.region = "us-east-1";
    setenv("HOME", w->dir, 1);
    setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
    setenv("AWS_ENDPOINT_URL_STS", script_server_url(w->server), 1);
    snprintf(w->path, sizeof(w->path), "%s/credentials", w->dir);
    setenv("AWS_SHARED_CREDENTIALS_FILE", w->path, 1);
    snprintf(w->path, sizeof(w->path), "%s/config", w->dir);
    setenv("AWS_CONFIG_FILE", w->path, 1);
    *state = w;
    return 0;
}

int provider_world_close(void **state)
{
    struct world *w = *state;
    static const char *const names[] = {"credentials", "config", "token"};

    for (size_t i = 0; i < RB_ARRAY_LEN(names); i++) {
        snprintf(w->path, sizeof(w->path), "%s/%s", w->dir, names[i]);
        unlink(w->path);
    }
    rmdir(w->dir);
    rb_aws_free(w->aws);
    script_server_stop(w->server);
    free(w);
    return 0;
}

const char *write_file(struct world *w, const char *name, const char *text)
{
    snprintf(w->path, sizeof(w->path), "%s/%s", w->dir, name);
    FILE *f = fopen(w->path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
    return w->path;
}

enum rb_code fetch(struct world *w, struct rb_credentials *ret_c, struct rb_err *err)
{
    rb_aws_free(w->aws);
    w->aws = NULL;
    assert_int_equal(rb_aws_new(&w->settings, rb_clock_system(), &w->aws, NULL), RB_OK);
    w->aws->provider_pause_ms = 1;
    *err = (struct rb_err){.code = RB_OK};
    *ret_c = (struct rb_credentials){.access_key = NULL};
    return rb_aws_credentials(w->aws, ret_c, err);
}

void assert_gives(struct world *w, const char *provider, const char *key, const char *token)
{
    RB_CLEANUP(rb_credentials_release) struct rb_credentials c;
    struct rb_err err;

    enum rb_code rc = fetch(w, &c, &err);
    if (rc != RB_OK) {
        fail_msg("%s", err.msg);
    }
    assert_string_equal(c.provider, provider);
    assert_string_equal(c.access_key, key);
    assert_string_equal(rb_secret_data(c.secret_key), "canary");
    assert_string_equal(c.session_token == NULL ? "" : rb_secret_data(c.session_token), token);
}

void assert_refuses(struct world *w, const char *what)
{
    RB_CLEANUP(rb_credentials_release) struct rb_credentials c;
    struct rb_err err;

    assert_int_equal(fetch(w, &c, &err), RB_E_CREDENTIALS);
    if (strstr(err.msg, what) == NULL) {
        fail_msg("'%s' is not in: %s", what, err.msg);
    }
    assert_null(strstr(err.msg, "canary"));
}

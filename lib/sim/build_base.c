/* build_base.c - the members of a build that never change: the project's settings with the
 * overrides of StartBuild laid over them, or those of the build that is retried. */
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/digest.h>
#include <retrybuild/json.h>
#include <retrybuild/str.h>

#include "core.h"

/* Where each override of StartBuild goes. group NULL: the build itself. */
static const struct {
    const char *name, *group, *member;
} overrides_table[] = {
    {"buildStatusConfigOverride", "source", "buildStatusConfig"},
    {"buildspecOverride", "source", "buildspec"},
    {"cacheOverride", NULL, "cache"},
    {"certificateOverride", "environment", "certificate"},
    {"computeTypeOverride", "environment", "computeType"},
    {"encryptionKeyOverride", NULL, "encryptionKey"},
    {"environmentTypeOverride", "environment", "type"},
    {"fleetOverride", "environment", "fleet"},
    {"gitCloneDepthOverride", "source", "gitCloneDepth"},
    {"gitSubmodulesConfigOverride", "source", "gitSubmodulesConfig"},
    {"hostKernelOverride", "environment", "hostKernel"},
    {"imageOverride", "environment", "image"},
    {"imagePullCredentialsTypeOverride", "environment", "imagePullCredentialsType"},
    {"insecureSslOverride", "source", "insecureSsl"},
    {"privilegedModeOverride", "environment", "privilegedMode"},
    {"queuedTimeoutInMinutesOverride", NULL, "queuedTimeoutInMinutes"},
    {"registryCredentialOverride", "environment", "registryCredential"},
    {"reportBuildStatusOverride", "source", "reportBuildStatus"},
    {"secondarySourcesOverride", NULL, "secondarySources"},
    {"secondarySourcesVersionOverride", NULL, "secondarySourceVersions"},
    {"serviceRoleOverride", NULL, "serviceRole"},
    {"sourceAuthOverride", "source", "auth"},
    {"sourceLocationOverride", "source", "location"},
    {"sourceTypeOverride", "source", "type"},
    {"sourceVersion", NULL, "sourceVersion"},
    {"timeoutInMinutesOverride", NULL, "timeoutInMinutes"},
};

/* Members of Project that a Build has under the same name and in the same form. */
static const char *const shared[] = {
    "source",        "secondarySources", "secondarySourceVersions", "cache",
    "environment",   "serviceRole",      "timeoutInMinutes",        "queuedTimeoutInMinutes",
    "encryptionKey", "vpcConfig",        "fileSystemLocations",     "sourceVersion",
};

static void merge_variables(json_t *environment, json_t *more)
{
    json_t *all = json_copy(json_object_get(environment, "environmentVariables"));
    size_t i;
    json_t *one;
    all = all == NULL ? json_array() : all;
    json_array_foreach(more, i, one)
    {
        const char *name = json_string_value(json_object_get(one, "name"));
        size_t k = 0;
        for (; k < json_array_size(all); k++) {
            json_t *there = json_object_get(json_array_get(all, k), "name");
            if (rb_str_eq(json_string_value(there), name)) {
                break;
            }
        }
        json_t *full = json_pack("{s:s}", "type", "PLAINTEXT");
        json_object_update(full, one);
        if (k < json_array_size(all)) {
            json_array_set_new(all, k, full);
        } else {
            json_array_append_new(all, full);
        }
    }
    json_object_set_new(environment, "environmentVariables", all);
}

/* BuildArtifacts of ProjectArtifacts: where the artifact will be. */
static json_t *artifacts_of(const struct rb_sim *sim, json_t *project_artifacts)
{
    json_t *out = json_object();
    const char *type = json_string_value(json_object_get(project_artifacts, "type"));
    const char *bucket = json_string_value(json_object_get(project_artifacts, "location"));
    const char *name = json_string_value(json_object_get(project_artifacts, "name"));
    if (rb_str_eq(type, "S3") && !rb_str_empty(bucket)) {
        json_object_set_new(out, "location",
                            json_sprintf("arn:%s:s3:::%s%s%s", sim->partition, bucket,
                                         name == NULL ? "" : "/", name == NULL ? "" : name));
    } else {
        json_object_set_new(out, "location", json_string(""));
    }
    static const char *const same[] = {"artifactIdentifier", "bucketOwnerAccess",
                                       "encryptionDisabled", "overrideArtifactName"};
    for (size_t i = 0; i < RB_ARRAY_LEN(same); i++) {
        json_t *v = json_object_get(project_artifacts, same[i]);
        if (v != NULL && !json_is_null(v)) {
            json_object_set(out, same[i], v);
        }
    }
    return out;
}

static void set_artifacts(const struct rb_sim *sim, json_t *base, json_t *body, json_t *overrides)
{
    json_t *one = json_object_get(overrides, "artifactsOverride");
    json_t *many = json_object_get(overrides, "secondaryArtifactsOverride");
    one = json_is_object(one) ? one : json_object_get(body, "artifacts");
    many = json_is_array(many) ? many : json_object_get(body, "secondaryArtifacts");
    json_object_set_new(base, "artifacts", artifacts_of(sim, one));
    json_t *list = json_array();
    size_t i;
    json_t *a;
    json_array_foreach(many, i, a)
    {
        json_array_append_new(list, artifacts_of(sim, a));
    }
    json_object_set_new(base, "secondaryArtifacts", list);
}

/* The commit that a git source version stands for; made up, but the same for the same version. */
static void set_resolved(json_t *base)
{
    static const char *const git[] = {"GITHUB",    "GITHUB_ENTERPRISE", "GITLAB",
                                      "BITBUCKET", "CODECOMMIT",        "GITLAB_SELF_MANAGED"};
    json_t *source = json_object_get(base, "source");
    const char *type = json_string_value(json_object_get(source, "type"));
    bool is_git = false;
    for (size_t i = 0; i < RB_ARRAY_LEN(git); i++) {
        is_git = is_git || rb_str_eq(git[i], type);
    }
    if (!is_git) {
        return;
    }
    const char *version = json_string_value(json_object_get(base, "sourceVersion"));
    if (version != NULL && strlen(version) == 40 &&
        strspn(version, "0123456789abcdef") == strlen(version)) {
        json_object_set_new(base, "resolvedSourceVersion", json_string(version));
        return;
    }
    uint8_t digest[RB_SHA256_BYTES];
    char hex[RB_SHA256_HEX_BYTES];
    const char *location = json_string_value(json_object_get(source, "location"));
    const struct rb_slice parts[] = {rb_slice_str(location), rb_slice_str(version)};
    rb_sha256_parts(parts, RB_ARRAY_LEN(parts), digest);
    rb_hex(digest, sizeof digest, hex);
    hex[40] = '\0';
    json_object_set_new(base, "resolvedSourceVersion", json_string(hex));
}

json_t *sim_build_base(struct rb_sim *sim, const struct sim_project *p, json_t *overrides)
{
    json_t *base = json_object();
    json_object_set_new(base, "projectName", json_string(p->name));
    for (size_t i = 0; i < RB_ARRAY_LEN(shared); i++) {
        json_t *v = json_object_get(p->body, shared[i]);
        if (v != NULL) {
            json_object_set_new(base, shared[i], json_deep_copy(v));
        }
    }
    for (size_t i = 0; i < RB_ARRAY_LEN(overrides_table); i++) {
        json_t *v = json_object_get(overrides, overrides_table[i].name);
        if (v != NULL && !json_is_null(v)) {
            const char *group = overrides_table[i].group;
            json_object_set_new(group == NULL ? base : json_object_get(base, group),
                                overrides_table[i].member, json_deep_copy(v));
        }
    }
    merge_variables(json_object_get(base, "environment"),
                    json_object_get(overrides, "environmentVariablesOverride"));
    set_artifacts(sim, base, p->body, overrides);
    json_t *vpc = json_object_get(base, "vpcConfig");
    if (vpc != NULL) {
        json_t *subnet = json_array_get(json_object_get(vpc, "subnets"), 0);
        json_object_set_new(base, "networkInterface",
                            json_pack("{s:s, s:O*}", "networkInterfaceId", "eni-0123456789abcdef0",
                                      "subnetId", subnet));
    }
    if (json_object_get(base, "fileSystemLocations") == NULL) {
        json_object_set_new(base, "fileSystemLocations", json_array());
    }
    json_object_set_new(base, "exportedEnvironmentVariables", json_array());
    json_object_set_new(base, "reportArns", json_array());
    set_resolved(base);
    return base;
}

json_t *sim_build_logs_config(const struct sim_project *p, json_t *overrides)
{
    json_t *config = json_pack("{s:{s:s}, s:{s:s, s:b}}", "cloudWatchLogs", "status", "ENABLED",
                               "s3Logs", "status", "DISABLED", "encryptionDisabled", 0);
    json_t *given = json_object_get(overrides, "logsConfigOverride");
    given = json_is_object(given) ? given : json_object_get(p->body, "logsConfig");
    static const char *const parts[] = {"cloudWatchLogs", "s3Logs"};
    for (size_t i = 0; i < RB_ARRAY_LEN(parts); i++) {
        json_t *part = json_object_get(given, parts[i]);
        if (json_is_object(part)) {
            json_object_update(json_object_get(config, parts[i]), part);
        }
    }
    return config;
}

json_t *sim_build_retry_base(json_t *base)
{
    json_t *copy = json_deep_copy(base);
    json_t *variables =
        json_object_get(json_object_get(copy, "environment"), "environmentVariables");
    for (size_t i = json_array_size(variables); i > 0; i--) {
        json_t *name = json_object_get(json_array_get(variables, i - 1), "name");
        /* source: a retried build lacks the webhook's variables */
        if (rb_str_starts(json_string_value(name), "CODEBUILD_WEBHOOK_")) {
            json_array_remove(variables, i - 1);
        }
    }
    return copy;
}

/* model_batches.c - what the operations of batch builds take, as data: CodeBuild API 2016-10-06. */
#include "model.h"

static const struct sim_member start_build_batch_input_members[] = {
    {"projectName", &sim_non_empty_string_shape, true},
    {"secondarySourcesOverride", &sim_project_sources_shape, false},
    {"secondarySourcesVersionOverride", &sim_project_secondary_source_versions_shape, false},
    {"sourceVersion", &sim_string_shape, false},
    {"artifactsOverride", &sim_project_artifacts_shape, false},
    {"secondaryArtifactsOverride", &sim_project_artifacts_list_shape, false},
    {"environmentVariablesOverride", &sim_environment_variables_shape, false},
    {"sourceTypeOverride", &sim_source_type_shape, false},
    {"sourceLocationOverride", &sim_string_shape, false},
    {"sourceAuthOverride", &sim_source_auth_shape, false},
    {"gitCloneDepthOverride", &sim_git_clone_depth_shape, false},
    {"gitSubmodulesConfigOverride", &sim_git_submodules_config_shape, false},
    {"buildspecOverride", &sim_string_shape, false},
    {"insecureSslOverride", &sim_wrapper_boolean_shape, false},
    {"reportBuildBatchStatusOverride", &sim_wrapper_boolean_shape, false},
    {"environmentTypeOverride", &sim_environment_type_shape, false},
    {"imageOverride", &sim_non_empty_string_shape, false},
    {"computeTypeOverride", &sim_compute_type_shape, false},
    {"certificateOverride", &sim_string_shape, false},
    {"cacheOverride", &sim_project_cache_shape, false},
    {"serviceRoleOverride", &sim_non_empty_string_shape, false},
    {"privilegedModeOverride", &sim_wrapper_boolean_shape, false},
    {"buildTimeoutInMinutesOverride", &sim_build_time_out_shape, false},
    {"queuedTimeoutInMinutesOverride", &sim_time_out_shape, false},
    {"encryptionKeyOverride", &sim_non_empty_string_shape, false},
    {"idempotencyToken", &sim_string_shape, false},
    {"logsConfigOverride", &sim_logs_config_shape, false},
    {"registryCredentialOverride", &sim_registry_credential_shape, false},
    {"imagePullCredentialsTypeOverride", &sim_image_pull_credentials_type_shape, false},
    {"buildBatchConfigOverride", &sim_project_build_batch_config_shape, false},
    {"debugSessionEnabled", &sim_wrapper_boolean_shape, false},
    {NULL, NULL, false},
};
const struct sim_shape sim_start_build_batch_input = {.kind = SIM_STRUCTURE,
                                                      .members = start_build_batch_input_members};
static const char *const retry_type_values[] = {"RETRY_ALL_BUILDS", "RETRY_FAILED_BUILDS", NULL};
static const struct sim_shape retry_type_shape = {.kind = SIM_STRING, .values = retry_type_values};
static const struct sim_member retry_build_batch_input_members[] = {
    {"id", &sim_non_empty_string_shape, false},
    {"idempotencyToken", &sim_string_shape, false},
    {"retryType", &retry_type_shape, false},
    {NULL, NULL, false},
};
const struct sim_shape sim_retry_build_batch_input = {.kind = SIM_STRUCTURE,
                                                      .members = retry_build_batch_input_members};
static const struct sim_member stop_build_batch_input_members[] = {
    {"id", &sim_non_empty_string_shape, true},
    {NULL, NULL, false},
};
const struct sim_shape sim_stop_build_batch_input = {.kind = SIM_STRUCTURE,
                                                     .members = stop_build_batch_input_members};
static const struct sim_shape batch_ids_shape = {
    .kind = SIM_LIST, .item = &sim_non_empty_string_shape, .has_max = true, .max = 100};
static const struct sim_member batch_get_build_batches_input_members[] = {
    {"ids", &batch_ids_shape, true},
    {NULL, NULL, false},
};
const struct sim_shape sim_batch_get_build_batches_input = {
    .kind = SIM_STRUCTURE, .members = batch_get_build_batches_input_members};
static const char *const status_values[] = {"SUCCEEDED",   "FAILED",  "FAULT", "TIMED_OUT",
                                            "IN_PROGRESS", "STOPPED", NULL};
static const struct sim_shape status_shape = {.kind = SIM_STRING, .values = status_values};
static const struct sim_member filter_members[] = {
    {"status", &status_shape, false},
    {NULL, NULL, false},
};
static const struct sim_shape filter_shape = {.kind = SIM_STRUCTURE, .members = filter_members};
static const struct sim_shape page_size_shape = {
    .kind = SIM_INTEGER, .has_min = true, .min = 1, .has_max = true, .max = 100};
static const struct sim_member list_build_batches_input_members[] = {
    {"filter", &filter_shape, false},
    {"maxResults", &page_size_shape, false},
    {"sortOrder", &sim_sort_order_type_shape, false},
    {"nextToken", &sim_string_shape, false},
    {NULL, NULL, false},
};
const struct sim_shape sim_list_build_batches_input = {.kind = SIM_STRUCTURE,
                                                       .members = list_build_batches_input_members};
static const struct sim_member list_build_batches_for_project_input_members[] = {
    {"projectName", &sim_non_empty_string_shape, false},
    {"filter", &filter_shape, false},
    {"maxResults", &page_size_shape, false},
    {"sortOrder", &sim_sort_order_type_shape, false},
    {"nextToken", &sim_string_shape, false},
    {NULL, NULL, false},
};
const struct sim_shape sim_list_build_batches_for_project_input = {
    .kind = SIM_STRUCTURE, .members = list_build_batches_for_project_input_members};

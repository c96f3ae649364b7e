/* model_inputs.c - what each operation takes, as data: CodeBuild API 2016-10-06. */
#include "model.h"

static const struct sim_member create_project_input_members[] = {
    {"name", &sim_project_name_shape, true},
    {"description", &sim_project_description_shape, false},
    {"source", &sim_project_source_shape, true},
    {"secondarySources", &sim_project_sources_shape, false},
    {"sourceVersion", &sim_string_shape, false},
    {"secondarySourceVersions", &sim_project_secondary_source_versions_shape, false},
    {"artifacts", &sim_project_artifacts_shape, true},
    {"secondaryArtifacts", &sim_project_artifacts_list_shape, false},
    {"cache", &sim_project_cache_shape, false},
    {"environment", &sim_project_environment_shape, true},
    {"serviceRole", &sim_non_empty_string_shape, true},
    {"timeoutInMinutes", &sim_build_time_out_shape, false},
    {"queuedTimeoutInMinutes", &sim_time_out_shape, false},
    {"encryptionKey", &sim_non_empty_string_shape, false},
    {"tags", &sim_tag_list_shape, false},
    {"vpcConfig", &sim_vpc_config_shape, false},
    {"badgeEnabled", &sim_wrapper_boolean_shape, false},
    {"logsConfig", &sim_logs_config_shape, false},
    {"fileSystemLocations", &sim_project_file_system_locations_shape, false},
    {"buildBatchConfig", &sim_project_build_batch_config_shape, false},
    {"concurrentBuildLimit", &sim_wrapper_int_shape, false},
    {"autoRetryLimit", &sim_wrapper_int_shape, false},
    {NULL, NULL, false},
};
const struct sim_shape sim_create_project_input = {.kind = SIM_STRUCTURE,
                                                   .members = create_project_input_members};
static const struct sim_member batch_get_projects_input_members[] = {
    {"names", &sim_project_names_shape, true},
    {NULL, NULL, false},
};
const struct sim_shape sim_batch_get_projects_input = {.kind = SIM_STRUCTURE,
                                                       .members = batch_get_projects_input_members};
static const struct sim_member list_projects_input_members[] = {
    {"sortBy", &sim_project_sort_by_type_shape, false},
    {"sortOrder", &sim_sort_order_type_shape, false},
    {"nextToken", &sim_non_empty_string_shape, false},
    {NULL, NULL, false},
};
const struct sim_shape sim_list_projects_input = {.kind = SIM_STRUCTURE,
                                                  .members = list_projects_input_members};
static const struct sim_member delete_project_input_members[] = {
    {"name", &sim_non_empty_string_shape, true},
    {NULL, NULL, false},
};
const struct sim_shape sim_delete_project_input = {.kind = SIM_STRUCTURE,
                                                   .members = delete_project_input_members};
static const struct sim_member start_build_input_members[] = {
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
    {"reportBuildStatusOverride", &sim_wrapper_boolean_shape, false},
    {"buildStatusConfigOverride", &sim_build_status_config_shape, false},
    {"environmentTypeOverride", &sim_environment_type_shape, false},
    {"imageOverride", &sim_non_empty_string_shape, false},
    {"computeTypeOverride", &sim_compute_type_shape, false},
    {"certificateOverride", &sim_string_shape, false},
    {"cacheOverride", &sim_project_cache_shape, false},
    {"serviceRoleOverride", &sim_non_empty_string_shape, false},
    {"privilegedModeOverride", &sim_wrapper_boolean_shape, false},
    {"timeoutInMinutesOverride", &sim_build_time_out_shape, false},
    {"queuedTimeoutInMinutesOverride", &sim_time_out_shape, false},
    {"encryptionKeyOverride", &sim_non_empty_string_shape, false},
    {"idempotencyToken", &sim_string_shape, false},
    {"logsConfigOverride", &sim_logs_config_shape, false},
    {"registryCredentialOverride", &sim_registry_credential_shape, false},
    {"imagePullCredentialsTypeOverride", &sim_image_pull_credentials_type_shape, false},
    {"debugSessionEnabled", &sim_wrapper_boolean_shape, false},
    {"fleetOverride", &sim_project_fleet_shape, false},
    {"autoRetryLimitOverride", &sim_wrapper_int_shape, false},
    {"hostKernelOverride", &sim_host_kernel_shape, false},
    {NULL, NULL, false},
};
const struct sim_shape sim_start_build_input = {.kind = SIM_STRUCTURE,
                                                .members = start_build_input_members};
static const struct sim_member stop_build_input_members[] = {
    {"id", &sim_non_empty_string_shape, true},
    {NULL, NULL, false},
};
const struct sim_shape sim_stop_build_input = {.kind = SIM_STRUCTURE,
                                               .members = stop_build_input_members};
static const struct sim_member retry_build_input_members[] = {
    {"id", &sim_non_empty_string_shape, false},
    {"idempotencyToken", &sim_string_shape, false},
    {NULL, NULL, false},
};
const struct sim_shape sim_retry_build_input = {.kind = SIM_STRUCTURE,
                                                .members = retry_build_input_members};
static const struct sim_member batch_get_builds_input_members[] = {
    {"ids", &sim_build_ids_shape, true},
    {NULL, NULL, false},
};
const struct sim_shape sim_batch_get_builds_input = {.kind = SIM_STRUCTURE,
                                                     .members = batch_get_builds_input_members};
static const struct sim_member list_builds_input_members[] = {
    {"sortOrder", &sim_sort_order_type_shape, false},
    {"nextToken", &sim_string_shape, false},
    {NULL, NULL, false},
};
const struct sim_shape sim_list_builds_input = {.kind = SIM_STRUCTURE,
                                                .members = list_builds_input_members};
static const struct sim_member list_builds_for_project_input_members[] = {
    {"projectName", &sim_non_empty_string_shape, true},
    {"sortOrder", &sim_sort_order_type_shape, false},
    {"nextToken", &sim_string_shape, false},
    {NULL, NULL, false},
};
const struct sim_shape sim_list_builds_for_project_input = {
    .kind = SIM_STRUCTURE, .members = list_builds_for_project_input_members};

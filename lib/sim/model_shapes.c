/* model_shapes.c - the parts that inputs are made of: shapes of CodeBuild API 2016-10-06 as data
 * (required members, lengths, ranges, enums). Leaves stand before what uses them. */
#include "model.h"

const struct sim_shape sim_project_name_shape = {.kind = SIM_STRING,
                                                 .project_name = true,
                                                 .has_min = true,
                                                 .min = 2,
                                                 .has_max = true,
                                                 .max = 150};
const struct sim_shape sim_project_description_shape = {
    .kind = SIM_STRING, .has_min = true, .min = 0, .has_max = true, .max = 255};
static const char *const source_type_values[] = {
    "CODECOMMIT", "CODEPIPELINE",      "GITHUB",    "GITLAB", "GITLAB_SELF_MANAGED", "S3",
    "BITBUCKET",  "GITHUB_ENTERPRISE", "NO_SOURCE", NULL};
const struct sim_shape sim_source_type_shape = {.kind = SIM_STRING, .values = source_type_values};
const struct sim_shape sim_string_shape = {.kind = SIM_STRING};
const struct sim_shape sim_git_clone_depth_shape = {.kind = SIM_INTEGER, .has_min = true, .min = 0};
const struct sim_shape sim_wrapper_boolean_shape = {.kind = SIM_BOOLEAN};
static const struct sim_member git_submodules_config_members[] = {
    {"fetchSubmodules", &sim_wrapper_boolean_shape, true},
    {NULL, NULL, false},
};
const struct sim_shape sim_git_submodules_config_shape = {.kind = SIM_STRUCTURE,
                                                          .members = git_submodules_config_members};
static const char *const source_auth_type_values[] = {"OAUTH", "CODECONNECTIONS", "SECRETS_MANAGER",
                                                      NULL};
static const struct sim_shape source_auth_type_shape = {.kind = SIM_STRING,
                                                        .values = source_auth_type_values};
static const struct sim_member source_auth_members[] = {
    {"type", &source_auth_type_shape, true},
    {"resource", &sim_string_shape, false},
    {NULL, NULL, false},
};
const struct sim_shape sim_source_auth_shape = {.kind = SIM_STRUCTURE,
                                                .members = source_auth_members};
static const struct sim_member build_status_config_members[] = {
    {"context", &sim_string_shape, false},
    {"targetUrl", &sim_string_shape, false},
    {NULL, NULL, false},
};
const struct sim_shape sim_build_status_config_shape = {.kind = SIM_STRUCTURE,
                                                        .members = build_status_config_members};
static const struct sim_member project_source_members[] = {
    {"type", &sim_source_type_shape, true},
    {"location", &sim_string_shape, false},
    {"gitCloneDepth", &sim_git_clone_depth_shape, false},
    {"gitSubmodulesConfig", &sim_git_submodules_config_shape, false},
    {"buildspec", &sim_string_shape, false},
    {"auth", &sim_source_auth_shape, false},
    {"reportBuildStatus", &sim_wrapper_boolean_shape, false},
    {"buildStatusConfig", &sim_build_status_config_shape, false},
    {"insecureSsl", &sim_wrapper_boolean_shape, false},
    {"sourceIdentifier", &sim_string_shape, false},
    {NULL, NULL, false},
};
const struct sim_shape sim_project_source_shape = {.kind = SIM_STRUCTURE,
                                                   .members = project_source_members};
const struct sim_shape sim_project_sources_shape = {.kind = SIM_LIST,
                                                    .item = &sim_project_source_shape,
                                                    .has_min = true,
                                                    .min = 0,
                                                    .has_max = true,
                                                    .max = 12};
static const struct sim_member project_source_version_members[] = {
    {"sourceIdentifier", &sim_string_shape, true},
    {"sourceVersion", &sim_string_shape, true},
    {NULL, NULL, false},
};
static const struct sim_shape project_source_version_shape = {
    .kind = SIM_STRUCTURE, .members = project_source_version_members};
const struct sim_shape sim_project_secondary_source_versions_shape = {
    .kind = SIM_LIST,
    .item = &project_source_version_shape,
    .has_min = true,
    .min = 0,
    .has_max = true,
    .max = 12};
static const char *const artifacts_type_values[] = {"CODEPIPELINE", "S3", "NO_ARTIFACTS", NULL};
static const struct sim_shape artifacts_type_shape = {.kind = SIM_STRING,
                                                      .values = artifacts_type_values};
static const char *const artifact_namespace_values[] = {"NONE", "BUILD_ID", NULL};
static const struct sim_shape artifact_namespace_shape = {.kind = SIM_STRING,
                                                          .values = artifact_namespace_values};
static const char *const artifact_packaging_values[] = {"NONE", "ZIP", NULL};
static const struct sim_shape artifact_packaging_shape = {.kind = SIM_STRING,
                                                          .values = artifact_packaging_values};
static const char *const bucket_owner_access_values[] = {"NONE", "READ_ONLY", "FULL", NULL};
static const struct sim_shape bucket_owner_access_shape = {.kind = SIM_STRING,
                                                           .values = bucket_owner_access_values};
static const struct sim_member project_artifacts_members[] = {
    {"type", &artifacts_type_shape, true},
    {"location", &sim_string_shape, false},
    {"path", &sim_string_shape, false},
    {"namespaceType", &artifact_namespace_shape, false},
    {"name", &sim_string_shape, false},
    {"packaging", &artifact_packaging_shape, false},
    {"overrideArtifactName", &sim_wrapper_boolean_shape, false},
    {"encryptionDisabled", &sim_wrapper_boolean_shape, false},
    {"artifactIdentifier", &sim_string_shape, false},
    {"bucketOwnerAccess", &bucket_owner_access_shape, false},
    {NULL, NULL, false},
};
const struct sim_shape sim_project_artifacts_shape = {.kind = SIM_STRUCTURE,
                                                      .members = project_artifacts_members};
const struct sim_shape sim_project_artifacts_list_shape = {.kind = SIM_LIST,
                                                           .item = &sim_project_artifacts_shape,
                                                           .has_min = true,
                                                           .min = 0,
                                                           .has_max = true,
                                                           .max = 12};
static const char *const cache_type_values[] = {"NO_CACHE", "S3", "LOCAL", NULL};
static const struct sim_shape cache_type_shape = {.kind = SIM_STRING, .values = cache_type_values};
static const char *const cache_mode_values[] = {"LOCAL_DOCKER_LAYER_CACHE", "LOCAL_SOURCE_CACHE",
                                                "LOCAL_CUSTOM_CACHE", NULL};
static const struct sim_shape cache_mode_shape = {.kind = SIM_STRING, .values = cache_mode_values};
static const struct sim_shape project_cache_modes_shape = {.kind = SIM_LIST,
                                                           .item = &cache_mode_shape};
static const struct sim_member project_cache_members[] = {
    {"type", &cache_type_shape, true},
    {"location", &sim_string_shape, false},
    {"modes", &project_cache_modes_shape, false},
    {"cacheNamespace", &sim_string_shape, false},
    {NULL, NULL, false},
};
const struct sim_shape sim_project_cache_shape = {.kind = SIM_STRUCTURE,
                                                  .members = project_cache_members};
static const char *const environment_type_values[] = {"WINDOWS_CONTAINER",
                                                      "LINUX_CONTAINER",
                                                      "LINUX_GPU_CONTAINER",
                                                      "ARM_CONTAINER",
                                                      "WINDOWS_SERVER_2019_CONTAINER",
                                                      "WINDOWS_SERVER_2022_CONTAINER",
                                                      "LINUX_LAMBDA_CONTAINER",
                                                      "ARM_LAMBDA_CONTAINER",
                                                      "LINUX_EC2",
                                                      "ARM_EC2",
                                                      "WINDOWS_EC2",
                                                      "MAC_ARM",
                                                      NULL};
const struct sim_shape sim_environment_type_shape = {.kind = SIM_STRING,
                                                     .values = environment_type_values};
const struct sim_shape sim_non_empty_string_shape = {.kind = SIM_STRING, .has_min = true, .min = 1};
static const char *const compute_type_values[] = {"BUILD_GENERAL1_SMALL",
                                                  "BUILD_GENERAL1_MEDIUM",
                                                  "BUILD_GENERAL1_LARGE",
                                                  "BUILD_GENERAL1_XLARGE",
                                                  "BUILD_GENERAL1_2XLARGE",
                                                  "BUILD_LAMBDA_1GB",
                                                  "BUILD_LAMBDA_2GB",
                                                  "BUILD_LAMBDA_4GB",
                                                  "BUILD_LAMBDA_8GB",
                                                  "BUILD_LAMBDA_10GB",
                                                  "ATTRIBUTE_BASED_COMPUTE",
                                                  "CUSTOM_INSTANCE_TYPE",
                                                  NULL};
const struct sim_shape sim_compute_type_shape = {.kind = SIM_STRING, .values = compute_type_values};
static const struct sim_shape wrapper_long_shape = {.kind = SIM_INTEGER};
static const char *const machine_type_values[] = {"GENERAL", "NVME", NULL};
static const struct sim_shape machine_type_shape = {.kind = SIM_STRING,
                                                    .values = machine_type_values};
static const struct sim_member compute_configuration_members[] = {
    {"vCpu", &wrapper_long_shape, false},
    {"memory", &wrapper_long_shape, false},
    {"disk", &wrapper_long_shape, false},
    {"machineType", &machine_type_shape, false},
    {"instanceType", &sim_non_empty_string_shape, false},
    {NULL, NULL, false},
};
static const struct sim_shape compute_configuration_shape = {
    .kind = SIM_STRUCTURE, .members = compute_configuration_members};
static const struct sim_member project_fleet_members[] = {
    {"fleetArn", &sim_string_shape, false},
    {NULL, NULL, false},
};
const struct sim_shape sim_project_fleet_shape = {.kind = SIM_STRUCTURE,
                                                  .members = project_fleet_members};
static const char *const environment_variable_type_values[] = {"PLAINTEXT", "PARAMETER_STORE",
                                                               "SECRETS_MANAGER", NULL};
static const struct sim_shape environment_variable_type_shape = {
    .kind = SIM_STRING, .values = environment_variable_type_values};
static const struct sim_member environment_variable_members[] = {
    {"name", &sim_non_empty_string_shape, true},
    {"value", &sim_string_shape, true},
    {"type", &environment_variable_type_shape, false},
    {NULL, NULL, false},
};
static const struct sim_shape environment_variable_shape = {
    .kind = SIM_STRUCTURE, .members = environment_variable_members};
const struct sim_shape sim_environment_variables_shape = {.kind = SIM_LIST,
                                                          .item = &environment_variable_shape};
static const char *const credential_provider_type_values[] = {"SECRETS_MANAGER", NULL};
static const struct sim_shape credential_provider_type_shape = {
    .kind = SIM_STRING, .values = credential_provider_type_values};
static const struct sim_member registry_credential_members[] = {
    {"credential", &sim_non_empty_string_shape, true},
    {"credentialProvider", &credential_provider_type_shape, true},
    {NULL, NULL, false},
};
const struct sim_shape sim_registry_credential_shape = {.kind = SIM_STRUCTURE,
                                                        .members = registry_credential_members};
static const char *const image_pull_credentials_type_values[] = {"CODEBUILD", "SERVICE_ROLE", NULL};
const struct sim_shape sim_image_pull_credentials_type_shape = {
    .kind = SIM_STRING, .values = image_pull_credentials_type_values};
static const struct sim_shape security_group_ids_shape = {
    .kind = SIM_LIST, .item = &sim_non_empty_string_shape, .has_max = true, .max = 5};
static const struct sim_member docker_server_status_members[] = {
    {"status", &sim_string_shape, false},
    {"message", &sim_string_shape, false},
    {NULL, NULL, false},
};
static const struct sim_shape docker_server_status_shape = {
    .kind = SIM_STRUCTURE, .members = docker_server_status_members};
static const struct sim_member docker_server_members[] = {
    {"computeType", &sim_compute_type_shape, true},
    {"securityGroupIds", &security_group_ids_shape, false},
    {"status", &docker_server_status_shape, false},
    {NULL, NULL, false},
};
static const struct sim_shape docker_server_shape = {.kind = SIM_STRUCTURE,
                                                     .members = docker_server_members};
static const char *const host_kernel_values[] = {"LINUX_KERNEL_4", "LINUX_KERNEL_6",
                                                 "LINUX_KERNEL_LATEST", NULL};
const struct sim_shape sim_host_kernel_shape = {.kind = SIM_STRING, .values = host_kernel_values};
static const struct sim_member project_environment_members[] = {
    {"type", &sim_environment_type_shape, true},
    {"image", &sim_non_empty_string_shape, true},
    {"computeType", &sim_compute_type_shape, true},
    {"computeConfiguration", &compute_configuration_shape, false},
    {"fleet", &sim_project_fleet_shape, false},
    {"environmentVariables", &sim_environment_variables_shape, false},
    {"privilegedMode", &sim_wrapper_boolean_shape, false},
    {"certificate", &sim_string_shape, false},
    {"registryCredential", &sim_registry_credential_shape, false},
    {"imagePullCredentialsType", &sim_image_pull_credentials_type_shape, false},
    {"dockerServer", &docker_server_shape, false},
    {"hostKernel", &sim_host_kernel_shape, false},
    {NULL, NULL, false},
};
const struct sim_shape sim_project_environment_shape = {.kind = SIM_STRUCTURE,
                                                        .members = project_environment_members};
const struct sim_shape sim_build_time_out_shape = {
    .kind = SIM_INTEGER, .has_min = true, .min = 5, .has_max = true, .max = 2160};
const struct sim_shape sim_time_out_shape = {
    .kind = SIM_INTEGER, .has_min = true, .min = 5, .has_max = true, .max = 480};
static const struct sim_shape key_input_shape = {
    .kind = SIM_STRING, .has_min = true, .min = 1, .has_max = true, .max = 127};
static const struct sim_shape value_input_shape = {
    .kind = SIM_STRING, .has_min = true, .min = 0, .has_max = true, .max = 255};
static const struct sim_member tag_members[] = {
    {"key", &key_input_shape, false},
    {"value", &value_input_shape, false},
    {NULL, NULL, false},
};
static const struct sim_shape tag_shape = {.kind = SIM_STRUCTURE, .members = tag_members};
const struct sim_shape sim_tag_list_shape = {
    .kind = SIM_LIST, .item = &tag_shape, .has_min = true, .min = 0, .has_max = true, .max = 50};
static const struct sim_shape subnets_shape = {
    .kind = SIM_LIST, .item = &sim_non_empty_string_shape, .has_max = true, .max = 16};
static const struct sim_member vpc_config_members[] = {
    {"vpcId", &sim_non_empty_string_shape, false},
    {"subnets", &subnets_shape, false},
    {"securityGroupIds", &security_group_ids_shape, false},
    {NULL, NULL, false},
};
const struct sim_shape sim_vpc_config_shape = {.kind = SIM_STRUCTURE,
                                               .members = vpc_config_members};
static const char *const logs_config_status_type_values[] = {"ENABLED", "DISABLED", NULL};
static const struct sim_shape logs_config_status_type_shape = {
    .kind = SIM_STRING, .values = logs_config_status_type_values};
static const struct sim_member cloud_watch_logs_config_members[] = {
    {"status", &logs_config_status_type_shape, true},
    {"groupName", &sim_string_shape, false},
    {"streamName", &sim_string_shape, false},
    {NULL, NULL, false},
};
static const struct sim_shape cloud_watch_logs_config_shape = {
    .kind = SIM_STRUCTURE, .members = cloud_watch_logs_config_members};
static const struct sim_member s3_logs_config_members[] = {
    {"status", &logs_config_status_type_shape, true},
    {"location", &sim_string_shape, false},
    {"encryptionDisabled", &sim_wrapper_boolean_shape, false},
    {"bucketOwnerAccess", &bucket_owner_access_shape, false},
    {NULL, NULL, false},
};
static const struct sim_shape s3_logs_config_shape = {.kind = SIM_STRUCTURE,
                                                      .members = s3_logs_config_members};
static const struct sim_member logs_config_members[] = {
    {"cloudWatchLogs", &cloud_watch_logs_config_shape, false},
    {"s3Logs", &s3_logs_config_shape, false},
    {NULL, NULL, false},
};
const struct sim_shape sim_logs_config_shape = {.kind = SIM_STRUCTURE,
                                                .members = logs_config_members};
static const char *const file_system_type_values[] = {"EFS", NULL};
static const struct sim_shape file_system_type_shape = {.kind = SIM_STRING,
                                                        .values = file_system_type_values};
static const struct sim_member project_file_system_location_members[] = {
    {"type", &file_system_type_shape, false},   {"location", &sim_string_shape, false},
    {"mountPoint", &sim_string_shape, false},   {"identifier", &sim_string_shape, false},
    {"mountOptions", &sim_string_shape, false}, {NULL, NULL, false},
};
static const struct sim_shape project_file_system_location_shape = {
    .kind = SIM_STRUCTURE, .members = project_file_system_location_members};
const struct sim_shape sim_project_file_system_locations_shape = {
    .kind = SIM_LIST, .item = &project_file_system_location_shape};
const struct sim_shape sim_wrapper_int_shape = {.kind = SIM_INTEGER};
static const struct sim_shape compute_types_allowed_shape = {.kind = SIM_LIST,
                                                             .item = &sim_non_empty_string_shape};
static const struct sim_shape fleets_allowed_shape = {.kind = SIM_LIST,
                                                      .item = &sim_non_empty_string_shape};
static const struct sim_member batch_restrictions_members[] = {
    {"maximumBuildsAllowed", &sim_wrapper_int_shape, false},
    {"computeTypesAllowed", &compute_types_allowed_shape, false},
    {"fleetsAllowed", &fleets_allowed_shape, false},
    {NULL, NULL, false},
};
static const struct sim_shape batch_restrictions_shape = {.kind = SIM_STRUCTURE,
                                                          .members = batch_restrictions_members};
static const char *const batch_report_mode_type_values[] = {"REPORT_INDIVIDUAL_BUILDS",
                                                            "REPORT_AGGREGATED_BATCH", NULL};
static const struct sim_shape batch_report_mode_type_shape = {
    .kind = SIM_STRING, .values = batch_report_mode_type_values};
static const struct sim_member project_build_batch_config_members[] = {
    {"serviceRole", &sim_non_empty_string_shape, false},
    {"combineArtifacts", &sim_wrapper_boolean_shape, false},
    {"restrictions", &batch_restrictions_shape, false},
    {"timeoutInMins", &sim_wrapper_int_shape, false},
    {"batchReportMode", &batch_report_mode_type_shape, false},
    {NULL, NULL, false},
};
const struct sim_shape sim_project_build_batch_config_shape = {
    .kind = SIM_STRUCTURE, .members = project_build_batch_config_members};
const struct sim_shape sim_project_names_shape = {.kind = SIM_LIST,
                                                  .item = &sim_non_empty_string_shape,
                                                  .has_min = true,
                                                  .min = 1,
                                                  .has_max = true,
                                                  .max = 100};
static const char *const project_sort_by_type_values[] = {"NAME", "CREATED_TIME",
                                                          "LAST_MODIFIED_TIME", NULL};
const struct sim_shape sim_project_sort_by_type_shape = {.kind = SIM_STRING,
                                                         .values = project_sort_by_type_values};
static const char *const sort_order_type_values[] = {"ASCENDING", "DESCENDING", NULL};
const struct sim_shape sim_sort_order_type_shape = {.kind = SIM_STRING,
                                                    .values = sort_order_type_values};
const struct sim_shape sim_build_ids_shape = {.kind = SIM_LIST,
                                              .item = &sim_non_empty_string_shape,
                                              .has_min = true,
                                              .min = 1,
                                              .has_max = true,
                                              .max = 100};

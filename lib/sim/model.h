/* model.h - constraints of inputs as data, and the check that walks them. */
#ifndef RB_SIM_MODEL_H
#define RB_SIM_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include <retrybuild/err.h>

enum sim_shape_kind { SIM_STRING, SIM_INTEGER, SIM_BOOLEAN, SIM_LIST, SIM_STRUCTURE };

struct sim_shape;

struct sim_member {
    const char *name; /* NULL ends the list */
    const struct sim_shape *shape;
    bool required;
};

struct sim_shape {
    enum sim_shape_kind kind;
    bool project_name; /* letters, digits, dash, underscore; no dash or underscore first */
    bool has_min, has_max;
    int64_t min, max;                 /* length of a string or list, value of an integer */
    const char *const *values;        /* enum of a string, NULL-terminated */
    const struct sim_shape *item;     /* of a list */
    const struct sim_member *members; /* of a structure */
};

/* parts shared by inputs */
extern const struct sim_shape sim_project_name_shape;
extern const struct sim_shape sim_project_description_shape;
extern const struct sim_shape sim_source_type_shape;
extern const struct sim_shape sim_string_shape;
extern const struct sim_shape sim_git_clone_depth_shape;
extern const struct sim_shape sim_wrapper_boolean_shape;
extern const struct sim_shape sim_git_submodules_config_shape;
extern const struct sim_shape sim_source_auth_shape;
extern const struct sim_shape sim_build_status_config_shape;
extern const struct sim_shape sim_project_source_shape;
extern const struct sim_shape sim_project_sources_shape;
extern const struct sim_shape sim_project_secondary_source_versions_shape;
extern const struct sim_shape sim_project_artifacts_shape;
extern const struct sim_shape sim_project_artifacts_list_shape;
extern const struct sim_shape sim_project_cache_shape;
extern const struct sim_shape sim_environment_type_shape;
extern const struct sim_shape sim_non_empty_string_shape;
extern const struct sim_shape sim_compute_type_shape;
extern const struct sim_shape sim_project_fleet_shape;
extern const struct sim_shape sim_environment_variables_shape;
extern const struct sim_shape sim_registry_credential_shape;
extern const struct sim_shape sim_image_pull_credentials_type_shape;
extern const struct sim_shape sim_host_kernel_shape;
extern const struct sim_shape sim_project_environment_shape;
extern const struct sim_shape sim_build_time_out_shape;
extern const struct sim_shape sim_time_out_shape;
extern const struct sim_shape sim_tag_list_shape;
extern const struct sim_shape sim_vpc_config_shape;
extern const struct sim_shape sim_logs_config_shape;
extern const struct sim_shape sim_project_file_system_locations_shape;
extern const struct sim_shape sim_wrapper_int_shape;
extern const struct sim_shape sim_project_build_batch_config_shape;
extern const struct sim_shape sim_project_names_shape;
extern const struct sim_shape sim_project_sort_by_type_shape;
extern const struct sim_shape sim_sort_order_type_shape;
extern const struct sim_shape sim_build_ids_shape;

/* inputs */
extern const struct sim_shape sim_create_project_input;
extern const struct sim_shape sim_batch_get_projects_input;
extern const struct sim_shape sim_list_projects_input;
extern const struct sim_shape sim_delete_project_input;
extern const struct sim_shape sim_start_build_input;
extern const struct sim_shape sim_stop_build_input;
extern const struct sim_shape sim_retry_build_input;
extern const struct sim_shape sim_batch_get_builds_input;
extern const struct sim_shape sim_list_builds_input;
extern const struct sim_shape sim_list_builds_for_project_input;
extern const struct sim_shape sim_start_build_batch_input;
extern const struct sim_shape sim_retry_build_batch_input;
extern const struct sim_shape sim_stop_build_batch_input;
extern const struct sim_shape sim_batch_get_build_batches_input;
extern const struct sim_shape sim_list_build_batches_input;
extern const struct sim_shape sim_list_build_batches_for_project_input;

/* sim_model_check - @value against @shape; unknown members are ignored, null counts as absent.
 * RB_E_INVALID: a constraint; RB_E_CORRUPT: a wrong JSON type (AWS calls these two differently). */
enum rb_code sim_model_check(const struct sim_shape *shape, const json_t *value,
                             struct rb_err *err);
/* sim_project_name_ok - the name is one that CreateProject takes. */
bool sim_project_name_ok(const char *name);

#endif

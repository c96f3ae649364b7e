/* Events: their members held against AWS's, their odd times, and their way out. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <microhttpd.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/json.h>
#include <retrybuild/thread.h>

#include "helper.h"

static const char failing[] =
    "projects:\n"
    "  - name: web\n"
    "    outcomes: [{status: FAILED, phase: BUILD, exit_code: 2}, {status: SUCCEEDED}]\n"
    "    settings:\n"
    "      artifacts: {type: S3, location: bucket}\n"
    "      source: {type: GITHUB, location: 'https://github.com/example-org/web.git',\n"
    "               buildspec: ci.yml, gitCloneDepth: 1, reportBuildStatus: true,\n"
    "               gitSubmodulesConfig: {fetchSubmodules: false}}\n";
static const char start_web[] =
    "{\"projectName\":\"web\",\"sourceVersion\":\"3b1f0c9d5a7e4826b0d9c1e2f3a4b5c6d7e8f901\","
    "\"environmentVariablesOverride\":[{\"name\":\"STAGE\",\"value\":\"ci\"}]}";

/* Every path of @list is in @event, and @event has no other. */
static void assert_exactly(json_t *event, json_t *list)
{
    size_t i;
    json_t *one;
    assert_true(json_array_size(list) >= 50);
    assert_members_known(event, list);
    json_array_foreach(list, i, one)
    {
        if (!has_member(event, json_string_value(one))) {
            fail_msg("member '%s' is missing", json_string_value(one));
        }
    }
}

static void a_state_change_has_exactly_the_members_of_a_real_one(void **state)
{
    (void)state;
    RB_CLEANUP(rb_json_decrefp) json_t *data = load_data("event-members.json");
    RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = test_sim(failing);
    RB_CLEANUP(rb_freep) char *id = start_build(sim, start_web);
    rb_sim_advance(sim, 3600000);
    const struct sim_build *b = sim_build_find(sim, id);
    RB_CLEANUP(rb_json_decrefp) json_t *event = sim_event_state_json(sim, b, b->end_ms);
    json_t *list = json_object_get(data, "state");
    json_array_extend(list, json_object_get(data, "artifact")); /* it uploads to S3 */
    assert_exactly(event, list);
    json_t *detail = json_object_get(event, "detail");
    json_t *info = json_object_get(detail, "additional-information");
    assert_string_equal(text_at(event, "time"), "2026-11-03T14:05:52Z");
    assert_string_equal(text_at(detail, "build-id"), b->arn);
    assert_string_equal(text_at(detail, "current-phase"), "COMPLETED");
    assert_string_equal(text_at(detail, "current-phase-context"), "[: ]");
    assert_string_equal(text_at(info, "build-start-time"), "Nov 3, 2026 2:05:11 PM");
    assert_true(json_is_integer(json_object_get(info, "build-number")));
    json_t *phases = json_object_get(info, "phases");
    assert_int_equal(json_array_size(phases), 11);
    assert_int_equal(json_object_size(json_array_get(phases, 10)), 2); /* COMPLETED */
    assert_int_equal(json_array_size(json_object_get(json_array_get(phases, 1), "phase-context")),
                     0);
    json_t *context = json_object_get(json_array_get(phases, 6), "phase-context");
    assert_string_equal(json_string_value(json_array_get(context, 0)),
                        "COMMAND_EXECUTION_ERROR: Error while executing command: make ci. Reason: "
                        "exit status 2");
}

static void a_phase_change_has_exactly_the_members_of_a_real_one(void **state)
{
    (void)state;
    RB_CLEANUP(rb_json_decrefp) json_t *data = load_data("event-members.json");
    RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = test_sim(failing);
    RB_CLEANUP(rb_freep) char *id = start_build(sim, start_web);
    rb_sim_advance(sim, 37500); /* BUILD is over, POST_BUILD runs */
    const struct sim_build *b = sim_build_find(sim, id);
    const struct sim_phase_run *run = &b->phases[b->n_phases - 2];
    RB_CLEANUP(rb_json_decrefp) json_t *event = sim_event_phase_json(sim, b, run);
    assert_exactly(event, json_object_get(data, "phase"));
    json_t *detail = json_object_get(event, "detail");
    assert_string_equal(text_at(detail, "completed-phase"), "BUILD");
    assert_string_equal(text_at(detail, "completed-phase-status"), "FAILED");
    assert_non_null(strstr(text_at(detail, "completed-phase-context"), "exit status 2]"));
    assert_string_equal(text_at(event, "time"), "2026-11-03T14:05:28Z"); /* the phase's start */
    assert_string_equal(text_at(detail, "completed-phase-start"), "Nov 3, 2026 2:05:28 PM");
    assert_string_equal(text_at(detail, "completed-phase-end"), "Nov 3, 2026 2:05:48 PM");
}

static void the_first_event_of_a_build_knows_no_log_yet(void **state)
{
    (void)state;
    RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = test_sim(failing);
    RB_CLEANUP(rb_freep) char *id = start_build(sim, start_web);
    const struct sim_build *b = sim_build_find(sim, id);
    RB_CLEANUP(rb_json_decrefp) json_t *event = sim_event_state_json(sim, b, b->start_ms);
    json_t *detail = json_object_get(event, "detail");
    assert_string_equal(text_at(detail, "build-status"), "IN_PROGRESS");
    assert_false(has_member(detail, "additional-information.logs.group-name"));
    assert_true(has_member(detail, "additional-information.logs.deep-link"));
}

#define MAX_POSTS 64

/* A receiver that refuses the first posts, and counts what it took by event id. */
struct receiver {
    struct MHD_Daemon *daemon;
    char url[64];
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t refusals, posts, taken; /* guarded by lock */
    char ids[MAX_POSTS][64];
};

static enum MHD_Result on_post(void *arg, struct MHD_Connection *connection, const char *url,
                               const char *method, const char *version, const char *data,
                               size_t *len, void **state)
{
    struct receiver *r = arg;
    (void)url;
    (void)method;
    (void)version;
    if (*state == NULL) {
        struct rb_buf *body = calloc(1, sizeof *body);
        rb_buf_init(body, 1 << 20);
        *state = body;
        return MHD_YES;
    }
    struct rb_buf *body = *state;
    if (*len > 0) {
        rb_buf_add(body, data, *len);
        *len = 0;
        return MHD_YES;
    }
    json_t *event = json_loads(rb_buf_str(body), 0, NULL);
    const char *key = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "x-key");
    pthread_mutex_lock(&r->lock);
    bool refuse = r->posts++ < r->refusals;
    if (!refuse && event != NULL && key != NULL && r->taken < MAX_POSTS) {
        snprintf(r->ids[r->taken++], sizeof r->ids[0], "%s", text_at(event, "id"));
    }
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
    json_decref(event);
    rb_buf_release(body);
    free(body);
    *state = NULL;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    enum MHD_Result rc = MHD_queue_response(connection, refuse ? 503 : 202, response);
    MHD_destroy_response(response);
    return rc;
}

static void receiver_start(struct receiver *r, size_t refusals)
{
    *r = (struct receiver){.refusals = refusals};
    pthread_mutex_init(&r->lock, NULL);
    rb_cond_init(&r->changed);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    r->daemon =
        MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL, 0, NULL, NULL, on_post, r,
                         MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address, MHD_OPTION_END);
    assert_non_null(r->daemon);
    snprintf(r->url, sizeof r->url, "http://127.0.0.1:%u/",
             (unsigned)MHD_get_daemon_info(r->daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
}

static void receiver_wait(struct receiver *r, size_t taken)
{
    pthread_mutex_lock(&r->lock);
    while (r->taken < taken) {
        assert_true(rb_cond_wait_ms(&r->changed, &r->lock, 60000));
    }
    pthread_mutex_unlock(&r->lock);
}

static void receiver_stop(struct receiver *r)
{
    MHD_stop_daemon(r->daemon);
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->lock);
}

static void a_refused_event_is_sent_again_with_its_id_until_it_is_taken(void **state)
{
    (void)state;
    struct receiver r;
    receiver_start(&r, 3);
    static const char *const headers[] = {"x-key: secret"};
    const struct rb_sim_target target = {.url = r.url, .headers = headers, .n_headers = 1};
    struct rb_sim_options o = RB_SIM_OPTIONS_INIT;
    o.events = &target;
    o.n_events = 1;
    struct rb_sim *sim =
        test_sim_with(&o, "{projects: [{name: web}], events: {phase_changes: false,"
                          " retry_base: 1ms, retry_cap: 5ms}}");
    for (int i = 0; i < 5; i++) {
        free(start_build(sim, "{\"projectName\":\"web\"}"));
    }
    rb_sim_advance(sim, 3600000);
    receiver_wait(&r, 10); /* five beginnings, five ends */
    rb_sim_stop(sim);
    assert_int_equal(r.taken, 10);
    assert_int_equal(r.posts, 13);
    for (size_t i = 0; i < r.taken; i++) {
        for (size_t k = i + 1; k < r.taken; k++) {
            assert_string_not_equal(r.ids[i], r.ids[k]);
        }
    }
    receiver_stop(&r);
}

static void timeouts_can_be_called_failed_in_events(void **state)
{
    (void)state;
    static const char *const knobs[] = {"false", "true"};
    static const char *const want[] = {"TIMED_OUT", "FAILED"};
    for (size_t i = 0; i < RB_ARRAY_LEN(knobs); i++) {
        char script[256];
        snprintf(script, sizeof script,
                 "projects: [{name: web, outcomes: [{status: TIMED_OUT}]}]\n"
                 "events: {plain_failed: %s}",
                 knobs[i]);
        RB_CLEANUP(rb_sim_stopp) struct rb_sim *sim = test_sim(script);
        RB_CLEANUP(rb_freep) char *id = start_build(sim, "{\"projectName\":\"web\"}");
        rb_sim_advance(sim, 3600000);
        const struct sim_build *b = sim_build_find(sim, id);
        RB_CLEANUP(rb_json_decrefp) json_t *event = sim_event_state_json(sim, b, b->end_ms);
        assert_string_equal(text_at(json_object_get(event, "detail"), "build-status"), want[i]);
        RB_CLEANUP(rb_json_decrefp) json_t *build = read_build(sim, id);
        assert_string_equal(text_at(build, "buildStatus"), "TIMED_OUT");
    }
}

static void duplicates_carry_one_id(void **state)
{
    (void)state;
    struct receiver r;
    receiver_start(&r, 0);
    static const char *const headers[] = {"x-key: secret"};
    const struct rb_sim_target target = {.url = r.url, .headers = headers, .n_headers = 1};
    struct rb_sim_options o = RB_SIM_OPTIONS_INIT;
    o.events = &target;
    o.n_events = 1;
    struct rb_sim *sim = test_sim_with(
        &o, "{projects: [{name: web}], events: {phase_changes: false, duplicate: 1}}");
    free(start_build(sim, "{\"projectName\":\"web\"}"));
    receiver_wait(&r, 2);
    rb_sim_stop(sim);
    assert_string_equal(r.ids[0], r.ids[1]);
    receiver_stop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_state_change_has_exactly_the_members_of_a_real_one),
        cmocka_unit_test(a_phase_change_has_exactly_the_members_of_a_real_one),
        cmocka_unit_test(the_first_event_of_a_build_knows_no_log_yet),
        cmocka_unit_test(a_refused_event_is_sent_again_with_its_id_until_it_is_taken),
        cmocka_unit_test(timeouts_can_be_called_failed_in_events),
        cmocka_unit_test(duplicates_carry_one_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_counters.c - metrics and their text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <retrybuild/cleanup.h>
#include <retrybuild/counters.h>
#include <retrybuild/thread.h>

static int reset(void **state)
{
    (void)state;
    rb_metrics_reset_for_test();
    return 0;
}

static void expect_line(const char *expected)
{
    struct rb_buf b = RB_BUF_INIT(1 << 20);
    rb_metrics_render(&b);
    assert_false(rb_buf_failed(&b));
    const char *at = strstr(rb_buf_str(&b), expected);
    if (at == NULL || (at != b.data && at[-1] != '\n')) {
        fail_msg("no line '%s' in:\n%s", expected, rb_buf_str(&b));
    }
    rb_buf_release(&b);
}

static void one_cell_is_found_again_by_its_labels(void **state)
{
    (void)state;
    struct rb_metric_cell *c = rb_metric_cell(RB_M_DELIVERIES, "github", "accepted");
    assert_ptr_equal(c, rb_metric_cell(RB_M_DELIVERIES, "github", "accepted"));
    assert_ptr_not_equal(c, rb_metric_cell(RB_M_DELIVERIES, "githubaccepted", ""));
    assert_ptr_not_equal(c, rb_metric_cell(RB_M_DELIVERIES, "accepted", "github"));
    assert_ptr_equal(rb_metric_cell(RB_M_SIGNATURE_FAILURES, "a", "ignored"),
                     rb_metric_cell(RB_M_SIGNATURE_FAILURES, "a", NULL));
}

static void counters_and_gauges_are_rendered_with_help_and_type(void **state)
{
    (void)state;
    rb_count(RB_M_DELIVERIES, "github", "accepted");
    rb_count(RB_M_DELIVERIES, "github", "accepted");
    rb_gauge(RB_M_STORE_UP, NULL, 1);
    rb_gauge(RB_M_RETRIES, "running", 2.5);
    rb_gauge(RB_M_BREAKER_OPEN, "project", 1);
    rb_gauge(RB_M_BUDGET_REMAINING, "web", 4);
    rb_metric_set(rb_metric_cell(RB_M_BUILD_INFO, "0.1.0", "abc"), 1);
    expect_line("# TYPE retrybuild_deliveries_total counter\n"
                "retrybuild_deliveries_total{source=\"github\",result=\"accepted\"} 2\n");
    expect_line("# HELP retrybuild_deliveries_total ");
    expect_line("# TYPE retrybuild_store_up gauge\nretrybuild_store_up 1\n");
    expect_line("retrybuild_retries{state=\"running\"} 2.5\n");
    expect_line("retrybuild_breaker_open{scope=\"project\"} 1\n");
    expect_line("retrybuild_budget_remaining{project=\"web\"} 4\n");
    expect_line("retrybuild_build_info{version=\"0.1.0\",revision=\"abc\"} 1\n");
}

static void every_family_of_the_contract_is_there(void **state)
{
    (void)state;
    static const char *const names[] = {"deliveries_total counter",
                                        "delivery_duration_seconds histogram",
                                        "signature_failures_total counter",
                                        "decisions_total counter",
                                        "retries_total counter",
                                        "retries gauge",
                                        "tasks gauge",
                                        "oldest_task_age_seconds gauge",
                                        "codebuild_requests_total counter",
                                        "codebuild_request_duration_seconds histogram",
                                        "reports_total counter",
                                        "budget_remaining gauge",
                                        "breaker_open gauge",
                                        "spans_total counter",
                                        "store_up gauge",
                                        "store_set_back_total counter",
                                        "store_batch_size histogram",
                                        "config_last_reload_successful gauge",
                                        "build_info gauge"};
    assert_int_equal(RB_ARRAY_LEN(names), RB_METRIC_COUNT);
    for (size_t i = 0; i < RB_ARRAY_LEN(names); i++) {
        char line[128];
        snprintf(line, sizeof(line), "# TYPE retrybuild_%s\n", names[i]);
        expect_line(line);
    }
}

static void histogram_buckets_are_cumulative(void **state)
{
    (void)state;
    struct rb_metric_cell *c = rb_metric_cell(RB_M_STORE_BATCH_SIZE, NULL, NULL);
    rb_metric_observe(c, 1);
    rb_metric_observe(c, 2);
    rb_metric_observe(c, 3);
    rb_metric_observe(c, 1000);
    expect_line("retrybuild_store_batch_size_bucket{le=\"1\"} 1\n"
                "retrybuild_store_batch_size_bucket{le=\"2\"} 2\n"
                "retrybuild_store_batch_size_bucket{le=\"4\"} 3\n");
    expect_line("retrybuild_store_batch_size_bucket{le=\"256\"} 3\n"
                "retrybuild_store_batch_size_bucket{le=\"+Inf\"} 4\n"
                "retrybuild_store_batch_size_sum 1006\n"
                "retrybuild_store_batch_size_count 4\n");
    rb_metric_observe(rb_metric_cell(RB_M_CODEBUILD_DURATION, "RetryBuild", NULL), 0.0005);
    expect_line("retrybuild_codebuild_request_duration_seconds_bucket{operation=\"RetryBuild\",le="
                "\"0.0005\"} 1\n");
}

static void label_values_are_escaped(void **state)
{
    (void)state;
    rb_count(RB_M_SIGNATURE_FAILURES, "a\"b\\c\nd\xFF", NULL);
    expect_line("retrybuild_signature_failures_total{source=\"a\\\"b\\\\c\\nd\xEF\xBF\xBD\"} 1\n");
}

static void special_values_have_their_spelling(void **state)
{
    (void)state;
    rb_gauge(RB_M_TASKS, "nan", (double)NAN);
    rb_gauge(RB_M_TASKS, "inf", (double)-INFINITY);
    expect_line("retrybuild_tasks{kind=\"nan\"} NaN\n");
    expect_line("retrybuild_tasks{kind=\"inf\"} -Inf\n");
}

static void beyond_the_bound_a_family_counts_into_other(void **state)
{
    (void)state;
    for (int i = 0; i < RB_METRIC_MAX_CELLS + 10; i++) {
        char label[16];
        snprintf(label, sizeof(label), "s%d", i);
        rb_count(RB_M_SIGNATURE_FAILURES, label, NULL);
    }
    expect_line("retrybuild_signature_failures_total{source=\"s511\"} 1\n");
    expect_line("retrybuild_signature_failures_total{source=\"other\"} 10\n");
}

static void *count_a_thousand(void *arg)
{
    (void)arg;
    for (int i = 0; i < 1000; i++) {
        char label[16];
        snprintf(label, sizeof(label), "k%d", i % 50);
        rb_count(RB_M_RETRIES_TOTAL, label, NULL);
        rb_metric_add(rb_metric_cell(RB_M_STORE_UP, NULL, NULL), 1);
        rb_metric_observe(rb_metric_cell(RB_M_DELIVERY_DURATION, NULL, NULL), 0.5);
    }
    return NULL;
}

static void no_count_of_several_threads_is_lost(void **state)
{
    (void)state;
    pthread_t threads[4];
    for (size_t i = 0; i < RB_ARRAY_LEN(threads); i++) {
        assert_int_equal(rb_thread_start(&threads[i], "count", count_a_thousand, NULL, NULL),
                         RB_OK);
    }
    for (size_t i = 0; i < RB_ARRAY_LEN(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    for (int i = 0; i < 50; i++) {
        char label[16];
        snprintf(label, sizeof(label), "k%d", i);
        assert_true(rb_metric_value(rb_metric_cell(RB_M_RETRIES_TOTAL, label, NULL)) == 80.0);
    }
    expect_line("retrybuild_store_up 4000\n");
    expect_line("retrybuild_delivery_duration_seconds_sum 2000\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(one_cell_is_found_again_by_its_labels, reset),
        cmocka_unit_test_setup(counters_and_gauges_are_rendered_with_help_and_type, reset),
        cmocka_unit_test_setup(every_family_of_the_contract_is_there, reset),
        cmocka_unit_test_setup(histogram_buckets_are_cumulative, reset),
        cmocka_unit_test_setup(label_values_are_escaped, reset),
        cmocka_unit_test_setup(special_values_have_their_spelling, reset),
        cmocka_unit_test_setup(beyond_the_bound_a_family_counts_into_other, reset),
        cmocka_unit_test_setup(no_count_of_several_threads_is_lost, reset),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rb_metrics_reset_for_test();
    return failed;
}

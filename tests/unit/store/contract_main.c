/* contract_main.c - one contract, every backend: the argument says which. Exit 77: skipped. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"

#define MIN_TESTS 155
#define MAX_TESTS 400

static size_t gather(struct CMUnitTest *all)
{
    const struct CMUnitTest *const suites[] = {
        contract_admit_tests,  contract_keys_tests,   contract_child_tests,   contract_task_tests,
        contract_settle_tests, contract_report_tests, contract_list_tests,    contract_read_tests,
        contract_async_tests,  contract_later_tests,  contract_receipt_tests, contract_sheets_tests,
        contract_effect_tests, contract_pages_tests};
    size_t n = 0;
    for (size_t i = 0; i < RB_ARRAY_LEN(suites); i++) {
        for (const struct CMUnitTest *t = suites[i]; t->test_func != NULL && n < MAX_TESTS; t++) {
            all[n++] = *t;
        }
    }
    return n;
}

int main(int argc, char **argv)
{
    static struct CMUnitTest all[MAX_TESTS];
    const char *backend = argc > 1 ? argv[1] : "sqlite";
    size_t n = gather(all);
    if (n < MIN_TESTS) {
        (void)fprintf(stderr, "only %zu tests: the contract has more\n", n);
        return 1;
    }
    if (argc > 2) {
        cmocka_set_test_filter(argv[2]);
    }
    if (!harness_start(backend)) {
        return 77;
    }
    int failed = _cmocka_run_group_tests(backend, all, n, NULL, NULL);
    harness_stop();
    return failed == 0 ? 0 : 1;
}

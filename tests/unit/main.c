/* main.c - run every unit suite: unit [SUITE...] */
#include <apr_general.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "suites.h"

static const struct {
    const char *name;
    Suite *(*make)(void);
} suites[] = {
    {"problem", suite_problem},
    {"token", suite_token},
    {"digest", suite_digest},
    {"scope", suite_scope},
    {"window", suite_window},
    {"cidr", suite_cidr},
    {"decide", suite_decide},
    {"table", suite_table},
    {"table_file", suite_table_file},
    {"table_race", suite_table_race},
    {"table_crash", suite_table_crash},
    {"table_between", suite_table_between},
    {"rate", suite_rate},
    {"fuzz_seeds", suite_fuzz_seeds},
    {"event", suite_event},
    {"alert", suite_alert},
    {"mail", suite_mail},
    {"conf", suite_conf},
    {"dbd", suite_dbd},
    {"runs", suite_runs},
    {"draft", suite_draft},
    {"segment", suite_segment},
    {"sql", suite_sql},
    {"store", suite_store},
    {"store_logs", suite_store_logs},
    {"traffic_model", suite_traffic_model},
    {"lifecycle", suite_lifecycle},
    {"watch", suite_watch},
    {"webhook", suite_webhook},
};

#define COUNT (sizeof(suites) / sizeof(suites[0]))

static int wanted(const char *name, int argc, char **argv)
{
    if (argc < 2)
        return 1;
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return 1;
    return 0;
}

int main(int argc, char **argv)
{
    SRunner *runner = srunner_create(NULL);
    int chosen = 0, run, failed;

    apr_initialize();
    for (size_t i = 0; i < COUNT; i++)
        if (wanted(suites[i].name, argc, argv)) {
            srunner_add_suite(runner, suites[i].make());
            chosen++;
        }
    if (chosen == 0) {
        fprintf(stderr, "unit: no suite of that name\n");
        return EXIT_FAILURE;
    }
    srunner_run_all(runner, CK_ENV);
    run = srunner_ntests_run(runner);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    apr_terminate();
    return run > 0 && failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* suites.h - the unit suites, one for each file test_*.c */
#ifndef SUITES_H
#define SUITES_H

#include <check.h>

Suite *suite_problem(void);
Suite *suite_token(void);
Suite *suite_digest(void);
Suite *suite_scope(void);
Suite *suite_window(void);
Suite *suite_cidr(void);
Suite *suite_decide(void);
Suite *suite_table(void);
Suite *suite_table_file(void);
Suite *suite_table_race(void);
Suite *suite_table_crash(void);
Suite *suite_table_between(void);
Suite *suite_rate(void);
Suite *suite_fuzz_seeds(void);
Suite *suite_event(void);
Suite *suite_alert(void);
Suite *suite_mail(void);
Suite *suite_conf(void);
Suite *suite_dbd(void);
Suite *suite_runs(void);
Suite *suite_draft(void);
Suite *suite_segment(void);
Suite *suite_sql(void);
Suite *suite_store(void);
Suite *suite_store_logs(void);
Suite *suite_traffic_model(void);
Suite *suite_lifecycle(void);
Suite *suite_watch(void);
Suite *suite_webhook(void);

#endif

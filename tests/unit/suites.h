/* suites.h - the unit suites, one for each file test_*.c */
#ifndef SUITES_H
#define SUITES_H

#include <check.h>

Suite *suite_event(void);
Suite *suite_conf(void);
Suite *suite_dbd(void);
Suite *suite_segment(void);
Suite *suite_sql(void);
Suite *suite_store(void);
Suite *suite_store_logs(void);

#endif

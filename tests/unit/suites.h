/* suites.h - the unit suites, one for each file test_*.c */
#ifndef SUITES_H
#define SUITES_H

#include <check.h>

Suite *suite_event(void);
Suite *suite_segment(void);

#endif

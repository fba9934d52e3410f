/* detect_key_renewed.c - the entry of renew.c in the table of detectors
 *
 * A renewal is told where its plan is struck off, because both belong to one step.
 */
#include "auditd.h"

const detector_t detect_key_renewed = {"key_renewed", "info", NULL, NULL, NULL, NULL, 0};

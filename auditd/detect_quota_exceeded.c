/* detect_quota_exceeded.c - the entry of quota.c in the table of detectors
 *
 * The crossing is found where the month's figure is written, because marking the
 * account belongs to the same step.
 */
#include "auditd.h"

const detector_t detect_quota_exceeded = {"quota_exceeded", "warning", NULL, NULL, NULL, NULL, 0};

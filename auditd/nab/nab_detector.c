/* nab_detector.c - the unusual_traffic model on a series of text lines
 *
 *     nab-detector [--alarms] < FILE.csv
 *
 * Reads "timestamp,value" lines from standard input (a header line may come first;
 * YYYY-MM-DD HH:MM:SS, taken as UTC) and writes one score for each row.  From
 * TRAFFIC_THRESHOLD on a score is an alarm.  With --alarms it writes these only, in
 * words: the time, what was seen and what was to be expected.
 *
 * A row without a finite value scores 0, teaches nothing and is named on standard
 * error.  Exit status: 0 done, 1 no row could be read, 2 wrong usage.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "traffic_model.h"

/* Seconds since 1970 of "YYYY-MM-DD HH:MM[:SS...]" or with a T; -1 for anything else. */
static int64_t read_time(const char *text)
{
    struct tm tm = {0};
    char separator;

    if (sscanf(text, "%4d-%2d-%2d%c%2d:%2d:%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &separator, &tm.tm_hour,
               &tm.tm_min, &tm.tm_sec) < 6 || (separator != ' ' && separator != 'T'))
        return -1;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    return (int64_t)timegm(&tm);
}

/* Split a line into its time and its value; 0, or -1 when either is missing. */
static int read_row(char *line, int64_t *start_sec, double *value)
{
    char *comma = strchr(line, ','), *end;

    if (comma == NULL)
        return -1;
    *start_sec = read_time(line);
    errno = 0;
    *value = strtod(comma + 1, &end);
    if (end == comma + 1 || end[strspn(end, " \t\r\n")] != '\0')
        return -1;
    return *start_sec >= 0 && isfinite(*value) ? 0 : -1;
}

static void write_alarm(const char *line, const traffic_verdict_t *verdict)
{
    printf("%.*s score=%.2f seen=%.6g expected=%.6g..%.6g beyond=%.2f%s: %s\n", (int)strcspn(line, ","), line,
           verdict->score, verdict->value, verdict->expected_low, verdict->expected_high, verdict->beyond,
           verdict->silence ? " silence" : "", traffic_feature_name(verdict->feature));
}

int main(int argc, char **argv)
{
    traffic_model_t model;
    traffic_verdict_t verdict;
    char *line = NULL;
    size_t size = 0;
    long number = 0, read = 0;
    int alarms = argc == 2 && strcmp(argv[1], "--alarms") == 0;
    int64_t start_sec;
    double value;

    if (argc > 1 + alarms) {
        fprintf(stderr, "usage: %s [--alarms] < timestamp,value lines\n", argv[0]);
        return 2;
    }
    traffic_model_reset(&model);
    while (getline(&line, &size, stdin) > 0) {
        number++;
        if (line[strspn(line, " \t\r\n")] == '\0')
            continue;
        if (read_row(line, &start_sec, &value) == 0 &&
            traffic_model_observe(&model, start_sec, value, &verdict) == TRAFFIC_TAKEN) {
            read++;
            if (!alarms)
                printf("%.9g\n", verdict.score);
            else if (verdict.alarm)
                write_alarm(line, &verdict);
        } else if (number > 1) {
            fprintf(stderr, "nab-detector: line %ld: not \"timestamp,value\"\n", number);
            if (!alarms)
                printf("0\n");
        }
    }
    free(line);
    return read > 0 ? 0 : 1;
}

/* traffic_model.h - what is usual for one key, learned bucket by bucket
 *
 * A model takes the request counts of closed time buckets of one width, in their
 * order, and says of each how surprising it was.  It watches six features of the
 * series; of each it keeps a histogram that forgets slowly and widens by itself.
 * docs/detection-model.md explains why, docs/results/detection.md what it reaches.
 *
 * The caller owns the model's memory; nothing is allocated, nothing is global: a
 * model may be used by one thread at a time, different models by different
 * threads.  The model reads no clock.  All times are seconds since 1970 UTC.
 */
#ifndef TRAFFIC_MODEL_H
#define TRAFFIC_MODEL_H

#include <stddef.h>
#include <stdint.h>

#define TRAFFIC_CELLS 40    /* cells of a histogram */
#define TRAFFIC_LAG 16      /* buckets over which a drift of the level is taken */
#define TRAFFIC_HOURS 24    /* hours of a UTC day */
#define TRAFFIC_UNIT 32     /* what one bucket adds to a cell */
#define TRAFFIC_MEMORY 1650 /* buckets that a histogram holds before it fades */
#define TRAFFIC_HOUR_MEMORY 120 /* buckets that make the mean of an hour of the day */
#define TRAFFIC_QUIET 120   /* buckets that an episode lasts after its alarm */
#define TRAFFIC_GAP_MAX 1440 /* silent buckets that traffic_model_feed() learns at once */
/* A score from here on is unusual: an alarm, unless the episode has had its own. */
#define TRAFFIC_THRESHOLD 10.0

typedef enum {
    TRAFFIC_VALUE = 0, /* the count itself */
    TRAFFIC_EXCESS,    /* the count less the level of the last buckets */
    TRAFFIC_STEP,      /* the count less the one before */
    TRAFFIC_OF_HOUR,   /* the count less the mean of this hour of the day */
    TRAFFIC_DRIFT,     /* the level less the level 16 buckets ago */
    TRAFFIC_RUN,       /* for how long the count has stood still, silence above all */
    TRAFFIC_FEATURES
} traffic_feature_e;

typedef enum {
    TRAFFIC_TAKEN = 0, /* learned, and judged */
    TRAFFIC_NO_NUMBER, /* not finite; traffic_model_feed(): negative too */
    TRAFFIC_OLD,       /* not later than the last one: a repeat */
    TRAFFIC_UNALIGNED  /* no multiple of the width */
} traffic_taken_e;

/* How often each value of a feature was seen: cells of equal width over low..high.
 * A cell counts in units of 1/TRAFFIC_UNIT of a bucket. */
typedef struct {
    float low, high;                /* equal: one value only, all in cell 0 */
    uint32_t total;                 /* sum of the cells */
    uint16_t cell[TRAFFIC_CELLS];
} traffic_histogram_t;

/* All that is known of one series.  Zeroed memory is a model that knows nothing.
 * Floats, so that what is saved is exactly what is in memory. */
typedef struct {
    int64_t last_sec;               /* start of the last bucket */
    uint32_t seen;                  /* buckets learned */
    uint32_t run;                   /* buckets since the count changed */
    uint8_t steady;                 /* buckets since the last gap in our knowledge, up to TRAFFIC_LAG */
    uint8_t run_told;               /* the present run has had its alarm */
    float previous, level;          /* last count, smoothed count */
    float past[TRAFFIC_LAG];        /* levels of the last buckets, a ring at seen % TRAFFIC_LAG */
    float hour_mean[TRAFFIC_HOURS];
    uint8_t hour_seen[TRAFFIC_HOURS];
    float habit;                    /* recent alarms: each raises the bar for the next */
    float peak;                     /* score of the present episode's alarm */
    uint16_t quiet;                 /* buckets for which the episode goes on */
    traffic_histogram_t histogram[TRAFFIC_FEATURES];
} traffic_model_t;

_Static_assert(sizeof(traffic_model_t) <= 1024, "a key may cost 1 KiB");

typedef struct {
    int64_t start_sec;              /* the bucket that this is about */
    double count;                   /* what was seen in it */
    double score;                   /* to rank buckets by; 0 to about 12.5 */
    int alarm;                      /* the score reached the threshold, first in its episode */
    int episode;                    /* an alarm was raised here or not long before */
    uint32_t seen;                  /* buckets learned before */
    traffic_feature_e feature;      /* the most surprising one; of an alarm the most telling one */
    /* Set when alarm is: the feature's value, and where 98 % of those before lay.  For
     * VALUE, EXCESS, STEP and OF_HOUR in requests in this bucket, for DRIFT in requests
     * a bucket by which the level moved, for RUN in buckets. */
    double value, expected_low, expected_high;
    double beyond;                  /* distance from that range, in its widths; 0 inside it:
                                     * then the value lies where there was a gap */
    int silence;                    /* count 0 where that was not to be expected */
} traffic_verdict_t;

/* Forget everything. */
void traffic_model_reset(traffic_model_t *model);
/* Learn one bucket and judge it by those before.  Any finite value; a time that goes
 * back is no fault here, it only tells the hour.  O(1), under a microsecond. */
traffic_taken_e traffic_model_observe(traffic_model_t *model, int64_t start_sec, double value,
                                      traffic_verdict_t *verdict);
/* The same for a count of requests: the buckets left out since the last one were silent
 * and are learned as zeros first (at most TRAFFIC_GAP_MAX, the later ones).  Tells of the
 * most surprising bucket among these.  Call it for each bucket that closes, also with a
 * count of 0: silence is seen only where it is told.  Refused: the model is as before. */
traffic_taken_e traffic_model_feed(traffic_model_t *model, int width_sec, int64_t start_sec, double count,
                                   traffic_verdict_t *verdict);
/* Nothing is known of the buckets before start_sec (our own outage): they were no silence,
 * and what comes next is compared with no bucket before them. */
void traffic_model_skip(traffic_model_t *model, int width_sec, int64_t start_sec);
/* A few words for an alert: "requests", "requests above the recent level", ... */
const char *traffic_feature_name(traffic_feature_e feature);

/* A saved model: one line of base64, the same on every machine (traffic_state.c). */
#define TRAFFIC_STATE_BYTES 756
#define TRAFFIC_STATE_SIZE (4 * ((TRAFFIC_STATE_BYTES + 2) / 3) + 1)

_Static_assert(TRAFFIC_STATE_SIZE <= 1024, "a saved key may cost 1 KiB");

/* Write the model as text, with its ending zero.  out: TRAFFIC_STATE_SIZE bytes. */
void traffic_model_save(const traffic_model_t *model, char *out);
/* Read it back: every later score is the same as without the stop.  0; or -1 with *model
 * as it was and *why, static, set: another version, cut short, damaged, or numbers that
 * no model can hold. */
int traffic_model_restore(traffic_model_t *model, const char *text, const char **why);

#endif

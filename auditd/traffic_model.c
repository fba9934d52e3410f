/* traffic_model.c - judge a bucket by the histograms of six features, then learn it */
#include "traffic_model.h"

#include <math.h>
#include <string.h>

/* The constants are few and round; none was fitted to a single series. */
#define UNSEEN (0.006 * TRAFFIC_UNIT)     /* what an empty cell counts as */
#define WIDEN 0.6                 /* of its width, by which a range grows */
#define LEVEL_GAIN 0.1            /* weight of a new bucket in the level */
#define RISE 1.2                  /* times the peak: a second alarm in one episode */
#define HABIT 0.3                 /* by which each recent alarm raises the bar */
#define FAR 1e30                  /* values beyond are taken as this: floats must hold ranges */

#define MAX_TOTAL (TRAFFIC_MEMORY * TRAFFIC_UNIT)

void traffic_model_reset(traffic_model_t *model)
{
    memset(model, 0, sizeof(*model));
}

const char *traffic_feature_name(traffic_feature_e feature)
{
    static const char *const names[TRAFFIC_FEATURES] = {
        "requests",
        "requests, given the level of the last buckets",
        "requests, given the bucket before",
        "requests, given the hour of the day",
        "change of the level over 16 buckets",
        "buckets without change",
    };

    return feature >= 0 && feature < TRAFFIC_FEATURES ? names[feature] : "unknown";
}

/* Where x lies, in cells from the left edge; two cells outside are as good as infinity. */
static double position(const traffic_histogram_t *h, float x)
{
    double at = ((double)x - h->low) / ((double)h->high - h->low) * TRAFFIC_CELLS;

    return at < -2 ? -2 : at > TRAFFIC_CELLS + 2 ? TRAFFIC_CELLS + 2 : at;
}

static int cell_of(const traffic_histogram_t *h, float x)
{
    int cell;

    if (!(h->high > h->low))
        return 0;
    cell = (int)floor(position(h, x));
    return cell < 0 ? 0 : cell >= TRAFFIC_CELLS ? TRAFFIC_CELLS - 1 : cell;
}

static double count_at(const traffic_histogram_t *h, int cell)
{
    return cell >= 0 && cell < TRAFFIC_CELLS ? h->cell[cell] : 0;
}

/* What was seen within one cell's width of x, each cell taken as evenly filled; with
 * above, all that was seen above too. */
static double mass_near(const traffic_histogram_t *h, float x, int above)
{
    double at, part, mass;
    int cell;

    if (!(h->high > h->low))
        return x == h->low || (above && x < h->low) ? h->total : 0;
    at = position(h, x);
    cell = (int)floor(at);
    part = at - cell;
    mass = count_at(h, cell - 1) * (1 - part) + count_at(h, cell) + count_at(h, cell + 1) * (above ? 1 : part);
    if (above)
        for (int i = cell + 2; i < TRAFFIC_CELLS; i++)
            mass += count_at(h, i);
    return mass;
}

/* -ln of the share of x's neighbourhood in all that was seen, smoothed. */
static double surprise(const traffic_histogram_t *h, float x, int above)
{
    if (h->total == 0)
        return 0;
    return -log((mass_near(h, x, above) + UNSEEN) / (h->total + UNSEEN * TRAFFIC_CELLS));
}

/* Widen the range until x is in it; each cell's count moves to where its middle falls. */
static void widen(traffic_histogram_t *h, float x)
{
    traffic_histogram_t old = *h;
    double width = (double)old.high - old.low;

    if (width > 0) {
        if (x > old.high)
            h->high = (float)fmax(x, old.high + WIDEN * width);
        else
            h->low = (float)fmin(x, old.low - WIDEN * width);
    } else {
        width = fabs((double)x - old.low);
        h->low = (float)(fmin(x, old.low) - WIDEN * width);
        h->high = (float)(fmax(x, old.low) + WIDEN * width);
    }
    memset(h->cell, 0, sizeof(h->cell));
    for (int i = 0; i < TRAFFIC_CELLS; i++)
        if (old.cell[i])
            h->cell[cell_of(h, (float)(old.low + (i + 0.5) * ((double)old.high - old.low) / TRAFFIC_CELLS))] +=
                old.cell[i];
}

/* Add x.  When the histogram is full every cell loses a tenth: the old fades. */
static void learn(traffic_histogram_t *h, float x)
{
    if (h->total == 0)
        h->low = h->high = x;
    else if (x < h->low || x > h->high)
        widen(h, x);
    h->cell[cell_of(h, x)] += TRAFFIC_UNIT;
    h->total += TRAFFIC_UNIT;
    if (h->total <= MAX_TOTAL)
        return;
    h->total = 0;
    for (int i = 0; i < TRAFFIC_CELLS; i++) {
        h->cell[i] = (uint16_t)(h->cell[i] * 9u / 10);
        h->total += h->cell[i];
    }
}

/* The value below which a share of what was seen lies. */
static double quantile(const traffic_histogram_t *h, double share)
{
    double left = share * h->total;

    for (int i = 0; i < TRAFFIC_CELLS; i++) {
        if (h->cell[i] > 0 && left <= h->cell[i])
            return h->low + (i + left / h->cell[i]) * ((double)h->high - h->low) / TRAFFIC_CELLS;
        left -= h->cell[i];
    }
    return h->high;
}

static int hour_of(int64_t sec)
{
    int64_t hour = sec / 3600 % TRAFFIC_HOURS;

    return (int)(hour < 0 ? hour + TRAFFIC_HOURS : hour);
}

static float run_feature(uint32_t run)
{
    return log2f(1.0f + (float)run);
}

/* The features of a bucket, and what each is relative to: feature + base = count. */
static void take_features(const traffic_model_t *model, float value, int hour, float level, uint32_t run,
                          float feature[TRAFFIC_FEATURES], float base[TRAFFIC_FEATURES])
{
    memset(base, 0, TRAFFIC_FEATURES * sizeof(*base));
    base[TRAFFIC_EXCESS] = model->steady > 0 ? model->level : value;
    base[TRAFFIC_STEP] = model->steady > 0 ? model->previous : value;
    base[TRAFFIC_OF_HOUR] = model->hour_seen[hour] > 0 ? model->hour_mean[hour] : value;
    for (int i = TRAFFIC_VALUE; i <= TRAFFIC_OF_HOUR; i++)
        feature[i] = value - base[i];
    feature[TRAFFIC_DRIFT] = model->steady < TRAFFIC_LAG ? 0 : level - model->past[model->seen % TRAFFIC_LAG];
    feature[TRAFFIC_RUN] = run_feature(run);
}

/* The surprise of each feature, and the greatest.  A run is unusual by being long only,
 * so all longer ones speak for it; and once told, it is no news until it ends. */
static void judge(const traffic_model_t *model, const float feature[TRAFFIC_FEATURES],
                  double surprises[TRAFFIC_FEATURES], traffic_verdict_t *verdict)
{
    for (int i = 0; i < TRAFFIC_FEATURES; i++) {
        surprises[i] = surprise(&model->histogram[i], feature[i], i == TRAFFIC_RUN);
        if (i == TRAFFIC_RUN && model->run_told)
            surprises[i] = 0;
        if (surprises[i] > verdict->score) {
            verdict->score = surprises[i];
            verdict->feature = (traffic_feature_e)i;
        }
    }
}

/* Say in the caller's terms what was seen of a feature and what was to be expected. */
static void explain(const traffic_histogram_t *h, traffic_feature_e feature, float x, float base,
                    traffic_verdict_t *verdict)
{
    double low = quantile(h, 0.01), high = quantile(h, 0.99);
    double width = fmax(high - low, ((double)h->high - h->low) / TRAFFIC_CELLS);
    double away = x < low ? low - x : x > high ? x - high : 0;

    verdict->feature = feature;
    verdict->value = (double)x + base;
    verdict->expected_low = low + base;
    verdict->expected_high = high + base;
    if (feature == TRAFFIC_RUN) {
        verdict->value = exp2(x) - 1;
        verdict->expected_low = fmax(0, exp2(low) - 1);
        verdict->expected_high = exp2(high) - 1;
    }
    verdict->beyond = width > 0 ? away / width : away > 0 ? 1 : 0;
    verdict->silence = verdict->count == 0 && (feature == TRAFFIC_RUN || x < low);
}

/* Of the features that are unusual by themselves the one furthest off its range: what was
 * never seen is equally surprising everywhere, but not equally telling. */
static void explain_best(const traffic_model_t *model, const float feature[TRAFFIC_FEATURES],
                         const float base[TRAFFIC_FEATURES], const double surprises[TRAFFIC_FEATURES],
                         traffic_verdict_t *verdict)
{
    traffic_verdict_t other = *verdict;
    traffic_feature_e top = verdict->feature;

    explain(&model->histogram[top], top, feature[top], base[top], verdict);
    for (int i = 0; i < TRAFFIC_FEATURES; i++) {
        if (surprises[i] < TRAFFIC_THRESHOLD)
            continue;
        explain(&model->histogram[i], (traffic_feature_e)i, feature[i], base[i], &other);
        if (other.beyond > verdict->beyond)
            *verdict = other;
    }
}

/* One alarm an episode: what goes on stays just below the threshold, unless it gets
 * clearly worse.  A key that often alarms has to surprise more. */
static int gate(traffic_model_t *model, traffic_verdict_t *verdict)
{
    int alarm = 0;

    model->habit *= (float)(1 - 1.0 / TRAFFIC_MEMORY);
    verdict->score = fmax(0, verdict->score - HABIT * model->habit);
    if (verdict->score >= TRAFFIC_THRESHOLD) {
        if (model->quiet > 0 && verdict->score < RISE * model->peak)
            verdict->score = TRAFFIC_THRESHOLD * verdict->score / (verdict->score + 1);
        else {
            alarm = 1;
            model->quiet = TRAFFIC_QUIET + 1;
            model->peak = (float)verdict->score;
            model->habit += 1;
        }
    }
    verdict->episode = model->quiet > 0;
    if (model->quiet > 0)
        model->quiet--;
    return alarm;
}

/* Add what was seen.  Of runs only those that have ended count: one that goes on would
 * make itself usual, bucket by bucket. */
static void learn_features(traffic_model_t *model, const float feature[TRAFFIC_FEATURES], uint32_t run)
{
    for (int i = 0; i < TRAFFIC_RUN; i++)
        learn(&model->histogram[i], feature[i]);
    if (run == 0 && model->steady > 0)
        learn(&model->histogram[TRAFFIC_RUN], run_feature(model->run));
}

/* Move what the next bucket's features are relative to. */
static void advance(traffic_model_t *model, int64_t start_sec, float value, int hour, float level, uint32_t run)
{
    float *mean = &model->hour_mean[hour];

    if (model->hour_seen[hour] < TRAFFIC_HOUR_MEMORY)
        model->hour_seen[hour]++;
    *mean += (value - *mean) / (float)model->hour_seen[hour];
    model->past[model->seen % TRAFFIC_LAG] = level;
    model->level = level;
    model->previous = value;
    model->run = run;
    model->last_sec = start_sec;
    if (model->steady < TRAFFIC_LAG)
        model->steady++;
    /* Past 2^31 only the ring's place matters. */
    if (++model->seen == UINT32_MAX)
        model->seen = UINT32_MAX / 2;
}

traffic_taken_e traffic_model_observe(traffic_model_t *model, int64_t start_sec, double count,
                                      traffic_verdict_t *verdict)
{
    float feature[TRAFFIC_FEATURES], base[TRAFFIC_FEATURES], value, level;
    double surprises[TRAFFIC_FEATURES];
    int hour = hour_of(start_sec);
    uint32_t run = 0;

    if (!isfinite(count))
        return TRAFFIC_NO_NUMBER;
    value = (float)fmax(-FAR, fmin(FAR, count));
    level = model->steady > 0 ? (float)(model->level + LEVEL_GAIN * ((double)value - model->level)) : value;
    if (model->steady > 0 && value == model->previous)
        run = model->run + (model->run < UINT32_MAX);
    take_features(model, value, hour, level, run, feature, base);

    memset(verdict, 0, sizeof(*verdict));
    verdict->start_sec = start_sec;
    verdict->count = count;
    verdict->seen = model->seen;
    if (run == 0)
        model->run_told = 0;
    judge(model, feature, surprises, verdict);
    verdict->alarm = gate(model, verdict);
    if (verdict->alarm)
        explain_best(model, feature, base, surprises, verdict);
    if (verdict->episode && surprises[TRAFFIC_RUN] >= TRAFFIC_THRESHOLD)
        model->run_told = 1;
    learn_features(model, feature, run);
    advance(model, start_sec, value, hour, level, run);
    return TRAFFIC_TAKEN;
}

static int graver(const traffic_verdict_t *a, const traffic_verdict_t *b)
{
    return a->alarm != b->alarm ? a->alarm : a->score > b->score;
}

traffic_taken_e traffic_model_feed(traffic_model_t *model, int width_sec, int64_t start_sec, double count,
                                   traffic_verdict_t *verdict)
{
    traffic_verdict_t silent;
    int64_t missing;

    if (!isfinite(count) || count < 0)
        return TRAFFIC_NO_NUMBER;
    if (width_sec <= 0 || start_sec < 0 || start_sec % width_sec != 0)
        return TRAFFIC_UNALIGNED;
    if (model->seen == 0)
        return traffic_model_observe(model, start_sec, count, verdict);
    if (start_sec <= model->last_sec)
        return TRAFFIC_OLD;

    missing = (start_sec - model->last_sec) / width_sec - 1;
    if (missing > TRAFFIC_GAP_MAX)
        missing = TRAFFIC_GAP_MAX;
    memset(verdict, 0, sizeof(*verdict));
    for (int64_t left = missing; left >= 0; left--) {
        traffic_model_observe(model, start_sec - left * width_sec, left > 0 ? 0 : count, &silent);
        if (left == missing || graver(&silent, verdict))
            *verdict = silent;
    }
    /* Fewer than none was not to be expected, wherever the histogram's range begins. */
    if (verdict->feature != TRAFFIC_DRIFT)
        verdict->expected_low = fmax(0, verdict->expected_low);
    return TRAFFIC_TAKEN;
}

void traffic_model_skip(traffic_model_t *model, int width_sec, int64_t start_sec)
{
    if (model->seen == 0 || width_sec <= 0 || start_sec - width_sec <= model->last_sec)
        return;
    model->last_sec = start_sec - width_sec;
    model->steady = 0;
}

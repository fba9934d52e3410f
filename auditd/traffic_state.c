/* traffic_state.c - a traffic model as text, and back
 *
 * Magic, the fields in the order of the struct, CRC32 over both; integers and the
 * bits of floats little-endian; the whole in base64.  Totals are not saved: they
 * are the sums of their cells.
 */
#include "traffic_model.h"

#include <apr_base64.h>
#include <math.h>
#include <string.h>
#include <zlib.h>

/* Raise the digit whenever a feature or the meaning of a field changes: a model of
 * another version must be learned anew. */
static const char magic[4] = {'T', 'M', '0', '1'};

#define CRC_BYTES 4

static unsigned char *put(unsigned char *at, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        *at++ = (unsigned char)(value >> (8 * i));
    return at;
}

static uint64_t get(const unsigned char **at, int bytes)
{
    uint64_t value = 0;

    for (int i = 0; i < bytes; i++)
        value |= (uint64_t)*(*at)++ << (8 * i);
    return value;
}

static unsigned char *put_floats(unsigned char *at, const float *from, int count)
{
    uint32_t bits;

    for (int i = 0; i < count; i++) {
        memcpy(&bits, &from[i], sizeof(bits));
        at = put(at, bits, 4);
    }
    return at;
}

/* 0, or -1 when one is not finite. */
static int get_floats(const unsigned char **at, float *to, int count)
{
    int bad = 0;

    for (int i = 0; i < count; i++) {
        uint32_t bits = (uint32_t)get(at, 4);

        memcpy(&to[i], &bits, sizeof(bits));
        bad |= !isfinite(to[i]);
    }
    return bad ? -1 : 0;
}

static uint32_t checksum(const unsigned char *bytes)
{
    return (uint32_t)crc32(0L, bytes, TRAFFIC_STATE_BYTES - CRC_BYTES);
}

void traffic_model_save(const traffic_model_t *model, char *out)
{
    unsigned char bytes[TRAFFIC_STATE_BYTES], *at = bytes;

    memcpy(at, magic, sizeof(magic));
    at = put(at + sizeof(magic), (uint64_t)model->last_sec, 8);
    at = put(at, model->seen, 4);
    at = put(at, model->run, 4);
    at = put(at, model->steady, 1);
    at = put(at, model->run_told, 1);
    at = put_floats(at, &model->previous, 1);
    at = put_floats(at, &model->level, 1);
    at = put_floats(at, model->past, TRAFFIC_LAG);
    at = put_floats(at, model->hour_mean, TRAFFIC_HOURS);
    memcpy(at, model->hour_seen, TRAFFIC_HOURS);
    at = put_floats(at + TRAFFIC_HOURS, &model->habit, 1);
    at = put_floats(at, &model->peak, 1);
    at = put(at, model->quiet, 2);
    for (int f = 0; f < TRAFFIC_FEATURES; f++) {
        at = put_floats(at, &model->histogram[f].low, 1);
        at = put_floats(at, &model->histogram[f].high, 1);
        for (int i = 0; i < TRAFFIC_CELLS; i++)
            at = put(at, model->histogram[f].cell[i], 2);
    }
    put(at, checksum(bytes), CRC_BYTES);
    apr_base64_encode_binary(out, bytes, (int)sizeof(bytes));
}

/* -1 for a histogram that learning cannot have made. */
static int get_histogram(const unsigned char **at, traffic_histogram_t *h)
{
    uint32_t beyond_first = 0;

    if (get_floats(at, &h->low, 1) != 0 || get_floats(at, &h->high, 1) != 0)
        return -1;
    for (int i = 0; i < TRAFFIC_CELLS; i++) {
        h->cell[i] = (uint16_t)get(at, 2);
        h->total += h->cell[i];
        beyond_first += i > 0 ? h->cell[i] : 0;
    }
    if (h->low > h->high || (h->low == h->high && beyond_first > 0))
        return -1;
    return h->total <= TRAFFIC_MEMORY * TRAFFIC_UNIT ? 0 : -1;
}

static int get_model(const unsigned char *at, traffic_model_t *model)
{
    int bad = 0;

    model->last_sec = (int64_t)get(&at, 8);
    model->seen = (uint32_t)get(&at, 4);
    model->run = (uint32_t)get(&at, 4);
    model->steady = (uint8_t)get(&at, 1);
    model->run_told = (uint8_t)get(&at, 1);
    bad |= get_floats(&at, &model->previous, 1);
    bad |= get_floats(&at, &model->level, 1);
    bad |= get_floats(&at, model->past, TRAFFIC_LAG);
    bad |= get_floats(&at, model->hour_mean, TRAFFIC_HOURS);
    for (int i = 0; i < TRAFFIC_HOURS; i++) {
        model->hour_seen[i] = *at++;
        bad |= model->hour_seen[i] > TRAFFIC_HOUR_MEMORY;
    }
    bad |= get_floats(&at, &model->habit, 1);
    bad |= get_floats(&at, &model->peak, 1);
    model->quiet = (uint16_t)get(&at, 2);
    bad |= model->steady > TRAFFIC_LAG || model->run_told > 1 || model->last_sec < 0;
    bad |= model->habit < 0 || model->quiet > TRAFFIC_QUIET;
    for (int f = 0; f < TRAFFIC_FEATURES; f++) {
        bad |= get_histogram(&at, &model->histogram[f]);
        /* Runs are learned when they end: of a constant series there are none. */
        bad |= (model->histogram[f].total > 0) != (model->seen > 0) && (f != TRAFFIC_RUN || model->seen == 0);
    }
    return bad ? -1 : 0;
}

int traffic_model_restore(traffic_model_t *model, const char *text, const char **why)
{
    /* The decoder rounds up to whole groups of three. */
    unsigned char bytes[TRAFFIC_STATE_SIZE];
    char again[TRAFFIC_STATE_SIZE];
    const unsigned char *crc = bytes + TRAFFIC_STATE_BYTES - CRC_BYTES;
    traffic_model_t read;

    *why = "it has not the length of a saved model";
    if (strlen(text) != TRAFFIC_STATE_SIZE - 1)
        return -1;
    *why = "it is no base64";
    if (apr_base64_decode_binary(bytes, text) != TRAFFIC_STATE_BYTES)
        return -1;
    apr_base64_encode_binary(again, bytes, TRAFFIC_STATE_BYTES);
    if (strcmp(text, again) != 0)
        return -1;
    *why = "it is of another version";
    if (memcmp(bytes, magic, sizeof(magic)) != 0)
        return -1;
    *why = "its checksum is wrong";
    if (get(&crc, CRC_BYTES) != checksum(bytes))
        return -1;
    *why = "it holds numbers that no model can hold";
    memset(&read, 0, sizeof(read));
    if (get_model(bytes + sizeof(magic), &read) != 0)
        return -1;
    *model = read;
    return 0;
}

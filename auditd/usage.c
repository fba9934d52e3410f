/* usage.c - the figures that a batch of events adds up to
 *
 * Events are summed by key in memory; each row of a table that they touch is then
 * written by one statement, however many events it stands for.
 */
#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

#include "auditd.h"

int usage_is_use(ak_code_e decision)
{
    switch (decision) {
    case AK_MISSING_CREDENTIALS:
    case AK_MALFORMED_KEY:
    case AK_UNKNOWN_KEY:
    case AK_EXPIRED_KEY:
    case AK_REVOKED_KEY:
    case AK_IP_NOT_ALLOWED:
    case AK_TOO_MANY_FAILURES:
    case AK_STORE_UNAVAILABLE:
        return 0;
    default:
        return 1;
    }
}

/* --- adding up ------------------------------------------------------------------------- */

static key_use_t *use_of(tx_t *tx, const ak_event_t *e)
{
    key_use_t *use = tx->last_key;

    if (use && strcmp(use->id, e->key) == 0)
        return use;
    if (!tx->keys)
        tx->keys = apr_hash_make(tx->p);
    use = apr_hash_get(tx->keys, e->key, APR_HASH_KEY_STRING);
    if (!use) {
        use = apr_pcalloc(tx->p, sizeof(*use));
        memcpy(use->id, e->key, sizeof(use->id));
        memcpy(use->account, e->account, sizeof(use->account));
        memcpy(use->environment, e->environment, sizeof(use->environment));
        use->cells = apr_array_make(tx->p, 2, sizeof(cell_t));
        use->networks = apr_array_make(tx->p, 1, sizeof(network_t));
        apr_hash_set(tx->keys, use->id, APR_HASH_KEY_STRING, use);
    }
    tx->last_key = use;
    return use;
}

/* Newest first: events come nearly in order, so the last cells are the ones wanted. */
static void count_request(key_use_t *use, const ak_event_t *e)
{
    apr_int64_t hour = ak_hour_start_sec(apr_time_sec(e->time));
    cell_t *cell = (cell_t *)use->cells->elts;

    for (int i = use->cells->nelts - 1; i >= 0; i--)
        if (cell[i].hour_sec == hour && cell[i].decision == e->decision) {
            cell[i].requests++;
            return;
        }
    APR_ARRAY_PUSH(use->cells, cell_t) = (cell_t){hour, e->decision, 1};
}

static network_t *network_of(key_use_t *use, const char *address)
{
    network_t *net = (network_t *)use->networks->elts;
    unsigned char bytes[16];
    char text[AK_CIDR_TEXT];
    ak_cidr_t cidr;

    for (int i = 0; i < use->networks->nelts; i++)
        if (strcmp(net[i].address, address) == 0)
            return &net[i];
    if (ak_addr_parse(bytes, address) != APR_SUCCESS)
        return NULL;
    ak_cidr_network_of(&cidr, bytes);
    ak_cidr_text(text, &cidr);
    for (int i = 0; i < use->networks->nelts; i++)
        if (strcmp(net[i].text, text) == 0)
            return &net[i];
    net = apr_array_push(use->networks);
    memset(net, 0, sizeof(*net));
    memcpy(net->text, text, sizeof(net->text));
    return net;
}

static void note_use(key_use_t *use, const ak_event_t *e)
{
    network_t *net;

    if (use->first == 0 || e->time < use->first)
        use->first = e->time;
    if (e->time >= use->last) {
        use->last = e->time;
        memcpy(use->address, e->address, sizeof(use->address));
    }
    net = network_of(use, e->address);
    if (!net)
        return;
    if (net->requests++ == 0 || e->time < net->first)
        net->first = e->time;
    if (e->time >= net->last) {
        net->last = e->time;
        memcpy(net->address, e->address, sizeof(net->address));
    }
}

apr_status_t usage_observe(tx_t *tx, const ak_event_t *e)
{
    key_use_t *use;

    if (e->key[0] == '\0')
        return APR_SUCCESS;
    use = use_of(tx, e);
    if (e->klass == AK_CLASS_API)
        count_request(use, e);
    if (usage_is_use(e->decision))
        note_use(use, e);
    return APR_SUCCESS;
}

/* --- writing ------------------------------------------------------------------------------ */

static apr_status_t add_cell(tx_t *tx, ak_sql_e statement, const key_use_t *use, apr_int64_t start,
                             const cell_t *cell)
{
    return TX_EXEC(tx, statement, NULL, use->id, TX_NUMBER(tx, start), ak_problem_of(cell->decision)->slug,
                   use->account, use->environment, TX_NUMBER(tx, cell->requests));
}

/* The cells of a key by day: few, so that a plain search does. */
static apr_array_header_t *days_of(tx_t *tx, const key_use_t *use)
{
    apr_array_header_t *days = apr_array_make(tx->p, 2, sizeof(cell_t));

    for (int i = 0; i < use->cells->nelts; i++) {
        cell_t cell = APR_ARRAY_IDX(use->cells, i, cell_t), *day = (cell_t *)days->elts;
        int at = 0;

        cell.hour_sec = ak_day_start_sec(cell.hour_sec);
        while (at < days->nelts && (day[at].hour_sec != cell.hour_sec || day[at].decision != cell.decision))
            at++;
        if (at < days->nelts)
            day[at].requests += cell.requests;
        else
            APR_ARRAY_PUSH(days, cell_t) = cell;
    }
    return days;
}

static apr_status_t write_cells(tx_t *tx, const key_use_t *use)
{
    apr_array_header_t *days = days_of(tx, use);
    apr_status_t rv = APR_SUCCESS;

    for (int i = 0; i < use->cells->nelts && rv == APR_SUCCESS; i++) {
        const cell_t *cell = &APR_ARRAY_IDX(use->cells, i, cell_t);
        rv = add_cell(tx, AK_SQL_AUD_USAGE_HOUR_ADD, use, cell->hour_sec, cell);
    }
    for (int i = 0; i < days->nelts && rv == APR_SUCCESS; i++) {
        const cell_t *cell = &APR_ARRAY_IDX(days, i, cell_t);
        rv = add_cell(tx, AK_SQL_AUD_USAGE_DAY_ADD, use, cell->hour_sec, cell);
    }
    return rv;
}

static int by_first_time(const void *a, const void *b)
{
    apr_time_t x = ((const network_t *)a)->first, y = ((const network_t *)b)->first;

    return x < y ? -1 : x > y;
}

static apr_status_t write_network(tx_t *tx, const key_use_t *use, network_t *net)
{
    const char *first = TX_NUMBER(tx, apr_time_sec(net->first)), *last = TX_NUMBER(tx, apr_time_sec(net->last));
    int affected = 0;
    apr_status_t rv = TX_EXEC(tx, AK_SQL_AUD_NETWORK_TOUCH, &affected, first, first, last, last,
                              TX_NUMBER(tx, net->requests), use->id, net->text);

    if (rv != APR_SUCCESS || affected > 0)
        return rv;
    net->is_new = 1;
    return TX_EXEC(tx, AK_SQL_AUD_NETWORK_ADD, NULL, use->id, net->text, first, last,
                   TX_NUMBER(tx, net->requests));
}

/* Say of each new network since when its key had been at work before: in an earlier
 * batch, or from another network earlier in this one. */
static apr_status_t date_new_networks(tx_t *tx, key_use_t *use)
{
    network_t *net = (network_t *)use->networks->elts;
    apr_int64_t since = 0;
    ak_rows_t rows;
    apr_status_t rv = TX_SELECT(tx, AK_SQL_AUD_ACTIVITY_GET, &rows, use->id);

    if (rv != APR_SUCCESS)
        return rv;
    if (rows.count > 0)
        since = ak_rows_number(&rows, 0, 0, 0);
    for (int i = 0; i < use->networks->nelts; i++) {
        if (net[i].is_new)
            net[i].used_since = since;
        if (since == 0 || apr_time_sec(net[i].first) < since)
            since = apr_time_sec(net[i].first);
    }
    return APR_SUCCESS;
}

static apr_status_t write_networks(tx_t *tx, key_use_t *use)
{
    network_t *net = (network_t *)use->networks->elts;
    int fresh = 0;
    apr_status_t rv = APR_SUCCESS;

    qsort(net, (size_t)use->networks->nelts, sizeof(network_t), by_first_time);
    for (int i = 0; i < use->networks->nelts && rv == APR_SUCCESS; i++) {
        rv = write_network(tx, use, &net[i]);
        fresh += net[i].is_new;
    }
    return rv == APR_SUCCESS && fresh ? date_new_networks(tx, use) : rv;
}

static apr_status_t write_activity(tx_t *tx, const key_use_t *use)
{
    if (use->last == 0)
        return APR_SUCCESS;
    return TX_EXEC(tx, AK_SQL_AUD_ACTIVITY_PUT, NULL, use->id, TX_NUMBER(tx, apr_time_sec(use->first)),
                   TX_NUMBER(tx, apr_time_sec(use->last)), use->address);
}

/* --- months ---------------------------------------------------------------------------------- */

typedef struct {
    const char *account;
    int month;
    apr_uint64_t requests;
} month_t;

static void count_months(tx_t *tx, apr_hash_t *months, const key_use_t *use)
{
    if (strcmp(use->environment, "live") != 0)
        return;
    for (int i = 0; i < use->cells->nelts; i++) {
        const cell_t *cell = &APR_ARRAY_IDX(use->cells, i, cell_t);
        int month = ak_month_number(cell->hour_sec);
        const char *name = apr_psprintf(tx->p, "%s %d", use->account, month);
        month_t *sum;

        if (cell->decision != AK_OK)
            continue;
        sum = apr_hash_get(months, name, APR_HASH_KEY_STRING);
        if (!sum) {
            sum = apr_pcalloc(tx->p, sizeof(*sum));
            sum->account = use->account;
            sum->month = month;
            apr_hash_set(months, name, APR_HASH_KEY_STRING, sum);
        }
        sum->requests += cell->requests;
    }
}

static apr_status_t write_months(tx_t *tx, apr_hash_t *months)
{
    apr_status_t rv = APR_SUCCESS;

    for (apr_hash_index_t *i = apr_hash_first(tx->p, months); i && rv == APR_SUCCESS; i = apr_hash_next(i)) {
        const month_t *sum = apr_hash_this_val(i);

        rv = TX_EXEC(tx, AK_SQL_AUD_USAGE_MONTH_ADD, NULL, sum->account, TX_NUMBER(tx, sum->month),
                     TX_NUMBER(tx, sum->requests));
        if (rv == APR_SUCCESS)
            rv = quota_check(tx, sum->account, sum->month);
    }
    return rv;
}

apr_status_t usage_flush(tx_t *tx)
{
    apr_hash_t *months = apr_hash_make(tx->p);
    apr_hash_index_t *i = tx->keys ? apr_hash_first(tx->p, tx->keys) : NULL;
    apr_status_t rv = APR_SUCCESS;

    for (; i && rv == APR_SUCCESS; i = apr_hash_next(i)) {
        key_use_t *use = apr_hash_this_val(i);

        rv = write_cells(tx, use);
        if (rv == APR_SUCCESS)
            rv = write_networks(tx, use); /* before the activity, of which it asks the state before */
        if (rv == APR_SUCCESS)
            rv = write_activity(tx, use);
        count_months(tx, months, use);
    }
    return rv == APR_SUCCESS ? write_months(tx, months) : rv;
}

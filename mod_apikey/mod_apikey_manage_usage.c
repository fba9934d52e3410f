/* mod_apikey_manage_usage.c - what was used, what is left, and what may be done */
#include <apr_strings.h>

#include "ak_window.h"
#include "mod_apikey_manage.h"
#include "mod_apikey_manage_io.h"


#define HOUR_SEC 3600
#define DAY_SEC 86400
#define BUCKETS_MAX 1000 /* of a series: 41 days of hours, or 2.7 years of days */

/* --- GET /v1/usage ---------------------------------------------------------------------- */

static const char *const environments[] = {"live", "test", NULL};
static const char *const granularities[] = {"hour", "day", NULL};

/* read_span - from and to, aligned to whole buckets */
static int read_span(manage_t *m, ak_usage_filter_t *filter)
{
    const char *granularity = granularities[0];
    apr_int64_t step;

    if (manage_param_choice(m, "granularity", granularities, &granularity))
        return 1;
    filter->by_day = granularity == granularities[1];
    step = filter->by_day ? DAY_SEC : HOUR_SEC;
    filter->to = m->now + 1;
    if (manage_param_time(m, "to", &filter->to))
        return 1;
    filter->from = filter->to - (filter->by_day ? 30 : 24) * step;
    if (manage_param_time(m, "from", &filter->from))
        return 1;
    if (filter->from >= filter->to)
        return manage_refuse_param(m, "from", "must be earlier than to");
    filter->from -= filter->from % step;
    filter->to += (step - filter->to % step) % step;
    if (filter->from < 0)
        return manage_refuse_param(m, "from", "must not be before 1970");
    if ((filter->to - filter->from) / step > BUCKETS_MAX)
        return manage_refuse_param(m, "from", "is too far from to: ask for at most 1000 hours or days");
    return 0;
}

/* read_subject - whose figures: one key's, one account's, or all */
static int read_subject(manage_t *m, ak_usage_filter_t *filter)
{
    ak_key_record_t *key;

    if (manage_param_account(m, &filter->account_id)
        || manage_param_id(m, "key_id", "key_", &filter->key_id)
        || manage_param_choice(m, "environment", environments, &filter->environment))
        return 1;
    if (m->test && filter->environment == environments[0])
        return manage_refuse(m, AK_ENVIRONMENT_MISMATCH, "A test key sees the figures of test keys only.");
    if (filter->key_id) {
        if (!(key = manage_key_find(m, filter->key_id)))
            return 1;
        filter->account_id = key->account_id;
        if (!filter->environment)
            filter->environment = environments[key->environment == AK_ENV_TEST];
    }
    if (!filter->environment)
        filter->environment = environments[m->test];
    return 0;
}

/* series_json - every bucket of the span, empty ones too; rows come ordered by start */
static json_t *series_json(const ak_usage_filter_t *filter, const ak_usage_t *rows, int count)
{
    apr_int64_t step = filter->by_day ? DAY_SEC : HOUR_SEC, start;
    json_t *series = json_array();
    int at = 0;

    for (start = filter->from; start < filter->to; start += step) {
        json_t *decisions = json_object();
        apr_int64_t admitted = 0;

        for (; at < count && rows[at].start < start + step; at++) {
            json_object_set_new(decisions, rows[at].decision, json_integer(rows[at].requests));
            if (!strcmp(rows[at].decision, "ok"))
                admitted += rows[at].requests;
        }
        json_array_append_new(series, json_pack("{s:o, s:I, s:o}", "start", manage_json_time(start),
                                                "requests", (json_int_t)admitted, "decisions",
                                                decisions));
    }
    return series;
}

/* sum_admitted - what was admitted from a second on */
static apr_int64_t sum_admitted(const ak_usage_t *rows, int count, apr_int64_t from)
{
    apr_int64_t sum = 0;
    int i;

    for (i = 0; i < count; i++)
        if (rows[i].start >= from && !strcmp(rows[i].decision, "ok"))
            sum += rows[i].requests;
    return sum;
}

void manage_usage(manage_t *m)
{
    ak_usage_filter_t filter = {0}, month;
    ak_usage_t *rows, *days;
    int count, day_count;
    apr_status_t rv;

    if (read_span(m, &filter) || read_subject(m, &filter))
        return;
    month = filter;
    month.by_day = 1;
    month.from = ak_month_start_sec(ak_month_number(m->now));
    month.to = m->now + 1;
    rv = ak_store_usage(m->node->store, &filter, &rows, &count, m->p);
    if (rv == APR_SUCCESS)
        rv = ak_store_usage(m->node->store, &month, &days, &day_count, m->p);
    if (rv != APR_SUCCESS) {
        manage_refuse_store(m, rv, "reading usage");
        return;
    }
    manage_answer(m, HTTP_OK,
                  json_pack("{s:s?, s:s?, s:s, s:s, s:o, s:o, s:I, s:I, s:o}", "account_id",
                            filter.account_id, "key_id", filter.key_id, "environment",
                            filter.environment, "granularity", granularities[filter.by_day], "from",
                            manage_json_time(filter.from), "to", manage_json_time(filter.to),
                            "requests_today",
                            (json_int_t)sum_admitted(days, day_count, ak_day_start_sec(m->now)),
                            "requests_this_month", (json_int_t)sum_admitted(days, day_count, 0),
                            "data", series_json(&filter, rows, count)));
}

/* --- GET /v1/rate-limit ---------------------------------------------------------------------- */

static json_t *window_json(const ak_rate_window_t *window)
{
    return json_pack("{s:I, s:I, s:I, s:o}", "limit", (json_int_t)window->limit, "remaining",
                     (json_int_t)window->remaining, "reset", (json_int_t)window->reset_sec, "reset_at",
                     manage_json_time(window->reset_sec));
}

/* quota_json - the account's month; null where there is no quota, or for a test key */
static json_t *quota_json(const manage_t *m, const ak_account_t *account, const ak_plan_t *plan)
{
    apr_int64_t limit = account->quota_month == AK_UNSET ? plan->quota_month : account->quota_month;
    apr_int64_t used = account->requests_this_month;
    apr_int64_t reset = ak_month_start_sec(ak_month_number(m->now) + 1);

    if (limit == AK_UNSET || m->test)
        return json_null();
    return json_pack("{s:I, s:I, s:I, s:I, s:o}", "limit", (json_int_t)limit, "used", (json_int_t)used,
                     "remaining", (json_int_t)(used < limit ? limit - used : 0), "reset",
                     (json_int_t)reset, "reset_at", manage_json_time(reset));
}

/* set_rate_headers - the guide shows them on this answer, whatever the folder's family is */
static void set_rate_headers(manage_t *m, const ak_rate_window_t *hour)
{
    apr_table_t *headers = m->r->headers_out;

    apr_table_setn(headers, "X-RateLimit-Limit", apr_psprintf(m->p, "%u", hour->limit));
    apr_table_setn(headers, "X-RateLimit-Remaining", apr_psprintf(m->p, "%u", hour->remaining));
    apr_table_setn(headers, "X-RateLimit-Reset",
                   apr_psprintf(m->p, "%" APR_INT64_T_FMT, hour->reset_sec));
}

void manage_rate_limit(manage_t *m)
{
    ak_plan_t plans[AK_PLAN_COUNT];
    ak_rate_result_t rate;
    ak_account_t *account;
    json_t *body;
    apr_status_t rv;

    if (!m->facts) {
        manage_refuse(m, AK_NOT_FOUND, "Only a key has a rate limit: ask with a key.");
        return;
    }
    rv = apikey_peek(m->node, m->facts, m->r->request_time, &rate);
    if (rv == APR_SUCCESS)
        rv = ak_store_account_get(m->node->store, m->actor.account_id, m->now, &account, m->p);
    if (rv == APR_SUCCESS)
        rv = ak_store_plans(m->node->store, plans, m->p);
    if (rv != APR_SUCCESS) {
        manage_refuse_store(m, rv == APR_NOTFOUND ? APR_EGENERAL : rv, "reading a rate limit");
        return;
    }
    set_rate_headers(m, &rate.window[AK_WINDOW_HOUR]);
    body = window_json(&rate.window[AK_WINDOW_HOUR]);
    json_object_set_new(body, "per_minute", window_json(&rate.window[AK_WINDOW_MINUTE]));
    json_object_set_new(body, "quota", quota_json(m, account, &plans[account->plan]));
    manage_answer(m, HTTP_OK, body);
}

/* --- GET /v1/permissions ------------------------------------------------------------------------ */

void manage_permissions(manage_t *m)
{
    json_t *data = json_array();
    int bit;

    for (bit = 0; bit < m->registry->count; bit++)
        if (m->registry->name[bit])
            json_array_append_new(data, json_pack("{s:s, s:s, s:b}", "name", m->registry->name[bit],
                                                  "description", m->registry->description[bit], "held",
                                                  ak_scopes_has(&m->held, bit)));
    manage_answer(m, HTTP_OK, json_pack("{s:o}", "data", data));
}

/* detect_new_ip.c - a key is used from a network that it was never used from
 *
 * A network is a /24 of IPv4 or a /48 of IPv6.  For the learning period after its
 * first use a key's networks are taken as its own; from then on a new one is told.
 */
#include <apr_strings.h>

#include "auditd.h"

static apr_status_t tell(tx_t *tx, const detector_t *self, const key_use_t *use, const network_t *net)
{
    ak_rows_t rows;
    apr_int64_t first = apr_time_sec(net->first), known;
    apr_status_t rv = TX_SELECT(tx, AK_SQL_AUD_NETWORK_COUNT, &rows, use->id, net->text);

    if (rv != APR_SUCCESS)
        return rv;
    known = ak_rows_number(&rows, 0, 0, 0);
    alert_t alert = {
        .account_id = use->account,
        .key_id = use->id,
        .subject = apr_pstrcat(tx->p, use->id, " ", net->text, NULL),
        .message = apr_psprintf(tx->p,
            "Key %s was used from the new network %s (address %s) at %s. It has been in use since %s, from "
            "%" APR_INT64_T_FMT " other network%s. If nobody of yours works from there, rotate the key or "
            "revoke it; a network that you know needs nothing, it is told once.",
            detect_key_words(tx, use->id), net->text, net->address, alert_time(tx->p, first),
            alert_time(tx->p, net->used_since), known, known == 1 ? "" : "s"),
        .details = json_pack("{s:s, s:s, s:s, s:I}", "network", net->text, "address", net->address, "used_since",
                             alert_time(tx->p, net->used_since), "known_networks", (json_int_t)known),
        .count = net->requests,
        .first_sec = first,
        .last_sec = apr_time_sec(net->last),
    };
    return alert_raise(tx, self, &alert);
}

static apr_status_t flush(tx_t *tx, const detector_t *self, void *baton)
{
    apr_hash_index_t *i = tx->keys ? apr_hash_first(tx->p, tx->keys) : NULL;
    apr_status_t rv = APR_SUCCESS;

    for (; i; i = apr_hash_next(i)) {
        const key_use_t *use = apr_hash_this_val(i);

        for (int n = 0; n < use->networks->nelts && rv == APR_SUCCESS; n++) {
            const network_t *net = &APR_ARRAY_IDX(use->networks, n, network_t);
            apr_int64_t used_for = apr_time_sec(net->first) - net->used_since;

            if (net->is_new && net->used_since > 0 && used_for >= tx->conf->new_ip_learning_sec)
                rv = tell(tx, self, use, net);
        }
    }
    return rv;
}

const detector_t detect_new_ip = {"new_ip", "warning", "T1078", NULL, flush, NULL, 0};

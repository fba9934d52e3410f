/* ak_cidr.h - IP addresses and networks (RFC 4632, RFC 4291) in one 16-byte form
 *
 * Thread-safe; no allocation but where a pool is taken.
 */
#ifndef AK_CIDR_H
#define AK_CIDR_H

#include "ak_types.h"

#define AK_CIDR_TEXT 50 /* longest text form and NUL */

/* Parse "192.0.2.0/24", "2001:db8::/32" or a bare address.  APR_EINVAL: not one,
 * or host bits are set behind the mask. */
apr_status_t ak_cidr_parse(ak_cidr_t *out, const char *text);
/* A bare address only. */
apr_status_t ak_addr_parse(unsigned char addr[16], const char *text);
int ak_cidr_contains(const ak_cidr_t *net, const unsigned char addr[16]);
/* Text of a network. out: AK_CIDR_TEXT bytes. */
const char *ak_cidr_text(char *out, const ak_cidr_t *net);
/* The network an address is known by: /24 for IPv4, /48 for IPv6. */
void ak_cidr_network_of(ak_cidr_t *out, const unsigned char addr[16]);
/* Parse a space-separated list.  *count is the number of networks in the list, of
 * which the first max are stored.  APR_EINVAL: *bad is the entry (in p). */
apr_status_t ak_cidr_list_parse(ak_cidr_t *out, int max, int *count, const char *list,
                                const char **bad, apr_pool_t *p);

#endif

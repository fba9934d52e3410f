/* peer.c - which addresses belong to the internet at large
 *
 * Whoever may set a webhook chooses where this machine connects to.  It must not be the
 * machine itself, its link (metadata services of clouds), or the site behind it.  Asked
 * of the address that is connected to, so that no name can be resolved to another one
 * in between.  The networks are those that the IANA registries for special purposes
 * call not globally reachable, and multicast.
 */
#include <netinet/in.h>
#include <string.h>

#include "auditd.h"

static const char *const closed[] = {
    "0.0.0.0/8",      "10.0.0.0/8",    "100.64.0.0/10",  "127.0.0.0/8",     "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24",   "192.0.2.0/24",  "192.88.99.0/24", "192.168.0.0/16",  "198.18.0.0/15",  "198.51.100.0/24",
    "203.0.113.0/24", "224.0.0.0/4",   "240.0.0.0/4",    "::/96",           "64:ff9b:1::/48", "100::/64",
    "2001::/23",      "2001:db8::/32", "3fff::/20",      "5f00::/16",       "fc00::/7",       "fe80::/10",
    "fec0::/10",      "ff00::/8",
};

static int is_closed(const unsigned char address[16])
{
    ak_cidr_t network;

    for (size_t i = 0; i < sizeof(closed) / sizeof(closed[0]); i++)
        if (ak_cidr_parse(&network, closed[i]) != APR_SUCCESS || ak_cidr_contains(&network, address))
            return 1;
    return 0;
}

/* An IPv4 address in the form that ak_cidr uses for both. */
static int is_closed_ipv4(const unsigned char bytes[4])
{
    unsigned char address[16] = {0};

    address[10] = address[11] = 0xff;
    memcpy(address + 12, bytes, 4);
    return is_closed(address);
}

static int is_closed_ipv6(const unsigned char bytes[16])
{
    static const unsigned char nat64[12] = {0, 0x64, 0xff, 0x9b};

    if (memcmp(bytes, nat64, sizeof(nat64)) == 0) /* RFC 6052: the last four are an IPv4 address */
        return is_closed_ipv4(bytes + 12);
    if (bytes[0] == 0x20 && bytes[1] == 0x02) /* RFC 3056: an IPv4 address follows */
        return is_closed_ipv4(bytes + 2);
    return is_closed(bytes); /* ::ffff:a.b.c.d is what ak_cidr takes for IPv4 anyway */
}

int peer_is_public(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return !is_closed_ipv4((const unsigned char *)&((const struct sockaddr_in *)(const void *)address)->sin_addr);
    if (address->sa_family == AF_INET6)
        return !is_closed_ipv6((const unsigned char *)&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
    return 0;
}

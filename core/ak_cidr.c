/* ak_cidr.c - IP addresses and networks in one 16-byte form */
#include "ak_cidr.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

static const unsigned char v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static int is_v4(const unsigned char addr[16])
{
    return memcmp(addr, v4_prefix, sizeof v4_prefix) == 0;
}

apr_status_t ak_addr_parse(unsigned char addr[16], const char *text)
{
    unsigned char v4[4];

    if (inet_pton(AF_INET, text, v4) == 1) {
        memcpy(addr, v4_prefix, sizeof v4_prefix);
        memcpy(addr + 12, v4, 4);
        return APR_SUCCESS;
    }
    return inet_pton(AF_INET6, text, addr) == 1 ? APR_SUCCESS : APR_EINVAL;
}

static void mask(unsigned char addr[16], int bits)
{
    int i;

    for (i = 0; i < 16; i++) {
        int keep = bits - 8 * i;
        if (keep <= 0) {
            addr[i] = 0;
        }
        else if (keep < 8) {
            addr[i] &= (unsigned char)(0xff << (8 - keep));
        }
    }
}

/* A number up to max in its shortest form, and nothing behind it; -1 otherwise. */
static int mask_bits(const char *s, int max)
{
    apr_size_t len = strlen(s);
    int bits;

    if (!len || len > 3 || strspn(s, "0123456789") != len || (s[0] == '0' && len > 1)) {
        return -1;
    }
    bits = (int)strtol(s, NULL, 10);
    return bits > max ? -1 : bits;
}

apr_status_t ak_cidr_parse(ak_cidr_t *out, const char *text)
{
    char host[AK_CIDR_TEXT];
    const char *slash = strchr(text, '/');
    apr_size_t len = slash ? (apr_size_t)(slash - text) : strlen(text);
    unsigned char masked[16];
    int bits = 128, v4;

    if (len >= sizeof host) {
        return APR_EINVAL;
    }
    memcpy(host, text, len);
    host[len] = '\0';
    if (ak_addr_parse(out->addr, host) != APR_SUCCESS) {
        return APR_EINVAL;
    }
    if (slash) {
        v4 = strchr(host, ':') == NULL;
        if ((bits = mask_bits(slash + 1, v4 ? 32 : 128)) < 0) {
            return APR_EINVAL;
        }
        bits += v4 ? 96 : 0;
    }
    out->bits = (unsigned char)bits;
    memcpy(masked, out->addr, 16);
    mask(masked, bits);
    return memcmp(masked, out->addr, 16) == 0 ? APR_SUCCESS : APR_EINVAL;
}

int ak_cidr_contains(const ak_cidr_t *net, const unsigned char addr[16])
{
    int whole = net->bits / 8, rest = net->bits % 8;

    if (memcmp(net->addr, addr, (apr_size_t)whole) != 0) {
        return 0;
    }
    return rest == 0 || ((net->addr[whole] ^ addr[whole]) & (0xff << (8 - rest)) & 0xff) == 0;
}

const char *ak_cidr_text(char *out, const ak_cidr_t *net)
{
    char host[INET6_ADDRSTRLEN] = "?";
    int v4 = is_v4(net->addr) && net->bits >= 96;

    if (v4) {
        inet_ntop(AF_INET, net->addr + 12, host, sizeof host);
    }
    else {
        inet_ntop(AF_INET6, net->addr, host, sizeof host);
    }
    apr_snprintf(out, AK_CIDR_TEXT, "%s/%d", host, v4 ? net->bits - 96 : net->bits);
    return out;
}

void ak_cidr_network_of(ak_cidr_t *out, const unsigned char addr[16])
{
    memcpy(out->addr, addr, 16);
    out->bits = is_v4(addr) ? 96 + 24 : 48;
    mask(out->addr, out->bits);
}

apr_status_t ak_cidr_list_parse(ak_cidr_t *out, int max, int *count, const char *list,
                                const char **bad, apr_pool_t *p)
{
    char *state = NULL, *copy, *entry;
    ak_cidr_t net;

    *count = 0;
    if (!list) {
        return APR_SUCCESS;
    }
    copy = apr_pstrdup(p, list);
    for (entry = apr_strtok(copy, " ", &state); entry; entry = apr_strtok(NULL, " ", &state)) {
        if (ak_cidr_parse(&net, entry) != APR_SUCCESS) {
            if (bad) {
                *bad = entry;
            }
            return APR_EINVAL;
        }
        if (*count < max) {
            out[*count] = net;
        }
        (*count)++;
    }
    return APR_SUCCESS;
}

/* fuzz_cidr.c - networks, and lists of them */
#include "fuzz.h"

#include "ak_cidr.h"

static void check_network(const ak_cidr_t *net)
{
    unsigned char last[16];
    char text[AK_CIDR_TEXT];
    ak_cidr_t again;
    int bit;

    REQUIRE(net->bits <= 128 && ak_cidr_contains(net, net->addr));
    REQUIRE(strlen(ak_cidr_text(text, net)) < sizeof text);
    REQUIRE(ak_cidr_parse(&again, text) == APR_SUCCESS);
    REQUIRE(again.bits == net->bits && memcmp(again.addr, net->addr, 16) == 0);
    memcpy(last, net->addr, 16);
    for (bit = net->bits; bit < 128; bit++) {
        REQUIRE(!(last[bit / 8] >> (7 - bit % 8) & 1)); /* no host bits */
        last[bit / 8] |= (unsigned char)(1 << (7 - bit % 8));
    }
    REQUIRE(ak_cidr_contains(net, last));
    if (net->bits > 0) {
        bit = net->bits - 1;
        last[bit / 8] ^= (unsigned char)(1 << (7 - bit % 8));
        REQUIRE(!ak_cidr_contains(net, last));
    }
}

FUZZ_TARGET(cidr)
{
    apr_pool_t *pool = fuzz_pool();
    char *s = fuzz_string(data, size);
    const char *bad = NULL;
    ak_cidr_t nets[AK_CIDR_INLINE], net;
    int count = -1, i;

    if (ak_cidr_parse(&net, s) == APR_SUCCESS)
        check_network(&net);
    if (ak_cidr_list_parse(nets, AK_CIDR_INLINE, &count, s, &bad, pool) == APR_SUCCESS) {
        REQUIRE(bad == NULL && count >= 0);
        for (i = 0; i < count && i < AK_CIDR_INLINE; i++)
            check_network(&nets[i]);
    }
    else
        REQUIRE(bad != NULL && ak_cidr_parse(&net, bad) != APR_SUCCESS);
    free(s);
    apr_pool_destroy(pool);
    return 0;
}

/* test_cidr.c - addresses and networks: parse, print, contain, lists */
#include <apr_strings.h>
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "ak_cidr.h"
#include "suites.h"

static apr_pool_t *pool;

static void set_up(void)
{
    apr_pool_create(&pool, NULL);
}

static void tear_down(void)
{
    apr_pool_destroy(pool);
}

static int within(const char *network, const char *address)
{
    unsigned char addr[16];
    ak_cidr_t net;

    ck_assert_msg(ak_cidr_parse(&net, network) == APR_SUCCESS, "%s", network);
    ck_assert_msg(ak_addr_parse(addr, address) == APR_SUCCESS, "%s", address);
    return ak_cidr_contains(&net, addr);
}

static const struct {
    const char *text, *printed;
} networks[] = {
    {"192.0.2.0/24", "192.0.2.0/24"},
    {"192.0.2.7", "192.0.2.7/32"},
    {"192.0.2.7/32", "192.0.2.7/32"},
    {"0.0.0.0/0", "0.0.0.0/0"},
    {"10.0.0.0/8", "10.0.0.0/8"},
    {"10.128.0.0/9", "10.128.0.0/9"},
    {"255.255.255.255", "255.255.255.255/32"},
    {"2001:db8::/32", "2001:db8::/32"},
    {"2001:DB8:0:0:0:0:0:1", "2001:db8::1/128"},
    {"::/0", "::/0"},
    {"::1", "::1/128"},
    {"fe80::/10", "fe80::/10"},
    {"::ffff:192.0.2.0/120", "192.0.2.0/24"}, /* one form for both ways of writing it */
    {"::ffff:c000:207", "192.0.2.7/32"},
    {"::ffff:0:0/96", "0.0.0.0/0"},
    {"2001:db8:ffff:ffff:ffff:ffff:ffff:fffe/127", "2001:db8:ffff:ffff:ffff:ffff:ffff:fffe/127"},
};

START_TEST(test_networks)
{
    char text[AK_CIDR_TEXT];
    ak_cidr_t net, again;

    ck_assert_int_eq(ak_cidr_parse(&net, networks[_i].text), APR_SUCCESS);
    ck_assert_str_eq(ak_cidr_text(text, &net), networks[_i].printed);
    ck_assert_int_eq(ak_cidr_parse(&again, text), APR_SUCCESS);
    ck_assert_mem_eq(again.addr, net.addr, 16);
    ck_assert_int_eq(again.bits, net.bits);
}
END_TEST

static const char *const not_networks[] = {
    "", " ", "/", "/24", "192.0.2.0/", "192.0.2.0/33", "192.0.2.0/-1", "192.0.2.0/+8", "192.0.2.0/24 ",
    " 192.0.2.0/24", "192.0.2.0/24/24", "192.0.2.0/2x", "192.0.2.0/0x8", "192.0.2.0/024", "192.0.2.0/00",
    "192.0.2.0/1000", "192.0.2.0/4294967320", "192.0.2.1/24", /* host bits */ "192.0.2.0/255.255.255.0",
    "192.0.2", "192.0.2.256", "192.0.2.0.1", "192.000.002.001", "0xc0000201", "3221225985", "192.0.2.-1",
    "localhost", "example.com", "*", "any", "2001:db8::/129", "2001:db8::1/32", "2001:db8::/", ":::",
    "2001:db8:::1", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "fe80::1%eth0", "[::1]", "[::1]/128", "::g",
    "::ffff:192.0.2.1/24", "::ffff:192.0.2.0/118", "::ffff:1.2.3", "192.0.2.0/24,10.0.0.0/8",
    "11111111111111111111111111111111111111111111111111111111111111111111",
};

START_TEST(test_not_networks)
{
    ak_cidr_t net;

    ck_assert_msg(ak_cidr_parse(&net, not_networks[_i]) == APR_EINVAL, "\"%s\"", not_networks[_i]);
}
END_TEST

START_TEST(test_addresses)
{
    unsigned char addr[16], mapped[16];

    ck_assert_int_eq(ak_addr_parse(addr, "192.0.2.7"), APR_SUCCESS);
    ck_assert_int_eq(ak_addr_parse(mapped, "::ffff:192.0.2.7"), APR_SUCCESS);
    ck_assert_mem_eq(addr, mapped, 16);
    ck_assert_int_eq(ak_addr_parse(addr, "2001:db8::1"), APR_SUCCESS);
    ck_assert_int_eq(ak_addr_parse(addr, "192.0.2.7/32"), APR_EINVAL);
    ck_assert_int_eq(ak_addr_parse(addr, ""), APR_EINVAL);
    ck_assert_int_eq(ak_addr_parse(addr, "192.0.2.7:80"), APR_EINVAL);
    ck_assert_int_eq(ak_addr_parse(addr, "fe80::1%lo"), APR_EINVAL);
}
END_TEST

START_TEST(test_contains)
{
    static const struct {
        const char *network, *address;
        int inside;
    } cases[] = {
        {"192.0.2.0/24", "192.0.2.0", 1},         {"192.0.2.0/24", "192.0.2.255", 1},
        {"192.0.2.0/24", "192.0.3.0", 0},         {"192.0.2.0/24", "192.0.1.255", 0},
        {"192.0.2.0/24", "::ffff:192.0.2.9", 1},  {"192.0.2.0/24", "::192.0.2.9", 0},
        {"192.0.2.0/24", "2001:db8::1", 0},       {"192.0.2.7", "192.0.2.7", 1},
        {"192.0.2.7", "192.0.2.6", 0},            {"10.128.0.0/9", "10.127.255.255", 0},
        {"10.128.0.0/9", "10.128.0.0", 1},        {"10.0.0.0/15", "10.1.255.255", 1},
        {"10.0.0.0/15", "10.2.0.0", 0},           {"0.0.0.0/0", "203.0.113.9", 1},
        {"0.0.0.0/0", "2001:db8::1", 0},          {"0.0.0.0/0", "::1", 0},
        {"::/0", "2001:db8::1", 1},               {"::/0", "203.0.113.9", 1}, /* everything */
        {"2001:db8::/32", "2001:db8:ffff::", 1},  {"2001:db8::/32", "2001:db9::", 0},
        {"2001:db8::/33", "2001:db8:7fff::1", 1}, {"2001:db8::/33", "2001:db8:8000::", 0},
        {"::1", "::1", 1},                        {"::1", "127.0.0.1", 0},
        {"2001:db8::/127", "2001:db8::1", 1},     {"2001:db8::/127", "2001:db8::2", 0},
    };

    ck_assert_msg(within(cases[_i].network, cases[_i].address) == cases[_i].inside, "%s in %s",
                  cases[_i].address, cases[_i].network);
}
END_TEST

/* For every length of mask: flipping the last kept bit leaves, flipping the next one stays. */
START_TEST(test_every_mask)
{
    unsigned char addr[16];
    ak_cidr_t net;
    char text[AK_CIDR_TEXT];
    int bits;

    for (bits = 0; bits <= 128; bits++) {
        apr_snprintf(text, sizeof text, "::/%d", bits);
        ck_assert_int_eq(ak_cidr_parse(&net, text), APR_SUCCESS);
        ck_assert_int_eq(net.bits, bits);
        memset(addr, 0, sizeof addr);
        ck_assert(ak_cidr_contains(&net, addr));
        if (bits < 128) {
            addr[bits / 8] = (unsigned char)(0x80 >> bits % 8);
            ck_assert(ak_cidr_contains(&net, addr));
            addr[bits / 8] = 0;
        }
        if (bits > 0) {
            addr[(bits - 1) / 8] = (unsigned char)(0x80 >> (bits - 1) % 8);
            ck_assert(!ak_cidr_contains(&net, addr));
        }
    }
}
END_TEST

START_TEST(test_network_of_an_address)
{
    static const char *const pairs[][2] = {
        {"192.0.2.7", "192.0.2.0/24"},
        {"::ffff:192.0.2.7", "192.0.2.0/24"},
        {"2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"},
        {"::1", "::/48"},
    };
    unsigned char addr[16];
    char text[AK_CIDR_TEXT];
    ak_cidr_t net;

    ck_assert_int_eq(ak_addr_parse(addr, pairs[_i][0]), APR_SUCCESS);
    ak_cidr_network_of(&net, addr);
    ck_assert_str_eq(ak_cidr_text(text, &net), pairs[_i][1]);
    ck_assert(ak_cidr_contains(&net, addr));
}
END_TEST

START_TEST(test_text_always_fits)
{
    char text[AK_CIDR_TEXT];
    ak_cidr_t net;

    memset(net.addr, 0xab, sizeof net.addr);
    net.bits = 128;
    ck_assert_str_eq(ak_cidr_text(text, &net), "abab:abab:abab:abab:abab:abab:abab:abab/128");
    memset(net.addr, 0, sizeof net.addr);
    memset(net.addr + 12, 0xff, 4); /* the longest: the old IPv4-compatible form */
    ck_assert_uint_lt(strlen(ak_cidr_text(text, &net)), sizeof text);
    ck_assert_int_eq(ak_cidr_parse(&net, text), APR_SUCCESS);
}
END_TEST

START_TEST(test_lists)
{
    ak_cidr_t nets[2];
    const char *bad = NULL;
    int count = -1;

    ck_assert_int_eq(ak_cidr_list_parse(nets, 2, &count, NULL, &bad, pool), APR_SUCCESS);
    ck_assert_int_eq(count, 0);
    ck_assert_int_eq(ak_cidr_list_parse(nets, 2, &count, "  ", &bad, pool), APR_SUCCESS);
    ck_assert_int_eq(count, 0);
    ck_assert_int_eq(ak_cidr_list_parse(nets, 2, &count, " 10.0.0.0/8  ::1 ", &bad, pool), APR_SUCCESS);
    ck_assert_int_eq(count, 2);
    ck_assert_int_eq(nets[0].bits, 104);
    ck_assert_int_eq(nets[1].bits, 128);
    /* More than fit: all are counted and checked, the first are kept. */
    ck_assert_int_eq(ak_cidr_list_parse(nets, 2, &count, "10.0.0.0/8 ::1 192.0.2.1 192.0.2.2", &bad, pool),
                     APR_SUCCESS);
    ck_assert_int_eq(count, 4);
    ck_assert_int_eq(nets[1].bits, 128);
    ck_assert_ptr_null(bad);
    ck_assert_int_eq(ak_cidr_list_parse(nets, 2, &count, "10.0.0.0/8 ::1 192.0.2.1/24", &bad, pool), APR_EINVAL);
    ck_assert_str_eq(bad, "192.0.2.1/24");
    ck_assert_int_eq(ak_cidr_list_parse(nets, 2, &count, "10.0.0.0/8,::1", NULL, pool), APR_EINVAL);
    ck_assert_int_eq(ak_cidr_list_parse(NULL, 0, &count, "10.0.0.0/8 ::1", &bad, pool), APR_SUCCESS);
    ck_assert_int_eq(count, 2);
}
END_TEST

Suite *suite_cidr(void)
{
    Suite *suite = suite_create("cidr");
    TCase *tc = tcase_create("cidr");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, test_networks, 0, sizeof networks / sizeof networks[0]);
    tcase_add_loop_test(tc, test_not_networks, 0, sizeof not_networks / sizeof not_networks[0]);
    tcase_add_test(tc, test_addresses);
    tcase_add_loop_test(tc, test_contains, 0, 26);
    tcase_add_test(tc, test_every_mask);
    tcase_add_loop_test(tc, test_network_of_an_address, 0, 4);
    tcase_add_test(tc, test_text_always_fits);
    tcase_add_test(tc, test_lists);
    suite_add_tcase(suite, tc);
    return suite;
}

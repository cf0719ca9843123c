/* Which addresses are public, and CIDR blocks: borders of every special block. */
/* links: portolan_network */
#include "common/network/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/un.h>

/* Last: it defines a macro named fail. */
#include <cmocka.h>

static struct sockaddr_storage address(const char *text)
{
    struct sockaddr_storage storage = { 0 };

    if (inet_pton(AF_INET, text, &((struct sockaddr_in *)&storage)->sin_addr) == 1)
        storage.ss_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &((struct sockaddr_in6 *)&storage)->sin6_addr) == 1)
        storage.ss_family = AF_INET6;
    else
        fail_msg("'%s' is no address", text);
    return storage;
}

static void test_public(void **state)
{
    static const struct {
        const char *text;
        bool is_public;
    } cases[] = {
        { "0.0.0.0", false },
        { "0.255.255.255", false },
        { "1.0.0.0", true },
        { "9.255.255.255", true },
        { "10.0.0.0", false },
        { "10.255.255.255", false },
        { "11.0.0.0", true },
        { "100.63.255.255", true },
        { "100.64.0.0", false },
        { "100.127.255.255", false },
        { "100.128.0.0", true },
        { "126.255.255.255", true },
        { "127.0.0.1", false },
        { "127.255.255.255", false },
        { "128.0.0.0", true },
        { "169.253.255.255", true },
        { "169.254.169.254", false },
        { "169.255.0.0", true },
        { "172.15.255.255", true },
        { "172.16.0.0", false },
        { "172.31.255.255", false },
        { "172.32.0.0", true },
        { "191.255.255.255", true },
        { "192.0.0.0", false },
        { "192.0.0.255", false },
        { "192.0.1.0", true },
        { "192.0.2.1", false },
        { "192.0.3.0", true },
        { "192.88.98.255", true },
        { "192.88.99.1", false },
        { "192.88.100.0", true },
        { "192.167.255.255", true },
        { "192.168.0.0", false },
        { "192.168.255.255", false },
        { "192.169.0.0", true },
        { "198.17.255.255", true },
        { "198.18.0.0", false },
        { "198.19.255.255", false },
        { "198.20.0.0", true },
        { "198.51.99.255", true },
        { "198.51.100.0", false },
        { "198.51.101.0", true },
        { "203.0.112.255", true },
        { "203.0.113.0", false },
        { "203.0.114.0", true },
        { "223.255.255.255", true },
        { "224.0.0.0", false },
        { "239.255.255.255", false },
        { "240.0.0.0", false },
        { "255.255.255.255", false },
        { "8.8.8.8", true },
        { "::", false },
        { "::1", false },
        { "::2", false },
        { "::8.8.8.8", false },
        { "::ffff:8.8.8.8", true },
        { "::ffff:127.0.0.1", false },
        { "::ffff:7f00:1", false },
        { "::ffff:10.0.0.1", false },
        { "::ffff:0:8.8.8.8", false },
        { "64:ff9b::8.8.8.8", true },
        { "64:ff9b::127.0.0.1", false },
        { "64:ff9b::a9fe:a9fe", false },
        { "64:ff9b:1::8.8.8.8", false },
        { "64:ff9b:0:1::8.8.8.8", false },
        { "100::", false },
        { "100:0:0:1::", false },
        { "1fff:ffff::", false },
        { "2000::1", true },
        { "2001::1", false },
        { "2001:1ff:ffff::", false },
        { "2001:200::", true },
        { "2001:db7:ffff::", true },
        { "2001:db8::1", false },
        { "2001:db8:ffff::", false },
        { "2001:db9::", true },
        { "2002:7f00:1::", false },
        { "2002:a00:1::1", false },
        { "2002:808:808::1", true },
        { "2606:4700::1111", true },
        { "3ffe::1", true },
        { "3fff::1", false },
        { "3fff:fff:ffff::", false },
        { "3fff:1000::", true },
        { "4000::", false },
        { "5f00::1", false },
        { "fc00::1", false },
        { "fd12:3456::1", false },
        { "fe80::1", false },
        { "febf::1", false },
        { "fec0::1", false },
        { "ff02::1", false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct sockaddr_storage a = address(cases[i].text);

        if (address_is_public((struct sockaddr *)&a) != cases[i].is_public)
            fail_msg("%s", cases[i].text);
    }
}

static void test_other_families(void **state)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    struct sockaddr none = { .sa_family = AF_UNSPEC };
    struct cidr all4, all6;

    (void)state;
    assert_true(cidr_parse("0.0.0.0/0", &all4));
    assert_true(cidr_parse("::/0", &all6));
    assert_false(address_is_public((struct sockaddr *)&un));
    assert_false(address_is_public(&none));
    assert_false(cidr_contains(&all4, &none));
    assert_false(cidr_contains(&all6, (struct sockaddr *)&un));
}

static void test_cidr_parse(void **state)
{
    static const struct {
        const char *text;
        bool is_valid;
    } cases[] = {
        { "10.0.0.0/8", true },
        { "10.0.0.1/8", true },
        { "10.0.0.1", true },
        { "0.0.0.0/0", true },
        { "1.2.3.4/32", true },
        { "::/0", true },
        { "2001:db8::/32", true },
        { "::1", true },
        { "::1/128", true },
        { "::ffff:10.0.0.0/104", true },
        { "::ffff:0:0/96", true },
        { "::ffff:0:0/95", true },
        { "", false },
        { "/", false },
        { "/8", false },
        { "10.0.0.0/", false },
        { "10.0.0.0/33", false },
        { "10.0.0.0/-1", false },
        { "10.0.0.0/+8", false },
        { "10.0.0.0/08", false },
        { "10.0.0.0/8 ", false },
        { " 10.0.0.0/8", false },
        { "10.0.0.0/8/8", false },
        { "10.0.0/8", false },
        { "10/8", false },
        { "010.0.0.0/8", false },
        { "0x0a.0.0.0/8", false },
        { "167772160/8", false },
        { "::/129", false },
        { "::/1000", false },
        { "::1%lo", false },
        { "[::1]", false },
        { "example.com", false },
        { "10.0.0.0/8\n", false },
        { "1111:2222:3333:4444:5555:6666:7777:8888:9999/8", false },
        { "1111:2222:3333:4444:5555:6666:123.123.123.123111111111111111", false },
    };
    struct cidr c;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (cidr_parse(cases[i].text, &c) != cases[i].is_valid)
            fail_msg("'%s'", cases[i].text);
    }
}

static void test_cidr_contains(void **state)
{
    static const struct {
        const char *block, *address;
        bool is_inside;
    } cases[] = {
        { "10.0.0.0/8", "10.255.255.255", true },
        { "10.0.0.0/8", "11.0.0.0", false },
        { "10.9.8.7/8", "10.0.0.0", true },
        { "0.0.0.0/0", "255.255.255.255", true },
        { "192.0.2.128/25", "192.0.2.127", false },
        { "192.0.2.128/25", "192.0.2.128", true },
        { "192.0.2.4/31", "192.0.2.5", true },
        { "192.0.2.4/31", "192.0.2.6", false },
        { "192.0.2.4", "192.0.2.4", true },
        { "192.0.2.4", "192.0.2.5", false },
        { "10.0.0.0/8", "::ffff:10.1.1.1", true },
        { "10.0.0.0/8", "::10.1.1.1", false },
        { "::/0", "::ffff:10.1.1.1", false },
        { "::/0", "2001:db8::1", true },
        { "0.0.0.0/0", "2001:db8::1", false },
        { "::ffff:10.0.0.0/104", "10.1.1.1", true },
        { "::ffff:10.0.0.0/104", "::ffff:10.1.1.1", true },
        { "::ffff:0:0/96", "1.2.3.4", true },
        { "2001:db8::/33", "2001:db8:7fff::", true },
        { "2001:db8::/33", "2001:db8:8000::", false },
        { "::1", "::1", true },
        { "::1", "::2", false },
        { "fe80::/10", "febf::1", true },
        { "fe80::/10", "fec0::1", false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct sockaddr_storage a = address(cases[i].address);
        struct cidr c;

        assert_true(cidr_parse(cases[i].block, &c));
        if (cidr_contains(&c, (struct sockaddr *)&a) != cases[i].is_inside)
            fail_msg("%s in %s", cases[i].address, cases[i].block);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_public),
        cmocka_unit_test(test_other_families),
        cmocka_unit_test(test_cidr_parse),
        cmocka_unit_test(test_cidr_contains),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

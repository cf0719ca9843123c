/* Prefixes: strict notation, how they lie to each other, and the addresses in them; the relations are
 * compared with a naive look at their ends. */
/* links: portolan_network */
#include "common/network/prefix.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void notation(void **state)
{
    static const struct {
        const char *text;
        enum prefix_flaw flaw;
        const char *is; /* of those that can be read */
    } cases[] = {
        { "10.0.0.0/24", PREFIX_OK, "10.0.0.0/24" },
        { "0.0.0.0/0", PREFIX_OK, "0.0.0.0/0" },
        { "10.0.0.4/32", PREFIX_OK, "10.0.0.4/32" },
        { "10.0.0.4/30", PREFIX_OK, "10.0.0.4/30" },
        { "10.0.0.5/30", PREFIX_HOST_BITS, "10.0.0.4/30" },
        { "10.0.0.5/8", PREFIX_HOST_BITS, "10.0.0.0/8" },
        { "fd00::/64", PREFIX_OK, "fd00::/64" },
        { "fd00::1/64", PREFIX_HOST_BITS, "fd00::/64" },
        { "10.0.0.0", PREFIX_MALFORMED, NULL },
        { "10.0.0.0/", PREFIX_MALFORMED, NULL },
        { "10.0.0.0/33", PREFIX_MALFORMED, NULL },
        { "10.0.0/24", PREFIX_MALFORMED, NULL },
        { "10.0.0.256/24", PREFIX_MALFORMED, NULL },
        { "/24", PREFIX_MALFORMED, NULL },
        { "", PREFIX_MALFORMED, NULL },
        { "10.0.0.0/24/24", PREFIX_MALFORMED, NULL },
    };
    char text[PREFIX_TEXT_MAX];
    struct cidr c;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(prefix_parse(cases[i].text, &c), cases[i].flaw);
        if (!cases[i].is)
            continue;
        prefix_text(&c, text);
        assert_string_equal(text, cases[i].is);
    }
}

static struct cidr make(uint32_t address, unsigned bits)
{
    uint32_t kept = bits ? address & (uint32_t)(UINT64_C(0xffffffff) << (32 - bits)) : 0;
    struct cidr c = { .family = AF_INET, .bits = bits };

    for (int i = 0; i < 4; i++)
        c.bytes[i] = (uint8_t)(kept >> (24 - 8 * i));
    return c;
}

/* A fixed row of numbers that look random (Numerical Recipes). */
static uint32_t next(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void relations(void **state)
{
    uint32_t seed = 7;

    (void)state;
    for (int n = 0; n < 100000; n++) {
        struct cidr x = make(next(&seed) & 0xff, 24 + next(&seed) % 9);
        struct cidr y = make(next(&seed) & 0xff, 24 + next(&seed) % 9);
        uint32_t x0 = prefix_first(&x), x1 = prefix_last(&x);
        uint32_t y0 = prefix_first(&y), y1 = prefix_last(&y);

        assert_int_equal(x1 - x0 + 1, 1u << (32 - x.bits));
        assert_int_equal(prefix_overlaps(&x, &y), x0 <= y1 && y0 <= x1);
        assert_int_equal(prefix_holds(&x, &y), x0 <= y0 && y1 <= x1);
    }
}

static void families_are_apart(void **state)
{
    struct cidr four, six;

    (void)state;
    assert_int_equal(prefix_parse("0.0.0.0/0", &four), PREFIX_OK);
    assert_int_equal(prefix_parse("::/0", &six), PREFIX_OK);
    assert_false(prefix_overlaps(&four, &six));
    assert_false(prefix_holds(&four, &six));
    assert_int_equal(prefix_last(&four), UINT32_MAX);
}

static void addresses(void **state)
{
    char text[PREFIX_TEXT_MAX];
    uint32_t address = 0;

    (void)state;
    assert_true(ipv4_parse("10.1.2.255", &address));
    assert_int_equal(address, 0x0a0102ff);
    ipv4_text(address, text);
    assert_string_equal(text, "10.1.2.255");
    assert_false(ipv4_parse("::ffff:10.1.2.3", &address));
    assert_false(ipv4_parse("10.1.2", &address));
    assert_false(ipv4_parse("ten", &address));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(notation),
        cmocka_unit_test(relations),
        cmocka_unit_test(families_are_apart),
        cmocka_unit_test(addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

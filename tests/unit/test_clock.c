/* Clocks: spellings of time, reading them back, what is not a time. */
/* links: portolan_base */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"

#include <cmocka.h>

static void test_spellings(void **state)
{
    static const struct {
        int64_t wall_us;
        const char *arm, *rfc3339, *http;
    } cases[] = {
        { 0, "1970-01-01T00:00:00.0000000Z", "1970-01-01T00:00:00Z",
          "Thu, 01 Jan 1970 00:00:00 GMT" },
        { -1, "1969-12-31T23:59:59.9999990Z", "1969-12-31T23:59:59Z",
          "Wed, 31 Dec 1969 23:59:59 GMT" },
        { 951827696123456, "2000-02-29T12:34:56.1234560Z", "2000-02-29T12:34:56Z",
          "Tue, 29 Feb 2000 12:34:56 GMT" },
        { 1795215133000001, "2026-11-20T22:52:13.0000010Z", "2026-11-20T22:52:13Z",
          "Fri, 20 Nov 2026 22:52:13 GMT" },
        { 253402300799999999, "9999-12-31T23:59:59.9999990Z", "9999-12-31T23:59:59Z",
          "Fri, 31 Dec 9999 23:59:59 GMT" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_(arena_freep) struct arena *a = arena_new();
        int64_t back;
        assert_string_equal(clock_arm(a, cases[i].wall_us), cases[i].arm);
        assert_string_equal(clock_rfc3339(a, cases[i].wall_us), cases[i].rfc3339);
        assert_string_equal(clock_http(a, cases[i].wall_us), cases[i].http);
        assert_true(clock_parse(cases[i].arm, &back));
        assert_true(back == cases[i].wall_us);
    }
}

static void test_parse(void **state)
{
    static const struct {
        const char *text;
        int64_t wall_us;
    } cases[] = {
        { "1970-01-01T00:00:01Z", 1000000 },
        { "1970-01-01t00:00:01z", 1000000 },
        { "1970-01-01T00:00:01", 1000000 },
        { "1970-01-01T00:00:00.5Z", 500000 },
        { "1970-01-01T00:00:00.123456789Z", 123456 },
        { "1970-01-01T02:00:00+02:00", 0 },
        { "1969-12-31T19:30:00-04:30", 0 },
        { "1970-01-01T00:00:00-00:00", 0 },
        { "2016-12-31T23:59:60Z", 1483228800000000 },
        { "2000-02-29T00:00:00Z", 951782400000000 },
        { "0001-01-01T00:00:00Z", -62135596800000000 },
    };
    static const char *const malformed[] = { "",
                                             "2026",
                                             "2026-11-20",
                                             "2026-11-20 22:52:13Z",
                                             "2026-11-20T22:52Z",
                                             "2026-13-20T22:52:13Z",
                                             "2026-00-20T22:52:13Z",
                                             "2026-11-31T22:52:13Z",
                                             "2026-11-00T22:52:13Z",
                                             "2026-02-29T22:52:13Z",
                                             "1900-02-29T22:52:13Z",
                                             "2026-11-20T24:00:00Z",
                                             "2026-11-20T22:60:13Z",
                                             "2026-11-20T22:52:61Z",
                                             "2026-11-20T22:52:13.Z",
                                             "2026-11-20T22:52:13ZZ",
                                             "2026-11-20T22:52:13+24:00",
                                             "2026-11-20T22:52:13+02:60",
                                             "2026-11-20T22:52:13+0200",
                                             "2026-11-20T22:52:13+02:00x",
                                             "02026-11-20T22:52:13Z",
                                             "-026-11-20T22:52:13Z",
                                             " 2026-11-20T22:52:13Z" };
    int64_t us;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (!clock_parse(cases[i].text, &us) || us != cases[i].wall_us)
            fail_msg("%s", cases[i].text);
    }
    for (size_t i = 0; i < ARRAY_LEN(malformed); i++)
        if (clock_parse(malformed[i], &us))
            fail_msg("'%s' was taken for a time", malformed[i]);
    assert_false(clock_parse(NULL, &us));
}

static void test_clocks(void **state)
{
    int64_t wall_s = clock_wall_s();
    int64_t before_us = clock_mono_us();

    (void)state;
    assert_true(clock_wall_us() / 1000000 - wall_s <= 1);
    assert_true(clock_wall_ms() / 1000 - wall_s <= 1);
    assert_true(wall_s > 1700000000);
    clock_sleep_ms(0);
    clock_sleep_ms(-5);
    clock_sleep_ms(20);
    assert_true(clock_mono_us() - before_us >= 20000);
    assert_true(clock_mono_ms() >= before_us / 1000 + 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spellings),
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_clocks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Ranges against bodies of several lengths. */
/* links: portolan_http */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"
#include "common/http/range.h"

#include <cmocka.h>

static const struct {
    const char *header;
    uint64_t total;
    enum range_verdict verdict;
    uint64_t offset, len;
} cases[] = {
    { NULL, 100, RANGE_NONE, 0, 0 },
    { "", 100, RANGE_NONE, 0, 0 },
    { "bytes=0-9", 100, RANGE_PART, 0, 10 },
    { "Bytes=0-9", 100, RANGE_PART, 0, 10 },
    { "bytes=0-", 100, RANGE_PART, 0, 100 },
    { "bytes=99-", 100, RANGE_PART, 99, 1 },
    { "bytes=99-99", 100, RANGE_PART, 99, 1 },
    { "bytes=90-1000", 100, RANGE_PART, 90, 10 },
    { "bytes=100-", 100, RANGE_UNSATISFIABLE, 0, 0 },
    { "bytes=100-200", 100, RANGE_UNSATISFIABLE, 0, 0 },
    { "bytes=-1", 100, RANGE_PART, 99, 1 },
    { "bytes=-100", 100, RANGE_PART, 0, 100 },
    { "bytes=-1000", 100, RANGE_PART, 0, 100 },
    { "bytes=-0", 100, RANGE_UNSATISFIABLE, 0, 0 },
    { "bytes=0-", 0, RANGE_UNSATISFIABLE, 0, 0 },
    { "bytes=-5", 0, RANGE_UNSATISFIABLE, 0, 0 },
    { "bytes=9-0", 100, RANGE_UNSATISFIABLE, 0, 0 },
    { "bytes=0-9,20-29", 100, RANGE_NONE, 0, 0 },
    { "bytes=a-9", 100, RANGE_NONE, 0, 0 },
    { "bytes=0-9x", 100, RANGE_NONE, 0, 0 },
    { "bytes=0", 100, RANGE_NONE, 0, 0 },
    { "bytes=", 100, RANGE_NONE, 0, 0 },
    { "bytes=-", 100, RANGE_NONE, 0, 0 },
    { "bytes=--5", 100, RANGE_NONE, 0, 0 },
    { "bytes=+1-2", 100, RANGE_NONE, 0, 0 },
    { "items=0-9", 100, RANGE_NONE, 0, 0 },
    { "bytes=0-18446744073709551615", 100, RANGE_PART, 0, 100 },
    { "bytes=0-99999999999999999999999", 100, RANGE_PART, 0, 100 },
    { "bytes=99999999999999999999999-", 100, RANGE_UNSATISFIABLE, 0, 0 },
    { "bytes=-99999999999999999999999", 100, RANGE_PART, 0, 100 },
    { "bytes=18446744073709551614-", UINT64_MAX, RANGE_PART, UINT64_MAX - 1, 1 },
};

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t offset = 0, len = 0;
        enum range_verdict v = range_parse(cases[i].header, cases[i].total, &offset, &len);

        if (v != cases[i].verdict || offset != cases[i].offset || len != cases[i].len)
            fail_msg("'%s' of %llu: verdict %d, %llu+%llu", cases[i].header,
                     (unsigned long long)cases[i].total, (int)v, (unsigned long long)offset,
                     (unsigned long long)len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_table) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

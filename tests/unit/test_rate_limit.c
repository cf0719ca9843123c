/* Token buckets: what is taken comes back with time, each identity, subscription and kind for
 * itself. */
/* links: portolan_control */
#include "controlplane/api/rate_limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000)
#define SUB    "aaaaaaaa-0000-4000-8000-000000000001"
#define WHO    "bbbbbbbb-0000-4000-8000-000000000001"

static int drain(struct rate_limiter *t, const char *who, enum rate_kind kind, int64_t now,
                 int64_t left)
{
    int64_t got = -2;
    int retry = rate_limiter_take(t, SUB, who, kind, now, &got);

    assert_int_equal(got, left);
    return retry;
}

static void test_a_minute_of_requests(void **state)
{
    struct rate_limiter *t = rate_limiter_new((const int64_t[]){ 6, 2, 0 });
    int64_t now = 7 * SECOND;

    (void)state;
    for (int64_t left = 5; left >= 0; left--)
        assert_int_equal(drain(t, WHO, RATE_READS, now, left), 0);
    /* Six a minute: one in ten seconds. */
    assert_int_equal(drain(t, WHO, RATE_READS, now, 0), 11);
    assert_int_equal(drain(t, WHO, RATE_READS, now + 5 * SECOND, 0), 6);
    assert_int_equal(drain(t, WHO, RATE_READS, now + 10 * SECOND, 0), 0);
    assert_in_range(drain(t, WHO, RATE_READS, now + 10 * SECOND, 0), 10, 11);
    /* No bucket holds more than a minute's worth. */
    assert_int_equal(drain(t, WHO, RATE_READS, now + 1000 * SECOND, 5), 0);
    /* A clock that seems to step back gives nothing, and takes nothing. */
    assert_int_equal(drain(t, WHO, RATE_READS, now, 4), 0);
    rate_limiter_free(t);
}

static void test_each_for_itself(void **state)
{
    struct rate_limiter *t = rate_limiter_new((const int64_t[]){ 1, 1, 0 });
    int64_t left;

    (void)state;
    assert_int_equal(drain(t, WHO, RATE_READS, SECOND, 0), 0);
    assert_int_equal(drain(t, WHO, RATE_READS, SECOND, 0), 60);
    assert_int_equal(drain(t, WHO, RATE_WRITES, SECOND, 0), 0);
    assert_int_equal(drain(t, WHO, RATE_DELETES, SECOND, -1), 0);
    assert_int_equal(drain(t, "bbbbbbbb-0000-4000-8000-000000000002", RATE_READS, SECOND, 0), 0);
    assert_int_equal(drain(t, "BBBBBBBB-0000-4000-8000-000000000001", RATE_READS, SECOND, 0), 60);
    assert_int_equal(rate_limiter_take(t, WHO, WHO, RATE_READS, SECOND, &left), 0);
    rate_limiter_free(t);
}

/* More identities than the table holds: the one that is busy keeps its bucket. */
static void test_full_table(void **state)
{
    struct rate_limiter *t = rate_limiter_new((const int64_t[]){ 1, 1, 1 });
    char who[40];
    int64_t left;

    (void)state;
    assert_int_equal(drain(t, WHO, RATE_READS, SECOND, 0), 0);
    for (int i = 0; i < 50000; i++) {
        (void)snprintf(who, sizeof(who), "identity-%d", i);
        assert_int_equal(rate_limiter_take(t, SUB, who, RATE_READS, SECOND + i, &left), 0);
        assert_int_not_equal(rate_limiter_take(t, SUB, WHO, RATE_READS, SECOND + i, &left), 0);
    }
    rate_limiter_free(t);
}

static void test_kinds(void **state)
{
    static const struct {
        const char *method;
        enum rate_kind kind;
    } rows[] = {
        { "GET", RATE_READS },    { "HEAD", RATE_READS },  { "PUT", RATE_WRITES },
        { "PATCH", RATE_WRITES }, { "POST", RATE_WRITES }, { "DELETE", RATE_DELETES },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(rate_kind_of(rows[i].method), rows[i].kind);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_minute_of_requests),
        cmocka_unit_test(test_each_for_itself),
        cmocka_unit_test(test_full_table),
        cmocka_unit_test(test_kinds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

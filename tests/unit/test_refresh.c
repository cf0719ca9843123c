/* What is known for a while is read anew by one, before it is too old for all. */
/* links: portolan_base */
#include "common/base/refresh.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include "common/base/thread.h"

#include <cmocka.h>

#define LIFE 1000
#define READ 5000

static unsigned sent(struct refresh *r, int64_t age, unsigned threads)
{
    unsigned count = 0;

    for (unsigned i = 0; i < threads; i++)
        count += refresh_is_due(r, READ + age, LIFE);
    return count;
}

static void test_one_is_sent_in_time(void **state)
{
    struct refresh r = { 0 };

    (void)state;
    assert_true(refresh_is_due(&r, READ, LIFE));
    refresh_done(&r, READ);
    assert_int_equal(sent(&r, 0, 16), 0);
    assert_int_equal(sent(&r, 749, 16), 0);
    assert_int_equal(sent(&r, 750, 16), 1);
    assert_int_equal(sent(&r, 999, 16), 0);
    refresh_done(&r, READ + 760);
    assert_int_equal(sent(&r, 760 + 749, 16), 0);
    assert_int_equal(sent(&r, 760 + 751, 16), 1);
}

/* Whoever was sent never came back. */
static void test_all_are_sent_when_the_time_is_up(void **state)
{
    struct refresh r = { 0 };

    (void)state;
    refresh_done(&r, READ);
    assert_int_equal(sent(&r, 900, 16), 1);
    assert_int_equal(sent(&r, 1000, 16), 16);
}

static void test_the_patient_go_sooner(void **state)
{
    struct refresh r = { 0 };

    (void)state;
    refresh_done(&r, READ);
    assert_int_equal(sent(&r, 500, 4), 0);
    thread_set_patient(true);
    assert_int_equal(sent(&r, 499, 4), 0);
    assert_int_equal(sent(&r, 500, 4), 1);
    thread_set_patient(false);
    assert_int_equal(sent(&r, 750, 4), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_is_sent_in_time),
        cmocka_unit_test(test_all_are_sent_when_the_time_is_up),
        cmocka_unit_test(test_the_patient_go_sooner),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

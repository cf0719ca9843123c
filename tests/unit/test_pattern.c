/* Patterns: whole values only, kept by text and not by address, from many threads, past the places. */
/* links: portolan_base */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/pattern.h"

#include <cmocka.h>
#include <pthread.h>

#define THREADS  4
#define PATTERNS 1500 /* more than there are places for */

static void test_whole_values(void **state)
{
    static const struct {
        const char *pattern, *value;
        bool is_match;
    } cases[] = {
        { "[a-z]{2,4}", "abc", true },   { "[a-z]{2,4}", "abcde", false },
        { "[a-z]{2,4}", "", false },     { "a|bc", "bc", true },
        { "a|bc", "ac", false },         { "a|bc", "a\n", false },
        { "[a-z]+(-[a-z]+)*", "a-b", true }, { "[a-z]+(-[a-z]+)*", "a-", false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (int again = 0; again < 2; again++)
            assert_int_equal(pattern_matches(cases[i].pattern, cases[i].value), cases[i].is_match);
}

static void test_what_is_no_pattern(void **state)
{
    char longer[2048];
    struct error err;

    (void)state;
    memset(longer, 'a', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    assert_int_equal(pattern_check("[a-z]+", &err), 0);
    assert_int_equal(pattern_check("[a-z", &err), -1);
    assert_int_equal(pattern_check(longer, &err), -1);
    assert_false(pattern_matches("[a-z", "a"));
    assert_false(pattern_matches(longer, longer));
}

static void test_the_text_counts(void **state)
{
    char pattern[8] = "a+";

    (void)state;
    assert_true(pattern_matches(pattern, "aa"));
    pattern[0] = 'b';
    assert_false(pattern_matches(pattern, "aa"));
    assert_true(pattern_matches(pattern, "bb"));
}

static void *match_all(void *ctx)
{
    size_t *wrong = ctx;

    for (int i = 0; i < PATTERNS; i++) {
        char pattern[32], value[32];

        (void)snprintf(pattern, sizeof(pattern), "p%dx{1,3}", i);
        (void)snprintf(value, sizeof(value), "p%dxx", i);
        *wrong += !pattern_matches(pattern, value);
        value[0] = 'q';
        *wrong += pattern_matches(pattern, value);
    }
    return NULL;
}

static void test_many_at_once(void **state)
{
    pthread_t threads[THREADS];
    size_t wrong[THREADS] = { 0 };

    (void)state;
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, match_all, &wrong[i]), 0);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(wrong[i], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_values),
        cmocka_unit_test(test_what_is_no_pattern),
        cmocka_unit_test(test_the_text_counts),
        cmocka_unit_test(test_many_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Growing strings: contents, the hard maximum, the sticky mark. */
/* links: portolan_base */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/str.h"

/* Behind error.h, as cmocka has a macro called fail. */
#include <cmocka.h>

static void test_grows(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    _cleanup_(str_done) struct str s;
    struct error err = { 0 };

    (void)state;
    str_init(&s, 100000);
    assert_string_equal(s.data, "");
    assert_string_equal(str_copy(&s, a), "");
    for (int i = 0; i < 10000; i++)
        str_putc(&s, (char)('a' + i % 26));
    str_append(&s, "x\0y", 3);
    assert_int_equal(s.len, 10003);
    for (int i = 0; i < 10000; i++)
        assert_int_equal(s.data[i], 'a' + i % 26);
    assert_memory_equal(s.data + 10000, "x\0y", 4);
    assert_memory_equal(str_copy(&s, a), s.data, s.len + 1);
    assert_int_equal(str_check(&s, &err), 0);
    str_reset(&s);
    assert_string_equal(s.data, "");
    str_puts(&s, "again");
    assert_string_equal(s.data, "again");
}

static void test_printf(void **state)
{
    char long_text[2000];
    _cleanup_(str_done) struct str s;

    (void)state;
    memset(long_text, 'y', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    str_init(&s, 3000);
    str_printf(&s, "%d:", 7);
    str_printf(&s, "%s", long_text);
    assert_int_equal(s.len, 2001);
    assert_memory_equal(s.data, "7:y", 3);
    str_printf(&s, "%s", long_text);
    assert_int_equal(s.len, 3000);
    assert_int_equal(s.data[2999], 'y');
    assert_int_equal(s.data[3000], '\0');
    assert_true(s.is_overflown);
}

static void test_maximum(void **state)
{
    static const struct {
        size_t max;
        const char *first, *second, *content;
        bool is_overflown;
    } cases[] = {
        { 0, "", "", "", false },         { 0, "a", "", "", true },
        { 3, "ab", "c", "abc", false },   { 3, "ab", "cd", "abc", true },
        { 3, "abcdef", "", "abc", true }, { 3, "abcd", "e", "abc", true },
        { 63, "a", "b", "ab", false },    { 1, "a", "", "a", false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_(str_done) struct str s;
        struct error err = { 0 };
        str_init(&s, cases[i].max);
        str_puts(&s, cases[i].first);
        str_puts(&s, cases[i].second);
        assert_string_equal(s.data, cases[i].content);
        assert_int_equal(s.len, strlen(cases[i].content));
        assert_int_equal(s.is_overflown, cases[i].is_overflown);
        assert_int_equal(str_check(&s, &err), cases[i].is_overflown ? -1 : 0);
        assert_ptr_equal(err.code, cases[i].is_overflown ? &E_TOO_LARGE : NULL);
        str_reset(&s);
        assert_int_equal(str_check(&s, &err), 0);
    }
}

static void test_done_accepts_zeroed(void **state)
{
    struct str s = { 0 };

    (void)state;
    str_done(&s);
    assert_non_null(s.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grows),
        cmocka_unit_test(test_printf),
        cmocka_unit_test(test_maximum),
        cmocka_unit_test(test_done_accepts_zeroed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Text checks and codecs against tables of what must and must not pass. */
/* links: portolan_base */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"

#include <cmocka.h>

static void test_compare(void **state)
{
    (void)state;
    assert_true(text_eq("a", "a"));
    assert_false(text_eq("a", "A"));
    assert_false(text_eq("a", NULL));
    assert_true(text_eq(NULL, NULL));
    assert_true(text_eq_nocase("aZ0[", "Az0["));
    assert_false(text_eq_nocase("[", "{"));
    assert_false(text_eq_nocase("@", "`"));
    assert_false(text_eq_nocase("ab", "a"));
    assert_false(text_eq_nocase("a", "ab"));
    assert_false(text_eq_nocase(NULL, ""));
    assert_true(text_starts("abc", "ab"));
    assert_true(text_starts("abc", ""));
    assert_false(text_starts("ab", "abc"));
    assert_false(text_starts(NULL, ""));
    assert_true(text_has_line("10.0.0.1\n10.0.0.2", "10.0.0.2", 8));
    assert_false(text_has_line("10.0.0.1\n10.0.0.22\n", "10.0.0.2", 8));
    assert_false(text_has_line("", "a", 1));
    assert_true(text_starts_nocase("Bearer x", "bearer "));
    assert_false(text_starts_nocase("Bear", "bearer"));
    assert_true(text_ends("a.json", ".json"));
    assert_true(text_ends("a", ""));
    assert_false(text_ends("n", ".json"));
}

static void test_split(void **state)
{
    static const struct {
        const char *text;
        size_t count;
        const char *parts[4];
    } cases[] = {
        { "", 1, { "" } },
        { "a", 1, { "a" } },
        { "a,b", 2, { "a", "b" } },
        { ",a,", 3, { "", "a", "" } },
        { ",,,", 4, { "", "", "", "" } },
    };
    _cleanup_(arena_freep) struct arena *a = arena_new();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char **parts;
        assert_int_equal(text_split(a, cases[i].text, ',', &parts), cases[i].count);
        for (size_t k = 0; k < cases[i].count; k++)
            assert_string_equal(parts[k], cases[i].parts[k]);
    }
    assert_string_equal(text_lower(a, "AbZ@[\xc3\x89"), "abz@[\xc3\x89");
    assert_null(text_lower(a, NULL));
}

static void test_numbers(void **state)
{
    static const struct {
        const char *text;
        bool is_u64, is_i64;
        uint64_t u64;
        int64_t i64;
    } cases[] = {
        { "0", true, true, 0, 0 },
        { "007", true, true, 7, 7 },
        { "9223372036854775807", true, true, INT64_MAX, INT64_MAX },
        { "9223372036854775808", true, false, (uint64_t)INT64_MAX + 1, 0 },
        { "18446744073709551615", true, false, UINT64_MAX, 0 },
        { "18446744073709551616", false, false, 0, 0 },
        { "99999999999999999999999", false, false, 0, 0 },
        { "-1", false, true, 0, -1 },
        { "-0", false, true, 0, 0 },
        { "-9223372036854775808", false, true, 0, INT64_MIN },
        { "-9223372036854775809", false, false, 0, 0 },
        { "", false, false, 0, 0 },
        { "-", false, false, 0, 0 },
        { "--1", false, false, 0, 0 },
        { "+1", false, false, 0, 0 },
        { " 1", false, false, 0, 0 },
        { "1 ", false, false, 0, 0 },
        { "1e3", false, false, 0, 0 },
        { "0x1", false, false, 0, 0 },
        { NULL, false, false, 0, 0 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t u = 0;
        int64_t n = 0;
        assert_int_equal(text_parse_u64(cases[i].text, &u), cases[i].is_u64);
        assert_int_equal(text_parse_i64(cases[i].text, &n), cases[i].is_i64);
        assert_true(u == cases[i].u64 && n == cases[i].i64);
    }
}

static void test_utf8(void **state)
{
    static const struct {
        const char *text;
        bool is_valid;
    } cases[] = {
        { "", true },
        { "plain", true },
        { "\xc2\x80", true },
        { "\xdf\xbf", true },
        { "\xe0\xa0\x80", true },
        { "\xed\x9f\xbf", true },
        { "\xee\x80\x80", true },
        { "\xf0\x90\x80\x80", true },
        { "\xf4\x8f\xbf\xbf", true },
        { "\x80", false },
        { "\xc1\xbf", false },
        { "\xc2", false },
        { "\xc2\x41", false },
        { "\xe0\x9f\xbf", false },
        { "\xed\xa0\x80", false },
        { "\xe2\x82", false },
        { "\xe2\x82\x41", false },
        { "\xf0\x8f\xbf\xbf", false },
        { "\xf4\x90\x80\x80", false },
        { "\xf5\x80\x80\x80", false },
        { "\xff", false },
        { "ok\xfe", false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(text_is_utf8(cases[i].text, strlen(cases[i].text)), cases[i].is_valid);
    assert_true(text_is_utf8("a\0b", 3));
}

static void test_hex(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    uint8_t bytes[3];

    (void)state;
    assert_string_equal(text_hex(a, "\x00\x7f\xff", 3), "007fff");
    assert_string_equal(text_hex(a, "", 0), "");
    assert_true(text_unhex("0aFf80", 6, bytes, 3));
    assert_memory_equal(bytes, "\x0a\xff\x80", 3);
    assert_false(text_unhex("0aFf8", 5, bytes, 3));
    assert_false(text_unhex("0aFf8000", 8, bytes, 3));
    assert_false(text_unhex("0aFf8g", 6, bytes, 3));
    assert_false(text_unhex("0a Ff8", 6, bytes, 3));
    assert_true(text_unhex("", 0, bytes, 0));
}

static void test_base64(void **state)
{
    /* RFC 4648 section 10, and the two digits that differ. */
    static const char *const cases[][3] = {
        { "", "", "" },
        { "f", "Zg==", "Zg" },
        { "fo", "Zm8=", "Zm8" },
        { "foo", "Zm9v", "Zm9v" },
        { "foob", "Zm9vYg==", "Zm9vYg" },
        { "fooba", "Zm9vYmE=", "Zm9vYmE" },
        { "foobar", "Zm9vYmFy", "Zm9vYmFy" },
        { "\xfb\xff\xbf", "+/+/", "-_-_" },
    };
    static const char *const malformed[] = { "Z",    "Zg=",    "Zg===", "Z===", "=",
                                             "====", "Zm9v=",  "Zm9vY", "Zh==", "Zm9=",
                                             "Zm 9", "Zm9v\n", "Z=g=",  "Zm*v" };
    _cleanup_(arena_freep) struct arena *a = arena_new();
    size_t len;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_string_equal(text_base64(a, cases[i][0], strlen(cases[i][0])), cases[i][1]);
        assert_string_equal(text_base64url(a, cases[i][0], strlen(cases[i][0])), cases[i][2]);
        for (int k = 1; k < 3; k++) {
            uint8_t *bytes = text_unbase64(a, cases[i][k], strlen(cases[i][k]), &len);
            assert_non_null(bytes);
            assert_int_equal(len, strlen(cases[i][0]));
            assert_string_equal((char *)bytes, cases[i][0]);
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(malformed); i++)
        if (text_unbase64(a, malformed[i], strlen(malformed[i]), &len))
            fail_msg("'%s' was decoded", malformed[i]);
}

static void test_percent(void **state)
{
    static const struct {
        const char *text, *plain, *form; /* NULL: malformed */
    } cases[] = {
        { "", "", "" },
        { "a%20b+c", "a b+c", "a b c" },
        { "%C3%a9", "\xc3\xa9", "\xc3\xa9" },
        { "%2B", "+", "+" },
        { "%", NULL, NULL },
        { "%4", NULL, NULL },
        { "%4g", NULL, NULL },
        { "%%41", NULL, NULL },
        { "a%00", NULL, NULL },
    };
    _cleanup_(arena_freep) struct arena *a = arena_new();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t len = strlen(cases[i].text);
        assert_true(text_eq(text_percent_decode(a, cases[i].text, len, false), cases[i].plain));
        assert_true(text_eq(text_percent_decode(a, cases[i].text, len, true), cases[i].form));
    }
    assert_null(text_percent_decode(a, "%414", 2, false));
    assert_null(text_percent_decode(a, "a\0b", 3, false));
    assert_string_equal(text_percent_encode(a, "aZ0-._~ /+%\xc3\xa9"), "aZ0-._~%20%2F%2B%25%C3%A9");
}

static void test_uuid(void **state)
{
    static const char *const malformed[] = { "",
                                             "6ba7b810-9dad-11d1-80b4-00c04fd430c",
                                             "6ba7b810-9dad-11d1-80b4-00c04fd430c81",
                                             "6ba7b810-9dad-11d1-80b4-00c04fd430cg",
                                             "6ba7b8109-dad-11d1-80b4-00c04fd430c8",
                                             "{ba7b810-9dad-11d1-80b4-00c04fd430c}" };
    char one[UUID_TEXT_LEN + 1], two[UUID_TEXT_LEN + 1];

    (void)state;
    for (int i = 0; i < 100; i++) {
        uuid_new(one);
        uuid_new(two);
        assert_true(uuid_is_valid(one));
        assert_int_equal(one[14], '4');
        assert_non_null(strchr("89ab", one[19]));
        assert_string_not_equal(one, two);
    }
    assert_true(uuid_is_valid("6BA7B810-9dad-11d1-80b4-00c04fd430c8"));
    assert_false(uuid_is_valid(NULL));
    for (size_t i = 0; i < ARRAY_LEN(malformed); i++)
        assert_false(uuid_is_valid(malformed[i]));
}

/* Every byte at every place of a text longer than a machine word. */
static void test_field_value(void **state)
{
    char text[21];

    (void)state;
    for (size_t at = 0; at < sizeof(text); at++) {
        for (int c = 0; c < 256; c++) {
            memset(text, 'x', sizeof(text));
            text[at] = (char)c;
            bool is_valid = c == '\t' || (c >= 0x20 && c != 0x7f);
            assert_int_equal(text_is_field_value(text, sizeof(text)), is_valid);
        }
    }
    assert_true(text_is_field_value("", 0));
    assert_true(text_is_field_value("\t\t\t\t\t\t\t\t ", 9));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compare), cmocka_unit_test(test_split),
        cmocka_unit_test(test_numbers), cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_hex),     cmocka_unit_test(test_base64),
        cmocka_unit_test(test_percent), cmocka_unit_test(test_uuid),
        cmocka_unit_test(test_field_value),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

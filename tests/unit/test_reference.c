/* The grammar of repository names, tags, references and chunk ranges. */
/* links: portolan_data */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include "dataplane/oci/reference.h"

#include <cmocka.h>

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_names(void **state)
{
    static const char *const good[] = { "a",
                                        "a0",
                                        "a/b",
                                        "a.b",
                                        "a_b",
                                        "a__b",
                                        "a-b",
                                        "a---b",
                                        "a/b-c/d.e/f__g",
                                        "library/busybox",
                                        "0/0" };
    static const char *const bad[] = { "",       "A",    "a/",    "/a",  "a//b", ".a",      "a.",
                                       "a..b",   "a._b", "a___b", "a-",  "-a",   "a/-b",    "a b",
                                       "a/../b", "a:b",  "a@b",   "a/B", "a\n",  "\xc3\xa4" };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(repository_name_is_valid(good[i]));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(repository_name_is_valid(bad[i]));
    assert_false(repository_name_is_valid(NULL));
    char longest[REPOSITORY_NAME_MAX + 2];
    memset(longest, 'a', sizeof(longest));
    longest[REPOSITORY_NAME_MAX] = '\0';
    assert_true(repository_name_is_valid(longest));
    longest[REPOSITORY_NAME_MAX] = 'a';
    longest[REPOSITORY_NAME_MAX + 1] = '\0';
    assert_false(repository_name_is_valid(longest));
}

static void test_references(void **state)
{
    static const struct {
        const char *text;
        enum reference_kind kind;
    } cases[] = {
        { "latest", REFERENCE_TAG },
        { "_x", REFERENCE_TAG },
        { "V1.2-rc_3", REFERENCE_TAG },
        { ".x", REFERENCE_INVALID },
        { "-x", REFERENCE_INVALID },
        { "", REFERENCE_INVALID },
        { "a/b", REFERENCE_INVALID },
        { "a b", REFERENCE_INVALID },
        { "sha256:" HEX64, REFERENCE_DIGEST },
        { "sha512:" HEX64 HEX64, REFERENCE_DIGEST },
        { "sha256:" HEX64 "0", REFERENCE_INVALID },
        { "sha512:" HEX64, REFERENCE_INVALID },
        { "sha256:../../../../etc/passwd", REFERENCE_INVALID },
        { "sha256:0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef",
          REFERENCE_INVALID },
        { "md5:0123456789abcdef0123456789abcdef", REFERENCE_INVALID },
    };
    struct digest digest;
    char text[TAG_MAX + 2];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(reference_parse(cases[i].text, &digest), cases[i].kind);
    memset(text, 'x', sizeof(text));
    text[TAG_MAX + 1] = '\0';
    assert_int_equal(reference_parse(text, &digest), REFERENCE_INVALID);
    text[TAG_MAX] = '\0';
    assert_int_equal(reference_parse(text, &digest), REFERENCE_TAG);
}

static void test_chunk_ranges(void **state)
{
    static const struct {
        const char *text;
        bool is_ok;
        uint64_t first, last;
    } cases[] = {
        { "0-0", true, 0, 0 },
        { "0-1023", true, 0, 1023 },
        { "1024-2047", true, 1024, 2047 },
        { "5-4", false, 0, 0 },
        { "bytes 0-5", false, 0, 0 },
        { "bytes=0-5", false, 0, 0 },
        { "0-5/10", false, 0, 0 },
        { "-5", false, 0, 0 },
        { "5-", false, 0, 0 },
        { "", false, 0, 0 },
        { "0-18446744073709551615", false, 0, 0 },
        { "0-18446744073709551616", false, 0, 0 },
        { "000000000000000000000000000000000000-1", false, 0, 0 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t first = 0, last = 0;
        assert_int_equal(chunk_range_parse(cases[i].text, &first, &last), cases[i].is_ok);
        if (cases[i].is_ok) {
            assert_int_equal(first, cases[i].first);
            assert_int_equal(last, cases[i].last);
        }
    }
    assert_false(chunk_range_parse(NULL, &(uint64_t){ 0 }, &(uint64_t){ 0 }));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_chunk_ranges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

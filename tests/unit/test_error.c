/* Errors: what goes to the client, what only to the log, and cutting of long text. */
/* links: portolan_base */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/text.h"

/* Behind error.h, as cmocka has a macro called fail. */
#include <cmocka.h>
#undef fail

static struct error dirty(void)
{
    static struct error_detail detail;
    struct error err;

    memset(&err, 'x', sizeof(err));
    err.details = &detail;
    return err;
}

static void test_fail(void **state)
{
    struct error err = dirty();

    (void)state;
    assert_int_equal(fail(&err, &E_NOT_FOUND, "webhook '%s' does not exist", "w"), -1);
    assert_ptr_equal(err.code, &E_NOT_FOUND);
    assert_string_equal(err.message, "webhook 'w' does not exist");
    assert_string_equal(err.target, "");
    assert_string_equal(err.cause, "");
    assert_null(err.details);

    err = dirty();
    assert_int_equal(fail_at(&err, &E_INVALID, "a.b", "%d is too much", 5), -1);
    assert_string_equal(err.target, "a.b");
    assert_string_equal(err.message, "5 is too much");
    assert_string_equal(err.cause, "");
    assert_null(err.details);
    assert_int_equal(fail_at(&err, &E_INVALID, NULL, "x"), -1);
    assert_string_equal(err.target, "");
}

static void test_messages_are_utf8(void **state)
{
    struct error err;

    (void)state;
    (void)fail_at(&err, &E_INVALID, "a\xC3", "version '%.3s' and '%.4s'", "\xC3\xA9\xC3\xA9",
                  "a\xE1\x9A\x9B");
    assert_string_equal(err.message, "version '\xC3\xA9' and 'a\xE1\x9A\x9B'");
    assert_string_equal(err.target, "a");
    (void)fail(&err, &E_INVALID, "'%.2s'", "\xF0\x9D\x90\x93");
    assert_string_equal(err.message, "''");
}

static void test_cause_is_private(void **state)
{
    static const struct error_code *const codes[] = {
        &E_INTERNAL,    &E_INVALID,      &E_UNAUTHENTICATED,   &E_FORBIDDEN, &E_NOT_FOUND,
        &E_CONFLICT,    &E_PRECONDITION, &E_UNSUPPORTED_MEDIA, &E_TOO_LARGE, &E_THROTTLED,
        &E_UNAVAILABLE, &E_TIMEOUT,      &E_NO_SPACE,
    };
    static const struct error_code teapot = { "Teapot", 418 };
    struct error err, other;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        err = dirty();
        assert_int_equal(fail_cause(&err, codes[i], "/secret/%s", "path"), -1);
        assert_ptr_equal(err.code, codes[i]);
        assert_string_equal(err.cause, "/secret/path");
        assert_null(strstr(err.message, "secret"));
        assert_true(text_ends(err.message, "."));
        assert_string_equal(err.target, "");
        assert_null(err.details);
        for (size_t k = 0; k < i; k++) {
            (void)fail_cause(&other, codes[k], "x");
            assert_string_not_equal(other.message, err.message);
        }
    }
    (void)fail_cause(&err, &E_INTERNAL, "x");
    assert_string_equal(err.message, "The service met an unexpected condition. Try again; if it "
                                     "persists, contact the operator.");
    (void)fail_cause(&err, &teapot, "x");
    assert_string_equal(err.message, "The request cannot be fulfilled.");
}

static void test_errno(void **state)
{
    static const struct {
        int number;
        const struct error_code *code;
    } cases[] = { { ENOENT, &E_INTERNAL },
                  { ENOSPC, &E_NO_SPACE },
                  { EDQUOT, &E_NO_SPACE },
                  { EIO, &E_UNAVAILABLE } };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error err = dirty();
        errno = cases[i].number;
        assert_int_equal(fail_errno(&err, "open %s", "f"), -1);
        assert_ptr_equal(err.code, cases[i].code);
        assert_true(text_starts(err.cause, "open f: "));
        assert_true(strlen(err.cause) > 12);
        assert_null(strstr(err.message, "open"));
    }
}

static void test_wrap(void **state)
{
    struct error err = dirty();

    (void)state;
    (void)fail_at(&err, &E_CONFLICT, "t", "message");
    assert_int_equal(wrap(&err, "load %s", "x"), -1);
    assert_string_equal(err.cause, "load x");
    assert_int_equal(wrap(&err, "outer"), -1);
    assert_string_equal(err.cause, "outer: load x");
    assert_string_equal(err.message, "message");
    assert_string_equal(err.target, "t");
    assert_ptr_equal(err.code, &E_CONFLICT);
}

static void test_own_text_as_argument(void **state)
{
    struct error err = dirty();

    (void)state;
    (void)fail_cause(&err, &E_NOT_FOUND, "no row");
    (void)fail(&err, &E_INVALID, "Cannot read (%s).", err.cause);
    assert_string_equal(err.message, "Cannot read (no row).");
    (void)fail_at(&err, &E_INVALID, "where", "%s", err.message);
    assert_string_equal(err.message, "Cannot read (no row).");
    (void)fail_at(&err, &E_INVALID, err.target, "again");
    assert_string_equal(err.target, "where");
}

/* Whatever the cut hits, what is left is whole characters. */
static void test_cut(void **state)
{
    static const char *const chars[] = { "a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80" };
    char text[4096];

    (void)state;
    for (size_t c = 0; c < ARRAY_LEN(chars); c++) {
        for (size_t lead = 0; lead < 5; lead++) {
            struct error err = dirty();
            size_t n = strlen(chars[c]), len = lead;
            memset(text, '.', lead);
            for (; len + n < sizeof(text); len += n)
                memcpy(text + len, chars[c], n);
            text[len] = '\0';
            (void)fail_at(&err, &E_INVALID, text, "%s", text);
            assert_true(text_is_utf8(err.message, strlen(err.message)));
            assert_true(text_is_utf8(err.target, strlen(err.target)));
            assert_true(strlen(err.message) > sizeof(err.message) - 5);
            assert_true(strlen(err.target) > sizeof(err.target) - 5);
            (void)fail_cause(&err, &E_INVALID, "%s", text);
            (void)wrap(&err, "%s", text);
            assert_true(text_is_utf8(err.cause, strlen(err.cause)));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fail),
        cmocka_unit_test(test_messages_are_utf8),
        cmocka_unit_test(test_cause_is_private),
        cmocka_unit_test(test_errno),
        cmocka_unit_test(test_wrap),
        cmocka_unit_test(test_own_text_as_argument),
        cmocka_unit_test(test_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The expression grammar: what parses, what does not and with which text, places, and limits. */
/* links: portolan_templates portolan_base portolan_json */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/str.h"
#include "templates/language/expression.h"
#include "templates/language/value.h"

/* Ends the test with what the case gave. */
static void report(const char *fmt, ...) PRINTF_LIKE(1, 2);
static void report(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vprint_error(fmt, ap);
    va_end(ap);
    print_error("\n");
    _fail(__FILE__, __LINE__);
}

static void test_good(void **state)
{
    static const struct {
        const char *text;
        enum expr_kind kind;
    } cases[] = {
        { "'text'", EXPR_LITERAL },
        { "''", EXPR_LITERAL },
        { "'it''s'", EXPR_LITERAL },
        { "-12", EXPR_LITERAL },
        { "+3", EXPR_LITERAL },
        { "1.5", EXPR_LITERAL },
        { "1.5e3", EXPR_LITERAL },
        { "-9223372036854775808", EXPR_LITERAL },
        { "f()", EXPR_CALL },
        { " f ( 1 , 'a' ) ", EXPR_CALL },
        { "f(\n\t1)", EXPR_CALL },
        { "ns.f(1)", EXPR_CALL },
        { "__bicep.x$y#z()", EXPR_CALL },
        { "f().a", EXPR_PROPERTY },
        { "f().?a", EXPR_PROPERTY },
        { "f()[0]", EXPR_INDEX },
        { "f()[?0].b['c']", EXPR_INDEX },
        { "'abc'[0]", EXPR_INDEX },
        { "f(g(h(1)[2].x), 'y')", EXPR_CALL },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena *a = arena_new();
        struct error err;
        const struct expr *e;
        if (expr_parse(a, cases[i].text, strlen(cases[i].text), &e, NULL, &err) < 0)
            report("%s: %s", cases[i].text, err.message);
        assert_int_equal(e->kind, cases[i].kind);
        arena_free(a);
    }
}

static void test_bad(void **state)
{
    static const struct {
        const char *text;
        const char *message;
        size_t at;
    } cases[] = {
        { "bad-expression",
          "The language expression 'bad-expression' is not valid: the string character 'x' at "
          "position '5' is not expected.",
          5 },
        { "foo",
          "Unable to parse language expression 'foo': expected token 'LeftParenthesis' and actual "
          "'EndOfData'.",
          3 },
        { "",
          "Unable to parse language expression '': expected token 'Identifier' and actual "
          "'EndOfData'.",
          0 },
        { "f(1",
          "Unable to parse language expression 'f(1': expected token 'RightParenthesis' and actual "
          "'EndOfData'.",
          3 },
        { "f(1,)",
          "Unable to parse language expression 'f(1,)': expected token 'Identifier' and actual "
          "'RightParenthesis'.",
          4 },
        { "f() g()",
          "Unable to parse language expression 'f() g()': expected token 'EndOfData' and actual "
          "'Identifier'.",
          4 },
        { "f().",
          "Unable to parse language expression 'f().': expected token 'Identifier' and actual "
          "'EndOfData'.",
          4 },
        { "f()[]",
          "Unable to parse language expression 'f()[]': expected token 'Identifier' and actual "
          "'RightSquareBracket'.",
          4 },
        { "f('a)",
          "The language expression 'f('a)' is not valid: the string literal that starts at position "
          "'2' is not closed.",
          2 },
        { "f(@)",
          "The language expression 'f(@)' is not valid: the string character '@' at position '2' is "
          "not expected.",
          2 },
        { "f(\xc3\xa9)",
          "The language expression 'f(\xc3\xa9)' is not valid: the string character '\xc3\xa9' at "
          "position '2' is not expected.",
          2 },
        { "12ab",
          "The language expression '12ab' is not valid: the string character 'a' at position '2' is "
          "not expected.",
          2 },
        { "9223372036854775808",
          "The language expression '9223372036854775808' is not valid: the integer "
          "'9223372036854775808' at position '0' is outside the range '-9223372036854775808' to "
          "'9223372036854775807'.",
          0 },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena *a = arena_new();
        struct error err;
        const struct expr *e;
        size_t at;
        assert_int_equal(expr_parse(a, cases[i].text, strlen(cases[i].text), &e, &at, &err), -1);
        assert_string_equal(err.message, cases[i].message);
        assert_int_equal(at, cases[i].at);
        assert_string_equal(err.code->name, "InvalidTemplate");
        arena_free(a);
    }
}

static void test_literal_values(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    struct error err;
    const struct expr *e;
    assert_int_equal(expr_parse(a, "'it''s'", 7, &e, NULL, &err), 0);
    assert_string_equal(e->literal->text, "it's");
    assert_int_equal(expr_parse(a, "+7", 2, &e, NULL, &err), 0);
    assert_int_equal(e->literal->integer, 7);
    assert_int_equal(expr_parse(a, "-9223372036854775808", 20, &e, NULL, &err), 0);
    assert_true(e->literal->integer == INT64_MIN);
    arena_free(a);
}

static void test_what_is_code(void **state)
{
    (void)state;
    assert_true(expr_is_code("[f()]", 5));
    assert_false(expr_is_code("[[f()]", 6));
    assert_false(expr_is_code("[f()] x", 7));
    assert_false(expr_is_code(" [f()]", 6));
    assert_false(expr_is_code("[", 1));
    assert_true(expr_is_code("[]", 2));
}

static int parse_repeated(const char *start, const char *middle, size_t count, const char *end,
                          struct error *err)
{
    struct arena *a = arena_new();
    struct str s;
    const struct expr *e;
    str_init(&s, 1 << 20);
    str_puts(&s, start);
    for (size_t i = 0; i < count; i++)
        str_puts(&s, middle);
    str_puts(&s, end);
    int rc = expr_parse(a, s.data, s.len, &e, NULL, err);
    str_done(&s);
    arena_free(a);
    return rc;
}

static void test_limits(void **state)
{
    (void)state;
    struct error err;
    assert_int_equal(parse_repeated("'", "a", EXPR_CHARS_MAX - 2, "'", &err), 0);
    assert_int_equal(parse_repeated("'", "a", EXPR_CHARS_MAX - 1, "'", &err), -1);
    assert_non_null(strstr(err.message, "Limit: '24576' and actual: '24577'"));
    assert_int_equal(parse_repeated("", "f(", 5000, "", &err), -1);
    assert_non_null(strstr(err.message, "nested more than"));
    assert_int_equal(parse_repeated("f()", "[0]", 5000, "", &err), -1);
    assert_int_equal(parse_repeated("f()", ".a", 5000, "", &err), -1);
    assert_int_equal(parse_repeated("", "a", 5000, "()", &err), -1);
    assert_int_equal(parse_repeated("f(0", ",1", 3000, ")", &err), 0);
    assert_int_equal(parse_repeated("f(0", ",1", 6000, ")", &err), -1);
}

static bool count_calls(void *ctx, const struct expr *e)
{
    *(size_t *)ctx += e->kind == EXPR_CALL;
    return true;
}

static void test_walk(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    struct error err;
    const struct expr *e;
    const char *text = "f(g(), h()[i()].x, 'k()')";
    size_t calls = 0;
    assert_int_equal(expr_parse(a, text, strlen(text), &e, NULL, &err), 0);
    assert_true(expr_walk(e, count_calls, &calls));
    assert_int_equal(calls, 4);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),           cmocka_unit_test(test_bad),
        cmocka_unit_test(test_literal_values), cmocka_unit_test(test_what_is_code),
        cmocka_unit_test(test_limits),         cmocka_unit_test(test_walk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

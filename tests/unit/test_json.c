/* The JSON door: what is refused and where, what comes out as it went in, readers, merge-patch. */
/* links: portolan_base portolan_json */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/str.h"
#include "common/json/json.h"

/* Behind error.h, as cmocka has a macro called fail. */
#include <cmocka.h>

#define TEXT_MAX ((size_t)16 * 1024 * 1024)

struct refusal {
    const char *text;
    const char *says; /* part of the message */
};

struct same {
    const char *text;
    const char *printed; /* NULL: as it went in */
};

static int parse(const char *text, enum json_mode mode, struct json_object **ret, struct error *err)
{
    return json_parse(text, strlen(text), TEXT_MAX, mode, ret, err);
}

static void check_refusals(const struct refusal *cases, size_t count, enum json_mode mode)
{
    for (size_t i = 0; i < count; i++) {
        struct json_object *value = NULL;
        struct error err = { 0 };
        int rc = parse(cases[i].text, mode, &value, &err);
        if (rc != -1 || err.code != &E_INVALID || !strstr(err.message, cases[i].says))
            fail_msg("%s: rc %d, message '%s'", cases[i].text, rc, err.message);
        assert_null(value);
    }
}

static void check_same(const struct same *cases, size_t count, enum json_mode mode)
{
    for (size_t i = 0; i < count; i++) {
        _cleanup_(arena_freep) struct arena *a = arena_new();
        _cleanup_(json_putp) struct json_object *value = NULL;
        struct error err = { 0 };
        if (parse(cases[i].text, mode, &value, &err) < 0)
            fail_msg("%s: %s (%s)", cases[i].text, err.message, err.cause);
        const char *expected = cases[i].printed ? cases[i].printed : cases[i].text;
        assert_string_equal(json_print(a, value), expected);
    }
}

static void test_refuses(void **state)
{
    static const struct refusal cases[] = {
        { "", "empty" },
        { " \n", "empty" },
        { "{", "line 1, column 2" },
        { "{\"a\":1,}", "line 1, column 8" },
        { "[1,]", "expected a value" },
        { "[1 2]", "expected ',' or ']'" },
        { "{\"a\" 1}", "expected ':'" },
        { "{a:1}", "double quotes" },
        { "{'a':1}", "double quotes" },
        { "['a']", "double quote" },
        { "{\"a\":1,\n \"b\":2,\n  \"a\":3}", "line 3, column 3: the member name 'a'" },
        { "{\"a\":1,\"\\u0061\":3}", "twice" },
        { "{\"x\":{\"a\":1,\"b\":{},\"a\":3}}", "twice" },
        { "{\"\":1,\"\":2}", "twice" },
        { "NaN", "expected a value" },
        { "[Infinity]", "expected a value" },
        { "-Infinity", "expected a digit" },
        { "tru", "expected a value" },
        { "True", "expected a value" },
        { "nullx", "behind the value" },
        { "1 2", "behind the value" },
        { "{}{}", "behind the value" },
        { "01", "zeros" },
        { "-", "digit" },
        { "+1", "expected a value" },
        { ".5", "expected a value" },
        { "1.", "digit" },
        { "1e", "digit" },
        { "1e+", "digit" },
        { "0x10", "behind the value" },
        { "9223372036854775808", "64-bit" },
        { "-9223372036854775809", "64-bit" },
        { "123456789012345678901234567890", "64-bit" },
        { "1e309", "too large" },
        { "-1e309", "too large" },
        { "\"a\\u0000b\"", "U+0000" },
        { "{\"a\\u0000\":1}", "U+0000" },
        { "\"\\ud800\"", "surrogate" },
        { "\"\\ud800\\u0041\"", "surrogate" },
        { "\"\\udc00\"", "surrogate" },
        { "\"\\ud83d\\ud83d\"", "surrogate" },
        { "\"\\u12g4\"", "hexadecimal" },
        { "\"\\u12", "hexadecimal" },
        { "\"\\x41\"", "escape" },
        { "\"\\", "escape" },
        { "\"abc", "does not end" },
        { "\"a\nb\"", "control character" },
        { "\"a\tb\"", "control character" },
        { "\"\xff\"", "UTF-8" },
        { "\"\xc0\xaf\"", "UTF-8" },
        { "\"\xed\xa0\x80\"", "UTF-8" },
        { "\"\xf4\x90\x80\x80\"", "UTF-8" },
        { "\"\xe2\x82", "UTF-8" },
        { "\xef\xbb\xbf{}", "expected a value" },
        { "// c\n1", "expected a value" },
        { "[1 /* c */]", "expected ','" },
        { "\"\xc3\xa9\xc3\xa9\" x", "column 6" },
    };

    (void)state;
    check_refusals(cases, ARRAY_LEN(cases), JSON_STRICT);
}

static void test_keeps(void **state)
{
    static const struct same cases[] = {
        { "null", NULL },
        { "true", NULL },
        { " false ", "false" },
        { "0", NULL },
        { "-7", NULL },
        { "9223372036854775807", NULL },
        { "-9223372036854775808", NULL },
        { "0.1", NULL },
        { "1.0", NULL },
        { "1.10", NULL },
        { "1e5", NULL },
        { "-1.5E-3", NULL },
        { "1.7976931348623157e308", NULL },
        { "1e-400", NULL },
        { "12345678901234567890.0", NULL },
        { "\"\"", NULL },
        { "\"a/b\\/c\"", "\"a/b/c\"" },
        { "\"\\\"\\\\\\b\\f\\n\\r\\t\"", NULL },
        { "\"\\u001f\\u007f\"", NULL },
        { "\"\\u00e9\\ud83d\\ude00\"", "\"\xc3\xa9\xf0\x9f\x98\x80\"" },
        { "\"\xf0\x9f\x98\x80\"", NULL },
        { "[]", NULL },
        { "{}", NULL },
        { "[ 1 , null , [ ] , { } ]", "[1,null,[],{}]" },
        { "{\"b\":1,\"a\":{\"b\":2},\"c\":[{\"b\":3},{\"b\":4}]}", NULL },
        { "{\"\":1,\"a.b\":2,\"a\\\"\":3}", NULL },
        { "\t\r\n{\"a\"\n:\t1}\n", "{\"a\":1}" },
    };

    (void)state;
    check_same(cases, ARRAY_LEN(cases), JSON_STRICT);
    check_same(cases, ARRAY_LEN(cases), JSON_TEMPLATE);
}

static void test_template(void **state)
{
    static const struct same cases[] = {
        { "// head\n{/* x */\"a\"/**/:/* } */1} // tail", "{\"a\":1}" },
        { "{\"properties\":{template:{\"a\":1}}}", "{\"properties\":{\"template\":{\"a\":1}}}" },
        { "{ $schema : 1, _b2:2 }", "{\"$schema\":1,\"_b2\":2}" },
        { "\"a\nb\r\n\tc\"", "\"a\\nb\\r\\n\\tc\"" },
        { "{\"a\nb\":\"// no /* comment */\"}", "{\"a\\nb\":\"// no /* comment */\"}" },
        { "\xef\xbb\xbf{}", "{}" },
        { "{}//", "{}" },
        { "[1,//\n2]", "[1,2]" },
        { "[1/**/,2]", "[1,2]" },
    };
    static const struct refusal refusals[] = {
        { "{a:1,\n\"a\":2}", "line 2, column 1" },
        { "/* x\ny */ {\"a\":'b'}", "line 2, column 11" },
        { "/* open", "comment does not end" },
        { "/*/", "comment does not end" },
        { "/", "expected a value" },
        { "{a b:1}", "expected ':'" },
        { "{1a:1}", "member name" },
        { "{\"a\":b}", "expected a value" },
        { "\"a\x01\"", "control character" },
        { "\"a\n", "does not end" },
        { "// only", "empty" },
        { "1/**/2", "behind" },
        { "{\"a\":1e999}", "too large" },
    };

    (void)state;
    check_same(cases, ARRAY_LEN(cases), JSON_TEMPLATE);
    check_refusals(refusals, ARRAY_LEN(refusals), JSON_TEMPLATE);
}

static int parse_nested(size_t depth, enum json_mode mode)
{
    _cleanup_(str_done) struct str text;
    _cleanup_(json_putp) struct json_object *value = NULL;
    struct error err = { 0 };

    str_init(&text, TEXT_MAX);
    for (size_t i = 0; i < depth; i++)
        str_puts(&text, i % 2 ? "[" : "{\"a\":");
    str_puts(&text, "1");
    for (size_t i = depth; i > 0; i--)
        str_putc(&text, (i - 1) % 2 ? ']' : '}');
    int rc = json_parse(text.data, text.len, TEXT_MAX, mode, &value, &err);
    assert_true(rc == 0 || strstr(err.message, "nesting"));
    return rc;
}

static void test_depth(void **state)
{
    (void)state;
    assert_int_equal(parse_nested(JSON_DEPTH_MAX, JSON_STRICT), 0);
    assert_int_equal(parse_nested(JSON_DEPTH_MAX + 1, JSON_STRICT), -1);
    assert_int_equal(parse_nested(128, JSON_TEMPLATE), 0);
    assert_int_equal(parse_nested(129, JSON_TEMPLATE), -1);
    assert_int_equal(parse_nested(500000, JSON_TEMPLATE), -1);
}

static int parse_members(size_t count, bool is_object, const char **ret_message)
{
    static struct error err;
    _cleanup_(str_done) struct str text;
    _cleanup_(json_putp) struct json_object *value = NULL;

    str_init(&text, TEXT_MAX);
    str_putc(&text, is_object ? '{' : '[');
    for (size_t i = 0; i < count; i++)
        str_printf(&text, is_object ? "%s\"n%zu\":0" : "%s%zu", i ? "," : "", i);
    str_putc(&text, is_object ? '}' : ']');
    err.message[0] = '\0';
    *ret_message = err.message;
    int rc = json_parse(text.data, text.len, TEXT_MAX, JSON_STRICT, &value, &err);
    if (rc == 0)
        assert_int_equal(json_count(value), count);
    return rc;
}

static void test_members(void **state)
{
    const char *message;

    (void)state;
    for (int is_object = 0; is_object < 2; is_object++) {
        int64_t start_ms = clock_mono_ms();
        assert_int_equal(parse_members(JSON_MEMBERS_MAX, is_object != 0, &message), 0);
        assert_int_equal(parse_members(JSON_MEMBERS_MAX + 1, is_object != 0, &message), -1);
        assert_non_null(strstr(message, "members"));
        assert_true(clock_mono_ms() - start_ms < 20000); /* quadratic work would take minutes */
    }
}

static void test_size_and_nul(void **state)
{
    struct json_object *value = NULL;
    struct error err = { 0 };

    (void)state;
    assert_int_equal(json_parse("[1,2]", 5, 4, JSON_STRICT, &value, &err), -1);
    assert_ptr_equal(err.code, &E_TOO_LARGE);
    assert_int_equal(json_parse("[1,2]trailing", 5, 5, JSON_STRICT, &value, &err), 0);
    json_putp(&value);
    /* NUL bytes, in every place. */
    static const char *const texts[] = { "[1]\0", "\"a\0\"", "[\0,1]", "\0", "{\"a\0\":1}" };
    static const size_t lens[] = { 4, 4, 5, 1, 8 };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        for (int mode = 0; mode < JSON_MODE_MAX; mode++)
            assert_int_equal(json_parse(texts[i], lens[i], 100, (enum json_mode)mode, &value, &err),
                             -1);
    assert_int_equal(json_parse("// \0\n1", 6, 100, JSON_TEMPLATE, &value, &err), 0);
    json_putp(&value);
    assert_int_equal(json_parse("12", 1, 100, JSON_STRICT, &value, &err), 0);
    assert_int_equal(json_int(value, "", 0), 1);
    json_putp(&value);
    assert_int_equal(json_parse_object("null", 4, 100, &value, &err), -1);
    assert_int_equal(json_parse_object("[]", 2, 100, &value, &err), -1);
    assert_int_equal(json_parse_object("{}", 2, 100, &value, &err), 0);
    json_putp(&value);
}

static void test_readers(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct json_object *value = NULL;
    struct error err = { 0 };
    char long_name[400];

    (void)state;
    memset(long_name, 'x', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    assert_int_equal(parse("{\"a\":{\"b\":{\"t\":\"x\",\"n\":null,\"i\":5,\"d\":2.5,\"f\":true}},"
                           "\"l\":[10,20]}",
                           JSON_STRICT, &value, &err),
                     0);
    (void)json_own(a, value);
    assert_string_equal(json_text(value, "a.b.t"), "x");
    assert_null(json_text(value, "a.b.i"));
    assert_null(json_text(value, "a.b.t.z"));
    assert_null(json_text(value, "A.b.t"));
    assert_int_equal(json_int(value, "a.b.i", -1), 5);
    assert_int_equal(json_int(value, "a.b.d", -1), -1);
    assert_int_equal(json_int(value, "a.b.t", -1), -1);
    assert_true(json_double(value, "a.b.d", 0) > 2.4 && json_double(value, "a.b.d", 0) < 2.6);
    assert_true(json_bool(value, "a.b.f", false));
    assert_true(json_bool(value, "a.b.i", true));
    assert_false(json_bool(value, "a.b.i", false));
    assert_true(json_has(value, "a.b.n"));
    assert_false(json_has(value, "a.b.m"));
    assert_null(json_at(value, "a.b.n"));
    assert_ptr_equal(json_at(value, ""), value);
    assert_int_equal(json_count(json_at(value, "l")), 2);
    assert_int_equal(json_count(value), 2);
    assert_int_equal(json_count(NULL), 0);
    assert_int_equal(json_int(json_item(json_at(value, "l"), 1), "", 0), 20);
    assert_null(json_item(json_at(value, "l"), 2));
    assert_null(json_item(value, 0));
    json_put_at(value, arena_printf(a, "%s.x", long_name), json_new_int(3));
    assert_int_equal(json_int(value, arena_printf(a, "%s.x", long_name), 0), 3);
    json_put_at(value, "a.b.t.deep", json_new_text("y"));
    assert_string_equal(json_text(value, "a.b.t.deep"), "y");
    assert_int_equal(json_int(value, "a.b.i", -1), 5);
}

static void test_builders(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct json_object *object = json_own(a, json_new_object());
    struct json_object *list = json_new_array();
    size_t len;

    (void)state;
    json_set_text(object, "t", "a\"b");
    json_set_text(object, "nothing", NULL);
    json_set_int(object, "i", INT64_MIN);
    json_set_bool(object, "b", true);
    json_set(object, "l", list);
    json_add_text(list, "x");
    json_add(list, json_new_text_len("yz", 1));
    json_add(list, NULL);
    json_set_int(object, "gone", 1);
    json_unset(object, "gone");
    json_unset(object, "never");
    const char *expected = "{\"t\":\"a\\\"b\",\"nothing\":null,\"i\":-9223372036854775808,"
                           "\"b\":true,\"l\":[\"x\",\"y\",null]}";
    assert_string_equal(json_print_len(a, object, &len), expected);
    assert_int_equal(len, strlen(expected));
    assert_string_equal(json_print_pretty(a, list), "[\n  \"x\",\n  \"y\",\n  null\n]");
    assert_string_equal(json_print(a, NULL), "null");

    struct json_object *copy = json_own(a, json_copy(object));
    assert_true(json_equal(copy, object));
    json_add_text(json_at(copy, "l"), "more");
    assert_false(json_equal(copy, object));
    assert_int_equal(json_count(list), 3);
    assert_null(json_copy(NULL));
}

static void test_copy_keeps_doubles(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct json_object *value = NULL;
    struct error err = { 0 };

    (void)state;
    assert_int_equal(parse("[1.10,{\"x\":1E2}]", JSON_STRICT, &value, &err), 0);
    (void)json_own(a, value);
    assert_string_equal(json_print(a, json_own(a, json_copy(value))), "[1.10,{\"x\":1E2}]");
}

/* RFC 7396 appendix A, as far as the target is an object. */
static void test_merge_patch(void **state)
{
    static const char *const cases[][3] = {
        { "{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
        { "{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}" },
        { "{\"a\":\"b\"}", "{\"a\":null}", "{}" },
        { "{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}" },
        { "{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
        { "{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}" },
        { "{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}" },
        { "{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}" },
        { "{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}" },
        { "{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}" },
        { "{\"a\":1}", "{\"a\":{\"b\":{\"c\":2}}}", "{\"a\":{\"b\":{\"c\":2}}}" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_(arena_freep) struct arena *a = arena_new();
        struct json_object *target = NULL, *patch = NULL;
        struct error err = { 0 };
        assert_int_equal(parse(cases[i][0], JSON_STRICT, &target, &err), 0);
        assert_int_equal(parse(cases[i][1], JSON_STRICT, &patch, &err), 0);
        (void)json_own(a, target);
        json_merge_patch(target, patch);
        assert_string_equal(json_print(a, patch), cases[i][1]);
        json_put(patch);
        assert_string_equal(json_print(a, target), cases[i][2]);
    }
}

static void collect(void *ctx, const char *key, struct json_object *value)
{
    str_printf(ctx, "%s=%lld;", key, (long long)json_int(value, "", 0));
}

static void test_each(void **state)
{
    _cleanup_(str_done) struct str seen;
    _cleanup_(json_putp) struct json_object *value = NULL;
    struct error err = { 0 };

    (void)state;
    str_init(&seen, 100);
    assert_int_equal(parse("{\"z\":1,\"a\":2,\"m\":3}", JSON_STRICT, &value, &err), 0);
    json_each(value, collect, &seen);
    json_each(NULL, collect, &seen);
    assert_string_equal(seen.data, "z=1;a=2;m=3;");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_keeps),
        cmocka_unit_test(test_template),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_size_and_nul),
        cmocka_unit_test(test_readers),
        cmocka_unit_test(test_builders),
        cmocka_unit_test(test_copy_keeps_doubles),
        cmocka_unit_test(test_merge_patch),
        cmocka_unit_test(test_each),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The function library beyond the public vectors: edges, errors, and properties of the table. */
/* links: portolan_templates portolan_base portolan_json */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <strings.h>

#include <cmocka.h>
#undef fail

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "templates/functions/collation.h"
#include "templates/functions/function.h"
#include "templates/functions/hashes.h"
#include "templates/language/template.h"

static const struct template_context context = {
    .scope = SCOPE_RESOURCE_GROUP,
    .tenant_id = "22222222-2222-2222-2222-222222222222",
    .subscription_id = "00000000-0000-0000-0000-000000000000",
    .subscription_name = "unit",
    .resource_group = "rg",
    .resource_group_location = "eastus",
    .deployment_name = "unit",
    .now_us = 1700000000123456,
    .seed = "unit",
};

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

struct expected {
    const char *expression;
    const char *json; /* or, for errors, a part of the message */
};

static void check_values(const struct expected *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct arena *a = arena_new();
        struct error err;
        struct json_object *got = NULL;
        if (template_eval(a, cases[i].expression, &context, &got, NULL, &err) < 0)
            report("%s: %s", cases[i].expression, err.message);
        char *text = json_print(a, got);
        if (strcmp(text, cases[i].json) != 0)
            report("%s: got %s, expected %s", cases[i].expression, text, cases[i].json);
        json_put(got);
        arena_free(a);
    }
}

static void check_errors(const struct expected *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct arena *a = arena_new();
        struct error err;
        struct json_object *got = NULL;
        if (template_eval(a, cases[i].expression, &context, &got, NULL, &err) == 0)
            report("%s: gives %s", cases[i].expression, json_print(a, got));
        if (!strstr(err.message, cases[i].json))
            report("%s: %s", cases[i].expression, err.message);
        assert_int_equal(err.code->status, 400);
        arena_free(a);
    }
}

static void test_strings(void **state)
{
    static const struct expected cases[] = {
        { "length('a\xf0\x9f\x98\x80"
          "b')",
          "4" },
        { "substring('a\xc3\xa9z', 1, 1)", "\"\xc3\xa9\"" },
        { "indexOf('a\xc3\xa9z', 'Z')", "2" },
        { "first('\xc3\xa9z')", "\"\xc3\xa9\"" },
        { "last('z\xc3\xa9')", "\"\xc3\xa9\"" },
        { "toUpper('stra\xc3\x9f"
          "e \xc3\xa9')",
          "\"STRA\xc3\x9f"
          "E \xc3\x89\"" },
        { "toLower('\xc3\x89\xce\xa9')", "\"\xc3\xa9\xcf\x89\"" },
        { "trim(' \xc2\xa0 x y\xe3\x80\x80')", "\"x y\"" },
        { "lastIndexOf('abc', '')", "3" },
        { "indexOf('abc', '')", "0" },
        { "split('a;b,c', createArray(';', ','))", "[\"a\",\"b\",\"c\"]" },
        { "split('', ',')", "[\"\"]" },
        { "split('a,,b', ',')", "[\"a\",\"\",\"b\"]" },
        { "split('abc', '')", "[\"abc\"]" },
        { "concat()", "\"\"" },
        { "concat('a', 1, true(), null())", "\"a1True\"" },
        { "concat(createArray(1), createArray())", "[1]" },
        { "join(createArray(), ',')", "\"\"" },
        { "string(createObject('a', createArray(1, 'x')))", "\"{\\\"a\\\":[1,\\\"x\\\"]}\"" },
        { "string(true())", "\"True\"" },
        { "string(json('1.50'))", "\"1.50\"" },
        { "like('Registry-01', 'reg*-?1')", "false" },
        { "like('Registry-01', 'REG*01')", "true" },
        { "like('', '*')", "true" },
        { "like('abc', 'a*b')", "false" },
        { "padLeft(7, 3, '0')", "\"007\"" },
        { "padLeft('abcd', 2)", "\"abcd\"" },
        { "replace('aaa', 'aa', 'b')", "\"ba\"" },
        { "startsWith('abc', '')", "true" },
        { "endsWith('abc', 'ABCD')", "false" },
        { "take('abc', -1)", "\"\"" },
        { "skip(createArray(1, 2), 5)", "[]" },
        { "substring('abc', 3)", "\"\"" },
        { "uniqueString('')", "\"aaaaaaaaaaaaa\"" },
        { "uriComponent('a/b c~')", "\"a%2Fb%20c~\"" },
        { "uriComponentToString('%41%2')", "\"A%2\"" },
    };
    static const struct expected errors[] = {
        { "concat('a', createArray())", "parameter '2'" },
        { "concat(createArray(), 'a')", "parameter '2'" },
        { "toUpper(1)", "expects its parameter '1' to be a string" },
        { "replace('a', '', 'b')", "must not be empty" },
        { "padLeft('a', 5, 'xy')", "one character" },
        { "padLeft('a', 99999999999)", "out of range" },
        { "substring('abc', -1)", "The index parameter: '-1'" },
        { "base64ToString('@@')", "not valid base64" },
        { "base64ToString('/w==')", "not UTF-8" },
        { "split('a', 1)", "a string or an array of strings" },
    };
    (void)state;
    check_values(cases, ARRAY_LEN(cases));
    check_errors(errors, ARRAY_LEN(errors));
}

static void test_format(void **state)
{
    static const struct expected cases[] = {
        { "format('{0}{1}{{}}', 1, 'x')", "\"1x{}\"" },
        { "format('[{0,5}]', 'ab')", "\"[   ab]\"" },
        { "format('[{0,-5}]', 'ab')", "\"[ab   ]\"" },
        { "format('{0:D3}', 7)", "\"007\"" },
        { "format('{0:D}', -7)", "\"-7\"" },
        { "format('{0:N0}', -1234567)", "\"-1,234,567\"" },
        { "format('{0:N2}', 1234)", "\"1,234.00\"" },
        { "format('{0:n}', 12)", "\"12.00\"" },
        { "format('{0:X}', 255)", "\"FF\"" },
        { "format('{0:x4}', 255)", "\"00ff\"" },
        { "format('{0:000}', 7)", "\"007\"" },
        { "format('{0:0.0}', json('2.25'))", "\"2.3\"" },
        { "format('{0:N1}|{0:F0}', json('-1999.96'))", "\"-2,000.0|-2000\"" },
        { "format('{0:F2}', json('0.005'))", "\"0.01\"" },
        { "format('{0:P0}', json('0.256'))", "\"26 %\"" },
        { "format('{0:D3}', 'text')", "\"text\"" },
        { "format('{0}', createObject('a', 'x''y'))", "\"{'a':'x\\\\'y'}\"" },
        { "format('{0:N0}', -9223372036854775807)", "\"-9,223,372,036,854,775,807\"" },
    };
    static const struct expected errors[] = {
        { "format('{1}', 'a')", "has no parameter" },
        { "format('{0', 'a')", "format string is not valid" },
        { "format('}', 'a')", "format string is not valid" },
        { "format('{a}', 'a')", "format string is not valid" },
        { "format('{0,99999}', 'a')", "format string is not valid" },
        { "format('{0:Q}', 1)", "format string is not valid" },
    };
    (void)state;
    check_values(cases, ARRAY_LEN(cases));
    check_errors(errors, ARRAY_LEN(errors));
}

static void test_numbers(void **state)
{
    static const struct expected cases[] = {
        { "add(9223372036854775806, 1)", "9223372036854775807" },
        { "sub(-9223372036854775807, 1)", "-9223372036854775808" },
        { "div(-7, 2)", "-3" },
        { "mod(-7, 2)", "-1" },
        { "int(' 42 ')", "42" },
        { "int('-5')", "-5" },
        { "int(json('3.9'))", "3" },
        { "max(createArray(-1, 5, 3))", "5" },
        { "float('1.5')", "1.5" },
        { "float(3)", "3.0" },
        { "equals(1, json('1.0'))", "true" },
        { "range(5, 0)", "[]" },
    };
    static const struct expected errors[] = {
        { "add(9223372036854775807, 1)",
          "'add' overflowed with the operants '9223372036854775807' and '1'" },
        { "sub(-9223372036854775807, 2)", "'sub' overflowed" },
        { "div(1, 0)", "must not be zero" },
        { "mod(1, 0)", "must not be zero" },
        { "div(sub(-9223372036854775807, 1), -1)", "'div' overflowed" },
        { "int('12x')", "cannot be converted" },
        { "int('99999999999999999999')", "cannot be converted" },
        { "range(0, 10001)", "must be between '0' and '10000'" },
        { "range(2147483647, 1)", "2147483647" },
        { "max(createArray())", "must not be empty" },
        { "min(1, 'a')", "must be integers" },
    };
    (void)state;
    check_values(cases, ARRAY_LEN(cases));
    check_errors(errors, ARRAY_LEN(errors));
}

static void test_objects(void **state)
{
    static const struct expected cases[] = {
        { "createObject('a', 1, 'A', 2)", "{\"a\":2}" },
        { "createObject('aB', 1).AB", "1" },
        { "union(createObject('a', createObject('x', 1)), createObject('a', createObject('y', 2)))",
          "{\"a\":{\"x\":1,\"y\":2}}" },
        { "union(createObject('a', createArray(1)), createObject('a', createArray(2)))",
          "{\"a\":[2]}" },
        { "intersection(createArray(3, 1, 2, 1), createArray(1, 3))", "[3,1]" },
        { "shallowMerge(createArray())", "{}" },
        { "objectKeys(json('{\"b\":1,\"A\":2,\"a\":3,\"1\":4}'))", "[\"1\",\"a\",\"A\",\"b\"]" },
        { "tryGet(null(), 'a')", "null" },
        { "tryGet(createArray(1, 2, 3), createObject('value', 1, 'fromEnd', true()))", "3" },
        { "tryIndexFromEnd(createArray(1), 2)", "null" },
        { "indexFromEnd(createArray(1, 2), 1)", "2" },
        { "json('{\"a\": null}').a", "null" },
        { "json(' // note\n 5')", "5" },
        { "createObject('a', 1).?b.c.d", "null" },
        { "createObject('a', createObject('b', 5)).?a.b", "5" },
        { "createArray(1, 2)[?5]", "null" },
        { "contains(createObject('a', null()), 'A')", "true" },
        { "empty(createObject())", "true" },
        { "distinct(createArray(1, '1', 1, createArray(2), createArray(2)))", "[1,\"1\",[2]]" },
        { "coalesce(null(), null())", "null" },
        { "if(true(), 1, fail('not evaluated'))", "1" },
        { "or(true(), fail('not evaluated'))", "true" },
        { "and(false(), fail('not evaluated'))", "false" },
        { "coalesce(1, fail('not evaluated'))", "1" },
    };
    static const struct expected errors[] = {
        { "createObject('a')", "must be even" },
        { "createObject(1, 2)", "a string" },
        { "tryGet(createObject('a', createObject()), 'a', 'b')", "doesn't exist" },
        { "createObject('a', 1)[0]", "property name must be a string" },
        { "createArray(1)['a']", "must be an integer" },
        { "null().a", "can't be evaluated" },
        { "createArray(1)[-1]", "array index '-1' is out of bounds" },
        { "json('{')", "not valid JSON" },
        { "fail('stop here')", "stop here" },
        { "if('true', 1, 2)", "to be a boolean" },
        { "nosuch.fn(1)", "The template function 'nosuch.fn' is not valid." },
        { "length()", "expects exactly '1' parameters" },
        { "parameters('x')", "The template parameter 'x' is not found." },
        { "variables('x')", "The template variable 'x' is not found." },
        { "copyIndex()", "'copyIndex' is not expected at this location" },
    };
    (void)state;
    check_values(cases, ARRAY_LEN(cases));
    check_errors(errors, ARRAY_LEN(errors));
}

static void test_lambdas(void **state)
{
    static const struct expected cases[] = {
        { "map(createArray('a', 'b'), lambda('x', 'i', concat(lambdaVariables('x'), "
          "lambdaVariables('i'))))",
          "[\"a0\",\"b1\"]" },
        { "map(createArray(1), lambda('x', map(createArray(2), lambda('x', "
          "lambdaVariables('X')))))",
          "[[2]]" },
        { "sort(createArray(createArray(1, 'b'), createArray(0, 'z'), createArray(1, 'a')), "
          "lambda('a', 'b', less(lambdaVariables('a')[0], lambdaVariables('b')[0])))",
          "[[0,\"z\"],[1,\"b\"],[1,\"a\"]]" },
        { "reduce(createArray(1, 2, 3), 0, lambda('a', 'b', 'i', add(lambdaVariables('a'), "
          "mul(lambdaVariables('b'), lambdaVariables('i')))))",
          "8" },
        { "mapValues(createObject('k', 1), lambda('v', add(lambdaVariables('v'), 1)))",
          "{\"k\":2}" },
    };
    static const struct expected errors[] = {
        { "lambda('x', 1)", "is not expected at this location" },
        { "map(createArray(1), 5)", "must be a lambda" },
        { "map(createArray(1), lambda(concat('x'), 1))", "string literals" },
        { "filter(createArray(1), lambda('x', 1))", "must return a boolean" },
        { "map(1, lambda('x', 1))", "an array" },
        { "lambdaVariables('x')", "lambda variable 'x' is not found" },
        { "map(createArray(1), lambda('x', lambdaVariables('y')))", "'y' is not found" },
        { "toObject(createArray(1), lambda('x', 1))", "must return a string" },
    };
    (void)state;
    check_values(cases, ARRAY_LEN(cases));
    check_errors(errors, ARRAY_LEN(errors));
}

static void test_dates(void **state)
{
    static const struct expected cases[] = {
        { "utcNow()", "\"20231114T221320Z\"" },
        { "utcNow('d')", "\"11/14/2023\"" },
        { "utcNow('u')", "\"2023-11-14 22:13:20Z\"" },
        { "utcNow('o')", "\"2023-11-14T22:13:20.1234560Z\"" },
        { "utcNow('dddd d MMM yy, h:mm tt')", "\"Tuesday 14 Nov 23, 10:13 PM\"" },
        { "utcNow('yyyy\"T\"M\\d')", "\"2023T11d\"" },
        { "dateTimeAdd('2024-01-31T00:00:00Z', 'P1M')", "\"2024-02-29T00:00:00Z\"" },
        { "dateTimeAdd('2024-02-29T00:00:00Z', '-P1Y')", "\"2023-02-28T00:00:00Z\"" },
        { "dateTimeAdd('20240101T000000Z', 'PT36H')", "\"20240102T120000Z\"" },
        { "dateTimeAdd('2024-01-01T01:00:00+02:00', 'P1W', 'yyyy-MM-dd HH')", "\"2024-01-07 23\"" },
        { "dateTimeToEpoch('1969-12-31T23:59:59Z')", "-1" },
        { "dateTimeFromEpoch(-1)", "\"1969-12-31T23:59:59Z\"" },
    };
    static const struct expected errors[] = {
        { "dateTimeAdd('tomorrow', 'P1D')", "ISO 8601" },
        { "dateTimeAdd('2024-01-01', 'P')", "duration" },
        { "dateTimeAdd('2024-01-01', 'P99999999999999999Y')", "duration" },
        { "dateTimeAdd('9999-12-31T00:00:00Z', 'P1Y')", "out of range" },
        { "dateTimeToEpoch('2023-02-29T00:00:00Z')", "not valid" },
        { "dateTimeFromEpoch(999999999999999)", "out of range" },
        { "utcNow('q')", "date format" },
        { "utcNow('''open')", "date format" },
    };
    (void)state;
    check_values(cases, ARRAY_LEN(cases));
    check_errors(errors, ARRAY_LEN(errors));
}

static void test_addresses(void **state)
{
    static const struct expected cases[] = {
        { "cidrSubnet('10.0.0.0/8', 32, 16777215)", "\"10.255.255.255/32\"" },
        { "cidrSubnet('::/0', 0, 0)", "\"::/0\"" },
        { "cidrHost('10.0.0.0/31', 0)", "\"10.0.0.1\"" },
        { "cidrHost('fd00::/127', 0)", "\"fd00::1\"" },
        { "parseCidr('10.0.0.9/30').firstUsable", "\"10.0.0.9\"" },
        { "parseCidr('0.0.0.0/0').broadcast", "\"255.255.255.255\"" },
        { "parseUri('HTTPS://User@Example.com:8443/a?b=c')",
          "{\"scheme\":\"https\",\"host\":\"example.com\",\"port\":8443,\"path\":\"/a\","
          "\"query\":\"?b=c\"}" },
        { "uri('http://h/a/b/c', '../x')", "\"http://h/a/x\"" },
        { "uri('http://h/a/b/', '../../../x?q')", "\"http://h/x?q\"" },
        { "uri('http://h', 'x')", "\"http://h/x\"" },
        { "uri('http://h/a?x=1', '')", "\"http://h/a?x=1\"" },
        { "uri('http://h/a', 'https://o/b')", "\"https://o/b\"" },
        { "resourceId('ns/t/', 'n')",
          "\"/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg/providers/ns/t/"
          "n\"" },
    };
    static const struct expected errors[] = {
        { "cidrSubnet('10.0.0.0/24', 16, 0)", "prefix length" },
        { "cidrSubnet('255.255.255.0/24', 24, 1)", "out of range" },
        { "cidrHost('10.0.0.0/24', 254)", "outside the address range" },
        { "cidrHost('10.0.0.0/32', 0)", "outside the address range" },
        { "parseCidr('10.0.0.0')", "not a valid address range" },
        { "parseCidr('10.0.0.0/33')", "not a valid address range" },
        { "uri('relative', 'x')", "not an absolute URI" },
        { "resourceId('ns/t/u', 'only-one')", "requires '2' resource name argument(s)" },
        { "resourceId('no-type', 'n')", "fully qualified resource type" },
        { "subscriptionResourceId('not-a-guid', 'ns/t', 'n')",
          "The provided value 'not-a-guid' is not valid subscription identifier." },
        { "managementGroup()", "no management group" },
    };
    (void)state;
    check_values(cases, ARRAY_LEN(cases));
    check_errors(errors, ARRAY_LEN(errors));
}

static void test_collation(void **state)
{
    static const char *const ordered[] = { "",   "_",  "-",  "'", "(",        "$",
                                           "0",  "9",  "a",  "A", "\xc3\xa1", "ab",
                                           "aB", "Ab", "AB", "b", "\xce\xa9" };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ordered); i++)
        for (size_t k = 0; k < ARRAY_LEN(ordered); k++) {
            int order =
                collation_compare(ordered[i], strlen(ordered[i]), ordered[k], strlen(ordered[k]));
            if ((order < 0) != (i < k) || (order > 0) != (i > k))
                report("%s against %s gives %d", ordered[i], ordered[k], order);
        }
}

static void test_sha1(void **state)
{
    static const struct {
        const char *text, *hex;
    } cases[] = {
        { "", "da39a3ee5e6b4b0d3255bfef95601890afd80709" },
        { "abc", "a9993e364706816aba3e25717850c26c9cd0d89d" },
        { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
          "84983e441c3bd26ebaae4aa1f95129e5e54670f1" },
        { "0123456789012345678901234567890123456789012345678901234567890123",
          "cf0800f7644ace3cb4c3fa33388d3ba0ea3c8b6e" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena *a = arena_new();
        uint8_t hash[20];
        hash_sha1(cases[i].text, strlen(cases[i].text), hash);
        assert_string_equal(text_hex(a, hash, 20), cases[i].hex);
        arena_free(a);
    }
}

/* Order (look-up is a binary search), sane counts, and documentation of every row. */
static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < function_count; i++) {
        const struct function *f = &function_table[i];
        if (i)
            assert_true(strcasecmp(function_table[i - 1].name, f->name) < 0);
        assert_ptr_equal(function_find(f->name, strlen(f->name)), f);
        assert_true(f->max < 0 || f->min <= f->max);
        assert_non_null(f->run);
        assert_true(strlen(f->help) > 5 && f->help[strlen(f->help) - 1] == '.');
    }
    assert_string_equal(function_find("LISTkeys", 8)->name, "list*");
    assert_null(function_find("ns.listX", 8));
    assert_null(function_find("concatx", 7));
    assert_null(function_find("conca", 5));
}

static void test_documentation(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    struct error err;
    char *text;
    size_t len;
    assert_int_equal(
        file_read(a, SOURCE_DIR "/docs/generated/functions.md", 1 << 20, &text, &len, &err), 0);
    assert_string_equal(text, template_functions_markdown(a));
    arena_free(a);
}

/* newGuid differs within a deployment and is the same when the deployment runs again. */
static void test_new_guid(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    struct error err;
    struct json_object *one, *two;
    const char *pair = "createArray(newGuid(), newGuid())";
    assert_int_equal(template_eval(a, pair, &context, &one, NULL, &err), 0);
    assert_int_equal(template_eval(a, pair, &context, &two, NULL, &err), 0);
    assert_true(json_equal(one, two));
    assert_string_not_equal(json_text(json_item(one, 0), ""), json_text(json_item(one, 1), ""));
    assert_true(uuid_is_valid(json_text(json_item(one, 0), "")));
    json_put(one);
    json_put(two);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings),       cmocka_unit_test(test_format),
        cmocka_unit_test(test_numbers),       cmocka_unit_test(test_objects),
        cmocka_unit_test(test_lambdas),       cmocka_unit_test(test_dates),
        cmocka_unit_test(test_addresses),     cmocka_unit_test(test_collation),
        cmocka_unit_test(test_sha1),          cmocka_unit_test(test_table),
        cmocka_unit_test(test_documentation), cmocka_unit_test(test_new_guid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

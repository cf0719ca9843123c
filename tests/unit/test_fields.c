/* Field tables: every violation with its place, defaults, stripping, decoding, unknown members, and
 * the proof of tables. */
/* links: portolan_base portolan_json */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/str.h"
#include "common/json/fields.h"
#include "common/json/json.h"

/* Behind error.h, as cmocka has a macro called fail. */
#include <cmocka.h>

struct rule {
    char *action;
    char *value;
    int64_t weight;
};

struct thing {
    char *sku;
    char *state;
    bool is_admin;
    int64_t days;
    char *until;
    struct field_texts actions;
    struct json_object *tags;
    struct json_object *extra;
    struct field_list rules;
    char *password;
    char *note;
};

static const char *const skus[] = { "Basic", "Standard", "Premium", NULL };
static const char *const states[] = { "enabled", "disabled", NULL };
static const char *const actions[] = { "push", "delete", NULL };
static const char *const rule_actions[] = { "Allow", NULL };

static const struct field rule_rows[] = {
    { "action", FIELD_TEXT, FIELD_RW | FIELD_NOCASE, offsetof(struct rule, action),
      .def = "\"Allow\"", .oneof = rule_actions },
    { "value", FIELD_TEXT, FIELD_RW | FIELD_REQUIRED, offsetof(struct rule, value),
      .pattern = "[0-9.]+" },
    { "deep.weight", FIELD_INT, FIELD_RW, offsetof(struct rule, weight), .min = 1, .max = 9 },
    { "key", FIELD_TEXT, FIELD_RW | FIELD_SECRET, FIELD_NO_OFFSET },
    { 0 },
};

static const struct field rows[] = {
    { "sku.name", FIELD_TEXT, FIELD_RW | FIELD_REQUIRED | FIELD_NOCASE, offsetof(struct thing, sku),
      .oneof = skus },
    { "properties.state", FIELD_TEXT, FIELD_RW, offsetof(struct thing, state), .def = "\"enabled\"",
      .oneof = states },
    { "properties.isAdmin", FIELD_BOOL, FIELD_RW, offsetof(struct thing, is_admin),
      .def = "false" },
    { "properties.policies.days", FIELD_INT, FIELD_RW, offsetof(struct thing, days), .def = "7",
      .min = 0, .max = 365 },
    { "properties.until", FIELD_TIME, FIELD_RW | FIELD_NULLABLE, offsetof(struct thing, until) },
    { "properties.actions", FIELD_TEXT_LIST, FIELD_RW, offsetof(struct thing, actions), .max = 3,
      .oneof = actions },
    { "tags", FIELD_TEXT_MAP, FIELD_RW, offsetof(struct thing, tags), .max = 2 },
    { "properties.extra", FIELD_JSON, FIELD_RW, offsetof(struct thing, extra) },
    { "properties.rules", FIELD_LIST, FIELD_RW, offsetof(struct thing, rules), .max = 200,
      .of = rule_rows, .of_size = sizeof(struct rule) },
    { "properties.password", FIELD_TEXT, FIELD_RW | FIELD_SECRET, offsetof(struct thing, password),
      .min = 4, .max = 8, .pattern = "[a-z]*" },
    { "properties.note", FIELD_TEXT, FIELD_CREATE_ONLY, offsetof(struct thing, note) },
    { "properties.created", FIELD_TIME, FIELD_READ_ONLY, FIELD_NO_OFFSET },
    { 0 },
};

static const struct error_code wrong = { "InvalidThing", 422 };

static struct json_object *parse(struct arena *a, const char *text)
{
    struct json_object *value = NULL;
    struct error err;

    if (json_parse_object(text, strlen(text), 1 << 20, &value, &err) < 0)
        fail_msg("%s: %s", text, err.message);
    return json_own(a, value);
}

static void test_table(void **state)
{
    struct error err = { 0 };

    (void)state;
    if (fields_table_check(rows, sizeof(struct thing), &err) < 0)
        fail_msg("%s", err.cause);
    assert_ptr_equal(fields_find(rows, "properties.until"), &rows[4]);
    assert_null(fields_find(rows, "properties"));
}

static void test_accepts(void **state)
{
    static const char *const texts[] = {
        "{\"sku\":{\"name\":\"Basic\"}}",
        "{\"sku\":{\"name\":\"Basic\"},\"properties\":null,\"tags\":null}",
        "{\"sku\":{\"name\":\"Basic\"},\"properties\":{\"state\":null,\"until\":null}}",
        "{\"sku\":{\"name\":\"Basic\"},\"properties\":{\"created\":17}}",
        "{\"sku\":{\"name\":\"Basic\"},\"properties\":{\"policies\":{\"days\":0}}}",
        "{\"sku\":{\"name\":\"Basic\"},\"properties\":{\"until\":\"2026-01-02T03:04:05+01:00\","
        "\"actions\":[\"push\",\"delete\"],\"extra\":[1,{}],\"password\":\"abcd\"},"
        "\"tags\":{\"a\":\"b\",\"c\":\"\"},\"unknown\":1}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        _cleanup_(arena_freep) struct arena *a = arena_new();
        struct error err = { 0 };
        if (fields_check(a, rows, parse(a, texts[i]), true, &wrong, &err) < 0)
            fail_msg("%s: %s", texts[i], err.message);
        assert_null(err.code);
    }
}

/* Targets of all violations, in order. */
static void test_refuses(void **state)
{
    static const char *const cases[][2] = {
        { "{}", "sku.name" },
        { "{\"sku\":{\"name\":null}}", "sku.name" },
        { "{\"sku\":\"Basic\"}", "sku" },
        { "{\"sku\":{\"name\":\"Gold\"}}", "sku.name" },
        { "{\"sku\":{\"name\":3}}", "sku.name" },
        { "{\"sku\":{\"name\":\"Basic\"},\"properties\":[]}", "properties" },
        { "{\"sku\":{\"name\":\"Basic\"},\"properties\":{\"state\":\"Enabled\",\"isAdmin\":\"no\","
          "\"policies\":{\"days\":366},\"until\":\"tomorrow\",\"actions\":[\"push\",\"x\",5],"
          "\"rules\":[{},7,{\"value\":\"1\",\"deep\":{\"weight\":0}}],\"password\":\"abc\","
          "\"note\":{}},\"tags\":{\"a\":1}}",
          "properties.state properties.isAdmin properties.policies.days properties.until "
          "properties.actions[1] properties.actions[2] tags.a properties.rules[0].value "
          "properties.rules[1] properties.rules[2].deep.weight properties.password "
          "properties.note" },
        { "{\"sku\":{\"name\":\"Basic\"},\"properties\":{\"policies\":3,"
          "\"policies2\":1,\"actions\":\"push\",\"rules\":{}},\"tags\":[]}",
          "properties.policies properties.actions tags properties.rules" },
        { "{\"sku\":{\"name\":\"Basic\"},\"properties\":{\"policies\":{\"days\":1.5},"
          "\"actions\":[\"push\",\"push\",\"push\",\"push\"],\"password\":\"abcdefghi\"},"
          "\"tags\":{\"a\":\"\",\"b\":\"\",\"c\":\"\"}}",
          "properties.policies.days properties.actions tags properties.password" },
        { "{\"sku\":{\"name\":\"Basic\"},\"properties\":{\"rules\":[{\"value\":\"1.2\\n\"}]}}",
          "properties.rules[0].value" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_(arena_freep) struct arena *a = arena_new();
        _cleanup_(str_done) struct str targets;
        struct error err = { 0 };
        str_init(&targets, 4096);
        assert_int_equal(fields_check(a, rows, parse(a, cases[i][0]), true, &wrong, &err), -1);
        assert_ptr_equal(err.code, &wrong);
        for (const struct error_detail *d = err.details; d; d = d->next) {
            str_printf(&targets, "%s%s", d == err.details ? "" : " ", d->target);
            assert_ptr_equal(d->code, &wrong);
            assert_true(strlen(d->message) > 10);
        }
        assert_string_equal(targets.data, cases[i][1]);
        assert_string_equal(err.target, err.details->target);
        assert_string_equal(err.message, err.details->message);
    }
}

static void test_secret_is_not_echoed(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct error err = { 0 };

    (void)state;
    struct json_object *object = parse(a, "{\"properties\":{\"password\":\"S3CRET\"}}");
    assert_int_equal(fields_check(a, rows, object, false, &wrong, &err), -1);
    assert_non_null(strstr(err.message, "pattern"));
    assert_null(strstr(err.message, "S3CRET"));
}

static void test_violations_are_capped(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    _cleanup_(str_done) struct str text;
    struct error err = { 0 };
    size_t count = 0;

    (void)state;
    str_init(&text, 1 << 20);
    str_puts(&text, "{\"properties\":{\"rules\":[1");
    for (int i = 1; i < 200; i++)
        str_puts(&text, ",1");
    str_puts(&text, "]}}");
    assert_int_equal(fields_check(a, rows, parse(a, text.data), false, &wrong, &err), -1);
    for (const struct error_detail *d = err.details; d; d = d->next)
        count++;
    assert_int_equal(count, 100);
}

static void test_part(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct error err = { 0 };

    (void)state;
    assert_int_equal(fields_check(a, rows, parse(a, "{}"), false, &wrong, &err), 0);
    /* Items of lists are whole in a patch as well. */
    assert_int_equal(
        fields_check(a, rows, parse(a, "{\"properties\":{\"rules\":[{}]}}"), false, &wrong, &err),
        -1);
    assert_string_equal(err.target, "properties.rules[0].value");
}

static void test_nocase(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct json_object *object =
        parse(a, "{\"sku\":{\"name\":\"pREMIUM\"},\"properties\":{\"rules\":[{\"value\":\"1\","
                 "\"action\":\"ALLOW\"}]}}");
    struct error err = { 0 };

    (void)state;
    assert_int_equal(fields_check(a, rows, object, true, &wrong, &err), 0);
    assert_string_equal(json_text(object, "sku.name"), "Premium");
    assert_string_equal(json_text(json_item(json_at(object, "properties.rules"), 0), "action"),
                        "Allow");
}

static void test_default_and_strip(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct json_object *object =
        parse(a, "{\"properties\":{\"state\":\"disabled\",\"isAdmin\":null,\"until\":null,"
                 "\"note\":null,\"rules\":[{\"value\":\"1\",\"key\":\"k\"},3],"
                 "\"password\":\"abcd\",\"created\":\"x\"}}");

    (void)state;
    fields_default(rows, object);
    assert_string_equal(json_print(a, object),
                        "{\"properties\":{\"state\":\"disabled\",\"isAdmin\":false,\"until\":null,"
                        "\"rules\":[{\"value\":\"1\",\"key\":\"k\",\"action\":\"Allow\"},3],"
                        "\"password\":\"abcd\",\"created\":\"x\",\"policies\":{\"days\":7}}}");
    fields_strip(rows, object, FIELD_SECRET | FIELD_READ_ONLY);
    assert_string_equal(json_print(a, object),
                        "{\"properties\":{\"state\":\"disabled\",\"isAdmin\":false,\"until\":null,"
                        "\"rules\":[{\"value\":\"1\",\"action\":\"Allow\"},3],"
                        "\"policies\":{\"days\":7}}}");

    /* Nothing is destroyed to make room for a default. */
    object = parse(a, "{\"properties\":[1]}");
    fields_default(rows, object);
    assert_string_equal(json_print(a, object), "{\"properties\":[1]}");
}

static void test_decode(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct thing thing = { 0 };
    struct error err = { 0 };
    struct json_object *object =
        parse(a, "{\"sku\":{\"name\":\"Basic\"},\"properties\":{\"isAdmin\":true,\"policies\":"
                 "{\"days\":30},\"until\":null,\"actions\":[\"push\",\"delete\"],\"extra\":[1.50],"
                 "\"rules\":[{\"value\":\"1\"},{\"value\":\"2\",\"deep\":{\"weight\":3}}]},"
                 "\"tags\":{\"k\":\"v\"}}");

    (void)state;
    assert_int_equal(fields_decode(a, rows, object, &thing, &err), 0);
    assert_string_equal(thing.sku, "Basic");
    assert_null(thing.state);
    assert_true(thing.is_admin);
    assert_int_equal(thing.days, 30);
    assert_null(thing.until);
    assert_int_equal(thing.actions.count, 2);
    assert_string_equal(thing.actions.items[1], "delete");
    assert_string_equal(json_text(thing.tags, "k"), "v");
    assert_string_equal(json_print(a, thing.extra), "[1.50]");
    assert_int_equal(thing.rules.count, 2);
    const struct rule *rules = thing.rules.items;
    assert_string_equal(rules[0].value, "1");
    assert_int_equal(rules[0].weight, 0);
    assert_int_equal(rules[1].weight, 3);

    /* What was decoded does not follow the object. */
    json_set_text(json_at(object, "tags"), "k", "w");
    assert_string_equal(json_text(thing.tags, "k"), "v");
}

static void test_decode_unchecked(void **state)
{
    static const char *const texts[] = {
        "{\"sku\":{\"name\":1}}",
        "{\"properties\":{\"isAdmin\":1}}",
        "{\"properties\":{\"policies\":{\"days\":\"1\"}}}",
        "{\"properties\":{\"actions\":{}}}",
        "{\"properties\":{\"actions\":[1]}}",
        "{\"properties\":{\"rules\":[[]]}}",
        "{\"properties\":{\"rules\":{}}}",
        "{\"tags\":[]}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        _cleanup_(arena_freep) struct arena *a = arena_new();
        struct thing thing = { 0 };
        struct error err = { 0 };
        assert_int_equal(fields_decode(a, rows, parse(a, texts[i]), &thing, &err), -1);
        assert_ptr_equal(err.code, &E_INTERNAL);
    }
}

static void test_unknown(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    _cleanup_(str_done) struct str all;
    char **paths;
    struct json_object *object = parse(
        a,
        "{\"id\":1,\"sku\":{\"name\":\"Basic\",\"tier\":\"x\"},\"properties\":{\"extra\":{\"y\":1},"
        "\"color\":{\"deep\":1},\"rules\":[{\"value\":\"1\"},{\"deep\":{\"w\":1},\"z\":2}],"
        "\"policies\":5},\"properties.state\":1,\"tags\":{\"any\":\"x\"}}");

    (void)state;
    str_init(&all, 1000);
    size_t count = fields_unknown(a, rows, object, &paths);
    for (size_t i = 0; i < count; i++)
        str_printf(&all, "%s ", paths[i]);
    assert_string_equal(all.data, "id sku.tier properties.color properties.rules[1].deep.w "
                                  "properties.rules[1].z properties.state ");
    assert_int_equal(fields_unknown(a, rows, parse(a, "{}"), &paths), 0);
}

static void test_malformed_tables(void **state)
{
    static const struct field none[] = { { 0 } };
    static const struct {
        struct field rows[3];
        const char *says;
    } cases[] = {
        { { { "a", FIELD_TEXT, FIELD_RW }, { "a", FIELD_TEXT, FIELD_RW } }, "two rows" },
        { { { "a", FIELD_TEXT, FIELD_RW }, { "a.b", FIELD_TEXT, FIELD_RW } }, "below" },
        { { { "a", FIELD_TEXT, FIELD_REQUIRED } }, "mutability" },
        { { { "a", FIELD_TEXT, FIELD_RW | FIELD_READ_ONLY } }, "mutability" },
        { { { "a", FIELD_TEXT, FIELD_READ_ONLY | FIELD_SECRET } }, "secret" },
        { { { "a", FIELD_TEXT_LIST, FIELD_RW, 8 } }, "offset" },
        { { { "a", FIELD_INT, FIELD_RW, 9 } }, "offset" },
        { { { "a", FIELD_INT, FIELD_RW, .def = "5", .min = 6, .max = 9 } }, "default" },
        { { { "a", FIELD_INT, FIELD_READ_ONLY, .def = "\"5\"" } }, "default" },
        { { { "a", FIELD_INT, FIELD_RW, .def = "{" } }, "default" },
        { { { "a", FIELD_INT, FIELD_RW, .def = "null" } }, "default" },
        { { { "a", FIELD_INT, FIELD_RW, .min = 6, .max = 5 } }, "range" },
        { { { "a", FIELD_BOOL, FIELD_RW, .max = 5 } }, "range" },
        { { { "a", FIELD_TEXT, FIELD_RW, .pattern = "(" } }, "pattern" },
        { { { "a", FIELD_INT, FIELD_RW, .pattern = "x" } }, "pattern" },
        { { { "a", FIELD_TEXT, FIELD_RW | FIELD_NOCASE } }, "NOCASE" },
        { { { "a", FIELD_LIST, FIELD_RW } }, "FIELD_LIST" },
        { { { "a", FIELD_TEXT, FIELD_RW, .of = none } }, "FIELD_LIST" },
        { { { "a..b", FIELD_TEXT, FIELD_RW } }, "path" },
        { { { "", FIELD_TEXT, FIELD_RW } }, "path" },
        { { { "a.", FIELD_TEXT, FIELD_RW } }, "path" },
        { { { "a", FIELD_KIND_MAX, FIELD_RW } }, "kind" },
    };
    static const struct field fine[] = {
        { "a", FIELD_JSON, FIELD_RW, 0 },
        { "a.b", FIELD_TEXT, FIELD_RW, 8, .def = "\"x\"" },
        { "c", FIELD_JSON, FIELD_RW | FIELD_NULLABLE, FIELD_NO_OFFSET, .def = "null" },
        { 0 },
    };
    struct error err = { 0 };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (fields_table_check(cases[i].rows, 16, &err) == 0)
            fail_msg("table %zu is taken for good", i);
        if (!strstr(err.cause, cases[i].says))
            fail_msg("table %zu: '%s' does not say %s", i, err.cause, cases[i].says);
    }
    if (fields_table_check(fine, 16, &err) < 0)
        fail_msg("%s", err.cause);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_accepts),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_secret_is_not_echoed),
        cmocka_unit_test(test_violations_are_capped),
        cmocka_unit_test(test_part),
        cmocka_unit_test(test_nocase),
        cmocka_unit_test(test_default_and_strip),
        cmocka_unit_test(test_decode),
        cmocka_unit_test(test_decode_unchecked),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_malformed_tables),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

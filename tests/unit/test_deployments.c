/* The pure parts of deployments: how bodies differ, how secrets are masked, what a path names. */
/* links: portolan_control */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "controlplane/deployments/delta.h"
#include "controlplane/deployments/scope.h"
#include "controlplane/deployments/secrets.h"
#include "controlplane/deployments/show.h"

#include <cmocka.h>

static struct json_object *parse(struct arena *a, const char *text)
{
    struct json_object *value = NULL;
    struct error err;

    if (json_parse(text, strlen(text), 100000, JSON_STRICT, &value, &err))
        fail_msg("%s: %s", text, err.message);
    return json_own(a, value);
}

static void test_delta(void **state)
{
    static const struct {
        const char *before, *after, *delta;
    } cases[] = {
        { "{}", "{}", "[]" },
        { "{\"a\":1}", "{\"a\":1,\"b\":null}", "[]" },
        { "{\"location\":\"eastus\"}", "{\"location\":\"East US\"}", "[]" },
        { "{\"x\":\"/subscriptions/A/b\"}", "{\"x\":\"/subscriptions/a/B\"}", "[]" },
        { "{\"x\":\"A\"}", "{\"x\":\"a\"}",
          "[{\"path\":\"x\",\"propertyChangeType\":\"Modify\",\"before\":\"A\",\"after\":\"a\"}]" },
        { "{}", "{\"a\":{\"b\":1}}",
          "[{\"path\":\"a\",\"propertyChangeType\":\"Create\",\"after\":{\"b\":1}}]" },
        { "{\"a\":{\"b\":1,\"c\":2}}", "{\"a\":{\"b\":1}}",
          "[{\"path\":\"a.c\",\"propertyChangeType\":\"Delete\",\"before\":2}]" },
        { "{\"tags\":{\"a.b\":\"1\"}}", "{\"tags\":{\"a.b\":\"2\"}}",
          "[{\"path\":\"tags.a.b\",\"propertyChangeType\":\"Modify\",\"before\":\"1\","
          "\"after\":\"2\"}]" },
        { "{\"l\":[1,2]}", "{\"l\":[1,3,4]}",
          "[{\"path\":\"l\",\"propertyChangeType\":\"Array\",\"before\":[1,2],\"after\":[1,3,4],"
          "\"children\":[{\"path\":\"1\",\"propertyChangeType\":\"Modify\",\"before\":2,"
          "\"after\":3},{\"path\":\"2\",\"propertyChangeType\":\"Create\",\"after\":4}]}]" },
        { "{\"l\":[{\"a\":1}]}", "{\"l\":[{\"a\":2}]}",
          "[{\"path\":\"l\",\"propertyChangeType\":\"Array\",\"before\":[{\"a\":1}],"
          "\"after\":[{\"a\":2}],\"children\":[{\"path\":\"0\",\"propertyChangeType\":\"Modify\","
          "\"before\":{\"a\":1},\"after\":{\"a\":2},\"children\":[{\"path\":\"a\","
          "\"propertyChangeType\":\"Modify\",\"before\":1,\"after\":2}]}]}]" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_(arena_freep) struct arena *a = arena_new();
        struct json_object *got =
            delta_of(a, parse(a, cases[i].before), parse(a, cases[i].after));

        if (!json_equal(got, parse(a, cases[i].delta)))
            fail_msg("case %zu: %s", i, json_print(a, got));
    }
}

static void test_secrets(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct secrets s = { .arena = a };
    struct json_object *plain =
        parse(a, "{\"abc\":\"abc\",\"hunter22\":[\"x hunter22 y\",1,null,\"abcd 'abc' no\"]}");
    struct json_object *masked;

    (void)state;
    assert_ptr_equal(secrets_scrub(&s, a, plain), plain);
    /* Short words could be parts of ordinary text. */
    secrets_add(&s, parse(a, "{\"p\":\"hunter22\",\"q\":[\"abc\",7,\"\",{\"r\":\"hunter22\"}]}"));
    assert_int_equal(s.count, 2);
    masked = secrets_scrub(&s, a, plain);
    assert_true(json_equal(masked, parse(a, "{\"abc\":\"*******\",\"*******\":"
                                            "[\"x ******* y\",1,null,\"abcd ******* no\"]}")));
    assert_non_null(strstr(json_print(a, plain), "hunter22"));
    assert_true(json_equal(json_own(a, secrets_json(&s)), parse(a, "[\"hunter22\",\"abc\"]")));
}

/* None is forgotten without a word. */
static void test_too_many_secrets(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct secrets s = { .arena = a };

    (void)state;
    for (int i = 0; i < 5000; i++)
        secrets_add(&s, json_own(a, json_new_text(arena_printf(a, "secret-%d", i))));
    secrets_add(&s, json_own(a, json_new_text("secret-7")));
    assert_false(s.is_full);
    secrets_add(&s, json_own(a, json_new_text("one more")));
    assert_true(s.is_full);
    assert_true(json_equal(secrets_scrub(&s, a, parse(a, "{\"a\":[\"plain\",1]}")),
                           parse(a, "{\"a\":[\"*******\",1]}")));
}

static void test_paths(void **state)
{
    static const struct {
        const char *path, *scope, *name;
    } cases[] = {
        { "/providers/Microsoft.Resources/deployments/d", "", "d" },
        { "/subscriptions/s/providers/microsoft.resources/Deployments", "/subscriptions/s", NULL },
        { "/subscriptions/s/providers/Microsoft.Resources/deployments/", "/subscriptions/s", NULL },
        { "/subscriptions/s/resourceGroups/g/providers/Microsoft.Resources/deployments/d/operations",
          "/subscriptions/s/resourceGroups/g", "d" },
        { "/subscriptions/s/providers/Microsoft.Resources/deploymentStacks/d", NULL, NULL },
        { "/subscriptions/s", NULL, NULL },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_(arena_freep) struct arena *a = arena_new();
        char *scope = NULL, *name = NULL;
        bool found = scope_split(a, cases[i].path, &scope, &name);

        if (found != (cases[i].scope != NULL) ||
            (found && (!text_eq(scope, cases[i].scope) || !text_eq(name, cases[i].name))))
            fail_msg("%s: '%s' '%s'", cases[i].path, scope, name);
    }
}

static void test_durations(void **state)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();

    (void)state;
    assert_string_equal(show_duration(a, 0, 8830000), "PT8.8300000S");
    assert_string_equal(show_duration(a, 0, 61000000), "PT1M1.0000000S");
    assert_string_equal(show_duration(a, 0, 3661000001), "PT1H1M1.0000010S");
    assert_string_equal(show_duration(a, 5, 0), "PT0.0000000S");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delta),
        cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_too_many_secrets),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_durations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The pure parts of the client library: what a path names, which api-version is newest, how errors
 * are read, where a token may go, and how values are picked from JSON. */
/* links: portolan_sdk */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/json/json.h"
#include "sdk/src/internal.h"

/* Behind error.h, as cmocka has a macro called fail. */
#include <cmocka.h>

#define R "/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerRegistry/registries"

static void test_type_of(void **state)
{
    static const struct {
        const char *path, *namespace, *type;
    } cases[] = {
        { R "/r", "Microsoft.ContainerRegistry", "registries" },
        { R, "Microsoft.ContainerRegistry", "registries" },
        { R "/r/tokens/t", "Microsoft.ContainerRegistry", "registries/tokens" },
        { R "/r/listCredentials", "Microsoft.ContainerRegistry", "registries/listCredentials" },
        { R "/r/tokens?$top=2", "Microsoft.ContainerRegistry", "registries/tokens" },
        { R "/r/providers/Microsoft.Authorization/locks/l", "Microsoft.Authorization", "locks" },
        { "/PROVIDERS/Microsoft.Resources/tenants", "Microsoft.Resources", "tenants" },
        { "/subscriptions/s", NULL, NULL },
        { "/providers", NULL, NULL },
        { "/providers/", NULL, NULL },
        { "/providers/Microsoft.Resources", NULL, NULL },
        { "", NULL, NULL },
    };
    struct arena *a = arena_new();

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *name = NULL, *type = NULL;
        bool is_found = sdk_type_of(a, cases[i].path, &name, &type);

        assert_int_equal(is_found, cases[i].namespace != NULL);
        if (is_found) {
            assert_string_equal(name, cases[i].namespace);
            assert_string_equal(type, cases[i].type);
        }
    }
    arena_free(a);
}

static void check_newest(const char *list, const char *expected)
{
    struct json_object *value = NULL;
    struct error err;

    assert_int_equal(json_parse(list, strlen(list), 4096, JSON_STRICT, &value, &err), 0);
    if (expected)
        assert_string_equal(sdk_newest(value), expected);
    else
        assert_null(sdk_newest(value));
    json_put(value);
}

static void test_newest(void **state)
{
    (void)state;
    check_newest("[\"2019-05-01\",\"2025-11-01\",\"2026-01-01-preview\"]", "2025-11-01");
    check_newest("[\"2019-12-01-preview\",\"2026-01-01-preview\"]", "2026-01-01-preview");
    check_newest("[]", NULL);
    check_newest("[1,null]", NULL);
}

static void test_errors_are_read(void **state)
{
    static const struct {
        const char *body, *code, *message, *target;
    } cases[] = {
        { "{\"error\":{\"code\":\"Gone\",\"message\":\"It went.\",\"target\":\"sku\"}}", "Gone",
          "It went.", "sku" },
        { "<html>", "UnexpectedReply", "The service answered with status 418.", "" },
        { "", "UnexpectedReply", "The service answered with status 418.", "" },
        { "{\"error\":5}", "UnexpectedReply", "The service answered with status 418.", "" },
    };
    struct arena *a = arena_new();

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err = { 0 };
        struct portolan_error told;

        assert_int_equal(sdk_fail_reply(a, 418, cases[i].body, &err), -1);
        assert_int_equal(sdk_report(&err, &told), -1);
        assert_int_equal(told.status, 418);
        assert_string_equal(told.code, cases[i].code);
        assert_string_equal(told.message, cases[i].message);
        assert_string_equal(told.target, cases[i].target);
        assert_int_equal(sdk_report(&err, NULL), -1);
    }
    arena_free(a);
}

/* A name that begins alike is another host. */
static void test_tokens_stay_home(void **state)
{
    struct portolan p = { .management = "https://management.example" };

    (void)state;
    assert_true(sdk_is_own(&p, "https://management.example/subscriptions"));
    assert_false(sdk_is_own(&p, "https://management.example"));
    assert_false(sdk_is_own(&p, "https://management.example.evil/x"));
    assert_false(sdk_is_own(&p, "https://management.example@evil/x"));
    assert_false(sdk_is_own(&p, "https://management.example:9/x"));
    assert_false(sdk_is_own(&p, "http://management.example/x"));
    assert_false(sdk_is_own(&p, "/x"));
}

static void check_text(const char *json, const char *path, const char *expected)
{
    char *got = portolan_text(json, path);

    if (expected)
        assert_string_equal(got, expected);
    else
        assert_null(got);
    portolan_free(got);
}

static void test_values_are_picked(void **state)
{
    static const char json[] = "{\"a\":{\"b\":\"text\",\"n\":5,\"l\":[{\"x\":1},true]},\"e\":null}";

    (void)state;
    check_text(json, "a.b", "text");
    check_text(json, "a.n", "5");
    check_text(json, "a.l", "[{\"x\":1},true]");
    check_text(json, "a.l.0.x", "1");
    check_text(json, "a.l.1", "true");
    check_text(json, "a.l.2", NULL);
    check_text(json, "a.l.-1", NULL);
    check_text(json, "a.l.x", NULL);
    check_text(json, "a.b.c", NULL);
    check_text(json, "z", NULL);
    check_text("[5]", "", "[5]");
    check_text("{", "a", NULL);
    check_text(NULL, "a", NULL);
}

static void test_ids(void **state)
{
    struct portolan p = { .subscription = "s" }, none = { 0 };
    char *id = portolan_registry_id(&p, "g", "r");

    (void)state;
    assert_string_equal(id, R "/r");
    portolan_free(id);
    assert_null(portolan_registry_id(&none, "g", "r"));
    assert_null(portolan_registry_id(&p, "g/../h", "r"));
    assert_null(portolan_registry_id(&p, "g", ""));
    assert_null(portolan_registry_id(&p, "g", "r?x"));
    assert_null(portolan_registry_id(&p, "..", "r"));
    assert_null(portolan_group_id(&p, NULL));
}

static void test_pauses(void **state)
{
    (void)state;
    assert_int_equal(sdk_pause(0, 100, 1000), 100);
    assert_int_equal(sdk_pause(100, 100, 1000), 200);
    assert_int_equal(sdk_pause(800, 100, 1000), 1000);
    assert_int_equal(sdk_pause(0, 100, 50), 50);
}

static void test_open_says_what_is_missing(void **state)
{
    static const char *const names[] = { "PORTOLAN_MANAGEMENT", "PORTOLAN_LOGIN",
                                         "AZURE_AUTHORITY_HOST", "AZURE_TENANT_ID",
                                         "AZURE_CLIENT_ID",     "AZURE_CLIENT_SECRET" };
    struct portolan_config config = { .management = "https://m.example/" };
    struct portolan_error err;
    struct portolan *p = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        (void)unsetenv(names[i]);
    assert_int_equal(portolan_open(NULL, &p, &err), -1);
    assert_string_equal(err.target, "PORTOLAN_MANAGEMENT");
    assert_int_equal(portolan_open(&config, &p, &err), -1);
    assert_string_equal(err.target, "PORTOLAN_LOGIN");
    config.login = "gopher://l.example";
    assert_int_equal(portolan_open(&config, &p, &err), -1);
    config.login = "https://l.example";
    config.tenant = config.client_id = "x";
    assert_int_equal(portolan_open(&config, &p, &err), -1);
    assert_string_equal(err.target, "AZURE_CLIENT_SECRET");
    config.client_secret = "y";
    assert_int_equal(portolan_open(&config, &p, &err), 0);
    assert_string_equal(p->management, "https://m.example");
    assert_int_equal(portolan_call(p, &(struct portolan_request){ .path = "no path" }, NULL, &err),
                     -1);
    assert_string_equal(err.target, "path");
    portolan_close(p);
    portolan_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_type_of),
        cmocka_unit_test(test_newest),
        cmocka_unit_test(test_errors_are_read),
        cmocka_unit_test(test_tokens_stay_home),
        cmocka_unit_test(test_values_are_picked),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_pauses),
        cmocka_unit_test(test_open_says_what_is_missing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

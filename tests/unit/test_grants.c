/* Reducing role assignments to data-plane permissions, back-off and finality of failures, and the
 * reading of port ranges: the pure parts of provisioning. */
/* links: portolan_control */
#include "controlplane/provision/grants.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/json/json.h"
#include "controlplane/provision/ports.h"
#include "controlplane/provision/region.h"
#include "controlplane/reconcile/steps.h"

#include <cmocka.h>

#define R "Microsoft.ContainerRegistry/registries/"
#define PULL "{\"type\":\"repository\",\"name\":\"*\",\"actions\":[\"pull\",\"metadata_read\"]}"
#define CATALOG "{\"type\":\"registry\",\"name\":\"catalog\",\"actions\":[\"*\"]}"
#define ALL                                                                                        \
    "[{\"type\":\"repository\",\"name\":\"*\",\"actions\":[\"pull\",\"push\",\"delete\","          \
    "\"metadata_read\",\"metadata_write\",\"deleted_read\",\"deleted_restore\","            \
    "\"quarantine_read\",\"quarantine_write\"]}," CATALOG                                           \
    ",{\"type\":\"registry\",\"name\":\"deleted_catalog\",\"actions\":[\"*\"]}]"

static void test_reduce(void **state)
{
    static const struct {
        const char *entries;
        bool is_abac;
        const char *permissions;
    } cases[] = {
        { "[]", false, "{}" },
        { "[{\"principal_id\":\"p\",\"actions\":[\"" R "pull/read\"]}]", false,
          "{\"p\":[" PULL "," CATALOG "]}" },
        { "[{\"principal_id\":\"p\",\"actions\":[\"*\"],\"notActions\":"
          "[\"Microsoft.Authorization/*/Write\"]}]", false, "{\"p\":" ALL "}" },
        /* Registry-wide actions count for nothing once permissions are by repository. */
        { "[{\"principal_id\":\"p\",\"actions\":[\"*\"]}]", true, "{}" },
        { "[{\"principal_id\":\"p\",\"dataActions\":[\"" R "repositories/content/read\"]}]", false,
          "{}" },
        { "[{\"principal_id\":\"p\",\"dataActions\":[\"" R "repositories/content/read\",\"" R
          "repositories/metadata/read\"]}]", true, "{\"p\":[" PULL "]}" },
        { "[{\"principal_id\":\"p\",\"dataActions\":[\"" R "catalog/read\"]}]", true,
          "{\"p\":[" CATALOG "]}" },
        /* Several assignments add up; an exclusion stays within its own. */
        { "[{\"principal_id\":\"p\",\"actions\":[\"" R "pull/read\"]},"
          "{\"principal_id\":\"p\",\"actions\":[\"*\"],\"notActions\":[\"" R "*\"]},"
          "{\"principal_id\":\"q\",\"actions\":[\"" R "artifacts/delete\"]}]", false,
          "{\"p\":[" PULL "," CATALOG "],\"q\":[{\"type\":\"repository\",\"name\":\"*\","
          "\"actions\":[\"delete\"]}]}" },
        /* Nothing of the registry: left out. */
        { "[{\"principal_id\":\"p\",\"actions\":[\"Microsoft.Network/*\"]}]", false, "{}" },
        /* What a condition narrows is not widened. */
        { "[{\"principal_id\":\"p\",\"condition\":\"x\",\"actions\":[\"*\"]}]", false, "{}" },
        { "[{\"actions\":[\"*\"]},{\"principal_id\":\"p\",\"actions\":\"*\"}]", false, "{}" },
    };
    struct arena *a = arena_new();
    struct error err;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct json_object *entries, *wanted;

        assert_int_equal(json_parse(cases[i].entries, strlen(cases[i].entries), 65536, JSON_STRICT,
                                    &entries, &err), 0);
        assert_int_equal(json_parse(cases[i].permissions, strlen(cases[i].permissions), 65536,
                                    JSON_STRICT, &wanted, &err), 0);
        struct json_object *got = grants_reduce(a, entries, cases[i].is_abac);
        assert_string_equal(json_print(a, got), json_print(a, wanted));
        json_put(entries);
        json_put(wanted);
    }
    assert_string_equal(json_print(a, grants_all(a)), ALL);
    arena_free(a);
}

static void test_backoff(void **state)
{
    int64_t wanted = 200;

    (void)state;
    for (int attempts = 0; attempts < 70; attempts++) {
        int64_t ms = steps_backoff_ms(attempts);

        assert_in_range(ms, wanted * 3 / 4, wanted * 5 / 4);
        wanted = wanted * 2 < 30000 ? wanted * 2 : 30000;
    }
}

static void test_finality(void **state)
{
    static const struct {
        const struct error_code *code;
        int64_t attempts;
        bool is_final;
    } cases[] = {
        { &E_UNAVAILABLE, 0, false }, { &E_UNAVAILABLE, 100000, false },
        { &E_TIMEOUT, 100000, false }, { &E_INTERNAL, 0, false },
        { &E_INTERNAL, 8, false },     { &E_INTERNAL, 9, true },
        { &E_NO_SPACE, 3, false },     { &E_INVALID, 0, true },
        { &E_CONFLICT, 0, true },      { &E_FORBIDDEN, 0, true },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error err = { .code = cases[i].code };

        assert_int_equal(steps_is_final(&err, cases[i].attempts), cases[i].is_final);
    }
}

static void test_ports(void **state)
{
    static const struct {
        const char *text;
        int rc;
        int64_t first, last;
    } cases[] = {
        { "20000-29999", 0, 20000, 29999 }, { "1-65535", 0, 1, 65535 }, { "5-5", 0, 5, 5 },
        { "0-5", -1, 0, 0 },  { "6-5", -1, 0, 0 },   { "5-65536", -1, 0, 0 },
        { "5", -1, 0, 0 },    { "-5", -1, 0, 0 },    { "5-", -1, 0, 0 },
        { "a-b", -1, 0, 0 },  { "1-2-3", -1, 0, 0 }, { "", -1, 0, 0 },
        { "123456789-5", -1, 0, 0 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t first, last;
        struct error err;

        assert_int_equal(ports_parse(cases[i].text, &first, &last, &err), cases[i].rc);
        if (cases[i].rc == 0) {
            assert_int_equal(first, cases[i].first);
            assert_int_equal(last, cases[i].last);
        }
    }
}

static void test_regions(void **state)
{
    static const struct region regions[] = { { .name = "eastus" }, { .name = "westus2" }, { 0 } };
    struct arena *a = arena_new();

    (void)state;
    assert_string_equal(region_normalise(a, "West US 2"), "westus2");
    assert_ptr_equal(region_find(regions, "East US"), &regions[0]);
    assert_ptr_equal(region_find(regions, "WESTUS2"), &regions[1]);
    assert_null(region_find(regions, "west us"));
    assert_null(region_find(regions, "eastus2"));
    assert_null(region_find(regions, ""));
    assert_null(region_find(regions, NULL));
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reduce),
        cmocka_unit_test(test_backoff),        cmocka_unit_test(test_finality),
        cmocka_unit_test(test_ports),          cmocka_unit_test(test_regions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* ARM ids: what a path means, its canonical spelling and its key. */
/* links: portolan_control */
#include "controlplane/api/arm_id.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"

#include "controlplane/api/errors.h"

#include <cmocka.h>

#define SUB "/subscriptions/aaaaaaaa-0000-4000-8000-000000000001"
#define REGISTRIES "Microsoft.ContainerRegistry/registries"

struct good {
    const char *path, *group, *provider, *type, *last_name, *tail, *scope;
    size_t depth;
    bool is_group;
};

static const struct good goods[] = {
    { .path = SUB },
    { .path = SUB "/locations", .tail = "locations" },
    { .path = "/subscriptions", .tail = "subscriptions" },
    { .path = SUB "/providers", .tail = "providers" },
    { .path = SUB "/resourcegroups", .provider = "Microsoft.Resources",
      .type = "Microsoft.Resources/resourceGroups", .depth = 1, .is_group = true },
    { .path = SUB "/RESOURCEGROUPS/My.Group/", .group = "My.Group",
      .provider = "Microsoft.Resources", .type = "Microsoft.Resources/resourceGroups",
      .last_name = "My.Group", .depth = 1, .is_group = true },
    { .path = SUB "/resourceGroups/g/resources", .group = "g", .tail = "resources" },
    { .path = SUB "/resourceGroups/g/providers/" REGISTRIES "/Reg1", .group = "g",
      .provider = "Microsoft.ContainerRegistry", .type = REGISTRIES, .last_name = "Reg1",
      .depth = 1 },
    { .path = SUB "/resourceGroups/g/providers/Microsoft.ContainerRegistry//registries/Reg1",
      .group = "g", .provider = "Microsoft.ContainerRegistry", .type = REGISTRIES,
      .last_name = "Reg1", .depth = 1 },
    { .path = SUB "/providers/" REGISTRIES, .provider = "Microsoft.ContainerRegistry",
      .type = REGISTRIES, .depth = 1 },
    { .path = SUB "/resourceGroups/g/providers/" REGISTRIES "/r/webhooks/w/ping", .group = "g",
      .provider = "Microsoft.ContainerRegistry", .type = REGISTRIES "/webhooks/ping",
      .depth = 3 },
    { .path = SUB "/resourceGroups/g/providers/" REGISTRIES
                  "/r/providers/Microsoft.Authorization/locks/l",
      .group = "g", .provider = "Microsoft.Authorization", .type = "Microsoft.Authorization/locks",
      .last_name = "l", .depth = 1,
      .scope = SUB "/resourceGroups/g/providers/" REGISTRIES "/r" },
};

static void test_good(void **state)
{
    struct arena *a = arena_new();
    struct arm_id id;
    struct error err;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(goods); i++) {
        const struct good *g = &goods[i];

        if (arm_id_parse(a, g->path, &id, &err))
            fail_msg("%s: %s", g->path, err.message);
        assert_int_equal(id.depth, g->depth);
        assert_int_equal(id.is_group, g->is_group);
        assert_int_equal(id.group != NULL, g->group != NULL);
        if (g->group)
            assert_string_equal(id.group, g->group);
        assert_int_equal(id.tail != NULL, g->tail != NULL);
        if (g->tail)
            assert_string_equal(id.tail, g->tail);
        assert_int_equal(id.scope != NULL, g->scope != NULL);
        if (g->scope)
            assert_string_equal(id.scope, g->scope);
        if (g->provider) {
            assert_string_equal(id.provider, g->provider);
            assert_string_equal(arm_id_type(a, &id, id.depth), g->type);
            assert_int_equal(arm_id_is_collection(&id), g->last_name == NULL);
        }
        if (g->last_name)
            assert_string_equal(id.names[id.depth - 1], g->last_name);
    }
    arena_free(a);
}

static const struct {
    const char *path;
    const struct error_code *code;
} bads[] = {
    { "", &E_NO_ROUTE },
    { "/", &E_NO_ROUTE },
    { "subscriptions", &E_NO_ROUTE },
    { "/subscriptions/not-a-uuid", &E_INVALID_SUBSCRIPTION },
    { SUB "/locations/eastus", &E_NO_ROUTE },
    { SUB "/providers/Microsoft.X/providers/Microsoft.Y/a/b", &E_NO_ROUTE },
    { SUB "/providers/Microsoft.X/a/providers/Microsoft.Y/a/b", &E_INTERNAL },
    { SUB "/providers/X/1/1/2/2/3/3/4/4/5/5/6/6/7/7/8/8/9/9", &E_NO_ROUTE },
};

static void test_bad(void **state)
{
    struct arena *a = arena_new();
    struct arm_id id;
    struct error err;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bads); i++) {
        int rc = arm_id_parse(a, bads[i].path, &id, &err);

        /* "a/providers" is a name like any other where a name stands. */
        if (bads[i].code == &E_INTERNAL) {
            assert_int_equal(rc, 0);
            assert_string_equal(id.names[0], "providers");
            continue;
        }
        if (rc == 0)
            fail_msg("accepted: %s", bads[i].path);
        assert_ptr_equal(err.code, bads[i].code);
    }
    arena_free(a);
}

static void test_long(void **state)
{
    struct arena *a = arena_new();
    struct arm_id id;
    struct error err;
    char path[ARM_ID_MAX_BYTES + 2];

    (void)state;
    memset(path, '/', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    assert_int_equal(arm_id_parse(a, path, &id, &err), -1);
    for (size_t i = 1; i + 1 < sizeof(path); i += 2)
        path[i] = 'a';
    path[ARM_ID_MAX_BYTES - 1] = '\0';
    assert_int_equal(arm_id_parse(a, path, &id, &err), -1);
    arena_free(a);
}

static void test_text(void **state)
{
    static const struct {
        const char *path, *type, *text;
        size_t depth;
    } rows[] = {
        { SUB "/resourcegroups/G1", NULL, SUB "/resourceGroups/G1", 1 },
        { "/SUBSCRIPTIONS/AAAAAAAA-0000-4000-8000-000000000001/resourcegroups/G1", NULL,
          SUB "/resourceGroups/G1", 1 },
        { SUB "/resourcegroups/G1/PROVIDERS/microsoft.containerregistry/REGISTRIES/MyReg",
          REGISTRIES, SUB "/resourceGroups/G1/providers/" REGISTRIES "/MyReg", 1 },
        { SUB "/resourceGroups/g/providers/" REGISTRIES "/R/WEBHOOKS/w", REGISTRIES "/webhooks",
          SUB "/resourceGroups/g/providers/" REGISTRIES "/R/webhooks/w", 2 },
        { SUB "/resourceGroups/g/providers/" REGISTRIES "/R/webhooks/w", REGISTRIES "/webhooks",
          SUB "/resourceGroups/g/providers/" REGISTRIES "/R", 1 },
    };
    struct arena *a = arena_new();
    struct arm_id id;
    struct error err;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(arm_id_parse(a, rows[i].path, &id, &err), 0);
        assert_string_equal(arm_id_text(a, &id, rows[i].type, rows[i].depth), rows[i].text);
    }
    /* Spellings of one id have one key, and the canonical id parses to itself. */
    assert_int_equal(arm_id_parse(a, rows[2].path, &id, &err), 0);
    const char *key = arm_id_key(a, &id, 1);
    assert_int_equal(arm_id_parse(a, rows[2].text, &id, &err), 0);
    assert_string_equal(arm_id_key(a, &id, 1), key);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

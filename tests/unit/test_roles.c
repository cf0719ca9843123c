/* The built-in roles: the table is well formed, patterns match as Azure's do, and the roles people
 * rely on allow exactly what they should. */
/* links: portolan_control */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "templates/language/template.h"

#include "controlplane/identity/roles.h"

#include <cmocka.h>

#define R "Microsoft.ContainerRegistry/registries/"

static void patterns(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *action;
        bool matches;
    } cases[] = {
        { "*", "", true },
        { "*", "Microsoft.X/y/read", true },
        { "*/read", "Microsoft.X/y/read", true },
        { "*/read", "Microsoft.X/y/READ", true },
        { "*/read", "Microsoft.X/y/readme", false },
        { "*/read", "Microsoft.X/y/write", false },
        { "*/read", "read", false },
        { "*/read", "a/read/read", true },
        { "*/read", "a/read/write", false },
        { "microsoft.x/Y/write", "Microsoft.X/y/Write", true },
        { "Microsoft.X/y/*", "Microsoft.X/y/z/action", true },
        { "Microsoft.X/y/*", "Microsoft.X/y/", true },
        { "Microsoft.X/y/*", "Microsoft.X/yz/read", false },
        { "Microsoft.X/*/write", "Microsoft.X/a/b/write", true },
        { "Microsoft.X/*/write", "Microsoft.X/write", false },
        { "a*b*c", "aXbXbXc", true },
        { "a*b*c", "aXbXbX", false },
        { "**", "x", true },
        { "", "", true },
        { "", "x", false },
        { "x", "", false },
        { "Microsoft.X/y", "Microsoft.X/y/z", false },
        { "Microsoft.X/y/z", "Microsoft.X/y", false },
        { "Microsoft.X?y", "Microsoft.X/y", false },
        { "*a*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
          false },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (role_pattern_matches(cases[i].pattern, cases[i].action) != cases[i].matches)
            fail_msg("'%s' on '%s'", cases[i].pattern, cases[i].action);
    }
}

static void check_list(const struct role *role, const char *const *list)
{
    assert_non_null(list);
    for (; *list; list++) {
        bool is_general = **list == '*';
        bool is_full = text_starts(*list, "Microsoft.") && strchr(*list, '/');
        if (!is_general && !is_full)
            fail_msg("%s: odd action '%s'", role->name, *list);
        if (strstr(*list, "//") || strchr(*list, ' '))
            fail_msg("%s: malformed action '%s'", role->name, *list);
    }
}

static void table(void **state)
{
    (void)state;
    size_t count = 0;
    for (const struct role *r = builtin_roles; r->id; r++, count++) {
        assert_true(uuid_is_valid(r->id));
        for (const char *c = r->id; *c; c++)
            assert_false(*c >= 'A' && *c <= 'Z');
        assert_true(r->name && *r->name && r->description && text_ends(r->description, "."));
        check_list(r, r->actions);
        check_list(r, r->not_actions);
        check_list(r, r->data_actions);
        check_list(r, r->not_data_actions);
        assert_true(*r->actions || *r->data_actions);
        for (const struct role *s = builtin_roles; s != r; s++) {
            assert_string_not_equal(r->id, s->id);
            assert_false(text_eq_nocase(r->name, s->name));
        }
        assert_ptr_equal(role_find(r->id), r);
        assert_ptr_equal(role_find_name(r->name), r);
    }
    assert_true(count >= 24);
    assert_string_equal(role_find("8E3AF657-A8FF-443C-A75C-2FE8C4BCB635")->name, "Owner");
    assert_string_equal(role_find_name("acrpull")->id, "7f951dda-4ed3-4680-a7ca-43fe172d538d");
    assert_null(role_find("00000000-0000-0000-0000-000000000000"));
    assert_null(role_find(""));
    assert_null(role_find(NULL));
    assert_null(role_find_name("*"));
}

static void rights(void **state)
{
    (void)state;
    static const struct {
        const char *role, *action;
        bool allows, allows_data;
    } cases[] = {
        { "Owner", "Microsoft.Authorization/roleAssignments/write", true, false },
        { "Owner", R "repositories/content/read", true, false },
        { "Contributor", "Microsoft.ContainerRegistry/registries/write", true, false },
        { "Contributor", "Microsoft.Authorization/roleAssignments/write", false, false },
        { "Contributor", "Microsoft.Authorization/roleAssignments/delete", false, false },
        { "Contributor", "Microsoft.Authorization/locks/write", false, false },
        { "Contributor", "Microsoft.Authorization/roleAssignments/read", true, false },
        { "Reader", "Microsoft.ContainerRegistry/registries/read", true, false },
        { "Reader", R "pull/read", true, false },
        { "Reader", R "listCredentials/action", false, false },
        { "Reader", "Microsoft.ContainerRegistry/registries/write", false, false },
        { "Reader", R "webhooks/getCallbackConfig/action", false, false },
        { "AcrPull", R "pull/read", true, false },
        { "AcrPull", R "push/write", false, false },
        { "AcrPull", "Microsoft.ContainerRegistry/registries/read", false, false },
        { "AcrPush", R "pull/read", true, false },
        { "AcrPush", R "push/write", true, false },
        { "AcrPush", R "artifacts/delete", false, false },
        { "AcrPush", R "metadata/write", false, false },
        { "AcrDelete", R "artifacts/delete", true, false },
        { "AcrDelete", R "pull/read", false, false },
        { "AcrQuarantineReader", R "quarantinedArtifacts/write", false, false },
        { "AcrQuarantineWriter", R "quarantinedArtifacts/write", false, true },
        { "Container Registry Repository Reader", R "repositories/content/read", false, true },
        { "Container Registry Repository Reader", R "repositories/content/write", false, false },
        { "Container Registry Repository Reader", R "catalog/read", false, false },
        { "Container Registry Repository Writer", R "repositories/content/delete", false, false },
        { "Container Registry Repository Contributor", R "repositories/content/delete", false,
          true },
        { "Container Registry Repository Catalog Lister", R "catalog/read", false, true },
        { "Container Registry Tasks Contributor", "Microsoft.ContainerRegistry/registries/write",
          false, false },
        { "Container Registry Cache Rule Reader", R "cacheRules/write", false, false },
        { "Container Registry Cache Rule Administrator", R "cacheRules/write", true, false },
        { "User Access Administrator", "Microsoft.ContainerRegistry/registries/write", false,
          false },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct role *role = role_find_name(cases[i].role);
        assert_non_null(role);
        if (role_allows(role, cases[i].action) != cases[i].allows ||
            role_allows_data(role, cases[i].action) != cases[i].allows_data)
            fail_msg("%s: %s", cases[i].role, cases[i].action);
    }
}

/* Templates find every role by the name it has here. */
static void in_templates(void **state)
{
    (void)state;
    const struct template_context context = { .seed = "roles" };
    for (const struct role *r = builtin_roles; r->id; r++) {
        _cleanup_(arena_freep) struct arena *a = arena_new();
        _cleanup_(json_putp) struct json_object *got = NULL;
        struct error err;
        char *call = arena_printf(a, "roleDefinitions('%s').roleDefinitionId", r->name);
        if (template_eval(a, call, &context, &got, NULL, &err) < 0)
            fail_msg("%s", err.message);
        assert_string_equal(json_text(got, ""), r->id);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns),
        cmocka_unit_test(table),
        cmocka_unit_test(rights),
        cmocka_unit_test(in_templates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

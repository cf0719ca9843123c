/* $filter of resource lists: what it says, and what it refuses. */
/* links: portolan_control */
#include "controlplane/api/filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/json/json.h"

#include "controlplane/api/errors.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/type.h"

#include <cmocka.h>

struct good {
    const char *text;
    struct resource_filter filter;
};

static const struct good goods[] = {
    { "resourceType eq 'Microsoft.ContainerRegistry/registries'",
      { .type_key = "microsoft.containerregistry/registries" } },
    { "resourcetype EQ 'A/b' AND name eq 'It''s'", { .type_key = "a/b", .name = "It's" } },
    { "(name eq 'x') and ( (resourceGroup eq 'G') )", { .name = "x", .group_key = "g" } },
    { "tagName eq 'Env' and tagValue eq 'Prod'", { .tag_name = "Env", .tag_value = "Prod" } },
    { "tagname eq 'Env'", { .tag_name = "Env" } },
    { "substringof('ab', name)", { .name_part = "ab" } },
    { "substringof('ab',name) and location eq 'East US'",
      { .name_part = "ab", .location = "eastus" } },
    { "  name  eq  'x'  ", { .name = "x" } },
    { "name eq 'x' and name eq 'X'", { .name = "x" } },
    { "name eq ''", { .name = "" } },
};

static const struct filter_member known[] = {
    { "Status", "properties.status" }, { "ParentId", "properties.parent.id" }, { 0 }
};

/* What a list shows, asked with the words of its type. */
static void test_members(void **state)
{
    static const struct {
        const char *text;
        bool is_good, holds;
    } cases[] = {
        { "Status eq 'failed'", true, true },
        { "status eq 'Queued'", true, false },
        { "ParentId eq ''", true, true },
        { "(Status eq 'Failed') and contains(Status, 'ail')", true, true },
        { "contains(Status,'x')", true, false },
        { "name eq 'x'", false, false },
        { "Status ne 'x'", false, false },
        { "Status eq 'x' or Status eq 'y'", false, false },
        { "substringof('x', name)", false, false },
        { "contains(Status 'x')", false, false },
        { "Status eq", false, false },
    };
    struct arena *a = arena_new();
    struct json_object *shown = json_own(a, json_new_object());
    struct error err;

    (void)state;
    json_put_at(shown, "properties.status", json_new_text("Failed"));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct filter_conditions got = { 0 };
        int rc = filter_parse_members(a, cases[i].text, known, &got, &err);

        if ((rc == 0) != cases[i].is_good)
            fail_msg("%s", cases[i].text);
        if (rc == 0 && filter_holds(a, &got, shown) != cases[i].holds)
            fail_msg("%s holds wrongly", cases[i].text);
    }
    arena_free(a);
}

static void test_good(void **state)
{
    struct arena *a = arena_new();
    struct error err;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(goods); i++) {
        const struct resource_filter *want = &goods[i].filter;
        struct resource_filter got = { 0 };

        if (filter_parse(a, goods[i].text, &got, &err))
            fail_msg("%s: %s", goods[i].text, err.message);
        assert_true(text_eq(got.type_key, want->type_key));
        assert_true(text_eq_nocase(got.name, want->name));
        assert_true(text_eq(got.name_part, want->name_part));
        assert_true(text_eq(got.group_key, want->group_key));
        assert_true(text_eq(got.location, want->location));
        assert_true(text_eq(got.tag_name, want->tag_name));
        assert_true(text_eq(got.tag_value, want->tag_value));
    }
    arena_free(a);
}

static const char *const bads[] = {
    "",
    " ",
    "name",
    "name eq",
    "name eq x",
    "name eq 'x",
    "name eq 'x''",
    "name ne 'x'",
    "name eq 'x' or name eq 'y'",
    "name eq 'x' and",
    "name eq 'x' name eq 'y'",
    "name eq 'x' and name eq 'y'",
    "and name eq 'x'",
    "colour eq 'x'",
    "(name eq 'x'",
    "name eq 'x')",
    "tagValue eq 'x'",
    "substringof('x', location)",
    "substringof('x' name)",
    "substringof(name, 'x')",
    "((((((((((name eq 'x'))))))))))",
};

static void test_bad(void **state)
{
    struct arena *a = arena_new();
    struct error err;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bads); i++) {
        struct resource_filter got = { 0 };

        if (filter_parse(a, bads[i], &got, &err) == 0)
            fail_msg("accepted: %s", bads[i]);
        assert_ptr_equal(err.code, &E_INVALID_FILTER);
    }
    arena_free(a);
}

/* What is asked for comes on top of what is already fixed, and cannot widen it. */
static void test_narrows(void **state)
{
    struct arena *a = arena_new();
    struct resource_filter filter = { .group_key = "mine" };
    struct error err;

    (void)state;
    assert_int_equal(filter_parse(a, "resourceGroup eq 'other'", &filter, &err), -1);
    assert_string_equal(filter.group_key, "mine");
    arena_free(a);
}

static void test_long(void **state)
{
    struct arena *a = arena_new();
    struct resource_filter filter = { 0 };
    struct error err;
    char text[5000];

    (void)state;
    memset(text, '(', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(filter_parse(a, text, &filter, &err), -1);
    text[4000] = '\0';
    assert_int_equal(filter_parse(a, text, &filter, &err), -1);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_narrows),
        cmocka_unit_test(test_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

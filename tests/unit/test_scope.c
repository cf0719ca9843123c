/* Scopes: what is understood, what is covered, and that granted = asked ∩ allowed. */
/* links: portolan_data */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "dataplane/auth/scope.h"

#include <cmocka.h>

static const struct {
    const char *text;
    bool is_known;
    enum scope_kind kind;
    const char *name;
    unsigned actions;
} texts[] = {
    { "repository:a/b:pull", true, SCOPE_REPOSITORY, "a/b", ACT_PULL },
    { "repository:a:pull,push,delete", true, SCOPE_REPOSITORY, "a",
      ACT_PULL | ACT_PUSH | ACT_DELETE },
    { "repository:a:*", true, SCOPE_REPOSITORY, "a", ACT_ALL },
    { "repository:*:*", true, SCOPE_REPOSITORY, "*", ACT_ALL },
    { "repository:team/*:pull", true, SCOPE_REPOSITORY, "team/*", ACT_PULL },
    { "repository(plugin):a:pull", true, SCOPE_REPOSITORY, "a", ACT_PULL },
    { "artifact-repository:repo:pull", true, SCOPE_REPOSITORY, "repo", ACT_PULL },
    { "repository:a:metadataRead,metadata_write", true, SCOPE_REPOSITORY, "a",
      ACT_METADATA_READ | ACT_METADATA_WRITE },
    { "repository:a:pull,unknown", true, SCOPE_REPOSITORY, "a", ACT_PULL },
    { "registry:catalog:*", true, SCOPE_CATALOG, "", ACT_ALL },
    { "registry:deleted_catalog:*", true, SCOPE_DELETED_CATALOG, "", ACT_ALL },
    { "registry:None:*", false, SCOPE_REPOSITORY, "", 0 },
    { "repository:a", false, SCOPE_REPOSITORY, "", 0 },
    { "repository:a:", false, SCOPE_REPOSITORY, "", 0 },
    { "repository:a:nothing", false, SCOPE_REPOSITORY, "", 0 },
    { "repository::pull", false, SCOPE_REPOSITORY, "", 0 },
    { "repository:a/../b:pull", false, SCOPE_REPOSITORY, "", 0 },
    { "repository:a%2fb:pull", false, SCOPE_REPOSITORY, "", 0 },
    { "repository:Upper:pull", false, SCOPE_REPOSITORY, "", 0 },
    { "repository:a*:pull", false, SCOPE_REPOSITORY, "", 0 },
    { "repository:*/a:pull", false, SCOPE_REPOSITORY, "", 0 },
    { "repository:/*:pull", false, SCOPE_REPOSITORY, "", 0 },
    { "other:a:pull", false, SCOPE_REPOSITORY, "", 0 },
    { ":::", false, SCOPE_REPOSITORY, "", 0 },
    { "", false, SCOPE_REPOSITORY, "", 0 },
};

static void test_parse(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        _cleanup_(arena_freep) struct arena *a = arena_new();
        struct scopes scopes;
        scopes_parse(a, &texts[i].text, 1, &scopes);
        assert_int_equal(scopes.count, texts[i].is_known);
        if (!texts[i].is_known)
            continue;
        assert_int_equal(scopes.items[0].kind, texts[i].kind);
        assert_string_equal(scopes.items[0].name, texts[i].name);
        assert_int_equal(scopes.items[0].actions, texts[i].actions);
    }
}

static void test_many(void **state)
{
    (void)state;
    _cleanup_(arena_freep) struct arena *a = arena_new();
    const char *list[] = { " repository:a:pull  repository:b:push junk", "registry:catalog:*" };
    struct scopes scopes;
    scopes_parse(a, list, 2, &scopes);
    assert_int_equal(scopes.count, 3);
    /* More than the limit are not looked at. */
    char *long_text = arena_alloc(a, (size_t)20 * (SCOPES_MAX + 100) + 1);
    for (size_t i = 0; i < SCOPES_MAX + 100; i++)
        memcpy(long_text + strlen(long_text), "repository:a:pull ", 18);
    const char *one = long_text;
    scopes_parse(a, &one, 1, &scopes);
    assert_int_equal(scopes.count, SCOPES_MAX);
}

static const struct {
    const char *allowed, *asked, *granted; /* granted as scopes, or "" */
} grants[] = {
    { "repository:*:*", "repository:a:pull", "repository:a:pull" },
    { "repository:*:pull", "repository:a:pull,push", "repository:a:pull" },
    { "repository:team/*:pull", "repository:team/a:pull", "repository:team/a:pull" },
    { "repository:team/*:pull", "repository:team/a/b:pull", "repository:team/a/b:pull" },
    { "repository:team/*:pull", "repository:teamx/a:pull", "" },
    { "repository:team/*:pull", "repository:team:pull", "" },
    { "repository:team/*:pull", "repository:team/*:pull", "repository:team/*:pull" },
    { "repository:team/*:pull", "repository:team/a/*:pull", "repository:team/a/*:pull" },
    { "repository:team/*:pull", "repository:*:pull", "" },
    { "repository:team/a:pull", "repository:team/*:pull", "" },
    { "repository:a:pull repository:a:push", "repository:a:pull,push", "repository:a:pull,push" },
    { "repository:*:*", "registry:catalog:*", "" },
    { "registry:catalog:*", "repository:catalog:pull", "" },
    { "registry:catalog:*", "registry:catalog:*", "registry:catalog:*" },
    { "registry:catalog:*", "registry:deleted_catalog:*", "" },
    { "", "repository:a:pull", "" },
};

static void test_intersect(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(grants); i++) {
        _cleanup_(arena_freep) struct arena *a = arena_new();
        struct scopes allowed, asked, expected, granted;
        scopes_parse(a, &grants[i].allowed, 1, &allowed);
        scopes_parse(a, &grants[i].asked, 1, &asked);
        scopes_parse(a, &grants[i].granted, 1, &expected);
        scopes_intersect(a, &asked, &allowed, &granted);
        assert_int_equal(granted.count, expected.count);
        for (size_t j = 0; j < granted.count; j++) {
            assert_string_equal(granted.items[j].name, expected.items[j].name);
            assert_int_equal(granted.items[j].actions, expected.items[j].actions);
        }
        scopes_intersect(a, &asked, &allowed, &asked);
        assert_int_equal(asked.count, expected.count);
    }
}

static void test_allow(void **state)
{
    (void)state;
    _cleanup_(arena_freep) struct arena *a = arena_new();
    const char *text = "repository:team/*:pull repository:team/a:push";
    struct scopes scopes;
    scopes_parse(a, &text, 1, &scopes);
    assert_true(scopes_allow(&scopes, SCOPE_REPOSITORY, "team/a", ACT_PULL | ACT_PUSH));
    assert_false(scopes_allow(&scopes, SCOPE_REPOSITORY, "team/b", ACT_PULL | ACT_PUSH));
    assert_true(scopes_allow(&scopes, SCOPE_REPOSITORY, "team/b", ACT_PULL));
    assert_false(scopes_allow(&scopes, SCOPE_REPOSITORY, "team/", ACT_PULL));
    assert_false(scopes_allow(&scopes, SCOPE_CATALOG, "", ACT_ALL));
}

static void test_json(void **state)
{
    (void)state;
    _cleanup_(arena_freep) struct arena *a = arena_new();
    const char *text = "repository:a/b:pull,delete repository:*:* registry:catalog:*";
    const char *expected =
        "[{\"type\":\"repository\",\"name\":\"a/b\",\"actions\":[\"pull\",\"delete\"]},"
        "{\"type\":\"repository\",\"name\":\"*\",\"actions\":[\"*\"]},"
        "{\"type\":\"registry\",\"name\":\"catalog\",\"actions\":[\"*\"]}]";
    struct scopes scopes, again;
    scopes_parse(a, &text, 1, &scopes);
    struct json_object *list = json_own(a, scopes_json(&scopes));
    assert_string_equal(json_print(a, list), expected);
    scopes_read(a, list, &again);
    assert_int_equal(again.count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(again.items[i].actions, scopes.items[i].actions);
        assert_string_equal(again.items[i].name, scopes.items[i].name);
    }
    /* What is not of the form is left out. */
    static const char *const odd[] = {
        "{}", "null", "[1]", "[{\"type\":\"repository\"}]",
        ("[{\"type\":\"repository\",\"name\":\"a\","
         "\"actions\":\"pull\"}]"),
    };
    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        struct json_object *value = NULL;
        struct error err = { 0 };
        assert_int_equal(json_parse(odd[i], strlen(odd[i]), 1000, JSON_STRICT, &value, &err), 0);
        (void)json_own(a, value);
        scopes_read(a, value, &again);
        assert_int_equal(again.count, 0);
    }
    assert_string_equal(scope_text(a, SCOPE_REPOSITORY, "x/y", ACT_PULL | ACT_PUSH),
                        "repository:x/y:pull,push");
    assert_string_equal(scope_text(a, SCOPE_CATALOG, "", ACT_ALL), "registry:catalog:*");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse), cmocka_unit_test(test_many), cmocka_unit_test(test_intersect),
        cmocka_unit_test(test_allow), cmocka_unit_test(test_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

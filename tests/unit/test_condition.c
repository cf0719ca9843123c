/* Conditions of role assignments: what can be read, what is refused, and which repositories each
 * lets through; and that grants carry them to the data planes. */
/* links: portolan_control */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/json/json.h"

#include "controlplane/identity/condition.h"
#include "controlplane/provision/grants.h"

#include <cmocka.h>

#define R    "Microsoft.ContainerRegistry/registries/repositories"
#define READ R "/content/read"
#define META R "/metadata/read"
#define NAME "@Request[" R ":name] "
#define GUARD(what) "((!(ActionMatches{'" READ "'})) OR (" what "))"

static struct arena *a;

static int set_up(void **state)
{
    (void)state;
    a = arena_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_free(a);
    return 0;
}

/* The names that the condition lets the action through on, joined by a blank; NULL: refused. */
static const char *names(const char *text, const char *action)
{
    struct condition *condition = NULL;
    struct condition_names allowed;
    struct error err;
    const char *joined = "";
    if (condition_parse(a, text, &condition, &err) != 0) {
        assert_ptr_equal(err.code, &E_INVALID);
        return NULL;
    }
    condition_allows(a, condition, action, &allowed);
    for (size_t i = 0; i < allowed.count; i++)
        joined = arena_printf(a, "%s%s%s", joined, i ? " " : "", allowed.items[i]);
    return joined;
}

static void reduced(void **state)
{
    (void)state;
    static const struct {
        const char *text, *read, *write; /* for content/read and content/write */
    } cases[] = {
        { GUARD(NAME "StringEqualsIgnoreCase 'Team/Web'"), "team/web", "*" },
        { GUARD(NAME "StringStartsWithIgnoreCase 'team/'"), "team/*", "*" },
        { GUARD(NAME "StringEquals 'a' OR " NAME "StringStartsWith 'b/'"), "a b/*", "*" },
        { GUARD(NAME "StringStartsWith 'b/' AND " NAME "StringEquals 'b/c'"), "b/c", "*" },
        { GUARD(NAME "StringStartsWith 'b/' AND " NAME "StringEquals 'c'"), "", "*" },
        { GUARD(NAME "StringStartsWith 'b/' AND " NAME "StringStartsWith 'b/c/'"), "b/c/*", "*" },
        { GUARD(NAME "StringStartsWith 'b/' OR " NAME "StringEquals 'b/c'"), "b/*", "*" },
        { "((!(ActionMatches{'" READ "'}) AND !(ActionMatches{'" META "'})) OR (" NAME
          "StringEquals 'x'))",
          "x", "*" },
        { "(ActionMatches{'" READ "'} AND " NAME "StringEquals 'x')", "x", "" },
        { "!(ActionMatches{'" R "/*'})", "", "" },
        { " ( ( ! ( ActionMatches { '" READ "' } ) ) || ( " NAME " StringEquals 'x' ) ) ", "x",
          "*" },
        { "(actionmatches{'" READ "'}) && not (ActionMatches{'" META "'})", "*", "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *read = names(cases[i].text, READ);
        const char *write = names(cases[i].text, R "/content/write");
        if (!text_eq(read, cases[i].read) || !text_eq(write, cases[i].write))
            fail_msg("case %zu: read '%s', write '%s'", i, read, write);
    }
}

static void refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "(true)",
        "()",
        "(ActionMatches{'x'}",
        "ActionMatches{'x'})",
        "ActionMatches{x}",
        "ActionMatches{''}",
        "ActionMatches{'x'",
        "ActionMatches{'x'} XOR ActionMatches{'y'}",
        "@Request[" R ":tag] StringEquals 'x'",
        "@Principal[" R ":name] StringEquals 'x'",
        NAME "StringLike 'x*'",
        NAME "StringEquals 'x*'",
        NAME "StringEquals '../x y'",
        NAME "StringStartsWith 'team'",
        "!(" NAME "StringEquals 'x')",
        NAME "StringEquals 'x' garbage",
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (names(cases[i], READ))
            fail_msg("case %zu was accepted", i);
    }
    char *deep = arena_alloc(a, 4001);
    memset(deep, '(', 4000);
    deep[4000] = '\0';
    assert_null(names(deep, READ));
    char *nots = arena_alloc(a, 4001);
    memset(nots, '!', 4000);
    nots[4000] = '\0';
    assert_null(names(nots, READ));
    char *huge = arena_alloc(a, CONDITION_MAX_BYTES + 2);
    memset(huge, ' ', CONDITION_MAX_BYTES + 1);
    huge[CONDITION_MAX_BYTES + 1] = '\0';
    assert_null(names(huge, READ));
}

static void grants_carry_names(void **state)
{
    (void)state;
    struct json_object *entries = NULL;
    struct error err;
    const char *entry =
        "{\"principal_id\":\"p\",\"actions\":[],\"notActions\":[],\"dataActions\":[\"" READ
        "\",\"" META "\",\"Microsoft.ContainerRegistry/registries/catalog/read\"],"
        "\"notDataActions\":[],\"condition\":\"((!(ActionMatches{'" READ
        "'})) OR (" NAME "StringStartsWith 'my.team/'))\"}";
    const char *broken = "{\"principal_id\":\"q\",\"actions\":[],\"notActions\":[],"
                         "\"dataActions\":[\"*\"],\"notDataActions\":[],\"condition\":\"nonsense\"}";
    const char *text = arena_printf(a, "[%s,%s]", entry, broken);
    assert_int_equal(json_parse(text, strlen(text), 4096, JSON_STRICT, &entries, &err), 0);
    json_own(a, entries);
    assert_string_equal(
        json_print(a, grants_reduce(a, entries, true)),
        "{\"p\":[{\"type\":\"repository\",\"name\":\"*\",\"actions\":[\"metadata_read\"]},"
        "{\"type\":\"registry\",\"name\":\"catalog\",\"actions\":[\"*\"]},"
        "{\"type\":\"repository\",\"name\":\"my.team/*\",\"actions\":[\"pull\"]}]}");
    assert_string_equal(json_print(a, grants_reduce(a, entries, false)), "{}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reduced),
        cmocka_unit_test(refused),
        cmocka_unit_test(grants_carry_names),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

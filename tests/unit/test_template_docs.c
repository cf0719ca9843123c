/* Runs the examples of docs/templates.md: "```json template" blocks with the outputs or the error
 * that the next block states, and list items "- `expression` → `json`". */
/* links: portolan_templates portolan_base portolan_json */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "templates/language/template.h"

static const struct template_context context = {
    .scope = SCOPE_RESOURCE_GROUP,
    .tenant_id = "22222222-2222-2222-2222-222222222222",
    .subscription_id = "00000000-0000-0000-0000-000000000000",
    .resource_group = "example",
    .resource_group_location = "eastus",
    .deployment_name = "example",
    .now_us = 1700000000000000,
    .seed = "docs",
};

static char *read_docs(struct arena *a)
{
    char *text;
    size_t len;
    struct error err;
    assert_int_equal(file_read(a, SOURCE_DIR "/docs/templates.md", 1 << 20, &text, &len, &err), 0);
    return text;
}

/* The next fenced block of one of the kinds after p; moves p behind it. */
static char *next_block(struct arena *a, const char **p, const char *const *kinds, size_t *ret_kind)
{
    for (const char *at = *p; (at = strstr(at, "```")); at += 3) {
        for (size_t i = 0; kinds[i]; i++) {
            if (!text_starts(at + 3, kinds[i]))
                continue;
            const char *start = strchr(at, '\n') + 1;
            const char *end = strstr(start, "\n```");
            assert_non_null(end);
            *p = end + 4;
            *ret_kind = i;
            return arena_strndup(a, start, (size_t)(end - start));
        }
    }
    return NULL;
}

static size_t check_outputs(struct arena *a, const struct plan *plan, const char *wanted_text)
{
    struct error err;
    struct json_object *wanted, *got = json_new_object();
    assert_int_equal(json_parse_object(wanted_text, strlen(wanted_text), 1 << 16, &wanted, &err),
                     0);
    for (size_t i = 0; i < plan->output_count; i++)
        json_set(got, plan->outputs[i].name, template_json(plan->outputs[i].value, false));
    bool same = json_equal(got, wanted);
    if (!same)
        print_error("got %s\n", json_print(a, got));
    json_put(got);
    json_put(wanted);
    return !same;
}

static void test_templates(void **state)
{
    static const char *const templates[] = { "json template", NULL };
    static const char *const results[] = { "json outputs", "text error", NULL };
    (void)state;
    struct arena *a = arena_new();
    const char *p = read_docs(a);
    size_t kind, failed = 0, count = 0;
    for (char *text; (text = next_block(a, &p, templates, &kind)); count++) {
        struct plan *plan;
        struct error err;
        char *result = next_block(a, &p, results, &kind);
        assert_non_null(result);
        int rc = template_plan(a, text, strlen(text), NULL, &context, &plan, NULL, &err);
        if (rc < 0 && (kind == 0 || strcmp(err.message, result) != 0))
            print_error("%s\n%s\n", text, err.message);
        if (kind == 0)
            failed += rc < 0 ? 1 : check_outputs(a, plan, result);
        else
            failed += rc == 0 || strcmp(err.message, result) != 0;
    }
    assert_true(count >= 5);
    assert_int_equal(failed, 0);
    arena_free(a);
}

static void test_expressions(void **state)
{
    static const char arrow[] = "` \xe2\x86\x92 `";
    (void)state;
    struct arena *a = arena_new();
    size_t failed = 0, count = 0;
    for (const char *p = read_docs(a); (p = strstr(p, "\n- `")); count++) {
        const char *middle = strstr(p, arrow), *end = strchr(p + 1, '\n');
        assert_true(middle && middle < end);
        const char *result = middle + sizeof(arrow) - 1;
        char *expression = arena_strndup(a, p + 4, (size_t)(middle - p - 4));
        char *wanted = arena_strndup(a, result, (size_t)(end - result - 1));
        struct json_object *json = NULL;
        struct error err;
        int rc = template_eval(a, expression, &context, &json, NULL, &err);
        const char *got = rc < 0 ? err.message : json_print(a, json);
        if (strcmp(got, wanted) != 0) {
            print_error("%s gives %s\n", expression, got);
            failed++;
        }
        json_put(json);
        p = end;
        p--;
    }
    assert_true(count >= 10);
    assert_int_equal(failed, 0);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_templates),
                                        cmocka_unit_test(test_expressions) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

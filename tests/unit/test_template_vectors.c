/* Every vector of tests/data/template-function-vectors.json: values and error texts that the public
 * documentation and other engines' tests state. Each failure is printed by its id. */
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

/* The documentation's table says charset=utf8 (105); the shipping engine says charset=utf-8, as
 * vector 191 has it. Both cannot hold. */
static const int64_t contradicted[] = { 105 };

struct fixture {
    struct arena *arena;
    struct template_context context;
    const struct plan *plan; /* whose nested deployments reference() answers from */
};

static int answer(void *ctx, const char *id, const char *version, bool is_full,
                  struct json_object **ret, struct error *err)
{
    const struct fixture *f = ctx;
    (void)version;
    (void)is_full;
    for (size_t i = 0; i < f->plan->node_count; i++) {
        const struct plan_node *n = &f->plan->nodes[i];
        if (!n->nested || !text_eq_nocase(n->id, id))
            continue;
        struct json_object *outputs = json_new_object();
        for (size_t k = 0; k < n->nested->output_count; k++) {
            struct json_object *one = json_new_object();
            json_set(one, "value", template_json_final(n->nested->outputs[k].value));
            json_set(outputs, n->nested->outputs[k].name, one);
        }
        *ret = json_new_object();
        json_set(*ret, "outputs", outputs);
        return 0;
    }
    return fail(err, &E_NOT_FOUND, "%s is not in the plan", id);
}

static void set_context(struct fixture *f, const struct json_object *vector)
{
    const char *subscription = json_text(vector, "context.subscriptionId");
    const char *group = json_text(vector, "context.resourceGroup");
    f->context = (struct template_context){
        .scope = SCOPE_RESOURCE_GROUP,
        .tenant_id = "22222222-2222-2222-2222-222222222222",
        .subscription_id = subscription ? subscription : "00000000-0000-0000-0000-000000000000",
        .resource_group = group ? group : "examplegroup",
        .resource_group_location = "eastus",
        .deployment_name = "vectors",
        .now_us = 1700000000000000,
        .seed = "seed",
    };
}

/* 0 with *ret, or -1 with the message in err. */
static int run_template(struct fixture *f, const struct json_object *vector,
                        struct json_object **ret, struct error *err)
{
    struct plan *plan;
    size_t len;
    char *text = json_print_len(f->arena, json_at(vector, "template"), &len);
    if (template_plan(f->arena, text, len, NULL, &f->context, &plan, NULL, err) < 0)
        return -1;
    f->plan = plan;
    const char *output = json_text(vector, "output");
    if (!output) {
        *ret = json_new_text(plan->template_hash);
        return 0;
    }
    for (size_t i = 0; i < plan->output_count; i++) {
        if (!text_eq(plan->outputs[i].name, output))
            continue;
        struct template_runtime runtime = { .ctx = f, .reference = answer };
        struct template_context context = f->context;
        context.runtime = &runtime;
        _cleanup_(json_putp) struct json_object *planned =
            template_json(plan->outputs[i].value, false);
        return template_resolve(f->arena, planned, &context, ret, NULL, NULL, err);
    }
    return fail(err, &E_NOT_FOUND, "no output '%s'", output);
}

/* calculateTemplateHash only looks at the text. */
static int run_hash(struct fixture *f, const struct json_object *vector, struct json_object **ret,
                    struct error *err)
{
    size_t len;
    const char *hash, *minified;
    char *text = json_print_len(f->arena, json_at(vector, "template"), &len);
    if (template_hash(f->arena, text, len, &hash, &minified, err) < 0)
        return -1;
    const char *wanted = json_text(vector, "minifiedTemplate");
    if (wanted && strcmp(wanted, minified) != 0)
        return fail(err, &E_INVALID, "minified: %s", minified);
    *ret = json_new_text(hash);
    return 0;
}

static bool run_vector(const struct json_object *vector)
{
    struct error err = { 0 };
    struct json_object *got = NULL;
    struct fixture f = { .arena = arena_new() };
    set_context(&f, vector);
    const char *expression = json_text(vector, "expression");
    const char *wanted_error = json_text(vector, "expectedError");
    int rc;
    if (expression)
        rc = template_eval(f.arena, expression, &f.context, &got, NULL, &err);
    else if (text_eq(json_text(vector, "function"), "calculateTemplateHash"))
        rc = run_hash(&f, vector, &got, &err);
    else
        rc = run_template(&f, vector, &got, &err);
    bool ok;
    if (wanted_error)
        ok = rc < 0 && !strcmp(err.message, wanted_error);
    else
        ok = rc == 0 && json_equal(got, json_at(vector, "expected"));
    if (!ok)
        print_message("vector %d (%s) %s: got %s, expected %s\n", (int)json_int(vector, "id", 0),
                      json_text(vector, "function"), expression ? expression : "",
                      rc < 0 ? err.message : json_print(f.arena, got),
                      wanted_error ? wanted_error
                                   : json_print(f.arena, json_at(vector, "expected")));
    json_put(got);
    arena_free(f.arena);
    return ok;
}

static bool is_contradicted(int64_t id)
{
    for (size_t i = 0; i < ARRAY_LEN(contradicted); i++)
        if (contradicted[i] == id)
            return true;
    return false;
}

static void test_vectors(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    char *text;
    size_t len, failed = 0;
    struct error err;
    struct json_object *list;
    assert_int_equal(file_read(a, SOURCE_DIR "/tests/data/template-function-vectors.json", 4 << 20,
                               &text, &len, &err),
                     0);
    assert_int_equal(json_parse(text, len, 4 << 20, JSON_TEMPLATE, &list, &err), 0);
    for (size_t i = 0; i < json_count(list); i++) {
        const struct json_object *vector = json_item(list, i);
        bool wanted = !is_contradicted(json_int(vector, "id", 0));
        failed += run_vector(vector) != wanted;
    }
    print_message("%zu vectors, %zu failed, %zu contradicted by another\n", json_count(list),
                  failed, ARRAY_LEN(contradicted));
    assert_int_equal(json_count(list), 367);
    assert_int_equal(failed, 0);
    json_put(list);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_vectors) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

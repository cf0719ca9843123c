/* Whole templates from tests/data/template-cases.json: what a plan holds, in which order, what is
 * secret, which errors come with which place; and run time answers through the callback. */
/* links: portolan_templates portolan_base portolan_json */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>
#undef fail

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/str.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "templates/language/template.h"

#define SCHEMAS "https://schema.management.azure.com/schemas/2019-04-01/"

struct fixture {
    struct arena *arena;
    struct json_object *test; /* the case */
    struct template_context context;
    struct plan *plan;
    size_t failed;
};

static void complain(struct fixture *f, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void complain(struct fixture *f, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    print_error("%s: ", json_text(f->test, "name"));
    vprint_error(fmt, ap);
    print_error("\n");
    va_end(ap);
    f->failed++;
}

/* The template of a case: as text, or with the members that all have filled in. */
static const char *template_text(struct fixture *f, size_t *len)
{
    const char *text = json_text(f->test, "text");
    if (text) {
        *len = strlen(text);
        return text;
    }
    _cleanup_(json_putp) struct json_object *template = json_copy(json_at(f->test, "template"));
    const char *kind = f->context.scope == SCOPE_SUBSCRIPTION
                           ? "subscriptionDeploymentTemplate.json#"
                           : "deploymentTemplate.json#";
    if (!json_has(template, "$schema"))
        json_set_text(template, "$schema", arena_printf(f->arena, SCHEMAS "%s", kind));
    if (!json_has(template, "contentVersion"))
        json_set_text(template, "contentVersion", "1.0.0.0");
    if (!json_has(template, "resources"))
        json_set(template, "resources", json_new_array());
    return json_print_len(f->arena, template, len);
}

static void set_context(struct fixture *f)
{
    f->context = (struct template_context){
        .scope = text_eq(json_text(f->test, "scope"), "subscription") ? SCOPE_SUBSCRIPTION
                                                                      : SCOPE_RESOURCE_GROUP,
        .tenant_id = "22222222-2222-2222-2222-222222222222",
        .subscription_id = "00000000-0000-0000-0000-000000000000",
        .resource_group = "rg",
        .resource_group_location = "eastus",
        .deployment_name = "cases",
        .deployment_location = "eastus",
        .now_us = 1700000000000000,
        .seed = "cases",
        .external_inputs = json_at(f->test, "externalInputs"),
    };
}

static void compare(struct fixture *f, const char *what, const char *name,
                    const struct json_object *got, const struct json_object *wanted)
{
    if (!json_equal(got, wanted))
        complain(f, "%s %s: got %s, expected %s", what, name, json_print(f->arena, got),
                 json_print(f->arena, wanted));
}

static const struct plan_node *find(const struct plan *p, const char *name)
{
    for (size_t i = 0; i < p->node_count; i++)
        if (text_eq(p->nodes[i].name, name) || text_eq(p->nodes[i].symbol, name))
            return &p->nodes[i];
    return NULL;
}

static void check_body(void *ctx, const char *name, struct json_object *wanted)
{
    struct fixture *f = ctx;
    const struct plan_node *n = find(f->plan, name);
    if (!n) {
        complain(f, "no resource %s", name);
        return;
    }
    _cleanup_(json_putp) struct json_object *body = template_json(n->body, false);
    compare(f, "body of", name, json_at(body, "properties"), wanted);
}

static void check_id(void *ctx, const char *name, struct json_object *wanted)
{
    struct fixture *f = ctx;
    const struct plan_node *n = find(f->plan, name);
    if (!n || !text_eq(n->id, json_text(wanted, "")))
        complain(f, "id of %s: got %s", name, n ? n->id : "nothing");
}

static void check_edges(void *ctx, const char *name, struct json_object *wanted)
{
    struct fixture *f = ctx;
    const struct plan_node *n = find(f->plan, name);
    _cleanup_(json_putp) struct json_object *got = json_new_array();
    for (size_t i = 0; n && i < n->edge_count; i++)
        json_add_text(got, f->plan->nodes[n->edges[i].node].name);
    compare(f, "dependencies of", name, got, wanted);
}

static void check_secure(void *ctx, const char *name, struct json_object *wanted)
{
    struct fixture *f = ctx;
    const struct plan_node *n = find(f->plan, name);
    _cleanup_(json_putp) struct json_object *got = json_new_array();
    char **paths;
    size_t count = n ? template_secure_paths(f->arena, n->body, &paths) : 0;
    for (size_t i = 0; i < count; i++)
        json_add_text(got, paths[i]);
    compare(f, "secrets of", name, got, wanted);
}

static void check_output(void *ctx, const char *name, struct json_object *wanted)
{
    struct fixture *f = ctx;
    for (size_t i = 0; i < f->plan->output_count; i++) {
        if (!text_eq(f->plan->outputs[i].name, name))
            continue;
        _cleanup_(json_putp) struct json_object *got =
            template_json(f->plan->outputs[i].value, false);
        compare(f, "output", name, got, wanted);
        return;
    }
    complain(f, "no output %s", name);
}

static void check_nested(void *ctx, const char *name, struct json_object *wanted)
{
    struct fixture *f = ctx;
    const struct plan_node *n = find(f->plan, name);
    struct plan *outer = f->plan;
    if (!n || !n->nested) {
        complain(f, "%s has no nested plan: %s", name, n && n->nested_error ? n->nested_error : "");
        return;
    }
    f->plan = n->nested;
    json_each(json_at(wanted, "bodies"), check_body, f);
    json_each(json_at(wanted, "ids"), check_id, f);
    json_each(json_at(wanted, "outputs"), check_output, f);
    f->plan = outer;
}

static void check_lists(struct fixture *f)
{
    _cleanup_(json_putp) struct json_object *order = json_new_array();
    _cleanup_(json_putp) struct json_object *skipped = json_new_array();
    for (size_t i = 0; i < f->plan->node_count; i++) {
        const struct plan_node *n = &f->plan->nodes[f->plan->order[i]];
        json_add_text(order, n->name);
        if (n->is_skipped)
            json_add_text(skipped, n->name);
    }
    if (json_has(f->test, "order"))
        compare(f, "order", "", order, json_at(f->test, "order"));
    if (json_has(f->test, "skipped"))
        compare(f, "skipped", "", skipped, json_at(f->test, "skipped"));
}

static void check_error(struct fixture *f, const struct template_fault *fault,
                        const struct error *err)
{
    const char *wanted = json_text(f->test, "error");
    if (!wanted || !strstr(err->message, wanted)) {
        complain(f, "line %d column %d: %s", fault->line, fault->column, err->message);
        return;
    }
    const char *code = json_text(f->test, "code");
    if (!text_eq(err->code->name, code ? code : "InvalidTemplate") || err->code->status != 400)
        complain(f, "code %s", err->code->name);
    if (json_has(f->test, "line") && (json_int(f->test, "line", 0) != fault->line ||
                                      json_int(f->test, "column", 0) != fault->column))
        complain(f, "fails at line %d column %d", fault->line, fault->column);
    if (json_has(f->test, "path") && !text_eq(json_text(f->test, "path"), fault->path))
        complain(f, "fails at '%s'", fault->path);
}

static size_t run_case(struct json_object *test)
{
    struct fixture f = { .arena = arena_new(), .test = test };
    struct template_fault fault;
    struct error err = { 0 };
    size_t len;
    set_context(&f);
    const char *text = template_text(&f, &len);
    clock_t start = clock(); /* of this process: other work on the machine does not count */
    int rc = template_plan(f.arena, text, len, json_at(test, "parameters"), &f.context, &f.plan,
                           &fault, &err);
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    if (seconds > 4)
        complain(&f, "takes %.1f s", seconds);
    if (rc < 0) {
        check_error(&f, &fault, &err);
    } else if (json_has(test, "error")) {
        complain(&f, "is accepted");
    } else {
        json_each(json_at(test, "bodies"), check_body, &f);
        json_each(json_at(test, "ids"), check_id, &f);
        json_each(json_at(test, "dependsOn"), check_edges, &f);
        json_each(json_at(test, "secure"), check_secure, &f);
        json_each(json_at(test, "outputs"), check_output, &f);
        json_each(json_at(test, "nested"), check_nested, &f);
        check_lists(&f);
    }
    arena_free(f.arena);
    return f.failed;
}

/* The cases run in a thread with the stack of a request's worker; sanitizers make frames larger. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STACK_BYTES ((size_t)2 << 20)
#else
#define STACK_BYTES ((size_t)256 << 10)
#endif

struct batch {
    struct json_object *list;
    size_t failed;
};

static void *run_cases(void *p)
{
    struct batch *b = p;
    for (size_t i = 0; i < json_count(b->list); i++)
        b->failed += run_case(json_item(b->list, i));
    return NULL;
}

static void test_cases(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    struct batch batch = { 0 };
    char *text;
    size_t len;
    struct error err;
    pthread_attr_t attr;
    pthread_t thread;
    assert_int_equal(
        file_read(a, SOURCE_DIR "/tests/data/template-cases.json", 4 << 20, &text, &len, &err), 0);
    if (json_parse(text, len, 4 << 20, JSON_TEMPLATE, &batch.list, &err) < 0) {
        print_error("%s\n", err.message);
        assert_true(false);
    }
    assert_int_equal(pthread_attr_init(&attr), 0);
    assert_int_equal(pthread_attr_setstacksize(&attr, STACK_BYTES), 0);
    assert_int_equal(pthread_create(&thread, &attr, run_cases, &batch), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    pthread_attr_destroy(&attr);
    print_message("%zu cases, %zu failures\n", json_count(batch.list), batch.failed);
    assert_true(json_count(batch.list) > 100);
    assert_int_equal(batch.failed, 0);
    json_put(batch.list);
    arena_free(a);
}

static int answer(void *ctx, const char *id, const char *version, bool is_full,
                  struct json_object **ret, struct error *err)
{
    (void)ctx;
    (void)err;
    *ret = json_new_object();
    json_set_text(*ret, "id", id);
    json_set_text(*ret, "version", version);
    json_set_bool(*ret, "full", is_full);
    json_set_int(*ret, "n", 3);
    return 0;
}

static int list(void *ctx, const char *function, const char *id, const char *version,
                const struct json_object *body, struct json_object **ret, struct error *err)
{
    (void)ctx;
    (void)id;
    (void)version;
    if (json_text(body, "refuse"))
        return fail(err, &E_FORBIDDEN, "no right to %s", function);
    *ret = json_new_object();
    json_set_text(*ret, "username", "admin");
    json_set_text(*ret, "password", "s3cret");
    return 0;
}

/* What a plan leaves for run time is finished from its JSON alone. */
static void test_resolve(void **state)
{
    static const struct {
        const char *planned, *resolved, *secure;
    } cases[] = {
        { "{\"a\":\"[reference('/x/y', '1').n]\"}", "{\"a\":3}", NULL },
        { "{\"a\":\"[reference('/x/y', '1', 'Full')]\"}",
          "{\"a\":{\"id\":\"/x/y\",\"version\":\"1\",\"full\":true,\"n\":3}}", NULL },
        { "{\"a\":\"[[literal]\",\"[[b]\":1}", "{\"a\":\"[literal]\",\"[b]\":1}", NULL },
        { "{\"[reference('/x', '1').id]\":{}}", "{\"/x\":{}}", NULL },
        { "{\"a\":[{\"b\":\"[listKeys('/x', '1').password]\"}]}", "{\"a\":[{\"b\":\"s3cret\"}]}",
          "a[0].b" },
        { "{\"a\":\"[concat(listKeys('/x', '1').password, '!')]\"}", "{\"a\":\"s3cret!\"}", "a" },
        { "{\"a\":\"[map(range(0, reference('/x', '1').n), lambda('i', "
          "add(lambdaVariables('i'), 1)))]\"}",
          "{\"a\":[1,2,3]}", NULL },
    };
    (void)state;
    struct template_runtime runtime = { .reference = answer, .list = list };
    struct template_context context = { .scope = SCOPE_RESOURCE_GROUP, .runtime = &runtime };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena *a = arena_new();
        struct error err = { 0 };
        char **secure;
        size_t count;
        _cleanup_(json_putp) struct json_object *planned = NULL, *got = NULL, *wanted = NULL;
        assert_int_equal(json_parse(cases[i].planned, strlen(cases[i].planned), 4096, JSON_STRICT,
                                    &planned, &err),
                         0);
        assert_int_equal(json_parse(cases[i].resolved, strlen(cases[i].resolved), 4096, JSON_STRICT,
                                    &wanted, &err),
                         0);
        if (template_resolve(a, planned, &context, &got, &secure, &count, &err) < 0)
            print_error("%s: %s\n", cases[i].planned, err.message);
        if (!json_equal(got, wanted))
            print_error("%s: %s\n", cases[i].planned, json_print(a, got));
        assert_true(json_equal(got, wanted));
        assert_int_equal(count, cases[i].secure != NULL);
        if (cases[i].secure)
            assert_string_equal(secure[0], cases[i].secure);
        arena_free(a);
    }
}

/* What the runtime refuses keeps its own code. */
static void test_resolve_refused(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    struct error err;
    struct template_runtime runtime = { .reference = answer, .list = list };
    struct template_context context = { .scope = SCOPE_RESOURCE_GROUP, .runtime = &runtime };
    const char *text = "\"[listKeys('/x', '1', createObject('refuse', 'yes')).password]\"";
    struct json_object *planned, *got;
    assert_int_equal(json_parse(text, strlen(text), 4096, JSON_STRICT, &planned, &err), 0);
    assert_int_equal(template_resolve(a, planned, &context, &got, NULL, NULL, &err), -1);
    assert_ptr_equal(err.code, &E_FORBIDDEN);
    json_put(planned);
    arena_free(a);
}

/* Secrets never stand in what is shown. */
static void test_redaction(void **state)
{
    static const char text[] =
        "{\"$schema\":\"" SCHEMAS "deploymentTemplate.json#\",\"contentVersion\":\"1.0.0.0\","
        "\"parameters\":{\"pw\":{\"type\":\"secureString\"},\"o\":{\"type\":\"secureObject\"}},"
        "\"variables\":{\"v\":\"[concat('x', parameters('pw'))]\"},"
        "\"resources\":[{\"type\":\"ns/t\",\"apiVersion\":\"1\",\"name\":\"n\",\"properties\":{"
        "\"a\":\"[parameters('pw')]\",\"b\":[\"[variables('v')]\"],\"c\":\"[parameters('o').k]\","
        "\"d\":\"[createObject('deep', toUpper(variables('v')))]\",\"e\":\"plain\","
        "\"f\":\"[concat(reference('/x', '1').y, parameters('pw'))]\","
        "\"g\":\"[listKeys('/x', '1').key]\"}}],"
        "\"outputs\":{\"s\":{\"type\":\"securestring\",\"value\":\"[parameters('pw')]\"},"
        "\"t\":{\"type\":\"string\",\"value\":\"[variables('v')]\"}}}";
    static const char given[] =
        "{\"pw\":{\"value\":\"c4n4ry\"},\"o\":{\"value\":{\"k\":\"c4n4ry\"}}}";
    (void)state;
    struct arena *a = arena_new();
    struct error err;
    struct plan *plan;
    struct json_object *parameters;
    struct template_context context = { .scope = SCOPE_RESOURCE_GROUP,
                                        .subscription_id = "s",
                                        .resource_group = "g" };
    assert_int_equal(json_parse(given, strlen(given), 4096, JSON_STRICT, &parameters, &err), 0);
    if (template_plan(a, text, strlen(text), parameters, &context, &plan, NULL, &err) < 0)
        print_error("%s\n", err.message);
    struct json_object *shown = plan_json(plan, true), *full = plan_json(plan, false);
    const char *redacted = json_print(a, shown);
    assert_null(strcasestr(redacted, "c4n4ry"));
    assert_non_null(strstr(redacted, "plain"));
    assert_non_null(strstr(json_print(a, full), "c4n4ry"));
    char **paths;
    assert_int_equal(template_secure_paths(a, plan->nodes[0].body, &paths), 6);
    json_put(shown);
    json_put(full);
    json_put(parameters);
    arena_free(a);
}

static void test_lint(void **state)
{
    static const char text[] =
        "{\"$schema\":\"" SCHEMAS "deploymentTemplate.json#\",\"contentVersion\":\"1.0.0.0\",\n"
        "\"parameters\":{\"unused\":{\"type\":\"string\"},\n"
        "\"pw\":{\"type\":\"secureString\",\"defaultValue\":\"hunter2\"}},\n"
        "\"variables\":{\"idle\":1},\n"
        "\"resources\":[],\n"
        "\"outputs\":{\"o\":{\"type\":\"string\",\"value\":\"[parameters('pw')]\"}}}";
    static const char *const codes[] = { "UnusedParameter", "SecretDefault", "UnusedVariable",
                                         "SecretInOutput" };
    static const int lines[] = { 2, 3, 4, 6 };
    (void)state;
    struct arena *a = arena_new();
    struct error err;
    struct template_fault fault;
    struct template_finding *f;
    size_t i = 0;
    assert_int_equal(template_lint(a, text, strlen(text), &f, &fault, &err), 0);
    for (; f; f = f->next, i++) {
        assert_true(i < ARRAY_LEN(codes));
        assert_string_equal(f->code, codes[i]);
        assert_int_equal(f->line, lines[i]);
    }
    assert_int_equal(i, ARRAY_LEN(codes));
    const char *bad = "{\"$schema\":\"" SCHEMAS "deploymentTemplate.json#\",\n"
                      "\"resources\":[],\"variables\":{\"v\":\"[if(true(), nosuch(1), 2)]\"}}";
    assert_int_equal(template_lint(a, bad, strlen(bad), &f, &fault, &err), -1);
    assert_int_equal(fault.line, 2);
    assert_int_equal(fault.column, 46);
    arena_free(a);
}

static void test_mermaid(void **state)
{
    static const char text[] =
        "{\"$schema\":\"" SCHEMAS "deploymentTemplate.json#\",\"contentVersion\":\"1.0.0.0\","
        "\"resources\":[{\"type\":\"ns/t\",\"apiVersion\":\"1\",\"name\":\"a\\\"<\"},"
        "{\"type\":\"ns/t\",\"apiVersion\":\"1\",\"name\":\"b\",\"condition\":false,"
        "\"dependsOn\":[\"a\\\"<\"]}]}";
    (void)state;
    struct arena *a = arena_new();
    struct error err;
    struct plan *plan;
    struct template_context context = { .scope = SCOPE_RESOURCE_GROUP };
    assert_int_equal(template_plan(a, text, strlen(text), NULL, &context, &plan, NULL, &err), 0);
    assert_string_equal(plan_mermaid(a, plan), "graph TD\n"
                                               "  n0[\"ns/t<br/>a#quot;#60;\"]\n"
                                               "  n1[\"ns/t<br/>b\"]:::skipped\n"
                                               "  n0 --> n1\n"
                                               "  classDef skipped stroke-dasharray: 4 4\n");
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_resolve),
        cmocka_unit_test(test_resolve_refused),
        cmocka_unit_test(test_redaction),
        cmocka_unit_test(test_lint),
        cmocka_unit_test(test_mermaid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

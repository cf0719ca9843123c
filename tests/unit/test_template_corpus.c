/* Expands every template of the corpus beside the checkout (../shared/templates/corpus), with its
 * parameter files or with values made from the constraints of its parameters. Templates that are
 * written to be wrong must fail, with the text listed here. Without the corpus the test says so and
 * is skipped. */
/* links: portolan_templates portolan_base portolan_json */
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
#include "common/base/text.h"
#include "common/json/json.h"
#include "templates/language/template.h"

#define CORPUS   SOURCE_DIR "/../shared/templates/corpus/"
#define FILE_MAX ((size_t)4 << 20)

/* Templates that are wrong on purpose or by mistake of their authors, and what is wrong. */
static const struct {
    const char *file;
    const char *error;
} wrong[] = {
    /* two loop instances of one name */
    { "lang/Azure+bicep/src/Bicep.Core.Samples/Files/baselines/NestedResources_LF/main.json",
      "is defined multiple times in a template" },
    { "lang/Azure+bicep/src/Bicep.Core.Samples/Files/baselines/Resources_CRLF/main.json",
      "is defined multiple times in a template" },
    { "lang/Azure+bicep/src/Bicep.Core.Samples/Files/baselines/Loops_LF/main.json",
      "is defined multiple times in a template" },
    /* a boolean in a string output */
    { "lang/Azure+bicep/src/Bicep.Core.Samples/Files/baselines/Outputs_CRLF/"
      "main.symbolicnames.json",
      "Expected 'String, Uri'. Actual 'Boolean'." },
    { "lang/Azure+arm-ttk/unit-tests/outputs-must-not-contain-secrets.json",
      "Expected 'Object'. Actual 'String'." },
    /* parameters, variables and resources that the file does not have */
    { "lang/microsoft+vscode-azurearmtools/grammars/docs/arm-colors.json",
      "The template parameter 'roleDefinitionId' is not found." },
    { "lang/microsoft+vscode-azurearmtools/test/templates/nestedTemplateScopesErrorsAndWarnings.json",
      "The value for the template parameter 'p1'" },
    { "lang/microsoft+vscode-azurearmtools/assets/resourceSnippets/Virtual Network.snippet.json",
      "The template variable 'networkSecurityGroupName' is not found." },
    { "lang/microsoft+vscode-azurearmtools/assets/resourceSnippets/"
      "Storage Blob Container.snippet.json",
      "is not defined in the template." },
    { "lang/Azure+arm-ttk/unit-tests/Resources-Should-Not-Be-Ambiguous/Pass/"
      "InnerTemplateAmbiguitity (fail test).json",
      "is not defined in the template." },
    { "lang/krnese+AzureDeploy/ARM/deployments/mgHiearchy.json",
      "The resource 'ManagedProduction' is not defined in the template." },
    { "lang/Azure+arm-ttk/unit-tests/ResourceIds-should-not-contain/Pass/"
      "ResourceIds-should-not-contain.json",
      "The template reference 'Microsoft.Network/networkSecurityGroups' is not valid" },
    /* type and name do not fit */
    { "lang/Azure+arm-ttk/unit-tests/IDs-Should-Be-Derived-From-ResourceIDs/Pass/"
      "template-that-contains-dataCollectionRuleImmutableId-should-pass.json",
      "has incorrect segment lengths" },
    { "lang/Azure+arm-ttk/unit-tests/Template-Should-Not-Contain-Blanks/Pass/"
      "requiredDataConnectors-empty-array-should-pass.json",
      "has incorrect segment lengths" },
    /* an output that is a string */
    { "lang/Azure+arm-ttk/unit-tests/apiVersions-Should-Be-Recent-In-Reference-Functions/Fail/"
      "old-apiVersion-in-List.json",
      "Error converting value to type 'TemplateOutputParameter'" },
};

/* Parameters that mean something the constraints do not say. */
static const struct {
    const char *file;
    const char *parameters;
} meant[] = {
    { "lang/bmoore-msft+azure-quickstart-templates/demos/"
      "web-app-regional-vnet-private-endpoint-sql-storage/nestedtemplates/dns_record.json",
      "{\"privateLinkNicIpConfig\":{\"value\":{\"properties\":{\"privateIPAddress\":\"10.0.0.4\","
      "\"privateLinkConnectionProperties\":{\"fqdns\":[\"a.example\",\"b.example\"]}}}}}" },
    { "lang/bmoore-msft+azure-quickstart-templates/demos/"
      "web-app-regional-vnet-private-endpoint-sql-storage/nestedtemplates/private_link.json",
      "{\"resourceType\":{\"value\":\"Microsoft.Storage/storageAccounts\"}}" },
    { "lang/bmoore-msft+azure-quickstart-templates/application-workloads/sap/"
      "sap-3-tier-user-image-converged-md/shared/lb-ERS-Linux.json",
      "{\"stackType\":{\"value\":\"ABAP\"}}" },
    { "lang/Azure+azure-docs-json-samples/managed-app-existing-vnet/mainTemplate.json",
      "{\"virtualNetworkNewOrExisting\":{\"value\":\"new\"}}" },
    { "lang/Azure+bicep/src/Bicep.Core.Samples/Files/baselines/Resources_CRLF/main.json",
      "{\"webSiteName\":{\"value\":\"site\"}}" },
    { "lang/Azure+bicep/src/Bicep.Core.Samples/Files/baselines/Loops_LF/main.json",
      "{\"accounts\":{\"value\":[{\"name\":\"a\",\"location\":\"x\",\"enabled\":true},"
      "{\"name\":\"b\",\"location\":\"y\",\"enabled\":false}]}}" },
    { "lang/Azure+bicep/src/Bicep.Core.Samples/Files/user_submitted/201/key-vault-secret-create/"
      "main.json",
      "{\"secretsObject\":{\"value\":{\"secrets\":[{\"secretName\":\"a\","
      "\"secretValue\":\"b\"}]}}}" },
    { "lang/Azure+Enterprise-Scale/eslzArm/subscriptionTemplates/vnetPeeringHub.json",
      "{\"hubLocation\":{\"value\":\"eastus\"},\"hubLocationSecondary\":{\"value\":\"westus\"},"
      "\"hubResourceId\":{\"value\":\"/a/one\"},\"hubResourceIdSecondary\":"
      "{\"value\":\"/a/two\"}}" },
    { "lang/Azure+Enterprise-Scale/eslzArm/prerequisites/deployPrerequisites.json",
      "{\"managementSubscriptionId\":{\"value\":\"00000000-0000-0000-0000-000000000000\"}}" },
    { "lang/krnese+AzureDeploy/AzureMgmt/Alerts/createOMSAlert.json",
      "{\"workspaceName\":{\"value\":\"space\"}}" },
    { "lang/krnese+AzureDeploy/AzureMgmt/Alerts/createOMSAlertWithNotifications.json",
      "{\"workspaceName\":{\"value\":\"space\"}}" },
};

static struct json_object *read_json(struct arena *a, const char *file)
{
    char *text;
    size_t len;
    struct error err;
    struct json_object *json = NULL;
    char *path = arena_printf(a, CORPUS "%s", file);
    if (file_read(a, path, FILE_MAX, &text, &len, &err) < 0) {
        print_message("%s: %s %s\n", path, err.message, err.cause);
        return NULL;
    }
    size_t skip = len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3) ? 3 : 0;
    if (json_parse(text + skip, len - skip, FILE_MAX, JSON_TEMPLATE, &json, &err) < 0)
        print_message("%s: %s\n", path, err.message);
    return json;
}

static struct json_object *make_value(struct json_object *template, struct json_object *schema,
                                      int depth);

struct filler {
    struct json_object *template, *out;
    int depth;
};

static void fill_member(void *ctx, const char *key, struct json_object *schema)
{
    struct filler *f = ctx;
    if (!json_bool(schema, "nullable", false))
        json_set(f->out, key, make_value(f->template, schema, f->depth + 1));
}

static struct json_object *make_text(struct json_object *schema)
{
    int64_t min = json_int(schema, "minLength", 0), max = json_int(schema, "maxLength", 24);
    char text[512] = { 0 };
    size_t len = (size_t)(max < 8 ? max : min > 8 ? min : 8);
    for (size_t i = 0; i < len && i < sizeof(text) - 1; i++)
        text[i] = "corpusvalue"[i % 11];
    return json_new_text(text);
}

static struct json_object *make_object(struct json_object *template, struct json_object *schema,
                                       int depth)
{
    struct filler f = { .template = template, .out = json_new_object(), .depth = depth };
    struct json_object *properties = json_at(schema, "properties");
    if (properties && depth < 8)
        json_each(properties, fill_member, &f);
    return f.out;
}

static struct json_object *find_definition(struct json_object *template, const char *ref)
{
    const char *name = strrchr(ref, '/');
    struct json_object *definitions = json_at(template, "definitions");
    return name ? json_at(definitions, name + 1) : NULL;
}

static struct json_object *make_value(struct json_object *template, struct json_object *schema,
                                      int depth)
{
    const char *ref = json_text(schema, "$ref");
    if (ref && depth < 12) {
        struct json_object *definition = find_definition(template, ref);
        return definition ? make_value(template, definition, depth + 1) : json_new_object();
    }
    struct json_object *allowed = json_at(schema, "allowedValues");
    const char *type = json_text(schema, "type");
    if (json_count(allowed) && !text_eq_nocase(type, "array"))
        return json_get(json_item(allowed, 0));
    if (text_eq_nocase(type, "int"))
        return json_new_int(json_int(schema, "minValue", 1));
    if (text_eq_nocase(type, "bool"))
        return json_new_bool(true);
    if (text_eq_nocase(type, "array")) {
        struct json_object *list = json_new_array();
        struct json_object *items = json_at(schema, "items");
        for (int64_t i = 0; i < json_int(schema, "minLength", 0); i++)
            json_add(list, items ? make_value(template, items, depth + 1) : json_new_text("x"));
        return list;
    }
    if (text_eq_nocase(type, "object") || text_eq_nocase(type, "secureObject"))
        return make_object(template, schema, depth);
    return make_text(schema);
}

struct giver {
    struct json_object *template, *given;
    const char *wanted; /* a name looked for without case */
    bool is_found;
};

static void look(void *ctx, const char *key, struct json_object *value)
{
    struct giver *g = ctx;
    (void)value;
    g->is_found = g->is_found || text_eq_nocase(key, g->wanted);
}

static void give_missing(void *ctx, const char *key, struct json_object *declaration)
{
    struct giver *g = ctx;
    g->wanted = key;
    g->is_found = false;
    json_each(g->given, look, g);
    if (g->is_found || json_has(declaration, "defaultValue") ||
        json_bool(declaration, "nullable", false))
        return;
    struct json_object *one = json_new_object();
    json_set(one, "value", make_value(g->template, declaration, 0));
    json_set(g->given, key, one);
}

static void give_meant(const char *file, struct json_object *given)
{
    for (size_t i = 0; i < ARRAY_LEN(meant); i++) {
        struct error err;
        struct json_object *json;
        if (!text_eq(meant[i].file, file))
            continue;
        assert_int_equal(
            json_parse_object(meant[i].parameters, strlen(meant[i].parameters), 4096, &json, &err),
            0);
        json_merge_patch(given, json);
        json_put(json);
    }
}

static struct template_context context_for(const char *scope)
{
    struct template_context x = {
        .tenant_id = "22222222-2222-2222-2222-222222222222",
        .subscription_id = "00000000-0000-0000-0000-000000000000",
        .subscription_name = "corpus",
        .resource_group = "corpus",
        .resource_group_location = "eastus",
        .management_group = "corpus-mg",
        .deployment_name = "corpus",
        .deployment_location = "eastus",
        .template_link = "https://templates.example/main/azuredeploy.json",
        .now_us = 1700000000000000,
        .seed = "corpus",
    };
    x.scope = text_eq(scope, "subscription")      ? SCOPE_SUBSCRIPTION
              : text_eq(scope, "managementGroup") ? SCOPE_MANAGEMENT_GROUP
              : text_eq(scope, "tenant")          ? SCOPE_TENANT
                                                  : SCOPE_RESOURCE_GROUP;
    return x;
}

static const char *wanted_error(const char *file)
{
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        if (text_eq(wrong[i].file, file))
            return wrong[i].error;
    return NULL;
}

/* A plan's JSON stands alone: what is not deferred resolves to itself. */
static bool check_plan(struct arena *a, const struct plan *p, const struct template_context *x,
                       struct error *err)
{
    for (size_t i = 0; i < p->node_count; i++) {
        const struct plan_node *n = &p->nodes[i];
        if (n->is_skipped || template_is_deferred(n->body))
            continue;
        _cleanup_(json_putp) struct json_object *planned = template_json(n->body, false);
        _cleanup_(json_putp) struct json_object *final = template_json_final(n->body);
        _cleanup_(json_putp) struct json_object *resolved = NULL;
        if (template_resolve(a, planned, x, &resolved, NULL, NULL, err) < 0)
            return false;
        if (!json_equal(resolved, final)) {
            (void)fail(err, &E_INVALID, "the body of %s changes when it is resolved", n->id);
            return false;
        }
    }
    return true;
}

static bool expand(const struct json_object *entry, const char *parameter_file)
{
    struct arena *a = arena_new();
    struct error err = { 0 };
    struct template_fault fault = { 0 };
    struct plan *plan = NULL;
    const char *file = json_text(entry, "file");
    struct template_context context = context_for(json_text(entry, "scope"));
    _cleanup_(json_putp) struct json_object *template = read_json(a, file);
    _cleanup_(json_putp) struct json_object *given = NULL;
    _cleanup_(json_putp) struct json_object *parameters =
        parameter_file ? read_json(a, parameter_file) : NULL;
    if (json_kind(json_at(parameters, "parameters")) == JSON_OBJECT)
        given = json_copy(json_at(parameters, "parameters"));
    else
        given = json_new_object();
    give_meant(file, given);
    struct giver giver = { .template = template, .given = given };
    if (json_kind(json_at(template, "parameters")) == JSON_OBJECT)
        json_each(json_at(template, "parameters"), give_missing, &giver);
    char *text;
    size_t len;
    clock_t start = clock();
    int rc = file_read(a, arena_printf(a, CORPUS "%s", file), FILE_MAX, &text, &len, &err);
    if (rc == 0)
        rc = template_plan(a, text, len, given, &context, &plan, &fault, &err);
    if (rc == 0 && !check_plan(a, plan, &context, &err))
        rc = -1;
    const char *wanted = wanted_error(file);
    bool ok = wanted ? rc < 0 && strstr(err.message, wanted) : rc == 0;
    if (!ok)
        print_message("%s%s%s\n  line %d column %d: %s\n", file, parameter_file ? " with " : "",
                      parameter_file ? parameter_file : "", fault.line, fault.column,
                      rc < 0 ? err.message : "expands, but should not");
    if (clock() - start > (clock_t)5 * CLOCKS_PER_SEC) {
        print_message("%s: takes too long\n", file);
        ok = false;
    }
    arena_free(a);
    return ok;
}

static void test_corpus(void **state)
{
    (void)state;
    if (!file_exists(CORPUS "INDEX.json")) {
        print_message("SKIPPED: the corpus is not beside this checkout\n");
        skip();
    }
    struct arena *a = arena_new();
    _cleanup_(json_putp) struct json_object *index = read_json(a, "INDEX.json");
    size_t failed = 0, count = json_count(index);
    for (size_t i = 0; i < count; i++) {
        const struct json_object *entry = json_item(index, i);
        struct json_object *files = json_at(entry, "params");
        bool ok = true;
        for (size_t k = 0; k < json_count(files); k++)
            ok = expand(entry, json_text(json_item(files, k), "")) && ok;
        if (!json_count(files))
            ok = expand(entry, NULL);
        failed += !ok;
    }
    print_message("%zu templates, %zu failed\n", count, failed);
    assert_int_equal(count, 229);
    assert_int_equal(failed, 0);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_corpus) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Where a template is being deployed: deployment(), resourceGroup(), subscription() and the like,
 * from the context the caller gives. */
#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/json/json.h"
#include "templates/functions/families.h"
#include "templates/functions/function.h"
#include "templates/language/canonical.h"
#include "templates/language/faults.h"
#include "templates/language/file.h"
#include "templates/language/template.h"

static const char public_cloud[] =
    "{\"name\":\"AzureCloud\","
    "\"gallery\":\"https://gallery.azure.com/\","
    "\"graph\":\"https://graph.windows.net/\","
    "\"portal\":\"https://portal.azure.com\","
    "\"graphAudience\":\"https://graph.windows.net/\","
    "\"activeDirectoryDataLake\":\"https://datalake.azure.net/\","
    "\"batch\":\"https://batch.core.windows.net/\","
    "\"media\":\"https://rest.media.azure.net\","
    "\"sqlManagement\":\"https://management.core.windows.net:8443/\","
    "\"vmImageAliasDoc\":\"https://raw.githubusercontent.com/Azure/azure-rest-api-specs/master/"
    "arm-compute/quickstart-templates/aliases.json\","
    "\"resourceManager\":\"https://management.azure.com/\","
    "\"authentication\":{\"loginEndpoint\":\"https://login.microsoftonline.com/\","
    "\"audiences\":[\"https://management.core.windows.net/\",\"https://management.azure.com/\"],"
    "\"tenant\":\"common\",\"identityProvider\":\"AAD\"},"
    "\"suffixes\":{\"acrLoginServer\":\".azurecr.io\","
    "\"azureDatalakeAnalyticsCatalogAndJob\":\"azuredatalakeanalytics.net\","
    "\"azureDatalakeStoreFileSystem\":\"azuredatalakestore.net\","
    "\"azureFrontDoorEndpointSuffix\":\"azurefd.net\","
    "\"keyvaultDns\":\".vault.azure.net\","
    "\"sqlServerHostname\":\".database.windows.net\","
    "\"storage\":\"core.windows.net\"}}";

struct maker {
    struct arena *arena;
    struct object_builder b;
};

static void start(struct maker *m, struct call *c)
{
    m->arena = c->arena;
    object_start(&m->b, c->arena, 8);
}

/* A member that is left out when it has no value. */
static void put_text(struct maker *m, const char *key, const char *s)
{
    if (s)
        object_puts(&m->b, key, value_text(m->arena, s));
}

static int absent(struct call *c, const char *what, struct error *err)
{
    return fail(err, &E_TEMPLATE_EXPRESSION,
                "The template function '%s' is not expected at this location: the deployment has "
                "no %s." SEE_FUNCTIONS,
                c->name, what);
}

int fn_resource_group(struct call *c, const struct value **ret, struct error *err)
{
    const struct template_context *x = c->env->scope;
    struct maker m, properties;
    if (x->scope != SCOPE_RESOURCE_GROUP || !x->subscription_id || !x->resource_group)
        return absent(c, "resource group", err);
    start(&m, c);
    start(&properties, c);
    put_text(&m, "id",
             arena_printf(c->arena, "/subscriptions/%s/resourceGroups/%s", x->subscription_id,
                          x->resource_group));
    put_text(&m, "name", x->resource_group);
    put_text(&m, "type", "Microsoft.Resources/resourceGroups");
    put_text(&m, "location", x->resource_group_location);
    if (x->resource_group_tags)
        object_puts(&m.b, "tags", value_import(c->arena, x->resource_group_tags, NULL));
    put_text(&m, "managedBy", x->resource_group_managed_by);
    put_text(&properties, "provisioningState", "Succeeded");
    object_puts(&m.b, "properties", object_end(&properties.b));
    *ret = object_end(&m.b);
    return 0;
}

int fn_subscription(struct call *c, const struct value **ret, struct error *err)
{
    const struct template_context *x = c->env->scope;
    struct maker m;
    if (x->scope > SCOPE_SUBSCRIPTION || !x->subscription_id)
        return absent(c, "subscription", err);
    start(&m, c);
    put_text(&m, "id", arena_printf(c->arena, "/subscriptions/%s", x->subscription_id));
    put_text(&m, "subscriptionId", x->subscription_id);
    put_text(&m, "tenantId", x->tenant_id);
    put_text(&m, "displayName", x->subscription_name);
    *ret = object_end(&m.b);
    return 0;
}

int fn_management_group(struct call *c, const struct value **ret, struct error *err)
{
    const struct template_context *x = c->env->scope;
    struct maker m, properties, details, parent;
    if (x->scope != SCOPE_MANAGEMENT_GROUP || !x->management_group)
        return absent(c, "management group", err);
    start(&m, c);
    start(&properties, c);
    start(&details, c);
    start(&parent, c);
    put_text(&m, "id",
             arena_printf(c->arena, "/providers/Microsoft.Management/managementGroups/%s",
                          x->management_group));
    put_text(&m, "name", x->management_group);
    put_text(&m, "type", "/providers/Microsoft.Management/managementGroups");
    put_text(&properties, "displayName", x->management_group);
    put_text(&properties, "tenantId", x->tenant_id);
    if (x->tenant_id) {
        put_text(&parent, "id",
                 arena_printf(c->arena, "/providers/Microsoft.Management/managementGroups/%s",
                              x->tenant_id));
        put_text(&parent, "name", x->tenant_id);
        put_text(&parent, "displayName", "Tenant Root Group");
    }
    object_puts(&details.b, "parent", object_end(&parent.b));
    object_puts(&properties.b, "details", object_end(&details.b));
    object_puts(&m.b, "properties", object_end(&properties.b));
    *ret = object_end(&m.b);
    return 0;
}

int fn_tenant(struct call *c, const struct value **ret, struct error *err)
{
    const struct template_context *x = c->env->scope;
    struct maker m;
    (void)err;
    start(&m, c);
    if (x->tenant_id)
        put_text(&m, "id", arena_printf(c->arena, "/tenants/%s", x->tenant_id));
    put_text(&m, "tenantId", x->tenant_id);
    put_text(&m, "countryCode", x->country_code);
    put_text(&m, "displayName", x->tenant_name);
    *ret = object_end(&m.b);
    return 0;
}

int fn_deployer(struct call *c, const struct value **ret, struct error *err)
{
    const struct template_context *x = c->env->scope;
    struct maker m;
    (void)err;
    start(&m, c);
    put_text(&m, "objectId", x->deployer_object_id ? x->deployer_object_id : "");
    put_text(&m, "tenantId", x->tenant_id ? x->tenant_id : "");
    put_text(&m, "userPrincipalName", x->deployer_name ? x->deployer_name : "");
    *ret = object_end(&m.b);
    return 0;
}

int fn_environment(struct call *c, const struct value **ret, struct error *err)
{
    struct engine *g = c->env->engine;
    const struct template_context *x = c->env->scope;
    if (!g->environment && x->environment) {
        g->environment = value_import(g->arena, x->environment, NULL);
    } else if (!g->environment) {
        _cleanup_(json_putp) struct json_object *json = NULL;
        if (json_parse(public_cloud, sizeof(public_cloud) - 1, sizeof(public_cloud), JSON_STRICT,
                       &json, err) < 0)
            return -1;
        g->environment = value_import(g->arena, json, NULL);
    }
    *ret = g->environment;
    return 0;
}

/* The given values; secure ones are left out. */
static const struct value *given_parameters(struct call *c, const struct template_file *f)
{
    struct object_builder b;
    object_start(&b, c->arena, f->parameter_count);
    for (size_t i = 0; i < f->parameter_count; i++) {
        const struct binding *p = &f->parameters[i];
        struct object_builder one;
        const struct value *given = p->is_expression ? p->value : p->given;
        if (!given || (given->marks & (MARK_SECURE | MARK_SECURE_INSIDE)))
            continue;
        object_start(&one, c->arena, 1);
        object_puts(&one, "value", given);
        object_push(&b, p->name, p->name_len, object_end(&one));
    }
    return object_end(&b);
}

int fn_deployment(struct call *c, const struct value **ret, struct error *err)
{
    const struct template_context *x = c->env->scope;
    struct template_file *f = c->env->file;
    struct maker m, properties, link;
    (void)err;
    if (f && f->deployment && f->home.scope == x) {
        *ret = f->deployment;
        return 0;
    }
    start(&m, c);
    start(&properties, c);
    start(&link, c);
    put_text(&m, "name", x->deployment_name ? x->deployment_name : "deployment");
    if (x->scope != SCOPE_RESOURCE_GROUP)
        put_text(&m, "location", x->deployment_location);
    if (x->template_link) {
        put_text(&link, "uri", x->template_link);
        object_puts(&properties.b, "templateLink", object_end(&link.b));
    }
    if (f) {
        object_puts(&properties.b, "template", f->root);
        put_text(&properties, "templateHash", canonical_hash(c->env->engine, f->root, NULL));
        object_puts(&properties.b, "parameters", given_parameters(c, f));
    }
    put_text(&properties, "mode", x->deployment_mode ? x->deployment_mode : "Incremental");
    put_text(&properties, "provisioningState", "Accepted");
    object_puts(&m.b, "properties", object_end(&properties.b));
    *ret = object_end(&m.b);
    if (f && f->home.scope == x)
        f->deployment = *ret;
    return 0;
}

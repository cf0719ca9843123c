/* The context of a template as JSON and back, so that a run planned again in another process
 * comes to the very same plan. */
#include "controlplane/deployments/payload.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "templates/language/template.h"

#include "controlplane/api/local.h"
#include "controlplane/deployments/submission.h"

#define AT(member) offsetof(struct template_context, member)

static const struct {
    const char *name;
    size_t offset;
} texts[] = {
    { "tenantId", AT(tenant_id) },
    { "tenantName", AT(tenant_name) },
    { "countryCode", AT(country_code) },
    { "subscriptionId", AT(subscription_id) },
    { "subscriptionName", AT(subscription_name) },
    { "resourceGroup", AT(resource_group) },
    { "resourceGroupLocation", AT(resource_group_location) },
    { "resourceGroupManagedBy", AT(resource_group_managed_by) },
    { "managementGroup", AT(management_group) },
    { "deploymentName", AT(deployment_name) },
    { "deploymentLocation", AT(deployment_location) },
    { "deploymentMode", AT(deployment_mode) },
    { "templateLink", AT(template_link) },
    { "deployerObjectId", AT(deployer_object_id) },
    { "deployerName", AT(deployer_name) },
    { "seed", AT(seed) },
};

static const char **text_at(struct template_context *x, size_t offset)
{
    return (const char **)(void *)((char *)x + offset);
}

struct json_object *context_json(const struct template_context *context)
{
    struct template_context x = *context;
    struct json_object *out = json_new_object();

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (*text_at(&x, texts[i].offset))
            json_set_text(out, texts[i].name, *text_at(&x, texts[i].offset));
    json_set_int(out, "scope", (int64_t)x.scope);
    json_set_int(out, "nowUs", x.now_us);
    if (x.resource_group_tags)
        json_set(out, "resourceGroupTags", json_copy(x.resource_group_tags));
    if (x.environment)
        json_set(out, "environment", json_copy(x.environment));
    if (x.providers)
        json_set(out, "providers", json_copy(x.providers));
    if (x.external_inputs)
        json_set(out, "externalInputs", json_copy(x.external_inputs));
    return out;
}

static void context_read(const struct json_object *json, struct template_context *ret)
{
    *ret = (struct template_context){ .now_us = json_int(json, "nowUs", 0),
                                      .resource_group_tags = json_at(json, "resourceGroupTags"),
                                      .environment = json_at(json, "environment"),
                                      .providers = json_at(json, "providers"),
                                      .external_inputs = json_at(json, "externalInputs") };
    switch (json_int(json, "scope", 0)) {
    case SCOPE_SUBSCRIPTION:
        ret->scope = SCOPE_SUBSCRIPTION;
        break;
    case SCOPE_MANAGEMENT_GROUP:
        ret->scope = SCOPE_MANAGEMENT_GROUP;
        break;
    case SCOPE_TENANT:
        ret->scope = SCOPE_TENANT;
        break;
    default:
        ret->scope = SCOPE_RESOURCE_GROUP;
    }
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        *text_at(ret, texts[i].offset) = json_text(json, texts[i].name);
}

/* There is one profile here: the newest of everything. */
static const char *newest_version(const char *type)
{
    return arm_type_find(type).newest_version;
}

int payload_plan(struct arena *a, const struct json_object *payload,
                 struct template_context *context, struct plan **ret,
                 struct template_fault *fault, struct error *err)
{
    const char *text = json_text(payload, "template");

    context_read(json_at(payload, "context"), context);
    context->profile_version = newest_version;
    return template_plan(a, text, strlen(text), json_at(payload, "parameters"), context, ret, fault,
                         err);
}

static char *host_of(struct arena *a, const struct control *control, const char *prefix)
{
    const struct control_settings *s = control->settings;

    if (s->port == 443)
        return arena_printf(a, "%s%s", prefix, s->domain);
    return arena_printf(a, "%s%s:%lld", prefix, s->domain, (long long)s->port);
}

struct json_object *environment_json(struct arena *a, const struct control *control)
{
    static const char *const ours[] = { "gallery",       "portal",
                                        "batch",         "media",
                                        "sqlManagement", "activeDirectoryDataLake",
                                        "vmImageAliasDoc" };
    struct json_object *out = json_new_object();
    struct json_object *authentication = json_new_object();
    struct json_object *audiences = json_new_array();
    struct json_object *suffixes = json_new_object();
    const char *graph = arena_printf(a, "%s/", control->graph_url);

    json_set_text(out, "name", "Portolan");
    json_set_text(out, "resourceManager", arena_printf(a, "%s/", control->management_url));
    json_set_text(out, "graph", graph);
    json_set_text(out, "graphAudience", graph);
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        json_set_text(out, ours[i], control->management_url);
    json_set_text(authentication, "loginEndpoint", arena_printf(a, "%s/", control->login_url));
    json_add_text(audiences, control->management_url);
    json_set(authentication, "audiences", audiences);
    json_set_text(authentication, "tenant", "common");
    json_set_text(authentication, "identityProvider", "AAD");
    json_set(out, "authentication", authentication);
    json_set_text(suffixes, "acrLoginServer", host_of(a, control, ".cr."));
    json_set_text(suffixes, "keyvaultDns", host_of(a, control, ".vault."));
    json_set_text(suffixes, "storage", host_of(a, control, ""));
    json_set_text(suffixes, "sqlServerHostname", host_of(a, control, ".database."));
    json_set(out, "suffixes", suffixes);
    return json_own(a, out);
}

int payload_hash(struct arena *a, const char *text, size_t len, struct json_object **ret,
                 struct error *err)
{
    const char *hash = NULL, *minified = NULL;

    if (template_hash(a, text, len, &hash, &minified, err))
        return -1;
    *ret = json_own(a, json_new_object());
    json_set_text(*ret, "minifiedTemplate", minified);
    json_set_text(*ret, "templateHash", hash);
    return 0;
}

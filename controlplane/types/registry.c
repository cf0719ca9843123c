/* Microsoft.ContainerRegistry/registries: every member of its resource model (2025-11-01 and the
 * previews after it), the rules across members, and what a GET adds. Its actions and steps have
 * their own files. */
#include "controlplane/types/registry.h"

#include <stdio.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/json.h"

#include "controlplane/control.h"
#include "controlplane/provision/publish_network.h"
#include "controlplane/provision/registry_steps.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/registry_rules.h"
#include "controlplane/types/shared.h"
#include "controlplane/types/versions.h"

#define IDENTITY_MAX_BYTES 256
#define KEY_ID_MAX_BYTES 1024

static const char *const skus[] = { "Basic", "Standard", "Premium", NULL };
static const char *const identity_types[] = { "SystemAssigned", "UserAssigned",
                                              "SystemAssigned, UserAssigned", "None", NULL };
static const char *const switched[] = { "enabled", "disabled", NULL };
static const char *const Switched[] = { "Enabled", "Disabled", NULL };
static const char *const allow_deny[] = { "Allow", "Deny", NULL };
static const char *const allow[] = { "Allow", NULL };
static const char *const trust_types[] = { "Notary", NULL };
static const char *const bypasses[] = { "AzureServices", "None", NULL };
static const char *const protocols[] = { "IPv4", "IPv4AndIPv6", NULL };
static const char *const role_modes[] = { "AbacRepositoryPermissions", "LegacyRegistryPermissions",
                                          NULL };
const char *const registry_label_scopes[] = { "Unsecure", "TenantReuse", "SubscriptionReuse",
                                              "ResourceGroupReuse", "NoReuse", NULL };

#define AT(member) .offset = offsetof(struct registry, member)
#define TEXT(p, member) .path = p, .kind = FIELD_TEXT, AT(member)
#define ENUM(p, member, values, default_json)                                                      \
    TEXT(p, member), .oneof = values, .def = default_json
#define RW .flags = FIELD_RW
#define RW_NOCASE .flags = FIELD_RW | FIELD_NOCASE
#define SET_ONCE .flags = FIELD_CREATE_ONLY | FIELD_NOCASE
#define SHOWN(p, k) .path = p, .kind = k, .flags = FIELD_READ_ONLY, .offset = FIELD_NO_OFFSET
#define V2019 "2019-12-01-preview/2021-09-01"

static const struct field ip_rule_fields[] = {
    { .path = "action", .kind = FIELD_TEXT, .flags = FIELD_RW | FIELD_NOCASE,
      .offset = offsetof(struct registry_ip_rule, action), .oneof = allow, .def = "\"Allow\"" },
    { .path = "value", .kind = FIELD_TEXT, .flags = FIELD_RW | FIELD_REQUIRED,
      .offset = offsetof(struct registry_ip_rule, value), .min = 7, .max = 18 },
    { 0 },
};

static const struct field vnet_rule_fields[] = {
    { .path = "action", .kind = FIELD_TEXT, .flags = FIELD_RW | FIELD_NOCASE,
      .offset = offsetof(struct registry_vnet_rule, action), .oneof = allow, .def = "\"Allow\"" },
    { .path = "id", .kind = FIELD_TEXT, .flags = FIELD_RW,
      .offset = offsetof(struct registry_vnet_rule, id), .max = 1024 },
    { .path = "virtualNetworkSubnetResourceId", .kind = FIELD_TEXT, .flags = FIELD_RW,
      .offset = offsetof(struct registry_vnet_rule, subnet_id), .max = 1024 },
    { 0 },
};

static const struct field fields[] = {
    { TEXT("sku.name", sku_name), .flags = FIELD_RW | FIELD_REQUIRED | FIELD_NOCASE,
      .oneof = skus },
    { SHOWN("sku.tier", FIELD_TEXT) },
    { TEXT("identity.type", identity_type), RW_NOCASE, .oneof = identity_types, .since = V2019 },
    { SHOWN("identity.principalId", FIELD_TEXT), .since = V2019 },
    { SHOWN("identity.tenantId", FIELD_TEXT), .since = V2019 },
    { .path = "identity.userAssignedIdentities", .kind = FIELD_JSON, RW,
      AT(user_assigned_identities), .since = V2019 },
    { SHOWN("properties.loginServer", FIELD_TEXT) },
    { SHOWN("properties.creationDate", FIELD_TIME) },
    { SHOWN("properties.provisioningState", FIELD_TEXT) },
    { SHOWN("properties.status", FIELD_JSON) },
    { .path = "properties.adminUserEnabled", .kind = FIELD_BOOL, RW, AT(is_admin_enabled),
      .def = "false" },
    { ENUM("properties.networkRuleSet.defaultAction", default_action, allow_deny, "\"Allow\""),
      RW_NOCASE, .gate = SKU_PREMIUM, .since = "2017-10-01" },
    { .path = "properties.networkRuleSet.virtualNetworkRules", .kind = FIELD_LIST, RW,
      AT(vnet_rules), .def = "[]", .of = vnet_rule_fields,
      .of_size = sizeof(struct registry_vnet_rule), .max = TIER_VNET_RULES_MAX,
      .gate = SKU_PREMIUM, .since = "2017-10-01" },
    { .path = "properties.networkRuleSet.ipRules", .kind = FIELD_LIST, RW, AT(ip_rules),
      .def = "[]", .of = ip_rule_fields, .of_size = sizeof(struct registry_ip_rule),
      .max = TIER_IP_RULES_MAX, .gate = SKU_PREMIUM, .since = "2017-10-01" },
    { ENUM("properties.policies.quarantinePolicy.status", quarantine_status, switched,
           "\"disabled\""), RW_NOCASE, .gate = SKU_PREMIUM, .since = "2019-05-01" },
    { ENUM("properties.policies.trustPolicy.type", trust_type, trust_types, "\"Notary\""),
      RW_NOCASE, .since = "2019-05-01" },
    { ENUM("properties.policies.trustPolicy.status", trust_status, switched, "\"disabled\""),
      RW_NOCASE, .gate = SKU_PREMIUM, .since = "2019-05-01" },
    { .path = "properties.policies.retentionPolicy.days", .kind = FIELD_INT, RW,
      AT(retention_days), .def = "7", .min = 0, .max = 365, .since = "2019-05-01" },
    { SHOWN("properties.policies.retentionPolicy.lastUpdatedTime", FIELD_TIME),
      .since = "2019-05-01" },
    { ENUM("properties.policies.retentionPolicy.status", retention_status, switched,
           "\"disabled\""), RW_NOCASE, .gate = SKU_PREMIUM, .since = "2019-05-01" },
    { ENUM("properties.policies.exportPolicy.status", export_status, switched, "\"enabled\""),
      RW_NOCASE, .gate = SKU_PREMIUM, .since = "2021-06-01-preview/2021-09-01" },
    { ENUM("properties.policies.azureADAuthenticationAsArmPolicy.status", arm_audience_status,
           switched, "\"enabled\""), RW_NOCASE, .since = "2022-02-01-preview/2025-04-01" },
    { .path = "properties.policies.softDeletePolicy.retentionDays", .kind = FIELD_INT, RW,
      AT(soft_delete_days), .def = "7", .min = 1, .max = 90, .since = "2022-02-01-preview" },
    { SHOWN("properties.policies.softDeletePolicy.lastUpdatedTime", FIELD_TIME),
      .since = "2022-02-01-preview" },
    { ENUM("properties.policies.softDeletePolicy.status", soft_delete_status, switched,
           "\"disabled\""), RW_NOCASE, .since = "2022-02-01-preview" },
    { ENUM("properties.encryption.status", encryption_status, switched, "\"disabled\""), SET_ONCE,
      .gate = SKU_PREMIUM, .since = V2019 },
    { TEXT("properties.encryption.keyVaultProperties.keyIdentifier", key_identifier), RW,
      .max = KEY_ID_MAX_BYTES, .since = V2019 },
    { SHOWN("properties.encryption.keyVaultProperties.versionedKeyIdentifier", FIELD_TEXT),
      .since = V2019 },
    { TEXT("properties.encryption.keyVaultProperties.identity", key_identity), RW,
      .max = IDENTITY_MAX_BYTES, .since = V2019 },
    { SHOWN("properties.encryption.keyVaultProperties.keyRotationEnabled", FIELD_BOOL),
      .since = V2019 },
    { SHOWN("properties.encryption.keyVaultProperties.lastKeyRotationTimestamp", FIELD_TIME),
      .since = V2019 },
    { .path = "properties.dataEndpointEnabled", .kind = FIELD_BOOL, RW, AT(has_data_endpoint),
      .def = "false", .gate = SKU_PREMIUM, .since = V2019 },
    { SHOWN("properties.dataEndpointHostNames", FIELD_TEXT_LIST), .def = "[]", .since = V2019 },
    { ENUM("properties.regionalEndpoints", regional_endpoints, Switched, "\"Disabled\""),
      RW_NOCASE, .gate = SKU_PREMIUM, .since = "2026-01-01-preview" },
    { SHOWN("properties.regionalEndpointHostNames", FIELD_TEXT_LIST), .def = "[]",
      .since = "2026-01-01-preview" },
    { ENUM("properties.endpointProtocol", endpoint_protocol, protocols, "\"IPv4\""), RW_NOCASE,
      .gate = SKU_PREMIUM, .since = "2026-01-01-preview" },
    { SHOWN("properties.privateEndpointConnections", FIELD_JSON), .def = "[]", .since = V2019 },
    { ENUM("properties.publicNetworkAccess", public_network_access, Switched, "\"Enabled\""),
      RW_NOCASE, .gate = SKU_PREMIUM, .since = V2019 },
    { ENUM("properties.networkRuleBypassOptions", network_bypass, bypasses, "\"AzureServices\""),
      RW_NOCASE, .since = V2019 },
    { .path = "properties.networkRuleBypassAllowedForTasks", .kind = FIELD_BOOL, RW,
      AT(may_tasks_bypass), .def = "false", .since = "2025-05-01-preview/2025-11-01" },
    { ENUM("properties.zoneRedundancy", zone_redundancy, Switched, "\"Disabled\""), SET_ONCE,
      .since = "2020-11-01-preview/2021-09-01" },
    { .path = "properties.anonymousPullEnabled", .kind = FIELD_BOOL, RW, AT(is_anonymous_pull),
      .def = "false", .gate = SKU_STANDARD, .since = "2020-11-01-preview/2025-04-01" },
    { ENUM("properties.metadataSearch", metadata_search, Switched, "\"Disabled\""), RW_NOCASE,
      .since = "2023-11-01-preview" },
    { ENUM("properties.autoGeneratedDomainNameLabelScope", label_scope,
           registry_label_scopes, "\"Unsecure\""), SET_ONCE, .since = "2024-11-01-preview" },
    { ENUM("properties.writableCacheRepos", writable_cache_repos, Switched, "\"Disabled\""),
      RW_NOCASE, .since = "2026-03-01-preview" },
    { ENUM("properties.roleAssignmentMode", role_assignment_mode, role_modes,
           "\"LegacyRegistryPermissions\""), RW_NOCASE,
      .since = "2025-03-01-preview/2025-11-01" },
    { 0 },
};

static const struct rbac_row data_plane[] = {
    { "pull/read", "Pull or Get images from a container registry.", false },
    { "push/write", "Push or Write images to a container registry.", false },
    { "artifacts/delete", "Delete artifact in a container registry.", false },
    { "metadata/read", "Gets the metadata of a specific repository.", false },
    { "metadata/write", "Updates the metadata of a repository.", false },
    { "sign/write", "Push/Pull content trust metadata for a container registry.", false },
    { "quarantine/read", "Pull or Get quarantined images from container registry.", false },
    { "quarantine/write", "Write/Modify quarantine state of quarantined images.", false },
    { "repositories/content/read", "Pull or get images of a repository.", true },
    { "repositories/content/write", "Push or write images of a repository.", true },
    { "repositories/content/delete", "Delete artifacts of a repository.", true },
    { "repositories/metadata/read", "Gets the metadata of a repository.", true },
    { "repositories/metadata/write", "Updates the metadata of a repository.", true },
    { "repositories/metadata/delete", "Deletes the metadata of a repository.", true },
    { "catalog/read", "List repositories in a container registry.", true },
    { 0 },
};

static enum sku registry_sku(const struct json_object *body)
{
    const char *name = json_text(body, "sku.name");

    for (int sku = SKU_BASIC; sku < SKU_MAX; sku++) {
        if (text_eq(name, sku_text((enum sku)sku)))
            return (enum sku)sku;
    }
    return SKU_NONE;
}

char *resource_secret_context(struct arena *a, const char *uid, const char *name)
{
    return arena_printf(a, "resource/%s/%s", uid, name);
}

static void show_data_endpoints(struct arena *a, const struct control *control,
                                const struct resource *resource, struct json_object *shown)
{
    struct json_object *hosts;

    if (!json_bool(shown, "properties.dataEndpointEnabled", false) ||
        json_count(json_at(shown, "properties.dataEndpointHostNames")) > 0)
        return;
    hosts = json_new_array();
    json_add_text(hosts, registry_data_host(a, control, resource, resource->location));
    json_put_at(shown, "properties.dataEndpointHostNames", hosts);
}

static void registry_show(struct arena *a, struct control *control, const struct resource *resource,
                          struct json_object *shown)
{
    const char *sku = json_text(shown, "sku.name");

    json_put_at(shown, "sku.tier", json_new_text(sku));
    json_put_at(shown, "properties.loginServer",
                json_new_text(registry_login_server(a, control, resource)));
    show_created(a, control, resource, shown);
    show_data_endpoints(a, control, resource, shown);
    if (!text_eq(sku, sku_text(SKU_PREMIUM)))
        json_unset(json_at(shown, "properties"), "networkRuleSet");
    if (text_eq(json_text(shown, "identity.type"), "None"))
        json_unset(shown, "identity");
}

const struct resource_type registry_type = {
    .name = "Microsoft.ContainerRegistry/registries",
    .description = "Container registry",
    .scope = SCOPE_GROUP,
    .pattern = "[A-Za-z0-9]*",
    .name_min = 5,
    .name_max = 50,
    .pattern_text = "a registry name has 5 to 50 letters and digits and nothing else.",
    .is_tracked = true,
    .lro = LRO_PUT | LRO_PATCH | LRO_DELETE,
    .api_versions = registry_versions,
    .size = sizeof(struct registry),
    .fields = fields,
    .steps = registry_steps,
    .actions = registry_actions,
    .data_plane = data_plane,
    .precheck = registry_precheck,
    .stamp = registry_stamp,
    .global_name = registry_label,
    .name_taken = registry_name_taken,
    .validate = registry_validate,
    .admit = registry_admit,
    .hasten = registry_hasten,
    .is_brief = publish_is_rules,
    .brief = registry_brief,
    .sku = registry_sku,
    .show = registry_show,
};

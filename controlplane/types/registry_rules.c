/* Rules across the members of a registry, with the codes and sentences clients know. */
#include "controlplane/types/registry_rules.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/json.h"

#include "controlplane/api/errors.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/registry.h"

/* Kept as it was sent, therefore capped: a list shows a thousand registries at once. */
#define IDENTITIES_MAX_BYTES 16384

int registry_precheck(struct arena *a, const struct json_object *body, struct error *err)
{
    const char *name = json_text(body, "sku.name");

    (void)a;
    if (!json_has(body, "sku.name") || text_eq_nocase(name, "Classic"))
        return fail_at(err, &E_CLASSIC_SKU, "sku.name",
                       "The Classic SKU is no longer offered; choose the SKU Basic, Standard or "
                       "Premium.");
    if (!name || !(text_eq_nocase(name, "Basic") || text_eq_nocase(name, "Standard") ||
                   text_eq_nocase(name, "Premium")))
        return fail_at(err, &E_SKU_NOT_SUPPORTED, "sku.name", "The SKU %.100s is not supported.",
                       name ? name : "given");
    return 0;
}

int registry_name_taken(const struct resource *resource, struct error *err)
{
    return fail_at(err, &E_NAME_IN_USE, "name",
                   "The registry name %s is already in use. You can check if the name is already "
                   "claimed using following API: https://aka.ms/acr/check-name-availability",
                   resource->name);
}

static bool is_on(const char *status)
{
    return text_eq_nocase(status, "enabled");
}

static int check_network(const struct registry *now, struct error *err)
{
    if (registry_check_rules(now, err))
        return -1;
    if (is_on(now->public_network_access) && !is_on(now->export_status))
        return fail_at(err, &E_BAD_REQUEST, "properties.publicNetworkAccess",
                       "Enabling public network access is not supported because the registry has "
                       "exports disabled.");
    if (text_eq(now->endpoint_protocol, "IPv4AndIPv6") && !now->has_data_endpoint)
        return fail_at(err, &E_BAD_REQUEST, "properties.endpointProtocol",
                       "The endpoint protocol IPv4AndIPv6 needs dataEndpointEnabled.");
    return 0;
}

/* The SKU rules with codes of their own; the gates of the table hold the rest. */
static int check_sku(const struct registry *now, struct error *err)
{
    if (text_eq(now->sku_name, "Premium"))
        return 0;
    if (!is_on(now->public_network_access))
        return fail_at(err, &E_NO_PRIVATE_ACCESS, "properties.publicNetworkAccess",
                       "Disabling public network access is not supported for the SKU %s. For more "
                       "information see https://aka.ms/acr/private-link",
                       now->sku_name);
    if (now->has_data_endpoint)
        return fail_at(err, &E_NO_DATA_ENDPOINT, "properties.dataEndpointEnabled",
                       "Data endpoint is not supported for the SKU %s. For more information see "
                       "https://aka.ms/acr/dataendpoints",
                       now->sku_name);
    return 0;
}

static int check_encryption(const struct registry *was, const struct registry *now,
                            struct error *err)
{
    if (!is_on(now->encryption_status)) {
        if (now->key_identifier)
            return fail_at(err, &E_BAD_REQUEST, "properties.encryption.keyVaultProperties",
                           "A customer-managed key needs encryption.status 'enabled', which can "
                           "only be chosen when the registry is created.");
        return 0;
    }
    if (!now->key_identifier || !now->key_identity)
        return fail_at(err, &E_BAD_REQUEST, "properties.encryption.keyVaultProperties",
                       "Encryption with a customer-managed key needs keyIdentifier and identity.");
    if (!was && !text_starts(now->identity_type ? now->identity_type : "", "User") &&
        !text_ends(now->identity_type ? now->identity_type : "", "UserAssigned"))
        return fail_at(err, &E_BAD_REQUEST, "identity",
                       "A registry with a customer-managed key is created with a user-assigned "
                       "identity.");
    if (is_on(now->trust_status))
        return fail_at(err, &E_BAD_REQUEST, "properties.policies.trustPolicy.status",
                       "Content trust is not supported with a customer-managed key.");
    return 0;
}

static int check_identity(struct arena *a, const struct registry *now, struct error *err)
{
    size_t len = 0;

    if (now->user_assigned_identities) {
        (void)json_print_len(a, now->user_assigned_identities, &len);
        if (json_kind(now->user_assigned_identities) != JSON_OBJECT || len > IDENTITIES_MAX_BYTES)
            return fail_at(err, &E_INVALID_PARAMETER, "identity.userAssignedIdentities",
                           "The user-assigned identities are an object of at most %d bytes, with "
                           "a resource id for each member.",
                           IDENTITIES_MAX_BYTES);
    }
    if (now->identity_type && strstr(now->identity_type, "UserAssigned") &&
        json_count(now->user_assigned_identities) == 0)
        return fail_at(err, &E_BAD_REQUEST, "identity.userAssignedIdentities",
                       "An identity of type %s needs at least one user-assigned identity.",
                       now->identity_type);
    return 0;
}

int registry_validate(struct arena *a, const void *was, const void *now_, struct error *err)
{
    const struct registry *now = now_;

    if (check_sku(now, err) || check_network(now, err) || check_encryption(was, now, err) ||
        check_identity(a, now, err))
        return -1;
    if (is_on(now->retention_status) && is_on(now->soft_delete_status))
        return fail_at(err, &E_BAD_REQUEST, "properties.policies.softDeletePolicy.status",
                       "The retention policy and the soft delete policy cannot both be enabled.");
    return 0;
}

/* The time a policy was last changed. */
static void stamp_policy(struct arena *a, const struct json_object *was, struct json_object *now,
                         const char *policy, const char *const *members, const char *time)
{
    const char *stamp = arena_printf(a, "%s.lastUpdatedTime", policy);
    const char *stored = was ? json_text(was, stamp) : NULL;
    bool is_same = stored != NULL;

    for (; *members; members++) {
        const char *path = arena_printf(a, "%s.%s", policy, *members);

        is_same = is_same && json_equal(json_at(was, path), json_at(now, path));
    }
    json_put_at(now, stamp, json_new_text(is_same ? stored : time));
}

void registry_stamp(struct arena *a, const struct json_object *was, struct json_object *now,
                    const char *time)
{
    static const char *const retention[] = { "days", "status", NULL };
    static const char *const soft_delete[] = { "retentionDays", "status", NULL };

    stamp_policy(a, was, now, "properties.policies.retentionPolicy", retention, time);
    stamp_policy(a, was, now, "properties.policies.softDeletePolicy", soft_delete, time);
}

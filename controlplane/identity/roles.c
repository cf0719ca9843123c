/* Built-in roles with the identifiers Azure publishes, so that templates and scripts which name
 * them by guid work here, and the matching of actions. Roles for registries, the general ones, and
 * those that a registry's neighbours need. */
#include "controlplane/identity/roles.h"

#include "common/base/text.h"

#define R "Microsoft.ContainerRegistry/registries/"
#define V "Microsoft.KeyVault/vaults/"
#define LIST(...)                                                                                  \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }
#define NONE                                                                                       \
    (const char *const[])                                                                          \
    {                                                                                              \
        NULL                                                                                       \
    }

/* What every management role may do beside its subject: find the place it works in. */
#define SURROUNDINGS                                                                               \
    "Microsoft.Authorization/*/read", "Microsoft.Resources/subscriptions/resourceGroups/read",     \
        "Microsoft.Resources/deployments/*", "Microsoft.Insights/alertRules/*"

const struct role builtin_roles[] = {
    { ROLE_OWNER, "Owner",
      "Full access to manage all resources, including the ability to assign roles.", LIST("*"),
      NONE, NONE, NONE },
    { "b24988ac-6180-42a0-ab88-20f7382dd24c", "Contributor",
      "Full access to manage all resources, but no right to assign roles.", LIST("*"),
      LIST("Microsoft.Authorization/*/Delete", "Microsoft.Authorization/*/Write",
           "Microsoft.Authorization/elevateAccess/Action"),
      NONE, NONE },
    { "acdd72a7-3385-48ef-bd42-f606fba81ae7", "Reader",
      "View all resources, without making any changes.", LIST("*/read"), NONE, NONE, NONE },
    { "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9", "User Access Administrator",
      "Manage user access to resources.",
      LIST("*/read", "Microsoft.Authorization/*", "Microsoft.Support/*"), NONE, NONE, NONE },
    { "f58310d9-a9f6-439a-9e8d-f62e7b41a168", "Role Based Access Control Administrator",
      "Manage access to resources by assigning roles.",
      LIST("Microsoft.Authorization/roleAssignments/write",
           "Microsoft.Authorization/roleAssignments/delete", "*/read", "Microsoft.Support/*"),
      NONE, NONE, NONE },

    { "7f951dda-4ed3-4680-a7ca-43fe172d538d", "AcrPull", "Pull artifacts from a registry.",
      LIST(R "pull/read"), NONE, NONE, NONE },
    { "8311e382-0749-4cb8-b61a-304f252e45ec", "AcrPush",
      "Push artifacts to and pull artifacts from a registry.", LIST(R "pull/read", R "push/write"),
      NONE, NONE, NONE },
    { "c2f4ef07-c644-48eb-af81-4b1b4947fb11", "AcrDelete",
      "Delete repositories, tags or manifests from a registry.", LIST(R "artifacts/delete"), NONE,
      NONE, NONE },
    { "6cef56e8-d556-48e5-a04f-b8e64114680f", "AcrImageSigner",
      "Push trusted images to a registry enabled for content trust.", LIST(R "sign/write"), NONE,
      LIST(R "trustedCollections/write"), NONE },
    { "cdda3590-29a3-44f6-95f2-9f980659eb04", "AcrQuarantineReader",
      "Pull quarantined images from a registry.", LIST(R "quarantine/read"), NONE,
      LIST(R "quarantinedArtifacts/read"), NONE },
    { "c8d4ff99-41c3-41a8-9f60-21dfdad59608", "AcrQuarantineWriter",
      "Push quarantined images to or pull them from a registry.",
      LIST(R "quarantine/read", R "quarantine/write"), NONE,
      LIST(R "quarantinedArtifacts/read", R "quarantinedArtifacts/write"), NONE },

    { "b93aa761-3e63-49ed-ac28-beffa264f7ac", "Container Registry Repository Reader",
      "Read access to repositories, without listing the catalog.", NONE, NONE,
      LIST(R "repositories/content/read", R "repositories/metadata/read"), NONE },
    { "2a1e307c-b015-4ebd-883e-5b7698a07328", "Container Registry Repository Writer",
      "Read and write access to repositories, without listing the catalog.", NONE, NONE,
      LIST(R "repositories/content/read", R "repositories/metadata/read",
           R "repositories/content/write", R "repositories/metadata/write"),
      NONE },
    { "2efddaa5-3f1f-4df3-97df-af3f13818f4c", "Container Registry Repository Contributor",
      "Read, write and delete access to repositories, without listing the catalog.", NONE, NONE,
      LIST(R "repositories/content/read", R "repositories/metadata/read",
           R "repositories/content/write", R "repositories/metadata/write",
           R "repositories/content/delete", R "repositories/metadata/delete"),
      NONE },
    { "bfdb9389-c9a5-478a-bb2f-ba9ca092c3c7", "Container Registry Repository Catalog Lister",
      "List all repositories of a registry.", NONE, NONE, LIST(R "catalog/read"), NONE },

    { "3bc748fc-213d-45c1-8d91-9da5725539b9",
      "Container Registry Contributor and Data Access Configuration Administrator",
      "Create, list and update registries and their access configuration.",
      LIST("Microsoft.ContainerRegistry/registries/read",
           "Microsoft.ContainerRegistry/registries/write",
           "Microsoft.ContainerRegistry/registries/delete",
           "Microsoft.ContainerRegistry/checkNameAvailability/read",
           "Microsoft.ContainerRegistry/locations/operationResults/read",
           R "operationStatuses/read", R "listUsages/read", R "listPolicies/read",
           R "listCredentials/action", R "regenerateCredential/action",
           R "generateCredentials/action", R "replications/*", R "webhooks/*", R "tokens/*",
           R "scopeMaps/*", R "connectedRegistries/*", R "privateEndpointConnections/*",
           R "privateLinkResources/*", R "privateEndpointConnectionsApproval/action",
           R "updatePolicies/write", R "deleted/read", R "deleted/restore/action",
           R "metadata/read", R "metadata/write", R "taskRuns/read", R "tasks/read", R "runs/read",
           SURROUNDINGS),
      NONE, NONE, NONE },
    { "69b07be0-09bf-439a-b9a6-e73de851bd59",
      "Container Registry Configuration Reader and Data Access Configuration Reader",
      "List registries and their configuration, including credentials.",
      LIST("Microsoft.ContainerRegistry/registries/read",
           "Microsoft.ContainerRegistry/checkNameAvailability/read", R "operationStatuses/read",
           R "listUsages/read", R "listPolicies/read", R "listCredentials/action",
           R "replications/read", R "webhooks/read", R "webhooks/getCallbackConfig/action",
           R "webhooks/listEvents/action", R "tokens/read", R "scopeMaps/read",
           R "connectedRegistries/read", R "privateEndpointConnections/read",
           R "privateLinkResources/read", "Microsoft.Authorization/*/read",
           "Microsoft.Resources/subscriptions/resourceGroups/read"),
      NONE, NONE, NONE },
    { "fb382eab-e894-4461-af04-94435c366c3f", "Container Registry Tasks Contributor",
      "Create, run and manage tasks, task runs and agent pools.",
      LIST("Microsoft.ContainerRegistry/registries/read", R "tasks/*", R "taskRuns/*", R "runs/*",
           R "agentpools/*", R "scheduleRun/action", R "listBuildSourceUploadUrl/action",
           SURROUNDINGS),
      NONE, NONE, NONE },
    { "bf94e731-3a51-4a7c-8c54-a1ab9971dfc1", "Container Registry Transfer Pipeline Contributor",
      "Manage import and export pipelines and their runs.",
      LIST("Microsoft.ContainerRegistry/registries/read", R "exportPipelines/*",
           R "importPipelines/*", R "pipelineRuns/*", SURROUNDINGS),
      NONE, NONE, NONE },
    { "577a9874-89fd-4f24-9dbd-b5034d0ad23a", "Container Registry Data Importer and Data Reader",
      "Import images into a registry and read its data.",
      LIST(R "importImage/action", "Microsoft.ContainerRegistry/registries/read", R "pull/read"),
      NONE, LIST(R "repositories/content/read", R "repositories/metadata/read", R "catalog/read"),
      NONE },
    { "df87f177-bb12-4db1-9793-a413691eff94", "Container Registry Cache Rule Administrator",
      "Create, read, update and delete cache rules.",
      LIST("Microsoft.ContainerRegistry/registries/read", R "cacheRules/*"), NONE, NONE, NONE },
    { "c357b964-0002-4b64-a50d-7a28f02edc52", "Container Registry Cache Rule Reader",
      "Read cache rules.",
      LIST("Microsoft.ContainerRegistry/registries/read", R "cacheRules/read",
           R "cacheRules/operationStatuses/read"),
      NONE, NONE, NONE },
    { "f094fb07-0703-4400-ad6a-e16dd8000e14", "Container Registry Credential Set Administrator",
      "Create, read, update and delete credential sets.",
      LIST("Microsoft.ContainerRegistry/registries/read", R "credentialSets/*"), NONE, NONE, NONE },
    { "29093635-9924-4f2c-913b-650a12949526", "Container Registry Credential Set Reader",
      "Read credential sets.",
      LIST("Microsoft.ContainerRegistry/registries/read", R "credentialSets/read",
           R "credentialSets/operationStatuses/read"),
      NONE, NONE, NONE },

    { "e147488a-f6f5-4113-8e2d-b22465e65bf6", "Key Vault Crypto Service Encryption User",
      "Read the metadata of keys, and wrap and unwrap with them.",
      LIST("Microsoft.EventGrid/eventSubscriptions/write",
           "Microsoft.EventGrid/eventSubscriptions/read",
           "Microsoft.EventGrid/eventSubscriptions/delete"),
      NONE,
      LIST("Microsoft.KeyVault/vaults/keys/read", "Microsoft.KeyVault/vaults/keys/wrap/action",
           "Microsoft.KeyVault/vaults/keys/unwrap/action"),
      NONE },
    { "4633458b-17de-408a-b874-0445c86b69e6", "Key Vault Secrets User", "Read secret contents.",
      NONE, NONE,
      LIST("Microsoft.KeyVault/vaults/secrets/getSecret/action",
           "Microsoft.KeyVault/vaults/secrets/readMetadata/action"),
      NONE },
    { "00482a5a-887f-4fb3-b363-3b7fe8e74483", "Key Vault Administrator",
      "Everything with the keys and secrets of a vault; not the vault itself.",
      LIST(SURROUNDINGS, V "*/read", "Microsoft.KeyVault/checkNameAvailability/read",
           "Microsoft.KeyVault/deletedVaults/read", "Microsoft.KeyVault/locations/*/read",
           "Microsoft.KeyVault/operations/read"),
      NONE, LIST(V "*"), NONE },
    { "f25e0fa2-a7c8-4377-a976-54943a77a395", "Key Vault Contributor",
      "Manage key vaults, without access to their keys and secrets.",
      LIST(SURROUNDINGS, "Microsoft.KeyVault/*"),
      LIST("Microsoft.KeyVault/locations/deletedVaults/purge/action",
           "Microsoft.KeyVault/hsmPools/*", "Microsoft.KeyVault/managedHsms/*"),
      NONE, NONE },
    { "21090545-7ca7-4776-b22c-e363652d74d2", "Key Vault Reader",
      "Read the metadata of vaults, keys and secrets; no values.",
      LIST(SURROUNDINGS, V "*/read", "Microsoft.KeyVault/checkNameAvailability/read",
           "Microsoft.KeyVault/deletedVaults/read", "Microsoft.KeyVault/locations/*/read",
           "Microsoft.KeyVault/operations/read"),
      NONE, LIST(V "*/read", V "secrets/readMetadata/action"), NONE },
    { "b86a8fe4-44ce-4948-aee5-eccb2c155cd7", "Key Vault Secrets Officer",
      "Everything with the secrets of a vault.", LIST(SURROUNDINGS, V "*/read"), NONE,
      LIST(V "secrets/*"), NONE },
    { "14b46e9e-c2b7-41b4-b07b-48a6ebf60603", "Key Vault Crypto Officer",
      "Everything with the keys of a vault.", LIST(SURROUNDINGS, V "*/read"), NONE,
      LIST(V "keys/*", V "keyrotationpolicies/*"), NONE },
    { "12338af0-0e69-4776-bea7-57ae8d297424", "Key Vault Crypto User",
      "Use the keys of a vault.", NONE, NONE,
      LIST(V "keys/read", V "keys/update/action", V "keys/backup/action", V "keys/encrypt/action",
           V "keys/decrypt/action", V "keys/wrap/action", V "keys/unwrap/action",
           V "keys/sign/action", V "keys/verify/action"),
      NONE },
    { "a68e7c17-0ab2-4c09-9a58-125dae29748c", "Key Vault Purge Operator",
      "Purge deleted vaults.",
      LIST("Microsoft.KeyVault/locations/deletedVaults/purge/action",
           "Microsoft.KeyVault/locations/deletedVaults/read",
           "Microsoft.KeyVault/deletedVaults/read"),
      NONE, NONE, NONE },
    { "f1a07417-d97a-45cb-824c-7a7467783830", "Managed Identity Operator",
      "Read and assign user-assigned identities.",
      LIST("Microsoft.ManagedIdentity/userAssignedIdentities/*/read",
           "Microsoft.ManagedIdentity/userAssignedIdentities/*/assign/action", SURROUNDINGS),
      NONE, NONE, NONE },
    { 0 },
};

const struct role *role_find(const char *id)
{
    for (const struct role *r = builtin_roles; id && r->id; r++) {
        if (text_eq_nocase(r->id, id))
            return r;
    }
    return NULL;
}

const struct role *role_find_name(const char *name)
{
    for (const struct role *r = builtin_roles; name && r->id; r++) {
        if (text_eq_nocase(r->name, name))
            return r;
    }
    return NULL;
}

static char fold(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

bool role_pattern_matches(const char *pattern, const char *action)
{
    /* On a mismatch only the last star can stretch: earlier ones have matched as little as they
     * can, so this takes at most |pattern| x |action| steps. */
    const char *star = NULL, *stretched_to = NULL;
    while (*action) {
        if (*pattern == '*') {
            star = ++pattern;
            stretched_to = action;
        } else if (*pattern && fold(*pattern) == fold(*action)) {
            pattern++;
            action++;
        } else if (star) {
            pattern = star;
            action = ++stretched_to;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

static bool matches_any(const char *const *patterns, const char *action)
{
    for (; *patterns; patterns++) {
        if (role_pattern_matches(*patterns, action))
            return true;
    }
    return false;
}

bool role_allows(const struct role *role, const char *action)
{
    return matches_any(role->actions, action) && !matches_any(role->not_actions, action);
}

bool role_allows_data(const struct role *role, const char *action)
{
    return matches_any(role->data_actions, action) && !matches_any(role->not_data_actions, action);
}

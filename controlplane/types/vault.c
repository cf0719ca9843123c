/* Microsoft.KeyVault/vaults: who may use a vault, from where, and how long what is deleted can be
 * recovered. A deleted vault is kept by the database (keep_deleted_vault()); a PUT with createMode
 * "recover" brings it back with everything it held. */
#include "controlplane/types/vault.h"

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/network/address.h"

#include "controlplane/api/errors.h"
#include "controlplane/control.h"
#include "controlplane/store/resources.h"
#include "controlplane/store/vaults.h"
#include "controlplane/types/all.h"
#include "controlplane/types/rows.h"

#define RETENTION_MIN 7
#define RETENTION_MAX 90
#define IP_RULES_MAX 1000
#define VNET_RULES_MAX 200

static const struct error_code E_VAULT_TAKEN = { "VaultAlreadyExists", 409 };
static const struct error_code E_VAULT_DELETED = { "ConflictError", 409 };

const char *const vault_versions[] = {
    "2026-02-01",         "2025-05-01",         "2024-11-01",         "2023-07-01",
    "2023-02-01",         "2022-11-01",         "2022-07-01",         "2021-10-01",
    "2019-09-01",         "2018-02-14",         "2016-10-01",         "2015-06-01",
    "2024-12-01-preview", "2024-04-01-preview", "2023-08-01-preview", "2022-02-01-preview",
    "2021-11-01-preview", "2021-06-01-preview", "2021-04-01-preview", "2020-04-01-preview",
    "2018-02-14-preview", NULL,
};

static const char *const skus[] = { "standard", "premium", NULL };
static const char *const families[] = { "A", NULL };
static const char *const modes[] = { "default", "recover", NULL };
static const char *const bypasses[] = { "AzureServices", "None", NULL };
static const char *const allow_deny[] = { "Allow", "Deny", NULL };
static const char *const key_rights[] = {
    "all",    "encrypt", "decrypt", "wrapKey", "unwrapKey", "sign",    "verify",
    "get",    "list",    "create",  "update",  "import",    "delete",  "backup",
    "restore", "recover", "purge",  "release", "rotate",    "getrotationpolicy",
    "setrotationpolicy", NULL
};
static const char *const secret_rights[] = { "all",    "get",     "list",    "set",   "delete",
                                             "backup", "restore", "recover", "purge", NULL };
static const char *const certificate_rights[] = {
    "all",           "get",        "list",        "delete",     "create",        "import",
    "update",        "managecontacts", "getissuers", "listissuers", "setissuers", "deleteissuers",
    "manageissuers", "recover",    "purge",       "backup",     "restore",       NULL
};
static const char *const storage_rights[] = {
    "all",     "get",   "list",   "delete",  "set",    "update", "regeneratekey", "recover", "purge",
    "backup", "restore", "setsas", "listsas", "getsas", "deletesas", NULL
};

#define RIGHTS(p, of_)                                                                             \
    { ROW("permissions." p, FIELD_TEXT_LIST), RW_NOCASE, .oneof = of_, .max = 32 }
#define UUID_PATTERN "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"

const struct field vault_policy_fields[] = {
    { ROW("tenantId", FIELD_TEXT), RW_REQUIRED, .pattern = UUID_PATTERN },
    { ROW("objectId", FIELD_TEXT), RW_REQUIRED, .pattern = UUID_PATTERN },
    { ROW("applicationId", FIELD_TEXT), RW, .pattern = UUID_PATTERN },
    RIGHTS("keys", key_rights),
    RIGHTS("secrets", secret_rights),
    RIGHTS("certificates", certificate_rights),
    RIGHTS("storage", storage_rights),
    { 0 },
};

static const struct field ip_rule_fields[] = {
    { ROW("value", FIELD_TEXT), RW_REQUIRED, .max = 64 },
    { 0 },
};
static const struct field vnet_rule_fields[] = {
    { ROW("id", FIELD_TEXT), RW_REQUIRED, .max = ID_MAX_BYTES },
    { ROW("ignoreMissingVnetServiceEndpoint", FIELD_BOOL), RW },
    { 0 },
};

struct vault {
    char *tenant_id;
    char *create_mode;
    bool has_soft_delete;
};

static const struct field fields[] = {
    { ROW("properties.sku.family", FIELD_TEXT), RW_NOCASE, .oneof = families, .def = "\"A\"" },
    { ROW("properties.sku.name", FIELD_TEXT), .flags = FIELD_RW | FIELD_REQUIRED | FIELD_NOCASE,
      .oneof = skus },
    { ROW_IN(vault, "properties.tenantId", FIELD_TEXT, tenant_id), RW_REQUIRED,
      .pattern = UUID_PATTERN },
    { ROW("properties.accessPolicies", FIELD_LIST), RW, .def = "[]", .of = vault_policy_fields,
      .of_size = 1, .max = VAULT_POLICIES_MAX },
    { ROW("properties.enabledForDeployment", FIELD_BOOL), RW, .def = "false" },
    { ROW("properties.enabledForDiskEncryption", FIELD_BOOL), RW },
    { ROW("properties.enabledForTemplateDeployment", FIELD_BOOL), RW },
    { ROW_IN(vault, "properties.enableSoftDelete", FIELD_BOOL, has_soft_delete), RW, .def = "true" },
    { ROW("properties.softDeleteRetentionInDays", FIELD_INT), SET_ONCE, .def = "90",
      .min = RETENTION_MIN, .max = RETENTION_MAX },
    { ROW("properties.enableRbacAuthorization", FIELD_BOOL), RW, .def = "false" },
    { ROW("properties.enablePurgeProtection", FIELD_BOOL), RW },
    { ROW_IN(vault, "properties.createMode", FIELD_TEXT, create_mode),
      .flags = FIELD_RW | FIELD_SECRET | FIELD_NOCASE, .oneof = modes },
    { ROW("properties.networkAcls.bypass", FIELD_TEXT), RW_NOCASE, .oneof = bypasses },
    { ROW("properties.networkAcls.defaultAction", FIELD_TEXT), RW_NOCASE, .oneof = allow_deny },
    { ROW("properties.networkAcls.ipRules", FIELD_LIST), RW, .of = ip_rule_fields, .of_size = 1,
      .max = IP_RULES_MAX },
    { ROW("properties.networkAcls.virtualNetworkRules", FIELD_LIST), RW, .of = vnet_rule_fields,
      .of_size = 1, .max = VNET_RULES_MAX },
    { ROW("properties.publicNetworkAccess", FIELD_TEXT), RW_NOCASE, .oneof = states_upper,
      .def = "\"Enabled\"", .since = "2021-06-01-preview/2021-10-01" },
    { ROW_SHOWN("properties.vaultUri", FIELD_TEXT) },
    ROW_STATE,
    { 0 },
};

static const struct field name_request[] = {
    { ROW("name", FIELD_TEXT), RW_REQUIRED },
    { ROW("type", FIELD_TEXT), RW_REQUIRED },
    { 0 },
};

static char *host_suffix(struct arena *a, const struct control *control)
{
    const struct control_settings *s = control->settings;

    if (s->port == 443)
        return arena_printf(a, "vault.%s", s->domain);
    return arena_printf(a, "vault.%s:%lld", s->domain, (long long)s->port);
}

char *vault_uri(struct arena *a, const struct control *control, const char *name)
{
    return arena_printf(a, "https://%s.%s/", text_lower(a, name), host_suffix(a, control));
}

char *vault_resource(struct arena *a, const struct control *control)
{
    return arena_printf(a, "https://%s", host_suffix(a, control));
}

static int check_ip_rules(const struct json_object *rules, struct error *err)
{
    struct cidr block;

    for (size_t i = 0; i < json_count(rules); i++) {
        const char *value = json_text(json_item(rules, i), "value");

        if (!value || !cidr_parse(value, &block))
            return fail_at(err, &E_BAD_REQUEST, "properties.networkAcls.ipRules",
                           "'%.64s' is no IP address and no range of addresses.",
                           value ? value : "");
    }
    return 0;
}

/* What has once been promised to those whose keys these are is not taken back. */
static int vault_precheck(struct arena *a, const struct json_object *body, struct error *err)
{
    (void)a;
    if (json_has(body, "properties.enablePurgeProtection") &&
        !json_bool(body, "properties.enablePurgeProtection", true))
        return fail_at(err, &E_BAD_REQUEST, "properties.enablePurgeProtection",
                       "The property \"enablePurgeProtection\" cannot be set to false. Enabling the "
                       "purge protection for a vault is an irreversible action.");
    if (!json_bool(body, "properties.enableSoftDelete", true))
        return fail_at(err, &E_BAD_REQUEST, "properties.enableSoftDelete",
                       "The property \"enableSoftDelete\" cannot be set to false: whatever is "
                       "deleted here can be recovered for a while.");
    return check_ip_rules(json_at(body, "properties.networkAcls.ipRules"), err);
}

/* A PUT that does not mention it leaves the protection on. */
static void vault_stamp(struct arena *a, const struct json_object *was, struct json_object *now,
                        const char *time)
{
    (void)a;
    (void)time;
    if (was && json_bool(was, "properties.enablePurgeProtection", false))
        json_put_at(now, "properties.enablePurgeProtection", json_new_bool(true));
}

static int vault_name_taken(const struct resource *resource, struct error *err)
{
    return fail(err, &E_VAULT_TAKEN,
                "The vault name '%s' is already in use. Vault names are globally unique so it is "
                "possible that the name is already taken.",
                resource->name);
}

/* What the deleted vault was comes back in place of what the request says. */
static int recover(const struct admission *x, const struct deleted_vault *found, struct error *err)
{
    struct resource *resource = (struct resource *)x->resource;

    if (deleted_vault_recover(x->conn, x->arena, found, resource->uid, err))
        return -1;
    resource->body = found->body;
    resource->tags = found->tags;
    return 0;
}

static int vault_admit(const struct admission *x, struct error *err)
{
    const struct vault *now = x->decoded;
    struct deleted_vault gone;
    bool is_recover;
    int found;

    if (now && !text_eq_nocase(now->tenant_id, x->control->tenant_id))
        return fail_at(err, &E_BAD_REQUEST, "properties.tenantId",
                       "The tenant '%s' is not the one this vault's subscription is in.",
                       now->tenant_id);
    if (x->change != CHANGE_CREATE)
        return 0;
    is_recover = text_eq(now->create_mode, "recover");
    found = deleted_vault_get(x->conn, x->arena, x->resource->global_name, &gone, err);
    if (found < 0)
        return -1;
    if (is_recover && (!found || !text_eq(gone.key, x->resource->key) ||
                       !text_eq(gone.location, x->resource->location)))
        return fail(err, &E_RESOURCE_NOT_FOUND,
                    "There is no deleted vault '%s' in this resource group and location.",
                    x->resource->name);
    if (is_recover)
        return recover(x, &gone, err);
    if (!found)
        return 0;
    return fail(err, &E_VAULT_DELETED,
                "A vault with the same name already exists in deleted state. You need to either "
                "recover or purge existing key vault. Follow this link "
                "https://go.microsoft.com/fwlink/?linkid=2149745 for more information on soft "
                "delete.");
}

static void vault_show(struct arena *a, struct control *control, const struct resource *r,
                       struct json_object *shown)
{
    json_put_at(shown, "properties.vaultUri", json_new_text(vault_uri(a, control, r->name)));
}

static void answer(struct action_run *run, const char *reason, const char *message)
{
    run->answer = json_own(run->arena, json_new_object());
    json_set_bool(run->answer, "nameAvailable", !reason);
    if (!reason)
        return;
    json_set_text(run->answer, "reason", reason);
    json_set_text(run->answer, "message", message);
}

static int check_name(struct action_run *run, struct error *err)
{
    const char *name = json_text(run->body, "name");
    struct error bad;
    int taken;

    if (!text_eq_nocase(json_text(run->body, "type"), vault_type.name))
        return fail_at(err, &E_INVALID_PARAMETER, "type", "The type is '%s'.", vault_type.name);
    if (type_name_check(&vault_type, name, &bad)) {
        answer(run, "AccountNameInvalid", bad.message);
        return 0;
    }
    taken = vault_name_is_taken(run->control->db, run->arena, text_lower(run->arena, name), err);
    if (taken < 0)
        return -1;
    answer(run, taken ? "AlreadyExists" : NULL,
           arena_printf(run->arena, "The vault name '%s' is already in use.", name));
    return 0;
}

static const struct action actions[] = {
    { .name = "checkNameAvailability",
      .method = "POST",
      .rbac = "Microsoft.KeyVault/checkNameAvailability/read",
      .description = "Checks that a key vault name is valid and is not in use",
      .request = name_request,
      .is_on_subscription = true,
      .run = check_name },
    { 0 },
};

/* What vault.<domain> asks for, of vaults with enableRbacAuthorization; and what a template's
 * reference to a secret needs. */
static const struct rbac_row data_plane[] = {
    { "deploy/action", "Use a vault's secrets when deploying resources.", false },
    { "secrets/readMetadata/action", "List or view the properties of a secret.", true },
    { "secrets/getSecret/action", "Gets the value of a secret.", true },
    { "secrets/setSecret/action", "Creates a new version of a secret.", true },
    { "secrets/update/action", "Updates the attributes of a secret.", true },
    { "secrets/delete", "Deletes a secret.", true },
    { "secrets/backup/action", "Creates the backup file of a secret.", true },
    { "secrets/restore/action", "Restores a secret and all its versions from a backup file.", true },
    { "secrets/recover/action", "Recovers a deleted secret.", true },
    { "secrets/purge/action", "Permanently removes a deleted secret.", true },
    { "keys/read", "List keys, or read properties and public material of a key.", true },
    { "keys/create/action", "Creates a new key.", true },
    { "keys/import/action", "Imports an externally created key.", true },
    { "keys/update/action", "Updates the attributes of a key.", true },
    { "keys/delete", "Deletes a key.", true },
    { "keys/backup/action", "Creates the backup file of a key.", true },
    { "keys/restore/action", "Restores a key and all its versions from a backup file.", true },
    { "keys/recover/action", "Recovers a deleted key.", true },
    { "keys/purge/action", "Permanently removes a deleted key.", true },
    { "keys/encrypt/action", "Encrypts plaintext with a key.", true },
    { "keys/decrypt/action", "Decrypts ciphertext with a key.", true },
    { "keys/wrap/action", "Wraps a symmetric key with a key.", true },
    { "keys/unwrap/action", "Unwraps a symmetric key with a key.", true },
    { "keys/sign/action", "Signs a message digest with a key.", true },
    { "keys/verify/action", "Verifies the signature of a message digest with a key.", true },
    { "keys/rotate/action", "Creates a new version of an existing key.", true },
    { "keyrotationpolicies/read", "Retrieves the rotation policy of a given key.", true },
    { "keyrotationpolicies/write", "Updates the rotation policy of a given key.", true },
    { 0 },
};

static char *vault_global_name(struct arena *a, const struct control *control,
                               const struct resource *vault, const void *decoded)
{
    (void)control;
    (void)decoded;
    return text_lower(a, vault->name);
}

const struct resource_type vault_type = {
    .name = "Microsoft.KeyVault/vaults",
    .description = "Key vault",
    .scope = SCOPE_GROUP,
    .pattern = "[A-Za-z](-?[A-Za-z0-9])*",
    .name_min = 3,
    .name_max = 24,
    .pattern_text = "a vault name has 3 to 24 letters, digits and '-', begins with a letter, ends "
                    "with a letter or digit, and has no two '-' in a row.",
    .is_tracked = true,
    .is_created_with_200 = true,
    .api_versions = vault_versions,
    .size = sizeof(struct vault),
    .fields = fields,
    .actions = actions,
    .data_plane = data_plane,
    .precheck = vault_precheck,
    .stamp = vault_stamp,
    .global_name = vault_global_name,
    .name_taken = vault_name_taken,
    .admit = vault_admit,
    .show = vault_show,
};

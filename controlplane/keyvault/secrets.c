/* Secrets: setting and reading values, which rest wrapped with the service key. */
#include "controlplane/keyvault/secrets.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/crypto/secret.h"
#include "common/json/json.h"

#include "controlplane/api/errors.h"
#include "controlplane/keyvault/access.h"
#include "controlplane/keyvault/call.h"

#define VALUE_MAX_BYTES        25600
#define CONTENT_TYPE_MAX_BYTES 255

const struct error_code E_VAULT_REFUSES = { "Forbidden", 403 };
const struct error_code E_SECRET_NOT_FOUND = { "SecretNotFound", 404 };

static int read_set(struct vault_call *v, struct error *err)
{
    const char *value = json_text(v->body, "value"), *type = json_text(v->body, "contentType");
    char uid[UUID_TEXT_LEN + 1];

    if (!value)
        return fail(err, &E_VAULT_PARAMETER, "The parameter 'value' is a text that is required.");
    if (strlen(value) > VALUE_MAX_BYTES)
        return fail(err, &E_VAULT_PARAMETER, "A secret's value has at most %d bytes.",
                    VALUE_MAX_BYTES);
    if (type && strlen(type) > CONTENT_TYPE_MAX_BYTES)
        return fail(err, &E_VAULT_PARAMETER, "A content type has at most %d bytes.",
                    CONTENT_TYPE_MAX_BYTES);
    uuid_new(uid);
    v->object = (struct vault_version){
        .uid = arena_strdup(v->arena, uid),
        .name = v->name,
        .shown = json_own(v->arena, json_new_object()),
        .tags = json_own(v->arena, json_new_object()),
        .is_enabled = true,
    };
    if (type)
        json_set_text(v->object.shown, "contentType", type);
    v->object.wrapped = secret_wrap(v->arena, &v->control->service_key, vault_context(v->arena, uid),
                                    value, strlen(value));
    return vault_read_common(v, &v->object, err);
}

static int add(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct vault_call *v = ctx;

    v->found = vault_version_add(conn, a, &v->query, &v->object, err);
    return v->found < 0 ? -1 : 0;
}

static int run_set(struct vault_call *v, struct error *err)
{
    if (read_set(v, err) || vault_transact(v, add, v, err))
        return -1;
    if (!v->found)
        return fail(err, &E_OBJECT_DELETED,
                    "Secret %s is currently in a deleted but recoverable state, and its name cannot "
                    "be reused; in this state, the secret can only be recovered or purged.",
                    v->name);
    vault_reply(v, 200, vault_bundle(v, &v->object, json_text(v->body, "value")));
    return 0;
}

/* NUL-terminated. */
static int unwrap(struct control *control, struct arena *a, const struct vault_version *object,
                  const char **ret, struct error *err)
{
    uint8_t *bytes = NULL;
    size_t len = 0;

    if (secret_unwrap(a, &control->service_key, vault_context(a, object->uid), object->wrapped,
                      &bytes, &len, err))
        return wrap(err, "secret of a vault");
    *ret = arena_strndup(a, (const char *)bytes, len);
    secret_cleanse(bytes, len);
    return 0;
}

static int run_get(struct vault_call *v, struct error *err)
{
    const char *value = NULL;

    if (vault_load(v, err))
        return -1;
    if (!v->object.is_enabled)
        return fail(err, &E_OBJECT_DISABLED, "Operation get is not allowed on a disabled secret.");
    if (unwrap(v->control, v->arena, &v->object, &value, err))
        return -1;
    vault_reply(v, 200, vault_bundle(v, &v->object, value));
    return 0;
}

/* For templates ---------------------------------------------------------------------------------- */

struct fetch {
    const char *key;
    struct vault_query query;
    const char *version;
    struct resource *vault;
    struct vault_version object;
    int has_vault, has_object;
};

static int look(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct fetch *f = ctx;

    f->has_vault = resource_by_key(conn, a, f->key, false, &f->vault, err);
    if (f->has_vault <= 0)
        return f->has_vault;
    f->has_vault = text_eq(f->vault->type_key, VAULT_TYPE_KEY);
    f->query.vault_uid = f->vault->uid;
    f->has_object = vault_version_get(conn, a, &f->query, f->version, &f->object, err);
    return f->has_object < 0 ? -1 : 0;
}

static int check_vault(struct arena *a, const struct resource *vault, struct error *err)
{
    struct network_origin origin = { .service = NETWORK_TRUSTED };

    if (!json_bool(vault->body, "properties.enabledForTemplateDeployment", false))
        return fail(err, &E_VAULT_REFUSES,
                    "The vault '%s' is not enabled for template deployment: set "
                    "enabledForTemplateDeployment on it.",
                    vault->name);
    if (!vault_admits(a, vault, &origin))
        return fail(err, &E_VAULT_REFUSES,
                    "The firewall of the vault '%s' does not let Azure services in.", vault->name);
    return 0;
}

int vault_secret_fetch(struct control *control, struct arena *a, const struct caller *caller,
                       const char *vault_id, const char *name, const char *version,
                       const char **ret_value, struct error *err)
{
    struct fetch f = { .key = text_lower(a, vault_id),
                       .query = { .kind = VAULT_SECRET, .name_key = text_lower(a, name) } };

    if (access_check(control, a, caller, "Microsoft.KeyVault/vaults/deploy/action", vault_id, err))
        return -1;
    if (version && version[0])
        f.version = vault_version_uuid(a, version);
    if (version && version[0] && !f.version)
        return fail(err, &E_SECRET_NOT_FOUND, "'%.60s' is not the version of a secret.", version);
    if (pg_with(control->db, a, look, &f, err))
        return -1;
    if (!f.has_vault)
        return fail(err, &E_RESOURCE_NOT_FOUND, "There is no key vault '%.300s'.", vault_id);
    if (check_vault(a, f.vault, err))
        return -1;
    if (!f.has_object || !f.object.is_enabled)
        return fail(err, &E_SECRET_NOT_FOUND,
                    "The key vault '%s' has no enabled secret '%.127s'%s%.32s.", f.vault->name, name,
                    version ? " of the version " : "", version ? version : "");
    return unwrap(control, a, &f.object, ret_value, err);
}

#define SECRETS .kind = VAULT_SECRET
#define READ_METADATA .action = "secrets/readMetadata/action"

const struct vault_endpoint secret_set = { SECRETS, .right = "set",
                                           .action = "secrets/setSecret/action",
                                           .needs_body = true, .has_name = true, .run = run_set };
const struct vault_endpoint secret_get = { SECRETS, .right = "get",
                                           .action = "secrets/getSecret/action", .has_name = true,
                                           .has_version = true, .run = run_get };
const struct vault_endpoint secret_change = { SECRETS, .right = "set",
                                              .action = "secrets/update/action",
                                              .needs_body = true, .has_name = true,
                                              .has_version = true, .run = vault_run_change };
const struct vault_endpoint secret_delete = { SECRETS, .right = "delete",
                                              .action = "secrets/delete", .has_name = true,
                                              .run = vault_run_delete };
const struct vault_endpoint secret_list = { SECRETS, .right = "list", READ_METADATA,
                                            .run = vault_run_list };
const struct vault_endpoint secret_versions = { SECRETS, .right = "list", READ_METADATA,
                                                .has_name = true, .run = vault_run_versions };
const struct vault_endpoint secret_deleted_list = { SECRETS, .right = "list", READ_METADATA,
                                                    .is_deleted = true, .run = vault_run_list };
const struct vault_endpoint secret_deleted = { SECRETS, .right = "get", READ_METADATA,
                                               .has_name = true, .is_deleted = true,
                                               .run = vault_run_show };
const struct vault_endpoint secret_recover = { SECRETS, .right = "recover",
                                               .action = "secrets/recover/action",
                                               .has_name = true, .is_deleted = true,
                                               .run = vault_run_recover };
const struct vault_endpoint secret_purge = { SECRETS, .right = "purge",
                                             .action = "secrets/purge/action", .has_name = true,
                                             .is_deleted = true, .run = vault_run_purge };

/* Keys: made here or brought here; the private half rests wrapped with the service key and leaves never in
 * the clear. */
#include "controlplane/keyvault/keys.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/crypto/key_pair.h"
#include "common/crypto/secret.h"
#include "common/json/json.h"

#include "controlplane/keyvault/call.h"

#define NO_HSM                                                                                     \
    "The kty is 'RSA' or 'EC': there is no hardware security module here, and there are no "       \
    "symmetric keys."

static const char *const rsa_operations[] = { "encrypt", "decrypt", "sign",
                                              "verify",  "wrapKey", "unwrapKey" };
static const char *const ec_operations[] = { "sign", "verify" };

struct material {
    const char *kty, *curve;
    int64_t bits;
};

static bool is_ec(const struct material *m)
{
    return text_eq(m->kty, "EC");
}

static int read_material(struct vault_call *v, struct material *ret, struct error *err)
{
    const char *kty = json_text(v->body, "kty"), *curve = json_text(v->body, "crv");

    *ret = (struct material){ .kty = kty, .bits = json_int(v->body, "key_size", 2048) };
    if (text_eq(kty, "RSA")) {
        if (ret->bits != 2048 && ret->bits != 3072 && ret->bits != 4096)
            return fail(err, &E_VAULT_PARAMETER, "The key_size of RSA is 2048, 3072 or 4096.");
        return 0;
    }
    if (!text_eq(kty, "EC"))
        return fail(err, &E_VAULT_PARAMETER, NO_HSM);
    ret->curve = curve ? curve : "P-256";
    if (!text_eq(ret->curve, "P-256") && !text_eq(ret->curve, "P-384") &&
        !text_eq(ret->curve, "P-521") && !text_eq(ret->curve, "P-256K"))
        return fail(err, &E_VAULT_PARAMETER, "The crv is P-256, P-384, P-521 or P-256K.");
    return 0;
}

static bool is_operation(const char *name, bool is_of_ec)
{
    size_t count = is_of_ec ? ARRAY_LEN(ec_operations) : ARRAY_LEN(rsa_operations);

    for (size_t i = 0; i < count; i++) {
        if (text_eq(name, is_of_ec ? ec_operations[i] : rsa_operations[i]))
            return true;
    }
    return false;
}

/* Those asked for, or all that the kind of key can do. */
static int read_operations(struct vault_call *v, const struct json_object *asked, bool is_of_ec,
                           struct json_object **ret, struct error *err)
{
    struct json_object *list = json_own(v->arena, json_new_array());
    size_t count = is_of_ec ? ARRAY_LEN(ec_operations) : ARRAY_LEN(rsa_operations);

    *ret = list;
    for (size_t i = 0; json_count(asked) == 0 && i < count; i++)
        json_add_text(list, is_of_ec ? ec_operations[i] : rsa_operations[i]);
    for (size_t i = 0; i < json_count(asked); i++) {
        const char *name = json_text(json_item(asked, i), "");

        if (!name || !is_operation(name, is_of_ec))
            return fail(err, &E_VAULT_PARAMETER, "'%.32s' is no operation of this kind of key.",
                        name ? name : "");
        json_add_text(list, name);
    }
    return 0;
}

void vault_key_version(struct arena *a, const struct control *control, const struct key_pair *key,
                       struct json_object *operations, struct vault_version *ret)
{
    struct json_object *shown = json_own(a, json_new_object());
    struct json_object *jwk = key_pair_jwk(a, key);
    char *pem = key_pair_pem(a, key);
    char uid[UUID_TEXT_LEN + 1];

    uuid_new(uid);
    json_set(jwk, "key_ops", json_get(operations));
    json_set(shown, "key", jwk);
    json_set_int(shown, "bits", key_pair_bits(key));
    ret->uid = arena_strdup(a, uid);
    ret->shown = shown;
    ret->wrapped = secret_wrap(a, &control->service_key, vault_context(a, uid), pem, strlen(pem));
    secret_cleanse(pem, strlen(pem));
}

struct key_pair *vault_key_like(const struct json_object *shown)
{
    const char *curve = json_text(shown, "key.crv");

    return curve ? key_pair_new_ec(curve) : key_pair_new_rsa((int)json_int(shown, "bits", 2048));
}

static void make_version(struct vault_call *v, const struct key_pair *key,
                         struct json_object *operations)
{
    vault_key_version(v->arena, v->control, key, operations, &v->object);
    v->object.name = v->name;
}

static int add(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct vault_call *v = ctx;

    v->found = vault_version_add(conn, a, &v->query, &v->object, err);
    return v->found < 0 ? -1 : 0;
}

static int store_version(struct vault_call *v, struct error *err)
{
    if (vault_transact(v, add, v, err))
        return -1;
    if (!v->found)
        return fail(err, &E_OBJECT_DELETED,
                    "Key %s is currently in a deleted but recoverable state, and its name cannot be "
                    "reused; in this state, the key can only be recovered or purged.",
                    v->name);
    vault_reply(v, 200, vault_bundle(v, &v->object, NULL));
    return 0;
}

static struct vault_version fresh(struct vault_call *v)
{
    return (struct vault_version){ .tags = json_own(v->arena, json_new_object()), .is_enabled = true };
}

static int run_create(struct vault_call *v, struct error *err)
{
    _cleanup_(key_pair_freep) struct key_pair *key = NULL;
    struct json_object *operations = NULL;
    struct material m;

    v->object = fresh(v);
    if (read_material(v, &m, err) ||
        read_operations(v, json_at(v->body, "key_ops"), is_ec(&m), &operations, err) ||
        vault_read_common(v, &v->object, err))
        return -1;
    key = is_ec(&m) ? key_pair_new_ec(m.curve) : key_pair_new_rsa((int)m.bits);
    make_version(v, key, operations);
    return store_version(v, err);
}

static int run_import(struct vault_call *v, struct error *err)
{
    const struct json_object *jwk = json_at(v->body, "key");
    _cleanup_(key_pair_freep) struct key_pair *key = NULL;
    struct json_object *operations = NULL;

    v->object = fresh(v);
    if (json_bool(v->body, "Hsm", false) || json_bool(v->body, "hsm", false))
        return fail(err, &E_VAULT_PARAMETER, NO_HSM);
    if (vault_read_common(v, &v->object, err))
        return -1;
    if (key_pair_of_jwk(v->arena, jwk, &key, err))
        return vault_fail_parameter(err);
    if (read_operations(v, json_at(jwk, "key_ops"), key_pair_bits(key) == 0, &operations, err))
        return -1;
    make_version(v, key, operations);
    return store_version(v, err);
}

static int read_expiry(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct vault_call *v = ctx;
    struct json_object *policy = NULL;

    return vault_rotation_get(conn, a, &v->query, &policy, &v->object.expires_us, err) < 0 ? -1 : 0;
}

/* The same kind of key with the same tags; when it expires is said by the rotation policy, if there is
 * one. */
static int run_rotate(struct vault_call *v, struct error *err)
{
    _cleanup_(key_pair_freep) struct key_pair *key = NULL;

    if (vault_load(v, err))
        return -1;
    v->object.is_enabled = true;
    v->object.not_before_us = v->object.expires_us = 0;
    if (pg_with(v->control->db, v->arena, read_expiry, v, err))
        return -1;
    key = vault_key_like(v->object.shown);
    make_version(v, key, json_at(v->object.shown, "key.key_ops"));
    return store_version(v, err);
}

static int run_change(struct vault_call *v, struct error *err)
{
    struct json_object *operations = NULL;

    if (json_at(v->body, "key_ops")) {
        if (vault_load(v, err) ||
            read_operations(v, json_at(v->body, "key_ops"),
                            text_eq(json_text(v->object.shown, "key.kty"), "EC"), &operations, err))
            return -1;
    }
    return vault_run_change(v, err);
}

#define KEYS .kind = VAULT_KEY
#define READ .action = "keys/read"
#define USE(right_, action_, run_)                                                                 \
    { KEYS, .right = right_, .action = "keys/" action_ "/action", .needs_body = true,              \
      .has_name = true, .has_version = true, .run = run_ }

const struct vault_endpoint key_create = { KEYS, .right = "create", .action = "keys/create/action",
                                           .needs_body = true, .has_name = true,
                                           .run = run_create };
const struct vault_endpoint key_import = { KEYS, .right = "import", .action = "keys/import/action",
                                           .needs_body = true, .has_name = true,
                                           .run = run_import };
const struct vault_endpoint key_rotate = { KEYS, .right = "rotate", .action = "keys/rotate/action",
                                           .has_name = true, .run = run_rotate };
const struct vault_endpoint key_get = { KEYS, .right = "get", READ, .has_name = true,
                                        .has_version = true, .run = vault_run_show };
const struct vault_endpoint key_change = USE("update", "update", run_change);
const struct vault_endpoint key_delete = { KEYS, .right = "delete", .action = "keys/delete",
                                           .has_name = true, .run = vault_run_delete };
const struct vault_endpoint key_list = { KEYS, .right = "list", READ, .run = vault_run_list };
const struct vault_endpoint key_versions = { KEYS, .right = "list", READ, .has_name = true,
                                             .run = vault_run_versions };
const struct vault_endpoint key_deleted_list = { KEYS, .right = "list", READ, .is_deleted = true,
                                                 .run = vault_run_list };
const struct vault_endpoint key_deleted = { KEYS, .right = "get", READ, .has_name = true,
                                            .is_deleted = true, .run = vault_run_show };
const struct vault_endpoint key_recover = { KEYS, .right = "recover",
                                            .action = "keys/recover/action", .has_name = true,
                                            .is_deleted = true, .run = vault_run_recover };
const struct vault_endpoint key_purge = { KEYS, .right = "purge", .action = "keys/purge/action",
                                          .has_name = true, .is_deleted = true,
                                          .run = vault_run_purge };

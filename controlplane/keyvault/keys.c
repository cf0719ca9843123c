/* Keys: made here, used here; the private half rests wrapped with the service key and leaves never. */
#include "controlplane/keyvault/call.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/crypto/key_pair.h"
#include "common/crypto/secret.h"
#include "common/json/json.h"

#define VALUE_MAX_BYTES 8192

static const struct error_code E_KEY_OPERATION = { "KeyOperationForbidden", 403 };

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
        return fail(err, &E_VAULT_PARAMETER,
                    "The kty is 'RSA' or 'EC': there is no hardware security module here, and there "
                    "are no symmetric keys.");
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
static int read_operations(struct vault_call *v, bool is_of_ec, struct json_object **ret,
                           struct error *err)
{
    const struct json_object *asked = json_at(v->body, "key_ops");
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

/* v->object becomes a new version. operations is shared with it. */
static void make_version(struct vault_call *v, const struct material *m,
                         struct json_object *operations)
{
    _cleanup_(key_pair_freep) struct key_pair *key =
        is_ec(m) ? key_pair_new_ec(m->curve) : key_pair_new_rsa((int)m->bits);
    struct json_object *shown = json_own(v->arena, json_new_object());
    struct json_object *jwk = key_pair_jwk(v->arena, key);
    char *pem = key_pair_pem(v->arena, key);
    char uid[UUID_TEXT_LEN + 1];

    uuid_new(uid);
    json_set(jwk, "key_ops", json_get(operations));
    json_set(shown, "key", jwk);
    json_set_int(shown, "bits", is_ec(m) ? 0 : m->bits);
    v->object.uid = arena_strdup(v->arena, uid);
    v->object.name = v->name;
    v->object.shown = shown;
    v->object.wrapped = secret_wrap(v->arena, &v->control->service_key,
                                    vault_context(v->arena, uid), pem, strlen(pem));
    secret_cleanse(pem, strlen(pem));
}

static int add(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct vault_call *v = ctx;

    v->found = vault_version_add(conn, a, &v->query, &v->object, err);
    return v->found < 0 ? -1 : 0;
}

static int store_version(struct vault_call *v, struct error *err)
{
    if (vault_transact(v, add, err))
        return -1;
    if (!v->found)
        return fail(err, &E_OBJECT_DELETED,
                    "Key %s is currently in a deleted but recoverable state, and its name cannot be "
                    "reused; in this state, the key can only be recovered or purged.",
                    v->name);
    vault_reply(v, 200, vault_bundle(v, &v->object, NULL));
    return 0;
}

static int run_create(struct vault_call *v, struct error *err)
{
    struct json_object *operations = NULL;
    struct material m;

    v->object = (struct vault_version){ .tags = json_own(v->arena, json_new_object()),
                                        .is_enabled = true };
    if (read_material(v, &m, err) || read_operations(v, is_ec(&m), &operations, err) ||
        vault_read_common(v, &v->object, err))
        return -1;
    make_version(v, &m, operations);
    return store_version(v, err);
}

/* The same kind of key with the same tags; times of validity are each version's own. */
static int run_rotate(struct vault_call *v, struct error *err)
{
    struct material m;

    if (vault_load(v, err))
        return -1;
    m = (struct material){ .kty = json_text(v->object.shown, "key.kty"),
                           .curve = json_text(v->object.shown, "key.crv"),
                           .bits = json_int(v->object.shown, "bits", 2048) };
    v->object.is_enabled = true;
    v->object.not_before_us = v->object.expires_us = 0;
    make_version(v, &m, json_at(v->object.shown, "key.key_ops"));
    return store_version(v, err);
}

static int run_change(struct vault_call *v, struct error *err)
{
    struct json_object *operations = NULL;

    if (json_at(v->body, "key_ops")) {
        if (vault_load(v, err) ||
            read_operations(v, text_eq(json_text(v->object.shown, "key.kty"), "EC"), &operations,
                            err))
            return -1;
    }
    return vault_run_change(v, err);
}

/* Using a key ------------------------------------------------------------------------------------ */

enum use { ENCRYPT, DECRYPT, WRAP, UNWRAP, SIGN, VERIFY, USE_MAX };

static const char *const use_names[USE_MAX] = {
    [ENCRYPT] = "encrypt", [DECRYPT] = "decrypt", [WRAP] = "wrapKey",
    [UNWRAP] = "unwrapKey", [SIGN] = "sign",      [VERIFY] = "verify",
};

/* Outside its time a key still opens what it closed, and no more. */
static int check_use(const struct vault_call *v, enum use use, struct error *err)
{
    const struct json_object *allowed = json_at(v->object.shown, "key.key_ops");
    bool is_making = use == ENCRYPT || use == WRAP || use == SIGN;
    int64_t now = clock_wall_us();
    bool is_allowed = false;

    for (size_t i = 0; i < json_count(allowed); i++)
        is_allowed |= text_eq(json_text(json_item(allowed, i), ""), use_names[use]);
    if (!is_allowed)
        return fail(err, &E_KEY_OPERATION, "Operation %s is not permitted on this key.",
                    use_names[use]);
    if (!v->object.is_enabled)
        return fail(err, &E_OBJECT_DISABLED, "Operation %s is not allowed on a disabled key.",
                    use_names[use]);
    if (is_making && ((v->object.not_before_us && now < v->object.not_before_us) ||
                      (v->object.expires_us && now >= v->object.expires_us)))
        return fail(err, &E_OBJECT_DISABLED,
                    "Operation %s is not allowed on a key that is expired or not yet valid.",
                    use_names[use]);
    return 0;
}

static int read_bytes(struct vault_call *v, const char *name, struct key_bytes *ret,
                      struct error *err)
{
    const char *text = json_text(v->body, name);

    ret->data = NULL;
    if (text && strlen(text) <= VALUE_MAX_BYTES)
        ret->data = text_unbase64(v->arena, text, strlen(text), &ret->len);
    if (!ret->data)
        return fail(err, &E_VAULT_PARAMETER,
                    "The parameter '%s' is a base64url text of at most %d characters.", name,
                    VALUE_MAX_BYTES);
    return 0;
}

static int open_key(struct vault_call *v, struct key_pair **ret, struct error *err)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    char *pem;
    int rc;

    if (secret_unwrap(v->arena, &v->control->service_key, vault_context(v->arena, v->object.uid),
                      v->object.wrapped, &bytes, &len, err))
        return wrap(err, "key of a vault");
    pem = arena_strndup(v->arena, (const char *)bytes, len);
    rc = key_pair_parse(pem, ret, err);
    secret_cleanse(pem, len);
    secret_cleanse(bytes, len);
    return rc;
}

static int apply(struct vault_call *v, enum use use, const struct key_pair *key,
                 struct key_bytes value, struct json_object *out, struct error *err)
{
    const char *algorithm = json_text(v->body, "alg");
    struct key_bytes result = { NULL, 0 }, digest;
    int rc;

    switch (use) {
    case ENCRYPT:
    case WRAP:
        rc = key_pair_encrypt(v->arena, key, algorithm, value, &result, err);
        break;
    case DECRYPT:
    case UNWRAP:
        rc = key_pair_decrypt(v->arena, key, algorithm, value, &result, err);
        break;
    case SIGN:
        rc = key_pair_sign(v->arena, key, algorithm, value, &result, err);
        break;
    case VERIFY:
        if (read_bytes(v, "digest", &digest, err))
            return -1;
        rc = key_pair_verify(v->arena, key, algorithm, digest, value, err);
        if (rc >= 0)
            json_set_bool(out, "value", rc == 1);
        return rc < 0 ? -1 : 0;
    case USE_MAX:
        abort();
    }
    if (rc == 0)
        json_set_text(out, "value", text_base64url(v->arena, result.data, result.len));
    return rc;
}

static int use_key(struct vault_call *v, enum use use, struct error *err)
{
    _cleanup_(key_pair_freep) struct key_pair *key = NULL;
    struct json_object *out = json_own(v->arena, json_new_object());
    struct key_bytes value = { NULL, 0 };

    if (read_bytes(v, "value", &value, err) || vault_load(v, err) || check_use(v, use, err) ||
        open_key(v, &key, err))
        return -1;
    if (use != VERIFY)
        json_set_text(out, "kid", vault_object_id(v, &v->object, true));
    if (apply(v, use, key, value, out, err)) {
        if (err->code == &E_INVALID)
            err->code = &E_VAULT_PARAMETER;
        return -1;
    }
    vault_reply(v, 200, json_get(out));
    return 0;
}

static int run_encrypt(struct vault_call *v, struct error *err)
{
    return use_key(v, ENCRYPT, err);
}

static int run_decrypt(struct vault_call *v, struct error *err)
{
    return use_key(v, DECRYPT, err);
}

static int run_wrap(struct vault_call *v, struct error *err)
{
    return use_key(v, WRAP, err);
}

static int run_unwrap(struct vault_call *v, struct error *err)
{
    return use_key(v, UNWRAP, err);
}

static int run_sign(struct vault_call *v, struct error *err)
{
    return use_key(v, SIGN, err);
}

static int run_verify(struct vault_call *v, struct error *err)
{
    return use_key(v, VERIFY, err);
}

#define KEYS .kind = VAULT_KEY
#define READ .action = "keys/read"
#define USE(right_, action_, run_)                                                                 \
    { KEYS, .right = right_, .action = "keys/" action_ "/action", .needs_body = true,              \
      .has_name = true, .has_version = true, .run = run_ }

const struct vault_endpoint key_create = { KEYS, .right = "create", .action = "keys/create/action",
                                           .needs_body = true, .has_name = true,
                                           .run = run_create };
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
const struct vault_endpoint key_encrypt = USE("encrypt", "encrypt", run_encrypt);
const struct vault_endpoint key_decrypt = USE("decrypt", "decrypt", run_decrypt);
const struct vault_endpoint key_wrap = USE("wrapKey", "wrap", run_wrap);
const struct vault_endpoint key_unwrap = USE("unwrapKey", "unwrap", run_unwrap);
const struct vault_endpoint key_sign = USE("sign", "sign", run_sign);
const struct vault_endpoint key_verify = USE("verify", "verify", run_verify);

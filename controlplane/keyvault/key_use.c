/* What keys are for: each use opens the private half for the time of one request. */
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
    if (apply(v, use, key, value, out, err))
        return vault_fail_parameter(err);
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

#define USE(right_, action_, run_)                                                                 \
    { .kind = VAULT_KEY, .right = right_, .action = "keys/" action_ "/action", .needs_body = true, \
      .has_name = true, .has_version = true, .run = run_ }

const struct vault_endpoint key_encrypt = USE("encrypt", "encrypt", run_encrypt);
const struct vault_endpoint key_decrypt = USE("decrypt", "decrypt", run_decrypt);
const struct vault_endpoint key_wrap = USE("wrapKey", "wrap", run_wrap);
const struct vault_endpoint key_unwrap = USE("unwrapKey", "unwrap", run_unwrap);
const struct vault_endpoint key_sign = USE("sign", "sign", run_sign);
const struct vault_endpoint key_verify = USE("verify", "verify", run_verify);

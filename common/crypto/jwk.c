/* Keys out of JWKs: see the header. Private numbers are kept in OpenSSL's cleansed memory only. */
#include "common/crypto/jwk_internal.h"

#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include "common/base/arena.h"
#include "common/base/cleanup.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/crypto/openssl_cleanup.h"
#include "common/json/json.h"

#define NUMBER_MAX 1024 /* bytes: RSA 8192 */
#define COORDINATE_MAX 66 /* of P-521 */
#define EXPONENT_BITS_MAX 64

static void bld_freep(OSSL_PARAM_BLD **b)
{
    OSSL_PARAM_BLD_free(*b);
}

static void params_freep(OSSL_PARAM **p)
{
    OSSL_PARAM_free(*p);
}

static EVP_PKEY *make_key(const char *kind, OSSL_PARAM_BLD *bld, bool is_private)
{
    _cleanup_(params_freep) OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
    _cleanup_(pkey_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, kind, NULL);
    EVP_PKEY *key = NULL;

    if (!params || !ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &key, is_private ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, params) != 1)
        return NULL;
    return key;
}

static uint8_t *member(struct arena *a, const struct json_object *jwk, const char *name,
                       size_t *ret_len)
{
    const char *text = json_text(jwk, name);

    return text && strlen(text) <= 2 * NUMBER_MAX ? text_unbase64(a, text, strlen(text), ret_len) : NULL;
}

/* NULL: it is missing. */
static BIGNUM *number(struct arena *a, const struct json_object *jwk, const char *name)
{
    size_t len = 0;
    uint8_t *bytes = member(a, jwk, name, &len);
    BIGNUM *n = bytes ? BN_bin2bn(bytes, (int)len, BN_secure_new()) : NULL;

    if (bytes)
        secret_cleanse(bytes, len);
    return n;
}

enum { E, N, D, P, RSA_NUMBERS = 8 };

static const char *const rsa_numbers[RSA_NUMBERS][2] = {
    [E] = { "e", OSSL_PKEY_PARAM_RSA_E },
    [N] = { "n", OSSL_PKEY_PARAM_RSA_N },
    [D] = { "d", OSSL_PKEY_PARAM_RSA_D },
    [P] = { "p", OSSL_PKEY_PARAM_RSA_FACTOR1 },
    { "q", OSSL_PKEY_PARAM_RSA_FACTOR2 },
    { "dp", OSSL_PKEY_PARAM_RSA_EXPONENT1 },
    { "dq", OSSL_PKEY_PARAM_RSA_EXPONENT2 },
    { "qi", OSSL_PKEY_PARAM_RSA_COEFFICIENT1 },
};

/* The numbers stay the caller's, in `kept`, until the key is made. */
static bool push_numbers(struct arena *a, OSSL_PARAM_BLD *bld, const struct json_object *jwk,
                         BIGNUM **kept, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        kept[i] = number(a, jwk, rsa_numbers[i][0]);
        if (!kept[i] || OSSL_PARAM_BLD_push_BN(bld, rsa_numbers[i][1], kept[i]) != 1)
            return false;
    }
    return true;
}

/* What is checked for being prime has half the length of the modulus, so that it takes its time at most. */
static bool is_measured(BIGNUM *const *numbers)
{
    for (size_t i = P; i < RSA_NUMBERS; i++) {
        if (numbers[i] && 2 * BN_num_bits(numbers[i]) > BN_num_bits(numbers[N]) + 2)
            return false;
    }
    return BN_num_bits(numbers[E]) <= EXPONENT_BITS_MAX;
}

EVP_PKEY *jwk_rsa(struct arena *a, const struct json_object *jwk, bool is_private)
{
    _cleanup_(bld_freep) OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    BIGNUM *kept[RSA_NUMBERS] = { NULL };
    EVP_PKEY *key = NULL;

    if (bld && push_numbers(a, bld, jwk, kept, is_private ? RSA_NUMBERS : D) && is_measured(kept))
        key = make_key("RSA", bld, is_private);
    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        BN_clear_free(kept[i]);
    return key;
}

static bool read_coordinate(struct arena *a, const struct json_object *jwk, const char *name,
                            size_t bytes, bool may_be_short, uint8_t *ret)
{
    size_t len = 0;
    const uint8_t *given = member(a, jwk, name, &len);

    if (!given || len == 0 || len > bytes || (len < bytes && !may_be_short))
        return false;
    memcpy(ret + bytes - len, given, len);
    return true;
}

EVP_PKEY *jwk_ec(struct arena *a, const struct json_object *jwk, const char *group, size_t bytes,
                 bool is_private)
{
    _cleanup_(bld_freep) OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    uint8_t point[1 + 2 * COORDINATE_MAX] = { 4 }; /* uncompressed */
    BIGNUM *d = is_private ? number(a, jwk, "d") : NULL;
    EVP_PKEY *key = NULL;

    if (bytes <= COORDINATE_MAX && bld && (d || !is_private) &&
        read_coordinate(a, jwk, "x", bytes, is_private, point + 1) &&
        read_coordinate(a, jwk, "y", bytes, is_private, point + 1 + bytes) &&
        OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, group, 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * bytes) == 1 &&
        (!d || OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_PRIV_KEY, d) == 1))
        key = make_key("EC", bld, is_private);
    BN_clear_free(d);
    return key;
}

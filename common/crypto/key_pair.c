/* Key pairs of vaults on OpenSSL: see the header. */
#include "common/crypto/key_pair.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/crypto/jwk_internal.h"
#include "common/crypto/openssl_cleanup.h"
#include "common/json/json.h"

#define PEM_MAX        16384
#define SIGNATURE_MAX  1024 /* of RSA 4096: 512 */
#define COORDINATE_MAX 66   /* of P-521 */

struct key_pair {
    EVP_PKEY *pkey;
    const struct curve *curve; /* NULL: RSA */
};

static const struct curve {
    const char *name, *group, *algorithm;
    size_t bytes;
} curves[] = {
    { "P-256", "prime256v1", "ES256", 32 },
    { "P-384", "secp384r1", "ES384", 48 },
    { "P-521", "secp521r1", "ES512", 66 },
    { "P-256K", "secp256k1", "ES256K", 32 },
};

static const struct algorithm {
    const char *name;
    const char *digest;
    size_t digest_len;
    int padding; /* 0: not RSA's */
} algorithms[] = {
    { "RSA-OAEP", "SHA1", 0, RSA_PKCS1_OAEP_PADDING },
    { "RSA-OAEP-256", "SHA256", 0, RSA_PKCS1_OAEP_PADDING },
    { "RS256", "SHA256", 32, RSA_PKCS1_PADDING },
    { "RS384", "SHA384", 48, RSA_PKCS1_PADDING },
    { "RS512", "SHA512", 64, RSA_PKCS1_PADDING },
    { "PS256", "SHA256", 32, RSA_PKCS1_PSS_PADDING },
    { "PS384", "SHA384", 48, RSA_PKCS1_PSS_PADDING },
    { "PS512", "SHA512", 64, RSA_PKCS1_PSS_PADDING },
    { "ES256", "SHA256", 32, 0 },
    { "ES384", "SHA384", 48, 0 },
    { "ES512", "SHA512", 64, 0 },
    { "ES256K", "SHA256", 32, 0 },
};

static int no_passphrase(char *buf, int size, int rwflag, void *ctx)
{
    (void)buf, (void)size, (void)rwflag, (void)ctx;
    return -1;
}

static const struct curve *curve_of(const EVP_PKEY *pkey)
{
    char group[32];

    if (EVP_PKEY_get_base_id(pkey) != EVP_PKEY_EC ||
        EVP_PKEY_get_group_name(pkey, group, sizeof(group), NULL) != 1)
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(curves); i++) {
        if (text_eq(curves[i].group, group))
            return &curves[i];
    }
    return NULL;
}

/* Takes pkey over. */
static struct key_pair *key_of(EVP_PKEY *pkey)
{
    struct key_pair *key = calloc(1, sizeof(*key));

    if (!key)
        abort();
    key->pkey = pkey;
    key->curve = curve_of(pkey);
    return key;
}

struct key_pair *key_pair_new_rsa(int bits)
{
    EVP_PKEY *pkey = EVP_RSA_gen((unsigned)bits);

    if (!pkey)
        abort();
    return key_of(pkey);
}

struct key_pair *key_pair_new_ec(const char *curve)
{
    for (size_t i = 0; i < ARRAY_LEN(curves); i++) {
        if (!text_eq(curves[i].name, curve))
            continue;
        EVP_PKEY *pkey = EVP_EC_gen(curves[i].group);
        if (!pkey)
            abort();
        return key_of(pkey);
    }
    return NULL;
}

char *key_pair_pem(struct arena *a, const struct key_pair *key)
{
    _cleanup_(bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    char *data = NULL, *text;

    if (!bio ||
        PEM_write_bio_PKCS8PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL) != 1)
        abort();
    long len = BIO_get_mem_data(bio, &data);
    text = arena_strndup(a, data, (size_t)len);
    OPENSSL_cleanse(data, (size_t)len);
    return text;
}

int key_pair_parse(const char *pem, struct key_pair **ret, struct error *err)
{
    size_t len = strnlen(pem, PEM_MAX + 1);
    _cleanup_(bio_freep) BIO *bio = len <= PEM_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
    _cleanup_(pkey_freep) EVP_PKEY *pkey =
        bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;

    if (!pkey || !(EVP_PKEY_get_base_id(pkey) == EVP_PKEY_RSA || curve_of(pkey)))
        return fail_cause(err, &E_INTERNAL, "a stored key does not parse");
    *ret = key_of(take(pkey));
    return 0;
}

int key_pair_bits(const struct key_pair *key)
{
    return key->curve ? 0 : EVP_PKEY_get_bits(key->pkey);
}

static EVP_PKEY *read_jwk(struct arena *a, const struct json_object *jwk)
{
    if (text_eq(json_text(jwk, "kty"), "RSA"))
        return jwk_rsa(a, jwk, true);
    for (size_t i = 0; text_eq(json_text(jwk, "kty"), "EC") && i < ARRAY_LEN(curves); i++) {
        if (text_eq(curves[i].name, json_text(jwk, "crv")))
            return jwk_ec(a, jwk, curves[i].group, curves[i].bytes, true);
    }
    return NULL;
}

static bool is_whole(EVP_PKEY *pkey)
{
    _cleanup_(pkey_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);

    return ctx && EVP_PKEY_check(ctx) == 1;
}

static bool is_rsa_size(int bits)
{
    return bits == 2048 || bits == 3072 || bits == 4096;
}

int key_pair_of_jwk(struct arena *a, const struct json_object *jwk, struct key_pair **ret,
                    struct error *err)
{
    _cleanup_(pkey_freep) EVP_PKEY *pkey = read_jwk(a, jwk);

    if (!pkey || (!curve_of(pkey) && !is_rsa_size(EVP_PKEY_get_bits(pkey))) || !is_whole(pkey)) {
        ERR_clear_error();
        return fail(err, &E_INVALID,
                    "The key is no private JWK of RSA 2048, 3072 or 4096 (n, e, d, p, q, dp, dq, qi), "
                    "P-256, P-384, P-521 or P-256K (x, y, d) whose numbers belong together.");
    }
    *ret = key_of(take(pkey));
    return 0;
}

void key_pair_free(struct key_pair *key)
{
    if (!key)
        return;
    EVP_PKEY_free(key->pkey);
    free(key);
}

void key_pair_freep(struct key_pair **key)
{
    key_pair_free(*key);
}

/* Padded to `bytes`; 0: as long as it is. */
static void set_number(struct arena *a, struct json_object *jwk, const char *name,
                       const EVP_PKEY *pkey, const char *parameter, size_t bytes)
{
    BIGNUM *raw = NULL;
    uint8_t *out;

    if (EVP_PKEY_get_bn_param(pkey, parameter, &raw) != 1)
        abort();
    _cleanup_(bignum_freep) BIGNUM *n = raw;
    if (bytes == 0)
        bytes = (size_t)BN_num_bytes(n);
    out = arena_alloc(a, bytes + 1);
    if (BN_bn2binpad(n, out, (int)bytes) != (int)bytes)
        abort();
    json_set_text(jwk, name, text_base64url(a, out, bytes));
}

struct json_object *key_pair_jwk(struct arena *a, const struct key_pair *key)
{
    struct json_object *jwk = json_new_object();

    json_set_text(jwk, "kty", key->curve ? "EC" : "RSA");
    if (key->curve) {
        json_set_text(jwk, "crv", key->curve->name);
        set_number(a, jwk, "x", key->pkey, OSSL_PKEY_PARAM_EC_PUB_X, key->curve->bytes);
        set_number(a, jwk, "y", key->pkey, OSSL_PKEY_PARAM_EC_PUB_Y, key->curve->bytes);
    } else {
        set_number(a, jwk, "n", key->pkey, OSSL_PKEY_PARAM_RSA_N, 0);
        set_number(a, jwk, "e", key->pkey, OSSL_PKEY_PARAM_RSA_E, 0);
    }
    return jwk;
}

static const struct algorithm *find(const struct key_pair *key, const char *name, bool is_signature,
                                    struct error *err)
{
    for (size_t i = 0; name && i < ARRAY_LEN(algorithms); i++) {
        const struct algorithm *x = &algorithms[i];

        if (text_eq(x->name, name) && (x->digest_len > 0) == is_signature &&
            (key->curve ? text_eq(key->curve->algorithm, name) : x->padding != 0))
            return x;
    }
    (void)fail(err, &E_INVALID, "The algorithm '%.32s' is none that this key is used with.",
               name ? name : "");
    return NULL;
}

/* What went wrong inside is nobody's business: it would tell of the key or of the message. */
static int fail_input(struct error *err)
{
    ERR_clear_error();
    return fail(err, &E_INVALID, "The value does not fit the key and the algorithm.");
}

static bool set_padding(EVP_PKEY_CTX *ctx, const struct algorithm *x)
{
    if (x->padding && EVP_PKEY_CTX_set_rsa_padding(ctx, x->padding) != 1)
        return false;
    if (x->padding == RSA_PKCS1_OAEP_PADDING)
        return EVP_PKEY_CTX_set_rsa_oaep_md_name(ctx, x->digest, NULL) == 1 &&
               EVP_PKEY_CTX_set_rsa_mgf1_md_name(ctx, x->digest, NULL) == 1;
    if (EVP_PKEY_CTX_set_signature_md(ctx, EVP_get_digestbyname(x->digest)) != 1)
        return false;
    return x->padding != RSA_PKCS1_PSS_PADDING ||
           EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1;
}

static int transform(struct arena *a, const struct key_pair *key, const char *algorithm,
                     struct key_bytes in, bool is_encrypt, struct key_bytes *ret, struct error *err)
{
    const struct algorithm *x = find(key, algorithm, false, err);
    _cleanup_(pkey_ctx_freep) EVP_PKEY_CTX *ctx =
        x ? EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL) : NULL;
    size_t len = SIGNATURE_MAX;
    uint8_t *out;

    if (!x)
        return -1;
    if (!ctx || (is_encrypt ? EVP_PKEY_encrypt_init(ctx) : EVP_PKEY_decrypt_init(ctx)) != 1 ||
        !set_padding(ctx, x))
        return fail_cause(err, &E_INTERNAL, "no %s here", x->name);
    out = arena_alloc(a, len);
    if ((is_encrypt ? EVP_PKEY_encrypt(ctx, out, &len, in.data, in.len)
                    : EVP_PKEY_decrypt(ctx, out, &len, in.data, in.len)) != 1)
        return fail_input(err);
    *ret = (struct key_bytes){ out, len };
    return 0;
}

int key_pair_encrypt(struct arena *a, const struct key_pair *key, const char *algorithm,
                     struct key_bytes plain, struct key_bytes *ret, struct error *err)
{
    return transform(a, key, algorithm, plain, true, ret, err);
}

int key_pair_decrypt(struct arena *a, const struct key_pair *key, const char *algorithm,
                     struct key_bytes sealed, struct key_bytes *ret, struct error *err)
{
    return transform(a, key, algorithm, sealed, false, ret, err);
}

/* r and s side by side, out of DER and back. */
static bool raw_of_der(const uint8_t *der, size_t len, size_t bytes, uint8_t *ret)
{
    const uint8_t *at = der;
    _cleanup_(ecdsa_sig_freep) ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, (long)len);
    int n = (int)bytes;

    return sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig), ret, n) == n &&
           BN_bn2binpad(ECDSA_SIG_get0_s(sig), ret + bytes, n) == n;
}

static size_t der_of_raw(const uint8_t *raw, size_t bytes, uint8_t ret[SIGNATURE_MAX])
{
    _cleanup_(ecdsa_sig_freep) ECDSA_SIG *sig = ECDSA_SIG_new();
    _cleanup_(bignum_freep) BIGNUM *r = BN_bin2bn(raw, (int)bytes, NULL);
    _cleanup_(bignum_freep) BIGNUM *s = BN_bin2bn(raw + bytes, (int)bytes, NULL);
    uint8_t *at = ret;
    int len;

    if (!sig || !r || !s || ECDSA_SIG_set0(sig, r, s) != 1)
        return 0;
    r = s = NULL; /* the signature's now */
    len = i2d_ECDSA_SIG(sig, NULL);
    return len > 0 && len <= SIGNATURE_MAX && i2d_ECDSA_SIG(sig, &at) == len ? (size_t)len : 0;
}

static int check_digest(const struct algorithm *x, struct key_bytes digest, struct error *err)
{
    if (digest.len == x->digest_len)
        return 0;
    return fail(err, &E_INVALID, "The digest of %s has %zu bytes, not %zu.", x->name, x->digest_len,
                digest.len);
}

int key_pair_sign(struct arena *a, const struct key_pair *key, const char *algorithm,
                  struct key_bytes digest, struct key_bytes *ret, struct error *err)
{
    const struct algorithm *x = find(key, algorithm, true, err);
    uint8_t *out = arena_alloc(a, SIGNATURE_MAX), *raw = arena_alloc(a, (size_t)2 * COORDINATE_MAX);
    size_t len = SIGNATURE_MAX;

    if (!x || check_digest(x, digest, err))
        return -1;
    _cleanup_(pkey_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
    if (!ctx || EVP_PKEY_sign_init(ctx) != 1 || !set_padding(ctx, x) ||
        EVP_PKEY_sign(ctx, out, &len, digest.data, digest.len) != 1)
        return fail_cause(err, &E_INTERNAL, "signing with %s failed", x->name);
    *ret = (struct key_bytes){ out, len };
    if (!key->curve)
        return 0;
    if (!raw_of_der(out, len, key->curve->bytes, raw))
        return fail_cause(err, &E_INTERNAL, "a signature has another form");
    *ret = (struct key_bytes){ raw, 2 * key->curve->bytes };
    return 0;
}

int key_pair_verify(struct arena *a, const struct key_pair *key, const char *algorithm,
                    struct key_bytes digest, struct key_bytes signature, struct error *err)
{
    const struct algorithm *x = find(key, algorithm, true, err);
    uint8_t der[SIGNATURE_MAX];
    int verdict;

    (void)a;
    if (!x || check_digest(x, digest, err))
        return -1;
    if (key->curve) {
        if (signature.len != 2 * key->curve->bytes)
            return 0;
        signature.len = der_of_raw(signature.data, key->curve->bytes, der);
        signature.data = der;
    }
    _cleanup_(pkey_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
    if (!ctx || EVP_PKEY_verify_init(ctx) != 1 || !set_padding(ctx, x))
        return fail_cause(err, &E_INTERNAL, "no %s here", x->name);
    verdict = EVP_PKEY_verify(ctx, signature.data, signature.len, digest.data, digest.len);
    ERR_clear_error();
    return verdict == 1;
}

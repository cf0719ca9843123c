/* Verifying tokens of others: see the header. Every path goes through one EVP verification whose
 * algorithm is decided by header and kind of key together, so a public key is never a secret. */
#include "common/crypto/foreign_token.h"

#include <string.h>

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/crypto/foreign_internal.h"
#include "common/crypto/jwk_internal.h"
#include "common/crypto/openssl_cleanup.h"
#include "common/crypto/token.h"
#include "common/json/json.h"

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192
#define SIGNATURE_MAX 1024
#define P256_LEN 32

static void md_ctx_freep(EVP_MD_CTX **c)
{
    EVP_MD_CTX_free(*c);
}

bool foreign_pkey_is_sound(EVP_PKEY *key)
{
    char group[32];
    int is_explicit = 0, bits = EVP_PKEY_get_bits(key);

    if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA)
        return bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX;
    if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC ||
        EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) != 1 ||
        !text_eq(group, "prime256v1") ||
        (EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS,
                                &is_explicit) == 1 &&
         is_explicit))
        return false;
    _cleanup_(pkey_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    return ctx && EVP_PKEY_public_check(ctx) == 1;
}

char *foreign_pkey_pem(struct arena *a, EVP_PKEY *key)
{
    _cleanup_(bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    char *data = NULL;
    long len;

    if (!bio || PEM_write_bio_PUBKEY(bio, key) != 1)
        abort();
    len = BIO_get_mem_data(bio, &data);
    return arena_strndup(a, data, (size_t)len);
}

int foreign_key_of_jwk(struct arena *a, const struct json_object *jwk, struct foreign_key *ret)
{
    const char *kty = json_text(jwk, "kty"), *use = json_text(jwk, "use");
    _cleanup_(pkey_freep) EVP_PKEY *key = NULL;

    if (use && !text_eq(use, "sig"))
        return 0;
    if (text_eq(kty, "RSA"))
        key = jwk_rsa(a, jwk, false);
    else if (text_eq(kty, "EC") && text_eq(json_text(jwk, "crv"), "P-256"))
        key = jwk_ec(a, jwk, "prime256v1", P256_LEN, false);
    if (!key || !foreign_pkey_is_sound(key))
        return 0;
    *ret = (struct foreign_key){ .ids = { json_text(jwk, "kid"), json_text(jwk, "x5t") },
                                 .public_pem = foreign_pkey_pem(a, key) };
    return 1;
}

/* Tokens -------------------------------------------------------------------------------------- */

struct parts {
    size_t input_len; /* header, dot, claims: what is signed */
    struct json_object *header, *claims;
    const uint8_t *signature;
    size_t signature_len;
};

static struct json_object *read_part(struct arena *a, const char *part, size_t part_len)
{
    size_t len = 0;
    const uint8_t *text = part_len ? text_unbase64(a, part, part_len, &len) : NULL;
    struct json_object *object = NULL;
    struct error ignored;

    if (!text || json_parse_object((const char *)text, len, TOKEN_MAX_BYTES, &object, &ignored))
        return NULL;
    return json_own(a, object);
}

static bool split(struct arena *a, const char *token, struct parts *ret)
{
    size_t len = token ? strnlen(token, TOKEN_MAX_BYTES + 1) : 0;
    const char *first = len ? strchr(token, '.') : NULL;
    const char *second = first ? strchr(first + 1, '.') : NULL;

    /* base64url alone: no padding, no other alphabet. */
    if (len == 0 || len > TOKEN_MAX_BYTES || !second || strchr(second + 1, '.') ||
        strspn(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") != len)
        return false;
    ret->input_len = (size_t)(second - token);
    ret->header = read_part(a, token, (size_t)(first - token));
    ret->claims = read_part(a, first + 1, (size_t)(second - first - 1));
    ret->signature = text_unbase64(a, second + 1, strlen(second + 1), &ret->signature_len);
    return ret->header && ret->claims && ret->signature && ret->signature_len > 0 &&
           ret->signature_len <= SIGNATURE_MAX;
}

struct json_object *foreign_token_peek(struct arena *a, const char *token)
{
    struct parts parts;

    return split(a, token, &parts) ? parts.claims : NULL;
}

static EVP_PKEY *read_key(const char *pem)
{
    _cleanup_(bio_freep) BIO *bio = BIO_new_mem_buf(pem, -1);

    return bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
}

/* RFC 7518 section 3.4: r and s, 32 bytes each, become DER. */
static bool der_of(struct arena *a, const struct parts *p, const uint8_t **ret, size_t *ret_len)
{
    _cleanup_(ecdsa_sig_freep) ECDSA_SIG *sig = ECDSA_SIG_new();
    _cleanup_(bignum_freep) BIGNUM *r = NULL, *s = NULL;
    uint8_t *der, *at;
    int len;

    if (!sig || p->signature_len != 2 * P256_LEN)
        return false;
    r = BN_bin2bn(p->signature, P256_LEN, NULL);
    s = BN_bin2bn(p->signature + P256_LEN, P256_LEN, NULL);
    if (!r || !s || ECDSA_SIG_set0(sig, r, s) != 1)
        return false;
    r = s = NULL; /* the signature's now */
    len = i2d_ECDSA_SIG(sig, NULL);
    if (len <= 0)
        return false;
    der = at = arena_alloc(a, (size_t)len);
    *ret = der;
    *ret_len = (size_t)len;
    return i2d_ECDSA_SIG(sig, &at) == len;
}

/* RFC 7518 section 3.5: SHA-256 for MGF1 too, and a salt as long as the digest. */
static bool set_pss(EVP_PKEY_CTX *ctx)
{
    return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1;
}

static bool is_signed_by(struct arena *a, const char *token, const struct parts *p,
                         const char *algorithm, const char *pem)
{
    _cleanup_(pkey_freep) EVP_PKEY *key = read_key(pem);
    _cleanup_(md_ctx_freep) EVP_MD_CTX *md = EVP_MD_CTX_new();
    EVP_PKEY_CTX *ctx = NULL;
    const uint8_t *signature = p->signature;
    size_t len = p->signature_len;
    bool is_ec = text_eq(algorithm, "ES256");

    if (!key || !md || EVP_PKEY_get_base_id(key) != (is_ec ? EVP_PKEY_EC : EVP_PKEY_RSA) ||
        !foreign_pkey_is_sound(key) || (is_ec && !der_of(a, p, &signature, &len)))
        return false;
    return EVP_DigestVerifyInit(md, &ctx, EVP_sha256(), NULL, key) == 1 &&
           (!text_eq(algorithm, "PS256") || set_pss(ctx)) &&
           EVP_DigestVerify(md, signature, len, (const uint8_t *)token, p->input_len) == 1;
}

/* Some clients pad the base64url of a thumbprint, others write plain base64. */
static char plain(char c)
{
    return (char)(c == '-' ? '+' : c == '_' ? '/' : c);
}

static bool is_same_id(const char *x, const char *y)
{
    size_t i = 0;

    while (x[i] && x[i] != '=' && plain(x[i]) == plain(y[i]))
        i++;
    return i > 0 && x[i + strspn(x + i, "=")] == '\0' && y[i + strspn(y + i, "=")] == '\0';
}

/* The header names no key, or this one. */
static bool is_meant(const struct json_object *header, const struct foreign_key *key)
{
    static const char *const names[] = { "kid", "x5t", "x5t#S256" };
    bool is_named = false;

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *id = json_text(header, names[i]);

        is_named = is_named || id;
        for (size_t n = 0; id && n < ARRAY_LEN(key->ids); n++) {
            if (key->ids[n] && is_same_id(key->ids[n], id))
                return true;
        }
    }
    return !is_named;
}

static int check_header(const struct json_object *header, struct error *err)
{
    const char *alg = json_text(header, "alg");

    if (!text_eq(alg, "RS256") && !text_eq(alg, "PS256") && !text_eq(alg, "ES256"))
        return fail(err, &E_UNAUTHENTICATED,
                    "The assertion is not signed with RS256, PS256 or ES256.");
    if (json_has(header, "crit"))
        return fail(err, &E_UNAUTHENTICATED,
                    "The assertion demands an extension that is not known.");
    return 0;
}

/* RFC 7519 section 2: a NumericDate may have a fraction, and MSAL for Python writes one. */
static bool read_time(const struct json_object *claims, const char *name, int64_t *ret_s)
{
    const struct json_object *value = json_at(claims, name);
    double fraction = json_double(value, "", -1);

    if (value && json_kind(value) == JSON_INT) {
        *ret_s = json_int(value, "", 0);
        return true;
    }
    if (!value || json_kind(value) != JSON_DOUBLE || !(fraction >= 0 && fraction < 1e15))
        return false;
    *ret_s = (int64_t)fraction;
    return true;
}

static int check_times(const struct json_object *claims, int64_t now_s, struct error *err)
{
    int64_t exp_s = 0, nbf_s = 0;

    if (!read_time(claims, "exp", &exp_s))
        return fail(err, &E_UNAUTHENTICATED, "The assertion has no expiry time.");
    if (now_s >= exp_s)
        return fail(err, &E_TOKEN_EXPIRED, "The assertion has expired.");
    if (json_has(claims, "nbf") &&
        (!read_time(claims, "nbf", &nbf_s) || nbf_s > now_s + TOKEN_SKEW_S))
        return fail(err, &E_UNAUTHENTICATED, "The assertion is not valid yet.");
    return 0;
}

int foreign_token_verify(struct arena *a, const char *token, const struct foreign_key *keys,
                         size_t count, int64_t now_s, struct json_object **ret_claims,
                         struct error *err)
{
    struct parts parts;
    bool is_signed = false;

    if (!split(a, token, &parts))
        return fail(err, &E_UNAUTHENTICATED, "The assertion is malformed.");
    if (check_header(parts.header, err))
        return -1;
    for (size_t i = 0; i < count && !is_signed; i++)
        is_signed = is_meant(parts.header, &keys[i]) &&
                    is_signed_by(a, token, &parts, json_text(parts.header, "alg"),
                                 keys[i].public_pem);
    if (!is_signed)
        return fail(err, &E_UNAUTHENTICATED,
                    "The assertion is not signed with a key that is registered.");
    if (check_times(parts.claims, now_s ? now_s : clock_wall_s(), err))
        return -1;
    *ret_claims = parts.claims;
    return 0;
}

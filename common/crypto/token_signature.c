/* ES256 signatures of compact tokens (RFC 7515, RFC 7518 section 3.4) by keys that were parsed
 * once. Everything else about a token (form, algorithm, times, audience) is decided in token.c,
 * before and after. OpenSSL's signature is DER; a token's is r and s, 32 bytes each. */
#include "common/crypto/token_internal.h"

#include <openssl/ecdsa.h>
#include <openssl/evp.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"

#define DER_MAX 80 /* two integers of at most 33 bytes, and their heads */

static void ctx_freep(EVP_PKEY_CTX **ctx)
{
    EVP_PKEY_CTX_free(*ctx);
}

static void sig_freep(ECDSA_SIG **sig)
{
    ECDSA_SIG_free(*sig);
}

static void bignum_freep(BIGNUM **n)
{
    BN_free(*n);
}

/* The bytes that a token's signature covers: header, dot, claims. */
static void digest_of_input(const char *input, size_t len, struct digest *ret)
{
    digest_of(DIGEST_SHA256, input, len, ret);
}

void token_signature_prepare(struct token_key *key, bool has_private)
{
    key->verifier = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
    if (!key->verifier || EVP_PKEY_verify_init(key->verifier) != 1)
        abort();
    if (!has_private)
        return;
    key->signer = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
    if (!key->signer || EVP_PKEY_sign_init(key->signer) != 1)
        abort();
}

static bool sign_raw(EVP_PKEY_CTX *signer, const struct digest *d, uint8_t ret[2 * P256_BYTES])
{
    uint8_t der[DER_MAX];
    size_t len = sizeof(der);
    _cleanup_(ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_dup(signer);

    if (!ctx || EVP_PKEY_sign(ctx, der, &len, d->bytes, SHA256_LEN) != 1)
        return false;
    const uint8_t *at = der;
    _cleanup_(sig_freep) ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, (long)len);
    return sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig), ret, P256_BYTES) == P256_BYTES &&
           BN_bn2binpad(ECDSA_SIG_get0_s(sig), ret + P256_BYTES, P256_BYTES) == P256_BYTES;
}

/* The length of the DER, or 0. */
static size_t der_of_raw(const uint8_t raw[2 * P256_BYTES], uint8_t ret[DER_MAX])
{
    _cleanup_(sig_freep) ECDSA_SIG *sig = ECDSA_SIG_new();
    _cleanup_(bignum_freep) BIGNUM *r = BN_bin2bn(raw, P256_BYTES, NULL);
    _cleanup_(bignum_freep) BIGNUM *s = BN_bin2bn(raw + P256_BYTES, P256_BYTES, NULL);

    if (!sig || !r || !s || ECDSA_SIG_set0(sig, r, s) != 1)
        return 0;
    r = s = NULL; /* the signature's now */
    uint8_t *at = ret;
    int len = i2d_ECDSA_SIG(sig, NULL);
    return len > 0 && len <= DER_MAX && i2d_ECDSA_SIG(sig, &at) == len ? (size_t)len : 0;
}

int token_signature_make(struct arena *a, const struct token_key *key, const char *claims,
                         char **ret, struct error *err)
{
    if (!key->signer)
        return fail_cause(err, &E_INTERNAL, "token key %s has no private half", key->id);

    uint8_t raw[2 * P256_BYTES];
    struct digest d;
    char *input = arena_printf(a, "%s.%s", key->header, text_base64url(a, claims, strlen(claims)));
    digest_of_input(input, strlen(input), &d);
    if (!sign_raw(key->signer, &d, raw))
        return fail_cause(err, &E_INTERNAL, "signing a token with key %s failed", key->id);
    *ret = arena_printf(a, "%s.%s", input, text_base64url(a, raw, sizeof(raw)));
    return 0;
}

bool token_signature_is_valid(struct arena *a, const struct token_key *key, const char *token)
{
    const char *dot = strrchr(token, '.');
    uint8_t der[DER_MAX];
    struct digest d;
    size_t raw_len = 0;

    if (!dot)
        return false;
    const uint8_t *raw = text_unbase64(a, dot + 1, strlen(dot + 1), &raw_len);
    size_t len = raw && raw_len == 2 * P256_BYTES ? der_of_raw(raw, der) : 0;
    if (len == 0)
        return false;
    digest_of_input(token, (size_t)(dot - token), &d);
    _cleanup_(ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_dup(key->verifier);
    return ctx && EVP_PKEY_verify(ctx, der, len, d.bytes, SHA256_LEN) == 1;
}

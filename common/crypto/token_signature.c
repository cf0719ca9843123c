/* ES256 signatures of compact tokens (RFC 7515, RFC 7518 section 3.4) by keys that were parsed
 * once. Everything else about a token (form, algorithm, times, audience) is decided in token.c,
 * before and after. OpenSSL's signature is DER; a token's is r and s, 32 bytes each. */
#include "common/crypto/token_internal.h"

#include <openssl/evp.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/crypto/openssl_cleanup.h"

#define DER_SEQUENCE 0x30
#define DER_INTEGER  0x02
#define DER_MAX      80 /* two integers of at most 33 bytes, and their heads */

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

/* --- DER: SEQUENCE { INTEGER r, INTEGER s }, both positive and as short as can be ---------------- */

/* The number of bytes written: at most 3 more than a number has. */
static size_t put_integer(const uint8_t n[P256_BYTES], uint8_t *to)
{
    size_t skip = 0, at = 2;

    while (skip < P256_BYTES - 1 && n[skip] == 0)
        skip++;
    if (n[skip] & 0x80)
        to[at++] = 0;
    memcpy(to + at, n + skip, P256_BYTES - skip);
    at += P256_BYTES - skip;
    to[0] = DER_INTEGER;
    to[1] = (uint8_t)(at - 2);
    return at;
}

static size_t der_of_raw(const uint8_t raw[2 * P256_BYTES], uint8_t ret[DER_MAX])
{
    size_t len = put_integer(raw, ret + 2);

    len += put_integer(raw + P256_BYTES, ret + 2 + len);
    ret[0] = DER_SEQUENCE;
    ret[1] = (uint8_t)len;
    return 2 + len;
}

/* The number of bytes read; 0 when it is no such integer. */
static size_t take_integer(const uint8_t *der, size_t len, uint8_t ret[P256_BYTES])
{
    size_t n = len > 2 ? der[1] : 0, pad = n > 0 && der[2] == 0;

    if (len < 2 || der[0] != DER_INTEGER || n == 0 || n > len - 2 || n - pad > P256_BYTES)
        return 0;
    memset(ret, 0, P256_BYTES);
    memcpy(ret + P256_BYTES - (n - pad), der + 2 + pad, n - pad);
    return 2 + n;
}

static bool raw_of_der(const uint8_t *der, size_t len, uint8_t ret[2 * P256_BYTES])
{
    size_t r = len > 2 && der[0] == DER_SEQUENCE && der[1] == len - 2
                   ? take_integer(der + 2, len - 2, ret)
                   : 0;

    return r > 0 && take_integer(der + 2 + r, len - 2 - r, ret + P256_BYTES) == len - 2 - r;
}

static bool sign_raw(EVP_PKEY_CTX *signer, const struct digest *d, uint8_t ret[2 * P256_BYTES])
{
    uint8_t der[DER_MAX];
    size_t len = sizeof(der);
    _cleanup_(pkey_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_dup(signer);

    return ctx && EVP_PKEY_sign(ctx, der, &len, d->bytes, SHA256_LEN) == 1 &&
           raw_of_der(der, len, ret);
}

int token_signature_make(struct arena *a, const struct token_key *key, const char *claims,
                         char **ret, struct error *err)
{
    if (!key->signer)
        return fail_cause(err, &E_INTERNAL, "token key %s has no private half", key->id);

    uint8_t raw[2 * P256_BYTES];
    struct digest d;
    const char *middle = text_base64url(a, claims, strlen(claims));
    size_t head_len = strlen(key->header), middle_len = strlen(middle);
    size_t input_len = head_len + 1 + middle_len;
    char *token = arena_alloc(a, input_len + 1 + ES256_SIGNATURE_CHARS + 1);
    memcpy(token, key->header, head_len);
    token[head_len] = '.';
    memcpy(token + head_len + 1, middle, middle_len);
    token[input_len] = '.';
    digest_of_input(token, input_len, &d);
    if (!sign_raw(key->signer, &d, raw))
        return fail_cause(err, &E_INTERNAL, "signing a token with key %s failed", key->id);
    memcpy(token + input_len + 1, text_base64url(a, raw, sizeof(raw)), ES256_SIGNATURE_CHARS + 1);
    *ret = token;
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
    if (!raw || raw_len != 2 * P256_BYTES)
        return false;
    digest_of_input(token, (size_t)(dot - token), &d);
    _cleanup_(pkey_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_dup(key->verifier);
    return ctx && EVP_PKEY_verify(ctx, der, der_of_raw(raw, der), d.bytes, SHA256_LEN) == 1;
}

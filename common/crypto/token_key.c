/* P-256 keys for tokens: made, read from PEM and shown as PEM or JWK. A key is parsed once and
 * never changed after, so threads share it. */
#include "common/crypto/token.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/crypto/openssl_cleanup.h"
#include "common/crypto/token_internal.h"
#include "common/json/json.h"

#define PEM_MAX     8192
#define POINT_BYTES (1 + 2 * P256_BYTES) /* 04 ‖ x ‖ y */

/* OpenSSL would ask for the pass phrase of an encrypted PEM on the terminal. */
static int no_passphrase(char *buf, int size, int rwflag, void *ctx)
{
    (void)buf, (void)size, (void)rwflag, (void)ctx;
    return -1;
}

static char *take_text(BIO *bio)
{
    char *data = NULL;
    long len = BIO_get_mem_data(bio, &data);
    char *text = len > 0 ? strndup(data, (size_t)len) : NULL;
    if (!text)
        abort();
    OPENSSL_cleanse(data, (size_t)len);
    return text;
}

static char *public_pem_of(EVP_PKEY *pkey)
{
    _cleanup_(bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    if (!bio || PEM_write_bio_PUBKEY(bio, pkey) != 1)
        abort();
    return take_text(bio);
}

static void copy_base64url(struct arena *a, const uint8_t *bytes, size_t len, char ret[44])
{
    (void)snprintf(ret, 44, "%s", text_base64url(a, bytes, len));
}

/* Fills id, x and y. */
static bool describe(struct token_key *key, EVP_PKEY *pkey)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    uint8_t point[POINT_BYTES];
    size_t len = 0;
    if (EVP_PKEY_get_octet_string_param(pkey, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point),
                                        &len) != 1 ||
        len != POINT_BYTES || point[0] != 4)
        return false;
    copy_base64url(a, point + 1, P256_BYTES, key->x);
    copy_base64url(a, point + 1 + P256_BYTES, P256_BYTES, key->y);
    /* RFC 7638 section 3: required members only, in alphabetical order, no white space. */
    const char *canonical = arena_printf(
        a, "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}", key->x, key->y);
    struct digest d;
    digest_of(DIGEST_SHA256, canonical, strlen(canonical), &d);
    copy_base64url(a, d.bytes, SHA256_LEN, key->id);
    return true;
}

/* Exactly the named curve (curves written out in full allow forged parameters, CVE-2020-0601), a
 * point on it, and a private half that belongs to it. */
static bool is_sound(EVP_PKEY *pkey, bool is_private)
{
    char group[32];
    int is_explicit = 0;
    if (EVP_PKEY_get_base_id(pkey) != EVP_PKEY_EC ||
        EVP_PKEY_get_group_name(pkey, group, sizeof(group), NULL) != 1 ||
        !text_eq(group, "prime256v1") ||
        (EVP_PKEY_get_int_param(pkey, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS,
                                &is_explicit) == 1 &&
         is_explicit))
        return false;
    _cleanup_(pkey_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
    if (!ctx || EVP_PKEY_public_check(ctx) != 1)
        return false;
    return !is_private || EVP_PKEY_pairwise_check(ctx) == 1;
}

/* The header of the tokens it signs is always the same. */
static char *header_of(const struct token_key *key)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    const char *text = arena_printf(
        a, "{\"alg\":\"" TOKEN_ALGORITHM "\",\"kid\":\"%s\",\"typ\":\"JWT\"}", key->id);
    char *header = strdup(text_base64url(a, text, strlen(text)));
    if (!header)
        abort();
    return header;
}

/* Takes one reference of pkey over. */
static struct token_key *key_of(EVP_PKEY *pkey, bool is_private)
{
    /* Public points leave uncompressed, whatever form they came in. */
    if (EVP_PKEY_set_utf8_string_param(pkey, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
                                       "uncompressed") != 1)
        abort();
    struct token_key *key = calloc(1, sizeof(*key));
    if (!key)
        abort();
    key->public_pem = public_pem_of(pkey);
    if (!describe(key, pkey))
        abort();
    key->header = header_of(key);
    key->pkey = pkey;
    token_signature_prepare(key, is_private);
    return key;
}

struct token_key *token_key_new(void)
{
    _cleanup_(pkey_freep) EVP_PKEY *pkey = EVP_EC_gen("P-256");
    if (!pkey)
        abort();
    return key_of(take(pkey), true);
}

int token_key_parse(const char *pem, struct token_key **ret, struct error *err)
{
    size_t len = pem ? strnlen(pem, PEM_MAX + 1) : 0;
    if (len == 0 || len > PEM_MAX)
        return fail_cause(err, &E_INVALID, "a key in PEM has 1 to %d bytes", PEM_MAX);

    bool is_private = text_starts(pem, "-----BEGIN PRIVATE KEY-----");
    if (!is_private && !text_starts(pem, "-----BEGIN PUBLIC KEY-----"))
        return fail_cause(err, &E_INVALID, "a key is PKCS#8 or SPKI in PEM");
    _cleanup_(bio_freep) BIO *bio = BIO_new_mem_buf(pem, (int)len);
    if (!bio)
        abort();
    _cleanup_(pkey_freep) EVP_PKEY *pkey =
        is_private ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL)
                   : PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL);
    if (!pkey || !is_sound(pkey, is_private))
        return fail_cause(err, &E_INVALID, "not a valid EC P-256 key");
    *ret = key_of(take(pkey), is_private);
    return 0;
}

void token_key_free(struct token_key *key)
{
    if (!key)
        return;
    EVP_PKEY_CTX_free(key->signer);
    EVP_PKEY_CTX_free(key->verifier);
    EVP_PKEY_free(key->pkey); /* clears the private half */
    free(key->public_pem);
    free(key->header);
    free(key);
}

char *token_key_pem(struct arena *a, const struct token_key *key)
{
    if (!key->signer)
        return NULL;
    _cleanup_(bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    if (!bio || PEM_write_bio_PKCS8PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL) != 1)
        abort();
    char *text = take_text(bio), *copy = arena_strdup(a, text);
    secret_cleanse(text, strlen(text));
    free(text);
    return copy;
}

char *token_key_public_pem(struct arena *a, const struct token_key *key)
{
    return arena_strdup(a, key->public_pem);
}

const char *token_key_id(const struct token_key *key)
{
    return key->id;
}

struct json_object *token_key_jwk(const struct token_key *key)
{
    struct json_object *jwk = json_new_object();
    json_set_text(jwk, "kty", "EC");
    json_set_text(jwk, "use", "sig");
    json_set_text(jwk, "alg", TOKEN_ALGORITHM);
    json_set_text(jwk, "kid", key->id);
    json_set_text(jwk, "crv", "P-256");
    json_set_text(jwk, "x", key->x);
    json_set_text(jwk, "y", key->y);
    return jwk;
}

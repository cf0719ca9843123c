/* Key pairs that a vault keeps for others: RSA and elliptic curves, made here or brought here, used here,
 * shown by their public half only. Operations are named as in RFC 7518; RSA1_5 is not offered, because
 * decrypting with it answers a stranger's questions about other messages (Bleichenbacher). */
#ifndef PORTOLAN_CRYPTO_KEY_PAIR_H
#define PORTOLAN_CRYPTO_KEY_PAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;
struct error;
struct json_object;

struct key_pair;

/* bits: 2048, 3072 or 4096. Takes up to a few seconds. */
struct key_pair *key_pair_new_rsa(int bits);
/* "P-256", "P-384", "P-521" or "P-256K"; NULL for any other name. */
struct key_pair *key_pair_new_ec(const char *curve);
/* PKCS#8 PEM. Cleanse it after use. */
char *key_pair_pem(struct arena *a, const struct key_pair *key);
/* What key_pair_pem() gave. */
MUST_CHECK int key_pair_parse(const char *pem, struct key_pair **ret, struct error *err);
/* A private JWK of one of these kinds, whose numbers belong together; E_INVALID otherwise. */
MUST_CHECK int key_pair_of_jwk(struct arena *a, const struct json_object *jwk,
                               struct key_pair **ret, struct error *err);
/* Of RSA; 0: EC. */
int key_pair_bits(const struct key_pair *key);
void key_pair_free(struct key_pair *key);
void key_pair_freep(struct key_pair **key);
/* The public members kty, n, e or crv, x, y (RFC 7517); caller owns it. */
struct json_object *key_pair_jwk(struct arena *a, const struct key_pair *key);

struct key_bytes {
    const uint8_t *data;
    size_t len;
};

/* Results live in the arena. E_INVALID: the algorithm is none of this key's, or the input does not
 * fit it. "RSA-OAEP", "RSA-OAEP-256". */
MUST_CHECK int key_pair_encrypt(struct arena *a, const struct key_pair *key, const char *algorithm,
                                struct key_bytes plain, struct key_bytes *ret, struct error *err);
MUST_CHECK int key_pair_decrypt(struct arena *a, const struct key_pair *key, const char *algorithm,
                                struct key_bytes sealed, struct key_bytes *ret, struct error *err);
/* "RS256" … "PS512", "ES256" …; of a digest of the algorithm's length. EC signatures are r and s. */
MUST_CHECK int key_pair_sign(struct arena *a, const struct key_pair *key, const char *algorithm,
                             struct key_bytes digest, struct key_bytes *ret, struct error *err);
/* 1 when it is the signature, 0 when it is not. */
MUST_CHECK int key_pair_verify(struct arena *a, const struct key_pair *key, const char *algorithm,
                               struct key_bytes digest, struct key_bytes signature,
                               struct error *err);

#endif

/* Signed tokens (JWT, RFC 7519) behind one verifier. libjwt 1.10 alone accepts HS256 signed with
 * an RSA public key as secret, and expired tokens; so token_verify() fixes the algorithm by the key,
 * reads header and claims through the strict JSON door, ignores jwk, jku, x5u and x5c, refuses any
 * `crit`, and checks exp, nbf, iss and aud. Tokens over 16 KiB are refused unread. */
#ifndef PORTOLAN_CRYPTO_TOKEN_H
#define PORTOLAN_CRYPTO_TOKEN_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;
struct error;
struct json_object;

#define TOKEN_MAX_BYTES 16384
#define TOKEN_SKEW_S 300 /* accepted clock difference for nbf; exp has none */

/* A P-256 key pair, or its public half. Immutable; threads may share it. */
struct token_key;
struct token_key *token_key_new(void);
/* PKCS#8 PEM of the private half, for secret_wrap(); NULL of a public half. Cleanse it after use. */
char *token_key_pem(struct arena *a, const struct token_key *key);
/* Private PEM (PKCS#8) or public PEM (SPKI). EC P-256 only. */
MUST_CHECK int token_key_parse(const char *pem, struct token_key **ret, struct error *err);
void token_key_free(struct token_key *key);
/* RFC 7638 thumbprint, base64url: the kid. Borrowed from the key. */
const char *token_key_id(const struct token_key *key);
/* RFC 7517 public JWK with kid, use and alg; caller owns it. */
struct json_object *token_key_jwk(const struct token_key *key);
char *token_key_public_pem(struct arena *a, const struct token_key *key);

/* ES256, header {alg, typ, kid}. claims: an object, printed. */
MUST_CHECK int token_sign(struct arena *a, const struct token_key *key, const char *claims,
                          char **ret, struct error *err);

struct token_policy {
    const struct token_key *const *keys; /* the only keys; picked by kid */
    size_t key_count;
    const char *issuer;           /* NULL: not checked */
    const char *const *audiences; /* NULL-terminated; one must match `aud` (text or list) exactly
                                     but for a trailing slash; NULL: not checked */
    int64_t now_s;                /* 0: the clock */
};

/* The claims, owned by the arena. E_UNAUTHENTICATED for anything wrong; err->message says which
 * check, without details of keys. The code of an expired token is E_TOKEN_EXPIRED (401). */
extern const struct error_code E_TOKEN_EXPIRED;
/* The kid that a token names, unverified: only for finding out whether keys should be re-read. NULL
 * when there is none. */
const char *token_peek_kid(struct arena *a, const char *token);
MUST_CHECK int token_verify(struct arena *a, const struct token_policy *policy, const char *token,
                            struct json_object **ret_claims, struct error *err);

#endif

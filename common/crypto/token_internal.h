/* What the token files share: the inside of a key, and the two signature operations of
 * token_signature.c. */
#ifndef PORTOLAN_CRYPTO_TOKEN_INTERNAL_H
#define PORTOLAN_CRYPTO_TOKEN_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/cleanup.h"

struct arena;
struct error;
struct evp_pkey_st;     /* OpenSSL's EVP_PKEY */
struct evp_pkey_ctx_st; /* and EVP_PKEY_CTX */

#define P256_BYTES            32
#define TOKEN_ALGORITHM       "ES256"
#define ES256_SIGNATURE_CHARS 86 /* 64 bytes in base64url */

struct token_key {
    struct evp_pkey_st *pkey; /* parsed once; OpenSSL lets threads share a key that nobody changes */
    /* Ready to use; each use works on a copy, which spares finding the algorithm. */
    struct evp_pkey_ctx_st *signer; /* NULL in a public half */
    struct evp_pkey_ctx_st *verifier;
    char *public_pem;
    char *header;      /* of every token it signs, base64url */
    char id[44];       /* RFC 7638 thumbprint */
    char x[44], y[44]; /* coordinates, base64url */
};

/* Sets signer and verifier of a key. */
void token_signature_prepare(struct token_key *key, bool has_private);
/* claims: a JSON object as text. */
MUST_CHECK int token_signature_make(struct arena *a, const struct token_key *key,
                                    const char *claims, char **ret, struct error *err);
/* The token's three parts are well-formed base64url and its header says ES256. */
bool token_signature_is_valid(struct arena *a, const struct token_key *key, const char *token);

#endif

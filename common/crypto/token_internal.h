/* What the token files share: the inside of a key, and the two signature operations, which
 * token_signature.c alone performs through libjwt. */
#ifndef PORTOLAN_CRYPTO_TOKEN_INTERNAL_H
#define PORTOLAN_CRYPTO_TOKEN_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/cleanup.h"

struct arena;
struct error;

#define P256_BYTES            32
#define TOKEN_ALGORITHM       "ES256"
#define ES256_SIGNATURE_CHARS 86 /* 64 bytes in base64url */

struct token_key {
    char *private_pem; /* NULL in a public half; heap, cleansed when freed */
    char *public_pem;
    char id[44];       /* RFC 7638 thumbprint */
    char x[44], y[44]; /* coordinates, base64url */
};

/* claims: a JSON object as text. */
MUST_CHECK int token_signature_make(struct arena *a, const struct token_key *key,
                                    const char *claims, char **ret, struct error *err);
/* The token's three parts are well-formed base64url and its header says ES256. */
bool token_signature_is_valid(const struct token_key *key, const char *token);

#endif

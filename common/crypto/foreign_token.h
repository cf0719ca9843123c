/* Tokens that others signed with keys of their own: client assertions (RFC 7523) and tokens of other
 * OpenID providers. The same rules as for our own (token.h), with RS256, PS256 and ES256 allowed as
 * far as the key is of that kind. Whose key it is, issuer, subject and audience are the caller's to
 * check. */
#ifndef PORTOLAN_CRYPTO_FOREIGN_TOKEN_H
#define PORTOLAN_CRYPTO_FOREIGN_TOKEN_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;
struct error;
struct json_object;

struct foreign_key {
    const char *ids[2];     /* what `kid`, `x5t` or `x5t#S256` of a header may call it; NULL: none */
    const char *public_pem; /* SPKI */
};

/* 1 with a key (RSA or EC P-256 for signatures), 0 for one of another kind or use. */
int foreign_key_of_jwk(struct arena *a, const struct json_object *jwk, struct foreign_key *ret);
/* The claims as they stand there, unverified: for finding the key by them. NULL: malformed. */
struct json_object *foreign_token_peek(struct arena *a, const char *token);
/* Signed by one of the keys, and alive: exp, and nbf with TOKEN_SKEW_S. E_UNAUTHENTICATED, or
 * E_TOKEN_EXPIRED. now_s 0: the clock. */
MUST_CHECK int foreign_token_verify(struct arena *a, const char *token,
                                    const struct foreign_key *keys, size_t count, int64_t now_s,
                                    struct json_object **ret_claims, struct error *err);

#endif

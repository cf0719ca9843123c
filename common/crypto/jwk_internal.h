/* Keys out of JWKs (RFC 7517, RFC 7518 section 6), for the files of this folder. */
#ifndef PORTOLAN_CRYPTO_JWK_INTERNAL_H
#define PORTOLAN_CRYPTO_JWK_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

struct arena;
struct evp_pkey_st;
struct json_object;

/* n and e; of a private one also d, p, q, dp, dq and qi. NULL: a member is missing or is no such number.
 * Whether the numbers belong together is for the caller to check. */
struct evp_pkey_st *jwk_rsa(struct arena *a, const struct json_object *jwk, bool is_private);
/* x and y on the curve of OpenSSL's name `group`, whose coordinates have `bytes` bytes; of a private one also
 * d. Numbers of a private one may lack their leading zeros: some clients write them so. `crv` is for the
 * caller to read. */
struct evp_pkey_st *jwk_ec(struct arena *a, const struct json_object *jwk, const char *group,
                           size_t bytes, bool is_private);

#endif

/* The only user of libjwt: makes and checks ES256 signatures. Everything else that libjwt would
 * decide (algorithm, times, audience) is decided in token.c, before and after. */
#include "common/crypto/token_internal.h"

#include <errno.h>

#include <jwt.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/crypto/token.h"

static void jwt_freep(jwt_t **jwt)
{
    jwt_free(*jwt);
}

int token_signature_make(struct arena *a, const struct token_key *key, const char *claims,
                         char **ret, struct error *err)
{
    if (!key->private_pem)
        return fail_cause(err, &E_INTERNAL, "token key %s has no private half", key->id);

    _cleanup_(jwt_freep) jwt_t *jwt = NULL;
    int rc = jwt_new(&jwt);
    if (rc == 0)
        rc = jwt_add_header(jwt, "kid", key->id);
    if (rc == 0)
        rc = jwt_add_grants_json(jwt, claims);
    if (rc == 0)
        rc = jwt_set_alg(jwt, JWT_ALG_ES256, (const unsigned char *)key->private_pem,
                         (int)strlen(key->private_pem));
    if (rc != 0)
        return fail_cause(err, &E_INTERNAL, "building a token: %s", strerror(rc));

    _cleanup_(freep) char *token = jwt_encode_str(jwt);
    if (!token)
        return fail_cause(err, &E_INTERNAL, "signing a token: %s", strerror(errno));
    *ret = arena_strdup(a, token);
    return 0;
}

bool token_signature_is_valid(const struct token_key *key, const char *token)
{
    _cleanup_(jwt_freep) jwt_t *jwt = NULL;
    /* With a key, libjwt checks the signature by the algorithm that the header names; naming any
     * other than ES256 was refused before, and is refused once more by what libjwt has read. */
    return jwt_decode(&jwt, token, (const unsigned char *)key->public_pem,
                      (int)strlen(key->public_pem)) == 0 &&
           jwt_get_alg(jwt) == JWT_ALG_ES256;
}

/* Fuzz target: keys that are brought to a vault. One that is taken is whole: it parses again out of the PEM
 * it is kept as, shows the same public half, and what it signs is its own. */
/* links: portolan_crypto portolan_json portolan_base */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/crypto/key_pair.h"
#include "common/json/json.h"

#define JWK_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *algorithm_of(const struct json_object *jwk)
{
    const char *curve = json_text(jwk, "crv");

    if (!curve)
        return "RS256";
    return text_eq(curve, "P-256") ? "ES256" : text_eq(curve, "P-256K") ? "ES256K"
           : text_eq(curve, "P-384") ? "ES384" : "ES512";
}

static void check(struct arena *a, struct key_pair *key)
{
    static const uint8_t digest[64] = { 7 };
    struct json_object *one = json_own(a, key_pair_jwk(a, key)), *two;
    _cleanup_(key_pair_freep) struct key_pair *again = NULL;
    const char *name = algorithm_of(one);
    struct key_bytes in = { digest, strtoul(name + 2, NULL, 10) / 8 }, out;
    struct error err;

    if (key_pair_parse(key_pair_pem(a, key), &again, &err))
        abort();
    two = json_own(a, key_pair_jwk(a, again));
    if (!json_equal(one, two) || key_pair_sign(a, key, name, in, &out, &err) ||
        key_pair_verify(a, again, name, in, out, &err) != 1)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    _cleanup_(key_pair_freep) struct key_pair *key = NULL;
    struct json_object *jwk = NULL;
    struct error err;

    if (json_parse_object((const char *)data, size, JWK_MAX, &jwk, &err) == 0 &&
        key_pair_of_jwk(a, json_own(a, jwk), &key, &err) == 0)
        check(a, key);
    return 0;
}

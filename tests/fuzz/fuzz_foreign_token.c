/* Fuzz target: tokens of others. The first line is a token, the second a JWK it may be signed with. Under a
 * key whose private half nobody has, none is good; claims that are taken are the ones that stand there. */
/* links: portolan_crypto portolan_json portolan_base */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/crypto/foreign_token.h"
#include "common/json/json.h"

#define JWK_MAX 65536

static const char public_pem[] =
    "-----BEGIN PUBLIC KEY-----\n"
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEfoOpAlzsUCfo78zDR+Dkq3Ip+/qg\n"
    "nGdrjbEOBaB/cNDyuOP3LYhidVFReg7rjUEZ8m2jWELSWUDEr87GQc09BA==\n"
    "-----END PUBLIC KEY-----\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_key(struct arena *a, const char *token, const char *text)
{
    struct json_object *jwk = NULL, *claims = NULL;
    struct foreign_key key;
    struct error err;

    if (json_parse_object(text, strlen(text), JWK_MAX, &jwk, &err) != 0)
        return;
    if (foreign_key_of_jwk(a, json_own(a, jwk), &key) != 1)
        return;
    if (foreign_token_verify(a, token, &key, 1, 1700000000, &claims, &err) == 0 &&
        !json_equal(claims, foreign_token_peek(a, token)))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new();
    char *text = arena_strndup(a, (const char *)data, size);
    char *line = strchr(text, '\n');
    const struct foreign_key nobody = { { "k", NULL }, public_pem };
    struct json_object *claims = NULL;
    struct error err;

    if (line)
        *line++ = '\0';
    if (foreign_token_verify(a, text, &nobody, 1, 1700000000, &claims, &err) == 0)
        abort();
    if (line)
        try_key(a, text, line);
    arena_free(a);
    return 0;
}

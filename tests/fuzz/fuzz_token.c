/* Token verification on arbitrary text. Nothing a stranger writes may be accepted; besides the raw
 * input, the input is tried as header and as claims of an otherwise well-formed token. */
/* links: portolan_base portolan_json portolan_crypto */
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/crypto/token.h"
#include "common/json/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char signature[] =
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

static void try_token(struct arena *a, const struct token_key *key, const char *token)
{
    static const char *const audiences[] = { "https://management.example", NULL };
    const struct token_policy policy = { .keys = &key,
                                         .key_count = 1,
                                         .issuer = "https://login.example",
                                         .audiences = audiences,
                                         .now_s = 1800000000 };
    struct json_object *claims = NULL;
    struct error err;
    if (token_verify(a, &policy, token, &claims, &err) == 0 || claims || err.code->status != 401)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct token_key *key; /* made once: its making is what takes time */
    if (!key)
        key = token_key_new();
    _cleanup_(arena_freep) struct arena *a = arena_new();
    const char *input = arena_strndup(a, (const char *)data, size);
    const char *good_header =
        arena_printf(a, "{\"alg\":\"ES256\",\"kid\":\"%s\"}", token_key_id(key));
    try_token(a, key, input);
    try_token(a, key, arena_printf(a, "%s.e30.%s", text_base64url(a, data, size), signature));
    try_token(a, key,
              arena_printf(a, "%s.%s.%s", text_base64url(a, good_header, strlen(good_header)),
                           text_base64url(a, data, size), signature));
    return 0;
}

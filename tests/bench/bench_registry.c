/* What a published registry's row holds, made as the control plane makes it, for benchmarks that
 * run a data plane without one: prints `name=value` lines.
 *
 *   bench_registry SERVICE-KEY-FILE REGISTRY-ID */
/* links: portolan_base portolan_crypto */
#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/crypto/digest.h"
#include "common/crypto/seal.h"
#include "common/crypto/secret.h"
#include "common/crypto/token.h"

int main(int argc, char **argv)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct service_key service;
    uint8_t data_key[SEAL_KEY_BYTES];
    struct error err;

    if (argc != 3) {
        (void)fputs("usage: bench_registry SERVICE-KEY-FILE REGISTRY-ID\n", stderr);
        return 2;
    }
    if (service_key_load(argv[1], true, &service, &err)) {
        (void)fprintf(stderr, "bench_registry: %s\n", err.cause);
        return 1;
    }
    struct token_key *key = token_key_new();
    const char *pem = token_key_pem(a, key);
    const char *password = random_text(a, 52);
    random_bytes(data_key, sizeof(data_key));
    printf("signing_key=%s\ndata_key=%s\npassword=%s\nhash=%s\n",
           secret_wrap(a, &service, arena_printf(a, "registry/%s/signing-key", argv[2]), pem,
                       strlen(pem)),
           secret_wrap(a, &service, arena_printf(a, "registry/%s/data-key", argv[2]), data_key,
                       sizeof(data_key)),
           password, secret_hash_generated(a, password));
    token_key_free(key);
    return 0;
}

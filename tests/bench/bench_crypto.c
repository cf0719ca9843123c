/* What the cryptography costs on one core: hashing, sealing, opening, tokens. Prints a table of
 * processor time, which others on the machine do not lengthen. */
/* links: portolan_base portolan_json portolan_crypto */
#include <stdint.h>
#include <time.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/crypto/digest.h"
#include "common/crypto/seal.h"
#include "common/crypto/secret.h"
#include "common/crypto/token.h"
#include "common/json/json.h"

#define RUN_US 500000
#define CHUNK  (SEAL_CHUNK_BYTES + SEAL_TAG_BYTES)

struct bench {
    struct arena *a;
    uint8_t *buf, *sealed; /* one chunk each */
    struct hasher *sha256, *sha512;
    struct sealer *sealer;
    struct opener *opener;
    struct token_key *key;
    struct token_policy policy;
    struct json_object *claims;
    char *token, *hash;
};

static void must(int rc, const struct error *err)
{
    if (rc == 0)
        return;
    (void)fprintf(stderr, "%s (%s)\n", err->message, err->cause);
    exit(1);
}

static void run_sha256(struct bench *b)
{
    hasher_update(b->sha256, b->buf, SEAL_CHUNK_BYTES);
}

static void run_sha512(struct bench *b)
{
    hasher_update(b->sha512, b->buf, SEAL_CHUNK_BYTES);
}

static void run_seal(struct bench *b)
{
    static uint8_t out[CHUNK];
    sealer_chunk(b->sealer, b->buf, SEAL_CHUNK_BYTES, 0, out);
}

static void run_open(struct bench *b)
{
    struct error err;
    must(opener_chunk(b->opener, 0, b->sealed, CHUNK, 0, b->buf, &err), &err);
}

static void run_hash_and_seal(struct bench *b)
{
    run_sha256(b);
    run_seal(b);
}

static void run_opener_new(struct bench *b)
{
    struct error err;
    struct opener *o = NULL;
    uint8_t header[SEAL_HEADER_BYTES], key[SEAL_KEY_BYTES] = { 1 };
    (void)b;
    sealer_free(sealer_new(key, 1, "bench", header));
    must(opener_new(key, "bench", header, &o, &err), &err);
    opener_free(o);
}

static void run_sign(struct bench *b)
{
    struct error err;
    must(token_sign(b->a, b->key, json_print(b->a, b->claims), &b->token, &err), &err);
}

static void run_verify(struct bench *b)
{
    struct error err;
    struct json_object *claims = NULL;
    must(token_verify(b->a, &b->policy, b->token, &claims, &err), &err);
}

static void run_secret(struct bench *b)
{
    if (!secret_verify(b->hash, "0123456789012345678901"))
        exit(1);
}

static int64_t cpu_us(void)
{
    struct timespec t;
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) != 0)
        abort();
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void measure(struct bench *b, const char *name, void (*fn)(struct bench *), size_t bytes)
{
    char *token = NULL;
    int64_t started = cpu_us(), took = 0, runs = 0;
    while (took < RUN_US) {
        for (int i = 0; i < 16; i++)
            fn(b);
        runs += 16;
        took = cpu_us() - started;
        if (b->token && b->token != token) { /* what signing made has to outlive the reset */
            free(token);
            token = strdup(b->token);
        }
        arena_reset(b->a);
        b->token = token;
    }
    double each = (double)took / (double)runs;
    if (bytes > 0)
        printf("%-16s %10.2f us %12.0f MB/s\n", name, each, (double)bytes / each);
    else
        printf("%-16s %10.2f us %12.0f /s\n", name, each, 1e6 / each);
}

int main(void)
{
    static const char *const audiences[] = { "https://management.example", NULL };
    struct error err;
    uint8_t key[SEAL_KEY_BYTES] = { 1 }, header[SEAL_HEADER_BYTES];
    _cleanup_(arena_freep) struct arena *keep = arena_new();
    struct bench b = { .a = arena_new(),
                       .buf = arena_alloc(keep, SEAL_CHUNK_BYTES),
                       .sealed = arena_alloc(keep, CHUNK),
                       .sha256 = hasher_new(DIGEST_SHA256),
                       .sha512 = hasher_new(DIGEST_SHA512),
                       .key = token_key_new(),
                       .hash = secret_hash_generated(keep, "0123456789012345678901") };
    b.sealer = sealer_new(key, 1, "bench", header);
    sealer_chunk(b.sealer, b.buf, SEAL_CHUNK_BYTES, 0, b.sealed);
    must(opener_new(key, "bench", header, &b.opener, &err), &err);
    const struct token_key *keys[] = { b.key };
    b.policy = (struct token_policy){ .keys = keys, .key_count = 1, .audiences = audiences };
    b.claims = json_own(keep, json_new_object());
    json_set_text(b.claims, "aud", audiences[0]);
    json_set_text(b.claims, "iss", "https://login.example/11111111-1111-1111-1111-111111111111/");
    json_set_text(b.claims, "tid", "11111111-1111-1111-1111-111111111111");
    json_set_text(b.claims, "oid", "22222222-2222-2222-2222-222222222222");
    json_set_int(b.claims, "exp", clock_wall_s() + 3600);

    measure(&b, "sha256", run_sha256, SEAL_CHUNK_BYTES);
    measure(&b, "sha512", run_sha512, SEAL_CHUNK_BYTES);
    measure(&b, "seal", run_seal, SEAL_CHUNK_BYTES);
    measure(&b, "open", run_open, SEAL_CHUNK_BYTES);
    measure(&b, "sha256+seal", run_hash_and_seal, SEAL_CHUNK_BYTES);
    measure(&b, "sealer+opener", run_opener_new, 0);
    measure(&b, "secret_verify", run_secret, 0);
    measure(&b, "token_sign", run_sign, 0);
    measure(&b, "token_verify", run_verify, 0);

    hasher_free(b.sha256);
    hasher_free(b.sha512);
    sealer_free(b.sealer);
    opener_free(b.opener);
    token_key_free(b.key);
    arena_free(b.a);
    return 0;
}

/* Content digests (OCI image-spec descriptor: "sha256:<64 hex>", "sha512:<128 hex>"), keyed hashes,
 * constant-time comparison, random bytes. */
#ifndef PORTOLAN_CRYPTO_DIGEST_H
#define PORTOLAN_CRYPTO_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;
struct error;

enum digest_algorithm { DIGEST_SHA256, DIGEST_SHA512, DIGEST_ALGORITHM_MAX };

#define DIGEST_TEXT_MAX 136 /* "sha512:" + 128 + NUL */
#define SHA256_LEN 32
#define SHA512_LEN 64

struct digest {
    enum digest_algorithm algorithm;
    uint8_t bytes[SHA512_LEN]; /* the first 32 for sha256 */
};

/* Strict grammar: known algorithm, exactly its number of lower-case hex digits. */
MUST_CHECK bool digest_parse(const char *text, struct digest *ret);
void digest_text(const struct digest *d, char ret[DIGEST_TEXT_MAX]);
/* The hex part alone, NUL-terminated: the only source of file names. */
void digest_hex(const struct digest *d, char ret[2 * SHA512_LEN + 1]);
bool digest_equal(const struct digest *x, const struct digest *y);
void digest_of(enum digest_algorithm algorithm, const void *bytes, size_t len, struct digest *ret);

/* A running hash; aborts on OpenSSL failure (out of memory). */
struct hasher;
struct hasher *hasher_new(enum digest_algorithm algorithm);
void hasher_free(struct hasher *h);
void hasher_freep(struct hasher **h);
void hasher_update(struct hasher *h, const void *bytes, size_t len);
/* The digest of all bytes so far; the hasher may go on. */
void hasher_peek(const struct hasher *h, struct digest *ret);

void hmac_sha256(const void *key, size_t key_len, const void *bytes, size_t len,
                 uint8_t ret[SHA256_LEN]);
bool secret_equal(const void *x, const void *y, size_t len); /* constant time */
bool secret_equal_text(const char *x, const char *y);        /* constant time in the longer */
void secret_cleanse(void *p, size_t len);
void random_bytes(void *p, size_t len); /* aborts when the kernel has none */
/* len characters of [A-Za-z0-9], 5.95 bits each. */
char *random_text(struct arena *a, size_t len);

#endif

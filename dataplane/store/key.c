/* Digest keys and the clock of everything that is written. */
#include "dataplane/store/key.h"

#include <stdatomic.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/text.h"

#define COUNTER_BITS 16

static size_t hash_len(enum digest_algorithm algorithm)
{
    return algorithm == DIGEST_SHA512 ? SHA512_LEN : SHA256_LEN;
}

static uint8_t *key_bytes(struct arena *a, const struct digest *d, size_t *ret_len)
{
    size_t len = hash_len(d->algorithm);
    uint8_t *key = arena_alloc(a, 1 + len);

    key[0] = d->algorithm == DIGEST_SHA512 ? 2 : 1;
    memcpy(key + 1, d->bytes, len);
    *ret_len = 1 + len;
    return key;
}

struct pg_arg key_arg(struct arena *a, const struct digest *d)
{
    size_t len = 0;
    const uint8_t *key = key_bytes(a, d, &len);

    return pg_bytes(key, len);
}

char *key_hex(struct arena *a, const struct digest *d)
{
    size_t len = 0;
    const uint8_t *key = key_bytes(a, d, &len);

    return text_hex(a, key, len);
}

void key_read(const struct pg_result *r, size_t row, size_t col, struct digest *ret)
{
    size_t len = 0;
    const uint8_t *key = pg_get_bytes(r, row, col, &len);
    struct digest d = { .algorithm = key && key[0] == 2 ? DIGEST_SHA512 : DIGEST_SHA256 };

    if (!key || len != 1 + hash_len(d.algorithm))
        abort();
    memcpy(d.bytes, key + 1, len - 1);
    *ret = d;
}

int64_t hybrid_clock(void)
{
    static _Atomic int64_t last;
    int64_t now = (int64_t)((uint64_t)clock_wall_ms() << COUNTER_BITS);
    int64_t seen = atomic_load(&last);
    int64_t next;

    do {
        next = now > seen ? now : seen + 1;
    } while (!atomic_compare_exchange_weak(&last, &seen, next));
    return next;
}

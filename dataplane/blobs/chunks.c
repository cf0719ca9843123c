/* One mapping, cut into slots; a short search under one lock, copies outside of it. The pages are
 * the system's again when the last reader leaves, so that an idle process holds none. */
#include "dataplane/blobs/chunks.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/base/log.h"
#include "common/crypto/seal.h"

#define CHUNKS     64
#define SLOT_BYTES ((size_t)SEAL_CHUNK_BYTES + 4096) /* whole pages, with room for the tag */

struct chunk {
    uint8_t salt[BLOB_SALT_BYTES];
    uint64_t index;
    size_t len;    /* 0: holds nothing */
    unsigned pins; /* threads that copy or fill */
    uint64_t used; /* tick of the last use */
};

struct chunk_cache {
    pthread_mutex_t lock;
    uint8_t *bytes;
    unsigned readers;
    bool is_touched; /* pages of the mapping may be there */
    uint64_t tick;
    struct chunk chunks[CHUNKS];
};

static uint8_t *bytes_of(const struct chunk_cache *c, const struct chunk *chunk)
{
    return c->bytes + (size_t)(chunk - c->chunks) * SLOT_BYTES;
}

/* The lock is held. */
static struct chunk *find(struct chunk_cache *c, const uint8_t *salt, uint64_t index)
{
    for (size_t i = 0; i < CHUNKS; i++) {
        struct chunk *chunk = &c->chunks[i];

        if (chunk->len > 0 && chunk->index == index &&
            memcmp(chunk->salt, salt, BLOB_SALT_BYTES) == 0)
            return chunk;
    }
    return NULL;
}

/* The lock is held. */
static struct chunk *oldest(struct chunk_cache *c)
{
    struct chunk *best = NULL;

    for (size_t i = 0; i < CHUNKS; i++) {
        struct chunk *chunk = &c->chunks[i];

        if (chunk->pins == 0 && (!best || chunk->used < best->used))
            best = chunk;
    }
    return best;
}

struct chunk_cache *chunk_cache_new(void)
{
    struct chunk_cache *c = calloc(1, sizeof(*c));

    if (!c)
        abort();
    (void)pthread_mutex_init(&c->lock, NULL);
    c->bytes = mmap(NULL, CHUNKS * SLOT_BYTES, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (c->bytes == MAP_FAILED) {
        log_note(LOG_ERROR, "out-of-memory", "no memory for opened chunks");
        abort();
    }
    return c;
}

void chunk_cache_free(struct chunk_cache *c)
{
    if (!c)
        return;
    (void)munmap(c->bytes, CHUNKS * SLOT_BYTES);
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
}

void chunk_cache_enter(struct chunk_cache *c)
{
    pthread_mutex_lock(&c->lock);
    c->readers++;
    pthread_mutex_unlock(&c->lock);
}

void chunk_cache_leave(struct chunk_cache *c)
{
    pthread_mutex_lock(&c->lock);
    c->readers--;
    if (c->readers == 0 && c->is_touched) {
        memset(c->chunks, 0, sizeof(c->chunks));
        (void)madvise(c->bytes, CHUNKS * SLOT_BYTES, MADV_DONTNEED);
        c->is_touched = false;
    }
    pthread_mutex_unlock(&c->lock);
}

size_t chunk_cache_copy(struct chunk_cache *c, const uint8_t salt[BLOB_SALT_BYTES], uint64_t index,
                        size_t skip, void *buf, size_t cap)
{
    struct chunk *chunk;
    size_t n = 0;

    pthread_mutex_lock(&c->lock);
    chunk = c->is_touched ? find(c, salt, index) : NULL;
    if (chunk && skip < chunk->len) {
        n = chunk->len - skip < cap ? chunk->len - skip : cap;
        chunk->pins++;
        chunk->used = ++c->tick;
    }
    pthread_mutex_unlock(&c->lock);
    if (n == 0)
        return 0;
    memcpy(buf, bytes_of(c, chunk) + skip, n);
    pthread_mutex_lock(&c->lock);
    chunk->pins--;
    pthread_mutex_unlock(&c->lock);
    return n;
}

struct chunk *chunk_cache_take(struct chunk_cache *c, uint8_t **ret_bytes)
{
    struct chunk *chunk;

    pthread_mutex_lock(&c->lock);
    chunk = oldest(c);
    if (chunk) {
        chunk->len = 0;
        chunk->pins = 1;
        chunk->used = ++c->tick;
        c->is_touched = true;
    }
    pthread_mutex_unlock(&c->lock);
    if (chunk)
        *ret_bytes = bytes_of(c, chunk);
    return chunk;
}

void chunk_cache_keep(struct chunk_cache *c, struct chunk *chunk,
                      const uint8_t salt[BLOB_SALT_BYTES], uint64_t index, size_t len)
{
    pthread_mutex_lock(&c->lock);
    memcpy(chunk->salt, salt, BLOB_SALT_BYTES);
    chunk->index = index;
    chunk->len = len;
    chunk->used = ++c->tick;
    chunk->pins--;
    pthread_mutex_unlock(&c->lock);
}

void chunk_cache_drop(struct chunk_cache *c, struct chunk *chunk)
{
    pthread_mutex_lock(&c->lock);
    chunk->used = 0;
    chunk->pins--;
    pthread_mutex_unlock(&c->lock);
}

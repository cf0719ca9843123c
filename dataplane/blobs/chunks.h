/* Opened chunks of sealed files that several readers want at about the same time: clients of one
 * image move in step, and each asks for pieces much smaller than a chunk. A fixed number of chunks,
 * the one unused for longest makes room. Nothing is held while nobody reads. Any thread. */
#ifndef PORTOLAN_BLOBS_CHUNKS_H
#define PORTOLAN_BLOBS_CHUNKS_H

#include <stddef.h>
#include <stdint.h>

#include "dataplane/blobs/blobs.h"

struct chunk;
struct chunk_cache;

struct chunk_cache *chunk_cache_new(void);
void chunk_cache_free(struct chunk_cache *c); /* NULL is accepted */

/* Around the use by one reader; the last one to leave gives the memory back. */
void chunk_cache_enter(struct chunk_cache *c);
void chunk_cache_leave(struct chunk_cache *c);

/* Copies from the chunk, from byte skip on. How many bytes; 0 when it is not there. salt names the
 * file: no two sealed files have the same one. */
size_t chunk_cache_copy(struct chunk_cache *c, const uint8_t salt[BLOB_SALT_BYTES], uint64_t index,
                        size_t skip, void *buf, size_t cap);

/* Room for a chunk in its sealed form, to be opened in place, which is the caller's until it is
 * kept or dropped; NULL when all is in use. */
struct chunk *chunk_cache_take(struct chunk_cache *c, uint8_t **ret_bytes);
/* The plain bytes are there: from now on others find them. */
void chunk_cache_keep(struct chunk_cache *c, struct chunk *chunk,
                      const uint8_t salt[BLOB_SALT_BYTES], uint64_t index, size_t len);
void chunk_cache_drop(struct chunk_cache *c, struct chunk *chunk);

#endif

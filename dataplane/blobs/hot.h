/* Plain bytes of sealed files that several readers want at the same time, opened once into memory
 * that the kernel can send from. Bounded; nothing is held of a file nobody reads. Any thread. */
#ifndef PORTOLAN_BLOBS_HOT_H
#define PORTOLAN_BLOBS_HOT_H

#include <stdint.h>
#include <sys/types.h>

#include "dataplane/blobs/blobs.h"

struct hot_file;
struct hot_cache;
struct view;

struct hot_cache *hot_cache_new(void);
void hot_cache_free(struct hot_cache *c); /* NULL is accepted */

/* A reader comes to the file with that salt; NULL when it is not worth it, or too much is held. */
struct hot_file *hot_enter(struct hot_cache *c, const uint8_t salt[BLOB_SALT_BYTES], uint64_t size);
/* The bytes, valid until leaving: the descriptor stays the cache's. -1 while there are none; the
 * first of several readers then makes them from v, which may take a while. */
int hot_fd(struct hot_cache *c, struct hot_file *file, struct view *v);
void hot_leave(struct hot_cache *c, struct hot_file *file); /* file may be NULL */

#endif

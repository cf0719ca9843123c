/* Files that are read again and again, kept ready to be sent without reading: of a sealed file its
 * plain bytes, opened once into memory; a plain one is mapped. The memory is bounded, what is larger than
 * all of it is none of this, and what nobody read for some seconds is given back. Any thread. */
#ifndef PORTOLAN_BLOBS_HOT_H
#define PORTOLAN_BLOBS_HOT_H

#include <stdint.h>

#include "dataplane/blobs/blobs.h"

struct hot_file;
struct hot_cache;
struct view;

struct hot_cache *hot_cache_new(uint64_t max_bytes);
void hot_cache_free(struct hot_cache *c); /* NULL is accepted; nobody reads any more */

/* Moves whenever something is forgotten: taken before a file is opened, so that one that was
 * replaced or removed in between is not kept. */
uint64_t hot_stamp(struct hot_cache *c);
/* A reader that wants the bytes comes to the file it opened; NULL when there is no row for it. */
struct hot_file *hot_enter(struct hot_cache *c, const struct blob_ref *ref, uint64_t stamp);
/* A reader comes to a file that is ready; NULL when it is not. Never waits for a disk. */
struct hot_file *hot_find(struct hot_cache *c, const struct blob_ref *ref);
/* The bytes, valid until leaving; NULL while there are none. The second of several readers makes
 * them from v, which may take a while; v NULL: nobody does. */
const uint8_t *hot_bytes(struct hot_cache *c, struct hot_file *file, struct view *v);
void hot_leave(struct hot_cache *c, struct hot_file *file); /* file may be NULL */

/* The file with that digest is another one now, or none: who comes next opens it anew. */
void hot_forget(struct hot_cache *c, const struct digest *digest);
/* Gives back what nobody read for a while. */
void hot_rest(struct hot_cache *c);

#endif

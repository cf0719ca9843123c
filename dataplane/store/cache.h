/* What this process knows about its registry's content: which digests and tags a repository has.
 * Exact, because one process owns the registry: every write of this process drops what it touched,
 * before it answers, also when the outcome of its transaction is unknown.
 *
 * A look-up that misses takes a stamp, asks the database and puts the answer with that stamp; when
 * the repository was written to in between, the answer is not kept. Bounded by bytes, oldest use
 * goes first; empty at start, trimmed when idle. Thread-safe. */
#ifndef PORTOLAN_STORE_CACHE_H
#define PORTOLAN_STORE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"
#include "common/crypto/digest.h"
#include "dataplane/blobs/blobs.h"

struct http_stock;
struct manifest_found;

#define CACHED_MANIFEST_MAX ((size_t)1024 * 1024)

/* Immutable; counted by references. */
struct cached_manifest {
    struct digest digest;
    const char *media_type;
    const void *payload;
    size_t payload_len;
};

struct content_cache;
struct content_cache *content_cache_new(size_t max_bytes);
void content_cache_free(struct content_cache *c);
uint64_t content_cache_stamp(struct content_cache *c, const char *repository);

struct cached_manifest *cached_manifest_new(const struct manifest_found *found);
void cached_manifest_release(void *manifest); /* struct cached_manifest; NULL is accepted */
/* reference: a tag, or a digest as text. NULL when not known; else the caller releases it. */
struct cached_manifest *content_cache_manifest(struct content_cache *c, const char *repository,
                                               const char *reference);
/* Takes a reference of its own; one over CACHED_MANIFEST_MAX is not kept. */
void content_cache_put_manifest(struct content_cache *c, uint64_t stamp, const char *repository,
                                const char *reference, struct cached_manifest *manifest);
/* The replies kept for a known manifest by this reference, or for a blob; the caller releases them.
 * NULL when it is not known. A bounded number of references has some: those asked for last. */
struct http_stock *content_cache_manifest_stock(struct content_cache *c, const char *repository,
                                                const char *reference);
struct http_stock *content_cache_blob_stock(struct content_cache *c, const char *repository,
                                            const char *digest);
bool content_cache_blob(struct content_cache *c, const char *repository, const char *digest,
                        struct blob_ref *ret);
void content_cache_put_blob(struct content_cache *c, uint64_t stamp, const char *repository,
                            const char *digest, const struct blob_ref *ref);

/* Everything of the repository, or one reference of it. */
void content_cache_forget(struct content_cache *c, const char *repository);
void content_cache_forget_one(struct content_cache *c, const char *repository,
                              const char *reference);
/* Down to at most max_bytes, for idle times. */
void content_cache_trim(struct content_cache *c, size_t max_bytes);

#endif

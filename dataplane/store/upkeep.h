/* Background care of stored content, in SQL and files; when it runs stands in rules/upkeep.h. */
#ifndef PORTOLAN_STORE_UPKEEP_H
#define PORTOLAN_STORE_UPKEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"
#include "dataplane/blobs/blobs.h"

struct arena;
struct error;
struct store;

/* Removes files of one part of the store that no row names: left by a process that died, or a
 * transaction that failed, between the rename and the commit. */
MUST_CHECK int upkeep_orphans(const struct store *s, struct arena *a, unsigned part,
                              int64_t *ret_removed, struct error *err);
/* Ends up to a bounded number of tombstones older than keep_s. */
MUST_CHECK int upkeep_tombstones(const struct store *s, struct arena *a, int64_t keep_s,
                                 int64_t *ret_removed, struct error *err);

#define SCRUB_BATCH 32
struct scrub_item {
    int64_t id;
    struct blob_ref ref;
};
struct scrub_state {
    int64_t after; /* the last blob verified in this pass */
    int64_t age_s; /* since the last whole pass ended; INT64_MAX: never */
};
MUST_CHECK int scrub_load(const struct store *s, struct arena *a, struct scrub_state *ret,
                          struct error *err);
/* Blobs after id, in order; the count is 0 at the end. */
MUST_CHECK int scrub_next(const struct store *s, struct arena *a, int64_t after,
                          struct scrub_item **ret, size_t *ret_count, struct error *err);
/* The one of that digest, unless it is set aside already: 1 or 0. */
MUST_CHECK int scrub_find(const struct store *s, struct arena *a, const struct digest *digest,
                          struct scrub_item *ret, struct error *err);
MUST_CHECK int scrub_save(const struct store *s, struct arena *a, int64_t after, bool is_end,
                          struct error *err);
/* Looks again with the blob held, and sets it aside if it is damaged indeed: 1; 0 when it is not,
 * or is in use. *ret_repositories: who had it. */
MUST_CHECK int scrub_quarantine(const struct store *s, struct arena *a,
                                const struct scrub_item *item, const char ***ret_repositories,
                                size_t *ret_count, struct error *err);
/* 1 the content is what its digest says; 0 it is damaged or absent; -1 the store did not answer. */
MUST_CHECK int scrub_verify(const struct store *s, const struct blob_ref *ref, struct error *err);

#endif

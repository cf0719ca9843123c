/* How many bytes of content a registry stores, exactly, and the place for more under its limit.
 *
 * The database counts by triggers (registry_usage), so its sum is right after any history. Limits
 * are held here: one process owns the registry, so a reservation in memory, made before a row and
 * kept until the transaction's end is known, is exact without a row that every push waits for. An
 * end that stays unknown leaves its reservation until the next count, which waits until nothing is
 * under way. */
#ifndef PORTOLAN_STORE_USAGE_H
#define PORTOLAN_STORE_USAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;
struct error;
struct pg_conn;
struct store;

struct usage;
struct usage *usage_new(void);
void usage_free(struct usage *u); /* NULL is accepted */
/* One transaction's room; starts as zeros. */
struct usage_claim {
    bool is_made; /* something was claimed, or added without a limit */
    bool is_held; /* the size is reserved */
    bool is_used; /* set by the owner: the last run of the transaction added the size */
};
/* Room for size bytes more; conn counts when that is needed. E_STORAGE_FULL past the limit (0:
 * none). Does nothing when the claim is made already, by a run of the transaction that is repeated.
 * Before any lock that others with a claim may need. */
MUST_CHECK int usage_claim(const struct store *s, struct pg_conn *conn, struct arena *a,
                           struct usage_claim *claim, int64_t size, int64_t limit,
                           struct error *err);
/* The transaction's end; one that failed may have happened all the same. */
void usage_settle(struct usage *u, const struct usage_claim *claim, bool is_committed);
/* Content is gone, or may be: before anything is refused, it is counted anew. */
void usage_note_less(struct usage *u);
/* What one repository holds, of one moment. A blob counts once; it is shared when another
 * repository has it too. */
struct repository_usage {
    int64_t unique_bytes;   /* of blobs that nobody else has */
    int64_t shared_bytes;   /* of blobs that others have too */
    int64_t manifest_bytes; /* of the manifests themselves */
};
/* 0 when there is no such repository, or it holds nothing. */
MUST_CHECK int usage_of_repository(const struct store *s, struct arena *a, const char *repository,
                                   struct repository_usage *ret, struct error *err);
/* What the database counts. */
MUST_CHECK int usage_read(const struct store *s, struct arena *a, int64_t *ret_bytes,
                          struct error *err);

#endif

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
/* Room for size bytes more; conn counts when that is needed. E_STORAGE_FULL past the limit. */
MUST_CHECK int usage_reserve(const struct store *s, struct pg_conn *conn, struct arena *a,
                             int64_t size, int64_t limit, struct error *err);
enum usage_end { USAGE_KEPT, USAGE_UNKNOWN };
void usage_settle(struct usage *u, enum usage_end end);
/* Content is gone, or may be: the next reservation counts anew. */
void usage_forget(struct usage *u);
/* What the database counts. */
MUST_CHECK int usage_read(const struct store *s, struct arena *a, int64_t *ret_bytes,
                          struct error *err);

#endif

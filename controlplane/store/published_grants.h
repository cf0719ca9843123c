/* What a region's data planes know of role assignments: what each principal may do, by registry. Of
 * many registries at a time, because one assignment may stand above all of them. Every call takes a
 * connection to the region's database, inside the caller's transaction. */
#ifndef PORTOLAN_STORE_PUBLISHED_GRANTS_H
#define PORTOLAN_STORE_PUBLISHED_GRANTS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/cleanup.h"

struct arena;
struct error;
struct pg_conn;

struct published_holder {
    const char *id; /* of the registry */
    bool is_abac;   /* its roleAssignmentMode, as published */
};

/* Locks the rows of those that are published, as published_lock() does, in an order that all share. */
MUST_CHECK int published_grants_lock(struct pg_conn *conn, struct arena *a,
                                     const char *const *registry_ids, size_t count,
                                     struct published_holder **ret, size_t *ret_count,
                                     struct error *err);
/* Makes the grants of each registry exactly what its text says, an object: principal id → permissions.
 * The registries must be locked. *ret_changed: those for which it was not so before. */
MUST_CHECK int published_grants_put(struct pg_conn *conn, struct arena *a,
                                    const char *const *registry_ids, const char *const *grants,
                                    size_t count, const char ***ret_changed,
                                    size_t *ret_changed_count, struct error *err);

#endif

/* What a region's data planes know of many registries, at a time, because one change may concern them all:
 * what each principal may do, and which private links and subnets are let in. Every call takes a connection
 * to the region's database, inside the caller's transaction. */
#ifndef PORTOLAN_STORE_PUBLISHED_MANY_H
#define PORTOLAN_STORE_PUBLISHED_MANY_H

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
MUST_CHECK int published_many_lock(struct pg_conn *conn, struct arena *a,
                                   const char *const *registry_ids, size_t count,
                                   struct published_holder **ret, size_t *ret_count,
                                   struct error *err);
/* Makes the grants of each registry exactly what its text says, an object: principal id → permissions.
 * The registries must be locked. *ret_changed: those for which it was not so before. */
MUST_CHECK int published_grants_put(struct pg_conn *conn, struct arena *a,
                                    const char *const *registry_ids, const char *const *grants,
                                    size_t count, const char ***ret_changed,
                                    size_t *ret_changed_count, struct error *err);

struct published_origins {
    const char *registry_id, *generation; /* of the desired state, as text */
    const char *links;                    /* JSON: the list of private links */
    const char *subnets;                  /* JSON: that of rules for subnets; NULL stays as it is */
};
/* Makes these members of the settings exactly so. The registries must be locked; one that is published from
 * a newer generation is left alone. The generation of those that change moves along. */
MUST_CHECK int published_origins_put(struct pg_conn *conn, struct arena *a,
                                     const struct published_origins *items, size_t count,
                                     const char ***ret_changed, size_t *ret_changed_count,
                                     struct error *err);

#endif

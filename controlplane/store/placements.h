/* Where each registry's data planes run: one address and port per registry and region, fixed for
 * the life of the placement. The unique constraint on (address, port) makes two control planes
 * agree. */
#ifndef PORTOLAN_STORE_PLACEMENTS_H
#define PORTOLAN_STORE_PLACEMENTS_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;
struct error;
struct pg_conn;

struct placement {
    const char *registry_uid;
    const char *region;
    const char *address;
    int64_t port;
};

MUST_CHECK int placement_get(struct pg_conn *conn, struct arena *a, const char *registry_uid,
                             const char *region, struct placement *ret,
                             struct error *err); /* 1/0/-1 */
/* All of a registry, or with registry_uid NULL of all registries. */
MUST_CHECK int placement_list(struct pg_conn *conn, struct arena *a, const char *registry_uid,
                              struct placement **ret, size_t *ret_count, struct error *err);
/* Ports of [first, last] that no placement at address holds, from one at random onwards, wrapping
 * around; at most `max`. */
MUST_CHECK int placement_free_ports(struct pg_conn *conn, struct arena *a, const char *address,
                                    int64_t first, int64_t last, int64_t max, int64_t **ret,
                                    size_t *ret_count, struct error *err);
/* 1 added, 0 when the port was taken or the registry is placed in the region meanwhile. */
MUST_CHECK int placement_add(struct pg_conn *conn, struct arena *a, const struct placement *p,
                             struct error *err);
MUST_CHECK int placement_remove(struct pg_conn *conn, struct arena *a, const char *registry_uid,
                                const char *region, struct error *err);

#endif

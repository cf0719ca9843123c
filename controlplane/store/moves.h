/* A resource under another group: its id changes, and with it those of what stands below it and of
 * what was made for it. */
#ifndef PORTOLAN_STORE_MOVES_H
#define PORTOLAN_STORE_MOVES_H

#include <stddef.h>

#include "common/base/cleanup.h"

struct arena;
struct error;
struct pg_conn;
struct resource;

struct resource_move {
    const struct resource *resource; /* locked by the caller */
    const char *id, *key, *group_key; /* as they will be */
    const char *const *worked; /* types with steps: they become work, to publish the new id */
    size_t worked_count;
};
/* Ids of it that others of the same subscription name or show change as well. Roles and diagnostic
 * settings at the old id go. E_CONFLICT (target resources_key_key) when something has the new id. */
MUST_CHECK int resource_move(struct pg_conn *conn, struct arena *a, const struct resource_move *m,
                             struct error *err);

#endif

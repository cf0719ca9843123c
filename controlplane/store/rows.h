/* How a row of `resources` becomes a struct, for the files of this folder that select one. */
#ifndef PORTOLAN_STORE_ROWS_H
#define PORTOLAN_STORE_ROWS_H

#include <stddef.h>

#include "common/base/cleanup.h"

struct arena;
struct error;
struct pg_result;
struct resource;

/* Of `resources r`, in the order resource_from_row() reads them. */
#define RESOURCE_COLUMNS                                                                           \
    "r.uid, r.key, r.id, r.type_key, r.name, r.subscription_id, r.group_key, r.parent_uid, "       \
    "r.location, r.global_name, r.tags, r.body, r.status, r.system_data, r.state, r.generation, "  \
    "r.observed_generation, r.attempts, r.last_error, r.created_at, r.updated_at, r.xmin::text, "  \
    "r.is_system, r.projected"

/* A settled row is observed again soon, an unsettled one at once, one that nobody works on never:
 * not_before is the only clock. A new generation starts with a clean slate of attempts. */
#define RESOURCE_DUE_AT(time)                                                                      \
    "not_before = case when isfinite(not_before) then " time " else not_before end, "              \
    "attempts = 0, step = null, updated_at = now()"
#define RESOURCE_DUE RESOURCE_DUE_AT("now()")

/* Of `resources r`, those of the subscriptions that a scope key ("": everywhere) is in or above: what an
 * index leads to, however many rows there are. */
#define RESOURCES_OF_SCOPE(key)                                                                    \
    "r.subscription_id = any (array(select s.id from subscriptions s where " key " = '' "          \
    "or starts_with(" key " || '/', '/subscriptions/' || s.id || '/')))"

MUST_CHECK int resource_from_row(const struct pg_result *r, size_t row, struct arena *a,
                                 struct resource *ret, struct error *err);

#endif

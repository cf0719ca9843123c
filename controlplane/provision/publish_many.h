/* Publishing one change to all registries that it concerns, before its answer, so that it holds if this
 * control plane dies right then. They may be thousands, so many are published at a time: a transaction of
 * the region for each batch, which locks the batch's registries before it reads what it publishes, so that
 * of two who publish the later one has seen what the earlier one saw. */
#ifndef PORTOLAN_PROVISION_PUBLISH_MANY_H
#define PORTOLAN_PROVISION_PUBLISH_MANY_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;
struct control;
struct error;
struct pg_conn;
struct region;
struct resource;

/* Registries of one subscription in one region. */
struct publish_batch {
    struct control *control;
    const struct region *region;
    const char *subscription_id;
    const char *const *uids;
    size_t count;
};

struct publish_many {
    const char *name; /* in logs */
    /* Registries that the change concerns, by key from after_key ("": the first) on: uid, key, subscription
     * and location of each. */
    int (*next)(struct pg_conn *conn, struct arena *a, const void *ctx, const char *after_key,
                int64_t limit, struct resource **ret, size_t *ret_count, struct error *err);
    const void *ctx;
    /* In a transaction of the region; its ctx is the struct publish_batch. */
    int (*write)(struct pg_conn *conn, struct arena *a, void *batch, struct error *err);
};

/* What could not be told to a region that is away is logged, and left to the reconcile loop. */
MUST_CHECK int publish_many(struct control *control, const struct publish_many *many,
                            struct error *err);

#endif

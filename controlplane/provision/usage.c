/* Storage use, asked of the region's database. */
#include "controlplane/provision/usage.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/pg/pg.h"
#include "controlplane/control.h"
#include "controlplane/provision/region.h"
#include "controlplane/store/published.h"
#include "controlplane/store/resources.h"

struct question {
    const char *uid;
    int64_t bytes;
};

static int ask(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct question *q = ctx;

    return published_size(conn, a, q->uid, &q->bytes, err);
}

int registry_size_bytes(struct control *control, struct arena *a, const struct resource *registry,
                        int64_t *ret_bytes, struct error *err)
{
    const struct region *region = region_find(control->regions, registry->location);
    struct question q = { .uid = registry->uid };

    if (!region)
        return fail_cause(err, &E_INTERNAL, "no region '%s'",
                          registry->location ? registry->location : "");
    if (pg_with(region->db, a, ask, &q, err))
        return wrap(err, "size of registry");
    *ret_bytes = q.bytes;
    return 0;
}

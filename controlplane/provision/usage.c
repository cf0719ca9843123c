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
    const char *region;
    int64_t bytes;
};

static int find_region(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct question *q = ctx;
    struct resource *registry;
    int found = resource_by_uid(conn, a, q->uid, false, &registry, err);

    if (found > 0)
        q->region = registry->location;
    return found < 0 ? -1 : 0;
}

static int ask(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct question *q = ctx;

    return published_size(conn, a, q->uid, &q->bytes, err);
}

int registry_size_bytes(struct control *control, struct arena *a, const char *registry_uid,
                        int64_t *ret_bytes, struct error *err)
{
    struct question q = { .uid = registry_uid };
    const struct region *region;

    if (pg_with(control->db, a, find_region, &q, err))
        return wrap(err, "region of registry");
    region = region_find(control->regions, q.region);
    if (!region)
        return fail_cause(err, &E_INTERNAL, "no region '%s'", q.region ? q.region : "");
    if (pg_with(region->db, a, ask, &q, err))
        return wrap(err, "size of registry");
    *ret_bytes = q.bytes;
    return 0;
}

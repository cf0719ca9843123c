/* Names and the service definition of a registry's data plane. */
#include "controlplane/provision/registry_service.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/pg/pg.h"
#include "controlplane/control.h"
#include "controlplane/provision/region.h"
#include "controlplane/provision/supervisor.h"
#include "controlplane/store/placements.h"
#include "controlplane/store/published.h"

#define DROP_BATCH 500
/* A line of a setting that may have no value: three texts. */
#define LINE(name, value) (value) ? name " = " : "", (value) ? (value) : "", (value) ? "\n" : ""

struct drop {
    const char *uid;
    int64_t removed;
};

char *registry_service_name(struct arena *a, const char *uid, const char *region)
{
    return arena_printf(a, SERVICE_PREFIX "%s-%s", uid, region);
}

char *registry_blobs(struct arena *a, const struct region *region, const char *uid)
{
    return arena_printf(a, "%s/%s", region->blobs_url, uid);
}

void registry_service(struct control *control, struct arena *a, const struct region *region,
                      const struct placement *at, struct service *ret)
{
    const struct control_settings *s = control->settings;

    *ret = (struct service){
        .name = registry_service_name(a, at->registry_uid, region->name),
        .program = s->dataplane,
        .config = arena_printf(a,
                               "registry-id = %s\n"
                               "region = %s\n"
                               "metadata-db = %s\n"
                               "blobs = %s\n"
                               "service-key-file = %s\n"
                               "edge-listen = %s:%d\n"
                               "edge-secret-file = %s\n"
                               "ca-file = %s\n"
                               "%s%s%s%s%s%s"
                               "log-level = %s\n"
                               "ready-fd = 3\n",
                               at->registry_uid, region->name, region->metadata_url,
                               registry_blobs(a, region, at->registry_uid), s->service_key_file,
                               at->address, (int)at->port, s->edge_secret_file,
                               s->ca_file, LINE("import-allow", s->import_allow),
                               LINE("import-ca-file", s->import_ca_file), s->log_level),
    };
}

static int drop_batch(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct drop *d = ctx;

    return published_drop(conn, a, d->uid, DROP_BATCH, &d->removed, err);
}

int registry_drop_published(struct arena *a, const struct region *region, const char *uid,
                            struct error *err)
{
    struct drop d = { .uid = uid, .removed = 1 };

    while (d.removed > 0)
        if (pg_transact(region->db, a, drop_batch, &d, err))
            return wrap(err, "drop projection");
    return 0;
}

/* Making and unmaking the running control plane: keys, pools, drivers, URLs, then what the database
 * holds. */
#include "controlplane/control.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/pg/migrate.h"
#include "common/pg/pg.h"
#include "controlplane/identity/identity.h"
#include "controlplane/provision/edge.h"
#include "controlplane/provision/ports.h"
#include "controlplane/provision/region.h"
#include "controlplane/provision/supervisor.h"
#include "controlplane/store/regions.h"
#include "controlplane/types/type.h"

#define SPARE_CONNECTIONS 10 /* heartbeats, housekeeping, directory, deployments */

static const char *url(struct control *control, const char *host)
{
    const struct control_settings *s = control->settings;

    if (s->port == 443)
        return arena_printf(control->arena, "https://%s.%s", host, s->domain);
    return arena_printf(control->arena, "https://%s.%s:%d", host, s->domain, (int)s->port);
}

int control_open(const struct control_settings *settings, bool may_create_key,
                 struct control *ret, struct error *err)
{
    struct pg_pool_config config = {
        .conninfo = settings->control_db,
        .application = "portolan-controlplane",
        .max = (unsigned)(settings->workers + settings->reconcilers + SPARE_CONNECTIONS),
    };
    int64_t first, last;

    *ret = (struct control){ .settings = settings, .arena = arena_new() };
    uuid_new(ret->worker_id);
    if (types_check(err) || ports_parse(settings->dataplane_ports, &first, &last, err))
        return -1;
    ret->supervisor = supervisor_find(settings->supervisor);
    if (!ret->supervisor)
        return fail(err, &E_INVALID, "There is no supervisor '%s'.", settings->supervisor);
    ret->edge = &haproxy_driver;
    ret->management_url = url(ret, "management");
    ret->login_url = url(ret, "login");
    ret->graph_url = url(ret, "graph");
    if (service_key_load(settings->service_key_file, may_create_key, &ret->service_key, err))
        return wrap(err, "service key");
    ret->db = pg_pool_new(&config);
    return 0;
}

static int load_regions(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct control *control = ctx;

    (void)a;
    return regions_open(conn, control->arena, &control->regions, err);
}

static int open_regions(struct control *control, struct error *err)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();

    regions_close(control->regions);
    control->regions = NULL;
    if (pg_with(control->db, a, load_regions, control, err))
        return wrap(err, "load regions");
    if (!control->regions->name)
        return fail(err, &E_INVALID, "The installation has no regions: run init first.");
    return 0;
}

int control_connect(struct control *control, struct error *err)
{
    if (open_regions(control, err))
        return -1;
    if (control->directory)
        return 0;
    if (directory_open(control, &control->directory, err))
        return wrap(err, "open directory");
    return 0;
}

static int seed_regions(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct control *control = ctx;
    struct region_row *wanted;
    size_t count;

    if (regions_wanted(control->settings, a, &wanted, &count, err))
        return -1;
    for (size_t i = 0; i < count; i++)
        if (region_put(conn, a, &wanted[i], (int)i, err))
            return wrap(err, "region %s", wanted[i].name);
    return 0;
}

static int migrate(struct control *control, const char *url_text, const char *which,
                   struct arena *a, struct error *err)
{
    int applied;

    if (pg_migrate(url_text, arena_printf(a, "%s/%s", control->settings->migrations, which),
                   &applied, err))
        return wrap(err, "migrate %s", which);
    return 0;
}

int control_init(struct control *control, struct error *err)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();

    if (migrate(control, control->settings->control_db, "control", a, err))
        return -1;
    if (pg_transact(control->db, a, seed_regions, control, err) || open_regions(control, err))
        return -1;
    for (const struct region *r = control->regions; r->name; r++)
        if (migrate(control, r->metadata_url, "region", a, err))
            return wrap(err, "region %s", r->name);
    return directory_init(control, err);
}

void control_close(struct control *control)
{
    directory_close(control->directory);
    regions_close(control->regions);
    if (control->db)
        pg_pool_free(control->db);
    arena_free(control->arena);
    *control = (struct control){ .settings = NULL };
}

/* The orphan sweep. In the ordinary course it finds nothing: undo removes what a resource owned
 * before its row goes. It is for what a worker did after it had lost its lease without knowing, and
 * for a control database that was restored from a backup. Outside things are listed first and the
 * database is asked afterwards, so nothing that was made in between can look like an orphan; a
 * grace time covers clients of a database that is just being restored. Sources of runs that are past
 * their time go on the way. */
#include "controlplane/provision/sweep.h"

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/pg/pg.h"
#include "controlplane/control.h"
#include "controlplane/provision/edge.h"
#include "controlplane/provision/region.h"
#include "controlplane/provision/registry_service.h"
#include "controlplane/provision/supervisor.h"
#include "controlplane/storage/sources.h"
#include "controlplane/store/leases.h"
#include "controlplane/store/published.h"

#define GRACE_S 60

struct missing {
    const char **uids;
    size_t count;
    const char **gone;
    size_t gone_count;
};

static int ask_missing(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct missing *m = ctx;

    return lease_missing(conn, a, m->uids, m->count, &m->gone, &m->gone_count, err);
}

static bool is_in(const char *const *items, size_t count, const char *wanted)
{
    for (size_t i = 0; i < count; i++)
        if (text_eq(items[i], wanted))
            return true;
    return false;
}

static void log_orphan(const char *kind, const char *name)
{
    struct log_line l;

    log_start(&l, LOG_WARN, "orphan-removed");
    log_text(&l, "kind", kind);
    log_text(&l, "name", name);
    log_end(&l);
}

/* The uid in "dataplane-<uid>-<region>", or NULL. */
static char *uid_of_service(struct arena *a, const char *name)
{
    const char *p = name + strlen(SERVICE_PREFIX);
    char *uid;

    if (!text_starts(name, SERVICE_PREFIX) || strlen(p) < UUID_TEXT_LEN + 2 ||
        p[UUID_TEXT_LEN] != '-')
        return NULL;
    uid = arena_strndup(a, p, UUID_TEXT_LEN);
    return uuid_is_valid(uid) ? uid : NULL;
}

static int sweep_services(struct control *control, struct arena *a, struct error *err)
{
    struct missing m = { .count = 0 };
    char **names;
    size_t count;

    if (control->supervisor->list(control, a, GRACE_S, &names, &count, err))
        return wrap(err, "list services");
    m.uids = arena_array(a, count + 1, sizeof(*m.uids));
    for (size_t i = 0; i < count; i++) {
        char *uid = uid_of_service(a, names[i]);

        if (uid)
            m.uids[m.count++] = uid;
    }
    if (m.count == 0)
        return 0;
    if (pg_with(control->db, a, ask_missing, &m, err))
        return wrap(err, "services without a resource");
    for (size_t i = 0; i < count && m.gone_count > 0; i++) {
        char *uid = uid_of_service(a, names[i]);

        if (!uid || !is_in(m.gone, m.gone_count, uid))
            continue;
        if (control->supervisor->remove(control, a, names[i], err))
            return wrap(err, "remove orphan service");
        log_orphan("service", names[i]);
    }
    return 0;
}

static int ask_published(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct missing *m = ctx;

    return published_ids(conn, a, GRACE_S, &m->uids, &m->count, err);
}

/* The service goes before its rows, the rows before its blobs. */
static int sweep_published(struct control *control, struct arena *a, const struct region *region,
                           struct error *err)
{
    struct missing m = { .count = 0 };

    if (pg_with(region->db, a, ask_published, &m, err))
        return wrap(err, "list projections");
    if (m.count == 0)
        return 0;
    if (pg_with(control->db, a, ask_missing, &m, err))
        return wrap(err, "projections without a resource");
    for (size_t i = 0; i < m.gone_count; i++) {
        if (control->supervisor->remove(control, a,
                                        registry_service_name(a, m.gone[i], region->name), err) ||
            registry_drop_published(a, region, m.gone[i], err) ||
            file_remove_tree(sources_folder(a, region, m.gone[i]), err) ||
            file_remove_tree(registry_blobs(a, region, m.gone[i]), err))
            return wrap(err, "remove orphan projection");
        log_orphan("projection", m.gone[i]);
    }
    return 0;
}

struct hosts {
    const char **names; /* first labels */
    size_t count;
    const char **gone;
    size_t gone_count;
};

static int ask_hosts(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct hosts *h = ctx;

    return lease_unnamed(conn, a, "microsoft.containerregistry/registries", h->names, h->count,
                         &h->gone, &h->gone_count, err);
}

static int sweep_edge(struct control *control, struct arena *a, struct error *err)
{
    char *suffix = arena_printf(a, ".cr.%s", control->settings->domain);
    struct hosts h = { .count = 0 };
    char **hosts;
    size_t count;

    if (control->edge->list(control, a, &hosts, &count, err))
        return wrap(err, "list edge entries");
    h.names = arena_array(a, count + 1, sizeof(*h.names));
    for (size_t i = 0; i < count; i++)
        if (text_ends(hosts[i], suffix))
            h.names[h.count++] = arena_strndup(a, hosts[i], strcspn(hosts[i], "."));
    if (h.count == 0)
        return 0;
    if (pg_with(control->db, a, ask_hosts, &h, err))
        return wrap(err, "edge entries without a resource");
    for (size_t i = 0; i < count && h.gone_count > 0; i++) {
        if (!text_ends(hosts[i], suffix) ||
            !is_in(h.gone, h.gone_count, arena_strndup(a, hosts[i], strcspn(hosts[i], "."))))
            continue;
        if (control->edge->remove(control, a, hosts[i], err))
            return wrap(err, "remove orphan edge entry");
        log_orphan("edge", hosts[i]);
    }
    return 0;
}

int sweep_orphans(struct control *control, struct arena *a, struct error *err)
{
    struct error next;
    int rc = sweep_edge(control, a, err);

    if (sweep_services(control, a, rc ? &next : err))
        rc = -1;
    for (struct region *r = control->regions; r->name; r++) {
        if (sweep_published(control, a, r, rc ? &next : err))
            rc = -1;
        if (sources_sweep(a, r, clock_wall_s(), rc ? &next : err))
            rc = -1;
    }
    return rc;
}

/* A registry's way from desired state to a running data plane, and back: secrets, blobs, publish,
 * service, edge; undone in reverse, so that the route goes first and what it led to last. */
#include "controlplane/provision/registry_steps.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/crypto/secret.h"
#include "common/crypto/token.h"
#include "common/pg/pg.h"
#include "controlplane/control.h"
#include "controlplane/provision/edge.h"
#include "controlplane/provision/ports.h"
#include "controlplane/provision/publish.h"
#include "controlplane/provision/publish_network.h"
#include "controlplane/provision/region.h"
#include "controlplane/provision/registry_service.h"
#include "controlplane/provision/supervisor.h"
#include "controlplane/storage/sources.h"
#include "controlplane/store/placements.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/registry.h"

#define PASSWORD_CHARS 52
#define READY_WAIT_MS 3000
#define PORT_TRIES 32
#define DATAPLANE_ADDRESS "127.0.0.1"

static enum verdict verdict_of(int rc)
{
    return rc < 0 ? VERDICT_FAILED : VERDICT_DONE;
}

static const struct region *region_of(struct step_run *run, struct error *err)
{
    const struct region *region = region_find(run->control->regions, run->resource->location);

    if (!region)
        (void)fail(err, &E_INVALID, "The location '%s' is not available in this installation.",
                   run->resource->location ? run->resource->location : "");
    return region;
}

/* secrets -------------------------------------------------------------------------------------- */

static char *new_signing_key(struct arena *a)
{
    struct token_key *key = token_key_new();
    char *pem = token_key_pem(a, key);

    token_key_free(key);
    return pem;
}

static char *new_data_key(struct arena *a)
{
    uint8_t bytes[SERVICE_KEY_LEN];
    char *text;

    random_bytes(bytes, sizeof(bytes));
    text = text_base64(a, bytes, sizeof(bytes));
    secret_cleanse(bytes, sizeof(bytes));
    return text;
}

static char *new_password(struct arena *a)
{
    return random_text(a, PASSWORD_CHARS);
}

static const struct secret_maker {
    const char *name;
    char *(*make)(struct arena *a);
} secret_makers[] = {
    { REGISTRY_PASSWORD, new_password },
    { REGISTRY_PASSWORD2, new_password },
    { REGISTRY_SIGNING_KEY, new_signing_key },
    { REGISTRY_DATA_KEY, new_data_key },
};

struct secrets_seen {
    const char *uid;
    bool is_there[ARRAY_LEN(secret_makers)];
};

static int see_secrets(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct secrets_seen *seen = ctx;
    const char *wrapped;

    for (size_t i = 0; i < ARRAY_LEN(secret_makers); i++) {
        int found = resource_secret_get(conn, a, seen->uid, secret_makers[i].name, &wrapped, err);

        if (found < 0)
            return -1;
        seen->is_there[i] = found;
    }
    return 0;
}

static enum verdict secrets_ensure(struct step_run *run, struct error *err)
{
    struct secrets_seen seen = { .uid = run->resource->uid };
    struct resource_secret made[ARRAY_LEN(secret_makers)];
    struct arena *a = run->arena;
    size_t count = 0;

    if (pg_with(run->control->db, a, see_secrets, &seen, err))
        return VERDICT_FAILED;
    for (size_t i = 0; i < ARRAY_LEN(secret_makers); i++) {
        char *secret;

        if (seen.is_there[i])
            continue;
        secret = secret_makers[i].make(a);
        made[count++] = (struct resource_secret){
            .name = secret_makers[i].name,
            .wrapped = secret_wrap(a, &run->control->service_key,
                                   resource_secret_context(a, seen.uid, secret_makers[i].name),
                                   secret, strlen(secret)),
        };
        secret_cleanse(secret, strlen(secret));
    }
    if (count == 0)
        return VERDICT_DONE;
    return verdict_of(resource_secrets_settle(run->control->db, a, seen.uid, made, count, err));
}

/* blobs ---------------------------------------------------------------------------------------- */

/* The data plane makes its own directory; nothing of it is needed before. */
static enum verdict blobs_ensure(struct step_run *run, struct error *err)
{
    return region_of(run, err) ? VERDICT_DONE : VERDICT_FAILED;
}

static enum verdict blobs_undo(struct step_run *run, struct error *err)
{
    const struct region *region = region_of(run, err);

    if (!region)
        return VERDICT_FAILED;
    if (file_remove_tree(sources_folder(run->arena, region, run->resource->uid), err))
        return VERDICT_FAILED;
    return verdict_of(file_remove_tree(
        registry_blobs(run->arena, region, run->resource->uid), err));
}

/* publish -------------------------------------------------------------------------------------- */

static enum verdict publish_ensure(struct step_run *run, struct error *err)
{
    const struct region *region = region_of(run, err);

    return region ? verdict_of(publish_registry(run, region, err)) : VERDICT_FAILED;
}

int registry_hasten(struct step_run *run, struct error *err)
{
    const struct region *region = region_of(run, err);

    return region ? publish_registry(run, region, err) : -1;
}

int registry_brief(struct step_run *run, struct error *err)
{
    const struct region *region = region_of(run, err);

    if (!region)
        return -1;
    return publish_rules(run->control, run->arena, region, run->resource,
                         publish_settings(run->control, run->arena, run->resource, run->decoded, region),
                         err);
}

static enum verdict publish_undo(struct step_run *run, struct error *err)
{
    const struct region *region = region_of(run, err);

    if (!region)
        return VERDICT_FAILED;
    return verdict_of(registry_drop_published(run->arena, region, run->resource->uid, err));
}

/* service -------------------------------------------------------------------------------------- */

struct placing {
    struct placement wanted; /* in: registry and region; out: all */
    int64_t first, last;
    int found;
};

static int find_placement(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct placing *p = ctx;

    p->found = placement_get(conn, a, p->wanted.registry_uid, p->wanted.region, &p->wanted, err);
    return p->found < 0 ? -1 : 0;
}

/* Takes the first free port that nobody on this machine listens on. */
static int choose_port(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct placing *p = ctx;
    int64_t *ports;
    size_t count;

    if (placement_free_ports(conn, a, DATAPLANE_ADDRESS, p->first, p->last, PORT_TRIES, &ports,
                             &count, err))
        return -1;
    for (size_t i = 0; i < count; i++) {
        struct placement candidate = p->wanted;
        int added;

        if (!port_is_free(DATAPLANE_ADDRESS, (int)ports[i]))
            continue;
        candidate.address = DATAPLANE_ADDRESS;
        candidate.port = ports[i];
        added = placement_add(conn, a, &candidate, err);
        if (added < 0)
            return -1;
        if (added)
            break;
        if (find_placement(conn, a, p, err))
            return -1;
        if (p->found)
            return 0;
    }
    return find_placement(conn, a, p, err);
}

static int place(struct step_run *run, const struct region *region, struct placement *ret,
                 struct error *err)
{
    struct placing p = {
        .wanted = { .registry_uid = run->resource->uid, .region = region->name },
    };

    if (pg_with(run->control->db, run->arena, find_placement, &p, err))
        return wrap(err, "placement");
    if (!p.found) {
        if (ports_parse(run->control->settings->dataplane_ports, &p.first, &p.last, err))
            return -1;
        if (pg_with(run->control->db, run->arena, choose_port, &p, err))
            return wrap(err, "placement");
    }
    if (!p.found)
        return fail_cause(err, &E_UNAVAILABLE, "no free port in %s",
                          run->control->settings->dataplane_ports);
    *ret = p.wanted;
    return 0;
}

static enum verdict service_ensure(struct step_run *run, struct error *err)
{
    const struct supervisor_driver *supervisor = run->control->supervisor;
    const struct region *region = region_of(run, err);
    enum service_health health;
    struct placement at;
    struct service service;

    if (!region || place(run, region, &at, err))
        return VERDICT_FAILED;
    if (!run->still_ours(run)) {
        (void)fail_cause(err, &E_UNAVAILABLE, "lease lost before starting the service");
        return VERDICT_FAILED;
    }
    registry_service(run->control, run->arena, region, &at, &service);
    if (supervisor->ensure(run->control, run->arena, &service, err) ||
        supervisor->health(run->control, run->arena, service.name, READY_WAIT_MS, &health, err))
        return VERDICT_FAILED;
    if (health == SERVICE_READY)
        return VERDICT_DONE;
    (void)fail_cause(err, &E_UNAVAILABLE, "service %s is %s after %d ms", service.name,
                     health == SERVICE_ABSENT ? "absent" : "not ready", READY_WAIT_MS);
    return VERDICT_FAILED;
}

static int remove_placement(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    const struct placement *p = ctx;

    return placement_remove(conn, a, p->registry_uid, p->region, err);
}

/* The port is given back only after the process is gone. */
static enum verdict service_undo(struct step_run *run, struct error *err)
{
    const struct region *region = region_of(run, err);
    struct placement p = { .registry_uid = run->resource->uid };

    if (!region)
        return VERDICT_FAILED;
    p.region = region->name;
    if (run->control->supervisor->remove(run->control, run->arena,
                                         registry_service_name(run->arena, p.registry_uid,
                                                               p.region),
                                         err))
        return VERDICT_FAILED;
    return verdict_of(pg_with(run->control->db, run->arena, remove_placement, &p, err));
}

/* edge ----------------------------------------------------------------------------------------- */

static enum verdict edge_ensure(struct step_run *run, struct error *err)
{
    const struct edge_driver *edge = run->control->edge;
    const struct registry *desired = run->decoded;
    const struct region *region = region_of(run, err);
    struct placement at;
    char *host, *data;

    if (!region || place(run, region, &at, err))
        return VERDICT_FAILED;
    host = registry_host(run->arena, run->control, run->resource);
    data = registry_data_host(run->arena, run->control, run->resource, region->name);
    if (!run->still_ours(run)) {
        (void)fail_cause(err, &E_UNAVAILABLE, "lease lost before routing");
        return VERDICT_FAILED;
    }
    if (edge->ensure(run->control, run->arena, host, at.address, (int)at.port, err))
        return VERDICT_FAILED;
    if (desired->has_data_endpoint)
        return verdict_of(edge->ensure(run->control, run->arena, data, at.address, (int)at.port,
                                       err));
    return verdict_of(edge->remove(run->control, run->arena, data, err));
}

static enum verdict edge_undo(struct step_run *run, struct error *err)
{
    const struct edge_driver *edge = run->control->edge;
    const struct region *region = region_of(run, err);

    if (!region)
        return VERDICT_FAILED;
    if (edge->remove(run->control, run->arena,
                     registry_data_host(run->arena, run->control, run->resource,
                                        region->name),
                     err))
        return VERDICT_FAILED;
    return verdict_of(edge->remove(run->control, run->arena,
                                   registry_host(run->arena, run->control, run->resource),
                                   err));
}

const struct step registry_steps[] = {
    { .name = "secrets", .ensure = secrets_ensure },
    { .name = "blobs", .ensure = blobs_ensure, .undo = blobs_undo },
    { .name = "publish", .ensure = publish_ensure, .undo = publish_undo },
    { .name = "service", .ensure = service_ensure, .undo = service_undo },
    { .name = "edge", .ensure = edge_ensure, .undo = edge_undo },
    { 0 },
};

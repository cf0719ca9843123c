/* Observes a replication: see the header. The time only moves when the status does, so that looking
 * again writes nothing new. */
#include "controlplane/provision/replication_status.h"

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/control.h"
#include "controlplane/store/placements.h"
#include "controlplane/store/resources.h"

#define NOT_HERE "No data plane of the registry serves this region."

struct look {
    const struct resource *replication;
    int is_placed;
};

static int look(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct look *l = ctx;
    struct placement at;

    l->is_placed = placement_get(conn, a, l->replication->parent_uid, l->replication->location,
                                 &at, err);
    return l->is_placed < 0 ? -1 : 0;
}

enum verdict replication_observe(struct step_run *run, struct error *err)
{
    struct look l = { .replication = run->resource };
    const char *display;

    if (pg_with(run->control->db, run->arena, look, &l, err))
        return VERDICT_FAILED;
    display = l.is_placed ? "Ready" : "NotReady";
    if (text_eq(json_text(run->status, "properties.status.displayStatus"), display))
        return VERDICT_DONE;
    json_put_at(run->status, "properties.status.displayStatus", json_new_text(display));
    json_put_at(run->status, "properties.status.message",
                json_new_text(l.is_placed ? "" : NOT_HERE));
    json_put_at(run->status, "properties.status.timestamp",
                json_new_text(clock_arm(run->arena, clock_wall_us())));
    return VERDICT_DONE;
}

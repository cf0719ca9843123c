/* Hastening: failures are logged and forgotten, as the steps do the same again. Nobody claims what is
 * hastened: a newer generation wins wherever both arrive. */
#include "controlplane/api/hasten.h"

#include "common/base/log.h"
#include "common/pg/pg.h"

#include "controlplane/api/call.h"
#include "controlplane/store/leases.h"

static bool is_still_ours(struct step_run *run)
{
    (void)run;
    return true;
}

/* The work's own answer; -1 when it failed. */
static int run_work(struct call *c, const struct resource *now,
                    int (*work)(struct step_run *run, struct error *err))
{
    struct step_run run = { .arena = c->arena,
                            .control = c->control,
                            .resource = now,
                            .parent = c->parent,
                            .decoded = c->decoded,
                            .still_ours = is_still_ours };
    struct error err;
    int rc = work(&run, &err);

    if (rc < 0)
        log_failure(LOG_WARN, "hasten", &err);
    return rc;
}

static int settle(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    const struct resource *r = ctx;

    return lease_settle_unclaimed(conn, a, r, type_find(r->type_key)->drift_ms, err) < 0 ? -1 : 0;
}

bool hasten_is_brief(const struct call *c, enum resource_state now)
{
    return c->type->is_brief && c->was && !c->is_unchanged && now == STATE_SUCCEEDED &&
           c->type->is_brief(c->was->body, c->row->body);
}

void hasten_update(struct call *c, bool is_brief)
{
    struct resource row = *c->row;
    struct error err;

    row.generation = c->was->generation + 1;
    if (!is_brief)
        (void)run_work(c, &row, c->type->hasten);
    else if (run_work(c, &row, c->type->brief) > 0 &&
             pg_transact(c->control->db, c->arena, settle, &row, &err))
        log_failure(LOG_WARN, "settle", &err);
}

void hasten_delete(struct call *c)
{
    struct resource row = *c->was;

    row.generation++;
    (void)run_work(c, &row, c->type->revoke);
}

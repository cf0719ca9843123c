/* onErrorDeployment: see the header. The earlier deployment's parameters come from its history,
 * which holds no secure values (those of key vaults are fetched again); one that needs such values
 * cannot be deployed again and is logged. */
#include "controlplane/deployments/rerun.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/control.h"
#include "controlplane/deployments/run_internal.h"
#include "controlplane/deployments/seal.h"
#include "controlplane/deployments/submission.h"

struct query {
    const struct deployment *row;
    const char *key; /* NULL: the last good one */
    struct deployment *found_row;
    int found;
};

static int query(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct query *q = ctx;

    q->found = q->key ? deployment_get(conn, a, q->key, false, &q->found_row, err)
                      : deployment_last_good(conn, a, q->row->scope_key, q->row->key,
                                             &q->found_row, err);
    return q->found < 0 ? -1 : 0;
}

static void put_parameter(void *ctx, const char *key, struct json_object *value)
{
    struct json_object *one;

    const char *member = json_has(value, "reference") ? "reference" : "value";

    if (!json_has(value, member))
        return;
    one = json_new_object();
    json_set(one, member, json_get(json_at(value, member)));
    json_set(ctx, key, one);
}

static struct json_object *request_of(struct run *r, const struct deployment *row,
                                      const char *text)
{
    struct json_object *out = json_own(r->arena, json_new_object());
    struct json_object *properties = json_new_object();
    struct json_object *parameters = json_new_object();

    json_each(json_at(row->shown, "parameters"), put_parameter, parameters);
    json_set_text(properties, "mode", row->group_uid ? "Complete" : "Incremental");
    json_set_text(properties, "template", text);
    json_set(properties, "parameters", parameters);
    if (row->location)
        json_set_text(out, "location", row->location);
    json_set(out, "properties", properties);
    return out;
}

static int again(struct run *r, const struct deployment *row, struct error *err)
{
    struct deployment *made = NULL;
    bool is_replaced = false;
    char *text = NULL, *scope = NULL, *name = NULL;
    struct submission s = {
        .arena = r->arena,
        .control = r->control,
        .app = r->app,
        .caller = &r->caller,
        .correlation_id = r->row->correlation_id,
        .peer_text = r->address,
        .is_replay = true,
    };

    if (!row->template_sealed || !scope_split(r->arena, row->id, &scope, &name))
        return fail(err, &E_INVALID, "the deployment keeps no template");
    if (unseal_text(r->arena, r->control, row->uid, SEAL_TEMPLATE, row->template_sealed, &text,
                    err))
        return -1;
    s.scope_id = scope;
    s.name = name;
    s.request = request_of(r, row, text);
    if (submission_plan(&s, err) || submission_preflight(&s, err))
        return -1;
    return submission_accept(&s, &made, &is_replaced, err);
}

void rerun_on_error(struct run *r)
{
    const struct json_object *wanted = json_at(r->row->shown, "onErrorDeployment");
    const char *type = json_text(wanted, "type"), *name = json_text(wanted, "deploymentName");
    struct query q = { .row = r->row };
    struct error err = { 0 };
    char *scope = NULL, *own = NULL;

    if (!type || !scope_split(r->arena, r->row->id, &scope, &own))
        return;
    if (text_eq_nocase(type, "SpecificDeployment") && name)
        q.key = text_lower(r->arena, arena_printf(r->arena, "%s" DEPLOYMENTS_PATH "%s", scope,
                                                  name));
    if (pg_with(r->control->db, r->arena, query, &q, &err) ||
        (q.found && again(r, q.found_row, &err)))
        log_failure(LOG_WARN, "rerun-failed", &err);
}

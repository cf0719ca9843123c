/* What runs of deployments write, each statement guarded by the run's lease. */
#include "controlplane/store/deployments.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/store/deployment_rows.h"
#include "controlplane/store/statements.h"

enum { CLAIM, EXTEND, RELEASE, FINISH, BEGIN, MOVE, LIST, WAITS, GROUP_ROWS };

/* The registry service itself, as systemData names it: what it made nobody asked for by name. */
#define SERVICE_APPLICATION "6a0ec4d3-30cb-4a83-91c0-ae56bc0e3d26"
/* A note of progress need not wait for the disk: one that is lost with the database is made again,
 * because every step is idempotent. A killed control plane loses none. */
#define NO_WAIT "(select set_config('synchronous_commit', 'off', true)) as no_wait"
#define IS_MINE "d.lease_owner = $1 and d.state = 'Running'"

const struct pg_stmt deployment_run_statements[] = {
    [CLAIM] = { "deployment_claim",
                "update deployments d set lease_owner = $1, "
                "lease_until = now() + $3 * interval '1 millisecond', state = 'Running', "
                "updated_at = now() where d.uid = (select c.uid from deployments c "
                "where c.state in ('Accepted', 'Running') "
                "and (c.lease_until is null or c.lease_until < now()) "
                "and (not $2 or c.parent_uid is not null) "
                "order by c.accepted_at limit 1 for update skip locked) "
                "returning " DEPLOYMENT_COLUMNS,
                "uuid bool int8" },
    [EXTEND] = { "deployment_extend",
                 "update deployments d set lease_until = now() + $2 * interval '1 millisecond' "
                 "where d.lease_owner = any ($1) and d.state = 'Running' "
                 "returning d.lease_owner",
                 "uuid[] int8" },
    [RELEASE] = { "deployment_release",
                  "update deployments d set lease_owner = null, lease_until = null where " IS_MINE,
                  "uuid" },
    [FINISH] = { "deployment_finish",
                 "update deployments d set state = $2, outputs = $3, resources = $4, error = $5, "
                 "sealed = null, lease_owner = null, lease_until = null, ended_at = now(), "
                 "updated_at = now() where " IS_MINE,
                 "uuid text jsonb jsonb jsonb" },
    [BEGIN] = { "deployment_operation_begin",
                "insert into deployment_operations (uid, deployment_uid, node_key, position, kind, "
                "state, target) select x.uid, d.uid, x.key, x.position, x.kind, 'Running', "
                "x.target from deployments d, jsonb_to_recordset($2) as x (uid uuid, key text, "
                "position int, kind text, target jsonb), " NO_WAIT " where " IS_MINE
                " on conflict (deployment_uid, node_key) do update "
                "set state = 'Running', awaits = null",
                "uuid jsonb" },
    [MOVE] = { "deployment_operation_move",
               "update deployment_operations o set state = x.state, status_code = x.code, "
               "status_message = x.message, awaits = x.awaits, "
               "request = coalesce(x.request, o.request), "
               "response = coalesce(x.response, o.response), "
               "ended_at = case when x.state = 'Running' then null else now() end "
               "from deployments d, jsonb_to_recordset($2) as x (key text, state text, "
               "code text, message jsonb, awaits uuid, request jsonb, response jsonb), " NO_WAIT
               " where d.uid = o.deployment_uid and o.node_key = x.key and " IS_MINE,
               "uuid jsonb" },
    [LIST] = { "deployment_operations",
               "select uid, deployment_uid, node_key, position, kind, state, target, status_code, "
               "status_message, awaits, started_at, ended_at, request, response "
               "from deployment_operations "
               "where deployment_uid = $1 order by ended_at desc nulls first, position desc",
               "uuid" },
    [WAITS] = { "deployment_waits_over",
                "select o.id, o.status, o.error from operations o where o.id = any ($1) "
                "and o.ended_at is not null "
                "union all select d.uid, d.state, d.error from deployments d "
                "where d.uid = any ($1) and d.ended_at is not null",
                "uuid[]" },
    [GROUP_ROWS] = { "deployment_group_rows",
                     "select r.id, r.key, r.type_key, r.is_system or "
                     "coalesce(r.system_data ->> 'createdBy', '') = '" SERVICE_APPLICATION "' "
                     "from resources r "
                     "where r.subscription_id = $1 and r.group_key = $2 "
                     "and r.type_key = any ($3) and r.state <> 'Deleting' order by r.key",
                     "uuid text text[]" },
    { 0 },
};

static struct pg_arg json_arg(struct arena *a, const struct json_object *value)
{
    return value ? pg_text(json_print(a, value)) : pg_null();
}

int deployment_claim(struct pg_conn *conn, struct arena *a, const char *owner, bool is_nested_only,
                     struct deployment **ret, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &deployment_run_statements[CLAIM], &r, err, pg_text(owner),
               pg_bool(is_nested_only), pg_int(DEPLOYMENT_LEASE_MS)))
        return wrap(err, "claim deployment");
    if (pg_rows(r) == 0)
        return 0;
    *ret = ARENA_NEW(a, struct deployment);
    return deployment_from_row(r, 0, a, *ret, err) ? -1 : 1;
}

int deployment_extend(struct pg_conn *conn, struct arena *a, const char *const *owners,
                      size_t count, const char ***ret, size_t *ret_count, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &deployment_run_statements[EXTEND], &r, err, pg_texts(owners, count),
               pg_int(DEPLOYMENT_LEASE_MS)))
        return wrap(err, "extend leases");
    *ret_count = pg_rows(r);
    *ret = arena_array(a, *ret_count + 1, sizeof(**ret));
    for (size_t i = 0; i < *ret_count; i++)
        (*ret)[i] = pg_get_text(r, i, 0);
    return 0;
}

int deployment_release(struct pg_conn *conn, struct arena *a, const char *owner, struct error *err)
{
    if (PG_RUN(conn, a, &deployment_run_statements[RELEASE], NULL, err, pg_text(owner)))
        return wrap(err, "release deployment");
    return 0;
}

int deployment_finish(struct pg_conn *conn, struct arena *a, const char *owner,
                      const struct deployment *d, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &deployment_run_statements[FINISH], &r, err, pg_text(owner),
               pg_text(d->state), json_arg(a, d->outputs), json_arg(a, d->resources),
               json_arg(a, d->error)))
        return wrap(err, "finish deployment");
    return pg_affected(r) > 0;
}

/* One array for a statement, however many rows. */
static struct pg_arg ops_arg(struct arena *a, const struct deployment_operation *ops, size_t count)
{
    struct json_object *list = json_own(a, json_new_array());

    for (size_t i = 0; i < count; i++) {
        const struct deployment_operation *op = &ops[i];
        struct json_object *one = json_new_object();

        json_set_text(one, "uid", op->uid);
        json_set_text(one, "key", op->node_key);
        json_set_int(one, "position", op->position);
        json_set_text(one, "kind", op->kind);
        json_set_text(one, "state", op->state);
        json_set_text(one, "code", op->status_code);
        json_set_text(one, "awaits", op->awaits);
        if (op->target)
            json_set(one, "target", json_get(op->target));
        if (op->status_message)
            json_set(one, "message", json_get(op->status_message));
        if (op->request)
            json_set(one, "request", json_get(op->request));
        if (op->response)
            json_set(one, "response", json_get(op->response));
        json_add(list, one);
    }
    return json_arg(a, list);
}

int deployment_operations_begin(struct pg_conn *conn, struct arena *a, const char *owner,
                                const struct deployment_operation *ops, size_t count,
                                struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &deployment_run_statements[BEGIN], &r, err, pg_text(owner),
               ops_arg(a, ops, count)))
        return wrap(err, "begin operations");
    return pg_affected(r) > 0;
}

int deployment_operations_move(struct pg_conn *conn, struct arena *a, const char *owner,
                               const struct deployment_operation *ops, size_t count,
                               struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &deployment_run_statements[MOVE], &r, err, pg_text(owner),
               ops_arg(a, ops, count)))
        return wrap(err, "move operations");
    return pg_affected(r) > 0;
}

int deployment_operations(struct pg_conn *conn, struct arena *a, const char *deployment_uid,
                          struct deployment_operation **ret, size_t *ret_count, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &deployment_run_statements[LIST], &r, err, pg_text(deployment_uid)))
        return wrap(err, "list operations");
    *ret_count = pg_rows(r);
    *ret = arena_array(a, *ret_count + 1, sizeof(**ret));
    for (size_t i = 0; i < *ret_count; i++) {
        struct deployment_operation *op = &(*ret)[i];

        *op = (struct deployment_operation){
            .uid = pg_get_text(r, i, 0),
            .deployment_uid = pg_get_text(r, i, 1),
            .node_key = pg_get_text(r, i, 2),
            .position = pg_get_int(r, i, 3),
            .kind = pg_get_text(r, i, 4),
            .state = pg_get_text(r, i, 5),
            .status_code = pg_get_text(r, i, 7),
            .awaits = pg_get_text(r, i, 9),
            .started_us = pg_get_time_us(r, i, 10),
            .ended_us = pg_is_null(r, i, 11) ? 0 : pg_get_time_us(r, i, 11),
        };
        if (deployment_json(r, i, 6, a, &op->target, err) ||
            deployment_json(r, i, 8, a, &op->status_message, err) ||
            deployment_json(r, i, 12, a, &op->request, err) ||
            deployment_json(r, i, 13, a, &op->response, err))
            return -1;
    }
    return 0;
}

int deployment_waits_over(struct pg_conn *conn, struct arena *a, const char *const *ids,
                          size_t count, struct deployment_wait **ret, size_t *ret_count,
                          struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &deployment_run_statements[WAITS], &r, err, pg_texts(ids, count)))
        return wrap(err, "waits");
    *ret_count = pg_rows(r);
    *ret = arena_array(a, *ret_count + 1, sizeof(**ret));
    for (size_t i = 0; i < *ret_count; i++) {
        (*ret)[i].id = pg_get_text(r, i, 0);
        (*ret)[i].status = pg_get_text(r, i, 1);
        if (deployment_json(r, i, 2, a, &(*ret)[i].error, err))
            return -1;
    }
    return 0;
}

int deployment_group_rows(struct pg_conn *conn, struct arena *a, const char *subscription_id,
                          const char *group_key, const char *const *type_keys, size_t type_count,
                          struct deployment_leftover **ret, size_t *ret_count, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &deployment_run_statements[GROUP_ROWS], &r, err, pg_text(subscription_id),
               pg_text(group_key), pg_texts(type_keys, type_count)))
        return wrap(err, "rows of the group");
    *ret_count = pg_rows(r);
    *ret = arena_array(a, *ret_count + 1, sizeof(**ret));
    for (size_t i = 0; i < *ret_count; i++)
        (*ret)[i] = (struct deployment_leftover){
            .id = pg_get_text(r, i, 0),
            .key = pg_get_text(r, i, 1),
            .type_key = pg_get_text(r, i, 2),
            .is_system = pg_get_bool(r, i, 3),
        };
    return 0;
}

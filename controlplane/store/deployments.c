/* Deployments and their answers: see the header. Operations of a run are in deployment_runs.c. */
#include "controlplane/store/deployments.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/store/deployment_rows.h"
#include "controlplane/store/statements.h"

#define STORED_MAX ((size_t)64 << 20)

enum { GET, GET_LOCKED, GET_UID, LAST_GOOD, LIST, PRUNE, COUNT, DROP, PUT, CANCEL, NOTIFY, ANSWER_PUT,
       ANSWER_GET, ANSWER_PRUNE };

const struct pg_stmt deployment_statements[] = {
    [GET] = { "deployment_get",
              "select " DEPLOYMENT_COLUMNS " from deployments d where d.key = $1", "text" },
    [GET_LOCKED] = { "deployment_get_locked",
                     "select " DEPLOYMENT_COLUMNS " from deployments d where d.key = $1 for update",
                     "text" },
    [GET_UID] = { "deployment_by_uid",
                  "select " DEPLOYMENT_COLUMNS " from deployments d where d.uid = $1", "uuid" },
    [LAST_GOOD] = { "deployment_last_good",
                    "select " DEPLOYMENT_COLUMNS " from deployments d where d.scope_key = $1 "
                    "and d.key <> $2 and d.state = 'Succeeded' and d.parent_uid is null "
                    "order by d.ended_at desc limit 1",
                    "text text" },
    [LIST] = { "deployment_list",
               "select " DEPLOYMENT_COLUMNS " from deployments d where d.scope_key = $1 "
               "and ($2::text is null or d.key > $2) and ($3::text is null or "
               "lower(d.state) = lower($3)) order by d.key limit $4",
               "text text text int8" },
    [PRUNE] = { "deployment_prune",
                "delete from deployments where uid in (select d.uid from deployments d "
                "where d.scope_key = $1 and d.ended_at is not null "
                "order by d.ended_at desc, d.uid offset $2) and not exists (select 1 from locks l "
                "where l.tenant_id = $3 and (l.scope_key = '' or l.scope_key = $1 "
                "or starts_with($1, l.scope_key || '/')))",
                "text int8 uuid" },
    [COUNT] = { "deployment_count",
                "select count(*) from deployments where scope_key = $1", "text" },
    [DROP] = { "deployment_drop", "delete from deployments where uid = $1", "uuid" },
    [PUT] = { "deployment_put",
              "insert into deployments (uid, key, id, name, scope_key, tenant_id, "
              "subscription_id, group_uid, parent_uid, operation_id, correlation_id, caller, "
              "location, mode, state, tags, shown, template, sealed, stack_uid) values ($1, $2, "
              "$3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 'Accepted', $15, $16, $17, "
              "$18, $19)",
              "uuid text text text text uuid uuid uuid uuid uuid text jsonb text text jsonb jsonb "
              "text text uuid" },
    [CANCEL] = { "deployment_cancel",
                 "with recursive below as (select uid from deployments where uid = $1 "
                 "union select d.uid from deployments d join below b on d.parent_uid = b.uid), "
                 "ended as (update deployments d set state = 'Canceled', sealed = null, "
                 "error = $2, lease_owner = null, lease_until = null, ended_at = now(), "
                 "updated_at = now() from below b where d.uid = b.uid "
                 "and d.state in ('Accepted', 'Running') returning d.uid) "
                 "update deployment_operations o set state = 'Canceled', ended_at = now() "
                 "from ended e where o.deployment_uid = e.uid and o.state = 'Running'",
                 "uuid jsonb" },
    [NOTIFY] = { "deployment_notify", "select pg_notify('portolan_deployments', '')", "" },
    [ANSWER_PUT] = { "deployment_answer_put",
                     "insert into deployment_answers (id, caller_id, body) values ($1, $2, $3)",
                     "uuid uuid jsonb" },
    [ANSWER_GET] = { "deployment_answer_get",
                     "select body from deployment_answers where id = $1 and caller_id = $2",
                     "uuid uuid" },
    [ANSWER_PRUNE] = { "deployment_answer_prune",
                       "delete from deployment_answers where made_at < now() - interval '1 hour'",
                       "" },
    { 0 },
};

/* Values may be as deep as in the templates they come from. */
static int parse_stored(const char *text, struct json_object **ret, struct error *err)
{
    return json_parse(text, strlen(text), STORED_MAX, JSON_TEMPLATE, ret, err);
}

int deployment_json(const struct pg_result *r, size_t row, size_t col, struct arena *a,
                    struct json_object **ret, struct error *err)
{
    const char *text = pg_get_text(r, row, col);

    *ret = NULL;
    if (!text)
        return 0;
    if (parse_stored(text, ret, err))
        return wrap(err, "stored deployment");
    (void)json_own(a, *ret);
    return 0;
}

bool deployment_json_fits(struct arena *a, const struct json_object *value)
{
    _cleanup_(json_putp) struct json_object *again = NULL;
    struct error ignored;

    return parse_stored(json_print(a, value), &again, &ignored) == 0;
}

int deployment_from_row(const struct pg_result *r, size_t row, struct arena *a,
                        struct deployment *ret, struct error *err)
{
    *ret = (struct deployment){
        .uid = pg_get_text(r, row, 0),
        .key = pg_get_text(r, row, 1),
        .id = pg_get_text(r, row, 2),
        .name = pg_get_text(r, row, 3),
        .scope_key = pg_get_text(r, row, 4),
        .tenant_id = pg_get_text(r, row, 5),
        .subscription_id = pg_get_text(r, row, 6),
        .group_uid = pg_get_text(r, row, 7),
        .parent_uid = pg_get_text(r, row, 8),
        .operation_id = pg_get_text(r, row, 9),
        .correlation_id = pg_get_text(r, row, 10),
        .location = pg_get_text(r, row, 12),
        .mode = pg_get_text(r, row, 13),
        .state = pg_get_text(r, row, 14),
        .template_sealed = pg_get_text(r, row, 17),
        .sealed = pg_get_text(r, row, 18),
        .accepted_us = pg_get_time_us(r, row, 22),
        .ended_us = pg_is_null(r, row, 23) ? 0 : pg_get_time_us(r, row, 23),
        .stack_uid = pg_get_text(r, row, 24),
    };
    if (deployment_json(r, row, 11, a, &ret->caller, err) ||
        deployment_json(r, row, 15, a, &ret->tags, err) ||
        deployment_json(r, row, 16, a, &ret->shown, err) ||
        deployment_json(r, row, 19, a, &ret->outputs, err) ||
        deployment_json(r, row, 20, a, &ret->resources, err))
        return -1;
    return deployment_json(r, row, 21, a, &ret->error, err);
}

static int one(const struct pg_result *r, struct arena *a, struct deployment **ret,
               struct error *err)
{
    if (pg_rows(r) == 0)
        return 0;
    *ret = ARENA_NEW(a, struct deployment);
    return deployment_from_row(r, 0, a, *ret, err) ? -1 : 1;
}

int deployment_get(struct pg_conn *conn, struct arena *a, const char *key, bool lock,
                   struct deployment **ret, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &deployment_statements[lock ? GET_LOCKED : GET], &r, err, pg_text(key)))
        return wrap(err, "read deployment");
    return one(r, a, ret, err);
}

int deployment_by_uid(struct pg_conn *conn, struct arena *a, const char *uid,
                      struct deployment **ret, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &deployment_statements[GET_UID], &r, err, pg_text(uid)))
        return wrap(err, "read deployment");
    return one(r, a, ret, err);
}

int deployment_last_good(struct pg_conn *conn, struct arena *a, const char *scope_key,
                         const char *but_key, struct deployment **ret, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &deployment_statements[LAST_GOOD], &r, err, pg_text(scope_key),
               pg_text(but_key)))
        return wrap(err, "last good deployment");
    return one(r, a, ret, err);
}

int deployment_list(struct pg_conn *conn, struct arena *a, const char *scope_key,
                    const char *after_key, const char *state, int64_t limit,
                    struct deployment **ret, size_t *ret_count, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &deployment_statements[LIST], &r, err, pg_text(scope_key),
               pg_text(after_key), pg_text(state), pg_int(limit)))
        return wrap(err, "list deployments");
    *ret_count = pg_rows(r);
    *ret = arena_array(a, *ret_count + 1, sizeof(**ret));
    for (size_t i = 0; i < *ret_count; i++)
        if (deployment_from_row(r, i, a, &(*ret)[i], err))
            return -1;
    return 0;
}

static bool is_over(const struct deployment *d)
{
    return d->ended_us != 0;
}

static struct pg_arg json_arg(struct arena *a, const struct json_object *value)
{
    return value ? pg_text(json_print(a, value)) : pg_null();
}

static int make_room(struct pg_conn *conn, struct arena *a, const struct deployment *d,
                     int64_t *ret_count, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &deployment_statements[PRUNE], NULL, err, pg_text(d->scope_key),
               pg_int(DEPLOYMENT_HISTORY_KEEP), pg_text(d->tenant_id)) ||
        PG_RUN(conn, a, &deployment_statements[COUNT], &r, err, pg_text(d->scope_key)))
        return wrap(err, "prune deployments");
    *ret_count = pg_get_int(r, 0, 0);
    return 0;
}

int deployment_put(struct pg_conn *conn, struct arena *a, const struct deployment *d,
                   bool *ret_replaced, struct deployment **ret_active, struct error *err)
{
    struct deployment *was = NULL;
    int found = deployment_get(conn, a, d->key, true, &was, err);
    int64_t count = 0;

    *ret_replaced = found > 0;
    if (found < 0)
        return -1;
    if (found && !is_over(was)) {
        *ret_active = was;
        return 0;
    }
    if (found && PG_RUN(conn, a, &deployment_statements[DROP], NULL, err, pg_text(was->uid)))
        return wrap(err, "replace deployment");
    if (make_room(conn, a, d, &count, err))
        return -1;
    if (count >= DEPLOYMENT_HISTORY_MAX)
        return DEPLOYMENT_NO_ROOM;
    if (PG_RUN(conn, a, &deployment_statements[PUT], NULL, err, pg_text(d->uid), pg_text(d->key),
               pg_text(d->id), pg_text(d->name), pg_text(d->scope_key), pg_text(d->tenant_id),
               pg_text(d->subscription_id), pg_text(d->group_uid), pg_text(d->parent_uid),
               pg_text(d->operation_id), pg_text(d->correlation_id), json_arg(a, d->caller),
               pg_text(d->location), pg_text(d->mode), json_arg(a, d->tags),
               json_arg(a, d->shown), pg_text(d->template_sealed), pg_text(d->sealed),
               pg_text(d->stack_uid)))
        return wrap(err, "put deployment");
    if (PG_RUN0(conn, a, &deployment_statements[NOTIFY], NULL, err))
        return wrap(err, "notify");
    return 1;
}

int deployment_remove(struct pg_conn *conn, struct arena *a, const char *key, bool *ret_active,
                      struct error *err)
{
    struct deployment *was = NULL;
    int found = deployment_get(conn, a, key, true, &was, err);

    *ret_active = found > 0 && !is_over(was);
    if (found <= 0 || *ret_active)
        return found < 0 ? -1 : 0;
    if (PG_RUN(conn, a, &deployment_statements[DROP], NULL, err, pg_text(was->uid)))
        return wrap(err, "remove deployment");
    return 1;
}

int deployment_cancel(struct pg_conn *conn, struct arena *a, const char *uid,
                      struct json_object *error, int64_t *ret_count, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &deployment_statements[CANCEL], &r, err, pg_text(uid),
               json_arg(a, error)))
        return wrap(err, "cancel deployment");
    *ret_count = pg_affected(r);
    if (PG_RUN0(conn, a, &deployment_statements[NOTIFY], NULL, err))
        return wrap(err, "notify");
    return 0;
}

int deployment_answer_put(struct pg_conn *conn, struct arena *a, const char *id,
                          const char *caller_id, struct json_object *body, struct error *err)
{
    if (PG_RUN0(conn, a, &deployment_statements[ANSWER_PRUNE], NULL, err) ||
        PG_RUN(conn, a, &deployment_statements[ANSWER_PUT], NULL, err, pg_text(id),
               pg_text(caller_id), json_arg(a, body)))
        return wrap(err, "keep answer");
    return 0;
}

int deployment_answer_get(struct pg_conn *conn, struct arena *a, const char *id,
                          const char *caller_id, struct json_object **ret, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &deployment_statements[ANSWER_GET], &r, err, pg_text(id),
               pg_text(caller_id)))
        return wrap(err, "read answer");
    if (pg_rows(r) == 0)
        return 0;
    return deployment_json(r, 0, 0, a, ret, err) ? -1 : 1;
}

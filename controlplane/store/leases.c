/* Claims on work and their ends. Every finishing statement names the owner, so a worker that lost
 * its lease changes nothing, and `generation = $3` decides whether what was reached is still what
 * is wanted. The new state is asked of the transition table; the statement repeats the state it
 * comes from. */
#include "controlplane/store/leases.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/json/json.h"
#include "common/pg/pg.h"
#include "controlplane/store/operations.h"
#include "controlplane/store/resources.h"
#include "controlplane/store/rows.h"
#include "controlplane/store/statements.h"

/* As the index of due rows says it. */
#define EVER_DUE "not_before < 'infinity'"

enum {
    S_CLAIM,
    S_NEXT_DUE,
    S_EXTEND,
    S_SETTLE,
    S_SETTLE_UNCLAIMED,
    S_POSTPONE,
    S_GIVE_UP,
    S_REMOVE,
    S_WAKE,
    S_WAKE_LATER,
    S_WAKE_DUE,
    S_CHORE,
    S_MISSING,
    S_UNNAMED,
};

const struct pg_stmt lease_statements[] = {
    [S_CLAIM] = { "lease_claim",
                  "update resources r set lease_owner = $1,"
                  " lease_until = now() + $3 * interval '1 ms',"
                  " not_before = now() + $3 * interval '1 ms'"
                  " where r.uid = (select uid from resources where " EVER_DUE
                  " and not_before <= now()"
                  " and (lease_until is null or lease_until <= now())"
                  " and type_key = any ($2) order by not_before limit 1"
                  " for no key update skip locked) returning " RESOURCE_COLUMNS,
                  "uuid text[] int8" },
    /* Rows under a live lease that outlasts the cap are somebody's work, not ours to wait for. */
    [S_NEXT_DUE] = { "lease_next_due",
                     "select (extract(epoch from greatest(not_before,"
                     " coalesce(lease_until, not_before)) - clock_timestamp()) * 1000)::int8"
                     " from resources where " EVER_DUE
                     " and not_before <= now() + $2 * interval '1 ms'"
                     " and (lease_until is null or lease_until <= now() + $2 * interval '1 ms')"
                     " and type_key = any ($1) order by 1 limit 1",
                     "text[] int8" },
    [S_EXTEND] = { "lease_extend",
                   "update resources set lease_until = now() + $3 * interval '1 ms',"
                   " not_before = case when not_before < lease_until then not_before"
                   " else now() + $3 * interval '1 ms' end"
                   " where uid = $2 and lease_owner = $1",
                   "uuid uuid int8" },
    [S_SETTLE] = { "lease_settle",
                   "update resources set status = coalesce($4, status),"
                   " observed_generation = $3, step = null, attempts = 0,"
                   " last_error = null, lease_owner = null, lease_until = null,"
                   " state = case when generation = $3 and state = $5 then $6 else state end,"
                   " not_before = case when generation = $3 and not_before >= lease_until"
                   " then now() + $7 * (0.8 + 0.4 * random()) * interval '1 ms' else now() end"
                   " where uid = $2 and lease_owner = $1 returning generation = $3",
                   "uuid uuid int8 jsonb text text int8" },
    [S_SETTLE_UNCLAIMED] = { "lease_settle_unclaimed",
                             "update resources set observed_generation = $2, last_error = null,"
                             " state = $4, not_before = case when not_before > now() then now()"
                             " + $5 * (0.8 + 0.4 * random()) * interval '1 ms' else now() end"
                             " where uid = $1 and generation = $2 and state = $3"
                             " and lease_owner is null",
                             "uuid int8 text text int8" },
    [S_POSTPONE] = { "lease_postpone",
                     "update resources set status = coalesce($4, status), step = $5,"
                     " attempts = attempts + $6, last_error = coalesce($7, last_error),"
                     " lease_owner = null, lease_until = null,"
                     " not_before = case when generation = $3 and not_before >= lease_until"
                     " then now() + $8 * interval '1 ms' else now() end"
                     " where uid = $2 and lease_owner = $1",
                     "uuid uuid int8 jsonb text int4 jsonb int8" },
    [S_GIVE_UP] = { "lease_give_up",
                    "update resources set status = coalesce($4, status), last_error = $7,"
                    " observed_generation = $3, lease_owner = null, lease_until = null,"
                    " attempts = case when generation = $3 then attempts + 1 else 0 end,"
                    " state = case when generation = $3 and state = $5 then $6 else state end,"
                    " not_before = case when generation = $3 and not_before >= lease_until"
                    " then now() + $8 * (0.8 + 0.4 * random()) * interval '1 ms' else now() end"
                    " where uid = $2 and lease_owner = $1 returning generation = $3",
                    "uuid uuid int8 jsonb text text jsonb int8" },
    [S_REMOVE] = { "lease_remove",
                   "delete from resources where uid = $2 and lease_owner = $1"
                   " and state = 'Deleting' returning generation",
                   "uuid uuid" },
    [S_WAKE] = { "lease_wake",
                 "update resources r set not_before = now() where r.type_key = $1"
                 " and " RESOURCES_OF_SCOPE("$2")
                 " and ($2 = '' or key = $2 or starts_with(key, $2 || '/'))"
                 " and not_before > now()",
                 "text text" },
    [S_WAKE_LATER] = { "lease_wake_later",
                       "insert into wakes (resource_uid, due_at)"
                       " select $1, now() + $2 * interval '1 ms'"
                       " where exists (select 1 from resource_links where to_uid = $3)",
                       "uuid int8 uuid" },
    [S_WAKE_DUE] = { "lease_wake_due",
                     "with due as (delete from wakes where due_at <= now() returning resource_uid)"
                     " update resources set not_before = now() where not_before > now()"
                     " and uid in (select resource_uid from due)",
                     "" },
    [S_CHORE] = { "lease_chore", "select pg_try_advisory_xact_lock(hashtextextended($1, 0))",
                  "text" },
    [S_MISSING] = { "lease_missing",
                    "select u::text from unnest($1) u"
                    " where not exists (select 1 from resources where uid = u)",
                    "uuid[]" },
    [S_UNNAMED] = { "lease_unnamed",
                    "select distinct u from unnest($2) u where not exists"
                    " (select 1 from resources where type_key = $1 and global_name = u)",
                    "text text[]" },
    { 0 },
};

/* Where the table leads from r's state; the state itself when the table has no such row, as when a
 * settled row is observed again. */
static const char *state_after(const struct resource *r, enum state_event event)
{
    enum resource_state to;

    return state_name(state_next(r->state, event, &to) ? to : r->state);
}

static size_t count_keys(const char *const *keys)
{
    size_t n = 0;

    while (keys[n])
        n++;
    return n;
}

static struct pg_arg json_arg(struct arena *a, const struct json_object *value)
{
    return pg_text(value ? json_print(a, value) : NULL);
}

int lease_claim(struct pg_conn *conn, struct arena *a, const char *owner,
                const char *const *type_keys, struct resource **ret, struct error *err)
{
    struct pg_result *res;

    if (PG_RUN(conn, a, &lease_statements[S_CLAIM], &res, err, pg_text(owner),
               pg_texts(type_keys, count_keys(type_keys)), pg_int(LEASE_MS)))
        return -1;
    if (pg_rows(res) == 0)
        return 0;
    *ret = ARENA_NEW(a, struct resource);
    return resource_from_row(res, 0, a, *ret, err) ? -1 : 1;
}

int lease_next_due(struct pg_conn *conn, struct arena *a, const char *const *type_keys,
                   int64_t cap_ms, int64_t *ret_ms, struct error *err)
{
    struct pg_result *res;
    int64_t ms = cap_ms;

    if (PG_RUN(conn, a, &lease_statements[S_NEXT_DUE], &res, err,
               pg_texts(type_keys, count_keys(type_keys)), pg_int(cap_ms)))
        return -1;
    if (pg_rows(res) > 0)
        ms = pg_get_int(res, 0, 0);
    *ret_ms = ms < 0 ? 0 : ms > cap_ms ? cap_ms : ms;
    return 0;
}

int lease_extend(struct pg_conn *conn, struct arena *a, const char *owner, const char *uid,
                 struct error *err)
{
    struct pg_result *res;

    if (PG_RUN(conn, a, &lease_statements[S_EXTEND], &res, err, pg_text(owner), pg_text(uid),
               pg_int(LEASE_MS)))
        return -1;
    return pg_affected(res) > 0;
}

int lease_settle(struct pg_conn *conn, struct arena *a, const char *owner,
                 const struct resource *r, struct json_object *status, int64_t drift_ms,
                 struct error *err)
{
    struct pg_result *res;

    if (PG_RUN(conn, a, &lease_statements[S_SETTLE], &res, err, pg_text(owner), pg_text(r->uid),
               pg_int(r->generation), json_arg(a, status), pg_text(state_name(r->state)),
               pg_text(state_after(r, EVENT_SETTLED)),
               pg_int(drift_ms > 0 ? drift_ms : DRIFT_MS)))
        return -1;
    if (pg_rows(res) == 0)
        return 0;
    if (pg_get_bool(res, 0, 0) &&
        operation_settle(conn, a, r->uid, r->generation, "Succeeded", NULL, err))
        return -1;
    return 1;
}

int lease_settle_unclaimed(struct pg_conn *conn, struct arena *a, const struct resource *r,
                           int64_t drift_ms, struct error *err)
{
    struct pg_result *res;

    if (PG_RUN(conn, a, &lease_statements[S_SETTLE_UNCLAIMED], &res, err, pg_text(r->uid),
               pg_int(r->generation), pg_text(state_name(r->state)),
               pg_text(state_after(r, EVENT_SETTLED)),
               pg_int(drift_ms > 0 ? drift_ms : DRIFT_MS)))
        return -1;
    if (pg_affected(res) == 0)
        return 0;
    return operation_settle(conn, a, r->uid, r->generation, "Succeeded", NULL, err) ? -1 : 1;
}

int lease_postpone(struct pg_conn *conn, struct arena *a, const char *owner,
                   const struct resource *r, const char *step, int64_t delay_ms, bool is_failure,
                   struct json_object *status, struct json_object *failure, struct error *err)
{
    struct pg_result *res;

    if (PG_RUN(conn, a, &lease_statements[S_POSTPONE], &res, err, pg_text(owner), pg_text(r->uid),
               pg_int(r->generation), json_arg(a, status), pg_text(step), pg_int(is_failure),
               json_arg(a, failure), pg_int(delay_ms)))
        return -1;
    return pg_affected(res) > 0;
}

int lease_give_up(struct pg_conn *conn, struct arena *a, const char *owner,
                  const struct resource *r, struct json_object *status,
                  struct json_object *failure, struct error *err)
{
    struct pg_result *res;

    if (PG_RUN(conn, a, &lease_statements[S_GIVE_UP], &res, err, pg_text(owner), pg_text(r->uid),
               pg_int(r->generation), json_arg(a, status), pg_text(state_name(r->state)),
               pg_text(state_after(r, EVENT_GAVE_UP)), json_arg(a, failure), pg_int(DRIFT_MS)))
        return -1;
    if (pg_rows(res) == 0)
        return 0;
    if (pg_get_bool(res, 0, 0) &&
        operation_settle(conn, a, r->uid, r->generation, "Failed", failure, err))
        return -1;
    return 1;
}

int lease_remove(struct pg_conn *conn, struct arena *a, const char *owner,
                 const struct resource *r, struct error *err)
{
    struct pg_result *res;

    if (PG_RUN(conn, a, &lease_statements[S_REMOVE], &res, err, pg_text(owner), pg_text(r->uid)))
        return -1;
    if (pg_rows(res) == 0)
        return 0;
    if (operation_settle(conn, a, r->uid, pg_get_int(res, 0, 0), "Succeeded", NULL, err))
        return -1;
    return 1;
}

int lease_wake(struct pg_conn *conn, struct arena *a, const char *type_key, const char *scope_key,
               int64_t *ret_count, struct error *err)
{
    struct pg_result *res;

    if (PG_RUN(conn, a, &lease_statements[S_WAKE], &res, err, pg_text(type_key),
               pg_text(scope_key)))
        return -1;
    *ret_count = pg_affected(res);
    if (*ret_count > 0 && work_notify(conn, a, err))
        return -1;
    return 0;
}

int lease_wake_later(struct pg_conn *conn, struct arena *a, const char *uid, const char *named,
                     int64_t delay_ms, struct pg_result **ret, struct error *err)
{
    return PG_QUEUE(conn, a, &lease_statements[S_WAKE_LATER], ret, err, pg_text(uid),
                    pg_int(delay_ms), pg_text(named));
}

int lease_wake_due(struct pg_conn *conn, struct arena *a, struct error *err)
{
    struct pg_result *res;

    if (PG_RUN0(conn, a, &lease_statements[S_WAKE_DUE], &res, err))
        return -1;
    return pg_affected(res) > 0 ? work_notify(conn, a, err) : 0;
}

int lease_chore(struct pg_conn *conn, struct arena *a, const char *name, struct error *err)
{
    struct pg_result *res;

    if (PG_RUN(conn, a, &lease_statements[S_CHORE], &res, err, pg_text(name)))
        return -1;
    return pg_get_bool(res, 0, 0);
}

static void read_texts(struct arena *a, const struct pg_result *res, const char ***ret,
                       size_t *ret_count)
{
    *ret_count = pg_rows(res);
    *ret = arena_array(a, *ret_count + 1, sizeof(**ret));
    for (size_t i = 0; i < *ret_count; i++)
        (*ret)[i] = pg_get_text(res, i, 0);
}

int lease_missing(struct pg_conn *conn, struct arena *a, const char *const *uids, size_t count,
                  const char ***ret, size_t *ret_count, struct error *err)
{
    struct pg_result *res;

    if (PG_RUN(conn, a, &lease_statements[S_MISSING], &res, err, pg_texts(uids, count)))
        return -1;
    read_texts(a, res, ret, ret_count);
    return 0;
}

int lease_unnamed(struct pg_conn *conn, struct arena *a, const char *type_key,
                  const char *const *names, size_t count, const char ***ret, size_t *ret_count,
                  struct error *err)
{
    struct pg_result *res;

    if (PG_RUN(conn, a, &lease_statements[S_UNNAMED], &res, err, pg_text(type_key),
               pg_texts(names, count)))
        return -1;
    read_texts(a, res, ret, ret_count);
    return 0;
}

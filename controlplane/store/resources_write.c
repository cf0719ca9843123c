/* Writing `resources`: insert, update, start of a delete, removal, and the wake-up of the reconcile
 * loops. Every change of state is a row of state_table. */
#include "controlplane/store/resources.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/store/rows.h"
#include "controlplane/store/statements.h"

enum {
    INSERT,
    UPDATE,
    DELETE_ONE,
    DELETE_GROUP,
    DROP_PLAIN,
    DELETE_BELOW,
    REMOVE_LEAVES,
    REMOVE,
    TOUCH,
    NOTIFY
};


const struct pg_stmt resources_write_statements[] = {
    [INSERT] = { "resource_insert",
                 "insert into resources (uid, key, id, type_key, name, subscription_id, group_key, "
                 "parent_uid, location, global_name, tags, body, status, system_data, state, "
                 "observed_generation, is_system, not_before) values ($1, $2, $3, $4, $5, $6, $7, "
                 "$8, $9, $10, $11, $12, $13, $14, $15, $16, $17, "
                 "coalesce(now() + $18 * interval '1 ms', 'infinity'))",
                 "uuid text text text text uuid text uuid text text jsonb jsonb jsonb jsonb text "
                 "int8 bool int8" },
    [UPDATE] = { "resource_update",
                 "update resources r set tags = $2, body = $3, system_data = $4, "
                 "state = ($6)[array_position($5, r.state)], generation = generation + 1, "
                 "observed_generation = case when $7 then observed_generation "
                 "                           else generation + 1 end, "
                 RESOURCE_DUE_AT("now() + $8 * interval '1 ms'") " "
                 "where r.uid = $1 and r.state = any ($5)",
                 "uuid jsonb jsonb jsonb text[] text[] bool int8" },
    [DELETE_ONE] = { "resource_start_delete",
                     "update resources r set state = t.new, generation = generation + 1, " RESOURCE_DUE " "
                     "from unnest($2::text[], $3::text[]) as t (old, new) "
                     "where r.uid = $1 and r.state = t.old",
                     "uuid text[] text[]" },
    [DELETE_GROUP] = { "resource_start_delete_group",
                       "update resources r set state = t.new, generation = generation + 1, " RESOURCE_DUE
                       " from unnest($3::text[], $4::text[]) as t (old, new) "
                       "where r.subscription_id = $1 and r.group_key = $2 and r.state = t.old "
                       "and r.type_key <> 'microsoft.resources/resourcegroups'",
                       "uuid text text[] text[]" },
    [DROP_PLAIN] = { "resource_drop_plain",
                     "delete from resources r where r.subscription_id = $1 and r.group_key = $2 "
                     "and r.state = 'Deleting' and r.type_key = any ($3) "
                     "and not exists (select 1 from resources c where c.parent_uid = r.uid)",
                     "uuid text text[]" },
    [DELETE_BELOW] = { "resource_start_delete_below",
                       "with recursive tree (uid) as (select r.uid from resources r "
                       "where r.parent_uid = $1 union all select r.uid "
                       "from resources r join tree t on r.parent_uid = t.uid) "
                       "update resources r set state = t.new, generation = generation + 1, " RESOURCE_DUE
                       " from unnest($2::text[], $3::text[]) as t (old, new) "
                       "where r.uid in (select uid from tree) and r.state = t.old",
                       "uuid text[] text[]" },
    [REMOVE_LEAVES] = { "resource_remove_leaves",
                        "with recursive tree (uid) as (select r.uid from resources r "
                        "where r.parent_uid = $1 union all select r.uid "
                        "from resources r join tree t on r.parent_uid = t.uid) "
                        "delete from resources d where uid in (select uid from tree) "
                        "and not exists (select 1 from resources c where c.parent_uid = d.uid)",
                        "uuid" },
    [REMOVE] = { "resource_remove", "delete from resources where uid = $1", "uuid" },
    [TOUCH] = { "resource_touch",
                "update resources set generation = generation + 1, " RESOURCE_DUE
                " where uid = $1 and state <> 'Deleting'",
                "uuid" },
    [NOTIFY] = { "work_notify", "select pg_notify('portolan_work', '')", "" },
    { 0 },
};

/* The from and to states of one event, or of a PUT that is settled in the same breath. */
struct moves {
    const char *from[STATE_MAX];
    const char *to[STATE_MAX];
    size_t count;
};

static void moves_of(enum state_event event, bool is_settled_at_once, struct moves *ret)
{
    enum resource_state to;

    ret->count = 0;
    for (size_t i = 0; i < state_table_len; i++) {
        if (state_table[i].event != event)
            continue;
        to = state_table[i].to;
        if (is_settled_at_once && !state_next(to, EVENT_SETTLED, &to))
            continue;
        ret->from[ret->count] = state_name(state_table[i].from);
        ret->to[ret->count++] = state_name(to);
    }
}

static struct pg_arg json_arg(struct arena *a, const struct json_object *value)
{
    return pg_text(value ? json_print(a, value) : "{}");
}

int resource_insert(struct pg_conn *conn, struct arena *a, const struct resource *r, bool has_steps,
                    struct error *err)
{
    enum resource_state state = STATE_CREATING;

    if (!has_steps && !state_next(STATE_CREATING, EVENT_SETTLED, &state))
        return fail_cause(err, &E_INTERNAL, "no way from Creating to settled");
    if (PG_QUEUE(conn, a, &resources_write_statements[INSERT], NULL, err, pg_text(r->uid),
                 pg_text(r->key), pg_text(r->id), pg_text(r->type_key), pg_text(r->name),
                 pg_text(r->subscription_id), pg_text(r->group_key), pg_text(r->parent_uid),
                 pg_text(r->location), pg_text(r->global_name), json_arg(a, r->tags),
                 json_arg(a, r->body), json_arg(a, r->status), json_arg(a, r->system_data),
                 pg_text(state_name(state)), pg_int(has_steps ? 0 : 1), pg_bool(r->is_system),
                 r->due_in_ms == NEVER_DUE ? pg_null() : pg_int(r->due_in_ms)))
        return wrap(err, "insert resource");
    return 0;
}

int resource_update_held(struct pg_conn *conn, struct arena *a, const struct resource *r,
                         bool has_steps, struct pg_result **ret, struct error *err)
{
    struct moves moves;

    moves_of(EVENT_PUT, !has_steps, &moves);
    if (PG_QUEUE(conn, a, &resources_write_statements[UPDATE], ret, err, pg_text(r->uid),
                 json_arg(a, r->tags), json_arg(a, r->body), json_arg(a, r->system_data),
                 pg_texts(moves.from, moves.count), pg_texts(moves.to, moves.count),
                 pg_bool(has_steps), pg_int(r->due_in_ms)))
        return wrap(err, "update resource");
    return 0;
}

int resource_update(struct pg_conn *conn, struct arena *a, const struct resource *r, bool has_steps,
                    struct error *err)
{
    struct pg_result *result = NULL;

    if (resource_update_held(conn, a, r, has_steps, &result, err))
        return -1;
    if (pg_land(conn, err))
        return wrap(err, "update resource");
    if (pg_affected(result) != 1)
        return fail(err, &E_CONFLICT, "The resource '%s' is being deleted.", r->name);
    return 0;
}

int resource_start_delete(struct pg_conn *conn, struct arena *a, const char *uid, struct error *err)
{
    struct pg_result *result = NULL;
    struct moves moves;

    moves_of(EVENT_DELETE, false, &moves);
    if (PG_RUN(conn, a, &resources_write_statements[DELETE_ONE], &result, err, pg_text(uid),
               pg_texts(moves.from, moves.count), pg_texts(moves.to, moves.count)))
        return wrap(err, "start delete");
    return pg_affected(result) > 0;
}

int resource_start_delete_group(struct pg_conn *conn, struct arena *a, const char *subscription_id,
                                const char *group_key, int64_t *ret_moved, struct error *err)
{
    struct pg_result *result = NULL;
    struct moves moves;

    moves_of(EVENT_DELETE, false, &moves);
    if (PG_RUN(conn, a, &resources_write_statements[DELETE_GROUP], &result, err,
               pg_text(subscription_id), pg_text(group_key), pg_texts(moves.from, moves.count),
               pg_texts(moves.to, moves.count)))
        return wrap(err, "start delete of a group's resources");
    *ret_moved = pg_affected(result);
    return 0;
}

int resource_start_delete_below(struct pg_conn *conn, struct arena *a, const char *parent_uid,
                                int64_t *ret_moved, struct error *err)
{
    struct pg_result *result = NULL;
    struct moves moves;

    moves_of(EVENT_DELETE, false, &moves);
    if (PG_RUN(conn, a, &resources_write_statements[DELETE_BELOW], &result, err,
               pg_text(parent_uid), pg_texts(moves.from, moves.count),
               pg_texts(moves.to, moves.count)))
        return wrap(err, "start delete of children");
    *ret_moved = pg_affected(result);
    return 0;
}

/* Children in statements of their own: their parent's counters, which follow them, need it there. */
int resource_remove(struct pg_conn *conn, struct arena *a, const char *uid, struct error *err)
{
    struct pg_result *leaves = NULL;

    do {
        if (PG_RUN(conn, a, &resources_write_statements[REMOVE_LEAVES], &leaves, err,
                   pg_text(uid)))
            return wrap(err, "remove what is below a resource");
    } while (pg_affected(leaves) > 0);
    if (PG_RUN(conn, a, &resources_write_statements[REMOVE], NULL, err, pg_text(uid)))
        return wrap(err, "remove resource");
    return 0;
}

int resource_touch(struct pg_conn *conn, struct arena *a, const char *uid, struct error *err)
{
    struct pg_result *result = NULL;

    if (PG_RUN(conn, a, &resources_write_statements[TOUCH], &result, err, pg_text(uid)))
        return wrap(err, "touch resource");
    return pg_affected(result) > 0;
}

int work_notify(struct pg_conn *conn, struct arena *a, struct error *err)
{
    return PG_QUEUE0(conn, a, &resources_write_statements[NOTIFY], NULL, err)
               ? wrap(err, "notify")
               : 0;
}

struct emptying {
    const char *subscription_id;
    const char *group_key;
    const char *const *plain_types;
    size_t plain_count;
    int64_t left;
};

static int empty_group(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct emptying *e = ctx;
    int64_t moved = 0;

    if (resource_start_delete_group(conn, a, e->subscription_id, e->group_key, &moved, err) ||
        (moved > 0 && work_notify(conn, a, err)))
        return -1;
    if (PG_RUN(conn, a, &resources_write_statements[DROP_PLAIN], NULL, err,
               pg_text(e->subscription_id), pg_text(e->group_key),
               pg_texts(e->plain_types, e->plain_count)))
        return wrap(err, "drop rows of a group");
    return resource_count_in_group(conn, a, e->subscription_id, e->group_key, &e->left, err);
}

int resource_empty_group(struct pg_pool *db, struct arena *a, const char *subscription_id,
                         const char *group_key, const char *const *plain_types,
                         size_t plain_count, int64_t *ret_left, struct error *err)
{
    struct emptying e = { .subscription_id = subscription_id,
                          .group_key = group_key,
                          .plain_types = plain_types,
                          .plain_count = plain_count };

    if (pg_transact(db, a, empty_group, &e, err))
        return wrap(err, "empty a group");
    *ret_left = e.left;
    return 0;
}

/* Deployment stacks: see the header. */
#include "controlplane/store/stacks.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/identity/identity.h"
#include "controlplane/store/deployment_rows.h"
#include "controlplane/store/statements.h"

enum { GET, GET_LOCKED, GET_UID, LIST, RESOURCES, INSERT, RESTART, END, FORGET, REPLACE, DROP,
       DROP_DEPLOYMENT, CANCEL, DENIES };

#define COLUMNS                                                                                    \
    "uid, key, id, name, scope_key, tenant_id, subscription_id, group_uid, location, tags, shown, " \
    "template, goal, unmanage, state, operation_id, correlation_id, deployment_uid, "              \
    "deployment_id, outputs, detached, deleted, failed, error, is_out_of_sync, deny_mode, "        \
    "deny_principals, deny_actions, deny_children, started_at, ended_at"

const struct pg_stmt stack_statements[] = {
    [GET] = { "stack_get", "select " COLUMNS " from deployment_stacks where key = $1", "text" },
    [GET_LOCKED] = { "stack_get_locked",
                     "select " COLUMNS " from deployment_stacks where key = $1 for update",
                     "text" },
    [GET_UID] = { "stack_by_uid", "select " COLUMNS " from deployment_stacks where uid = $1",
                  "uuid" },
    [LIST] = { "stack_list",
               "select " COLUMNS " from deployment_stacks where scope_key = $1 "
               "and ($2::text is null or key > $2) order by key limit $3",
               "text text int8" },
    [RESOURCES] = { "stack_resources",
                    "select stack_uid, id, type, api_version from deployment_stack_resources "
                    "where stack_uid = any ($1) order by stack_uid, position",
                    "uuid[]" },
    [INSERT] = { "stack_insert",
                 "insert into deployment_stacks (uid, key, id, name, scope_key, tenant_id, "
                 "subscription_id, group_uid, location, tags, shown, template, goal, unmanage, "
                 "state, operation_id, correlation_id, deployment_uid, deployment_id, deny_mode, "
                 "deny_principals, deny_actions, deny_children) values ($1, $2, $3, $4, $5, $6, "
                 "$7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, "
                 "$23)",
                 "uuid text text text text uuid uuid uuid text jsonb jsonb text text jsonb text "
                 "uuid text uuid text text text[] text[] bool" },
    [RESTART] = { "stack_restart",
                  "update deployment_stacks set location = $2, tags = $3, shown = $4, "
                  "template = $5, goal = $6, unmanage = $7, state = $8, operation_id = $9, "
                  "correlation_id = $10, deployment_uid = $11, deployment_id = $12, "
                  "deny_mode = $13, deny_principals = $14, deny_actions = $15, "
                  "deny_children = $16, error = null, started_at = now(), ended_at = null "
                  "where uid = $1",
                  "uuid text jsonb jsonb text text jsonb text uuid text uuid text text text[] "
                  "text[] bool" },
    [END] = { "stack_end",
              "update deployment_stacks set state = $2, outputs = $3, detached = $4, "
              "deleted = $5, failed = $6, error = $7, is_out_of_sync = false, ended_at = now() "
              "where uid = $1",
              "uuid text jsonb jsonb jsonb jsonb jsonb" },
    [FORGET] = { "stack_forget", "delete from deployment_stack_resources where stack_uid = $1",
                 "uuid" },
    [REPLACE] = { "stack_manage",
                  "insert into deployment_stack_resources (stack_uid, scope_key, id, type, "
                  "api_version, position) select $1, x.k, x.i, x.t, x.v, x.n from "
                  "unnest($2, $3, $4, $5) with ordinality as x (k, i, t, v, n) "
                  "on conflict do nothing",
                  "uuid text[] text[] text[] text[]" },
    [DROP] = { "stack_drop", "delete from deployment_stacks where uid = $1", "uuid" },
    [DROP_DEPLOYMENT] = { "stack_drop_deployment", "delete from deployments where uid = $1",
                          "uuid" },
    [CANCEL] = { "stack_cancel",
                 "update deployment_stacks set state = 'canceled', error = $2, "
                 "is_out_of_sync = true, ended_at = now() "
                 "where deployment_uid = $1 and ended_at is null",
                 "uuid jsonb" },
    /* A delete of what holds a denied resource is denied as well. */
    [DENIES] = { "stack_denies",
                 "select s.uid, s.id, r.id from deployment_stack_resources r "
                 "join deployment_stacks s on s.uid = r.stack_uid "
                 "where (r.scope_key = any ($2) or ($3 and r.scope_key ~>=~ ($1 || '/') "
                 "and r.scope_key ~<~ ($1 || '0'))) and s.tenant_id = $4 "
                 "and (s.deny_mode = 'denyWriteAndDelete' or (s.deny_mode = 'denyDelete' and $3)) "
                 "and (r.scope_key = $1 or s.deny_children or $3 and r.scope_key ~>=~ ($1 || '/') "
                 "and r.scope_key ~<~ ($1 || '0')) "
                 "and not ($5 = any (s.deny_principals)) and not exists (select 1 from "
                 "unnest(s.deny_actions) as x (a) where lower($6) = lower(x.a) or (x.a like '%*' "
                 "and starts_with(lower($6), lower(left(x.a, -1))))) "
                 "and ($7::uuid is null or s.uid <> $7) order by r.scope_key, s.key limit 1",
                 "text text[] bool uuid text text uuid" },
    { 0 },
};

static int from_row(const struct pg_result *r, size_t i, struct arena *a, struct stack *ret,
                    struct error *err)
{
    const char **principals = NULL, **actions = NULL;

    *ret = (struct stack){
        .uid = pg_get_text(r, i, 0),
        .key = pg_get_text(r, i, 1),
        .id = pg_get_text(r, i, 2),
        .name = pg_get_text(r, i, 3),
        .scope_key = pg_get_text(r, i, 4),
        .tenant_id = pg_get_text(r, i, 5),
        .subscription_id = pg_get_text(r, i, 6),
        .group_uid = pg_get_text(r, i, 7),
        .location = pg_get_text(r, i, 8),
        .template_sealed = pg_get_text(r, i, 11),
        .goal = pg_get_text(r, i, 12),
        .state = pg_get_text(r, i, 14),
        .operation_id = pg_get_text(r, i, 15),
        .correlation_id = pg_get_text(r, i, 16),
        .deployment_uid = pg_get_text(r, i, 17),
        .deployment_id = pg_get_text(r, i, 18),
        .is_out_of_sync = pg_get_bool(r, i, 24),
        .deny_mode = pg_get_text(r, i, 25),
        .deny_children = pg_get_bool(r, i, 28),
        .started_us = pg_get_time_us(r, i, 29),
        .ended_us = pg_is_null(r, i, 30) ? 0 : pg_get_time_us(r, i, 30),
    };
    ret->deny_principal_count = pg_get_texts(r, i, 26, &principals);
    ret->deny_action_count = pg_get_texts(r, i, 27, &actions);
    ret->deny_principals = principals;
    ret->deny_actions = actions;
    if (deployment_json(r, i, 9, a, &ret->tags, err) ||
        deployment_json(r, i, 10, a, &ret->shown, err) ||
        deployment_json(r, i, 13, a, &ret->unmanage, err) ||
        deployment_json(r, i, 19, a, &ret->outputs, err) ||
        deployment_json(r, i, 20, a, &ret->detached, err) ||
        deployment_json(r, i, 21, a, &ret->deleted, err) ||
        deployment_json(r, i, 22, a, &ret->failed, err))
        return -1;
    return deployment_json(r, i, 23, a, &ret->error, err);
}

/* Fills in what each of the stacks manages. */
static int read_resources(struct pg_conn *conn, struct arena *a, struct stack *list, size_t count,
                          struct error *err)
{
    const char **uids = arena_array(a, count + 1, sizeof(*uids));
    struct pg_result *r = NULL;

    for (size_t i = 0; i < count; i++)
        uids[i] = list[i].uid;
    if (PG_RUN(conn, a, &stack_statements[RESOURCES], &r, err, pg_texts(uids, count)))
        return wrap(err, "resources of stacks");
    for (size_t i = 0; i < count; i++) {
        struct stack *s = &list[i];

        s->resources = arena_array(a, pg_rows(r) + 1, sizeof(*s->resources));
        for (size_t k = 0; k < pg_rows(r); k++)
            if (text_eq(pg_get_text(r, k, 0), s->uid))
                s->resources[s->resource_count++] = (struct stack_resource){
                    .id = pg_get_text(r, k, 1),
                    .type = pg_get_text(r, k, 2),
                    .api_version = pg_get_text(r, k, 3),
                };
    }
    return 0;
}

static int one(struct pg_conn *conn, const struct pg_result *r, struct arena *a,
               struct stack **ret, struct error *err)
{
    if (pg_rows(r) == 0)
        return 0;
    *ret = ARENA_NEW(a, struct stack);
    if (from_row(r, 0, a, *ret, err) || read_resources(conn, a, *ret, 1, err))
        return -1;
    return 1;
}

int stack_get(struct pg_conn *conn, struct arena *a, const char *key, bool lock,
              struct stack **ret, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &stack_statements[lock ? GET_LOCKED : GET], &r, err, pg_text(key)))
        return wrap(err, "read stack");
    return one(conn, r, a, ret, err);
}

int stack_by_uid(struct pg_conn *conn, struct arena *a, const char *uid, struct stack **ret,
                 struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &stack_statements[GET_UID], &r, err, pg_text(uid)))
        return wrap(err, "read stack");
    return one(conn, r, a, ret, err);
}

int stack_list(struct pg_conn *conn, struct arena *a, const char *scope_key,
               const char *after_key, int64_t limit, struct stack **ret, size_t *ret_count,
               struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &stack_statements[LIST], &r, err, pg_text(scope_key), pg_text(after_key),
               pg_int(limit)))
        return wrap(err, "list stacks");
    *ret_count = pg_rows(r);
    *ret = arena_array(a, *ret_count + 1, sizeof(**ret));
    for (size_t i = 0; i < *ret_count; i++)
        if (from_row(r, i, a, &(*ret)[i], err))
            return -1;
    return read_resources(conn, a, *ret, *ret_count, err);
}

static struct pg_arg json_arg(struct arena *a, const struct json_object *value)
{
    return value ? pg_text(json_print(a, value)) : pg_null();
}

static int insert(struct pg_conn *conn, struct arena *a, const struct stack *s, struct error *err)
{
    if (PG_RUN(conn, a, &stack_statements[INSERT], NULL, err, pg_text(s->uid), pg_text(s->key),
               pg_text(s->id), pg_text(s->name), pg_text(s->scope_key), pg_text(s->tenant_id),
               pg_text(s->subscription_id), pg_text(s->group_uid), pg_text(s->location),
               json_arg(a, s->tags), json_arg(a, s->shown), pg_text(s->template_sealed),
               pg_text(s->goal), json_arg(a, s->unmanage), pg_text(s->state),
               pg_text(s->operation_id), pg_text(s->correlation_id), pg_text(s->deployment_uid),
               pg_text(s->deployment_id), pg_text(s->deny_mode),
               pg_texts(s->deny_principals, s->deny_principal_count),
               pg_texts(s->deny_actions, s->deny_action_count), pg_bool(s->deny_children)))
        return wrap(err, "put stack");
    return 0;
}

int stack_begin(struct pg_conn *conn, struct arena *a, struct stack *s, bool *ret_replaced,
                struct error *err)
{
    struct stack *was = NULL;
    int found = stack_get(conn, a, s->key, true, &was, err);

    *ret_replaced = found > 0;
    if (found < 0)
        return -1;
    if (found == 0)
        return insert(conn, a, s, err) ? -1 : 1;
    if (!was->ended_us)
        return 0;
    if (!text_eq(s->uid, was->uid))
        return fail(err, &E_CONFLICT, "the stack was made again meanwhile");
    if (PG_RUN(conn, a, &stack_statements[RESTART], NULL, err, pg_text(s->uid),
               pg_text(s->location), json_arg(a, s->tags), json_arg(a, s->shown),
               pg_text(s->template_sealed), pg_text(s->goal), json_arg(a, s->unmanage),
               pg_text(s->state), pg_text(s->operation_id), pg_text(s->correlation_id),
               pg_text(s->deployment_uid), pg_text(s->deployment_id), pg_text(s->deny_mode),
               pg_texts(s->deny_principals, s->deny_principal_count),
               pg_texts(s->deny_actions, s->deny_action_count), pg_bool(s->deny_children)))
        return wrap(err, "restart stack");
    return 1;
}

static int manage(struct pg_conn *conn, struct arena *a, const struct stack *s, struct error *err)
{
    size_t n = s->resource_count;
    const char **keys = arena_array(a, n + 1, sizeof(char *));
    const char **ids = arena_array(a, n + 1, sizeof(char *));
    const char **types = arena_array(a, n + 1, sizeof(char *));
    const char **versions = arena_array(a, n + 1, sizeof(char *));

    for (size_t i = 0; i < n; i++) {
        keys[i] = text_lower(a, s->resources[i].id);
        ids[i] = s->resources[i].id;
        types[i] = s->resources[i].type;
        versions[i] = s->resources[i].api_version;
    }
    if (PG_RUN(conn, a, &stack_statements[FORGET], NULL, err, pg_text(s->uid)) ||
        PG_RUN(conn, a, &stack_statements[REPLACE], NULL, err, pg_text(s->uid), pg_texts(keys, n),
               pg_texts(ids, n), pg_texts(types, n), pg_texts(versions, n)))
        return wrap(err, "note what the stack manages");
    return 0;
}

int stack_end(struct pg_conn *conn, struct arena *a, const struct stack *s, struct error *err)
{
    if (text_eq(s->goal, "delete") && text_eq(s->state, "succeeded")) {
        if (PG_RUN(conn, a, &stack_statements[DROP_DEPLOYMENT], NULL, err,
                   pg_text(s->deployment_uid)) ||
            PG_RUN(conn, a, &stack_statements[DROP], NULL, err, pg_text(s->uid)))
            return wrap(err, "drop stack");
        return 0;
    }
    if (PG_RUN(conn, a, &stack_statements[END], NULL, err, pg_text(s->uid), pg_text(s->state),
               json_arg(a, s->outputs), json_arg(a, s->detached), json_arg(a, s->deleted),
               json_arg(a, s->failed), json_arg(a, s->error)))
        return wrap(err, "end stack");
    return manage(conn, a, s, err);
}

int stack_cancel(struct pg_conn *conn, struct arena *a, const char *deployment_uid,
                 struct json_object *error, struct error *err)
{
    if (PG_RUN(conn, a, &stack_statements[CANCEL], NULL, err, pg_text(deployment_uid),
               json_arg(a, error)))
        return wrap(err, "cancel stack");
    return 0;
}

/* The key and everything above it. */
static const char **keys_above(struct arena *a, const char *key, size_t *ret_count)
{
    const char **keys = arena_array(a, strlen(key) + 1, sizeof(*keys));
    size_t count = 0;

    keys[count++] = key;
    for (size_t len = strlen(key); len > 1; len--)
        if (key[len - 1] == '/')
            keys[count++] = arena_strndup(a, key, len - 1);
    *ret_count = count;
    return keys;
}

int stack_denies(struct pg_conn *conn, struct arena *a, const struct caller *caller,
                 const char *action, const char *key, bool is_delete, struct stack_denial *ret,
                 struct error *err)
{
    struct pg_result *r = NULL;
    size_t count = 0;
    const char **keys = keys_above(a, key, &count);

    if (PG_RUN(conn, a, &stack_statements[DENIES], &r, err, pg_text(key), pg_texts(keys, count),
               pg_bool(is_delete), pg_text(caller->tenant_id), pg_text(caller->object_id),
               pg_text(action), pg_text(caller->stack_uid)))
        return wrap(err, "look for denials");
    if (pg_rows(r) == 0)
        return 0;
    *ret = (struct stack_denial){ .stack_uid = pg_get_text(r, 0, 0),
                                  .stack_id = pg_get_text(r, 0, 1),
                                  .scope = pg_get_text(r, 0, 2) };
    return 1;
}

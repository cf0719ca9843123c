/* Long-running operations and the activity log. */
#include "controlplane/store/operations.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/identity/identity.h"
#include "controlplane/store/resources.h"
#include "controlplane/store/statements.h"

#define RESULT_MAX_BYTES (4u << 20)

enum { OPEN, GET, CLOSE, OPEN_ACTIONS, END, SETTLE, PRUNE, PRUNE_EVENTS, ADD_EVENT };

#define COLUMNS                                                                                    \
    "id, tenant_id, subscription_id, resource_uid, resource_id, resource_key, type_key, "         \
    "location, verb, generation, status, result, error, started_at, ended_at"

/* Ends those that are open, each with an entry of the activity log like the one that told of its
 * beginning, which is among the newest of its resource. */
#define END_TOLD(which)                                                                            \
    "with ended as (update operations set status = $2, error = $3, ended_at = now() "              \
    "where " which " and ended_at is null returning id, resource_key), "                           \
    "told as (insert into events (id, tenant_id, subscription_id, group_key, resource_id, "        \
    "resource_key, operation_name, status, caller_id, caller_name, client_address, "               \
    "correlation_id, operation_id, details) select gen_random_uuid(), e.tenant_id, "               \
    "e.subscription_id, e.group_key, e.resource_id, e.resource_key, e.operation_name, $2, "        \
    "e.caller_id, e.caller_name, e.client_address, e.correlation_id, e.operation_id, "             \
    "coalesce($3::jsonb, '{}') from ended o cross join lateral (select * from events b "           \
    "where b.resource_key = o.resource_key and b.operation_id = o.id "                             \
    "order by b.at desc limit 1) e) "                                                              \
    "select count(*) from ended"

const struct pg_stmt operations_statements[] = {
    /* The generation is the row's own at this moment: the caller holds its lock. A row that is not there
     * has no id, which the table does not take. */
    [OPEN] = { "operation_open",
               "insert into operations (id, tenant_id, subscription_id, resource_uid, resource_id, "
               "resource_key, type_key, location, verb, generation, status, caller_id, "
               "correlation_id, ended_at) "
               "select $1, $2, r.subscription_id, r.uid, r.id, r.key, r.type_key, r.location, $4, "
               "r.generation, $5, $6, $7, case when $5 = 'Succeeded' then now() end "
               "from (select $3 as uid) wanted left join resources r on r.uid = wanted.uid",
               "uuid uuid uuid text text uuid uuid" },
    [GET] = { "operation_get",
              "select " COLUMNS " from operations where id = $1",
              "uuid" },
    [CLOSE] = { "operation_close",
                "update operations set status = $3, ended_at = now() "
                "where resource_uid = $1 and generation <= $2 and ended_at is null "
                "and verb in ('PUT', 'PATCH', 'DELETE')",
                "uuid int8 text" },
    [OPEN_ACTIONS] = { "operation_open_actions",
                       "select " COLUMNS " from operations where ended_at is null "
                       "and verb not in ('PUT', 'PATCH', 'DELETE') order by started_at limit $1",
                       "int8" },
    [END] = { "operation_end", END_TOLD("id = $1"), "uuid text jsonb" },
    [SETTLE] = { "operation_settle",
                 END_TOLD("resource_uid = $1 and generation <= $4 "
                          "and verb in ('PUT', 'PATCH', 'DELETE')"),
                 "uuid text jsonb int8" },
    [PRUNE] = { "operation_prune",
                "delete from operations where id in (select id from operations "
                "where ended_at < now() - interval '1 day' order by ended_at limit 1000)",
                "" },
    [PRUNE_EVENTS] = { "event_prune",
                       "delete from events where id in (select id from events "
                       "where at < now() - interval '90 days' limit 1000)",
                       "" },
    [ADD_EVENT] = { "event_add",
                    "insert into events (id, tenant_id, subscription_id, group_key, resource_id, "
                    "resource_key, operation_name, status, caller_id, caller_name, client_address, "
                    "correlation_id, operation_id, details) values (gen_random_uuid(), $1, $2, $3, "
                    "$4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
                    "uuid uuid text text text text text uuid text text uuid uuid jsonb" },
    { 0 },
};

int operation_open(struct pg_conn *conn, struct arena *a, const struct caller *caller,
                   const struct resource *r, const char *verb, const char *status,
                   const char *correlation_id, const char **ret_id, struct error *err)
{
    char id[UUID_TEXT_LEN + 1];

    uuid_new(id);
    if (PG_QUEUE(conn, a, &operations_statements[OPEN], NULL, err, pg_text(id),
                 pg_text(caller->tenant_id), pg_text(r->uid), pg_text(verb), pg_text(status),
                 pg_text(caller->object_id), pg_text(correlation_id)))
        return wrap(err, "open operation");
    *ret_id = arena_strdup(a, id);
    return 0;
}

static int read_json(const struct pg_result *r, size_t row, size_t col, struct arena *a,
                     struct json_object **ret, struct error *err)
{
    const char *text = pg_get_text(r, row, col);
    struct json_object *value = NULL;

    *ret = NULL;
    if (!text)
        return 0;
    if (json_parse(text, strlen(text), RESULT_MAX_BYTES, JSON_STRICT, &value, err))
        return fail_cause(err, &E_INTERNAL, "column %zu of an operation does not parse", col);
    *ret = value ? json_own(a, value) : NULL;
    return 0;
}

static int read_operation(const struct pg_result *r, size_t row, struct arena *a,
                          struct operation *op, struct error *err)
{
    *op = (struct operation){
        .id = pg_get_text(r, row, 0),
        .tenant_id = pg_get_text(r, row, 1),
        .subscription_id = pg_get_text(r, row, 2),
        .resource_uid = pg_get_text(r, row, 3),
        .resource_id = pg_get_text(r, row, 4),
        .resource_key = pg_get_text(r, row, 5),
        .type_key = pg_get_text(r, row, 6),
        .location = pg_get_text(r, row, 7),
        .verb = pg_get_text(r, row, 8),
        .generation = pg_get_int(r, row, 9),
        .status = pg_get_text(r, row, 10),
        .started_us = pg_get_time_us(r, row, 13),
        .ended_us = pg_is_null(r, row, 14) ? 0 : pg_get_time_us(r, row, 14),
    };
    return read_json(r, row, 11, a, &op->result, err) || read_json(r, row, 12, a, &op->error, err)
               ? -1
               : 0;
}

int operation_get(struct pg_conn *conn, struct arena *a, const char *id, struct operation **ret,
                  struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &operations_statements[GET], &r, err, pg_text(id)))
        return wrap(err, "read operation");
    if (pg_rows(r) == 0)
        return 0;
    *ret = ARENA_NEW(a, struct operation);
    return read_operation(r, 0, a, *ret, err) ? -1 : 1;
}

int operation_open_actions(struct pg_conn *conn, struct arena *a, int64_t limit,
                           struct operation **ret, size_t *ret_count, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &operations_statements[OPEN_ACTIONS], &r, err, pg_int(limit)))
        return wrap(err, "read open operations");
    *ret_count = pg_rows(r);
    *ret = arena_array(a, *ret_count + 1, sizeof(**ret));
    for (size_t i = 0; i < *ret_count; i++) {
        if (read_operation(r, i, a, &(*ret)[i], err))
            return -1;
    }
    return 0;
}

int operation_end(struct pg_conn *conn, struct arena *a, const struct operation *op,
                  const char *status, struct json_object *error, struct error *err)
{
    const char *text = error ? json_print(a, error) : NULL;
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &operations_statements[END], &r, err, pg_text(op->id), pg_text(status),
               pg_text(text)))
        return wrap(err, "end operation");
    return pg_get_int(r, 0, 0) > 0;
}

int operation_settle(struct pg_conn *conn, struct arena *a, const char *resource_uid,
                     int64_t generation, const char *status, struct json_object *error,
                     struct error *err)
{
    if (PG_QUEUE(conn, a, &operations_statements[SETTLE], NULL, err, pg_text(resource_uid),
                 pg_text(status), pg_text(error ? json_print(a, error) : NULL),
                 pg_int(generation)))
        return wrap(err, "settle operations");
    return 0;
}

int operation_close(struct pg_conn *conn, struct arena *a, const char *resource_uid,
                    int64_t generation, const char *status, struct error *err)
{
    if (PG_QUEUE(conn, a, &operations_statements[CLOSE], NULL, err, pg_text(resource_uid),
                 pg_int(generation), pg_text(status)))
        return wrap(err, "close operations");
    return 0;
}

int operation_prune(struct pg_conn *conn, struct arena *a, struct error *err)
{
    if (PG_RUN0(conn, a, &operations_statements[PRUNE], NULL, err) ||
        PG_RUN0(conn, a, &operations_statements[PRUNE_EVENTS], NULL, err))
        return wrap(err, "prune operations and events");
    return 0;
}

int event_add(struct pg_conn *conn, struct arena *a, const struct caller *caller,
              const struct resource *r, const struct event *event, struct error *err)
{
    if (PG_QUEUE(conn, a, &operations_statements[ADD_EVENT], NULL, err, pg_text(caller->tenant_id),
                 pg_text(r->subscription_id), pg_text(r->group_key), pg_text(r->id),
                 pg_text(r->key), pg_text(event->operation_name), pg_text(event->status),
                 pg_text(caller->object_id), pg_text(caller->name),
                 pg_text(event->client_address), pg_text(event->correlation_id),
                 pg_text(event->operation_id),
                 pg_text(event->details ? json_print(a, event->details) : "{}")))
        return wrap(err, "add event");
    return 0;
}

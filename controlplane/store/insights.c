/* The activity log, diagnostic settings and tags: see the header. */
#include "controlplane/store/insights.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/store/statements.h"

#define JSON_MAX_BYTES 1048576

enum {
    EVENTS,
    DIAGNOSTIC_PUT,
    DIAGNOSTIC_LIST,
    DIAGNOSTIC_DELETE,
    TAGS_OF_RESOURCE,
    TAGS_OF_SUBSCRIPTION,
    PUT_ON_RESOURCE,
    PUT_ON_SUBSCRIPTION,
    NAMES,
    NAME_ADD,
    NAME_REMOVE
};

const struct pg_stmt insights_statements[] = {
    [EVENTS] = { "event_list",
                 "select id, at, tenant_id, group_key, resource_id, operation_name, status, "
                 "caller_id, caller_name, client_address, correlation_id, operation_id, details "
                 "from events "
                 "where subscription_id = $1 and ($2::timestamptz is null or at >= $2) "
                 "and ($3::timestamptz is null or at <= $3) and ($4::text is null or group_key = $4) "
                 "and ($5::text is null or resource_key = $5 or starts_with(resource_key, $5 || '/')) "
                 "and ($6::text is null or starts_with(lower(operation_name), $6 || '/')) "
                 "and ($7::uuid is null or correlation_id = $7) and ($8::text is null "
                 "or lower(caller_name) = lower($8) or caller_id::text = lower($8)) "
                 "and ($9::text is null or lower(status) = lower($9)) "
                 "and ($10::timestamptz is null or (at, id) < ($10, $11::uuid)) "
                 "order by at desc, id desc limit $12",
                 "uuid timestamptz timestamptz text text text uuid text text timestamptz uuid int8" },
    [DIAGNOSTIC_PUT] = { "diagnostic_put",
                         "insert into diagnostic_settings (scope_key, name_key, scope, name, "
                         "tenant_id, properties) values ($1, $2, $3, $4, $5, $6) "
                         "on conflict (scope_key, name_key) do update "
                         "set properties = excluded.properties",
                         "text text text text uuid jsonb" },
    [DIAGNOSTIC_LIST] = { "diagnostic_list",
                          "select scope, scope_key, name, name_key, properties "
                          "from diagnostic_settings where scope_key = $1 "
                          "and ($2::text is null or name_key = $2) order by name_key",
                          "text text" },
    [DIAGNOSTIC_DELETE] = { "diagnostic_delete",
                            "delete from diagnostic_settings where scope_key = $1 and name_key = $2",
                            "text text" },
    [TAGS_OF_RESOURCE] = { "tags_of_resource",
                           "select tags, id from resources where key = $1 and state <> 'Deleting' "
                           "for update",
                           "text" },
    [TAGS_OF_SUBSCRIPTION] = { "tags_of_subscription",
                               "select tags, '/subscriptions/' || id from subscriptions where id = $1 "
                               "for update",
                               "uuid" },
    [PUT_ON_RESOURCE] = { "tags_put_on_resource",
                          "update resources set tags = $2, generation = generation + 1, "
                          "observed_generation = case when observed_generation = generation "
                          "then generation + 1 else observed_generation end, updated_at = now() "
                          "where key = $1",
                          "text jsonb" },
    [PUT_ON_SUBSCRIPTION] = { "tags_put_on_subscription",
                              "update subscriptions set tags = $2 where id = $1", "uuid jsonb" },
    [NAMES] = { "tag_name_list",
                "with used as (select t.key as name, t.value, count(*) as n from resources r, "
                "jsonb_each_text(r.tags) t where r.subscription_id = $1 group by t.key, t.value), "
                "had as (select min(name) as name, min(value) as value, sum(n)::int8 as n from ("
                "select name, value, n from used "
                "union all select name, '', sum(n)::int8 from used group by name "
                "union all select name, value, 0 from tag_names where subscription_id = $1) x "
                "group by lower(name), lower(value)) "
                "select name, value, n from had order by lower(name), lower(value)",
                "uuid" },
    [NAME_ADD] = { "tag_name_add",
                   "insert into tag_names (subscription_id, name_key, value_key, name, value) "
                   "select $1, lower($2), lower(v), $2, v from unnest(array['', $3]) v "
                   "on conflict do nothing",
                   "uuid text text" },
    [NAME_REMOVE] = { "tag_name_remove",
                      "delete from tag_names where subscription_id = $1 and name_key = lower($2) "
                      "and ($3 = '' or value_key = lower($3))",
                      "uuid text text" },
    { 0 },
};

static int read_json(const char *text, struct arena *a, struct json_object **ret, struct error *err)
{
    struct json_object *value = NULL;

    if (json_parse_object(text, strlen(text), JSON_MAX_BYTES, &value, err))
        return wrap(err, "stored JSON");
    *ret = json_own(a, value);
    return 0;
}

int event_list(struct pg_conn *conn, struct arena *a, const struct event_filter *f,
               struct event_row **ret, size_t *ret_count, struct error *err)
{
    struct pg_result *r = NULL;
    struct event_row *rows;

    if (PG_RUN(conn, a, &insights_statements[EVENTS], &r, err, pg_text(f->subscription_id),
               pg_text(f->from), pg_text(f->to), pg_text(f->group_key), pg_text(f->resource_key),
               pg_text(f->provider_key), pg_text(f->correlation_id), pg_text(f->caller),
               pg_text(f->status), pg_text(f->before_at), pg_text(f->before_id), pg_int(f->limit)))
        return wrap(err, "list events");
    rows = arena_array(a, pg_rows(r) + 1, sizeof(*rows));
    for (size_t i = 0; i < pg_rows(r); i++) {
        rows[i] = (struct event_row){
            .id = pg_get_text(r, i, 0),
            .at = pg_get_text(r, i, 1),
            .tenant_id = pg_get_text(r, i, 2),
            .group_key = pg_get_text(r, i, 3),
            .resource_id = pg_get_text(r, i, 4),
            .operation_name = pg_get_text(r, i, 5),
            .status = pg_get_text(r, i, 6),
            .caller_id = pg_get_text(r, i, 7),
            .caller_name = pg_get_text(r, i, 8),
            .client_address = pg_get_text(r, i, 9),
            .correlation_id = pg_get_text(r, i, 10),
            .operation_id = pg_get_text(r, i, 11),
        };
        if (read_json(pg_get_text(r, i, 12), a, &rows[i].details, err))
            return -1;
    }
    *ret = rows;
    *ret_count = pg_rows(r);
    return 0;
}

int diagnostic_put(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                   const struct diagnostic_row *row, struct error *err)
{
    if (PG_RUN(conn, a, &insights_statements[DIAGNOSTIC_PUT], NULL, err, pg_text(row->scope_key),
               pg_text(row->name_key), pg_text(row->scope), pg_text(row->name),
               pg_text(tenant_id), pg_text(json_print(a, row->properties))))
        return wrap(err, "put diagnostic setting");
    return 0;
}

int diagnostic_list(struct pg_conn *conn, struct arena *a, const char *scope_key,
                    const char *name_key, struct diagnostic_row **ret, size_t *ret_count,
                    struct error *err)
{
    struct pg_result *r = NULL;
    struct diagnostic_row *rows;

    if (PG_RUN(conn, a, &insights_statements[DIAGNOSTIC_LIST], &r, err, pg_text(scope_key),
               pg_text(name_key)))
        return wrap(err, "list diagnostic settings");
    rows = arena_array(a, pg_rows(r) + 1, sizeof(*rows));
    for (size_t i = 0; i < pg_rows(r); i++) {
        rows[i] = (struct diagnostic_row){ .scope = pg_get_text(r, i, 0),
                                           .scope_key = pg_get_text(r, i, 1),
                                           .name = pg_get_text(r, i, 2),
                                           .name_key = pg_get_text(r, i, 3) };
        if (read_json(pg_get_text(r, i, 4), a, &rows[i].properties, err))
            return -1;
    }
    *ret = rows;
    *ret_count = pg_rows(r);
    return 0;
}

int diagnostic_delete(struct pg_conn *conn, struct arena *a, const char *scope_key,
                      const char *name_key, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &insights_statements[DIAGNOSTIC_DELETE], &r, err, pg_text(scope_key),
               pg_text(name_key)))
        return wrap(err, "delete diagnostic setting");
    return pg_affected(r) > 0;
}

int tags_get(struct pg_conn *conn, struct arena *a, const char *subscription_id, const char *key,
             struct json_object **ret, const char **ret_id, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &insights_statements[key ? TAGS_OF_RESOURCE : TAGS_OF_SUBSCRIPTION], &r,
               err, pg_text(key ? key : subscription_id)))
        return wrap(err, "read tags");
    if (pg_rows(r) == 0)
        return 0;
    *ret_id = pg_get_text(r, 0, 1);
    return read_json(pg_get_text(r, 0, 0), a, ret, err) ? -1 : 1;
}

int tags_put(struct pg_conn *conn, struct arena *a, const char *subscription_id, const char *key,
             const struct json_object *tags, struct error *err)
{
    if (PG_RUN(conn, a, &insights_statements[key ? PUT_ON_RESOURCE : PUT_ON_SUBSCRIPTION], NULL,
               err, pg_text(key ? key : subscription_id), pg_text(json_print(a, tags))))
        return wrap(err, "write tags");
    return 0;
}

int tag_name_list(struct pg_conn *conn, struct arena *a, const char *subscription_id,
                  struct tag_row **ret, size_t *ret_count, struct error *err)
{
    struct pg_result *r = NULL;
    struct tag_row *rows;

    if (PG_RUN(conn, a, &insights_statements[NAMES], &r, err, pg_text(subscription_id)))
        return wrap(err, "list tag names");
    rows = arena_array(a, pg_rows(r) + 1, sizeof(*rows));
    for (size_t i = 0; i < pg_rows(r); i++)
        rows[i] = (struct tag_row){ pg_get_text(r, i, 0), pg_get_text(r, i, 1),
                                    pg_get_int(r, i, 2) };
    *ret = rows;
    *ret_count = pg_rows(r);
    return 0;
}

int tag_name_add(struct pg_conn *conn, struct arena *a, const char *subscription_id,
                 const char *name, const char *value, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &insights_statements[NAME_ADD], &r, err, pg_text(subscription_id),
               pg_text(name), pg_text(value)))
        return wrap(err, "add tag name");
    return pg_affected(r) > 0;
}

int tag_name_remove(struct pg_conn *conn, struct arena *a, const char *subscription_id,
                    const char *name, const char *value, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &insights_statements[NAME_REMOVE], &r, err, pg_text(subscription_id),
               pg_text(name), pg_text(value)))
        return wrap(err, "remove tag name");
    return pg_affected(r) > 0;
}

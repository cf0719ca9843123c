/* Placements of data planes: look-up, allocation of a port, removal. */
#include "controlplane/store/placements.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/pg/pg.h"

#include "controlplane/store/statements.h"

enum { S_GET, S_LIST, S_FREE_PORTS, S_ADD, S_REMOVE };

const struct pg_stmt placement_statements[] = {
    [S_GET] = { "placement_get",
                "select registry_uid, region, address, port from placements"
                " where registry_uid = $1 and region = $2",
                "uuid text" },
    [S_LIST] = { "placement_list",
                 "select registry_uid, region, address, port from placements"
                 " where ($1 is null or registry_uid = $1) order by registry_uid, region",
                 "uuid" },
    /* A start at random keeps concurrent callers apart and a freed port unused for a while. */
    [S_FREE_PORTS] = { "placement_free_ports",
                       "with start as (select floor(random() * ($3 - $2 + 1))::int8 as offs)"
                       " select p from start, lateral (select n,"
                       " ($2 + (start.offs + n) % ($3 - $2 + 1))::int4 as p"
                       " from generate_series(0::int8, $3 - $2) n) candidates"
                       " where not exists (select 1 from placements"
                       " where address = $1 and port = p) order by n limit $4",
                       "text int8 int8 int8" },
    [S_ADD] = { "placement_add",
                "insert into placements (registry_uid, region, address, port)"
                " values ($1, $2, $3, $4) on conflict do nothing",
                "uuid text text int4" },
    [S_REMOVE] = { "placement_remove",
                   "delete from placements where registry_uid = $1 and region = $2",
                   "uuid text" },
    { 0 },
};

static void read_row(const struct pg_result *res, size_t row, struct placement *ret)
{
    *ret = (struct placement){
        .registry_uid = pg_get_text(res, row, 0),
        .region = pg_get_text(res, row, 1),
        .address = pg_get_text(res, row, 2),
        .port = pg_get_int(res, row, 3),
    };
}

int placement_get(struct pg_conn *conn, struct arena *a, const char *registry_uid,
                  const char *region, struct placement *ret, struct error *err)
{
    struct pg_result *res;

    if (PG_RUN(conn, a, &placement_statements[S_GET], &res, err, pg_text(registry_uid),
               pg_text(region)))
        return -1;
    if (pg_rows(res) == 0)
        return 0;
    read_row(res, 0, ret);
    return 1;
}

int placement_list(struct pg_conn *conn, struct arena *a, const char *registry_uid,
                   struct placement **ret, size_t *ret_count, struct error *err)
{
    struct pg_result *res;

    if (PG_RUN(conn, a, &placement_statements[S_LIST], &res, err, pg_text(registry_uid)))
        return -1;
    *ret_count = pg_rows(res);
    *ret = arena_array(a, *ret_count + 1, sizeof(**ret));
    for (size_t i = 0; i < *ret_count; i++)
        read_row(res, i, &(*ret)[i]);
    return 0;
}

int placement_free_ports(struct pg_conn *conn, struct arena *a, const char *address, int64_t first,
                         int64_t last, int64_t max, int64_t **ret, size_t *ret_count,
                         struct error *err)
{
    struct pg_result *res;

    if (PG_RUN(conn, a, &placement_statements[S_FREE_PORTS], &res, err, pg_text(address),
               pg_int(first), pg_int(last), pg_int(max)))
        return -1;
    *ret_count = pg_rows(res);
    *ret = arena_array(a, *ret_count + 1, sizeof(**ret));
    for (size_t i = 0; i < *ret_count; i++)
        (*ret)[i] = pg_get_int(res, i, 0);
    return 0;
}

int placement_add(struct pg_conn *conn, struct arena *a, const struct placement *p,
                  struct error *err)
{
    struct pg_result *res;

    if (PG_RUN(conn, a, &placement_statements[S_ADD], &res, err, pg_text(p->registry_uid),
               pg_text(p->region), pg_text(p->address), pg_int(p->port)))
        return -1;
    return pg_affected(res) > 0;
}

int placement_remove(struct pg_conn *conn, struct arena *a, const char *registry_uid,
                     const char *region, struct error *err)
{
    return PG_RUN(conn, a, &placement_statements[S_REMOVE], NULL, err, pg_text(registry_uid),
                  pg_text(region));
}

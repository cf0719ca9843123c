/* The regions table, written at first start and read by every starting control plane. */
#include "controlplane/store/regions.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/pg/pg.h"

#include "controlplane/store/statements.h"

enum { S_PUT, S_LIST };

const struct pg_stmt region_statements[] = {
    [S_PUT] = { "region_put",
                "insert into regions (name, display_name, metadata_url, blobs_url, position)"
                " values ($1, $2, $3, $4, $5) on conflict (name) do update set"
                " display_name = excluded.display_name, metadata_url = excluded.metadata_url,"
                " blobs_url = excluded.blobs_url, position = excluded.position",
                "text text text text int4" },
    [S_LIST] = { "region_list",
                 "select name, display_name, metadata_url, blobs_url from regions"
                 " order by position, name",
                 "" },
    { 0 },
};

int region_put(struct pg_conn *conn, struct arena *a, const struct region_row *row, int position,
               struct error *err)
{
    return PG_RUN(conn, a, &region_statements[S_PUT], NULL, err, pg_text(row->name),
                  pg_text(row->display_name), pg_text(row->metadata_url),
                  pg_text(row->blobs_url), pg_int(position));
}

int region_list(struct pg_conn *conn, struct arena *a, struct region_row **ret, size_t *ret_count,
                struct error *err)
{
    struct pg_result *res;

    if (PG_RUN0(conn, a, &region_statements[S_LIST], &res, err))
        return -1;
    *ret_count = pg_rows(res);
    *ret = arena_array(a, *ret_count + 1, sizeof(**ret));
    for (size_t i = 0; i < *ret_count; i++)
        (*ret)[i] = (struct region_row){
            .name = pg_get_text(res, i, 0),
            .display_name = pg_get_text(res, i, 1),
            .metadata_url = pg_get_text(res, i, 2),
            .blobs_url = pg_get_text(res, i, 3),
        };
    return 0;
}

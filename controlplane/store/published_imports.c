/* The rows by which the planes speak of imports. */
#include "controlplane/store/published_imports.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/store/published.h"
#include "controlplane/store/statements.h"

#define FAILURE_MAX_BYTES (64u << 10)

enum { PRUNE, ADD, STATE };

const struct pg_stmt published_imports_statements[] = {
    [PRUNE] = { "published_import_prune",
                "delete from imports where ended_at < now() - interval '1 day'", "" },
    [ADD] = { "published_import_add",
              "insert into imports (id, registry_id, request, wrapped_secret) "
              "select $1, r.id, $3, $4 from registries r where r.id = $2",
              "uuid uuid jsonb text" },
    [STATE] = { "published_import_state",
                "select attempts > 0, ended_at is not null, failure from imports where id = $1",
                "uuid" },
    { 0 },
};

int published_import_add(struct pg_conn *conn, struct arena *a,
                         const struct published_import *import, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN0(conn, a, &published_imports_statements[PRUNE], NULL, err) ||
        PG_RUN(conn, a, &published_imports_statements[ADD], &r, err, pg_text(import->id),
               pg_text(import->registry_id), pg_text(json_print(a, import->request)),
               pg_text(import->wrapped_secret)))
        return -1;
    if (pg_affected(r) == 0)
        return 0;
    return published_bump(conn, a, &import->registry_id, 1, err) ? -1 : 1;
}

int published_import_state(struct pg_conn *conn, struct arena *a, const char *id,
                           struct import_state *ret, struct error *err)
{
    struct pg_result *r = NULL;
    const char *failure;

    *ret = (struct import_state){ .is_begun = false };
    if (PG_RUN(conn, a, &published_imports_statements[STATE], &r, err, pg_text(id)))
        return -1;
    if (pg_rows(r) == 0)
        return 0;
    ret->is_begun = pg_get_bool(r, 0, 0);
    ret->is_over = pg_get_bool(r, 0, 1);
    failure = pg_get_text(r, 0, 2);
    if (failure && json_parse_object(failure, strlen(failure), FAILURE_MAX_BYTES, &ret->failure, err))
        return wrap(err, "failure of import %s", id);
    if (failure)
        (void)json_own(a, ret->failure);
    return 1;
}

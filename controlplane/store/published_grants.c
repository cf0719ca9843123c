/* SQL of published grants: see the header. */
#include "controlplane/store/published_grants.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/pg/pg.h"

#include "controlplane/store/statements.h"

enum { LOCK, PUT };

const struct pg_stmt published_grants_statements[] = {
    [LOCK] = { "published_grants_lock",
               "select id, settings->>'roleAssignmentMode' from registries where id = any ($1)"
               " order by id for update",
               "uuid[]" },
    /* Rows that are right already are not touched, not even locked. */
    [PUT] = { "published_grants_put",
              "with wanted as (select id, grants::jsonb as grants"
              "     from unnest($1, $2) as w (id, grants)),"
              " gone as (delete from grants g using wanted w where g.registry_id = w.id"
              "     and not (w.grants ? g.principal_id::text) returning g.registry_id),"
              " put as (insert into grants (registry_id, principal_id, permissions)"
              "     select w.id, e.key::uuid, e.value from wanted w"
              "     cross join lateral jsonb_each(w.grants) as e"
              "     left join grants g on g.registry_id = w.id and g.principal_id = e.key::uuid"
              "     where g.permissions is distinct from e.value"
              "     on conflict (registry_id, principal_id) do update"
              "     set permissions = excluded.permissions returning registry_id)"
              " select registry_id from gone union select registry_id from put",
              "uuid[] text[]" },
    { 0 },
};

int published_grants_lock(struct pg_conn *conn, struct arena *a, const char *const *registry_ids,
                          size_t count, struct published_holder **ret, size_t *ret_count,
                          struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &published_grants_statements[LOCK], &r, err,
               pg_texts(registry_ids, count)))
        return wrap(err, "lock registries");
    *ret_count = pg_rows(r);
    *ret = arena_array(a, *ret_count + 1, sizeof(**ret));
    for (size_t i = 0; i < *ret_count; i++) {
        const char *mode = pg_get_text(r, i, 1);

        (*ret)[i] = (struct published_holder){ pg_get_text(r, i, 0),
                                               text_eq(mode, "AbacRepositoryPermissions") };
    }
    return 0;
}

int published_grants_put(struct pg_conn *conn, struct arena *a, const char *const *registry_ids,
                         const char *const *grants, size_t count, const char ***ret_changed,
                         size_t *ret_changed_count, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &published_grants_statements[PUT], &r, err, pg_texts(registry_ids, count),
               pg_texts(grants, count)))
        return wrap(err, "write grants");
    *ret_changed_count = pg_rows(r);
    *ret_changed = arena_array(a, *ret_changed_count + 1, sizeof(**ret_changed));
    for (size_t i = 0; i < *ret_changed_count; i++)
        (*ret_changed)[i] = pg_get_text(r, i, 0);
    return 0;
}

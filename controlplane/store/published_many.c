/* SQL on many published registries: see the header. */
#include "controlplane/store/published_many.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/pg/pg.h"

#include "controlplane/store/statements.h"

enum { LOCK, PUT_GRANTS, PUT_ORIGINS };

const struct pg_stmt published_many_statements[] = {
    [LOCK] = { "published_many_lock",
               "select id, settings->>'roleAssignmentMode' from registries where id = any ($1)"
               " order by id for update",
               "uuid[]" },
    /* Rows that are right already are not touched, not even locked. */
    [PUT_GRANTS] = { "published_grants_put",
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
    [PUT_ORIGINS] = { "published_origins_put",
                      "update registries r set settings = n.settings,"
                      " resource_generation = n.generation from (select o.id,"
                      " w.generation::int8 as generation, o.settings"
                      " || jsonb_build_object('privateLinks', w.links::jsonb)"
                      " || case when w.subnets = '' then '{}'::jsonb"
                      " else jsonb_build_object('networkRuleSet',"
                      " coalesce(o.settings -> 'networkRuleSet', '{}')"
                      " || jsonb_build_object('virtualNetworkRules', w.subnets::jsonb)) end"
                      " as settings"
                      " from unnest($1, $2, $3, $4) as w (id, generation, links, subnets)"
                      " join registries o on o.id = w.id) n"
                      " where r.id = n.id and r.resource_generation <= n.generation"
                      " and r.settings <> n.settings returning r.id",
                      "uuid[] text[] text[] text[]" },
    { 0 },
};

static void read_ids(struct arena *a, const struct pg_result *r, const char ***ret,
                     size_t *ret_count)
{
    *ret_count = pg_rows(r);
    *ret = arena_array(a, *ret_count + 1, sizeof(**ret));
    for (size_t i = 0; i < *ret_count; i++)
        (*ret)[i] = pg_get_text(r, i, 0);
}

int published_many_lock(struct pg_conn *conn, struct arena *a, const char *const *registry_ids,
                        size_t count, struct published_holder **ret, size_t *ret_count,
                        struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &published_many_statements[LOCK], &r, err,
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

    if (PG_RUN(conn, a, &published_many_statements[PUT_GRANTS], &r, err, pg_texts(registry_ids, count),
               pg_texts(grants, count)))
        return wrap(err, "write grants");
    read_ids(a, r, ret_changed, ret_changed_count);
    return 0;
}

int published_origins_put(struct pg_conn *conn, struct arena *a,
                          const struct published_origins *items, size_t count,
                          const char ***ret_changed, size_t *ret_changed_count, struct error *err)
{
    const char **columns[4];
    struct pg_result *r = NULL;

    for (size_t i = 0; i < ARRAY_LEN(columns); i++)
        columns[i] = arena_array(a, count + 1, sizeof(char *));
    for (size_t i = 0; i < count; i++) {
        columns[0][i] = items[i].registry_id;
        columns[1][i] = items[i].generation;
        columns[2][i] = items[i].links;
        columns[3][i] = items[i].subnets ? items[i].subnets : "";
    }
    if (PG_RUN(conn, a, &published_many_statements[PUT_ORIGINS], &r, err,
               pg_texts(columns[0], count), pg_texts(columns[1], count),
               pg_texts(columns[2], count), pg_texts(columns[3], count)))
        return wrap(err, "write origins");
    read_ids(a, r, ret_changed, ret_changed_count);
    return 0;
}

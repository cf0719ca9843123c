/* The published passwords of tokens, and the scope maps they name. */
#include "controlplane/store/published_tokens.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/store/statements.h"

enum { HOLD, TURN, BUMP, LIST, PUT, REMOVE, MAPS, MAP_PUT, MAP_REMOVE };

const struct pg_stmt published_tokens_statements[] = {
    [HOLD] = { "published_hold", "select 1 from registries where id = $1 for key share", "uuid" },
    [TURN] = { "published_turn", "select pg_advisory_xact_lock(hashtextextended($1, 0))", "text" },
    [BUMP] = { "published_accounts_bump",
               "insert into account_changes as c (registry_id, slot, count) "
               "values ($1, pg_backend_pid() % 16, 1) "
               "on conflict (registry_id, slot) do update set count = c.count + 1",
               "uuid" },
    [LIST] = { "published_token_list",
               "select password_name, hash, expires_at, scope_map_id, "
               "permissions = '[]' from credentials "
               "where registry_id = $1 and username = $2 and kind = 'token' "
               "order by password_name",
               "uuid text" },
    [PUT] = { "published_token_put",
              "insert into credentials (registry_id, username, password_name, kind, hash, "
              "expires_at, scope_map_id, permissions) values ($1, $2, $3, 'token', $4, $5, $6, '[]') "
              "on conflict (registry_id, username, password_name) do update set "
              "kind = excluded.kind, hash = excluded.hash, expires_at = excluded.expires_at, "
              "scope_map_id = excluded.scope_map_id, permissions = excluded.permissions",
              "uuid text text text timestamptz uuid" },
    [REMOVE] = { "published_token_remove",
                 "delete from credentials where registry_id = $1 and username = $2 "
                 "and kind = 'token' and password_name <> all ($3)",
                 "uuid text text[]" },
    [MAPS] = { "published_maps",
               "select id, resource_generation from scope_maps where registry_id = $1 "
               "and ($2::uuid is null or id = $2) order by id",
               "uuid uuid" },
    [MAP_PUT] = { "published_map_put",
                  "insert into scope_maps as m (registry_id, id, resource_generation, permissions) "
                  "values ($1, $2, $3, $4) on conflict (registry_id, id) do update set "
                  "resource_generation = excluded.resource_generation, "
                  "version = m.version + (m.permissions <> excluded.permissions)::int, "
                  "permissions = excluded.permissions "
                  "where m.resource_generation < excluded.resource_generation",
                  "uuid uuid int8 jsonb" },
    [MAP_REMOVE] = { "published_map_remove",
                     "delete from scope_maps where registry_id = $1 and id = $2", "uuid uuid" },
    { 0 },
};

int published_hold(struct pg_conn *conn, struct arena *a, const char *registry_id,
                   struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &published_tokens_statements[HOLD], &r, err, pg_text(registry_id)))
        return wrap(err, "hold projection");
    return pg_rows(r) > 0;
}

int published_turn(struct pg_conn *conn, struct arena *a, const char *uid, struct error *err)
{
    return PG_RUN(conn, a, &published_tokens_statements[TURN], NULL, err, pg_text(uid));
}

int published_accounts_bump(struct pg_conn *conn, struct arena *a, const char *registry_id,
                            struct error *err)
{
    return PG_RUN(conn, a, &published_tokens_statements[BUMP], NULL, err, pg_text(registry_id));
}

/* Tokens ------------------------------------------------------------------------------------------
 */

/* Whether row i is exactly c. */
static bool is_same(const struct pg_result *r, size_t i, const struct published_password *c)
{
    int64_t expires_us = pg_is_null(r, i, 2) ? 0 : pg_get_time_us(r, i, 2);

    return strcmp(pg_get_text(r, i, 1), c->hash) == 0 && expires_us == c->expires_us &&
           text_eq(pg_get_text(r, i, 3), c->scope_map_id) && pg_get_bool(r, i, 4);
}

static bool is_there(const struct pg_result *r, const struct published_password *c)
{
    for (size_t i = 0; i < pg_rows(r); i++) {
        if (strcmp(pg_get_text(r, i, 0), c->name) == 0)
            return is_same(r, i, c);
    }
    return false;
}

int published_token_sync(struct pg_conn *conn, struct arena *a, const char *registry_id,
                         const char *username, const struct published_password *passwords,
                         size_t count, struct error *err)
{
    const char **names = arena_array(a, count + 1, sizeof(*names));
    struct pg_result *now = NULL, *removed = NULL;
    int is_changed = 0;

    if (PG_RUN(conn, a, &published_tokens_statements[LIST], &now, err, pg_text(registry_id),
               pg_text(username)))
        return wrap(err, "read a token's credentials");
    for (size_t i = 0; i < count; i++) {
        const struct published_password *c = &passwords[i];

        names[i] = c->name;
        if (is_there(now, c))
            continue;
        is_changed = 1;
        if (PG_RUN(conn, a, &published_tokens_statements[PUT], NULL, err, pg_text(registry_id),
                   pg_text(username), pg_text(c->name), pg_text(c->hash), pg_text(c->expires_at),
                   pg_text(c->scope_map_id)))
            return wrap(err, "write a token's credential");
    }
    if (pg_rows(now) == 0)
        return is_changed;
    if (PG_RUN(conn, a, &published_tokens_statements[REMOVE], &removed, err, pg_text(registry_id),
               pg_text(username), pg_texts(names, count)))
        return wrap(err, "remove a token's credentials");
    return is_changed || pg_affected(removed) > 0;
}

/* Scope maps --------------------------------------------------------------------------------------
 */

int published_maps(struct pg_conn *conn, struct arena *a, const char *registry_id,
                   const char *only, struct published_map **ret, size_t *ret_count,
                   struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &published_tokens_statements[MAPS], &r, err, pg_text(registry_id),
               pg_text(only)))
        return wrap(err, "read scope maps");
    *ret_count = pg_rows(r);
    *ret = arena_array(a, *ret_count + 1, sizeof(**ret));
    for (size_t i = 0; i < *ret_count; i++)
        (*ret)[i] = (struct published_map){ pg_get_text(r, i, 0), pg_get_int(r, i, 1) };
    return 0;
}

int published_map_put(struct pg_conn *conn, struct arena *a, const char *registry_id,
                      const struct published_map *map, const struct json_object *permissions,
                      struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &published_tokens_statements[MAP_PUT], &r, err, pg_text(registry_id),
               pg_text(map->id), pg_int(map->resource_generation),
               pg_text(json_print(a, permissions))))
        return wrap(err, "write a scope map");
    return pg_affected(r) > 0;
}

int published_map_remove(struct pg_conn *conn, struct arena *a, const char *registry_id,
                         const char *id, struct error *err)
{
    return PG_RUN(conn, a, &published_tokens_statements[MAP_REMOVE], NULL, err,
                  pg_text(registry_id), pg_text(id));
}

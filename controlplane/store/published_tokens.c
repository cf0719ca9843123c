/* The published passwords of one token. */
#include "controlplane/store/published_tokens.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/store/statements.h"

#define PERMISSIONS_MAX_BYTES (4u << 20)

enum { LIST, PUT, REMOVE };

const struct pg_stmt published_tokens_statements[] = {
    [LIST] = { "published_token_list",
               "select password_name, hash, expires_at, permissions from credentials "
               "where registry_id = $1 and username = $2 and kind = 'token' "
               "order by password_name",
               "uuid text" },
    [PUT] = { "published_token_put",
              "insert into credentials (registry_id, username, password_name, kind, hash, "
              "expires_at, permissions) values ($1, $2, $3, 'token', $4, $5, $6) "
              "on conflict (registry_id, username, password_name) do update set "
              "kind = excluded.kind, hash = excluded.hash, expires_at = excluded.expires_at, "
              "permissions = excluded.permissions",
              "uuid text text text timestamptz jsonb" },
    [REMOVE] = { "published_token_remove",
                 "delete from credentials where registry_id = $1 and username = $2 "
                 "and kind = 'token' and password_name <> all ($3)",
                 "uuid text text[]" },
    { 0 },
};

/* Whether row i is exactly c. */
static int is_same(const struct pg_result *r, size_t i, const struct published_password *c,
                   struct error *err)
{
    const char *text = pg_get_text(r, i, 3);
    _cleanup_(json_putp) struct json_object *permissions = NULL;
    int64_t expires_us = pg_is_null(r, i, 2) ? 0 : pg_get_time_us(r, i, 2);

    if (json_parse(text, strlen(text), PERMISSIONS_MAX_BYTES, JSON_STRICT, &permissions, err))
        return wrap(err, "published permissions");
    return strcmp(pg_get_text(r, i, 1), c->hash) == 0 && expires_us == c->expires_us &&
           json_equal(permissions, c->permissions);
}

/* 1 when it is there already. */
static int is_there(const struct pg_result *r, const struct published_password *c,
                    struct error *err)
{
    for (size_t i = 0; i < pg_rows(r); i++) {
        if (strcmp(pg_get_text(r, i, 0), c->name) == 0)
            return is_same(r, i, c, err);
    }
    return 0;
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
        int same = is_there(now, c, err);

        names[i] = c->name;
        if (same < 0)
            return -1;
        if (same)
            continue;
        is_changed = 1;
        if (PG_RUN(conn, a, &published_tokens_statements[PUT], NULL, err, pg_text(registry_id),
                   pg_text(username), pg_text(c->name), pg_text(c->hash), pg_text(c->expires_at),
                   pg_text(json_print(a, c->permissions))))
            return wrap(err, "write a token's credential");
    }
    if (pg_rows(now) == 0)
        return is_changed;
    if (PG_RUN(conn, a, &published_tokens_statements[REMOVE], &removed, err, pg_text(registry_id),
               pg_text(username), pg_texts(names, count)))
        return wrap(err, "remove a token's credentials");
    return is_changed || pg_affected(removed) > 0;
}

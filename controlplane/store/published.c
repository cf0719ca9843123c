/* SQL on a region's published projection, and the removal of a registry's rows in batches. */
#include "controlplane/store/published.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/store/statements.h"

#define JSON_MAX_BYTES ((size_t)16 * 1024 * 1024)

enum {
    S_LOCK,
    S_INSERT,
    S_UPDATE,
    S_RULES,
    S_BUMP,
    S_CREDENTIALS,
    S_CREDENTIAL_PUT,
    S_CREDENTIAL_REMOVE,
    S_KEYS_PUT,
    S_KEYS_REMOVE,
    S_SIZE,
    S_IDS,
    S_DROP_TAGS,
    S_DROP_CHILDREN,
    S_DROP_MANIFEST_BLOBS,
    S_DROP_MANIFEST_ALIASES,
    S_DROP_MANIFESTS,
    S_DROP_REPOSITORY_BLOBS,
    S_DROP_REPOSITORIES,
    S_DROP_BLOB_ALIASES,
    S_DROP_BLOBS,
    S_DROP_REVIEWS,
    S_DROP_TOMBSTONES,
    S_DROP_GRANTS,
    S_DROP_CREDENTIALS,
    S_DROP_SCOPE_MAPS,
    S_DROP_REGISTRY,
    S_COUNT,
};

/* Rows are picked by ctid, whose value cannot move between the two scans of one statement. */
#define DROP(table, from)                                                                          \
    "delete from " table " where ctid = any (array(select x.ctid from " table " x " from           \
    " limit $2))"
#define OF_REPOSITORY "join repositories r on r.id = x.repository_id where r.registry_id = $1"
#define OF_MANIFEST                                                                                \
    "join manifests m on m.id = x.manifest_id join repositories r on r.id = m.repository_id"       \
    " where r.registry_id = $1"
#define OF_REGISTRY "where x.registry_id = $1"

const struct pg_stmt published_statements[] = {
    [S_LOCK] = { "published_lock",
                 "select id, name, login_server, generation, resource_generation, settings,"
                 " wrapped_signing_key, wrapped_data_key from registries where id = $1 for update",
                 "uuid" },
    [S_INSERT] = { "published_insert",
                   "insert into registries (id, name, login_server, resource_generation, settings,"
                   " wrapped_signing_key, wrapped_data_key) values ($1, $2, $3, $4, $5, $6, $7)"
                   " on conflict (id) do nothing",
                   "uuid text text int8 jsonb text text" },
    [S_UPDATE] = { "published_update",
                   "update registries set name = $2, login_server = $3, resource_generation = $4,"
                   " settings = $5, wrapped_signing_key = $6, wrapped_data_key = $7"
                   " where id = $1",
                   "uuid text text int8 jsonb text text" },
    [S_RULES] = { "published_rules_put",
                  "update registries set settings = settings || $3, resource_generation = $2,"
                  " generation = generation + (settings || $3 <> settings)::int,"
                  " published_at = now() where id = $1 and resource_generation <= $2",
                  "uuid int8 jsonb" },
    [S_BUMP] = { "published_bump",
                 "update registries set generation = generation + 1, published_at = now()"
                 " where id = any ($1)",
                 "uuid[]" },
    [S_CREDENTIALS] = { "published_credentials",
                        "select username, password_name, hash, permissions from credentials"
                        " where registry_id = $1 and kind = $2 order by username, password_name",
                        "uuid text" },
    [S_CREDENTIAL_PUT] = { "published_credential_put",
                           "insert into credentials (registry_id, username, password_name, kind,"
                           " hash, permissions) values ($1, $2, $3, $4, $5, $6)"
                           " on conflict (registry_id, username, password_name) do update set"
                           " kind = excluded.kind, hash = excluded.hash,"
                           " permissions = excluded.permissions",
                           "uuid text text text text jsonb" },
    [S_CREDENTIAL_REMOVE] = { "published_credential_remove",
                              "delete from credentials where registry_id = $1 and username = $2"
                              " and password_name = $3",
                              "uuid text text" },
    /* The look first: an upsert locks the row even when it changes nothing, and every registry of
     * the region passes here. */
    [S_KEYS_PUT] = { "published_keys_put",
                     "insert into directory_keys (kid, public_pem, verifies_until)"
                     " select $1, $2, $3 where not exists (select 1 from directory_keys k"
                     " where k.kid = $1 and k.public_pem = $2 and k.verifies_until = $3)"
                     " on conflict (kid) do update set public_pem = excluded.public_pem,"
                     " verifies_until = excluded.verifies_until",
                     "text text timestamptz" },
    [S_KEYS_REMOVE] = { "published_keys_remove",
                        "delete from directory_keys where kid <> all ($1)", "text[]" },
    [S_SIZE] = { "published_size",
                 "select coalesce(sum(bytes), 0)::int8 from registry_usage where registry_id = $1",
                 "uuid" },
    [S_IDS] = { "published_ids",
                "select id from registries where published_at < now() - $1 * interval '1 s'"
                " order by id",
                "int8" },
    [S_DROP_TAGS] = { "published_drop_tags", DROP("tags", OF_REPOSITORY), "uuid int8" },
    [S_DROP_CHILDREN] = { "published_drop_children", DROP("manifest_children", OF_MANIFEST),
                          "uuid int8" },
    [S_DROP_MANIFEST_BLOBS] = { "published_drop_manifest_blobs",
                                DROP("manifest_blobs", OF_MANIFEST), "uuid int8" },
    [S_DROP_MANIFEST_ALIASES] = { "published_drop_manifest_aliases",
                                  DROP("manifest_aliases", OF_REPOSITORY), "uuid int8" },
    [S_DROP_MANIFESTS] = { "published_drop_manifests", DROP("manifests", OF_REPOSITORY),
                           "uuid int8" },
    [S_DROP_REPOSITORY_BLOBS] = { "published_drop_repository_blobs",
                                  DROP("repository_blobs", OF_REPOSITORY), "uuid int8" },
    [S_DROP_REPOSITORIES] = { "published_drop_repositories", DROP("repositories", OF_REGISTRY),
                              "uuid int8" },
    [S_DROP_BLOB_ALIASES] = { "published_drop_blob_aliases", DROP("blob_aliases", OF_REGISTRY),
                              "uuid int8" },
    [S_DROP_BLOBS] = { "published_drop_blobs", DROP("blobs", OF_REGISTRY), "uuid int8" },
    /* Queued by triggers of the deletes before. */
    [S_DROP_REVIEWS] = { "published_drop_reviews", DROP("blob_reviews", OF_REGISTRY),
                         "uuid int8" },
    [S_DROP_TOMBSTONES] = { "published_drop_tombstones", DROP("tombstones", OF_REGISTRY),
                            "uuid int8" },
    [S_DROP_GRANTS] = { "published_drop_grants", DROP("grants", OF_REGISTRY), "uuid int8" },
    [S_DROP_CREDENTIALS] = { "published_drop_credentials", DROP("credentials", OF_REGISTRY),
                             "uuid int8" },
    [S_DROP_SCOPE_MAPS] = { "published_drop_scope_maps", DROP("scope_maps", OF_REGISTRY),
                            "uuid int8" },
    [S_DROP_REGISTRY] = { "published_drop_registry",
                          "delete from registries where id = $1 and $2::int8 > 0", "uuid int8" },
    [S_COUNT] = { 0 },
};

/* A jsonb column as a value of the arena. */
static int get_json(struct arena *a, const struct pg_result *res, size_t row, size_t col,
                    struct json_object **ret, struct error *err)
{
    const char *text = pg_get_text(res, row, col);
    struct json_object *value = NULL;

    if (json_parse(text, strlen(text), JSON_MAX_BYTES, JSON_STRICT, &value, err))
        return wrap(err, "stored JSON");
    *ret = json_own(a, value);
    return 0;
}

int published_lock(struct pg_conn *conn, struct arena *a, const char *registry_id,
                   struct published_registry *ret, struct error *err)
{
    struct pg_result *res;

    if (PG_RUN(conn, a, &published_statements[S_LOCK], &res, err, pg_text(registry_id)))
        return -1;
    if (pg_rows(res) == 0)
        return 0;
    *ret = (struct published_registry){
        .id = pg_get_text(res, 0, 0),
        .name = pg_get_text(res, 0, 1),
        .login_server = pg_get_text(res, 0, 2),
        .generation = pg_get_int(res, 0, 3),
        .resource_generation = pg_get_int(res, 0, 4),
        .wrapped_signing_key = pg_get_text(res, 0, 6),
        .wrapped_data_key = pg_get_text(res, 0, 7),
    };
    return get_json(a, res, 0, 5, &ret->settings, err) ? -1 : 1;
}

static int write_registry(struct pg_conn *conn, struct arena *a, const struct pg_stmt *stmt,
                          const struct published_registry *r, int64_t *ret_rows,
                          struct error *err)
{
    struct pg_result *res;

    if (PG_RUN(conn, a, stmt, &res, err, pg_text(r->id), pg_text(r->name),
               pg_text(r->login_server), pg_int(r->resource_generation),
               pg_text(json_print(a, r->settings)), pg_text(r->wrapped_signing_key),
               pg_text(r->wrapped_data_key)))
        return -1;
    *ret_rows = pg_affected(res);
    return 0;
}

int published_insert(struct pg_conn *conn, struct arena *a, const struct published_registry *r,
                     struct error *err)
{
    int64_t rows;

    if (write_registry(conn, a, &published_statements[S_INSERT], r, &rows, err))
        return -1;
    return rows > 0;
}

int published_update(struct pg_conn *conn, struct arena *a, const struct published_registry *r,
                     struct error *err)
{
    int64_t rows;

    return write_registry(conn, a, &published_statements[S_UPDATE], r, &rows, err);
}

int published_rules_put(struct pg_conn *conn, struct arena *a, const char *registry_id,
                        int64_t resource_generation, const struct json_object *rules, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &published_statements[S_RULES], &r, err, pg_text(registry_id),
               pg_int(resource_generation), pg_text(json_print(a, rules))))
        return -1;
    return pg_affected(r) > 0;
}

int published_bump(struct pg_conn *conn, struct arena *a, const char *const *registry_ids,
                   size_t count, struct error *err)
{
    return PG_RUN(conn, a, &published_statements[S_BUMP], NULL, err,
                  pg_texts(registry_ids, count));
}

int published_credentials(struct pg_conn *conn, struct arena *a, const char *registry_id,
                          const char *kind, struct published_credential **ret, size_t *ret_count,
                          struct error *err)
{
    struct pg_result *res;

    if (PG_RUN(conn, a, &published_statements[S_CREDENTIALS], &res, err, pg_text(registry_id),
               pg_text(kind)))
        return -1;
    *ret_count = pg_rows(res);
    *ret = arena_array(a, *ret_count + 1, sizeof(**ret));
    for (size_t i = 0; i < *ret_count; i++) {
        (*ret)[i] = (struct published_credential){
            .username = pg_get_text(res, i, 0),
            .password_name = pg_get_text(res, i, 1),
            .hash = pg_get_text(res, i, 2),
        };
        if (get_json(a, res, i, 3, &(*ret)[i].permissions, err))
            return -1;
    }
    return 0;
}

int published_credential_put(struct pg_conn *conn, struct arena *a, const char *registry_id,
                             const char *kind, const struct published_credential *c,
                             struct error *err)
{
    return PG_RUN(conn, a, &published_statements[S_CREDENTIAL_PUT], NULL, err,
                  pg_text(registry_id), pg_text(c->username), pg_text(c->password_name),
                  pg_text(kind), pg_text(c->hash), pg_text(json_print(a, c->permissions)));
}

int published_credential_remove(struct pg_conn *conn, struct arena *a, const char *registry_id,
                                const char *username, const char *password_name,
                                struct error *err)
{
    return PG_RUN(conn, a, &published_statements[S_CREDENTIAL_REMOVE], NULL, err,
                  pg_text(registry_id), pg_text(username), pg_text(password_name));
}

int published_keys_replace(struct pg_conn *conn, struct arena *a,
                           const struct published_key *keys, size_t count, int64_t *ret_changed,
                           struct error *err)
{
    const char **kids = arena_array(a, count + 1, sizeof(*kids));
    struct pg_result *res;

    *ret_changed = 0;
    for (size_t i = 0; i < count; i++) {
        kids[i] = keys[i].kid;
        if (PG_RUN(conn, a, &published_statements[S_KEYS_PUT], &res, err, pg_text(keys[i].kid),
                   pg_text(keys[i].public_pem), pg_text(keys[i].verifies_until)))
            return -1;
        *ret_changed += pg_affected(res);
    }
    if (PG_RUN(conn, a, &published_statements[S_KEYS_REMOVE], &res, err, pg_texts(kids, count)))
        return -1;
    *ret_changed += pg_affected(res);
    return 0;
}

int published_size(struct pg_conn *conn, struct arena *a, const char *registry_id,
                   int64_t *ret_bytes, struct error *err)
{
    struct pg_result *res;

    if (PG_RUN(conn, a, &published_statements[S_SIZE], &res, err, pg_text(registry_id)))
        return -1;
    *ret_bytes = pg_get_int(res, 0, 0);
    return 0;
}

int published_ids(struct pg_conn *conn, struct arena *a, int64_t min_age_s, const char ***ret,
                  size_t *ret_count, struct error *err)
{
    struct pg_result *res;

    if (PG_RUN(conn, a, &published_statements[S_IDS], &res, err, pg_int(min_age_s)))
        return -1;
    *ret_count = pg_rows(res);
    *ret = arena_array(a, *ret_count + 1, sizeof(**ret));
    for (size_t i = 0; i < *ret_count; i++)
        (*ret)[i] = pg_get_text(res, i, 0);
    return 0;
}

/* References come before what they refer to. */
int published_drop(struct pg_conn *conn, struct arena *a, const char *registry_id, int64_t limit,
                   int64_t *ret_removed, struct error *err)
{
    struct pg_result *res;

    *ret_removed = 0;
    for (int s = S_DROP_TAGS; s <= S_DROP_REGISTRY && limit > *ret_removed; s++) {
        if (PG_RUN(conn, a, &published_statements[s], &res, err, pg_text(registry_id),
                   pg_int(limit - *ret_removed)))
            return -1;
        *ret_removed += pg_affected(res);
    }
    return 0;
}

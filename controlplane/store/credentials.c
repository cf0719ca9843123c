/* SQL of credentials and of grants under way: see directory.h. */
#include "controlplane/store/directory.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/pg/pg.h"

#include "controlplane/store/statements.h"

#define CREDENTIAL_ROWS                                                                            \
    " select s.id, 'Secret', s.display_name, s.hint, null::text, null::text, null::text,"          \
    " s.created_at, s.expires_at, coalesce(s.expires_at <= now(), false), null::text, null::text," \
    " null::text[] from principal_secrets s where s.principal_id in (select id from owner)"        \
    " union all select c.id, 'Certificate', c.display_name, null, c.thumbprint,"                   \
    " c.thumbprint_sha256, c.public_pem, c.starts_at, c.expires_at,"                               \
    " now() not between c.starts_at and c.expires_at, null, null, null"                            \
    " from certificates c where c.owner_id in (select id from owner)"                              \
    " union all select f.id, 'Federated', f.name, null, null, null, null, null, null, false,"      \
    " f.issuer, f.subject, f.audiences from federated_credentials f"                               \
    " where f.owner_id in (select id from owner) limit 200"
#define GRANT_COLUMNS                                                                              \
    "hash, kind, client_id, tenant_id, principal_id, user_code, audience, redirect_uri,"           \
    " challenge, nonce, state, expires_at <= now()"

enum {
    LIST,
    LIST_FOR,
    ADD_SECRET,
    ADD_CERTIFICATE,
    ADD_FEDERATED,
    REMOVE,
    GRANT_ADD,
    GRANT_GET,
    GRANT_MOVE,
    GRANT_DECIDE,
    GRANT_PRUNE,
};

const struct pg_stmt credential_statements[] = {
    [LIST] = { "credential_list", "with owner(id) as (select $1::uuid)" CREDENTIAL_ROWS, "uuid" },
    [LIST_FOR] = { "credential_list_for",
                   "with owner(id) as (select $1::uuid union select ap.object_id"
                   " from applications ap join principals p on p.app_id = ap.app_id"
                   " where p.object_id = $1)" CREDENTIAL_ROWS,
                   "uuid" },
    [ADD_SECRET] = { "credential_add_secret",
                     "insert into principal_secrets (id, principal_id, hash, hint, display_name,"
                     " expires_at) values ($1, $2, $3, $4, $5, $6)",
                     "uuid uuid text text text timestamptz" },
    [ADD_CERTIFICATE] = { "credential_add_certificate",
                          "insert into certificates (id, owner_id, thumbprint, thumbprint_sha256,"
                          " public_pem, display_name, starts_at, expires_at)"
                          " values ($1, $2, $3, $4, $5, $6, $7, $8)",
                          "uuid uuid text text text text timestamptz timestamptz" },
    [ADD_FEDERATED] = { "credential_add_federated",
                        "insert into federated_credentials (id, owner_id, name, issuer, subject,"
                        " audiences) values ($1, $2, $3, $4, $5, $6)",
                        "uuid uuid text text text text[]" },
    [REMOVE] = { "credential_remove",
                 "with s as (delete from principal_secrets where principal_id = $1 and id = $2"
                 " returning id), c as (delete from certificates where owner_id = $1 and id = $2"
                 " returning id), f as (delete from federated_credentials where owner_id = $1"
                 " and id = $2 returning id)"
                 " select id from s union all select id from c union all select id from f",
                 "uuid uuid" },
    [GRANT_ADD] = { "login_grant_add",
                    "insert into login_grants (hash, kind, client_id, tenant_id, principal_id,"
                    " user_code, audience, redirect_uri, challenge, nonce, state, expires_at)"
                    " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11,"
                    " now() + $12 * interval '1 second')",
                    "text text uuid uuid uuid text text text text text text int8" },
    [GRANT_GET] = { "login_grant_get",
                    "select " GRANT_COLUMNS " from login_grants where kind = $1 and hash = $2"
                    " for update",
                    "text text" },
    [GRANT_MOVE] = { "login_grant_move",
                     "update login_grants set state = $3 where hash = $1 and state = $2",
                     "text text text" },
    [GRANT_DECIDE] = { "login_grant_decide",
                       "update login_grants set state = $3, principal_id = $2"
                       " where user_code = $1 and kind = 'device' and state = 'pending'"
                       " and tenant_id = (select tenant_id from principals where object_id = $2)"
                       " and expires_at > now()",
                       "text uuid text" },
    [GRANT_PRUNE] = { "login_grant_prune",
                      "delete from login_grants where hash in (select hash from login_grants"
                      " where expires_at < now() - interval '1 hour' limit 1000)",
                      "" },
    { 0 },
};

static int list(struct pg_conn *conn, struct arena *a, const struct pg_stmt *stmt, const char *id,
                struct credential **ret, size_t *ret_count, struct error *err)
{
    struct pg_result *r = NULL;
    if (PG_RUN(conn, a, stmt, &r, err, pg_text(id)))
        return wrap(err, "read credentials");
    *ret_count = pg_rows(r);
    *ret = arena_array(a, *ret_count + 1, sizeof(**ret));
    for (size_t i = 0; i < *ret_count; i++) {
        struct credential *c = &(*ret)[i];
        *c = (struct credential){ .id = pg_get_text(r, i, 0),
                                  .kind = pg_get_text(r, i, 1),
                                  .display_name = pg_get_text(r, i, 2),
                                  .hint = pg_get_text(r, i, 3),
                                  .thumbprint = pg_get_text(r, i, 4),
                                  .thumbprint_sha256 = pg_get_text(r, i, 5),
                                  .public_pem = pg_get_text(r, i, 6),
                                  .starts_at = pg_get_text(r, i, 7),
                                  .expires_at = pg_get_text(r, i, 8),
                                  .is_expired = pg_get_bool(r, i, 9),
                                  .issuer = pg_get_text(r, i, 10),
                                  .subject = pg_get_text(r, i, 11) };
        c->audience_count = pg_get_texts(r, i, 12, &c->audiences);
    }
    return 0;
}

int credential_list(struct pg_conn *conn, struct arena *a, const char *owner_id,
                    struct credential **ret, size_t *ret_count, struct error *err)
{
    return list(conn, a, &credential_statements[LIST], owner_id, ret, ret_count, err);
}

int credential_list_for(struct pg_conn *conn, struct arena *a, const char *principal_id,
                        struct credential **ret, size_t *ret_count, struct error *err)
{
    return list(conn, a, &credential_statements[LIST_FOR], principal_id, ret, ret_count, err);
}

int credential_add_secret(struct pg_conn *conn, struct arena *a, const char *owner_id,
                          const struct credential *c, const char *hash, struct error *err)
{
    return PG_RUN(conn, a, &credential_statements[ADD_SECRET], NULL, err, pg_text(c->id),
                  pg_text(owner_id), pg_text(hash), pg_text(c->hint), pg_text(c->display_name),
                  pg_text(c->expires_at));
}

int credential_add_certificate(struct pg_conn *conn, struct arena *a, const char *owner_id,
                               const struct credential *c, struct error *err)
{
    return PG_RUN(conn, a, &credential_statements[ADD_CERTIFICATE], NULL, err, pg_text(c->id),
                  pg_text(owner_id), pg_text(c->thumbprint), pg_text(c->thumbprint_sha256),
                  pg_text(c->public_pem), pg_text(c->display_name), pg_text(c->starts_at),
                  pg_text(c->expires_at));
}

int credential_add_federated(struct pg_conn *conn, struct arena *a, const char *owner_id,
                             const struct credential *c, struct error *err)
{
    return PG_RUN(conn, a, &credential_statements[ADD_FEDERATED], NULL, err, pg_text(c->id),
                  pg_text(owner_id), pg_text(c->display_name), pg_text(c->issuer),
                  pg_text(c->subject), pg_texts(c->audiences, c->audience_count));
}

int credential_remove(struct pg_conn *conn, struct arena *a, const char *owner_id, const char *id,
                      struct error *err)
{
    struct pg_result *r = NULL;
    if (PG_RUN(conn, a, &credential_statements[REMOVE], &r, err, pg_text(owner_id), pg_text(id)))
        return wrap(err, "remove credential");
    return pg_rows(r) > 0;
}

int login_grant_add(struct pg_conn *conn, struct arena *a, const struct login_grant *g,
                    struct error *err)
{
    return PG_RUN(conn, a, &credential_statements[GRANT_ADD], NULL, err, pg_text(g->hash),
                  pg_text(g->kind), pg_text(g->client_id), pg_text(g->tenant_id),
                  pg_text(g->principal_id), pg_text(g->user_code), pg_text(g->audience),
                  pg_text(g->redirect_uri), pg_text(g->challenge), pg_text(g->nonce),
                  pg_text(g->state), pg_int(g->life_s));
}

int login_grant_get(struct pg_conn *conn, struct arena *a, const char *kind, const char *hash,
                    struct login_grant *ret, struct error *err)
{
    struct pg_result *r = NULL;
    if (PG_RUN(conn, a, &credential_statements[GRANT_GET], &r, err, pg_text(kind), pg_text(hash)))
        return wrap(err, "read a grant");
    if (pg_rows(r) == 0)
        return 0;
    *ret = (struct login_grant){ .hash = pg_get_text(r, 0, 0),
                                 .kind = pg_get_text(r, 0, 1),
                                 .client_id = pg_get_text(r, 0, 2),
                                 .tenant_id = pg_get_text(r, 0, 3),
                                 .principal_id = pg_get_text(r, 0, 4),
                                 .user_code = pg_get_text(r, 0, 5),
                                 .audience = pg_get_text(r, 0, 6),
                                 .redirect_uri = pg_get_text(r, 0, 7),
                                 .challenge = pg_get_text(r, 0, 8),
                                 .nonce = pg_get_text(r, 0, 9),
                                 .state = pg_get_text(r, 0, 10),
                                 .is_expired = pg_get_bool(r, 0, 11) };
    return 1;
}

static int changed(const struct pg_result *r)
{
    return pg_affected(r) > 0 ? 1 : 0;
}

int login_grant_move(struct pg_conn *conn, struct arena *a, const char *hash, const char *from,
                     const char *to, struct error *err)
{
    struct pg_result *r = NULL;
    if (PG_RUN(conn, a, &credential_statements[GRANT_MOVE], &r, err, pg_text(hash), pg_text(from),
               pg_text(to)))
        return wrap(err, "use a grant");
    return changed(r);
}

int login_grant_decide(struct pg_conn *conn, struct arena *a, const char *user_code,
                       const char *principal_id, const char *state, struct error *err)
{
    struct pg_result *r = NULL;
    if (PG_RUN(conn, a, &credential_statements[GRANT_DECIDE], &r, err, pg_text(user_code),
               pg_text(principal_id), pg_text(state)))
        return wrap(err, "decide on a device");
    return changed(r);
}

int login_grant_prune(struct pg_conn *conn, struct arena *a, struct error *err)
{
    return PG_RUN0(conn, a, &credential_statements[GRANT_PRUNE], NULL, err);
}

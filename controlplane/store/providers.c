/* SQL of other OpenID providers and their people: see the header. */
#include "controlplane/store/providers.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/pg/pg.h"

#include "controlplane/store/statements.h"

enum {
    PROVIDERS,
    PROVIDER_INSERT,
    PROVIDER_UPDATE,
    PROVIDER_DELETE,
    IDENTITIES,
    IDENTITIES_DROP,
    IDENTITIES_ADD,
    BY_IDENTITY,
    EXTERNAL_ADD,
    EXTERNAL_GET,
    EXTERNAL_KNOWN,
    EXTERNAL_SPEND,
};

const struct pg_stmt provider_statements[] = {
    [PROVIDERS] = { "providers",
                    "select id, tenant_id, display_name, issuer, client_id, wrapped_secret, scope"
                    " from identity_providers where tenant_id = $1 and ($2::uuid is null or id = $2)"
                    " order by display_name, id",
                    "uuid uuid" },
    [PROVIDER_INSERT] = { "provider_insert",
                          "insert into identity_providers (id, tenant_id, display_name, issuer,"
                          " client_id, wrapped_secret, scope) values ($1, $2, $3, $4, $5, $6, $7)",
                          "uuid uuid text text text text text" },
    [PROVIDER_UPDATE] = { "provider_update",
                          "update identity_providers set display_name = $3, client_id = $4,"
                          " wrapped_secret = $5, scope = $6 where id = $1 and tenant_id = $2",
                          "uuid uuid text text text text" },
    [PROVIDER_DELETE] = { "provider_delete",
                          "delete from identity_providers where tenant_id = $1 and id = $2",
                          "uuid uuid" },
    [IDENTITIES] = { "user_identities",
                     "select issuer, subject from user_identities where principal_id = $1"
                     " order by issuer, subject",
                     "uuid" },
    [IDENTITIES_DROP] = { "user_identities_drop",
                          "delete from user_identities where principal_id = $1 and not exists"
                          " (select from unnest($2::text[], $3::text[]) k (issuer, subject)"
                          " where k.issuer = user_identities.issuer"
                          " and k.subject = user_identities.subject)",
                          "uuid text[] text[]" },
    [IDENTITIES_ADD] = { "user_identities_add",
                         "insert into user_identities (tenant_id, issuer, subject, principal_id)"
                         " select p.tenant_id, p.issuer, k.subject, $2"
                         " from unnest($3::text[], $4::text[]) k (issuer, subject)"
                         " join identity_providers p on p.tenant_id = $1 and p.issuer = k.issuer"
                         " where not exists (select from user_identities u where u.principal_id = $2"
                         " and u.issuer = k.issuer and u.subject = k.subject)",
                         "uuid uuid text[] text[]" },
    [BY_IDENTITY] = { "user_by_identity",
                      "select principal_id from user_identities where tenant_id = $1"
                      " and issuer = $2 and subject = $3",
                      "uuid text text" },
    [EXTERNAL_ADD] = { "external_add",
                       "with gone as (delete from external_sign_ins where expires_at < now())"
                       " insert into external_sign_ins (hash, provider_id, target, user_code,"
                       " expires_at) values ($1, $2, $3, $4, now() + make_interval(secs => $5))",
                       "text uuid text text int8" },
    [EXTERNAL_GET] = { "external_get",
                       "select provider_id, target, user_code from external_sign_ins"
                       " where hash = $1 and principal_id is null and expires_at > now()",
                       "text" },
    [EXTERNAL_KNOWN] = { "external_known",
                         "update external_sign_ins set principal_id = $2"
                         " where hash = $1 and principal_id is null and expires_at > now()",
                         "text uuid" },
    [EXTERNAL_SPEND] = { "external_spend",
                         "delete from external_sign_ins where hash = $1 and target = $2"
                         " and principal_id is not null and expires_at > now()"
                         " returning principal_id",
                         "text text" },
    { 0 },
};

char *provider_context(struct arena *a, const char *id)
{
    return arena_printf(a, "identity-provider/%s", id);
}

int provider_list(struct pg_conn *conn, struct arena *a, const char *tenant_id, const char *id,
                  struct provider **ret, size_t *ret_count, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &provider_statements[PROVIDERS], &r, err, pg_text(tenant_id), pg_text(id)))
        return wrap(err, "list identity providers");
    *ret_count = pg_rows(r);
    *ret = arena_array(a, *ret_count + 1, sizeof(**ret));
    for (size_t i = 0; i < *ret_count; i++)
        (*ret)[i] = (struct provider){ .id = pg_get_text(r, i, 0),
                                       .tenant_id = pg_get_text(r, i, 1),
                                       .display_name = pg_get_text(r, i, 2),
                                       .issuer = pg_get_text(r, i, 3),
                                       .client_id = pg_get_text(r, i, 4),
                                       .wrapped_secret = pg_get_text(r, i, 5),
                                       .scope = pg_get_text(r, i, 6) };
    return 0;
}

int provider_insert(struct pg_conn *conn, struct arena *a, const struct provider *p,
                    struct error *err)
{
    return PG_RUN(conn, a, &provider_statements[PROVIDER_INSERT], NULL, err, pg_text(p->id),
                  pg_text(p->tenant_id), pg_text(p->display_name), pg_text(p->issuer),
                  pg_text(p->client_id), pg_text(p->wrapped_secret), pg_text(p->scope));
}

int provider_update(struct pg_conn *conn, struct arena *a, const struct provider *p,
                    struct error *err)
{
    return PG_RUN(conn, a, &provider_statements[PROVIDER_UPDATE], NULL, err, pg_text(p->id),
                  pg_text(p->tenant_id), pg_text(p->display_name), pg_text(p->client_id),
                  pg_text(p->wrapped_secret), pg_text(p->scope));
}

static int changed(struct pg_conn *conn, struct arena *a, int statement, const char *first,
                   const char *second, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &provider_statements[statement], &r, err, pg_text(first), pg_text(second)))
        return -1;
    return pg_affected(r) > 0 ? 1 : 0;
}

int provider_delete(struct pg_conn *conn, struct arena *a, const char *tenant_id, const char *id,
                    struct error *err)
{
    return changed(conn, a, PROVIDER_DELETE, tenant_id, id, err);
}

int user_identities(struct pg_conn *conn, struct arena *a, const char *principal_id,
                    struct user_identity **ret, size_t *ret_count, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &provider_statements[IDENTITIES], &r, err, pg_text(principal_id)))
        return wrap(err, "list identities of a user");
    *ret_count = pg_rows(r);
    *ret = arena_array(a, *ret_count + 1, sizeof(**ret));
    for (size_t i = 0; i < *ret_count; i++)
        (*ret)[i] = (struct user_identity){ pg_get_text(r, i, 0), pg_get_text(r, i, 1) };
    return 0;
}

int user_identities_set(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                        const char *principal_id, const struct user_identity *list, size_t count,
                        struct error *err)
{
    const char **issuers = arena_array(a, count + 1, sizeof(char *));
    const char **subjects = arena_array(a, count + 1, sizeof(char *));
    struct user_identity *now = NULL;
    size_t now_count = 0;

    for (size_t i = 0; i < count; i++) {
        issuers[i] = list[i].issuer;
        subjects[i] = list[i].subject;
    }
    if (PG_RUN(conn, a, &provider_statements[IDENTITIES_DROP], NULL, err, pg_text(principal_id),
               pg_texts(issuers, count), pg_texts(subjects, count)) ||
        PG_RUN(conn, a, &provider_statements[IDENTITIES_ADD], NULL, err, pg_text(tenant_id),
               pg_text(principal_id), pg_texts(issuers, count), pg_texts(subjects, count)) ||
        user_identities(conn, a, principal_id, &now, &now_count, err))
        return -1;
    if (now_count != count)
        return fail(err, &E_INVALID, "An identity's issuer is none of the identity providers'.");
    return 0;
}

int user_by_identity(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                     const struct user_identity *who, const char **ret_principal_id,
                     struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &provider_statements[BY_IDENTITY], &r, err, pg_text(tenant_id),
               pg_text(who->issuer), pg_text(who->subject)))
        return wrap(err, "find a user by identity");
    if (pg_rows(r) == 0)
        return 0;
    *ret_principal_id = pg_get_text(r, 0, 0);
    return 1;
}

int external_add(struct pg_conn *conn, struct arena *a, const struct external_sign_in *s,
                 int64_t life_s, struct error *err)
{
    return PG_RUN(conn, a, &provider_statements[EXTERNAL_ADD], NULL, err, pg_text(s->hash),
                  pg_text(s->provider_id), pg_text(s->target), pg_text(s->user_code),
                  pg_int(life_s));
}

int external_get(struct pg_conn *conn, struct arena *a, const char *hash,
                 struct external_sign_in *ret, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &provider_statements[EXTERNAL_GET], &r, err, pg_text(hash)))
        return wrap(err, "read a sign-in at a provider");
    if (pg_rows(r) == 0)
        return 0;
    *ret = (struct external_sign_in){ .hash = hash,
                                      .provider_id = pg_get_text(r, 0, 0),
                                      .target = pg_get_text(r, 0, 1),
                                      .user_code = pg_get_text(r, 0, 2) };
    return 1;
}

int external_known(struct pg_conn *conn, struct arena *a, const char *hash,
                   const char *principal_id, struct error *err)
{
    return changed(conn, a, EXTERNAL_KNOWN, hash, principal_id, err);
}

int external_spend(struct pg_conn *conn, struct arena *a, const char *hash, const char *target,
                   const char **ret_principal_id, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &provider_statements[EXTERNAL_SPEND], &r, err, pg_text(hash),
               pg_text(target)))
        return wrap(err, "spend a sign-in at a provider");
    if (pg_rows(r) == 0)
        return 0;
    *ret_principal_id = pg_get_text(r, 0, 0);
    return 1;
}

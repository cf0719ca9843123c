/* SQL of the directory: see the header. */
#include "controlplane/store/identity.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/pg/pg.h"

#define PRINCIPAL_COLUMNS "object_id, tenant_id, kind, app_id, display_name, is_enabled"
#define ASSIGNMENT_COLUMNS                                                                         \
    "ra.role_definition_id, ra.scope_key, ra.condition, ra.tenant_id, rd.id is not null,"          \
    " rd.actions, rd.not_actions, rd.data_actions, rd.not_data_actions"
#define WITH_ROLE                                                                                  \
    " left join role_definitions rd on rd.id = ra.role_definition_id"                              \
    " and rd.tenant_id = ra.tenant_id"

/* Any number nobody else locks; "identity" in ASCII. */
#define DIRECTORY_LOCK 0x6964656e74697479

enum {
    TENANT,
    FIRST_TENANT,
    ADD_TENANT,
    ADD_SUBSCRIPTION,
    SUBSCRIPTIONS,
    PRINCIPAL,
    PRINCIPAL_BY_APP,
    ADD_PRINCIPAL,
    SECRETS,
    ADD_SECRET,
    KEYS,
    HAS_KEY_FOR,
    ADD_KEY,
    PRUNE_KEYS,
    LOCK,
    ASSIGNMENTS_OF,
    ASSIGNMENTS_AT,
    ADD_ASSIGNMENT,
};

const struct pg_stmt identity_statements[] = {
    [TENANT] = { "identity_tenant",
                 "select id, display_name, default_domain from tenants"
                 " where id::text = lower($1) or lower(default_domain) = lower($1) limit 1",
                 "text" },
    [FIRST_TENANT] = { "identity_first_tenant",
                       "select id, display_name, default_domain from tenants"
                       " order by created_at, id limit 1",
                       "" },
    [ADD_TENANT] = { "identity_add_tenant",
                     "insert into tenants (id, display_name, default_domain) values ($1, $2, $3)",
                     "uuid text text" },
    [ADD_SUBSCRIPTION] = { "identity_add_subscription",
                           "insert into subscriptions (id, tenant_id, display_name)"
                           " values ($1, $2, $3)",
                           "uuid uuid text" },
    [SUBSCRIPTIONS] = { "identity_subscriptions",
                        "select array(select id from subscriptions where tenant_id = $1"
                        " order by id)",
                        "uuid" },
    [PRINCIPAL] = { "identity_principal",
                    "select " PRINCIPAL_COLUMNS " from principals where object_id = $1", "uuid" },
    [PRINCIPAL_BY_APP] = { "identity_principal_by_app",
                           "select " PRINCIPAL_COLUMNS " from principals where app_id = $1",
                           "uuid" },
    [ADD_PRINCIPAL] = { "identity_add_principal",
                        "insert into principals (object_id, tenant_id, kind, app_id, display_name,"
                        " is_enabled) values ($1, $2, $3, $4, $5, $6)",
                        "uuid uuid text uuid text bool" },
    [SECRETS] = { "identity_secrets",
                  "select hash, coalesce(expires_at <= now(), false) from principal_secrets"
                  " where principal_id = $1 or principal_id in (select ap.object_id"
                  " from applications ap join principals p on p.app_id = ap.app_id"
                  " where p.object_id = $1) order by created_at desc, id limit 50",
                  "uuid" },
    [ADD_SECRET] = { "identity_add_secret",
                     "insert into principal_secrets (id, principal_id, hash, hint, expires_at)"
                     " values ($1, $2, $3, $4, $5)",
                     "uuid uuid text text timestamptz" },
    [KEYS] = { "identity_keys",
               "select kid, wrapped_private, public_pem, verifies_until, created_at, signs_until"
               " from signing_keys where verifies_until > now() order by created_at desc, kid",
               "" },
    [HAS_KEY_FOR] = { "identity_has_key_for",
                      "select 1 from signing_keys"
                      " where signs_until > now() + $1 * interval '1 second' limit 1",
                      "int8" },
    [ADD_KEY] = { "identity_add_key",
                  "insert into signing_keys (kid, wrapped_private, public_pem, signs_until,"
                  " verifies_until) values ($1, $2, $3, now() + $4 * interval '1 second',"
                  " now() + $5 * interval '1 second')",
                  "text text text int8 int8" },
    [PRUNE_KEYS] = { "identity_prune_keys",
                     "delete from signing_keys where verifies_until < now() - interval '1 day'",
                     "" },
    [LOCK] = { "identity_lock", "select pg_advisory_xact_lock($1)", "int8" },
    [ASSIGNMENTS_OF] = { "identity_assignments_of",
                         "with recursive who(id) as (select $1::uuid union"
                         " select g.group_id from group_members g join who w on g.member_id = w.id)"
                         " select ra.principal_id, " ASSIGNMENT_COLUMNS
                         " from role_assignments ra" WITH_ROLE
                         " where ra.principal_id in (select id from who)"
                         " order by ra.scope_key, ra.id",
                         "uuid" },
    [ASSIGNMENTS_AT] = { "identity_assignments_at",
                         "with recursive who(assigned, id) as ("
                         " select distinct principal_id, principal_id from role_assignments"
                         " where scope_key = any ($1) union"
                         " select w.assigned, g.member_id from group_members g"
                         " join who w on g.group_id = w.id)"
                         " select p.object_id, " ASSIGNMENT_COLUMNS " from role_assignments ra"
                         " join who w on w.assigned = ra.principal_id"
                         " join principals p on p.object_id = w.id and p.is_enabled"
                         " and p.kind <> 'Group'"
                         " join subscriptions s on s.id = $2 and s.tenant_id = ra.tenant_id"
                         " and s.tenant_id = p.tenant_id" WITH_ROLE
                         " where ra.scope_key = any ($1)"
                         " order by p.object_id, ra.scope_key, ra.id",
                         "text[] uuid" },
    [ADD_ASSIGNMENT] = { "identity_add_assignment",
                         "insert into role_assignments (id, scope, scope_key, tenant_id,"
                         " role_definition_id, principal_id, principal_type, created_by,"
                         " updated_by) values ($1, $2, rtrim(lower($2), '/'), $3, $4, $5, $6, $7,"
                         " $7) on conflict do nothing",
                         "uuid text uuid uuid uuid text text" },
    { 0 },
};

static int read_tenant(const struct pg_result *r, struct tenant_row *ret)
{
    if (pg_rows(r) == 0)
        return 0;
    *ret = (struct tenant_row){ .id = pg_get_text(r, 0, 0),
                                .display_name = pg_get_text(r, 0, 1),
                                .default_domain = pg_get_text(r, 0, 2) };
    return 1;
}

int identity_tenant(struct pg_conn *conn, struct arena *a, const char *id_or_domain,
                    struct tenant_row *ret, struct error *err)
{
    struct pg_result *r = NULL;
    if (PG_RUN(conn, a, &identity_statements[TENANT], &r, err, pg_text(id_or_domain)))
        return wrap(err, "read tenant");
    return read_tenant(r, ret);
}

int identity_first_tenant(struct pg_conn *conn, struct arena *a, struct tenant_row *ret,
                          struct error *err)
{
    struct pg_result *r = NULL;
    if (PG_RUN0(conn, a, &identity_statements[FIRST_TENANT], &r, err))
        return wrap(err, "read the first tenant");
    return read_tenant(r, ret);
}

int identity_add_tenant(struct pg_conn *conn, struct arena *a, const struct tenant_row *tenant,
                        struct error *err)
{
    return PG_RUN(conn, a, &identity_statements[ADD_TENANT], NULL, err, pg_text(tenant->id),
                  pg_text(tenant->display_name), pg_text(tenant->default_domain));
}

int identity_add_subscription(struct pg_conn *conn, struct arena *a, const char *id,
                              const char *tenant_id, const char *display_name, struct error *err)
{
    return PG_RUN(conn, a, &identity_statements[ADD_SUBSCRIPTION], NULL, err, pg_text(id),
                  pg_text(tenant_id), pg_text(display_name));
}

int identity_subscriptions(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                           const char ***ret_ids, size_t *ret_count, struct error *err)
{
    struct pg_result *r = NULL;
    if (PG_RUN(conn, a, &identity_statements[SUBSCRIPTIONS], &r, err, pg_text(tenant_id)))
        return wrap(err, "read the subscriptions of a tenant");
    *ret_count = pg_get_texts(r, 0, 0, ret_ids);
    return 0;
}

static int read_principal(const struct pg_result *r, struct principal_row *ret)
{
    if (pg_rows(r) == 0)
        return 0;
    *ret = (struct principal_row){ .object_id = pg_get_text(r, 0, 0),
                                   .tenant_id = pg_get_text(r, 0, 1),
                                   .kind = pg_get_text(r, 0, 2),
                                   .app_id = pg_get_text(r, 0, 3),
                                   .display_name = pg_get_text(r, 0, 4),
                                   .is_enabled = pg_get_bool(r, 0, 5) };
    return 1;
}

int identity_principal(struct pg_conn *conn, struct arena *a, const char *object_id,
                       struct principal_row *ret, struct error *err)
{
    struct pg_result *r = NULL;
    if (PG_RUN(conn, a, &identity_statements[PRINCIPAL], &r, err, pg_text(object_id)))
        return wrap(err, "read principal");
    return read_principal(r, ret);
}

int identity_principal_by_app(struct pg_conn *conn, struct arena *a, const char *app_id,
                              struct principal_row *ret, struct error *err)
{
    struct pg_result *r = NULL;
    if (PG_RUN(conn, a, &identity_statements[PRINCIPAL_BY_APP], &r, err, pg_text(app_id)))
        return wrap(err, "read principal by application");
    return read_principal(r, ret);
}

int identity_add_principal(struct pg_conn *conn, struct arena *a,
                           const struct principal_row *principal, struct error *err)
{
    return PG_RUN(conn, a, &identity_statements[ADD_PRINCIPAL], NULL, err,
                  pg_text(principal->object_id), pg_text(principal->tenant_id),
                  pg_text(principal->kind), pg_text(principal->app_id),
                  pg_text(principal->display_name), pg_bool(principal->is_enabled));
}

int identity_secrets(struct pg_conn *conn, struct arena *a, const char *principal_id,
                     struct secret_row **ret, size_t *ret_count, struct error *err)
{
    struct pg_result *r = NULL;
    if (PG_RUN(conn, a, &identity_statements[SECRETS], &r, err, pg_text(principal_id)))
        return wrap(err, "read secrets");
    *ret_count = pg_rows(r);
    *ret = arena_array(a, *ret_count + 1, sizeof(**ret));
    for (size_t i = 0; i < *ret_count; i++)
        (*ret)[i] =
            (struct secret_row){ .hash = pg_get_text(r, i, 0), .is_expired = pg_get_bool(r, i, 1) };
    return 0;
}

int identity_add_secret(struct pg_conn *conn, struct arena *a, const char *id,
                        const char *principal_id, const char *hash, const char *hint,
                        const char *expires_at, struct error *err)
{
    return PG_RUN(conn, a, &identity_statements[ADD_SECRET], NULL, err, pg_text(id),
                  pg_text(principal_id), pg_text(hash), pg_text(hint), pg_text(expires_at));
}

int identity_keys(struct pg_conn *conn, struct arena *a, struct signing_key_row **ret,
                  size_t *ret_count, struct error *err)
{
    struct pg_result *r = NULL;
    if (PG_RUN0(conn, a, &identity_statements[KEYS], &r, err))
        return wrap(err, "read signing keys");
    *ret_count = pg_rows(r);
    *ret = arena_array(a, *ret_count + 1, sizeof(**ret));
    for (size_t i = 0; i < *ret_count; i++)
        (*ret)[i] = (struct signing_key_row){ .kid = pg_get_text(r, i, 0),
                                              .wrapped_private = pg_get_text(r, i, 1),
                                              .public_pem = pg_get_text(r, i, 2),
                                              .verifies_until = pg_get_text(r, i, 3),
                                              .verifies_until_us = pg_get_time_us(r, i, 3),
                                              .created_us = pg_get_time_us(r, i, 4),
                                              .signs_until_us = pg_get_time_us(r, i, 5) };
    return 0;
}

int identity_has_key_for(struct pg_conn *conn, struct arena *a, int64_t margin_s, struct error *err)
{
    struct pg_result *r = NULL;
    if (PG_RUN(conn, a, &identity_statements[HAS_KEY_FOR], &r, err, pg_int(margin_s)))
        return wrap(err, "look for a signing key");
    return pg_rows(r) > 0;
}

int identity_add_key(struct pg_conn *conn, struct arena *a, const char *kid,
                     const char *wrapped_private, const char *public_pem, int64_t signs_s,
                     int64_t verifies_s, struct error *err)
{
    return PG_RUN(conn, a, &identity_statements[ADD_KEY], NULL, err, pg_text(kid),
                  pg_text(wrapped_private), pg_text(public_pem), pg_int(signs_s),
                  pg_int(verifies_s));
}

int identity_prune_keys(struct pg_conn *conn, struct arena *a, struct error *err)
{
    return PG_RUN0(conn, a, &identity_statements[PRUNE_KEYS], NULL, err);
}

int identity_lock(struct pg_conn *conn, struct arena *a, struct error *err)
{
    return PG_RUN(conn, a, &identity_statements[LOCK], NULL, err, pg_int(DIRECTORY_LOCK));
}

/* Ended by NULL. */
static const char *const *read_list(const struct pg_result *r, struct arena *a, size_t row,
                                    size_t col)
{
    const char **items = NULL;
    size_t count = pg_get_texts(r, row, col, &items);
    const char **list = arena_array(a, count + 1, sizeof(char *));
    for (size_t i = 0; i < count; i++)
        list[i] = items[i];
    return list;
}

static void read_assignments(const struct pg_result *r, struct arena *a,
                             struct assignment_row **ret, size_t *ret_count)
{
    *ret_count = pg_rows(r);
    *ret = arena_array(a, *ret_count + 1, sizeof(**ret));
    for (size_t i = 0; i < *ret_count; i++) {
        struct assignment_row *row = &(*ret)[i];
        *row = (struct assignment_row){ .principal_id = pg_get_text(r, i, 0),
                                        .role_definition_id = pg_get_text(r, i, 1),
                                        .scope_key = pg_get_text(r, i, 2),
                                        .condition = pg_get_text(r, i, 3),
                                        .tenant_id = pg_get_text(r, i, 4),
                                        .is_custom = pg_get_bool(r, i, 5) };
        for (size_t n = 0; row->is_custom && n < ROLE_LISTS; n++)
            row->patterns[n] = read_list(r, a, i, 6 + n);
    }
}

int identity_assignments_of(struct pg_conn *conn, struct arena *a, const char *principal_id,
                            struct assignment_row **ret, size_t *ret_count, struct error *err)
{
    struct pg_result *r = NULL;
    if (PG_RUN(conn, a, &identity_statements[ASSIGNMENTS_OF], &r, err, pg_text(principal_id)))
        return wrap(err, "read role assignments of a principal");
    read_assignments(r, a, ret, ret_count);
    return 0;
}

int identity_assignments_at(struct pg_conn *conn, struct arena *a, const char *const *scope_keys,
                            size_t scope_count, const char *subscription_id,
                            struct assignment_row **ret, size_t *ret_count, struct error *err)
{
    struct pg_result *r = NULL;
    if (PG_RUN(conn, a, &identity_statements[ASSIGNMENTS_AT], &r, err,
               pg_texts(scope_keys, scope_count), pg_text(subscription_id)))
        return wrap(err, "read role assignments of a scope");
    read_assignments(r, a, ret, ret_count);
    return 0;
}

int identity_add_assignment(struct pg_conn *conn, struct arena *a,
                            const struct assignment_new *assignment, struct error *err)
{
    return PG_RUN(conn, a, &identity_statements[ADD_ASSIGNMENT], NULL, err, pg_text(assignment->id),
                  pg_text(assignment->scope), pg_text(assignment->tenant_id),
                  pg_text(assignment->role_definition_id), pg_text(assignment->principal_id),
                  pg_text(assignment->principal_type), pg_text(assignment->created_by));
}

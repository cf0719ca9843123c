/* Subscriptions, tenants, provider registrations: see the header. */
#include "controlplane/store/subscriptions.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/pg/pg.h"

#include "controlplane/store/statements.h"

enum { GET, LIST, TENANT, SET_PROVIDER };

#define SUBSCRIPTION_COLUMNS                                                                       \
    "s.id, s.tenant_id, s.display_name, s.state, array(select p.namespace_key "                    \
    "from provider_registrations p where p.subscription_id = s.id and p.state = 'NotRegistered')"

const struct pg_stmt subscriptions_statements[] = {
    [GET] = { "subscription_get",
              "select " SUBSCRIPTION_COLUMNS " from subscriptions s where s.id = $1", "uuid" },
    [LIST] = { "subscription_list",
               "select " SUBSCRIPTION_COLUMNS " from subscriptions s where s.tenant_id = $1 "
               "order by s.display_name, s.id",
               "uuid" },
    [TENANT] = { "tenant_get",
                 "select id, display_name, default_domain from tenants where id = $1", "uuid" },
    [SET_PROVIDER] = { "provider_set",
                       "insert into provider_registrations (subscription_id, namespace_key, state) "
                       "values ($1, $2, case when $3 then 'Registered' else 'NotRegistered' end) "
                       "on conflict (subscription_id, namespace_key) "
                       "do update set state = excluded.state",
                       "uuid text bool" },
    { 0 },
};

static void read_row(const struct pg_result *r, size_t row, struct subscription *ret)
{
    *ret = (struct subscription){
        .id = pg_get_text(r, row, 0),
        .tenant_id = pg_get_text(r, row, 1),
        .display_name = pg_get_text(r, row, 2),
        .state = pg_get_text(r, row, 3),
    };
    ret->unregistered_count = pg_get_texts(r, row, 4, &ret->unregistered);
}

int subscription_get(struct pg_conn *conn, struct arena *a, const char *id,
                     struct subscription *ret, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &subscriptions_statements[GET], &r, err, pg_text(id)))
        return wrap(err, "read subscription");
    if (pg_rows(r) == 0)
        return 0;
    read_row(r, 0, ret);
    return 1;
}

int subscription_list(struct pg_conn *conn, struct arena *a, const char *tenant_id,
                      struct subscription **ret, size_t *ret_count, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &subscriptions_statements[LIST], &r, err, pg_text(tenant_id)))
        return wrap(err, "list subscriptions");
    *ret_count = pg_rows(r);
    *ret = arena_array(a, *ret_count ? *ret_count : 1, sizeof(**ret));
    for (size_t i = 0; i < *ret_count; i++)
        read_row(r, i, &(*ret)[i]);
    return 0;
}

int tenant_get(struct pg_conn *conn, struct arena *a, const char *id, struct tenant *ret,
               struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &subscriptions_statements[TENANT], &r, err, pg_text(id)))
        return wrap(err, "read tenant");
    if (pg_rows(r) == 0)
        return 0;
    *ret = (struct tenant){
        .id = pg_get_text(r, 0, 0),
        .display_name = pg_get_text(r, 0, 1),
        .default_domain = pg_get_text(r, 0, 2),
    };
    return 1;
}

int provider_set(struct pg_conn *conn, struct arena *a, const char *subscription_id,
                 const char *namespace_key, bool is_registered, struct error *err)
{
    if (PG_RUN(conn, a, &subscriptions_statements[SET_PROVIDER], NULL, err,
               pg_text(subscription_id), pg_text(namespace_key), pg_bool(is_registered)))
        return wrap(err, "set provider registration");
    return 0;
}

bool subscription_is_registered(const struct subscription *s, const char *namespace_key)
{
    for (size_t i = 0; i < s->unregistered_count; i++) {
        if (text_eq_nocase(s->unregistered[i], namespace_key))
            return false;
    }
    return true;
}

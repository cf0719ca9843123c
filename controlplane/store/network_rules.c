/* What network rules rest on: the network views of migration 0006, and who names which subnet. '0' follows
 * '/' in the order of bytes. */
#include "controlplane/store/network_rules.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/store/related.h"
#include "controlplane/store/resources.h"
#include "controlplane/store/statements.h"

#define BODY_MAX ((size_t)16 * 1024 * 1024)

enum { S_LINKS, S_WRITTEN, S_SUBNETS, S_SERVICES, S_NAMING, S_NAMED_PUT, S_WAKE, S_NOTIFY };

const struct pg_stmt network_rules_statements[] = {
    [S_LINKS] = { "rules_links",
                  "select e.id, l.link::text, l.registry_uid::text from private_links l"
                  " join resources e on e.uid = l.endpoint_uid and e.state <> 'Deleting'"
                  " where l.registry_uid = any ($1) and l.state = 'Approved' order by 2",
                  "uuid[]" },
    [S_WRITTEN] = { "rules_written",
                    "select uid::text, generation, jsonb_build_object('properties',"
                    " jsonb_build_object('networkRuleSet',"
                    " coalesce(body #> '{properties,networkRuleSet}', '{}')))"
                    " from resources where uid = any ($1)",
                    "uuid[]" },
    [S_SUBNETS] = { "rules_subnets",
                    "select distinct subnet_key, subnet_uid::text from network_subnets"
                    " where subnet_key = any ($1) and has_registry_endpoint order by 1",
                    "text[]" },
    /* A managed identity's object id is the uid of its resource. */
    [S_SERVICES] = { "rules_services",
                     "select p.object_id::text, r.type_key from principals p"
                     " join resources r on r.uid = p.object_id"
                     " where p.object_id::text = any ($1) and p.kind = 'ManagedIdentity'"
                     " and r.type_key like 'microsoft.containerregistry/registries%' order by 1",
                     "text[]" },
    [S_NAMING] = { "rules_naming",
                   "select uid::text, key, subscription_id::text, location from resources"
                   " where uid = any (array(select registry_uid from rule_subnets"
                   " where subnet_key = $1 union all select registry_uid from rule_subnets"
                   " where subnet_key >= $1 || '/' and subnet_key < $1 || '0'))"
                   " and state <> 'Deleting' and key > $2 order by key limit $3",
                   "text text int8" },
    [S_NAMED_PUT] = { "rules_named_put",
                      "with gone as (delete from rule_subnets where registry_uid = $1"
                      " and subnet_key <> all ($2))"
                      " insert into rule_subnets (subnet_key, registry_uid) select k, $1"
                      " from unnest($2) k on conflict do nothing",
                      "uuid text[]" },
    [S_WAKE] = { "rules_wake",
                 "update resources set not_before = now()"
                 " where uid = any (array(select registry_uid from rule_subnets))"
                 " and state in ('Succeeded', 'Updating') and not_before > now()",
                 "" },
    [S_NOTIFY] = { "rules_notify", "select pg_notify('portolan_work', '')::text", "" },
    { 0 },
};

static void read_origins(struct arena *a, const struct pg_result *res, struct rule_origin **ret,
                         size_t *ret_count)
{
    *ret_count = pg_rows(res);
    *ret = arena_array(a, *ret_count + 1, sizeof(**ret));
    for (size_t i = 0; i < *ret_count; i++)
        (*ret)[i] = (struct rule_origin){ pg_get_text(res, i, 0), pg_get_text(res, i, 1) };
}

int rules_links(struct pg_conn *conn, struct arena *a, const char *const *registry_uids,
                size_t count, struct rule_origin **ret, size_t *ret_count, struct error *err)
{
    struct pg_result *res;

    if (PG_RUN(conn, a, &network_rules_statements[S_LINKS], &res, err,
               pg_texts(registry_uids, count)))
        return -1;
    read_origins(a, res, ret, ret_count);
    for (size_t i = 0; i < *ret_count; i++)
        (*ret)[i].registry_uid = pg_get_text(res, i, 2);
    return 0;
}

int rules_written(struct pg_conn *conn, struct arena *a, const char *const *registry_uids,
                  size_t count, struct resource **ret, size_t *ret_count, struct error *err)
{
    struct pg_result *res;

    if (PG_RUN(conn, a, &network_rules_statements[S_WRITTEN], &res, err,
               pg_texts(registry_uids, count)))
        return -1;
    *ret_count = pg_rows(res);
    *ret = arena_array(a, *ret_count + 1, sizeof(**ret));
    for (size_t i = 0; i < *ret_count; i++) {
        const char *body = pg_get_text(res, i, 2);
        struct json_object *value = NULL;

        if (json_parse(body, strlen(body), BODY_MAX, JSON_STRICT, &value, err))
            return wrap(err, "stored network rules");
        (*ret)[i] = (struct resource){ .uid = pg_get_text(res, i, 0),
                                       .generation = pg_get_int(res, i, 1),
                                       .body = json_own(a, value) };
    }
    return 0;
}

int rules_subnets(struct pg_conn *conn, struct arena *a, const char *const *ids, size_t count,
                  struct rule_origin **ret, size_t *ret_count, struct error *err)
{
    struct pg_result *res;

    if (PG_RUN(conn, a, &network_rules_statements[S_SUBNETS], &res, err, pg_texts(ids, count)))
        return -1;
    read_origins(a, res, ret, ret_count);
    return 0;
}

int rules_services(struct pg_conn *conn, struct arena *a, const char *const *principals,
                   size_t count, struct rule_origin **ret, size_t *ret_count, struct error *err)
{
    struct pg_result *res;

    if (PG_RUN(conn, a, &network_rules_statements[S_SERVICES], &res, err,
               pg_texts(principals, count)))
        return -1;
    read_origins(a, res, ret, ret_count);
    return 0;
}

int rules_naming(struct pg_conn *conn, struct arena *a, const char *key, const char *after_key,
                 int64_t limit, struct resource **ret, size_t *ret_count, struct error *err)
{
    struct pg_result *res;

    if (PG_RUN(conn, a, &network_rules_statements[S_NAMING], &res, err, pg_text(key),
               pg_text(after_key), pg_int(limit)))
        return -1;
    resource_read_places(a, res, ret, ret_count);
    return 0;
}

int rules_named_put(struct pg_conn *conn, struct arena *a, const char *registry_uid,
                    const char *const *ids, size_t count, struct error *err)
{
    return PG_QUEUE(conn, a, &network_rules_statements[S_NAMED_PUT], NULL, err, pg_text(registry_uid),
                    pg_texts(ids, count));
}

int rules_wake(struct pg_conn *conn, struct arena *a, struct error *err)
{
    struct pg_result *res;

    if (PG_RUN0(conn, a, &network_rules_statements[S_WAKE], &res, err))
        return -1;
    if (pg_affected(res) == 0)
        return 0;
    return PG_RUN0(conn, a, &network_rules_statements[S_NOTIFY], NULL, err);
}

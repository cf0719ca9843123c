/* Addresses and links of networks: see the header. */
#include "controlplane/store/network.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/pg/pg.h"

#include "controlplane/store/resources.h"
#include "controlplane/store/rows.h"
#include "controlplane/store/statements.h"

enum { TAKEN, ADDRESSES_OF, TAKE, GIVE_BACK, USER, STRAY, LINK_ADD, LINK_OF, LINKS_OF, RELEASE, SHOW,
       ZONE_LINK, BELOW, DROP };

#define LINK_COLUMNS "link, endpoint_uid, registry_uid, state, description"

const struct pg_stmt network_statements[] = {
    [TAKEN] = { "network_taken",
                "select host(address) from network_addresses where subnet_uid = $1 "
                "order by address",
                "uuid" },
    [ADDRESSES_OF] = { "network_addresses_of",
                       "select subnet_uid, host(address), endpoint_uid, member, fqdn, record, "
                       "name, is_static from network_addresses where endpoint_uid = $1 "
                       "order by member",
                       "uuid" },
    [TAKE] = { "network_take",
               "insert into network_addresses (subnet_uid, address, endpoint_uid, member, fqdn, "
               "record, name, is_static) values ($1, $2, $3, $4, $5, $6, $7, $8)",
               "uuid inet uuid text text text text bool" },
    [GIVE_BACK] = { "network_give_back",
                    "delete from network_addresses where endpoint_uid = $1 and member = $2",
                    "uuid text" },
    [USER] = { "network_user",
               "select s.name, e.id from network_addresses a join resources e on e.uid = a.endpoint_uid "
               "join resources s on s.uid = a.subnet_uid "
               "where a.subnet_uid = $1 or s.parent_uid = $1 order by e.key limit 1",
               "uuid" },
    [STRAY] = { "network_stray",
                "select s.name from network_addresses a join resources s on s.uid = a.subnet_uid "
                "where s.parent_uid = $1 and not exists (select 1 from network_subnets p "
                "where p.subnet_uid = s.uid and a.address <<= p.prefix) limit 1",
                "uuid" },
    [LINK_ADD] = { "network_link_add",
                   "insert into private_links (link, endpoint_uid, registry_uid, state, "
                   "description) values ($1, $2, $3, $4, $5)",
                   "uuid uuid uuid text text" },
    [LINK_OF] = { "network_link_of",
                  "select " LINK_COLUMNS " from private_links where endpoint_uid = $1", "uuid" },
    [LINKS_OF] = { "network_links_of",
                   "select " LINK_COLUMNS " from private_links where registry_uid = $1 "
                   "and state <> 'Disconnected' order by link",
                   "uuid" },
    [RELEASE] = { "network_release", "select 1 from release_endpoint($1)", "uuid" },
    [SHOW] = { "network_show_endpoint", "select 1 from project_endpoint($1)", "uuid" },
    [ZONE_LINK] = { "network_zone_link",
                    "select z.name from resource_links l join resources k on k.uid = l.from_uid "
                    "join resources z on z.uid = k.parent_uid "
                    "where l.to_uid = $1 and lower(z.name) = $2 and k.uid <> $3 "
                    "and z.type_key = 'microsoft.network/privatednszones' limit 1",
                    "uuid text uuid" },
    [BELOW] = { "network_below",
                "select " RESOURCE_COLUMNS " from resources r where r.parent_uid = $1 "
                "and ($2::text is null or lower(r.name) = lower($2)) "
                "and ($3::text is null or r.type_key = $3) order by r.key limit 30000",
                "uuid text text" },
    [DROP] = { "network_body_drop",
               "update resources set body = body #- array['properties', $2] where uid = $1",
               "uuid text" },
    { 0 },
};

int network_taken(struct pg_conn *conn, struct arena *a, const char *subnet_uid,
                  const char *const **ret, size_t *ret_count, struct error *err)
{
    struct pg_result *r = NULL;
    const char **items;

    if (PG_RUN(conn, a, &network_statements[TAKEN], &r, err, pg_text(subnet_uid)))
        return wrap(err, "addresses of a subnet");
    *ret_count = pg_rows(r);
    items = arena_array(a, *ret_count + 1, sizeof(*items));
    for (size_t i = 0; i < *ret_count; i++)
        items[i] = pg_get_text(r, i, 0);
    *ret = items;
    return 0;
}

struct taken {
    const char *subnet_uid;
    const char *const *items;
    size_t count;
};

static int read_taken(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct taken *t = ctx;

    return network_taken(conn, a, t->subnet_uid, &t->items, &t->count, err);
}

int network_taken_now(struct pg_pool *db, struct arena *a, const char *subnet_uid,
                      const char *const **ret, size_t *ret_count, struct error *err)
{
    struct taken t = { .subnet_uid = subnet_uid };

    if (pg_with(db, a, read_taken, &t, err))
        return -1;
    *ret = t.items;
    *ret_count = t.count;
    return 0;
}

int network_addresses_of(struct pg_conn *conn, struct arena *a, const char *endpoint_uid,
                         struct network_address **ret, size_t *ret_count, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &network_statements[ADDRESSES_OF], &r, err, pg_text(endpoint_uid)))
        return wrap(err, "addresses of an endpoint");
    *ret_count = pg_rows(r);
    *ret = arena_array(a, *ret_count + 1, sizeof(**ret));
    for (size_t i = 0; i < *ret_count; i++)
        (*ret)[i] = (struct network_address){
            .subnet_uid = pg_get_text(r, i, 0),
            .address = pg_get_text(r, i, 1),
            .endpoint_uid = pg_get_text(r, i, 2),
            .member = pg_get_text(r, i, 3),
            .fqdn = pg_get_text(r, i, 4),
            .record = pg_get_text(r, i, 5),
            .name = pg_get_text(r, i, 6),
            .is_static = pg_get_bool(r, i, 7),
        };
    return 0;
}

int network_take(struct pg_conn *conn, struct arena *a, const struct network_address *address,
                 struct error *err)
{
    if (PG_RUN(conn, a, &network_statements[TAKE], NULL, err, pg_text(address->subnet_uid),
               pg_text(address->address), pg_text(address->endpoint_uid),
               pg_text(address->member), pg_text(address->fqdn), pg_text(address->record),
               pg_text(address->name), pg_bool(address->is_static)))
        return wrap(err, "take an address");
    return 0;
}

int network_give_back(struct pg_conn *conn, struct arena *a, const char *endpoint_uid,
                      const char *member, struct error *err)
{
    if (PG_RUN(conn, a, &network_statements[GIVE_BACK], NULL, err, pg_text(endpoint_uid),
               pg_text(member)))
        return wrap(err, "give an address back");
    return 0;
}

/* 1 with the one text that the statement finds by a uid. */
static int find_text(struct pg_conn *conn, struct arena *a, int statement, const char *uid,
                     const char **ret, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &network_statements[statement], &r, err, pg_text(uid)))
        return -1;
    if (pg_rows(r) == 0)
        return 0;
    *ret = pg_get_text(r, 0, 0);
    return 1;
}

int network_user(struct pg_conn *conn, struct arena *a, const char *uid, const char **ret_subnet,
                 const char **ret_id, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &network_statements[USER], &r, err, pg_text(uid)))
        return wrap(err, "who uses a subnet");
    if (pg_rows(r) == 0)
        return 0;
    *ret_subnet = pg_get_text(r, 0, 0);
    *ret_id = pg_get_text(r, 0, 1);
    return 1;
}

int network_stray(struct pg_conn *conn, struct arena *a, const char *network_uid,
                  const char **ret_name, struct error *err)
{
    int found = find_text(conn, a, STRAY, network_uid, ret_name, err);

    return found < 0 ? wrap(err, "addresses outside their subnet") : found;
}

int network_link_add(struct pg_conn *conn, struct arena *a, const struct network_link *link,
                     struct error *err)
{
    if (PG_RUN(conn, a, &network_statements[LINK_ADD], NULL, err, pg_text(link->link),
               pg_text(link->endpoint_uid), pg_text(link->registry_uid), pg_text(link->state),
               pg_text(link->description)))
        return wrap(err, "add a link");
    return 0;
}

static void read_link(const struct pg_result *r, size_t row, struct network_link *ret)
{
    *ret = (struct network_link){
        .link = pg_get_text(r, row, 0),
        .endpoint_uid = pg_get_text(r, row, 1),
        .registry_uid = pg_get_text(r, row, 2),
        .state = pg_get_text(r, row, 3),
        .description = pg_get_text(r, row, 4),
    };
}

int network_link_of(struct pg_conn *conn, struct arena *a, const char *endpoint_uid,
                    struct network_link *ret, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &network_statements[LINK_OF], &r, err, pg_text(endpoint_uid)))
        return wrap(err, "link of an endpoint");
    if (pg_rows(r) == 0)
        return 0;
    read_link(r, 0, ret);
    return 1;
}

int network_links_of(struct pg_conn *conn, struct arena *a, const char *registry_uid,
                     struct network_link **ret, size_t *ret_count, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &network_statements[LINKS_OF], &r, err, pg_text(registry_uid)))
        return wrap(err, "links of a registry");
    *ret_count = pg_rows(r);
    *ret = arena_array(a, *ret_count + 1, sizeof(**ret));
    for (size_t i = 0; i < *ret_count; i++)
        read_link(r, i, &(*ret)[i]);
    return 0;
}

static int call(struct pg_conn *conn, struct arena *a, int statement, const char *arg,
                struct error *err)
{
    return PG_RUN(conn, a, &network_statements[statement], NULL, err, pg_text(arg));
}

int network_release(struct pg_conn *conn, struct arena *a, const char *endpoint_uid,
                    struct error *err)
{
    return call(conn, a, RELEASE, endpoint_uid, err) ? wrap(err, "release an endpoint") : 0;
}

int network_show_endpoint(struct pg_conn *conn, struct arena *a, const char *endpoint_uid,
                          struct error *err)
{
    return call(conn, a, SHOW, endpoint_uid, err) ? wrap(err, "show an endpoint") : 0;
}

int network_zone_link(struct pg_conn *conn, struct arena *a, const char *network_uid,
                      const char *zone_name, const char *except_link_uid, const char **ret_name,
                      struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &network_statements[ZONE_LINK], &r, err, pg_text(network_uid),
               pg_text(zone_name), pg_text(except_link_uid)))
        return wrap(err, "zones of a network");
    if (pg_rows(r) == 0)
        return 0;
    *ret_name = pg_get_text(r, 0, 0);
    return 1;
}

struct below {
    const char *parent_uid;
    const char *name;     /* NULL: any */
    const char *type_key; /* NULL: any */
    struct resource *items;
    size_t count;
};

static int read_below(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct below *b = ctx;
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &network_statements[BELOW], &r, err, pg_text(b->parent_uid),
               pg_text(b->name), pg_text(b->type_key)))
        return wrap(err, "what is below a row");
    b->count = pg_rows(r);
    b->items = arena_array(a, b->count + 1, sizeof(*b->items));
    for (size_t i = 0; i < b->count; i++) {
        if (resource_from_row(r, i, a, &b->items[i], err))
            return -1;
    }
    return 0;
}

int network_below(struct pg_pool *db, struct arena *a, const char *parent_uid,
                  const char *type_key, struct resource **ret, size_t *ret_count,
                  struct error *err)
{
    struct below b = { .parent_uid = parent_uid, .type_key = type_key };

    if (pg_with(db, a, read_below, &b, err))
        return -1;
    *ret = b.items;
    *ret_count = b.count;
    return 0;
}

int network_named_below(struct pg_conn *conn, struct arena *a, const struct resource *parent,
                        const char *name, struct resource **ret, size_t *ret_count,
                        struct error *err)
{
    struct below b = { .parent_uid = parent->uid, .name = name };

    if (read_below(conn, a, &b, err))
        return -1;
    *ret = b.items;
    *ret_count = b.count;
    return 0;
}

int network_body_drop(struct pg_conn *conn, struct arena *a, const char *uid, const char *member,
                      struct error *err)
{
    if (PG_RUN(conn, a, &network_statements[DROP], NULL, err, pg_text(uid), pg_text(member)))
        return wrap(err, "drop a member");
    return 0;
}

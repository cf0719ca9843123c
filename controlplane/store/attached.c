/* Reading what an attached virtual network works from. The order is fixed, so that equal content
 * makes equal files. */
#include "controlplane/store/attached.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/store/statements.h"

#define RECORD_MAX_BYTES ((size_t)1024 * 1024)

enum { S_LINKS, S_SUBNETS, S_ZONES, S_RECORDS, S_HOSTS, S_AT };

const struct pg_stmt attached_statements[] = {
    [S_LINKS] = { "attached_links",
                  "select host(address), link, lower(fqdn), state = 'Approved'"
                  " from network_endpoints where network_key = $1 order by address, member",
                  "text" },
    [S_SUBNETS] = { "attached_subnets",
                    "select prefix::text, subnet_uid::text from network_subnets"
                    " where network_key = $1 order by prefix",
                    "text" },
    [S_ZONES] = { "attached_zones",
                  "select distinct lower(name) from dns_zone_networks where network_key = $1"
                  " order by 1",
                  "text" },
    [S_RECORDS] = { "attached_records",
                    "select lower(r.zone), lower(r.name), r.type, r.ttl::int8,"
                    " coalesce(r.data, '{}')::text"
                    " from dns_records r where r.zone_uid in"
                    " (select zone_uid from dns_zone_networks where network_key = $1)"
                    " order by 1, 2, 3",
                    "text" },
    [S_HOSTS] = { "attached_hosts", "select distinct lower(fqdn) from network_endpoints order by 1",
                  "" },
    [S_AT] = { "attached_at", "select network_key from network_attachments where place = $1",
               "text" },
    { 0 },
};

static int load_links(struct pg_conn *conn, struct arena *a, const char *key, struct attached *ret,
                      struct error *err)
{
    struct pg_result *res;

    if (PG_RUN(conn, a, &attached_statements[S_LINKS], &res, err, pg_text(key)))
        return -1;
    ret->link_count = pg_rows(res);
    ret->links = arena_array(a, ret->link_count + 1, sizeof(*ret->links));
    for (size_t i = 0; i < ret->link_count; i++)
        ret->links[i] = (struct attached_link){
            .address = pg_get_text(res, i, 0),
            .link = pg_get_text(res, i, 1),
            .fqdn = pg_get_text(res, i, 2),
            .is_approved = pg_get_bool(res, i, 3),
        };
    return 0;
}

static int load_subnets(struct pg_conn *conn, struct arena *a, const char *key,
                        struct attached *ret, struct error *err)
{
    struct pg_result *res;

    if (PG_RUN(conn, a, &attached_statements[S_SUBNETS], &res, err, pg_text(key)))
        return -1;
    ret->subnet_count = pg_rows(res);
    ret->subnets = arena_array(a, ret->subnet_count + 1, sizeof(*ret->subnets));
    for (size_t i = 0; i < ret->subnet_count; i++)
        ret->subnets[i] = (struct attached_subnet){
            .prefix = pg_get_text(res, i, 0),
            .uid = pg_get_text(res, i, 1),
        };
    return 0;
}

static int load_names(struct pg_conn *conn, struct arena *a, int stmt, const char *key,
                      const char ***ret, size_t *ret_count, struct error *err)
{
    struct pg_arg arg = pg_text(key);
    struct pg_result *res;

    if (pg_run(conn, a, &attached_statements[stmt], &arg, key ? 1 : 0, &res, err))
        return -1;
    *ret_count = pg_rows(res);
    *ret = arena_array(a, *ret_count + 1, sizeof(**ret));
    for (size_t i = 0; i < *ret_count; i++)
        (*ret)[i] = pg_get_text(res, i, 0);
    return 0;
}

static int load_records(struct pg_conn *conn, struct arena *a, const char *key,
                        struct attached *ret, struct error *err)
{
    struct pg_result *res;

    if (PG_RUN(conn, a, &attached_statements[S_RECORDS], &res, err, pg_text(key)))
        return -1;
    ret->record_count = pg_rows(res);
    ret->records = arena_array(a, ret->record_count + 1, sizeof(*ret->records));
    for (size_t i = 0; i < ret->record_count; i++) {
        struct attached_record *r = &ret->records[i];
        const char *data = pg_get_text(res, i, 4);

        r->zone = pg_get_text(res, i, 0);
        r->name = pg_get_text(res, i, 1);
        r->type = pg_get_text(res, i, 2);
        r->ttl = pg_get_int(res, i, 3);
        if (json_parse(data, strlen(data), RECORD_MAX_BYTES, JSON_STRICT, &r->data, err))
            return wrap(err, "record %s of %s", r->name, r->zone);
        (void)json_own(a, r->data);
    }
    return 0;
}

int attached_load(struct pg_conn *conn, struct arena *a, const char *network_key,
                  struct attached *ret, struct error *err)
{
    *ret = (struct attached){ .links = NULL };
    if (load_links(conn, a, network_key, ret, err) ||
        load_subnets(conn, a, network_key, ret, err) ||
        load_names(conn, a, S_ZONES, network_key, &ret->zones, &ret->zone_count, err) ||
        load_records(conn, a, network_key, ret, err))
        return wrap(err, "what %s works from", network_key);
    return load_names(conn, a, S_HOSTS, NULL, &ret->linked_hosts, &ret->linked_host_count, err);
}

int attached_at(struct pg_conn *conn, struct arena *a, const char *place,
                const char **ret_network_key, struct error *err)
{
    struct pg_result *res;

    if (PG_RUN(conn, a, &attached_statements[S_AT], &res, err, pg_text(place)))
        return -1;
    if (pg_rows(res) == 0)
        return 0;
    *ret_network_key = pg_get_text(res, 0, 0);
    return 1;
}

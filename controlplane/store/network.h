/* Networks across resources: the addresses of subnets, the links of private endpoints, and who uses
 * what. Whatever shows these follows inside the database (migration 0006), so each of these calls
 * leaves every resource it concerns consistent. Calls with a connection belong to a transaction. */
#ifndef PORTOLAN_STORE_NETWORK_H
#define PORTOLAN_STORE_NETWORK_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/cleanup.h"

struct arena;
struct error;
struct pg_conn;
struct pg_pool;
struct resource;

struct network_address {
    const char *subnet_uid;
    const char *address; /* "10.0.0.4" */
    const char *endpoint_uid;
    const char *member; /* "registry", "registry_data_eastus" */
    const char *fqdn;
    const char *record; /* its name in a private DNS zone */
    const char *name;   /* of the IP configuration */
    bool is_static;
};

struct network_link {
    const char *link; /* uuid: the identity of the connection */
    const char *endpoint_uid;
    const char *registry_uid; /* NULL: the registry's side is gone */
    const char *state;        /* Pending, Approved, Rejected, Disconnected */
    const char *description;
};

/* Addresses of a subnet in use, in order. The caller holds the subnet's row. */
MUST_CHECK int network_taken(struct pg_conn *conn, struct arena *a, const char *subnet_uid,
                             const char *const **ret, size_t *ret_count, struct error *err);
/* The same for whoever only wants to know. */
MUST_CHECK int network_taken_now(struct pg_pool *db, struct arena *a, const char *subnet_uid,
                                 const char *const **ret, size_t *ret_count, struct error *err);
MUST_CHECK int network_addresses_of(struct pg_conn *conn, struct arena *a,
                                    const char *endpoint_uid, struct network_address **ret,
                                    size_t *ret_count, struct error *err);
/* E_CONFLICT with target network_addresses_key when somebody has it. */
MUST_CHECK int network_take(struct pg_conn *conn, struct arena *a,
                            const struct network_address *address, struct error *err);
MUST_CHECK int network_give_back(struct pg_conn *conn, struct arena *a, const char *endpoint_uid,
                                 const char *member, struct error *err);
/* 1 with the id of an endpoint that has an address in the subnet, or in any of the network's, and that
 * subnet's name. */
MUST_CHECK int network_user(struct pg_conn *conn, struct arena *a, const char *uid,
                            const char **ret_subnet, const char **ret_id, struct error *err);

/* 1 with the name of a subnet of the network that has an address outside its ranges. */
MUST_CHECK int network_stray(struct pg_conn *conn, struct arena *a, const char *network_uid,
                             const char **ret_name, struct error *err);

MUST_CHECK int network_link_add(struct pg_conn *conn, struct arena *a,
                                const struct network_link *link, struct error *err);
/* Of one endpoint: 1/0/-1. */
MUST_CHECK int network_link_of(struct pg_conn *conn, struct arena *a, const char *endpoint_uid,
                               struct network_link *ret, struct error *err);
/* Of a registry, in every state but Disconnected. */
MUST_CHECK int network_links_of(struct pg_conn *conn, struct arena *a, const char *registry_uid,
                                struct network_link **ret, size_t *ret_count, struct error *err);
/* Ends what an endpoint holds: its connection, its link, its addresses. */
MUST_CHECK int network_release(struct pg_conn *conn, struct arena *a, const char *endpoint_uid,
                               struct error *err);
/* Makes the endpoint's shown members anew: its interface has come. */
MUST_CHECK int network_show_endpoint(struct pg_conn *conn, struct arena *a,
                                     const char *endpoint_uid, struct error *err);
/* 1 with the name of another zone of that name that the network is linked to. */
MUST_CHECK int network_zone_link(struct pg_conn *conn, struct arena *a, const char *network_uid,
                                 const char *zone_name, const char *except_link_uid,
                                 const char **ret_name, struct error *err);
/* What stands below a row, in order: all of it, or of one type; or what has a name, without case. */
MUST_CHECK int network_below(struct pg_pool *db, struct arena *a, const char *parent_uid,
                             const char *type_key, struct resource **ret, size_t *ret_count,
                             struct error *err);
MUST_CHECK int network_named_below(struct pg_conn *conn, struct arena *a,
                                   const struct resource *parent, const char *name,
                                   struct resource **ret, size_t *ret_count, struct error *err);
/* Takes a member out of a stored body: its content went into rows of its own. */
MUST_CHECK int network_body_drop(struct pg_conn *conn, struct arena *a, const char *uid,
                                 const char *member, struct error *err);

#endif

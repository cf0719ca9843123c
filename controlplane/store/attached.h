/* What an attached virtual network works from: the private addresses in it, its subnets, and the
 * private DNS zones it is linked to; and which network the API attached to a place. Read from the
 * views of migrations 0006 and 0014. */
#ifndef PORTOLAN_STORE_ATTACHED_H
#define PORTOLAN_STORE_ATTACHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;
struct error;
struct json_object;
struct pg_conn;

struct attached_link {
    const char *address; /* without a mask */
    const char *link;    /* identity of the private link */
    const char *fqdn;    /* the host that is reached by it */
    bool is_approved;
};

struct attached_subnet {
    const char *prefix;
    const char *uid;
};

struct attached_record {
    const char *zone;
    const char *name; /* relative; "@": the zone itself */
    const char *type; /* "A" … */
    int64_t ttl;
    struct json_object *data; /* properties of the record set */
};

struct attached {
    struct attached_link *links;
    size_t link_count;
    struct attached_subnet *subnets;
    size_t subnet_count;
    const char **zones; /* linked to the network, lower case */
    size_t zone_count;
    struct attached_record *records;
    size_t record_count;
    const char **linked_hosts; /* that some private endpoint, in any network, connects to */
    size_t linked_host_count;
};

/* A network that does not exist has nothing. */
MUST_CHECK int attached_load(struct pg_conn *conn, struct arena *a, const char *network_key,
                             struct attached *ret, struct error *err);
/* The key of the network that the API attached to a place ("namespace n"): 1 found, 0 none. */
MUST_CHECK int attached_at(struct pg_conn *conn, struct arena *a, const char *place,
                           const char **ret_network_key, struct error *err);

#endif

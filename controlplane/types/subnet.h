/* Subnets: their members, wherever they are spelled out, and the rules among those of one network. */
#ifndef PORTOLAN_TYPES_SUBNET_H
#define PORTOLAN_TYPES_SUBNET_H

#include "common/network/address.h"

#include "controlplane/types/type.h"

#define SUBNET_PREFIXES_MAX 16
/* Of every subnet the network keeps the first four addresses and the last one. */
#define SUBNET_RESERVED_FIRST 4
#define SUBNET_RESERVED_LAST 1

struct subnet_endpoint {
    char *service;
    struct field_texts locations;
};

struct subnet_delegation {
    char *name;
    char *service;
};

struct subnet {
    char *name; /* of an item in a network's list */
    char *prefix;
    struct field_texts prefixes;
    struct field_list endpoints;   /* of struct subnet_endpoint */
    struct field_list delegations; /* of struct subnet_delegation */
};

/* Of an item in a network's list. */
extern const struct field subnet_item_fields[];

/* A subnet's ranges from its body; malformed ones fail with their code. */
struct subnet_ranges {
    struct cidr items[SUBNET_PREFIXES_MAX];
    size_t count;
};
MUST_CHECK int subnet_ranges(const struct json_object *body, const char *name,
                             struct subnet_ranges *ret, struct error *err);
/* Every subnet of the network lies inside its address space and beside the others. */
MUST_CHECK int subnets_check(const struct admission *ad, const struct resource *network,
                             struct error *err);
/* E_SUBNET_IN_USE when endpoints have addresses in it (or in any of the network's). */
MUST_CHECK int subnet_check_unused(const struct admission *ad, const struct resource *r,
                                   struct error *err);
/* Makes E_BAD_PREFIX, E_PREFIX_HOST_BITS of a malformed range of a resource. */
MUST_CHECK int network_parse_prefix(const char *text, const char *of, struct cidr *ret,
                                    struct error *err);

#endif

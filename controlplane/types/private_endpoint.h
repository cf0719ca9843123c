/* Private endpoints: what stands in a subnet for a registry. */
#ifndef PORTOLAN_TYPES_PRIVATE_ENDPOINT_H
#define PORTOLAN_TYPES_PRIVATE_ENDPOINT_H

#include "controlplane/types/type.h"

struct endpoint_connection {
    char *name;
    char *service_id; /* of the registry */
    struct field_texts groups;
    char *message; /* NULL */
};

struct endpoint_config {
    char *name;
    char *address;
    char *group;  /* NULL */
    char *member; /* NULL: registry */
};

struct private_endpoint {
    char *subnet_id;
    struct field_list connections; /* of struct endpoint_connection */
    struct field_list manual;      /* the same; these wait for an approval */
    struct field_list configs;     /* of struct endpoint_config */
    char *interface_name;          /* "": made up */
};

#define ENDPOINT_GROUP "registry"
#define ENDPOINT_DATA "registry_data_"

MUST_CHECK int private_endpoint_admit(const struct admission *ad, struct error *err);

/* The regions a registry is in, its home first. `leaving` is one that goes with this change, or
 * NULL. */
MUST_CHECK int endpoint_regions(const struct admission *ad, const struct resource *registry,
                                const char *leaving, const char *const **ret, size_t *ret_count,
                                struct error *err);
/* Gives every endpoint of the registry the addresses that it is to have, and takes back the others.
 * `registry` is as it will be, and locked. */
MUST_CHECK int endpoints_settle(const struct admission *ad, const struct resource *registry,
                                const char *leaving, struct error *err);
/* The same for a registry that comes to one more region, ad->resource->location. An endpoint whose
 * addresses were chosen gets no other ones. */
MUST_CHECK int endpoints_join(const struct admission *ad, const struct resource *registry,
                              struct error *err);
/* The same for one endpoint, whose subnet's and registry's rows are looked up and locked. */
struct endpoint_place {
    const struct resource *endpoint;
    const struct resource *registry;
    const char *leaving;
};
MUST_CHECK int endpoint_settle(const struct admission *ad, const struct endpoint_place *place,
                               struct error *err);

#endif

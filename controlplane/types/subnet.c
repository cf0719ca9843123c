/* Microsoft.Network/virtualNetworks/subnets: their ranges lie in the network's address space, side by
 * side, and stay as they are while anything has an address in them. */
#include "controlplane/types/subnet.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/network/prefix.h"

#include "controlplane/api/errors.h"
#include "controlplane/provision/publish_network.h"
#include "controlplane/store/network.h"
#include "controlplane/store/related.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/network.h"
#include "controlplane/types/rows.h"

#define SUBNET_BITS_MAX 29

static const char *const policies[] = { "Enabled", "Disabled", "NetworkSecurityGroupEnabled",
                                        "RouteTableEnabled", NULL };
static const char *const sharing_scopes[] = { "Tenant", "DelegatedServices", NULL };

static const struct field endpoint_fields[] = {
    { ROW_IN(subnet_endpoint, "service", FIELD_TEXT, service), RW_REQUIRED, .min = 1, .max = 128 },
    { ROW_IN(subnet_endpoint, "locations", FIELD_TEXT_LIST, locations), RW, .max = 64 },
    { ROW_SHOWN("provisioningState", FIELD_TEXT) },
    { 0 },
};

static const struct field delegation_fields[] = {
    { ROW_IN(subnet_delegation, "name", FIELD_TEXT, name), RW_REQUIRED, .min = 1, .max = 80 },
    { ROW_IN(subnet_delegation, "properties.serviceName", FIELD_TEXT, service), RW_REQUIRED,
      .min = 1, .max = 128 },
    { ROW_SHOWN("properties.actions", FIELD_TEXT_LIST) },
    { ROW_SHOWN("properties.provisioningState", FIELD_TEXT) },
    { ROW_SHOWN("id", FIELD_TEXT) },
    { ROW_SHOWN("etag", FIELD_TEXT) },
    { ROW_SHOWN("type", FIELD_TEXT) },
    { 0 },
};

#define ROWS_SUBNET                                                                                \
    { ROW_IN(subnet, "properties.addressPrefix", FIELD_TEXT, prefix), RW, .max = 64 },             \
    { ROW_IN(subnet, "properties.addressPrefixes", FIELD_TEXT_LIST, prefixes), RW,                 \
      .max = SUBNET_PREFIXES_MAX },                                                                \
    { ROW_IN(subnet, "properties.serviceEndpoints", FIELD_LIST, endpoints), RW,                    \
      .of = endpoint_fields, .of_size = sizeof(struct subnet_endpoint), .max = 64 },               \
    { ROW_IN(subnet, "properties.delegations", FIELD_LIST, delegations), RW, .def = "[]",          \
      .of = delegation_fields, .of_size = sizeof(struct subnet_delegation), .max = 64 },           \
    { ROW("properties.privateEndpointNetworkPolicies", FIELD_TEXT), RW_NOCASE,                     \
      .oneof = policies, .def = "\"Disabled\"" },                                                  \
    { ROW("properties.privateLinkServiceNetworkPolicies", FIELD_TEXT), RW_NOCASE,                  \
      .oneof = policies, .def = "\"Enabled\"" },                                                   \
    { ROW("properties.defaultOutboundAccess", FIELD_BOOL), RW, .since = "2023-11-01" },            \
    { ROW("properties.sharingScope", FIELD_TEXT), RW_NOCASE, .oneof = sharing_scopes,              \
      .since = "2024-01-01" },                                                                     \
    { ROW_SHOWN("properties.privateEndpoints", FIELD_JSON) },                                      \
    { ROW_SHOWN("properties.ipConfigurations", FIELD_JSON) },                                      \
    { ROW_SHOWN("properties.purpose", FIELD_TEXT) },                                               \
    ROW_STATE

static const struct field fields[] = { ROWS_SUBNET, { 0 } };

const struct field subnet_item_fields[] = {
    { ROW_IN(subnet, "name", FIELD_TEXT, name), RW_REQUIRED, .min = 1, .max = 80 },
    ROWS_SUBNET,
    { ROW_SHOWN("id", FIELD_TEXT) },
    { ROW_SHOWN("etag", FIELD_TEXT) },
    { ROW_SHOWN("type", FIELD_TEXT) },
    { 0 },
};

int network_parse_prefix(const char *text, const char *of, struct cidr *ret, struct error *err)
{
    char whole[PREFIX_TEXT_MAX];

    switch (prefix_parse(text, ret)) {
    case PREFIX_OK:
        return 0;
    case PREFIX_MALFORMED:
        return fail(err, &E_BAD_PREFIX,
                    "Address prefix %.64s of resource %.400s is not formatted correctly. It should "
                    "follow CIDR notation, for example 10.0.0.0/24.",
                    text, of);
    case PREFIX_HOST_BITS:
        break;
    }
    prefix_text(ret, whole);
    return fail(err, &E_PREFIX_HOST_BITS,
                "The address prefix %.64s in resource %.400s has an invalid CIDR notation. For the "
                "given prefix length, the address prefix should be %s.",
                text, of, whole);
}

int subnet_ranges(const struct json_object *body, const char *name, struct subnet_ranges *ret,
                  struct error *err)
{
    const struct json_object *list = json_at(body, "properties.addressPrefixes");
    const char *one = json_text(body, "properties.addressPrefix");

    ret->count = 0;
    if (json_count(list) == 0 && !one)
        return fail_at(err, &E_BAD_PREFIX, "properties.addressPrefix",
                       "The subnet '%.80s' needs an address prefix.", name);
    if (json_count(list) == 0)
        return network_parse_prefix(one, name, &ret->items[ret->count++], err);
    for (size_t i = 0; i < json_count(list) && i < SUBNET_PREFIXES_MAX; i++) {
        if (network_parse_prefix(json_text(json_item(list, i), ""), name,
                                 &ret->items[ret->count++], err))
            return -1;
    }
    return 0;
}

static bool is_in_space(const struct json_object *space, const struct cidr *range)
{
    for (size_t i = 0; i < json_count(space); i++) {
        struct cidr outer;

        if (prefix_parse(json_text(json_item(space, i), ""), &outer) == PREFIX_OK &&
            prefix_holds(&outer, range))
            return true;
    }
    return false;
}

static int check_place(const struct resource *network, const struct resource *subnet,
                       const struct subnet_ranges *ranges, struct error *err)
{
    const struct json_object *space =
        json_at(network->body, "properties.addressSpace.addressPrefixes");

    for (size_t i = 0; i < ranges->count; i++) {
        const struct cidr *range = &ranges->items[i];

        if (range->family == AF_INET && range->bits > SUBNET_BITS_MAX)
            return fail(err, &E_BAD_SUBNET,
                        "Subnet '%s' is not valid in virtual network '%s': the smallest subnet is "
                        "a /%d.",
                        subnet->name, network->name, SUBNET_BITS_MAX);
        if (!is_in_space(space, range))
            return fail(err, &E_BAD_SUBNET, "Subnet '%s' is not valid in virtual network '%s'.",
                        subnet->name, network->name);
    }
    return 0;
}

static bool overlap(const struct subnet_ranges *x, const struct subnet_ranges *y)
{
    for (size_t i = 0; i < x->count; i++) {
        for (size_t j = 0; j < y->count; j++) {
            if (prefix_overlaps(&x->items[i], &y->items[j]))
                return true;
        }
    }
    return false;
}

int subnets_check(const struct admission *ad, const struct resource *network, struct error *err)
{
    struct resource *subnets = NULL;
    struct subnet_ranges *ranges;
    const char *stray = NULL;
    size_t count = 0;
    int found;

    if (network_children(ad, network, &subnet_type, &subnets, &count, err))
        return -1;
    ranges = arena_array(ad->arena, count + 1, sizeof(*ranges));
    for (size_t i = 0; i < count; i++) {
        if (subnet_ranges(subnets[i].body, subnets[i].name, &ranges[i], err) ||
            check_place(network, &subnets[i], &ranges[i], err))
            return -1;
        for (size_t j = 0; j < i; j++) {
            if (overlap(&ranges[i], &ranges[j]))
                return fail(err, &E_SUBNETS_OVERLAP,
                            "Subnet '%s' is not valid because its IP address range overlaps with "
                            "that of an existing subnet in virtual network '%s'.",
                            subnets[i].name, network->name);
        }
    }
    found = network_stray(ad->conn, ad->arena, network->uid, &stray, err);
    if (found <= 0)
        return found;
    return fail(err, &E_SUBNET_FIXED,
                "Subnet %s is in use and cannot be updated: addresses in it would lie outside.",
                stray);
}

int subnet_check_unused(const struct admission *ad, const struct resource *r, struct error *err)
{
    const char *user = NULL, *subnet = NULL;
    int found = network_user(ad->conn, ad->arena, r->uid, &subnet, &user, err);

    if (found <= 0)
        return found;
    return fail(err, &E_SUBNET_IN_USE,
                "Subnet %s is in use by %s and cannot be deleted. In order to delete the subnet, "
                "delete all the resources within the subnet. See aka.ms/deletesubnet.",
                subnet, user);
}

static int subnet_admit(const struct admission *ad, struct error *err)
{
    return ad->change == CHANGE_DELETE ? subnet_check_unused(ad, ad->resource, err)
                                       : subnets_check(ad, ad->parent, err);
}

const struct resource_type subnet_type = {
    .name = "Microsoft.Network/virtualNetworks/subnets",
    .description = "subnet",
    NETWORK_CHILD(virtual_network_type),
    .api_versions = network_versions,
    .size = sizeof(struct subnet),
    .fields = fields,
    .admit = subnet_admit,
    .hasten = publish_subnets,
    .revoke = publish_subnets,
};

/* The addresses of private endpoints: one for the registry, one for the data endpoint of each of its
 * regions. Exact under concurrency: whoever takes or gives back holds the subnet's row, and the key
 * of network_addresses would refuse a second owner anyway. Rows are locked in the order registry,
 * network, subnet. */
#include "controlplane/types/private_endpoint.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/network/prefix.h"

#include "controlplane/api/errors.h"
#include "controlplane/control.h"
#include "controlplane/store/network.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/children.h"
#include "controlplane/types/network.h"
#include "controlplane/types/registry.h"
#include "controlplane/types/subnet.h"

struct members {
    struct network_address *items;
    size_t count;
};

struct taking {
    const struct admission *ad;
    const struct resource *endpoint;
    const struct resource *subnet;
    struct cidr range;
    const char *const *taken;
    size_t taken_count;
};

int endpoint_regions(const struct admission *ad, const struct resource *registry,
                     const char *leaving, const char *const **ret, size_t *ret_count,
                     struct error *err)
{
    struct resource *replicas = NULL;
    const char **regions;
    size_t count = 0;

    if (network_children(ad, registry, &replication_type, &replicas, &count, err))
        return -1;
    regions = arena_array(ad->arena, count + 1, sizeof(*regions));
    regions[0] = registry->location;
    *ret_count = 1;
    for (size_t i = 0; i < count; i++) {
        if (replicas[i].state == STATE_DELETING || text_eq(replicas[i].location, leaving) ||
            text_eq(replicas[i].location, registry->location))
            continue;
        regions[(*ret_count)++] = replicas[i].location;
    }
    *ret = regions;
    return 0;
}

static int members_of(const struct admission *ad, const struct endpoint_place *place,
                      struct members *ret, struct error *err)
{
    const struct resource *registry = place->registry;
    const char *label = registry->global_name;
    const char *const *regions = NULL;
    struct arena *a = ad->arena;
    size_t count = 0;

    if (endpoint_regions(ad, registry, place->leaving, &regions, &count, err))
        return -1;
    if (!json_bool(registry->body, "properties.dataEndpointEnabled", false))
        count = 0;
    ret->count = 1 + count;
    ret->items = arena_array(a, ret->count, sizeof(*ret->items));
    for (size_t i = 0; i < count; i++)
        ret->items[i] = (struct network_address){
            .member = arena_printf(a, ENDPOINT_DATA "%s", regions[i]),
            .fqdn = registry_data_host(a, ad->control, registry, regions[i]),
            .record = arena_printf(a, "%s.%s.data", label, regions[i]),
        };
    ret->items[count] = (struct network_address){
        .member = ENDPOINT_GROUP,
        .fqdn = registry_host(a, ad->control, registry),
        .record = label,
    };
    return 0;
}

static bool is_taken(const struct taking *t, const char *address)
{
    for (size_t i = 0; i < t->taken_count; i++) {
        if (text_eq(t->taken[i], address))
            return true;
    }
    return false;
}

/* The static address a member is to have, from the stored body; NULL: any. */
static const struct json_object *config_of(const struct resource *endpoint, const char *member)
{
    const struct json_object *list = json_at(endpoint->body, "properties.ipConfigurations");

    for (size_t i = 0; i < json_count(list); i++) {
        const struct json_object *item = json_item(list, i);
        const char *name = json_text(item, "properties.memberName");

        if (text_eq(name && name[0] ? name : ENDPOINT_GROUP, member))
            return item;
    }
    return NULL;
}

static int check_static(const struct taking *t, const char *text, struct error *err)
{
    uint32_t address = 0;

    if (!ipv4_parse(text, &address) || address < prefix_first(&t->range) ||
        address > prefix_last(&t->range))
        return fail(err, &E_ADDRESS_OUTSIDE,
                    "Private static IP address %.45s does not belong to the range of subnet %s.",
                    text, t->subnet->name);
    if (address < prefix_first(&t->range) + SUBNET_RESERVED_FIRST ||
        address > prefix_last(&t->range) - SUBNET_RESERVED_LAST)
        return fail(err, &E_ADDRESS_RESERVED,
                    "Private static IP address %s falls within reserved IP range of subnet %s.",
                    text, t->subnet->name);
    if (is_taken(t, text))
        return fail(err, &E_ADDRESS_TAKEN,
                    "IP address %s is already allocated in subnet %s.", text, t->subnet->name);
    return 0;
}

/* The lowest one that is free; those taken come in order. */
static int find_free(const struct taking *t, const char **ret, struct error *err)
{
    uint32_t last = prefix_last(&t->range) - SUBNET_RESERVED_LAST;
    uint32_t x = prefix_first(&t->range) + SUBNET_RESERVED_FIRST, taken = 0;
    char text[PREFIX_TEXT_MAX];

    for (size_t i = 0; i < t->taken_count && x <= last; i++) {
        if (ipv4_parse(t->taken[i], &taken) && taken > x)
            break;
        x += taken == x ? 1 : 0;
    }
    if (x <= last) {
        ipv4_text(x, text);
        *ret = arena_strdup(t->ad->arena, text);
        return 0;
    }
    prefix_text(&t->range, text);
    return fail(err, &E_SUBNET_FULL,
                "Subnet %s with address prefix %s does not have enough capacity for 1 IP "
                "addresses.",
                t->subnet->name, text);
}

static int take_one(struct taking *t, struct network_address *wanted, struct error *err)
{
    const struct json_object *config = config_of(t->endpoint, wanted->member);

    if (network_taken(t->ad->conn, t->ad->arena, t->subnet->uid, &t->taken, &t->taken_count, err))
        return -1;
    wanted->subnet_uid = t->subnet->uid;
    wanted->endpoint_uid = t->endpoint->uid;
    wanted->is_static = config != NULL;
    if (config) {
        wanted->address = json_text(config, "properties.privateIPAddress");
        wanted->name = json_text(config, "name");
        if (check_static(t, wanted->address, err))
            return -1;
    } else {
        char uid[UUID_TEXT_LEN + 1];

        uuid_new(uid);
        wanted->name = arena_printf(t->ad->arena, "privateEndpointIpConfig.%s", uid);
        if (find_free(t, &wanted->address, err))
            return -1;
    }
    return network_take(t->ad->conn, t->ad->arena, wanted, err);
}

static const struct network_address *find_member(const struct members *list, const char *member)
{
    for (size_t i = 0; i < list->count; i++) {
        if (text_eq(list->items[i].member, member))
            return &list->items[i];
    }
    return NULL;
}

/* Whether what is there is as the endpoint's configuration has it. */
static bool is_as_asked(const struct resource *endpoint, const struct network_address *has)
{
    const struct json_object *config = config_of(endpoint, has->member);

    return config ? text_eq(json_text(config, "properties.privateIPAddress"), has->address)
                  : !has->is_static;
}

static int settle_members(struct taking *t, struct members *wanted, struct error *err)
{
    const struct admission *ad = t->ad;
    const char *uid = t->endpoint->uid;
    struct members has = { 0 };

    if (network_addresses_of(ad->conn, ad->arena, uid, &has.items, &has.count, err))
        return -1;
    for (size_t i = 0; i < has.count; i++) {
        if (find_member(wanted, has.items[i].member) && is_as_asked(t->endpoint, &has.items[i]))
            continue;
        if (network_give_back(ad->conn, ad->arena, uid, has.items[i].member, err))
            return -1;
        has.items[i].member = NULL;
    }
    /* Those with an address of their own first, so that no other takes it. */
    for (int is_dynamic = 0; is_dynamic < 2; is_dynamic++) {
        for (size_t i = 0; i < wanted->count; i++) {
            bool is_fixed = config_of(t->endpoint, wanted->items[i].member) != NULL;

            if (is_fixed == (is_dynamic == 1) || find_member(&has, wanted->items[i].member))
                continue;
            if (take_one(t, &wanted->items[i], err))
                return -1;
        }
    }
    return 0;
}

static int hold_subnet(struct taking *t, struct error *err)
{
    const char *id = json_text(t->endpoint->body, "properties.subnet.id");
    const char *key = network_key(t->ad->arena, id, &subnet_type);
    struct resource *network = NULL, *subnet = NULL;
    struct subnet_ranges ranges;
    int found = 0;

    if (key)
        found = resource_by_key(t->ad->conn, t->ad->arena,
                                network_key_above(t->ad->arena, key, 1), true, &network, err);
    if (found < 0 || network_hold(t->ad, "properties.subnet.id", id, &subnet_type, &subnet, err))
        return -1;
    if (!found || !text_eq(network->location, t->endpoint->location))
        return fail_at(err, &E_BAD_REFERENCE, "properties.subnet.id",
                       "Resource %.600s referenced by resource %.300s was not found. Please make "
                       "sure that the referenced resource exists, and that both resources are in "
                       "the same region.",
                       id, t->endpoint->id);
    t->subnet = subnet;
    if (subnet_ranges(subnet->body, subnet->name, &ranges, err))
        return -1;
    for (size_t i = 0; i < ranges.count; i++) {
        t->range = ranges.items[i];
        if (t->range.family == AF_INET)
            return 0;
    }
    return fail(err, &E_BAD_SUBNET, "Subnet '%s' has no IPv4 range.", subnet->name);
}

int endpoint_settle(const struct admission *ad, const struct endpoint_place *place,
                    struct error *err)
{
    struct taking t = { .ad = ad, .endpoint = place->endpoint };
    struct members wanted = { 0 };

    if (members_of(ad, place, &wanted, err) || hold_subnet(&t, err))
        return -1;
    return settle_members(&t, &wanted, err);
}

/* Calls fn for every endpoint of place->registry that stays, until it fails. */
static int each_endpoint(const struct admission *ad, struct endpoint_place *place,
                         int (*fn)(const struct admission *ad, const struct endpoint_place *place,
                                   struct error *err),
                         struct error *err)
{
    struct network_link *links = NULL;
    size_t count = 0;

    if (network_links_of(ad->conn, ad->arena, place->registry->uid, &links, &count, err))
        return -1;
    for (size_t i = 0; i < count; i++) {
        struct resource *endpoint = NULL;
        int found = resource_by_uid(ad->conn, ad->arena, links[i].endpoint_uid, false, &endpoint,
                                    err);

        if (found < 0)
            return -1;
        place->endpoint = endpoint;
        if (found && endpoint->state != STATE_DELETING && fn(ad, place, err))
            return -1;
    }
    return 0;
}

int endpoints_settle(const struct admission *ad, const struct resource *registry,
                     const char *leaving, struct error *err)
{
    struct endpoint_place place = { .registry = registry, .leaving = leaving };

    return each_endpoint(ad, &place, endpoint_settle, err);
}

/* Who chose the addresses chooses the new one as well. */
static int check_chosen(const struct admission *ad, const struct endpoint_place *place,
                        struct error *err)
{
    const char *member = arena_printf(ad->arena, ENDPOINT_DATA "%s", ad->resource->location);
    const struct json_object *body = place->endpoint->body;

    if (text_eq(ad->resource->location, place->registry->location) ||
        json_count(json_at(body, "properties.ipConfigurations")) == 0 ||
        config_of(place->endpoint, member))
        return 0;
    return fail_at(err, &E_BAD_REQUEST, "location",
                   "The private endpoint '%s' has static IP addresses and none for the member "
                   "'%s' of this replication. Add an IP configuration for it first.",
                   place->endpoint->name, member);
}

int endpoints_join(const struct admission *ad, const struct resource *registry, struct error *err)
{
    struct endpoint_place place = { .registry = registry };

    if (json_bool(registry->body, "properties.dataEndpointEnabled", false) &&
        each_endpoint(ad, &place, check_chosen, err))
        return -1;
    return endpoints_settle(ad, registry, NULL, err);
}

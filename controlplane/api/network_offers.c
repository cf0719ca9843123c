/* What a location offers to virtual networks: the services that know service endpoints, the types that
 * private endpoints connect to, and who a subnet can be delegated to. */
#include "controlplane/api/network_offers.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/json.h"

#include "controlplane/api/call.h"
#include "controlplane/api/errors.h"
#include "controlplane/api/providers.h"
#include "controlplane/control.h"
#include "controlplane/provision/region.h"
#include "controlplane/types/network.h"
#include "controlplane/types/registry.h"
#include "controlplane/types/vault.h"

#define OFFER "/subscriptions/%s/providers/Microsoft.Network/%s/%s"

static int check_location(struct call *c, const char *location, struct error *err)
{
    if (region_find(c->control->regions, location))
        return 0;
    return fail(err, &E_LOCATION_NOT_AVAILABLE, "The provided location '%.60s' is not a region here.",
                location);
}

static void reply_offers(struct call *c, struct json_object *value)
{
    struct json_object *body = json_own(c->arena, json_new_object());

    json_set(body, "value", value);
    reply_json(c, 200, body);
}

static struct json_object *offer(struct call *c, const char *kind, const char *name)
{
    struct json_object *out = json_new_object();

    json_set_text(out, "name", name);
    json_set_text(out, "id", arena_printf(c->arena, OFFER, c->subscription.id, kind, name));
    json_set_text(out, "type", arena_printf(c->arena, "Microsoft.Network/%s", kind));
    return out;
}

/* Those whose rules may name a subnet. */
static int run_services(struct call *c, struct error *err)
{
    static const struct resource_type *const types[] = { &registry_type, &vault_type };
    struct json_object *value;

    if (check_location(c, c->req->params[1], err))
        return -1;
    value = json_new_array();
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        json_add(value,
                 offer(c, "virtualNetworkEndpointServices", provider_of(c->arena, types[i])));
    reply_offers(c, value);
    return 0;
}

static int run_endpoint_types(struct call *c, struct error *err)
{
    struct json_object *value, *one;
    const char *provider;

    if (check_location(c, c->req->params[1], err))
        return -1;
    provider = provider_of(c->arena, &registry_type);
    one = offer(c, "AvailablePrivateEndpointTypes",
                arena_printf(c->arena, "%s.%s", provider, registry_type.name + strlen(provider) + 1));
    json_set_text(one, "resourceName", registry_type.name);
    json_set_text(one, "displayName", registry_type.name);
    value = json_new_array();
    json_add(value, one);
    reply_offers(c, value);
    return 0;
}

/* A delegation is kept with the subnet, and there is no service here that would move in. */
static int run_delegations(struct call *c, struct error *err)
{
    if (check_location(c, c->req->params[1], err))
        return -1;
    reply_offers(c, json_new_array());
    return 0;
}

const struct endpoint endpoint_services_list = {
    .versions = network_versions,
    .subscription = 1,
    .action = "Microsoft.Network/locations/virtualNetworkAvailableEndpointServices/read",
    .description = "Services that know service endpoints",
    .run = run_services,
};
const struct endpoint endpoint_types_list = {
    .versions = network_versions,
    .subscription = 1,
    .action = "Microsoft.Network/locations/availablePrivateEndpointTypes/read",
    .description = "Types that private endpoints connect to",
    .run = run_endpoint_types,
};
const struct endpoint delegations_list = {
    .versions = network_versions,
    .subscription = 1,
    .action = "Microsoft.Network/locations/availableDelegations/read",
    .description = "Services that a subnet can be delegated to: none",
    .run = run_delegations,
};

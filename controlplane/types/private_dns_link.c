/* Microsoft.Network/privateDnsZones/virtualNetworkLinks: the networks that see a zone. A network sees
 * one zone of a name. */
#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/json.h"

#include "controlplane/api/errors.h"
#include "controlplane/store/network.h"
#include "controlplane/store/related.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/network.h"
#include "controlplane/types/rows.h"

#define NETWORK_ID "properties.virtualNetwork.id"

struct dns_link {
    char *network_id;
    bool is_registering;
};

static const char *const resolutions[] = { "Default", "NxDomainRedirect", NULL };

static const struct field fields[] = {
    { ROW_IN(dns_link, NETWORK_ID, FIELD_TEXT, network_id), SET_ONCE_REQUIRED,
      .max = ID_MAX_BYTES },
    { ROW_IN(dns_link, "properties.registrationEnabled", FIELD_BOOL, is_registering), RW,
      .def = "false" },
    { ROW("properties.resolutionPolicy", FIELD_TEXT), RW_NOCASE, .oneof = resolutions,
      .def = "\"Default\"", .since = "2024-06-01" },
    { ROW_SHOWN("properties.virtualNetworkLinkState", FIELD_TEXT), .def = "\"Completed\"" },
    ROW_STATE,
    { 0 },
};

static int check_name(const struct admission *ad, const struct resource *network,
                      struct error *err)
{
    struct arena *a = ad->arena;
    const char *zone = text_lower(a, ad->parent->name), *other = NULL;
    int found;

    /* The network's row is locked: nobody else links it meanwhile. */
    found = network_zone_link(ad->conn, a, network->uid, zone, ad->resource->uid, &other, err);
    if (found <= 0)
        return found;
    return fail(err, &E_BUSY,
                "A virtual network cannot be linked to multiple zones with overlapping namespaces. "
                "You tried to link virtual network with '%s' and '%s' zones.",
                ad->parent->name, other);
}

static int link_admit(const struct admission *ad, struct error *err)
{
    const struct dns_link *link = ad->decoded;
    struct resource *network = NULL;
    const char *uid;

    if (ad->change != CHANGE_CREATE)
        return 0;
    if (network_hold(ad, NETWORK_ID, link->network_id, &virtual_network_type, &network, err) ||
        network_may_use(ad, "Microsoft.Network/virtualNetworks/join/action", network->id, err) ||
        check_name(ad, network, err))
        return -1;
    uid = network->uid;
    return resource_links_replace(ad->conn, ad->arena, ad->resource->uid, &uid, 1, err);
}

const struct resource_type private_dns_link_type = {
    .name = "Microsoft.Network/privateDnsZones/virtualNetworkLinks",
    .description = "virtual network link",
    .scope = SCOPE_CHILD,
    .parent = &private_dns_zone_type,
    NETWORK_NAMES(1, 80),
    .is_tracked = true,
    .is_global = true,
    .hides_system_data = true,
    .has_etag = true,
    .moves_parent = true,
    .lro = LRO_PUT | LRO_PATCH | LRO_DELETE,
    .api_versions = private_dns_versions,
    .size = sizeof(struct dns_link),
    .fields = fields,
    .admit = link_admit,
};

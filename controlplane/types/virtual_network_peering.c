/* Microsoft.Network/virtualNetworks/virtualNetworkPeerings: one direction of a pair. It is Connected
 * while the other network has one back; the database keeps that state in step (follow_peering()). */
#include "controlplane/types/peering.h"

#include "common/base/text.h"
#include "common/json/json.h"
#include "common/network/prefix.h"

#include "controlplane/api/errors.h"
#include "controlplane/store/network.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/network.h"
#include "controlplane/types/rows.h"

#define REMOTE "properties.remoteVirtualNetwork.id"

#define ROWS_PEERING                                                                               \
    { ROW_IN(peering, REMOTE, FIELD_TEXT, remote_id), SET_ONCE_REQUIRED, .max = ID_MAX_BYTES },    \
    { ROW("properties.allowVirtualNetworkAccess", FIELD_BOOL), RW, .def = "true" },                \
    { ROW("properties.allowForwardedTraffic", FIELD_BOOL), RW, .def = "false" },                   \
    { ROW("properties.allowGatewayTransit", FIELD_BOOL), RW, .def = "false" },                     \
    { ROW("properties.useRemoteGateways", FIELD_BOOL), RW, .def = "false" },                       \
    { ROW("properties.doNotVerifyRemoteGateways", FIELD_BOOL), RW },                               \
    { ROW_SHOWN("properties.peeringState", FIELD_TEXT) },                                          \
    { ROW_SHOWN("properties.peeringSyncLevel", FIELD_TEXT) },                                      \
    ROW_STATE

static const struct field fields[] = { ROWS_PEERING, { 0 } };

const struct field peering_item_fields[] = {
    { ROW_IN(peering, "name", FIELD_TEXT, name), RW_REQUIRED, .min = 1, .max = 80 },
    ROWS_PEERING,
    { ROW_SHOWN("id", FIELD_TEXT) },
    { ROW_SHOWN("etag", FIELD_TEXT) },
    { ROW_SHOWN("type", FIELD_TEXT) },
    { 0 },
};

static bool overlap(const struct resource *x, const struct resource *y)
{
    static const char path[] = "properties.addressSpace.addressPrefixes";
    const struct json_object *xs = json_at(x->body, path), *ys = json_at(y->body, path);

    for (size_t i = 0; i < json_count(xs); i++) {
        for (size_t j = 0; j < json_count(ys); j++) {
            struct cidr p, q;

            if (prefix_parse(json_text(json_item(xs, i), ""), &p) == PREFIX_OK &&
                prefix_parse(json_text(json_item(ys, j), ""), &q) == PREFIX_OK &&
                prefix_overlaps(&p, &q))
                return true;
        }
    }
    return false;
}

int peering_admit(const struct admission *ad, struct error *err)
{
    struct resource *remote = NULL;

    if (ad->change != CHANGE_CREATE)
        return 0;
    if (network_hold(ad, REMOTE, json_text(ad->resource->body, REMOTE),
                     &virtual_network_type, &remote, err) ||
        network_may_use(ad, "Microsoft.Network/virtualNetworks/peer/action", remote->id, err))
        return -1;
    if (text_eq(remote->uid, ad->parent->uid))
        return fail_at(err, &E_INVALID_PARAMETER, REMOTE,
                       "The virtual network '%s' cannot be its own peer.", remote->name);
    if (overlap(ad->parent, remote))
        return fail(err, &E_PEERINGS_OVERLAP,
                    "Cannot create or update peering %s. Virtual networks %s and %s cannot be "
                    "peered because their address spaces overlap.",
                    ad->resource->name, ad->parent->id, remote->id);
    return 0;
}

const struct resource_type virtual_network_peering_type = {
    .name = "Microsoft.Network/virtualNetworks/virtualNetworkPeerings",
    .description = "virtual network peering",
    NETWORK_CHILD(virtual_network_type),
    .api_versions = network_versions,
    .size = sizeof(struct peering),
    .fields = fields,
    .admit = peering_admit,
};

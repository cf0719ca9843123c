/* Microsoft.Network/networkInterfaces: made with a private endpoint, there as long as it, and nobody's
 * to change. What they show follows from the endpoint's addresses (project_endpoint()). */
#include "common/json/json.h"

#include "controlplane/store/resources.h"
#include "controlplane/types/network.h"
#include "controlplane/types/rows.h"

static const struct field fields[] = {
    { ROW_SHOWN("properties.resourceGuid", FIELD_TEXT) },
    { ROW_SHOWN("properties.ipConfigurations", FIELD_JSON), .def = "[]" },
    { ROW_SHOWN("properties.privateEndpoint.id", FIELD_TEXT) },
    { ROW_SHOWN("properties.dnsSettings.dnsServers", FIELD_TEXT_LIST), .def = "[]" },
    { ROW_SHOWN("properties.dnsSettings.appliedDnsServers", FIELD_TEXT_LIST), .def = "[]" },
    { ROW_SHOWN("properties.enableAcceleratedNetworking", FIELD_BOOL), .def = "false" },
    { ROW_SHOWN("properties.enableIPForwarding", FIELD_BOOL), .def = "false" },
    { ROW_SHOWN("properties.hostedWorkloads", FIELD_TEXT_LIST), .def = "[]" },
    { ROW_SHOWN("properties.tapConfigurations", FIELD_JSON), .def = "[]" },
    { ROW_SHOWN("properties.nicType", FIELD_TEXT), .def = "\"Standard\"" },
    ROW_STATE,
    { 0 },
};

static void network_interface_show(struct arena *a, struct control *control,
                                   const struct resource *r, struct json_object *shown)
{
    (void)a;
    (void)control;
    json_put_at(shown, "properties.resourceGuid", json_new_text(r->uid));
}

const struct resource_type network_interface_type = {
    .name = "Microsoft.Network/networkInterfaces",
    .description = "network interface",
    .scope = SCOPE_GROUP,
    NETWORK_NAMES(1, 80),
    .is_tracked = true,
    .hides_system_data = true,
    .has_etag = true,
    .refuses = REFUSES_PUT | REFUSES_PATCH,
    .lro = LRO_DELETE,
    .api_versions = network_versions,
    .size = 1,
    .fields = fields,
    .show = network_interface_show,
};

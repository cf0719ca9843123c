/* Private link, seen from the registry: the connections that private endpoints made to it, which
 * its owner approves or rejects, and what an endpoint can connect to. */
#include "controlplane/types/children.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/json.h"

#include "controlplane/api/errors.h"
#include "controlplane/control.h"
#include "controlplane/provision/publish_network.h"
#include "controlplane/store/network.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/private_endpoint.h"
#include "controlplane/types/registry.h"
#include "controlplane/types/rows.h"
#include "controlplane/types/shared.h"
#include "controlplane/types/versions.h"

#define CONNECTION "properties.privateLinkServiceConnectionState."

struct connection {
    char *status;
};

static const char *const connection_states[] = { "Approved", "Pending", "Rejected", "Disconnected",
                                                 NULL };
static const char *const actions_required[] = { "None", "Recreate", NULL };

static const struct field connection_fields[] = {
    { ROW("properties.privateEndpoint.id", FIELD_TEXT), SET_ONCE, .max = ID_MAX_BYTES },
    { ROW_IN(connection, CONNECTION "status", FIELD_TEXT, status), RW_NOCASE,
      .oneof = connection_states, .def = "\"Pending\"" },
    { ROW(CONNECTION "description", FIELD_TEXT), RW, .def = "\"\"", .max = 140 },
    { ROW(CONNECTION "actionsRequired", FIELD_TEXT), RW_NOCASE, .oneof = actions_required,
      .def = "\"None\"" },
    ROW_STATE,
    { 0 },
};

/* What the endpoint's side ended stays ended, and nobody else can say that it did. */
static int connection_validate(struct arena *a, const void *was_, const void *now_,
                               struct error *err)
{
    const struct connection *was = was_, *now = now_;

    (void)a;
    if (!was || text_eq(was->status, now->status))
        return 0;
    if (text_eq(was->status, "Disconnected"))
        return fail_at(err, &E_BAD_REQUEST, CONNECTION "status",
                       "The private endpoint connection is disconnected: its private endpoint has "
                       "to be created again.");
    if (text_eq(now->status, "Disconnected") || text_eq(now->status, "Pending"))
        return fail_at(err, &E_BAD_REQUEST, CONNECTION "status",
                       "A private endpoint connection can be approved or rejected.");
    return 0;
}

const struct resource_type private_endpoint_connection_type = {
    .name = "Microsoft.ContainerRegistry/registries/privateEndpointConnections",
    .description = "private endpoint connection",
    .scope = SCOPE_CHILD,
    .parent = &registry_type,
    .pattern = "[A-Za-z0-9._-]*",
    .name_min = 1,
    .name_max = 128,
    .pattern_text = "a connection is named by its private endpoint.",
    .is_made_elsewhere = true,
    .is_projected = true,
    .moves_parent = true,
    .refuses = REFUSES_PATCH,
    .lro = LRO_PUT | LRO_DELETE,
    .gate = SKU_PREMIUM,
    .api_versions = private_link_versions,
    .size = sizeof(struct connection),
    .fields = connection_fields,
    .validate = connection_validate,
    .hasten = publish_links,
    .revoke = publish_links,
    .quota = TIER_PRIVATE_ENDPOINTS,
};

static const struct field resource_fields[] = {
    { ROW_SHOWN("properties.groupId", FIELD_TEXT) },
    { ROW_SHOWN("properties.requiredMembers", FIELD_TEXT_LIST) },
    { ROW_SHOWN("properties.requiredZoneNames", FIELD_TEXT_LIST) },
    ROW_STATE,
    { 0 },
};

static void add_regions(struct arena *a, const struct resource *registry,
                        const struct resource *below, size_t count, struct json_object *members)
{
    json_add_text(members, arena_printf(a, ENDPOINT_DATA "%s", registry->location));
    for (size_t i = 0; i < count; i++) {
        if (below[i].state != STATE_DELETING &&
            !text_eq(below[i].location, registry->location))
            json_add_text(members, arena_printf(a, ENDPOINT_DATA "%s", below[i].location));
    }
}

/* One member for the registry itself, one for the data endpoint of each region it is in. */
static int resources_derive(struct action_run *run, struct json_object *list, struct error *err)
{
    const struct registry *registry = run->decoded;
    struct json_object *entry = json_new_object();
    struct json_object *members = json_new_array(), *zones = json_new_array();
    const char *place = run->resource->location;
    struct resource *below = NULL;
    size_t count = 0;

    json_own(run->arena, entry);
    json_own(run->arena, members);
    json_own(run->arena, zones);
    if (network_below(run->control->db, run->arena, run->resource->uid,
                      type_key(run->arena, &replication_type), &below, &count, err))
        return -1;
    json_add_text(members, ENDPOINT_GROUP);
    if (text_eq(registry->regional_endpoints, "Enabled"))
        json_add_text(members, arena_printf(run->arena, ENDPOINT_GROUP "_%s", place));
    add_regions(run->arena, run->resource, below, count, members);
    json_add_text(zones, arena_printf(run->arena, "privatelink.cr.%s",
                                      run->control->settings->domain));
    json_set_text(entry, "name", ENDPOINT_GROUP);
    json_put_at(entry, "properties.groupId", json_new_text(ENDPOINT_GROUP));
    json_put_at(entry, "properties.requiredMembers", json_get(members));
    json_put_at(entry, "properties.requiredZoneNames", json_get(zones));
    json_add(list, json_get(entry));
    return 0;
}

const struct resource_type private_link_resource_type = {
    .name = "Microsoft.ContainerRegistry/registries/privateLinkResources",
    .description = "private link resource",
    .scope = SCOPE_CHILD,
    .parent = &registry_type,
    .pattern = "[A-Za-z0-9_]*",
    .name_min = 1,
    .name_max = 64,
    .pattern_text = "private link resources are named by the service.",
    .refuses = REFUSES_WRITES,
    .api_versions = private_link_versions,
    .size = 1,
    .fields = resource_fields,
    .derive = resources_derive,
};

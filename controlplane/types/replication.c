/* Microsoft.ContainerRegistry/registries/replications: one a region. The first one brings the home
 * region's own along, as clients of geo-replicated registries expect to find it. */
#include "controlplane/types/children.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/json.h"

#include "controlplane/api/errors.h"
#include "controlplane/provision/replication_status.h"
#include "controlplane/store/related.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/private_endpoint.h"
#include "controlplane/types/registry.h"
#include "controlplane/types/rows.h"
#include "controlplane/types/shared.h"
#include "controlplane/types/versions.h"

/* The registry service itself, as systemData names it. */
#define SERVICE_APPLICATION "6a0ec4d3-30cb-4a83-91c0-ae56bc0e3d26"

static const struct field fields[] = {
    ROW_STATE,
    { ROW_SHOWN("properties.status", FIELD_JSON) },
    { ROW("properties.regionEndpointEnabled", FIELD_BOOL), RW, .def = "true",
      .since = "2019-12-01-preview/2021-09-01" },
    { ROW("properties.zoneRedundancy", FIELD_TEXT), .flags = FIELD_CREATE_ONLY | FIELD_NOCASE,
      .oneof = states_upper, .def = "\"Disabled\"", .since = "2020-11-01-preview/2021-09-01" },
    { 0 },
};

static int check_region(const struct admission *ad, struct error *err)
{
    const struct resource *r = ad->resource;
    const char *other = NULL;
    int found = resource_child_at(ad->conn, ad->arena, ad->parent->uid, r->type_key, r->location,
                                  r->uid, &other, err);

    if (found <= 0)
        return found;
    return fail_at(err, &E_IN_USE, "location",
                   "The registry is replicated to '%s' already, as '%s'.", r->location, other);
}

static struct json_object *service_data(struct arena *a, const struct resource *like)
{
    const char *at = json_text(like->system_data, "lastModifiedAt");
    struct json_object *data = json_own(a, json_new_object());

    json_set_text(data, "createdBy", SERVICE_APPLICATION);
    json_set_text(data, "createdByType", "Application");
    json_set_text(data, "createdAt", at);
    json_set_text(data, "lastModifiedBy", SERVICE_APPLICATION);
    json_set_text(data, "lastModifiedByType", "Application");
    json_set_text(data, "lastModifiedAt", at);
    return data;
}

static int add_home(const struct admission *ad, struct error *err)
{
    const struct resource *registry = ad->parent;
    struct arena *a = ad->arena;
    char uid[UUID_TEXT_LEN + 1];
    struct resource row = {
        .uid = uid,
        .id = arena_printf(a, "%s/replications/%s", registry->id, registry->location),
        .type_key = ad->resource->type_key,
        .name = registry->location,
        .subscription_id = registry->subscription_id,
        .group_key = registry->group_key,
        .parent_uid = registry->uid,
        .location = registry->location,
        .system_data = service_data(a, ad->resource),
    };

    uuid_new(uid);
    row.key = text_lower(a, row.id);
    return resource_insert_absent(ad->conn, a, &row, true, err) < 0 ? -1 : 0;
}

/* Private endpoints have no address for a region that the registry leaves. */
static int leave_endpoints(const struct admission *ad, struct error *err)
{
    struct resource *registry = NULL;
    int found = resource_by_uid(ad->conn, ad->arena, ad->resource->parent_uid, true, &registry,
                                err);

    if (found <= 0)
        return found;
    return endpoints_settle(ad, registry, ad->resource->location, err);
}

static int replication_admit(const struct admission *ad, struct error *err)
{
    const char *home = NULL;
    int found;

    if (ad->change == CHANGE_DELETE)
        return leave_endpoints(ad, err);
    if (ad->change != CHANGE_CREATE)
        return 0;
    if (text_eq(json_text(ad->parent->body, "properties.policies.softDeletePolicy.status"),
                "enabled"))
        return fail(err, &E_BAD_REQUEST,
                    "Geo-replication is not supported while the soft delete policy is enabled.");
    if (check_region(ad, err))
        return -1;
    found = resource_child_at(ad->conn, ad->arena, ad->parent->uid, ad->resource->type_key,
                              ad->parent->location, "00000000-0000-0000-0000-000000000000", &home,
                              err);
    if (found < 0 || (!found && add_home(ad, err)))
        return -1;
    return endpoints_join(ad, ad->parent, err);
}

static const struct step steps[] = {
    { .name = "status", .ensure = replication_observe },
    { 0 },
};

const struct resource_type replication_type = {
    .name = "Microsoft.ContainerRegistry/registries/replications",
    .description = "replication",
    .scope = SCOPE_CHILD,
    .parent = &registry_type,
    .pattern = "[A-Za-z0-9]*",
    .name_min = 5,
    .name_max = 50,
    .pattern_text = "a replication name has 5 to 50 letters and digits.",
    .is_tracked = true,
    .lro = LRO_PUT | LRO_PATCH | LRO_DELETE,
    .gate = SKU_PREMIUM,
    .moves_parent = true,
    .api_versions = geo_versions,
    .size = 1,
    .fields = fields,
    .steps = steps,
    .admit = replication_admit,
    .quota = TIER_REPLICATIONS,
};

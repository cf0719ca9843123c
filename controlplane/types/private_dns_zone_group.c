/* Microsoft.Network/privateEndpoints/privateDnsZoneGroups: the private DNS zones that carry an
 * endpoint's addresses. The group is linked to its zones; from these links and the addresses the
 * database makes the A records, and takes them away (project_records()). */
#include "controlplane/types/network.h"

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/json.h"

#include "controlplane/api/errors.h"
#include "controlplane/store/network.h"
#include "controlplane/store/related.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/rows.h"
#include "controlplane/types/shared.h"

#define CONFIGS "properties.privateDnsZoneConfigs"
#define ZONES_MAX 5

struct zone_config {
    char *name;
    char *zone_id;
};

struct zone_group {
    struct field_list configs; /* of struct zone_config */
};

static const struct field config_fields[] = {
    { ROW_IN(zone_config, "name", FIELD_TEXT, name), RW_REQUIRED, .min = 1, .max = 80 },
    { ROW_IN(zone_config, "properties.privateDnsZoneId", FIELD_TEXT, zone_id), RW_REQUIRED,
      .max = ID_MAX_BYTES },
    { ROW_SHOWN("properties.recordSets", FIELD_JSON) },
    { ROW_SHOWN("properties.provisioningState", FIELD_TEXT) },
    { ROW_SHOWN("id", FIELD_TEXT) },
    { ROW_SHOWN("etag", FIELD_TEXT) },
    { ROW_SHOWN("type", FIELD_TEXT) },
    { 0 },
};

static const struct field fields[] = {
    { ROW_IN(zone_group, CONFIGS, FIELD_LIST, configs), RW, .def = "[]", .of = config_fields,
      .of_size = sizeof(struct zone_config), .max = ZONES_MAX },
    ROW_STATE,
    { 0 },
};

static int check_alone(const struct admission *ad, struct error *err)
{
    int64_t count = 0;

    if (ad->change != CHANGE_CREATE)
        return 0;
    if (children_alone(ad, ad->parent->uid, &private_dns_zone_group_type, &count, err))
        return -1;
    if (count <= 1)
        return 0;
    return fail(err, &E_BAD_REQUEST,
                "The private endpoint '%s' has a private DNS zone group already; it can have one.",
                ad->parent->name);
}

static int zone_group_admit(const struct admission *ad, struct error *err)
{
    const struct zone_group *group = ad->decoded;
    const struct zone_config *configs;
    const char *zones[ZONES_MAX];
    size_t count = 0;

    if (ad->change == CHANGE_DELETE)
        return 0;
    if (check_alone(ad, err))
        return -1;
    configs = group->configs.items;
    for (; count < group->configs.count; count++) {
        struct resource *zone = NULL;

        if (network_hold(ad, CONFIGS, configs[count].zone_id, &private_dns_zone_type, &zone, err) ||
            network_may_use(ad, "Microsoft.Network/privateDnsZones/join/action", zone->id, err))
            return -1;
        zones[count] = zone->uid;
    }
    if (resource_links_replace(ad->conn, ad->arena, ad->resource->uid, zones, count, err))
        return -1;
    return network_show_endpoint(ad->conn, ad->arena, ad->parent->uid, err);
}

/* The zone's name, from its id. */
static const char *zone_name(const struct json_object *config)
{
    const char *id = json_text(config, "properties.privateDnsZoneId");
    const char *slash = id ? strrchr(id, '/') : NULL;

    return slash ? slash + 1 : "";
}

static struct json_object *records_of(struct arena *a, const struct json_object *config,
                                      const struct json_object *records)
{
    struct json_object *out = json_new_array();

    for (size_t i = 0; i < json_count(records); i++) {
        struct json_object *record = json_copy(json_item(records, i));

        json_set_text(record, "fqdn",
                      arena_printf(a, "%s.%s", json_text(record, "recordSetName"),
                                   zone_name(config)));
        json_add(out, record);
    }
    return out;
}

static void zone_group_show(struct arena *a, struct control *control, const struct resource *r,
                            struct json_object *shown)
{
    struct json_object *configs = json_at(shown, CONFIGS);

    (void)control;
    for (size_t i = 0; i < json_count(configs); i++) {
        struct json_object *config = json_item(configs, i);

        json_set_text(config, "id", arena_printf(a, "%s/privateDnsZoneConfigs/%s", r->id,
                                                 json_text(config, "name")));
        json_set_text(config, "type",
                      "Microsoft.Network/privateEndpoints/privateDnsZoneGroups/"
                      "privateDnsZoneConfigs");
        json_put_at(config, "properties.provisioningState", json_new_text("Succeeded"));
        json_put_at(config, "properties.recordSets",
                    records_of(a, config, json_at(shown, "properties.recordSets")));
    }
}

const struct resource_type private_dns_zone_group_type = {
    .name = "Microsoft.Network/privateEndpoints/privateDnsZoneGroups",
    .description = "private DNS zone group",
    NETWORK_CHILD(private_endpoint_type),
    .api_versions = private_endpoint_versions,
    .size = sizeof(struct zone_group),
    .fields = fields,
    .admit = zone_group_admit,
    .show = zone_group_show,
};

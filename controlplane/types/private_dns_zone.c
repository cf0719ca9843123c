/* Microsoft.Network/privateDnsZones: names that only linked networks see. A zone is born with its SOA
 * record and goes once no network is linked to it. */
#include "controlplane/types/network.h"

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/json.h"

#include "controlplane/api/encode.h"
#include "controlplane/api/errors.h"
#include "controlplane/control.h"
#include "controlplane/store/network.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/rows.h"
#include "controlplane/types/shared.h"

#define LABEL "[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
#define RECORD_SETS_MAX "25000"
#define LINKS_MAX "1000"
#define REGISTERING_LINKS_MAX "100"

static const struct field fields[] = {
    { ROW_SHOWN("properties.maxNumberOfRecordSets", FIELD_INT), .def = RECORD_SETS_MAX },
    { ROW_SHOWN("properties.numberOfRecordSets", FIELD_INT), .def = "0" },
    { ROW_SHOWN("properties.maxNumberOfVirtualNetworkLinks", FIELD_INT), .def = LINKS_MAX },
    { ROW_SHOWN("properties.numberOfVirtualNetworkLinks", FIELD_INT), .def = "0" },
    { ROW_SHOWN("properties.maxNumberOfVirtualNetworkLinksWithRegistration", FIELD_INT),
      .def = REGISTERING_LINKS_MAX },
    { ROW_SHOWN("properties.numberOfVirtualNetworkLinksWithRegistration", FIELD_INT),
      .def = "0" },
    { ROW_SHOWN("properties.internalId", FIELD_TEXT), .since = "2020-06-01" },
    ROW_STATE,
    { 0 },
};

static int add_authority(const struct admission *ad, struct error *err)
{
    const struct resource *zone = ad->resource;
    char uid[UUID_TEXT_LEN + 1];
    struct resource row = {
        .uid = uid,
        .id = arena_printf(ad->arena, "%s/SOA/@", zone->id),
        .type_key = type_key(ad->arena, &private_dns_soa_type),
        .name = "@",
        .subscription_id = zone->subscription_id,
        .group_key = zone->group_key,
        .parent_uid = zone->uid,
        .system_data = zone->system_data,
        .body = json_own(ad->arena, json_new_object()),
        .due_in_ms = NEVER_DUE,
    };

    uuid_new(uid);
    row.key = text_lower(ad->arena, row.id);
    return resource_insert(ad->conn, ad->arena, &row, false, err);
}

static int zone_admit(const struct admission *ad, struct error *err)
{
    struct resource *links = NULL;
    size_t count = 0;

    if (ad->change == CHANGE_CREATE)
        return add_authority(ad, err);
    if (ad->change != CHANGE_DELETE)
        return 0;
    if (network_children(ad, ad->resource, &private_dns_link_type, &links, &count, err))
        return -1;
    if (count == 0)
        return 0;
    return fail(err, &E_NESTED,
                "Cannot delete resource while nested resources exist. Some existing nested resource "
                "IDs include: '%s'. Please delete all nested resources before deleting this "
                "resource.",
                links[0].id);
}

static void zone_show(struct arena *a, struct control *control, const struct resource *r,
                      struct json_object *shown)
{
    (void)control;
    json_put_at(shown, "properties.internalId",
                json_new_text(text_base64(a, r->uid, UUID_TEXT_LEN)));
}

const struct resource_type private_dns_zone_type = {
    .name = "Microsoft.Network/privateDnsZones",
    .description = "private DNS zone",
    .scope = SCOPE_GROUP,
    .pattern = LABEL "(\\." LABEL "){1,33}",
    .name_min = 3,
    .name_max = 253,
    .pattern_text = "a private DNS zone is named by 2 to 34 labels of letters, digits, '-' and '_', "
                    "with dots between them.",
    .is_tracked = true,
    .is_global = true,
    .hides_system_data = true,
    .has_etag = true,
    .is_projected = true,
    .lro = LRO_PUT | LRO_PATCH | LRO_DELETE,
    .api_versions = private_dns_versions,
    .size = 1,
    .fields = fields,
    .admit = zone_admit,
    .show = zone_show,
};

/* Every record set of a zone ---------------------------------------------------------------------- */

static const struct resource_type *const record_types[] = {
    &private_dns_a_type,  &private_dns_aaaa_type, &private_dns_cname_type, &private_dns_mx_type,
    &private_dns_ptr_type, &private_dns_soa_type, &private_dns_srv_type,   &private_dns_txt_type,
};

static const struct resource_type *record_type(struct arena *a, const char *key)
{
    for (size_t i = 0; i < ARRAY_LEN(record_types); i++) {
        if (text_eq(type_key(a, record_types[i]), key))
            return record_types[i];
    }
    return NULL;
}

static int derive_records(struct action_run *run, struct json_object *list, struct error *err)
{
    struct resource *rows = NULL;
    size_t count = 0;

    if (network_below(run->control->db, run->arena, run->resource->uid, NULL, &rows, &count, err))
        return -1;
    for (size_t i = 0; i < count; i++) {
        const struct resource_type *type = record_type(run->arena, rows[i].type_key);

        if (type)
            json_add(list, resource_encode(run->arena, run->control, type, run->api_version,
                                           &rows[i]));
    }
    return 0;
}

static const struct field all_fields[] = { ROW_STATE, { 0 } };

const struct resource_type private_dns_all_type = {
    .name = "Microsoft.Network/privateDnsZones/ALL",
    .description = "record set of a private DNS zone",
    .scope = SCOPE_CHILD,
    .parent = &private_dns_zone_type,
    .pattern = "[^/]*",
    .name_min = 1,
    .name_max = 253,
    .pattern_text = "record sets are named by their type.",
    .refuses = REFUSES_WRITES,
    .api_versions = private_dns_versions,
    .size = 1,
    .fields = all_fields,
    .derive = derive_records,
};

/* Microsoft.Network/virtualNetworks. Subnets and peerings may be spelled out in the body; each is a
 * row of its own all the same, and what a GET shows of them follows from these rows. */
#include "controlplane/types/network.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/network/prefix.h"

#include "controlplane/api/errors.h"
#include "controlplane/provision/publish_network.h"
#include "controlplane/api/etag.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/peering.h"
#include "controlplane/types/rows.h"
#include "controlplane/types/subnet.h"

#define SPACES_MAX 64
#define SUBNETS_MAX 3000
#define PEERINGS_MAX 500

struct virtual_network {
    struct field_texts spaces;
    struct field_list subnets;  /* of struct subnet */
    struct field_list peerings; /* of struct peering */
};

static const struct field fields[] = {
    { ROW_IN(virtual_network, "properties.addressSpace.addressPrefixes", FIELD_TEXT_LIST, spaces),
      RW_REQUIRED, .min = 1, .max = SPACES_MAX },
    { ROW("properties.dhcpOptions.dnsServers", FIELD_TEXT_LIST), RW, .max = 64 },
    { ROW_IN(virtual_network, "properties.subnets", FIELD_LIST, subnets), RW,
      .of = subnet_item_fields, .of_size = sizeof(struct subnet), .max = SUBNETS_MAX },
    { ROW_IN(virtual_network, "properties.virtualNetworkPeerings", FIELD_LIST, peerings), RW,
      .of = peering_item_fields, .of_size = sizeof(struct peering), .max = PEERINGS_MAX },
    { ROW("properties.enableDdosProtection", FIELD_BOOL), RW, .def = "false" },
    { ROW("properties.enableVmProtection", FIELD_BOOL), RW },
    { ROW("properties.encryption", FIELD_JSON), RW, .since = "2022-01-01" },
    { ROW("properties.flowTimeoutInMinutes", FIELD_INT), RW, .min = 4, .max = 30 },
    { ROW("properties.privateEndpointVNetPolicies", FIELD_TEXT), RW, .since = "2024-03-01" },
    { ROW_SHOWN("properties.resourceGuid", FIELD_TEXT) },
    ROW_STATE,
    { 0 },
};

static int virtual_network_validate(struct arena *a, const void *was, const void *now_,
                                    struct error *err)
{
    const struct virtual_network *now = now_;

    (void)a;
    (void)was;
    for (size_t i = 0; i < now->spaces.count; i++) {
        struct cidr space, other;

        if (network_parse_prefix(now->spaces.items[i], "virtualNetwork", &space, err))
            return -1;
        for (size_t j = 0; j < i; j++) {
            if (prefix_parse(now->spaces.items[j], &other) == PREFIX_OK &&
                prefix_overlaps(&space, &other))
                return fail_at(err, &E_INVALID_PARAMETER,
                               "properties.addressSpace.addressPrefixes",
                               "The address prefixes %s and %s overlap.", now->spaces.items[i],
                               now->spaces.items[j]);
        }
    }
    return 0;
}

static const struct network_inline subnets_list = {
    .type = &subnet_type,
    .member = "subnets",
    .may_go = subnet_check_unused,
};
static const struct network_inline peerings_list = {
    .type = &virtual_network_peering_type,
    .member = "virtualNetworkPeerings",
    .came = peering_admit,
};

static int virtual_network_admit(const struct admission *ad, struct error *err)
{
    if (ad->change == CHANGE_DELETE)
        return subnet_check_unused(ad, ad->resource, err);
    if (network_take_inline(ad, &subnets_list, err) || subnets_check(ad, ad->resource, err) ||
        network_take_inline(ad, &peerings_list, err))
        return -1;
    return 0;
}

/* Items as the children themselves show them. */
static void show_items(struct arena *a, const struct resource_type *type, struct json_object *list)
{
    for (size_t i = 0; i < json_count(list); i++) {
        struct json_object *item = json_item(list, i);

        fields_default(type->fields, item);
        json_set_text(item, "type", type->name);
        json_set_text(item, "etag", etag_of(a, item));
    }
}

static void virtual_network_show(struct arena *a, struct control *control,
                                 const struct resource *r, struct json_object *shown)
{
    static const char *const lists[] = { "properties.subnets",
                                         "properties.virtualNetworkPeerings" };

    (void)control;
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        if (!json_at(shown, lists[i]))
            json_put_at(shown, lists[i], json_new_array());
    }
    show_items(a, &subnet_type, json_at(shown, lists[0]));
    show_items(a, &virtual_network_peering_type, json_at(shown, lists[1]));
    json_put_at(shown, "properties.resourceGuid", json_new_text(r->uid));
}

const struct resource_type virtual_network_type = {
    .name = "Microsoft.Network/virtualNetworks",
    .description = "virtual network",
    .scope = SCOPE_GROUP,
    NETWORK_NAMES(2, 64),
    .is_tracked = true,
    .hides_system_data = true,
    .has_etag = true,
    .is_projected = true,
    .lro = LRO_PUT | LRO_DELETE,
    .api_versions = network_versions,
    .size = sizeof(struct virtual_network),
    .fields = fields,
    .actions = virtual_network_actions,
    .validate = virtual_network_validate,
    .admit = virtual_network_admit,
    .hasten = publish_subnets,
    .revoke = publish_subnets,
    .show = virtual_network_show,
};

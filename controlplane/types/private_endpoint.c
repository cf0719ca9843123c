/* Microsoft.Network/privateEndpoints: a registry's addresses in somebody's subnet. Making one makes
 * its network interface, its link, the registry's privateEndpointConnections row and takes its
 * addresses, all in the transaction of the request; deleting it ends all of them in the same way. */
#include "controlplane/types/private_endpoint.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/api/errors.h"
#include "controlplane/control.h"
#include "controlplane/identity/identity.h"
#include "controlplane/provision/publish_network.h"
#include "controlplane/store/network.h"
#include "controlplane/store/related.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/all.h"
#include "controlplane/types/children.h"
#include "controlplane/types/network.h"
#include "controlplane/types/registry.h"
#include "controlplane/types/rows.h"
#include "controlplane/types/shared.h"

#define CONNECTIONS "properties.privateLinkServiceConnections"
#define MANUAL "properties.manualPrivateLinkServiceConnections"
#define INTERFACE_NAME "properties.customNetworkInterfaceName"
#define MESSAGE_MAX 140
#define CONFIGS_MAX 64

static const struct field connection_fields[] = {
    { ROW_IN(endpoint_connection, "name", FIELD_TEXT, name), RW_REQUIRED, .min = 1, .max = 80 },
    { ROW_IN(endpoint_connection, "properties.privateLinkServiceId", FIELD_TEXT, service_id),
      RW_REQUIRED, .max = ID_MAX_BYTES },
    { ROW_IN(endpoint_connection, "properties.groupIds", FIELD_TEXT_LIST, groups), RW, .max = 16 },
    { ROW_IN(endpoint_connection, "properties.requestMessage", FIELD_TEXT, message), RW,
      .max = MESSAGE_MAX },
    { ROW_SHOWN("properties.privateLinkServiceConnectionState", FIELD_JSON) },
    { ROW_SHOWN("properties.provisioningState", FIELD_TEXT) },
    { ROW_SHOWN("id", FIELD_TEXT) },
    { ROW_SHOWN("etag", FIELD_TEXT) },
    { ROW_SHOWN("type", FIELD_TEXT) },
    { 0 },
};

static const struct field config_fields[] = {
    { ROW_IN(endpoint_config, "name", FIELD_TEXT, name), RW_REQUIRED, .min = 1, .max = 80 },
    { ROW_IN(endpoint_config, "properties.privateIPAddress", FIELD_TEXT, address), RW_REQUIRED,
      .max = 45 },
    { ROW_IN(endpoint_config, "properties.groupId", FIELD_TEXT, group), RW, .max = 64 },
    { ROW_IN(endpoint_config, "properties.memberName", FIELD_TEXT, member), RW, .max = 128 },
    { ROW_SHOWN("type", FIELD_TEXT) },
    { ROW_SHOWN("etag", FIELD_TEXT) },
    { 0 },
};

static const struct field fields[] = {
    { ROW_IN(private_endpoint, "properties.subnet.id", FIELD_TEXT, subnet_id), SET_ONCE_REQUIRED,
      .max = ID_MAX_BYTES },
    { ROW_IN(private_endpoint, CONNECTIONS, FIELD_LIST, connections), RW, .def = "[]",
      .of = connection_fields, .of_size = sizeof(struct endpoint_connection), .max = 8 },
    { ROW_IN(private_endpoint, MANUAL, FIELD_LIST, manual), RW, .def = "[]",
      .of = connection_fields, .of_size = sizeof(struct endpoint_connection), .max = 8 },
    { ROW_IN(private_endpoint, "properties.ipConfigurations", FIELD_LIST, configs), RW,
      .def = "[]", .of = config_fields, .of_size = sizeof(struct endpoint_config),
      .max = CONFIGS_MAX, .since = "2021-05-01" },
    { ROW_IN(private_endpoint, INTERFACE_NAME, FIELD_TEXT, interface_name), SET_ONCE, .max = 80,
      .def = "\"\"", .since = "2021-05-01" },
    { ROW_SHOWN("properties.networkInterfaces", FIELD_JSON), .def = "[]" },
    { ROW_SHOWN("properties.customDnsConfigs", FIELD_JSON), .def = "[]" },
    ROW_STATE,
    { 0 },
};

static const struct endpoint_connection *connection_of(const struct private_endpoint *p)
{
    return p->connections.count ? p->connections.items : p->manual.items;
}

static int check_configs(const struct private_endpoint *p, struct error *err)
{
    const struct endpoint_config *configs = p->configs.items;

    for (size_t i = 0; i < p->configs.count; i++) {
        const char *member = configs[i].member;

        if (configs[i].group && configs[i].group[0] &&
            !text_eq_nocase(configs[i].group, ENDPOINT_GROUP))
            return fail_at(err, &E_INVALID_PARAMETER, "properties.ipConfigurations",
                           "A registry has the group '" ENDPOINT_GROUP "', not '%s'.",
                           configs[i].group);
        if (member && member[0] && !text_eq(member, ENDPOINT_GROUP) &&
            !text_starts(member, ENDPOINT_DATA))
            return fail_at(err, &E_INVALID_PARAMETER, "properties.ipConfigurations",
                           "A registry has no member '%s'; its private link resource names them.",
                           member);
    }
    return 0;
}

static int private_endpoint_validate(struct arena *a, const void *was_, const void *now_,
                                     struct error *err)
{
    const struct private_endpoint *was = was_, *now = now_;
    const struct endpoint_connection *c;

    (void)a;
    if (now->connections.count + now->manual.count != 1)
        return fail_at(err, &E_INVALID_PARAMETER, CONNECTIONS,
                       "A private endpoint has exactly one private link service connection.");
    c = connection_of(now);
    if (c->groups.count != 1 || !text_eq_nocase(c->groups.items[0], ENDPOINT_GROUP))
        return fail_at(err, &E_INVALID_PARAMETER, CONNECTIONS ".groupIds",
                       "The group ids of a connection to a registry are [\"" ENDPOINT_GROUP "\"].");
    if (was && (!text_eq_nocase(connection_of(was)->service_id, c->service_id) ||
                was->manual.count != now->manual.count))
        return fail_at(err, &E_CHANGE_NOT_ALLOWED, CONNECTIONS,
                       "Changing property '" CONNECTIONS "' is not allowed.");
    if (!was && now->interface_name[0] &&
        type_name_check(&network_interface_type, now->interface_name, err))
        return -1;
    return check_configs(now, err);
}

/* Creating ------------------------------------------------------------------------------------- */

/* 0 when something has its key. */
static int insert_row(const struct admission *ad, struct resource *row, struct error *err)
{
    row->key = text_lower(ad->arena, row->id);
    row->system_data = ad->resource->system_data;
    row->due_in_ms = NEVER_DUE;
    return resource_insert_absent(ad->conn, ad->arena, row, false, err);
}

static int add_interface(const struct admission *ad, struct error *err)
{
    const struct private_endpoint *p = ad->decoded;
    const struct resource *pe = ad->resource;
    char uid[UUID_TEXT_LEN + 1];
    int inserted;
    struct resource row = {
        .uid = uid,
        .type_key = type_key(ad->arena, &network_interface_type),
        .name = p->interface_name,
        .subscription_id = pe->subscription_id,
        .group_key = pe->group_key,
        .parent_uid = pe->uid,
        .location = pe->location,
        .is_system = true,
    };

    uuid_new(uid);
    if (!row.name[0])
        row.name = arena_printf(ad->arena, "%.40s.nic.%s", pe->name, uid);
    row.id = arena_printf(ad->arena, "%.*s/%s/%s", (int)(strstr(pe->id, "/providers/") - pe->id),
                          pe->id, "providers/Microsoft.Network/networkInterfaces", row.name);
    inserted = insert_row(ad, &row, err);
    if (inserted != 0)
        return inserted < 0 ? -1 : 0;
    return fail_at(err, &E_IN_USE, INTERFACE_NAME,
                   "A network interface '%s' is there already, and is not this endpoint's.",
                   row.name);
}

/* The caller's own registry says yes at once. */
static int first_state(const struct admission *ad, const struct resource *registry,
                       const char **ret, struct error *err)
{
    const struct private_endpoint *p = ad->decoded;

    *ret = "Pending";
    if (p->manual.count)
        return 0;
    if (access_check(ad->control, ad->arena, ad->caller,
                     "Microsoft.ContainerRegistry/registries/privateEndpointConnectionsApproval/"
                     "action", registry->id, err) == 0) {
        *ret = "Approved";
        return 0;
    }
    return err->code == &E_AUTHORIZATION_FAILED ? 0 : -1;
}

static struct json_object *connection_body(struct arena *a, const struct resource *pe,
                                           const struct network_link *link)
{
    struct json_object *body = json_own(a, json_new_object());
    const char *state = "properties.privateLinkServiceConnectionState";

    json_put_at(body, "properties.privateEndpoint.id", json_new_text(pe->id));
    json_put_at(body, arena_printf(a, "%s.status", state), json_new_text(link->state));
    json_put_at(body, arena_printf(a, "%s.description", state), json_new_text(link->description));
    json_put_at(body, arena_printf(a, "%s.actionsRequired", state), json_new_text("None"));
    return body;
}

static int check_quota(const struct admission *ad, const struct resource *registry,
                       struct error *err)
{
    int64_t limit = tier_limit(TIER_PRIVATE_ENDPOINTS, SKU_PREMIUM), used = 0;

    if (children_alone(ad, registry->uid, &private_endpoint_connection_type, &used, err))
        return -1;
    if (used <= limit)
        return 0;
    return fail(err, &E_QUOTA,
                "Quota exceeded for resource type privateEndpointConnections for the registry SKU "
                "Premium. Learn more about SKU features and limits at https://aka.ms/acr/tiers");
}

static int add_connection(const struct admission *ad, const struct resource *registry,
                          struct error *err)
{
    const struct private_endpoint *p = ad->decoded;
    char uid[UUID_TEXT_LEN + 1];
    struct network_link link = {
        .link = uid,
        .endpoint_uid = ad->resource->uid,
        .registry_uid = registry->uid,
        .description = connection_of(p)->message,
    };
    struct resource row = {
        .uid = uid,
        .type_key = type_key(ad->arena, &private_endpoint_connection_type),
        .subscription_id = registry->subscription_id,
        .group_key = registry->group_key,
        .parent_uid = registry->uid,
    };

    uuid_new(uid);
    if (first_state(ad, registry, &link.state, err))
        return -1;
    if (text_eq(link.state, "Approved"))
        link.description = "Auto-Approved";
    else if (!link.description)
        link.description = "";
    row.name = arena_printf(ad->arena, "%s.%s", ad->resource->name, uid);
    row.id = arena_printf(ad->arena, "%s/privateEndpointConnections/%s", registry->id, row.name);
    row.body = connection_body(ad->arena, ad->resource, &link);
    if (network_link_add(ad->conn, ad->arena, &link, err) || insert_row(ad, &row, err) < 0)
        return -1;
    return check_quota(ad, registry, err);
}

/* With its first endpoint a registry hands out its layers from data endpoints, as ACR does. */
static int enable_data_endpoint(const struct admission *ad, struct resource *registry,
                                struct error *err)
{
    if (json_bool(registry->body, "properties.dataEndpointEnabled", false))
        return 0;
    json_put_at(registry->body, "properties.dataEndpointEnabled", json_new_bool(true));
    return resource_update(ad->conn, ad->arena, registry, true, err);
}

static int check_registry(const struct resource *registry, struct error *err)
{
    const char *sku = json_text(registry->body, "sku.name");

    if (!text_eq(sku, sku_text(SKU_PREMIUM)))
        return fail_at(err, &E_SKU_NOT_SUPPORTED, "sku.name",
                       "The SKU %s is not supported. Private endpoints need a registry of the SKU "
                       "Premium.",
                       sku);
    if (json_count(json_at(registry->body, "properties.networkRuleSet.virtualNetworkRules")) > 0)
        return fail(err, &E_BAD_REQUEST,
                    "The registry '%s' has virtual network rules: these and private endpoints "
                    "exclude each other.",
                    registry->name);
    return 0;
}

static int create(const struct admission *ad, struct error *err)
{
    const struct private_endpoint *p = ad->decoded;
    const char *registry_id = connection_of(p)->service_id;
    struct resource *registry = NULL;
    struct endpoint_place place = { .endpoint = ad->resource };

    if (network_hold(ad, CONNECTIONS, registry_id, &registry_type, &registry, err) ||
        check_registry(registry, err) ||
        enable_data_endpoint(ad, registry, err) || add_interface(ad, err) ||
        add_connection(ad, registry, err))
        return -1;
    place.registry = registry;
    return network_may_use(ad, "Microsoft.Network/virtualNetworks/subnets/join/action",
                           p->subnet_id, err) ||
                   endpoint_settle(ad, &place, err)
               ? -1
               : 0;
}

static int update(const struct admission *ad, struct error *err)
{
    struct network_link link = { 0 };
    struct resource *registry = NULL;
    int found = network_link_of(ad->conn, ad->arena, ad->resource->uid, &link, err);

    if (found <= 0 || !link.registry_uid)
        return found < 0 ? -1 : 0;
    found = resource_by_uid(ad->conn, ad->arena, link.registry_uid, true, &registry, err);
    if (found <= 0)
        return found;
    return endpoint_settle(ad, &(struct endpoint_place){ ad->resource, registry, NULL }, err);
}

int private_endpoint_admit(const struct admission *ad, struct error *err)
{
    switch (ad->change) {
    case CHANGE_CREATE:
        return create(ad, err);
    case CHANGE_UPDATE:
        return update(ad, err);
    case CHANGE_DELETE:
        return network_release(ad->conn, ad->arena, ad->resource->uid, err);
    case CHANGE_MAX:
        break;
    }
    return 0;
}

/* Showing -------------------------------------------------------------------------------------- */

static void show_connections(struct arena *a, const struct resource *r, struct json_object *shown,
                             const char *path)
{
    struct json_object *list = json_at(shown, path);

    for (size_t i = 0; i < json_count(list); i++) {
        struct json_object *item = json_item(list, i);
        struct json_object *state = json_at(shown, "properties.connectionState");

        json_set_text(item, "id", arena_printf(a, "%s/%s/%s", r->id, strrchr(path, '.') + 1,
                                               json_text(item, "name")));
        json_set_text(item, "type", arena_printf(a, "Microsoft.Network/privateEndpoints/%s",
                                                 strrchr(path, '.') + 1));
        json_put_at(item, "properties.provisioningState", json_new_text("Succeeded"));
        if (state)
            json_put_at(item, "properties.privateLinkServiceConnectionState", json_copy(state));
    }
}

static void private_endpoint_show(struct arena *a, struct control *control,
                                  const struct resource *r, struct json_object *shown)
{
    (void)control;
    show_connections(a, r, shown, CONNECTIONS);
    show_connections(a, r, shown, MANUAL);
}

struct target {
    const char *key;
    struct resource *registry;
    int found;
};

static int find_registry(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct target *t = ctx;

    t->found = resource_peek(conn, a, t->key, &t->registry, err);
    return t->found < 0 ? -1 : 0;
}

/* Its link ended with it. */
static int private_endpoint_revoke(struct step_run *run, struct error *err)
{
    const struct json_object *body = run->resource->body;
    const struct json_object *connection = json_item(json_at(body, CONNECTIONS), 0);
    const char *id;
    struct target t = { 0 };

    if (!connection)
        connection = json_item(json_at(body, MANUAL), 0);
    id = json_text(connection, "properties.privateLinkServiceId");
    if (!id)
        return 0;
    t.key = text_lower(run->arena, id);
    if (pg_with(run->control->db, run->arena, find_registry, &t, err))
        return -1;
    return t.found ? publish_origins_of(run->control, run->arena, t.registry->uid, err) : 0;
}

const struct resource_type private_endpoint_type = {
    .name = "Microsoft.Network/privateEndpoints",
    .description = "private endpoint",
    .scope = SCOPE_GROUP,
    NETWORK_NAMES(1, 80),
    .is_tracked = true,
    .hides_system_data = true,
    .has_etag = true,
    .is_projected = true,
    .lro = LRO_PUT | LRO_DELETE,
    .api_versions = private_endpoint_versions,
    .size = sizeof(struct private_endpoint),
    .fields = fields,
    .validate = private_endpoint_validate,
    .admit = private_endpoint_admit,
    .revoke = private_endpoint_revoke,
    .show = private_endpoint_show,
};

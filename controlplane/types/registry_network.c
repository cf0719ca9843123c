/* Network rules of a registry: what their values may be, and which of them would decide for a
 * client. The answer comes from the settings as they are published, by the matcher the data planes
 * use. */
#include "controlplane/types/registry_rules.h"

#include <string.h>

#include "common/base/text.h"
#include "common/json/json.h"
#include "common/network/address.h"
#include "common/network/rules.h"

#include "controlplane/api/errors.h"
#include "controlplane/control.h"
#include "controlplane/provision/publish.h"
#include "controlplane/provision/publish_network.h"
#include "controlplane/provision/region.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/registry.h"

#define LINK_MAX 1024

static const char *const services[] = { "None", "TrustedService", "Task", NULL };

const struct field registry_network_request[] = {
    { .path = "ipAddress",
      .kind = FIELD_TEXT,
      .flags = FIELD_RW,
      .offset = FIELD_NO_OFFSET,
      .max = 45 },
    { .path = "link",
      .kind = FIELD_TEXT,
      .flags = FIELD_RW,
      .offset = FIELD_NO_OFFSET,
      .min = 1,
      .max = LINK_MAX },
    { .path = "service",
      .kind = FIELD_TEXT,
      .flags = FIELD_RW | FIELD_NOCASE,
      .offset = FIELD_NO_OFFSET,
      .oneof = services },
    { 0 },
};

/* An IPv4 address or block. Host bits are taken and count for nothing. */
static bool is_ip_rule(const char *value)
{
    struct cidr block;

    return !strchr(value, ':') && cidr_parse(value, &block);
}

static bool is_subnet_id(const char *id)
{
    const char *network = strcasestr(id, "/providers/Microsoft.Network/virtualNetworks/");

    return network && text_starts_nocase(id, "/subscriptions/") && strcasestr(network, "/subnets/");
}

int registry_check_rules(const struct registry *now, struct error *err)
{
    const struct registry_ip_rule *ip = now->ip_rules.items;
    const struct registry_vnet_rule *vnet = now->vnet_rules.items;

    for (size_t i = 0; i < now->ip_rules.count; i++) {
        if (!is_ip_rule(ip[i].value))
            return fail_at(err, &E_INVALID_PARAMETER, "properties.networkRuleSet.ipRules",
                           "'%s' is neither an IPv4 address nor a CIDR range.", ip[i].value);
    }
    for (size_t i = 0; i < now->vnet_rules.count; i++) {
        const char *id = vnet[i].subnet_id ? vnet[i].subnet_id : vnet[i].id;
        if (!id || !is_subnet_id(id))
            return fail_at(err, &E_INVALID_PARAMETER,
                           "properties.networkRuleSet.virtualNetworkRules",
                           "A virtual network rule needs the id of a subnet.");
    }
    return 0;
}

static enum network_service service_of(const char *name)
{
    if (text_eq_nocase(name, services[NETWORK_TRUSTED]))
        return NETWORK_TRUSTED;
    return text_eq_nocase(name, services[NETWORK_TASK]) ? NETWORK_TASK : NETWORK_NO_SERVICE;
}

int registry_check_network(struct action_run *run, struct error *err)
{
    const struct region *region = region_find(run->control->regions, run->resource->location);
    const char *ip = json_text(run->body, "ipAddress"), *link = json_text(run->body, "link");
    struct sockaddr_storage address;
    struct network_origin origin = { .link = link,
                                     .service = service_of(json_text(run->body, "service")) };

    if (!ip && !link)
        return fail_at(err, &E_INVALID_PARAMETER, "ipAddress", "An ipAddress or a link is needed.");
    if (ip && !address_parse(ip, &address))
        return fail_at(err, &E_INVALID_PARAMETER, "ipAddress", "'%s' is no IP address.", ip);
    if (!region)
        return fail(err, &E_INVALID, "The location '%s' is not available in this installation.",
                    run->resource->location);
    if (ip)
        origin.address = (const struct sockaddr *)&address;
    struct json_object *settings = publish_settings(run->control, run->arena, run->resource,
                                                    run->decoded, region);
    if (publish_network(run->control, run->arena, run->resource, settings, err))
        return -1;
    _cleanup_(network_rules_freep) struct network_rules *rules = network_rules_new(settings);
    struct network_verdict verdict = network_decide(rules, &origin);
    json_set_text(run->answer, "access", verdict.is_allowed ? "Allowed" : "Denied");
    json_set_text(run->answer, "decidedBy", network_reason_name(verdict.reason));
    if (verdict.rule)
        json_set_text(run->answer, "rule", verdict.rule);
    return 0;
}

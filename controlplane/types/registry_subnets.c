/* Virtual network rules of a registry, seen from the networks: a rule names a subnet that is there,
 * that the caller may use and that has the service endpoint. Rules that stand already are spared, and
 * a private endpoint excludes them. What is named is noted, so that a subnet finds those that name it. */
#include "controlplane/types/registry_rules.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/json.h"

#include "controlplane/api/errors.h"
#include "controlplane/store/network.h"
#include "controlplane/store/network_rules.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/network.h"
#include "controlplane/types/registry.h"

#define RULES "properties.networkRuleSet.virtualNetworkRules"
#define SERVICE "Microsoft.ContainerRegistry"

/* Both spellings of the member. */
static const char *subnet_of(const struct json_object *rule)
{
    const char *id = json_text(rule, "virtualNetworkSubnetResourceId");

    return id ? id : json_text(rule, "id");
}

static bool is_known(const struct resource *was, const char *id)
{
    const struct json_object *rules = was ? json_at(was->body, RULES) : NULL;

    for (size_t i = 0; i < json_count(rules); i++) {
        if (text_eq_nocase(subnet_of(json_item(rules, i)), id))
            return true;
    }
    return false;
}

static bool has_endpoint(const struct resource *subnet)
{
    const struct json_object *list = json_at(subnet->body, "properties.serviceEndpoints");

    for (size_t i = 0; i < json_count(list); i++) {
        if (text_eq_nocase(json_text(json_item(list, i), "service"), SERVICE))
            return true;
    }
    return false;
}

static int check_rule(const struct admission *ad, const char *id, struct error *err)
{
    struct resource *subnet = NULL;

    if (network_hold(ad, RULES, id, &subnet_type, &subnet, err) ||
        network_may_use(ad, "Microsoft.Network/virtualNetworks/subnets/joinViaServiceEndpoint/"
                            "action", subnet->id, err))
        return -1;
    if (has_endpoint(subnet))
        return 0;
    return fail_at(err, &E_NO_SERVICE_ENDPOINT, RULES,
                   "Subnet %s does not have ServiceEndpoints for " SERVICE " resources configured. "
                   "Add " SERVICE " to subnet's ServiceEndpoints collection before trying to ACL "
                   SERVICE " resources to these subnets.",
                   subnet->id);
}

static int by_text(const void *x, const void *y)
{
    return strcmp(*(const char *const *)x, *(const char *const *)y);
}

const char **registry_named_subnets(struct arena *a, const struct json_object *body, size_t *ret_count)
{
    const struct json_object *rules = json_at(body, RULES);
    const char **named = arena_array(a, json_count(rules) + 1, sizeof(*named));

    *ret_count = 0;
    for (size_t i = 0; i < json_count(rules); i++) {
        const char *id = subnet_of(json_item(rules, i));

        if (id)
            named[(*ret_count)++] = text_lower(a, id);
    }
    qsort(named, *ret_count, sizeof(*named), by_text);
    return named;
}

static int note_named(const struct admission *ad, struct error *err)
{
    size_t count, old_count = 0;
    const char **named = registry_named_subnets(ad->arena, ad->resource->body, &count), **old = NULL;
    bool is_same;

    if (ad->was)
        old = registry_named_subnets(ad->arena, ad->was->body, &old_count);
    is_same = count == old_count;
    for (size_t i = 0; is_same && i < count; i++)
        is_same = text_eq(named[i], old[i]);
    return is_same ? 0 : rules_named_put(ad->conn, ad->arena, ad->resource->uid, named, count, err);
}

static int check_new(const struct admission *ad, struct error *err)
{
    const struct json_object *rules = json_at(ad->resource->body, RULES);
    struct network_link *links = NULL;
    size_t count = 0, added = 0;

    for (size_t i = 0; i < json_count(rules); i++) {
        const char *id = subnet_of(json_item(rules, i));

        if (is_known(ad->was, id))
            continue;
        if (check_rule(ad, id, err))
            return -1;
        added++;
    }
    if (added == 0)
        return 0;
    if (network_links_of(ad->conn, ad->arena, ad->resource->uid, &links, &count, err))
        return -1;
    if (count == 0)
        return 0;
    return fail_at(err, &E_BAD_REQUEST, RULES,
                   "The registry '%s' has private endpoints: these and virtual network rules "
                   "exclude each other.",
                   ad->resource->name);
}

int registry_check_subnets(const struct admission *ad, struct error *err)
{
    return check_new(ad, err) ? -1 : note_named(ad, err);
}

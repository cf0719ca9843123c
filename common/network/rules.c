/* Compiling a registry's network rules, and deciding by them. */
#include "common/network/rules.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/network/address.h"
#include "common/network/ranges.h"

/* Far above what any tier allows; a bound on what a broken projection can make us hold. */
#define RULES_MAX 1000000

/* One subnet or private link may have two names: its id, and the identity it comes with. */
struct name {
    const char *key;
    const char *shown; /* as the rule that decided */
};

struct names {
    struct name *items; /* sorted by key, without case */
    size_t count;
};

struct network_rules {
    struct arena *arena;
    bool is_public, is_default_allow;
    bool may_services, may_tasks;
    const char **values; /* of IP rules, as they were written */
    struct ranges *ranges;
    struct names subnets, links;
    struct names trusted, tasks; /* principals */
};

static const char *const reason_names[NETWORK_REASON_MAX] = {
    [NETWORK_BY_DEFAULT] = "defaultAction",
    [NETWORK_BY_IP_RULE] = "ipRule",
    [NETWORK_BY_SUBNET_RULE] = "virtualNetworkRule",
    [NETWORK_BY_PRIVATE_LINK] = "privateLink",
    [NETWORK_BY_PUBLIC_ACCESS] = "publicNetworkAccess",
    [NETWORK_BY_BYPASS] = "networkRuleBypass",
};

static size_t count_of(const struct json_object *list)
{
    size_t count = json_kind(list) == JSON_ARRAY ? json_count(list) : 0;

    return count < RULES_MAX ? count : RULES_MAX;
}

static void read_ip_rules(struct network_rules *r, const struct json_object *list)
{
    size_t count = count_of(list), n = 0;
    struct cidr *blocks = calloc(count ? count : 1, sizeof(*blocks));

    if (!blocks)
        abort();
    r->values = arena_array(r->arena, count + 1, sizeof(*r->values));
    for (size_t i = 0; i < count; i++) {
        const char *value = json_text(json_item(list, i), "value");
        if (!value || !cidr_parse(value, &blocks[n]))
            continue;
        r->values[n++] = arena_strdup(r->arena, value);
    }
    r->ranges = ranges_new(blocks, (uint32_t)n);
    free(blocks);
}

static int by_key(const void *x, const void *y)
{
    return strcasecmp(((const struct name *)x)->key, ((const struct name *)y)->key);
}

/* Texts, or objects with one of the id members; those with an `identity` are found by it as well. */
static void read_names(struct network_rules *r, const struct json_object *list,
                       const char *const *members, struct names *ret)
{
    size_t count = count_of(list);

    ret->items = arena_array(r->arena, 2 * count + 1, sizeof(*ret->items));
    for (size_t i = 0; i < count; i++) {
        const struct json_object *item = json_item(list, i);
        const char *identity = json_text(item, "identity"), *id = json_text(item, "");

        for (const char *const *m = members; *m && !id; m++)
            id = json_text(item, *m);
        if (!id || !*id)
            continue;
        id = arena_strdup(r->arena, id);
        ret->items[ret->count++] = (struct name){ id, id };
        if (identity && *identity)
            ret->items[ret->count++] = (struct name){ arena_strdup(r->arena, identity), id };
    }
    qsort(ret->items, ret->count, sizeof(*ret->items), by_key);
}

static const char *find_name(const struct names *names, const char *key)
{
    struct name wanted = { .key = key };
    const struct name *found = bsearch(&wanted, names->items, names->count, sizeof(*names->items),
                                       by_key);

    return found ? found->shown : NULL;
}

static void read_service(void *ctx, const char *principal, struct json_object *kind)
{
    struct network_rules *r = ctx;
    bool is_task = text_eq(json_text(kind, ""), "Task");
    struct names *names = is_task ? &r->tasks : &r->trusted;

    if (!is_task && !text_eq(json_text(kind, ""), "TrustedService"))
        return;
    principal = arena_strdup(r->arena, principal);
    names->items[names->count++] = (struct name){ principal, principal };
}

static void read_services(struct network_rules *r, const struct json_object *services)
{
    size_t count = json_kind(services) == JSON_OBJECT ? json_count(services) : 0;

    r->trusted.items = arena_array(r->arena, count + 1, sizeof(struct name));
    r->tasks.items = arena_array(r->arena, count + 1, sizeof(struct name));
    if (count == 0)
        return;
    json_each(services, read_service, r);
    qsort(r->trusted.items, r->trusted.count, sizeof(struct name), by_key);
    qsort(r->tasks.items, r->tasks.count, sizeof(struct name), by_key);
}

/* A private link comes by its uuid; the question of a person names the endpoint. */
static bool is_private_link(const char *link)
{
    return uuid_is_valid(link) || strcasestr(link, "/privateEndpoints/");
}

/* Absent: the first of the two; anything but it is the other. */
static bool is_first(const struct json_object *settings, const char *path, const char *first)
{
    return !json_has(settings, path) || text_eq_nocase(json_text(settings, path), first);
}

struct network_rules *network_rules_new(const struct json_object *settings)
{
    static const char *const subnet_members[] = { "virtualNetworkSubnetResourceId", "id", NULL };
    static const char *const link_members[] = { "id", NULL };
    struct network_rules *r = calloc(1, sizeof(*r));

    if (!r)
        abort();
    r->arena = arena_new();
    r->is_public = is_first(settings, "publicNetworkAccess", "Enabled");
    r->is_default_allow = is_first(settings, "networkRuleSet.defaultAction", "Allow");
    r->may_services = is_first(settings, "networkRuleBypassOptions", "AzureServices");
    r->may_tasks = json_bool(settings, "networkRuleBypassAllowedForTasks", false);
    read_ip_rules(r, json_at(settings, "networkRuleSet.ipRules"));
    read_names(r, json_at(settings, "networkRuleSet.virtualNetworkRules"), subnet_members,
               &r->subnets);
    read_names(r, json_at(settings, "privateLinks"), link_members, &r->links);
    read_services(r, json_at(settings, "networkServices"));
    return r;
}

void network_rules_free(struct network_rules *r)
{
    if (!r)
        return;
    ranges_free(r->ranges);
    arena_free(r->arena);
    free(r);
}

void network_rules_freep(struct network_rules **r)
{
    network_rules_free(*r);
}

static struct network_verdict verdict(bool is_allowed, enum network_reason reason, const char *rule)
{
    return (struct network_verdict){ is_allowed, reason, rule };
}

static bool may_bypass(const struct network_rules *r, enum network_service service)
{
    return (service == NETWORK_TRUSTED && r->may_services) ||
           (service == NETWORK_TASK && r->may_tasks);
}

struct network_verdict network_decide(const struct network_rules *r,
                                      const struct network_origin *origin)
{
    const char *name = origin->link ? find_name(&r->links, origin->link) : NULL;
    uint32_t at;

    if (name)
        return verdict(true, NETWORK_BY_PRIVATE_LINK, name);
    /* A link leads to the registry it was approved for and nowhere else. */
    if (origin->link && is_private_link(origin->link))
        return verdict(false, NETWORK_BY_PRIVATE_LINK, NULL);
    if (may_bypass(r, origin->service))
        return verdict(true, NETWORK_BY_BYPASS, NULL);
    if (!r->is_public)
        return verdict(false, NETWORK_BY_PUBLIC_ACCESS, NULL);
    if (r->is_default_allow)
        return verdict(true, NETWORK_BY_DEFAULT, NULL);
    /* Addresses inside a virtual network mean nothing outside it: no IP rule is for them. */
    if (origin->link) {
        name = find_name(&r->subnets, origin->link);
        return name ? verdict(true, NETWORK_BY_SUBNET_RULE, name)
                    : verdict(false, NETWORK_BY_DEFAULT, NULL);
    }
    at = ranges_find(r->ranges, origin->address);
    if (at == RANGES_NONE)
        return verdict(false, NETWORK_BY_DEFAULT, NULL);
    return verdict(true, NETWORK_BY_IP_RULE, r->values[at]);
}

bool network_has_bypass(const struct network_rules *r)
{
    return r->may_services || (r->may_tasks && r->tasks.count > 0);
}

enum network_service network_service_of(const struct network_rules *r, const char *principal)
{
    if (find_name(&r->tasks, principal))
        return NETWORK_TASK;
    return find_name(&r->trusted, principal) ? NETWORK_TRUSTED : NETWORK_NO_SERVICE;
}

const char *network_reason_name(enum network_reason reason)
{
    return reason_names[reason];
}

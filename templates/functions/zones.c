/* Availability zones and the deprecated providers(). This service maps physical and logical zones
 * one to one: zone "2" of eastus is "eastus-az2". */
#include <strings.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "templates/functions/families.h"
#include "templates/functions/function.h"
#include "templates/language/template.h"

#define ZONES 3

static const char *const zonal_regions[] = {
    "australiaeast",  "brazilsouth",   "canadacentral", "centralindia",  "centralus",
    "eastasia",       "eastus",        "eastus2",       "francecentral", "germanywestcentral",
    "israelcentral",  "italynorth",    "japaneast",     "koreacentral",  "mexicocentral",
    "northeurope",    "norwayeast",    "polandcentral", "qatarcentral",  "southafricanorth",
    "southcentralus", "southeastasia", "spaincentral",  "swedencentral", "switzerlandnorth",
    "uaenorth",       "uksouth",       "westeurope",    "westus2",       "westus3",
};

static const char *const zonal_types[] = {
    "microsoft.compute/virtualmachines",
    "microsoft.compute/disks",
    "microsoft.compute/virtualmachinescalesets",
    "microsoft.containerregistry/registries",
    "microsoft.containerservice/managedclusters",
    "microsoft.network/applicationgateways",
    "microsoft.network/azurefirewalls",
    "microsoft.network/loadbalancers",
    "microsoft.network/natgateways",
    "microsoft.network/publicipaddresses",
};

static bool listed(const char *const *list, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (!strcasecmp(list[i], name))
            return true;
    return false;
}

/* "West US 2" is westus2 */
static const char *region_name(struct arena *a, const char *s)
{
    char *out = arena_alloc(a, strlen(s) + 1);
    size_t n = 0;
    for (; *s; s++)
        if (*s != ' ')
            out[n++] = *s;
    return text_lower(a, out);
}

int fn_pick_zones(struct call *c, const struct value **ret, struct error *err)
{
    const struct value *space, *type, *region;
    int64_t wanted = 1, offset = 0;
    if (arg_text(c, 0, &space, err) < 0 || arg_text(c, 1, &type, err) < 0 ||
        arg_text(c, 2, &region, err) < 0 || (c->argc > 3 && arg_int(c, 3, &wanted, err) < 0) ||
        (c->argc > 4 && arg_int(c, 4, &offset, err) < 0))
        return -1;
    char *full = arena_printf(c->arena, "%s/%s", space->text, type->text);
    *ret = &value_empty_array;
    if (!listed(zonal_types, ARRAY_LEN(zonal_types), full) ||
        !listed(zonal_regions, ARRAY_LEN(zonal_regions), region_name(c->arena, region->text)))
        return 0;
    if (wanted < 1 || offset < 0 || offset >= ZONES || wanted > ZONES - offset)
        return call_fail(c, err,
                         "the number of zones and the offset must lie within the '%d' zones "
                         "of the region.",
                         ZONES);
    const struct value **items;
    if (call_items(c, (size_t)wanted, &items, err) < 0)
        return -1;
    for (int64_t i = 0; i < wanted; i++)
        items[i] = value_text(c->arena, arena_printf(c->arena, "%d", (int)(offset + i + 1)));
    *ret = value_array(c->arena, items, (size_t)wanted);
    return 0;
}

static const struct value *logical(struct call *c, const char *physical)
{
    const char *zone = strrchr(physical, '-');
    bool is_zone =
        zone && !strncasecmp(zone, "-az", 3) && zone[3] >= '1' && zone[3] <= '3' && !zone[4];
    return value_text(c->arena, is_zone ? zone + 3 : "");
}

static const struct value *physical(struct call *c, const char *region, const char *zone)
{
    bool is_zone = zone[0] >= '1' && zone[0] <= '3' && !zone[1];
    if (!is_zone)
        return &value_empty_text;
    char *text = arena_printf(c->arena, "%s-az%s", region_name(c->arena, region), zone);
    return value_text(c->arena, text);
}

/* The arguments (subscription, region, zone or zones), mapped. */
static int map_zones(struct call *c, bool to_logical, bool is_list, const struct value **ret,
                     struct error *err)
{
    const struct value *subscription, *region, *zones, **items;
    if (arg_text(c, 0, &subscription, err) < 0 || arg_text(c, 1, &region, err) < 0 ||
        (is_list ? arg_array(c, 2, &zones, err) : arg_text(c, 2, &zones, err)) < 0)
        return -1;
    if (!is_list) {
        *ret = to_logical ? logical(c, zones->text) : physical(c, region->text, zones->text);
        return 0;
    }
    if (call_items(c, zones->count, &items, err) < 0)
        return -1;
    for (size_t i = 0; i < zones->count; i++) {
        const char *zone = value_string(zones->items[i]);
        if (!zone)
            return arg_wrong(c, 2, "an array of strings", err);
        items[i] = to_logical ? logical(c, zone) : physical(c, region->text, zone);
    }
    *ret = value_array(c->arena, items, zones->count);
    return 0;
}

int fn_to_logical_zone(struct call *c, const struct value **ret, struct error *err)
{
    return map_zones(c, true, false, ret, err);
}

int fn_to_logical_zones(struct call *c, const struct value **ret, struct error *err)
{
    return map_zones(c, true, true, ret, err);
}

int fn_to_physical_zone(struct call *c, const struct value **ret, struct error *err)
{
    return map_zones(c, false, false, ret, err);
}

int fn_to_physical_zones(struct call *c, const struct value **ret, struct error *err)
{
    return map_zones(c, false, true, ret, err);
}

static const struct value *find_named(const struct value *list, const char *key, const char *name)
{
    for (size_t i = 0; value_is(list, VALUE_ARRAY) && i < list->count; i++)
        if (text_eq_nocase(value_string(value_get(list->items[i], key)), name))
            return list->items[i];
    return NULL;
}

/* From the catalogue the caller gives; what it does not list has no types, places or versions. */
int fn_providers(struct call *c, const struct value **ret, struct error *err)
{
    const struct value *space, *type = NULL;
    if (arg_text(c, 0, &space, err) < 0 || (c->argc > 1 && arg_text(c, 1, &type, err) < 0))
        return -1;
    const struct value *catalogue = &value_empty_array;
    if (c->env->scope->providers)
        catalogue = value_import(c->arena, c->env->scope->providers, NULL);
    const struct value *found = find_named(catalogue, "namespace", space->text);
    struct object_builder b;
    object_start(&b, c->arena, 3);
    if (type) {
        found = find_named(value_get(found, "resourceTypes"), "resourceType", type->text);
        object_puts(&b, "resourceType", type);
        object_puts(&b, "locations", &value_empty_array);
        object_puts(&b, "apiVersions", &value_empty_array);
    } else {
        object_puts(&b, "namespace", space);
        object_puts(&b, "resourceTypes", &value_empty_array);
    }
    *ret = found ? found : object_end(&b);
    return 0;
}

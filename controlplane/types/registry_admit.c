/* What a registry's creation brings with it, and what below it stands in the way of a change: the
 * SKU goes up and down as long as everything there is fits. */
#include "controlplane/types/registry_rules.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/str.h"
#include "common/base/text.h"
#include "common/json/json.h"

#include "controlplane/api/errors.h"
#include "controlplane/provision/usage.h"
#include "controlplane/store/related.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/private_endpoint.h"
#include "controlplane/types/registry.h"
#include "controlplane/types/scope_map.h"
#include "controlplane/types/shared.h"

#define REASONS_MAX_BYTES 700

static void add_reason(struct str *reasons, const char *what, int64_t count, int64_t limit)
{
    str_printf(reasons, "%s%lld %s", reasons->len ? ", " : "", (long long)count, what);
    if (limit > 0)
        str_printf(reasons, " (at most %lld)", (long long)limit);
    else
        str_printf(reasons, " (not available)");
}

/* Names every kind of child that the SKU has no room for. */
static int check_children(const struct admission *ad, enum sku sku, struct str *reasons,
                          struct error *err)
{
    for (const struct resource_type *const *t = all_types; *t; t++) {
        int64_t limit = (*t)->gate > sku ? 0 : tier_limit((*t)->quota, sku);
        int64_t count = 0;

        if ((*t)->parent != &registry_type || limit == TIER_UNLIMITED)
            continue;
        if (children_of(ad, ad->resource->uid, *t, &count, err))
            return -1;
        if (count > limit)
            add_reason(reasons, strrchr((*t)->name, '/') + 1, count, limit);
    }
    return 0;
}

static int check_size(const struct admission *ad, enum sku was, enum sku now, struct str *reasons,
                      struct error *err)
{
    int64_t limit = tier_limit(TIER_STORAGE_BYTES, now);
    int64_t bytes = 0;

    if (tier_limit(TIER_STORAGE_BYTES, was) <= limit)
        return 0;
    if (registry_size_bytes(ad->control, ad->arena, ad->resource, &bytes, err))
        return -1;
    if (bytes > limit)
        add_reason(reasons, "bytes of storage", bytes, limit);
    return 0;
}

/* The registry's row is locked, and creates below it hold it shared: the counts stand. */
static int check_downgrade(const struct admission *ad, enum sku was, enum sku now,
                           struct error *err)
{
    _cleanup_(str_done) struct str reasons;

    str_init(&reasons, REASONS_MAX_BYTES);
    if (check_children(ad, now, &reasons, err) || check_size(ad, was, now, &reasons, err))
        return -1;
    if (reasons.len == 0)
        return 0;
    return fail_at(err, &E_SKU_NOT_SUPPORTED, "sku.name",
                   "The SKU cannot be changed from %s to %s: the registry has %s. Delete what does "
                   "not fit first. Learn more about SKU features and limits at "
                   "https://aka.ms/acr/tiers",
                   sku_text(was), sku_text(now), reasons.data);
}

/* Settings that some children exclude. */
static const struct conflict {
    const char *path, *value; /* the setting that is being chosen */
    const char *child;        /* type below registries, in lower case */
    const char *message;
} conflicts[] = {
    { "properties.policies.exportPolicy.status", "disabled", "exportpipelines",
      "Exports cannot be disabled while the registry has export pipelines." },
    { "properties.policies.softDeletePolicy.status", "enabled", "replications",
      "The soft delete policy is not supported for a geo-replicated registry." },
    { "properties.policies.softDeletePolicy.status", "enabled", "cacherules",
      "The soft delete policy is not supported for a registry with cache rules." },
};

static int check_conflicts(const struct admission *ad, struct error *err)
{
    const char *prefix = type_key(ad->arena, &registry_type);

    for (size_t i = 0; i < ARRAY_LEN(conflicts); i++) {
        const struct conflict *x = &conflicts[i];
        int64_t count = 0;

        if (!text_eq(json_text(ad->resource->body, x->path), x->value) ||
            text_eq(json_text(ad->was->body, x->path), x->value))
            continue;
        if (resource_usage(ad->conn, ad->arena, ad->resource->uid,
                           arena_printf(ad->arena, "%s/%s", prefix, x->child), &count, err))
            return -1;
        if (count > 0)
            return fail_at(err, &E_BAD_REQUEST, x->path, "%s", x->message);
    }
    return 0;
}

static bool is_data_endpoint(const struct resource *registry)
{
    return json_bool(registry->body, "properties.dataEndpointEnabled", false);
}

int registry_admit(const struct admission *ad, struct error *err)
{
    enum sku was, now;

    if (ad->change == CHANGE_CREATE)
        return registry_check_label(ad->resource->global_name, err) ||
                       registry_check_subnets(ad, err) || scope_maps_seed(ad, err)
                   ? -1
                   : 0;
    if (ad->change != CHANGE_UPDATE)
        return 0;
    was = registry_type.sku(ad->was->body);
    now = registry_type.sku(ad->resource->body);
    if (now < was && check_downgrade(ad, was, now, err))
        return -1;
    if (check_conflicts(ad, err) || registry_check_subnets(ad, err))
        return -1;
    if (is_data_endpoint(ad->was) == is_data_endpoint(ad->resource))
        return 0;
    return endpoints_settle(ad, ad->resource, NULL, err);
}

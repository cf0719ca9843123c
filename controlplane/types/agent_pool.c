/* Microsoft.ContainerRegistry/registries/agentPools: machines of a registry's own that its tasks
 * run on. All pools of a registry share one quota of processors. */
#include "controlplane/types/children.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/json.h"

#include "controlplane/api/errors.h"
#include "controlplane/control.h"
#include "controlplane/store/related.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/registry.h"
#include "controlplane/types/rows.h"
#include "controlplane/types/shared.h"
#include "controlplane/types/versions.h"

/* Of all pools of a registry: Azure documentation, "Run tasks in a dedicated agent pool". */
#define PROCESSORS_MAX 16
#define POOLS_MAX 1000

struct agent_pool {
    int64_t count;
    char *tier;
};

static const char *const tiers[] = { "S1", "S2", "S3", "I6", NULL };
static const int64_t tier_processors[] = { 2, 4, 8, 64 };
static const char *const systems[] = { "Linux", "Windows", NULL };

static const struct field fields[] = {
    { ROW_IN(agent_pool, "properties.count", FIELD_INT, count), RW, .def = "1", .min = 0,
      .max = 1000 },
    { ROW_IN(agent_pool, "properties.tier", FIELD_TEXT, tier),
      .flags = FIELD_CREATE_ONLY | FIELD_NOCASE, .oneof = tiers, .def = "\"S1\"" },
    { ROW("properties.os", FIELD_TEXT), .flags = FIELD_CREATE_ONLY | FIELD_NOCASE,
      .oneof = systems, .def = "\"Linux\"" },
    { ROW("properties.virtualNetworkSubnetResourceId", FIELD_TEXT), SET_ONCE,
      .max = ID_MAX_BYTES },
    ROW_STATE,
    { 0 },
};

static int64_t processors_of(const char *tier, int64_t count)
{
    for (size_t i = 0; tiers[i]; i++) {
        if (text_eq(tier, tiers[i]))
            return count * tier_processors[i];
    }
    return 0;
}

/* Writes of a registry's pools take turns, so that no two find the same room. */
static int agent_pool_admit(const struct admission *ad, struct error *err)
{
    const struct agent_pool *now = ad->decoded;
    struct resource *pools = NULL;
    size_t count = 0;
    int64_t sum;

    if (ad->change == CHANGE_DELETE)
        return 0;
    if (children_alone(ad, ad->parent->uid, &agent_pool_type, &sum, err) ||
        resource_children(ad->conn, ad->arena, ad->parent->uid, ad->resource->type_key, POOLS_MAX,
                          &pools, &count, err))
        return -1;
    sum = processors_of(now->tier, now->count);
    for (size_t i = 0; i < count; i++) {
        if (!text_eq(pools[i].uid, ad->resource->uid))
            sum += processors_of(json_text(pools[i].body, "properties.tier"),
                                 json_int(pools[i].body, "properties.count", 0));
    }
    if (sum <= PROCESSORS_MAX)
        return 0;
    return fail_at(err, &E_QUOTA, "properties.count",
                   "Quota exceeded for resource type agentPools: the pools of the registry would "
                   "have %lld processors, of at most %d.",
                   (long long)sum, PROCESSORS_MAX);
}

static int list_queue_status(struct action_run *run, struct error *err)
{
    struct json_object *like = json_own(run->arena, json_new_object());
    int64_t count = 0;

    json_put_at(like, "properties.status", json_new_text("Queued"));
    json_put_at(like, "properties.agentPoolName", json_new_text(run->resource->name));
    if (resource_count_like(run->control->db, run->arena, run->resource->parent_uid,
                            type_key(run->arena, &run_type), like, &count, err))
        return -1;
    json_set_int(run->answer, "count", count);
    return 0;
}

static const struct action actions[] = {
    { .name = "listQueueStatus",
      .method = "POST",
      .rbac = "listQueueStatus/action",
      .description = "Gets the count of queued runs for a given agent pool.",
      .run = list_queue_status },
    { 0 },
};

const struct resource_type agent_pool_type = {
    .name = "Microsoft.ContainerRegistry/registries/agentPools",
    .description = "agent pool",
    .scope = SCOPE_CHILD,
    .parent = &registry_type,
    .pattern = "[A-Za-z0-9-]*",
    .name_min = 3,
    .name_max = 20,
    .pattern_text = "an agent pool name has 3 to 20 letters, digits and '-'.",
    .is_tracked = true,
    .lro = LRO_PUT | LRO_PATCH | LRO_DELETE,
    .gate = SKU_PREMIUM,
    .api_versions = task_versions,
    .size = sizeof(struct agent_pool),
    .fields = fields,
    .actions = actions,
    .admit = agent_pool_admit,
};

/* Resource groups: a location, tags, and a delete that removes what is inside first. */
#include "controlplane/types/resource_group.h"

#include "common/base/arena.h"
#include "common/base/text.h"

#include "controlplane/control.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/all.h"
#include "controlplane/types/versions.h"

/* Short: what is inside a group mostly goes within a second, and the operation's owner waits. */
#define EMPTY_RETRY_MS 200
/* There is nothing to observe. */
#define GROUP_DRIFT_MS (24 * 3600 * 1000)

struct resource_group {
    char *managed_by;
};

static const struct field fields[] = {
    { .path = "managedBy",
      .kind = FIELD_TEXT,
      .flags = FIELD_CREATE_ONLY,
      .offset = offsetof(struct resource_group, managed_by),
      .max = 1024 },
    { .path = "properties.provisioningState",
      .kind = FIELD_TEXT,
      .flags = FIELD_READ_ONLY,
      .offset = FIELD_NO_OFFSET },
    { 0 },
};

/* A group is there as soon as its row is. */
static bool group_is_made(const struct resource *r)
{
    (void)r;
    return true;
}

static enum verdict group_exists(struct step_run *run, struct error *err)
{
    (void)run;
    (void)err;
    return VERDICT_DONE;
}

/* Types whose delete is over with their row: nobody works on these. */
static const char **plain_types(struct arena *a, size_t *ret_count)
{
    const char **list;
    size_t count = 0;

    while (all_types[count])
        count++;
    list = arena_array(a, count + 1, sizeof(*list));
    *ret_count = 0;
    for (size_t i = 0; i < count; i++)
        if (!all_types[i]->steps)
            list[(*ret_count)++] = text_lower(a, all_types[i]->name);
    return list;
}

static enum verdict group_empty(struct step_run *run, struct error *err)
{
    size_t count = 0;
    const char **plain = plain_types(run->arena, &count);
    int64_t left = 0;

    if (resource_empty_group(run->control->db, run->arena, run->resource->subscription_id,
                             run->resource->group_key, plain, count, &left, err))
        return VERDICT_FAILED;
    if (left == 0)
        return VERDICT_DONE;
    run->retry_ms = EMPTY_RETRY_MS;
    return VERDICT_WAIT;
}

static const struct step steps[] = {
    { .name = "contents", .ensure = group_exists, .undo = group_empty },
    { 0 },
};

const struct resource_type resource_group_type = {
    .name = "Microsoft.Resources/resourceGroups",
    .rbac = "Microsoft.Resources/subscriptions/resourceGroups",
    .description = "Resource group",
    .scope = SCOPE_SUBSCRIPTION,
    .pattern = "[-A-Za-z0-9_.()]*[-A-Za-z0-9_()]",
    .name_min = 1,
    .name_max = 90,
    .pattern_text = "it may have 1 to 90 letters, digits, '-', '_', '(', ')' and '.', and may not "
                    "end with '.'.",
    .is_tracked = true,
    .hides_system_data = true,
    .lro = LRO_DELETE,
    .api_versions = resources_versions,
    .size = sizeof(struct resource_group),
    .fields = fields,
    .steps = steps,
    .is_made = group_is_made,
    .drift_ms = GROUP_DRIFT_MS,
};

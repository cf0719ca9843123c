/* Microsoft.ContainerRegistry/registries/scopeMaps. Each action is
 * "repositories/{repository}/{content|metadata}/{read|write|delete}" (metadata has no delete),
 * where the repository may end in a slash and a star, or be a lone star; connected registries have
 * "gateway/{name}/{config|message}/{read|write}". Changing a map changes what tokens may do. */
#include "controlplane/types/scope_map.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/json.h"

#include "controlplane/api/errors.h"
#include "controlplane/provision/publish_tokens.h"
#include "controlplane/store/leases.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/registry.h"
#include "controlplane/types/rows.h"
#include "controlplane/types/shared.h"
#include "controlplane/types/versions.h"

#define REQUEST_MAY_TAKE_MS 2000
#define ACTIONS_MAX 500 /* and as many repositories: each action names one */
#define WORD "[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*"
#define REPOSITORY "(\\*|" WORD "(/" WORD ")*(/\\*)?)"
#define ACTION_PATTERN                                                                             \
    "repositories/" REPOSITORY "/(content/(read|write|delete)|metadata/(read|write))|"             \
    "gateway/[A-Za-z0-9]+/(config|message)/(read|write)"

struct scope_map {
    struct field_texts actions;
};

static const struct field fields[] = {
    { ROW("properties.description", FIELD_TEXT), RW, .max = 256 },
    { ROW_SHOWN("properties.type", FIELD_TEXT) },
    ROW_CREATED,
    ROW_STATE,
    { ROW_IN(scope_map, "properties.actions", FIELD_TEXT_LIST, actions), RW_REQUIRED,
      .pattern = ACTION_PATTERN, .max = ACTIONS_MAX },
    { 0 },
};

#define ALL_CONTENT_READ "repositories/*/content/read"
#define ALL_CONTENT_WRITE "repositories/*/content/write"
#define ALL_CONTENT_DELETE "repositories/*/content/delete"
#define ALL_METADATA_READ "repositories/*/metadata/read"
#define ALL_METADATA_WRITE "repositories/*/metadata/write"

static const struct {
    const char *name, *description;
    const char *actions[6];
} system_maps[] = {
    { "_repositories_admin", "Can perform all read, write and delete operations on the registry",
      { ALL_METADATA_READ, ALL_METADATA_WRITE, ALL_CONTENT_READ, ALL_CONTENT_WRITE,
        ALL_CONTENT_DELETE, NULL } },
    { "_repositories_pull", "Can pull any repository of the registry", { ALL_CONTENT_READ, NULL } },
    { "_repositories_pull_metadata_read", "Can perform all read operations on the registry",
      { ALL_CONTENT_READ, ALL_METADATA_READ, NULL } },
    { "_repositories_push", "Can push to any repository of the registry",
      { ALL_CONTENT_READ, ALL_CONTENT_WRITE, NULL } },
    { "_repositories_push_metadata_write",
      "Can perform all read and write operations on the registry",
      { ALL_METADATA_READ, ALL_METADATA_WRITE, ALL_CONTENT_READ, ALL_CONTENT_WRITE, NULL } },
};

static void scope_map_show(struct arena *a, struct control *control,
                           const struct resource *resource, struct json_object *shown)
{
    show_created(a, control, resource, shown);
    json_put_at(shown, "properties.type",
                json_new_text(resource->is_system ? "SystemDefined" : "UserDefined"));
}

static int scope_map_validate(struct arena *a, const void *was, const void *now_,
                              struct error *err)
{
    const struct scope_map *now = now_;

    (void)a;
    (void)was;
    if (now->actions.count == 0)
        return fail_at(err, &E_INVALID_PARAMETER, "properties.actions",
                       "A scope map needs at least one action.");
    return 0;
}

/* The request publishes the map itself, if a token has it; the registry's pass does where that was not to be,
 * because a database or the process failed in between. */
static int scope_map_admit(const struct admission *admission, struct error *err)
{
    if (admission->change != CHANGE_UPDATE)
        return 0;
    return lease_wake_later(admission->conn, admission->arena, admission->parent->uid,
                            admission->resource->uid, REQUEST_MAY_TAKE_MS, admission->hastens, err);
}

static int scope_map_hasten(struct step_run *run, struct error *err)
{
    return publish_scope_map(run->control, run->arena, run->resource, run->parent, err) < 0 ? -1 : 0;
}

static struct json_object *system_body(struct arena *a, size_t i)
{
    struct json_object *body = json_own(a, json_new_object());
    struct json_object *actions = json_new_array();

    for (const char *const *action = system_maps[i].actions; *action; action++)
        json_add_text(actions, *action);
    json_put_at(body, "properties.description", json_new_text(system_maps[i].description));
    json_put_at(body, "properties.actions", actions);
    return body;
}

int scope_maps_seed(const struct admission *registry, struct error *err)
{
    struct arena *a = registry->arena;
    const struct resource *parent = registry->resource;

    for (size_t i = 0; i < ARRAY_LEN(system_maps); i++) {
        char uid[UUID_TEXT_LEN + 1];
        struct resource row = {
            .uid = uid,
            .id = arena_printf(a, "%s/scopeMaps/%s", parent->id, system_maps[i].name),
            .type_key = type_key(a, &scope_map_type),
            .name = system_maps[i].name,
            .subscription_id = parent->subscription_id,
            .group_key = parent->group_key,
            .parent_uid = parent->uid,
            .body = system_body(a, i),
            .system_data = parent->system_data,
            .is_system = true,
            .due_in_ms = NEVER_DUE,
        };

        uuid_new(uid);
        row.key = text_lower(a, row.id);
        if (resource_insert(registry->conn, a, &row, false, err))
            return wrap(err, "scope map %s", row.name);
    }
    return 0;
}

const struct resource_type scope_map_type = {
    .name = "Microsoft.ContainerRegistry/registries/scopeMaps",
    .description = "scope map",
    .scope = SCOPE_CHILD,
    .parent = &registry_type,
    .pattern = "[A-Za-z0-9_-]*",
    .name_min = 5,
    .name_max = 50,
    .pattern_text = "a scope map name has 5 to 50 letters, digits, '-' and '_'.",
    .is_created_with_200 = true,
    .api_versions = scope_map_versions,
    .size = sizeof(struct scope_map),
    .fields = fields,
    .validate = scope_map_validate,
    .admit = scope_map_admit,
    .hasten = scope_map_hasten,
    .show = scope_map_show,
    .quota = TIER_SCOPE_MAPS,
};

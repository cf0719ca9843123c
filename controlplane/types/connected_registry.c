/* Microsoft.ContainerRegistry/registries/connectedRegistries: registries on other premises that
 * synchronise with this one, as tokens of it. */
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
#include "controlplane/types/token.h"
#include "controlplane/types/versions.h"

#define SYNC "properties.parent.syncProperties."
#define CLIENTS_MAX 50
#define NAMED_MAX (CLIENTS_MAX + 2) /* clients, sync token, parent */
#define DURATION_PATTERN "P([0-9]+W|([0-9]+D)?(T([0-9]+H)?([0-9]+M)?([0-9]+S)?)?)"
#define CRON_PATTERN "[^ ]+( [^ ]+){4}"
#define NOTIFICATION_PATTERN "[a-z0-9*][a-z0-9._/*-]*(:[A-Za-z0-9_*][A-Za-z0-9._*-]*)?(:[a-z*]+)?"

struct connected_registry {
    char *mode;
    char *parent_id; /* NULL: the registry itself */
    char *token_id;
    struct field_texts client_ids;
};

static const char *const modes[] = { "ReadWrite", "ReadOnly", "Registry", "Mirror", NULL };
static const char *const log_levels[] = { "Debug", "Information", "Warning", "Error", "None",
                                          NULL };

static const struct field fields[] = {
    ROW_STATE,
    { ROW_IN(connected_registry, "properties.mode", FIELD_TEXT, mode),
      .flags = FIELD_CREATE_ONLY | FIELD_REQUIRED | FIELD_NOCASE, .oneof = modes },
    { ROW_SHOWN("properties.version", FIELD_TEXT) },
    { ROW_SHOWN("properties.connectionState", FIELD_TEXT), .def = "\"Offline\"" },
    { ROW_SHOWN("properties.lastActivityTime", FIELD_TIME) },
    { ROW_SHOWN("properties.activation.status", FIELD_TEXT), .def = "\"Inactive\"" },
    { ROW_IN(connected_registry, "properties.parent.id", FIELD_TEXT, parent_id), SET_ONCE,
      .max = ID_MAX_BYTES },
    { ROW_IN(connected_registry, SYNC "tokenId", FIELD_TEXT, token_id), SET_ONCE_REQUIRED,
      .max = ID_MAX_BYTES },
    { ROW(SYNC "schedule", FIELD_TEXT), RW, .max = 128, .pattern = CRON_PATTERN,
      .def = "\"* * * * *\"" },
    { ROW(SYNC "syncWindow", FIELD_TEXT), RW, .max = 32, .pattern = DURATION_PATTERN },
    { ROW(SYNC "messageTtl", FIELD_TEXT), RW_REQUIRED, .max = 32, .pattern = DURATION_PATTERN },
    { ROW_SHOWN(SYNC "lastSyncTime", FIELD_TIME) },
    { ROW_SHOWN(SYNC "gatewayEndpoint", FIELD_TEXT) },
    { ROW_IN(connected_registry, "properties.clientTokenIds", FIELD_TEXT_LIST, client_ids), RW,
      .def = "[]", .max = CLIENTS_MAX },
    { ROW_SHOWN("properties.loginServer", FIELD_JSON) },
    { ROW("properties.logging.logLevel", FIELD_TEXT), RW_NOCASE, .oneof = log_levels,
      .def = "\"Information\"" },
    { ROW("properties.logging.auditLogStatus", FIELD_TEXT), RW_NOCASE, .oneof = states_upper,
      .def = "\"Disabled\"" },
    { ROW_SHOWN("properties.statusDetails", FIELD_JSON), .def = "[]" },
    { ROW("properties.notificationsList", FIELD_TEXT_LIST), RW, .def = "[]", .max = 100,
      .pattern = NOTIFICATION_PATTERN, .since = "2022-02-01-preview/2025-04-01" },
    { ROW("properties.garbageCollection.enabled", FIELD_BOOL), RW, .def = "true",
      .since = "2024-11-01-preview/2025-11-01" },
    { ROW("properties.garbageCollection.schedule", FIELD_TEXT), RW, .max = 128,
      .pattern = CRON_PATTERN, .def = "\"0 0 * * *\"",
      .since = "2024-11-01-preview/2025-11-01" },
    { ROW_SHOWN("properties.registrySyncResult", FIELD_JSON), .since = "2026-03-01-preview" },
    { 0 },
};

/* A PATCH spells the sync properties without the parent around them. */
static void connected_registry_reshape(struct json_object *request)
{
    struct json_object *sync = json_at(request, "properties.syncProperties");

    if (!sync || json_has(request, "properties.parent.syncProperties"))
        return;
    json_put_at(request, "properties.parent.syncProperties", json_get(sync));
    json_unset(json_at(request, "properties"), "syncProperties");
}

struct named {
    const char *uids[NAMED_MAX];
    size_t count;
};

static int hold(const struct admission *ad, struct named *named, const char *target,
                const char *id, const struct resource_type *type, struct resource **ret,
                struct error *err)
{
    if (sibling_hold(ad, target, id, type, ret, err))
        return -1;
    named->uids[named->count++] = (*ret)->uid;
    return 0;
}

static bool is_writable(const char *mode)
{
    return text_eq(mode, "ReadWrite") || text_eq(mode, "Registry");
}

static int check_parent(const struct admission *ad, const struct connected_registry *now,
                        struct named *named, struct error *err)
{
    struct resource *above = NULL;

    if (!now->parent_id || text_eq_nocase(now->parent_id, ad->parent->id))
        return 0;
    if (hold(ad, named, "properties.parent.id", now->parent_id, &connected_registry_type, &above,
             err))
        return -1;
    if (is_writable(now->mode) && !is_writable(json_text(above->body, "properties.mode")))
        return fail_at(err, &E_BAD_REQUEST, "properties.mode",
                       "A connected registry in mode %s needs a parent that can be written to.",
                       now->mode);
    return 0;
}

static int connected_registry_admit(const struct admission *ad, struct error *err)
{
    const struct connected_registry *now = ad->decoded;
    struct named named = { .count = 0 };
    struct resource *token = NULL;

    if (ad->change == CHANGE_DELETE)
        return 0;
    if (ad->change == CHANGE_CREATE &&
        !json_bool(ad->parent->body, "properties.dataEndpointEnabled", false))
        return fail(err, &E_BAD_REQUEST,
                    "A connected registry needs the data endpoint of its registry: set "
                    "dataEndpointEnabled first.");
    if (check_parent(ad, now, &named, err) ||
        hold(ad, &named, SYNC "tokenId", now->token_id, &token_type, &token, err))
        return -1;
    for (size_t i = 0; i < now->client_ids.count; i++) {
        if (hold(ad, &named, "properties.clientTokenIds", now->client_ids.items[i], &token_type,
                 &token, err))
            return -1;
    }
    return resource_links_replace(ad->conn, ad->arena, ad->resource->uid, named.uids, named.count,
                                  err);
}

static int put_inactive(void *ctx, struct arena *a, struct resource *r, struct error *err)
{
    (void)ctx;
    (void)a;
    (void)err;
    json_put_at(r->status, "properties.activation.status", json_new_text("Inactive"));
    return 0;
}

/* One that was never activated is what was asked for already. */
static int deactivate(struct action_run *run, struct error *err)
{
    const struct resource_edit edit = { .key = run->resource->key, .edit = put_inactive };
    struct resource *row = NULL;

    run->answer = NULL;
    if (!text_eq(json_text(run->resource->status, "properties.activation.status"), "Active"))
        return 0;
    return resource_edit(run->control->db, run->arena, &edit, &row, err) < 0 ? -1 : 0;
}

static const struct action actions[] = {
    { .name = "deactivate",
      .method = "POST",
      .rbac = "deactivate/action",
      .description = "Deactivates the connected registry instance.",
      .run = deactivate },
    { 0 },
};

static const struct filter_member filters[] = {
    { "ParentId", "properties.parent.id" },
    { "Mode", "properties.mode" },
    { "ConnectionState", "properties.connectionState" },
    { 0 },
};

const struct resource_type connected_registry_type = {
    .name = "Microsoft.ContainerRegistry/registries/connectedRegistries",
    .description = "connected registry",
    .scope = SCOPE_CHILD,
    .parent = &registry_type,
    .pattern = "[A-Za-z0-9]*",
    .name_min = 5,
    .name_max = 50,
    .pattern_text = "a connected registry name has 5 to 50 letters and digits.",
    .lro = LRO_PUT | LRO_PATCH | LRO_DELETE,
    .gate = SKU_PREMIUM,
    .api_versions = connected_versions,
    .size = sizeof(struct connected_registry),
    .fields = fields,
    .filters = filters,
    .actions = actions,
    .reshape = connected_registry_reshape,
    .admit = connected_registry_admit,
    .quota = TIER_CONNECTED_REGISTRIES,
};

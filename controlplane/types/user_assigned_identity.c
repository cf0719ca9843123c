/* User-assigned identities: principals that live as long as their resource. The directory's row is
 * made and removed by the database with the resource's own (make_identity()), so no way of
 * deleting one leaves an identity behind. The principal's id is the resource's uid. */
#include "controlplane/types/user_assigned_identity.h"

#include "common/base/arena.h"
#include "common/json/json.h"

#include "controlplane/control.h"
#include "controlplane/store/related.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/all.h"
#include "controlplane/types/shared.h"

struct user_assigned_identity {
    char *isolation_scope;
};

static const char *const versions[] = { "2024-11-30", "2023-01-31", "2018-11-30", "2015-08-31",
                                        "2025-05-31-preview", "2025-01-31-preview",
                                        "2023-07-31-preview", "2022-01-31-preview",
                                        "2021-09-30-preview", "2015-08-31-preview", NULL };
static const char *const isolation_scopes[] = { "None", "Regional", NULL };

static const struct field fields[] = {
    { .path = "properties.isolationScope",
      .kind = FIELD_TEXT,
      .flags = FIELD_RW | FIELD_NOCASE,
      .offset = offsetof(struct user_assigned_identity, isolation_scope),
      .def = "\"None\"",
      .oneof = isolation_scopes,
      .since = "2025-05-31-preview" },
    { .path = "properties.tenantId",
      .kind = FIELD_TEXT,
      .flags = FIELD_READ_ONLY,
      .offset = FIELD_NO_OFFSET },
    { .path = "properties.principalId",
      .kind = FIELD_TEXT,
      .flags = FIELD_READ_ONLY,
      .offset = FIELD_NO_OFFSET },
    { .path = "properties.clientId",
      .kind = FIELD_TEXT,
      .flags = FIELD_READ_ONLY,
      .offset = FIELD_NO_OFFSET },
    { .path = "properties.provisioningState",
      .kind = FIELD_TEXT,
      .flags = FIELD_READ_ONLY,
      .offset = FIELD_NO_OFFSET,
      .since = "9999-01-01" }, /* in no version: the provider tells no state */
    { 0 },
};

static void show(struct arena *a, struct control *control, const struct resource *r,
                 struct json_object *shown)
{
    json_put_at(shown, "properties.tenantId", json_new_text(control->tenant_id));
    json_put_at(shown, "properties.principalId", json_new_text(r->uid));
    json_put_at(shown, "properties.clientId", json_new_text(identity_client_id(a, r->uid)));
}

/* Those that offered it; later ones do not. */
static const char *const listing_versions[] = { "2022-01-31-preview", "2021-09-30-preview", NULL };

/* The types whose resources may have identities. */
static size_t types_with_identities(struct arena *a, const char ***ret)
{
    size_t count = 0;

    for (const struct resource_type *const *t = all_types; *t; t++)
        count++;
    *ret = arena_array(a, count + 1, sizeof(**ret));
    count = 0;
    for (const struct resource_type *const *t = all_types; *t; t++) {
        if (fields_find((*t)->fields, "identity.userAssignedIdentities"))
            (*ret)[count++] = type_key(a, *t);
    }
    return count;
}

static struct json_object *show_user(const struct identity_user *user)
{
    struct json_object *out = json_new_object();

    json_set_text(out, "id", user->id);
    json_set_text(out, "name", user->name);
    json_set_text(out, "type", user->type_key);
    json_set_text(out, "resourceGroup", user->group_key);
    json_set_text(out, "subscriptionId", user->subscription_id);
    json_set_text(out, "subscriptionDisplayName", user->subscription_name);
    return out;
}

static int list_users(struct action_run *run, struct error *err)
{
    struct json_object *value = json_new_array();
    struct identity_user *users = NULL;
    const char **types = NULL;
    size_t type_count = types_with_identities(run->arena, &types), count = 0;

    json_set(run->answer, "value", value);
    if (resource_identity_users(run->control->db, run->arena, run->resource->key, types, type_count,
                                &users, &count, err))
        return -1;
    for (size_t i = 0; i < count; i++)
        json_add(value, show_user(&users[i]));
    json_set_int(run->answer, "totalCount", (int64_t)count);
    return 0;
}

static const struct action actions[] = {
    { .name = "listAssociatedResources",
      .method = "POST",
      .rbac = "listAssociatedResources/action",
      .description = "Lists the resources that the identity is given to",
      .api_versions = listing_versions,
      .run = list_users },
    { 0 },
};

const struct resource_type user_assigned_identity_type = {
    .name = "Microsoft.ManagedIdentity/userAssignedIdentities",
    .description = "User-assigned managed identity",
    .scope = SCOPE_GROUP,
    .pattern = "[A-Za-z0-9][-A-Za-z0-9_]*",
    .name_min = 3,
    .name_max = 128,
    .pattern_text = "it must have 3 to 128 letters, digits, '-' and '_', and start with a letter "
                    "or a digit.",
    .is_tracked = true,
    .api_versions = versions,
    .size = sizeof(struct user_assigned_identity),
    .fields = fields,
    .actions = actions,
    .show = show,
};

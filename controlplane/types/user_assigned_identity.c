/* User-assigned identities: principals that live as long as their resource. The directory's row is
 * made and removed by the database with the resource's own (make_identity()), so no way of
 * deleting one leaves an identity behind. The principal's id is the resource's uid. */
#include "controlplane/types/user_assigned_identity.h"

#include "common/json/json.h"

#include "controlplane/control.h"
#include "controlplane/store/resources.h"
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
    .show = show,
};

/* Microsoft.ContainerRegistry/registries/credentialSets: which key vault secrets sign in to an
 * upstream registry. Whether they can be read shows when a cache rule uses them, not here. */
#include "controlplane/types/children.h"

#include "common/base/text.h"

#include "controlplane/api/errors.h"
#include "controlplane/types/registry.h"
#include "controlplane/types/rows.h"
#include "controlplane/types/shared.h"
#include "controlplane/types/versions.h"

struct credential_set {
    struct field_list credentials;
};

static const char *const credential_names[] = { "Credential1", NULL };

static const struct field credential_fields[] = {
    { ROW("name", FIELD_TEXT), RW_NOCASE, .oneof = credential_names, .def = "\"Credential1\"" },
    { ROW("usernameSecretIdentifier", FIELD_TEXT), RW_REQUIRED, .max = 1024,
      .pattern = HTTPS_PATTERN },
    { ROW("passwordSecretIdentifier", FIELD_TEXT), RW_REQUIRED, .max = 1024,
      .pattern = HTTPS_PATTERN },
    { ROW_SHOWN("credentialHealth", FIELD_JSON) },
    { 0 },
};

static const struct field fields[] = {
    ROWS_IDENTITY,
    { ROW("properties.loginServer", FIELD_TEXT), SET_ONCE_REQUIRED, .max = 256,
      .pattern = "[A-Za-z0-9.-]+(:[0-9]+)?" },
    { ROW_IN(credential_set, "properties.authCredentials", FIELD_LIST, credentials), RW_REQUIRED,
      .of = credential_fields, .of_size = 1, .max = 1 },
    ROW_CREATED,
    ROW_STATE,
    { 0 },
};

static int credential_set_validate(struct arena *a, const void *was, const void *now_,
                                   struct error *err)
{
    const struct credential_set *now = now_;

    (void)a;
    (void)was;
    if (now->credentials.count == 1)
        return 0;
    return fail_at(err, &E_INVALID_PARAMETER, "properties.authCredentials",
                   "A credential set has exactly one authentication credential.");
}

const struct resource_type credential_set_type = {
    .name = "Microsoft.ContainerRegistry/registries/credentialSets",
    .description = "credential set",
    .scope = SCOPE_CHILD,
    .parent = &registry_type,
    .pattern = "[A-Za-z0-9-]*",
    .name_min = 5,
    .name_max = 50,
    .pattern_text = "a credential set name has 5 to 50 letters, digits and '-'.",
    .lro = LRO_PUT | LRO_PATCH | LRO_DELETE,
    .api_versions = cache_versions,
    .size = sizeof(struct credential_set),
    .fields = fields,
    .validate = credential_set_validate,
    .show = show_created,
};

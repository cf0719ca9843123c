/* Template specs: templates that are kept in the installation, in versions, for deployments to name
 * by id. The templates inside are kept as they are; they are checked when they are deployed. */
#include "controlplane/types/template_spec.h"

#include "controlplane/types/rows.h"

#define NAME_PATTERN "[-A-Za-z0-9_.()]*[-A-Za-z0-9_()]"
#define NAME_TEXT                                                                                  \
    "it must have 1 to 90 letters, digits, '-', '_', '(', ')' and '.', and not end with '.'."

static const char *const versions[] = { "2022-02-01", "2021-05-01", "2021-03-01-preview",
                                        "2019-06-01-preview", NULL };

/* In no version: the provider tells no state. */
#define NO_STATE { ROW_SHOWN("properties.provisioningState", FIELD_TEXT), .since = "9999-01-01" }

static const struct field spec_fields[] = {
    { ROW("properties.description", FIELD_TEXT), RW, .max = 4096 },
    { ROW("properties.displayName", FIELD_TEXT), RW, .max = 64 },
    { ROW("properties.metadata", FIELD_JSON), RW },
    { ROW_SHOWN("properties.versions", FIELD_JSON) },
    NO_STATE,
    { 0 },
};

static const struct field version_fields[] = {
    { ROW("properties.description", FIELD_TEXT), RW, .max = 4096 },
    { ROW("properties.metadata", FIELD_JSON), RW },
    { ROW("properties.mainTemplate", FIELD_JSON), RW },
    { ROW("properties.linkedTemplates", FIELD_JSON), RW },
    { ROW("properties.artifacts", FIELD_JSON), RW },
    { ROW("properties.template", FIELD_JSON), RW },
    { ROW("properties.uiFormDefinition", FIELD_JSON), RW },
    NO_STATE,
    { 0 },
};

const struct resource_type template_spec_type = {
    .name = "Microsoft.Resources/templateSpecs",
    .description = "template spec",
    .scope = SCOPE_GROUP,
    .pattern = NAME_PATTERN,
    .name_min = 1,
    .name_max = 90,
    .pattern_text = NAME_TEXT,
    .is_tracked = true,
    .api_versions = versions,
    .fields = spec_fields,
};

const struct resource_type template_spec_version_type = {
    .name = "Microsoft.Resources/templateSpecs/versions",
    .description = "version of a template spec",
    .scope = SCOPE_CHILD,
    .parent = &template_spec_type,
    .pattern = NAME_PATTERN,
    .name_min = 1,
    .name_max = 90,
    .pattern_text = NAME_TEXT,
    .is_tracked = true,
    .api_versions = versions,
    .fields = version_fields,
};

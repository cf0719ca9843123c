/* Microsoft.ContainerRegistry/registries/packages/{type}/archives and their versions: which packages of
 * a distribution a registry offers. They are kept and shown; the kind of package is a part of the path
 * and no resource that anybody asks for. */
#include "controlplane/types/children.h"

#include "common/base/arena.h"
#include "common/json/json.h"

#include "controlplane/control.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/registry.h"
#include "controlplane/types/rows.h"
#include "controlplane/types/versions.h"

static const char *const sources[] = { "remote", NULL };

#define ARCHIVE_NAME                                                                               \
    .scope = SCOPE_CHILD, .pattern = "[A-Za-z0-9-]*", .name_min = 5, .name_max = 200,              \
    .pattern_text = "it has 5 to 200 letters, digits and '-'.", .size = 1,                         \
    .api_versions = archive_versions

static const struct field package_fields[] = { ROW_STATE, { 0 } };

const struct resource_type package_type = {
    .name = "Microsoft.ContainerRegistry/registries/packages",
    .description = "kind of package",
    .scope = SCOPE_CHILD,
    .parent = &registry_type,
    .pattern = "[A-Za-z]*",
    .name_min = 3,
    .name_max = 50,
    .pattern_text = "a kind of package has 3 to 50 letters.",
    .is_implied = true,
    .api_versions = archive_versions,
    .size = 1,
    .fields = package_fields,
};

static const struct field archive_fields[] = {
    { ROW("properties.packageSource.type", FIELD_TEXT), RW_NOCASE, .oneof = sources },
    { ROW("properties.packageSource.url", FIELD_TEXT), RW, .max = 2048 },
    { ROW("properties.publishedVersion", FIELD_TEXT), RW, .max = 256 },
    { ROW("properties.repositoryEndpointPrefix", FIELD_TEXT), SET_ONCE, .max = 256 },
    { ROW_SHOWN("properties.repositoryEndpoint", FIELD_TEXT) },
    ROW_STATE,
    { 0 },
};

/* "<login server>/<prefix, or the archive's name>"; the registry's label comes with the row. */
static void archive_show(struct arena *a, struct control *control, const struct resource *resource,
                         struct json_object *shown)
{
    const char *prefix = json_text(shown, "properties.repositoryEndpointPrefix");
    const struct resource registry = { .global_name = json_text(shown, "properties.registryLabel") };

    if (registry.global_name)
        json_put_at(shown, "properties.repositoryEndpoint",
                    json_new_text(arena_printf(a, "%s/%s",
                                               registry_login_server(a, control, &registry),
                                               prefix ? prefix : resource->name)));
}

const struct resource_type archive_type = {
    ARCHIVE_NAME,
    .name = "Microsoft.ContainerRegistry/registries/packages/archives",
    .description = "archive",
    .parent = &package_type,
    .is_projected = true,
    .lro = LRO_PUT | LRO_DELETE,
    .fields = archive_fields,
    .show = archive_show,
};

static const struct field version_fields[] = {
    ROW_STATE,
    { ROW_SHOWN("properties.archiveVersionErrorMessage", FIELD_TEXT) },
    { 0 },
};

const struct resource_type archive_version_type = {
    ARCHIVE_NAME,
    .name = "Microsoft.ContainerRegistry/registries/packages/archives/versions",
    .description = "version of an archive",
    .parent = &archive_type,
    .refuses = REFUSES_PATCH,
    .lro = LRO_PUT | LRO_DELETE,
    .is_body_optional = true,
    .fields = version_fields,
};

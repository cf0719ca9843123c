/* Transfer of artifacts through storage: where an export goes, where an import comes from, and runs
 * of either. Pipelines are kept; a run says that transfers are not carried out by this
 * installation. */
#include "controlplane/types/children.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/json.h"

#include "controlplane/api/errors.h"
#include "controlplane/store/related.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/registry.h"
#include "controlplane/types/rows.h"
#include "controlplane/types/shared.h"
#include "controlplane/types/versions.h"

#define SAS "SasToken"

static const char *const containers[] = { "AzureStorageBlobContainer", NULL };
static const char *const blobs[] = { "AzureStorageBlob", NULL };
static const char *const access_modes[] = { "SasToken", "ManagedIdentity", NULL };
static const char *const options[] = { "OverwriteTags", "OverwriteBlobs",
                                       "DeleteSourceBlobOnSuccess", "ContinueOnErrors", NULL };

struct pipeline {
    char *uri, *key_vault_uri, *access_mode;
};

/* Both ends look alike; `end` is properties.target or properties.source. */
#define ROWS_END(end)                                                                              \
    { ROW(end ".type", FIELD_TEXT), RW_NOCASE, .oneof = containers,                                \
      .def = "\"AzureStorageBlobContainer\"" },                                                    \
    { ROW_IN(pipeline, end ".uri", FIELD_TEXT, uri), RW_REQUIRED, .max = 2048,                     \
      .pattern = HTTPS_PATTERN },                                                                  \
    { ROW_IN(pipeline, end ".keyVaultUri", FIELD_TEXT, key_vault_uri), RW, .max = 2048,            \
      .pattern = HTTPS_PATTERN },                                                                  \
    { ROW_IN(pipeline, end ".storageAccessMode", FIELD_TEXT, access_mode), RW_NOCASE,              \
      .oneof = access_modes, .def = "\"" SAS "\"", .since = "2025-06-01-preview" }
#define ROW_OPTIONS                                                                                \
    { ROW("properties.options", FIELD_TEXT_LIST), RW_NOCASE, .oneof = options, .def = "[]",        \
      .max = 4 }
#define ROW_LOCATION { ROW("location", FIELD_TEXT), SET_ONCE, .max = 64 }

static const struct field export_fields[] = {
    ROW_LOCATION,
    ROWS_IDENTITY,
    ROWS_END("properties.target"),
    ROW_OPTIONS,
    ROW_STATE,
    { 0 },
};

static const struct field import_fields[] = {
    ROW_LOCATION,
    ROWS_IDENTITY,
    ROWS_END("properties.source"),
    ROW_OPTIONS,
    { ROW("properties.trigger.sourceTrigger.status", FIELD_TEXT), RW_NOCASE,
      .oneof = states_upper, .def = "\"Enabled\"" },
    ROW_STATE,
    { 0 },
};

static int pipeline_validate(struct arena *a, const void *was, const void *now_, struct error *err)
{
    const struct pipeline *now = now_;

    (void)a;
    (void)was;
    if (text_eq(now->access_mode, SAS) && !now->key_vault_uri)
        return fail_at(err, &E_BAD_REQUEST, "properties.keyVaultUri",
                       "Storage that is reached with a SAS token needs the keyVaultUri of the "
                       "secret it stands in.");
    return 0;
}

static int export_admit(const struct admission *ad, struct error *err)
{
    if (ad->change == CHANGE_CREATE &&
        text_eq(json_text(ad->parent->body, "properties.policies.exportPolicy.status"),
                "disabled"))
        return fail(err, &E_BAD_REQUEST,
                    "Export pipelines are not supported because the registry has exports "
                    "disabled.");
    return 0;
}

#define PIPELINE_COMMON                                                                            \
    .scope = SCOPE_CHILD, .parent = &registry_type, .pattern = "[A-Za-z0-9]*", .name_min = 5,      \
    .name_max = 50, .pattern_text = "a pipeline name has 5 to 50 letters and digits.",             \
    .refuses = REFUSES_PATCH, .lro = LRO_PUT | LRO_DELETE, .gate = SKU_PREMIUM,                    \
    .api_versions = transfer_versions, .size = sizeof(struct pipeline),                            \
    .validate = pipeline_validate

const struct resource_type export_pipeline_type = {
    PIPELINE_COMMON,
    .name = "Microsoft.ContainerRegistry/registries/exportPipelines",
    .description = "export pipeline",
    .fields = export_fields,
    .admit = export_admit,
};

const struct resource_type import_pipeline_type = {
    PIPELINE_COMMON,
    .name = "Microsoft.ContainerRegistry/registries/importPipelines",
    .description = "import pipeline",
    .fields = import_fields,
};

/* Runs ----------------------------------------------------------------------------------------- */

struct pipeline_run {
    char *pipeline_id;
};

static const struct field run_fields[] = {
    { ROW_IN(pipeline_run, "properties.request.pipelineResourceId", FIELD_TEXT, pipeline_id),
      RW_REQUIRED, .max = ID_MAX_BYTES },
    { ROW("properties.request.artifacts", FIELD_TEXT_LIST), RW, .def = "[]", .max = 50 },
    { ROW("properties.request.source.type", FIELD_TEXT), RW_NOCASE, .oneof = blobs },
    { ROW("properties.request.source.name", FIELD_TEXT), RW, .max = 1024 },
    { ROW("properties.request.target.type", FIELD_TEXT), RW_NOCASE, .oneof = blobs },
    { ROW("properties.request.target.name", FIELD_TEXT), RW, .max = 1024 },
    { ROW("properties.request.catalogDigest", FIELD_TEXT), RW, .max = 256 },
    { ROW("properties.forceUpdateTag", FIELD_TEXT), RW, .max = 256 },
    { ROW_SHOWN("properties.response", FIELD_JSON) },
    ROW_STATE,
    { 0 },
};

static int pipeline_run_admit(const struct admission *ad, struct error *err)
{
    const struct pipeline_run *now = ad->decoded;
    struct resource *pipeline = NULL;
    bool is_export;

    if (ad->change == CHANGE_DELETE)
        return 0;
    is_export = strcasestr(now->pipeline_id, "/exportPipelines/") != NULL;
    return sibling_hold(ad, "properties.request.pipelineResourceId", now->pipeline_id,
                        is_export ? &export_pipeline_type : &import_pipeline_type, &pipeline, err);
}

static enum verdict transfer(struct step_run *run, struct error *err)
{
    (void)fail(err, &E_NOT_SUPPORTED,
               "Transfers through storage are not carried out by this installation.");
    json_put_at(run->status, "properties.response.status", json_new_text("Failed"));
    json_put_at(run->status, "properties.response.pipelineRunErrorMessage",
                json_new_text(err->message));
    return VERDICT_FAILED;
}

static const struct step run_steps[] = {
    { .name = "transfer", .ensure = transfer },
    { 0 },
};

const struct resource_type pipeline_run_type = {
    .name = "Microsoft.ContainerRegistry/registries/pipelineRuns",
    .description = "pipeline run",
    .scope = SCOPE_CHILD,
    .parent = &registry_type,
    .pattern = "[A-Za-z0-9]*",
    .name_min = 5,
    .name_max = 50,
    .pattern_text = "a pipeline run name has 5 to 50 letters and digits.",
    .refuses = REFUSES_PATCH,
    .lro = LRO_PUT | LRO_DELETE,
    .gate = SKU_PREMIUM,
    .api_versions = transfer_versions,
    .size = sizeof(struct pipeline_run),
    .fields = run_fields,
    .steps = run_steps,
    .admit = pipeline_run_admit,
};

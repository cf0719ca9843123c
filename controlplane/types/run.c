/* Runs of tasks: taskRuns ask for one by a PUT, runs are the records of what ran. Nothing runs in
 * this installation, which a taskRun and the record of a scheduled run say by having failed; records
 * are read, filtered, kept, archived and called off all the same. */
#include "controlplane/types/children.h"

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/json/json.h"

#include "controlplane/api/errors.h"
#include "controlplane/control.h"
#include "controlplane/storage/link.h"
#include "controlplane/storage/run_log.h"
#include "controlplane/store/related.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/registry.h"
#include "controlplane/types/shared.h"
#include "controlplane/types/task_rows.h"
#include "controlplane/types/versions.h"

#define REQUEST "properties.runRequest"

/* taskRuns ------------------------------------------------------------------------------------- */

static const struct field task_run_fields[] = {
    ROWS_IDENTITY,
    { ROW("location", FIELD_TEXT), SET_ONCE, .max = 64 },
    ROW_STATE,
    REQUEST_ROWS(REQUEST "."),
    { ROW_SHOWN("properties.runResult", FIELD_JSON) },
    { ROW("properties.forceUpdateTag", FIELD_TEXT), RW, .max = 256 },
    { 0 },
};

static int task_run_precheck(struct arena *a, const struct json_object *body, struct error *err)
{
    return task_kind_check(a, task_request_kinds, body, REQUEST, err);
}

static void task_run_stamp(struct arena *a, const struct json_object *was,
                           struct json_object *now, const char *time)
{
    (void)was;
    (void)time;
    task_kind_settle(a, task_request_kinds, now, REQUEST);
}

static void task_run_show(struct arena *a, struct control *control,
                          const struct resource *resource, struct json_object *shown)
{
    (void)control;
    (void)resource;
    task_arguments_hide(a, shown, REQUEST);
}

static int task_run_details(struct action_run *run, struct error *err)
{
    (void)err;
    answer_details(run, &task_run_type);
    return 0;
}

static enum verdict start_run(struct step_run *run, struct error *err)
{
    (void)run;
    (void)fail(err, &E_NOT_SUPPORTED, "Tasks are not run by this installation.");
    return VERDICT_FAILED;
}

static const struct step task_run_steps[] = {
    { .name = "run", .ensure = start_run },
    { 0 },
};

static const struct action task_run_actions[] = {
    { .name = "listDetails",
      .method = "POST",
      .rbac = "listDetails/action",
      .description = "Gets the detailed information for a given task run, with all secrets.",
      .run = task_run_details },
    { 0 },
};

const struct resource_type task_run_type = {
    .name = "Microsoft.ContainerRegistry/registries/taskRuns",
    .description = "task run",
    .scope = SCOPE_CHILD,
    .parent = &registry_type,
    .pattern = "[A-Za-z0-9-]*",
    .name_min = 5,
    .name_max = 50,
    .pattern_text = "a task run name has 5 to 50 letters, digits and '-'.",
    .lro = LRO_PUT | LRO_PATCH, /* later libraries wait for no delete */
    .api_versions = task_versions,
    .size = 1,
    .fields = task_run_fields,
    .steps = task_run_steps,
    .actions = task_run_actions,
    .precheck = task_run_precheck,
    .stamp = task_run_stamp,
    .show = task_run_show,
};

/* runs ----------------------------------------------------------------------------------------- */

static const char *const over[] = { "Succeeded", "Failed", "Canceled", "Error", "Timeout", NULL };

static const struct field run_fields[] = {
    { ROW_SHOWN("properties.runId", FIELD_TEXT) },
    { ROW_SHOWN("properties.status", FIELD_TEXT) },
    { ROW_SHOWN("properties.lastUpdatedTime", FIELD_TIME) },
    { ROW_SHOWN("properties.runType", FIELD_TEXT) },
    { ROW_SHOWN("properties.agentPoolName", FIELD_TEXT) },
    { ROW_SHOWN("properties.createTime", FIELD_TIME) },
    { ROW_SHOWN("properties.startTime", FIELD_TIME) },
    { ROW_SHOWN("properties.finishTime", FIELD_TIME) },
    { ROW_SHOWN("properties.outputImages", FIELD_JSON) },
    { ROW_SHOWN("properties.task", FIELD_TEXT) },
    { ROW_SHOWN("properties.imageUpdateTrigger", FIELD_JSON) },
    { ROW_SHOWN("properties.sourceTrigger", FIELD_JSON) },
    { ROW_SHOWN("properties.timerTrigger", FIELD_JSON) },
    { ROW_SHOWN("properties.platform", FIELD_JSON) },
    { ROW_SHOWN("properties.agentConfiguration", FIELD_JSON) },
    { ROW_SHOWN("properties.sourceRegistryAuth", FIELD_TEXT) },
    { ROW_SHOWN("properties.customRegistries", FIELD_TEXT_LIST) },
    { ROW_SHOWN("properties.runErrorMessage", FIELD_TEXT) },
    { ROW_SHOWN("properties.updateTriggerToken", FIELD_TEXT) },
    { ROW_SHOWN("properties.logArtifact", FIELD_JSON) },
    ROW_STATE,
    { ROW("properties.isArchiveEnabled", FIELD_BOOL), RW, .def = "false" },
    { 0 },
};

static bool is_over(const char *status)
{
    for (const char *const *s = over; *s; s++) {
        if (text_eq(*s, status))
            return true;
    }
    return false;
}

static int call_off(void *ctx, struct arena *a, struct resource *r, struct error *err)
{
    const char *now = clock_arm(a, clock_wall_us());

    (void)ctx;
    (void)err;
    if (is_over(json_text(r->status, "properties.status")))
        return 0;
    json_put_at(r->status, "properties.status", json_new_text("Canceled"));
    json_put_at(r->status, "properties.finishTime", json_new_text(now));
    json_put_at(r->status, "properties.lastUpdatedTime", json_new_text(now));
    return 0;
}

static int cancel(struct action_run *run, struct error *err)
{
    const struct resource_edit edit = { .key = run->resource->key, .edit = call_off };
    struct resource *row = NULL;

    run->answer = NULL;
    return resource_edit(run->control->db, run->arena, &edit, &row, err) < 0 ? -1 : 0;
}

static int list_log_url(struct action_run *run, struct error *err)
{
    const struct link link = { .container = run->resource->parent_uid,
                               .blob = run_log_path(run->arena, run->resource),
                               .right = LINK_READ };

    (void)err;
    json_set_text(run->answer, "logLink", link_url(run->arena, run->control, &link));
    return 0;
}

static const struct action run_actions[] = {
    { .name = "cancel",
      .method = "POST",
      .rbac = "cancel/action",
      .description = "Cancel an existing run.",
      .run = cancel },
    { .name = "listLogSasUrl",
      .method = "POST",
      .rbac = "listLogSasUrl/action",
      .description = "Gets a link to download the run logs.",
      .run = list_log_url },
    { 0 },
};

/* An update has its only member at the top. */
static void run_reshape(struct json_object *request)
{
    struct json_object *value = json_at(request, "isArchiveEnabled");

    if (!value)
        return;
    json_put_at(request, "properties.isArchiveEnabled", json_get(value));
    json_unset(request, "isArchiveEnabled");
}

static const struct filter_member run_filters[] = {
    { "RunId", "properties.runId" },
    { "RunType", "properties.runType" },
    { "Status", "properties.status" },
    { "TaskName", "properties.task" },
    { "AgentPoolName", "properties.agentPoolName" },
    { "OutputImageManifests", "properties.outputImages" },
    { 0 },
};

const struct resource_type run_type = {
    .name = "Microsoft.ContainerRegistry/registries/runs",
    .description = "run",
    .scope = SCOPE_CHILD,
    .parent = &registry_type,
    .pattern = "[A-Za-z0-9-]*",
    .name_min = 1,
    .name_max = 50,
    .pattern_text = "runs are named by the service.",
    .is_made_elsewhere = true,
    .refuses = REFUSES_PUT | REFUSES_DELETE,
    .api_versions = task_versions,
    .size = 1,
    .fields = run_fields,
    .reshape = run_reshape,
    .filters = run_filters,
    .actions = run_actions,
};

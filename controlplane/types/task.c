/* Microsoft.ContainerRegistry/registries/tasks: what to build or run, and when. A GET shows no
 * secrets; listDetails shows all. */
#include "controlplane/types/children.h"

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/json.h"

#include "controlplane/api/body.h"
#include "controlplane/api/errors.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/registry.h"
#include "controlplane/types/shared.h"
#include "controlplane/types/task_rows.h"
#include "controlplane/types/versions.h"

#define STEP              "properties.step"
#define TRIGGER           "properties.trigger."
#define CUSTOM_REGISTRIES "properties.credentials.customRegistries"
#define SOURCE            "sourceRepository."

struct task {
    bool is_system;
    char *os;
};

static const char *const step_types[] = { "Docker", "FileTask", "EncodedTask", NULL };
static const char *const source_controls[] = { "Github", "VisualStudioTeamService", NULL };
static const char *const source_events[] = { "commit", "pullrequest", NULL };
static const char *const token_types[] = { "PAT", "OAuth", NULL };
static const char *const base_image_types[] = { "All", "Runtime", NULL };
static const char *const payload_types[] = { "Default", "Token", NULL };

#define ROW_TRIGGER_STATUS                                                                         \
    {                                                                                              \
        ROW("status", FIELD_TEXT), RW_NOCASE, .oneof = states_upper, .def = "\"Enabled\""          \
    }
#define ROW_TRIGGER_NAME                                                                           \
    {                                                                                              \
        ROW("name", FIELD_TEXT), RW_REQUIRED, .min = 1, .max = 50                                  \
    }

static const struct field timer_fields[] = {
    { ROW("schedule", FIELD_TEXT), RW_REQUIRED, .max = 128, .pattern = "[^ ]+( [^ ]+){4}" },
    ROW_TRIGGER_STATUS,
    ROW_TRIGGER_NAME,
    { 0 },
};

static const struct field source_fields[] = {
    { ROW(SOURCE "sourceControlType", FIELD_TEXT),
      .flags = FIELD_RW | FIELD_REQUIRED | FIELD_NOCASE, .oneof = source_controls },
    { ROW(SOURCE "repositoryUrl", FIELD_TEXT), RW_REQUIRED, .max = 2048 },
    { ROW(SOURCE "branch", FIELD_TEXT), RW, .max = 256 },
    { ROW(SOURCE "sourceControlAuthProperties.tokenType", FIELD_TEXT),
      .flags = FIELD_RW | FIELD_SECRET | FIELD_NOCASE, .oneof = token_types },
    { ROW(SOURCE "sourceControlAuthProperties.token", FIELD_TEXT), RW_SECRET },
    { ROW(SOURCE "sourceControlAuthProperties.refreshToken", FIELD_TEXT), RW_SECRET },
    { ROW(SOURCE "sourceControlAuthProperties.scope", FIELD_TEXT), RW_SECRET },
    { ROW(SOURCE "sourceControlAuthProperties.expiresIn", FIELD_INT), RW_SECRET },
    { ROW("sourceTriggerEvents", FIELD_TEXT_LIST),
      .flags = FIELD_RW | FIELD_REQUIRED | FIELD_NOCASE, .oneof = source_events, .max = 2 },
    ROW_TRIGGER_STATUS,
    ROW_TRIGGER_NAME,
    { 0 },
};

static const struct field fields[] = {
    ROWS_IDENTITY,
    ROW_STATE,
    ROW_CREATED,
    { ROW("properties.status", FIELD_TEXT), RW_NOCASE, .oneof = states_upper,
      .def = "\"Enabled\"" },
    { ROW_IN(task, "properties.platform.os", FIELD_TEXT, os), RW_NOCASE, .oneof = task_systems },
    { ROW("properties.platform.architecture", FIELD_TEXT), RW_NOCASE, .oneof = task_architectures },
    { ROW("properties.platform.variant", FIELD_TEXT), RW_NOCASE, .oneof = task_variants },
    AGENT_ROWS("properties."),
    TIMEOUT_ROW("properties."),
    { ROW(STEP ".type", FIELD_TEXT), RW_NOCASE, .oneof = step_types },
    { ROW_SHOWN(STEP ".baseImageDependencies", FIELD_JSON) },
    { ROW(STEP ".contextPath", FIELD_TEXT), RW, .max = 2048 },
    { ROW(STEP ".contextAccessToken", FIELD_TEXT), RW_SECRET },
    WORK_ROWS(STEP "."),
    /* A trigger goes away by a PUT without it: a PATCH only adds and changes. */
    { ROW(TRIGGER "timerTriggers", FIELD_LIST), .flags = FIELD_RW | FIELD_BY_NAME | FIELD_ADDED_TO,
      .of = timer_fields, .max = 50 },
    { ROW(TRIGGER "sourceTriggers", FIELD_LIST), .flags = FIELD_RW | FIELD_BY_NAME | FIELD_ADDED_TO,
      .of = source_fields, .max = 50 },
    { ROW(TRIGGER "baseImageTrigger.baseImageTriggerType", FIELD_TEXT), RW_NOCASE,
      .oneof = base_image_types },
    { ROW(TRIGGER "baseImageTrigger.updateTriggerEndpoint", FIELD_TEXT), RW_SECRET },
    { ROW(TRIGGER "baseImageTrigger.updateTriggerPayloadType", FIELD_TEXT), RW_NOCASE,
      .oneof = payload_types },
    { ROW(TRIGGER "baseImageTrigger.status", FIELD_TEXT), RW_NOCASE, .oneof = states_upper },
    { ROW(TRIGGER "baseImageTrigger.name", FIELD_TEXT), RW, .max = 50 },
    CREDENTIAL_ROWS("properties."),
    { ROW("properties.logTemplate", FIELD_TEXT), RW, .max = 1024 },
    { ROW_IN(task, "properties.isSystemTask", FIELD_BOOL, is_system), SET_ONCE, .def = "false" },
    { 0 },
};

static int task_precheck(struct arena *a, const struct json_object *body, struct error *err)
{
    if (json_bool(body, "properties.isSystemTask", false))
        return 0;
    return task_kind_check(a, task_step_kinds, body, STEP, err);
}

static int task_validate(struct arena *a, const void *was, const void *now_, struct error *err)
{
    const struct task *now = now_;

    (void)a;
    (void)was;
    if (now->is_system || now->os)
        return 0;
    return fail_at(err, &E_INVALID_PARAMETER, "properties.platform.os",
                   "The property 'properties.platform.os' is required.");
}

static void task_stamp(struct arena *a, const struct json_object *was, struct json_object *now,
                       const char *time)
{
    (void)was;
    (void)time;
    task_kind_settle(a, task_step_kinds, now, STEP);
    if (json_at(now, TRIGGER "baseImageTrigger") &&
        !json_at(now, TRIGGER "baseImageTrigger.status"))
        json_put_at(now, TRIGGER "baseImageTrigger.status", json_new_text("Enabled"));
    if (json_at(now, "properties.platform") && !json_at(now, "properties.platform.architecture"))
        json_put_at(now, "properties.platform.architecture", json_new_text("amd64"));
}

static void name_only(void *ctx, const char *key, struct json_object *value)
{
    (void)value;
    json_set(ctx, key, NULL);
}

/* Whose credentials a task has may be seen, what they are may not. */
static void show_custom_registries(const struct json_object *body, struct json_object *shown)
{
    const struct json_object *stored = json_at(body, CUSTOM_REGISTRIES);
    struct json_object *names;

    if (json_kind(stored) != JSON_OBJECT)
        return;
    names = json_new_object();
    json_each(stored, name_only, names);
    json_put_at(shown, CUSTOM_REGISTRIES, names);
}

static void task_show(struct arena *a, struct control *control, const struct resource *resource,
                      struct json_object *shown)
{
    const struct json_object *triggers = json_at(shown, TRIGGER "sourceTriggers");

    show_created(a, control, resource, shown);
    task_arguments_hide(a, shown, STEP);
    show_custom_registries(resource->body, shown);
    /* All members of it are secrets, and an empty one would be no valid answer. */
    for (size_t i = 0; i < json_count(triggers); i++)
        body_unset(a, json_item(triggers, i), SOURCE "sourceControlAuthProperties");
}

static int list_details(struct action_run *run, struct error *err)
{
    (void)err;
    answer_details(run, &task_type);
    show_created(run->arena, run->control, run->resource, run->answer);
    return 0;
}

static const struct action actions[] = {
    { .name = "listDetails",
      .method = "POST",
      .rbac = "listDetails/action",
      .description = "Returns a task with extended information that includes all secrets.",
      .run = list_details },
    { 0 },
};

const struct resource_type task_type = {
    .name = "Microsoft.ContainerRegistry/registries/tasks",
    .description = "task",
    .scope = SCOPE_CHILD,
    .parent = &registry_type,
    .pattern = "[A-Za-z0-9_-]*",
    .name_min = 5,
    .name_max = 50,
    .pattern_text = "a task name has 5 to 50 letters, digits, '-' and '_'.",
    .is_tracked = true,
    .is_created_with_200 = true,
    .api_versions = task_versions,
    .size = sizeof(struct task),
    .fields = fields,
    .actions = actions,
    .precheck = task_precheck,
    .validate = task_validate,
    .stamp = task_stamp,
    .show = task_show,
};

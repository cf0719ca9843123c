/* scheduleRun: a request is checked as a taskRun's is and becomes the record of a run. Nothing runs in
 * this installation, and the record says so. */
#include "controlplane/types/registry_rules.h"

#include <inttypes.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/json/json.h"

#include "controlplane/api/errors.h"
#include "controlplane/control.h"
#include "controlplane/identity/identity.h"
#include "controlplane/storage/link.h"
#include "controlplane/storage/sources.h"
#include "controlplane/store/made.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/children.h"
#include "controlplane/types/shared.h"
#include "controlplane/types/task_rows.h"

#define LAST_MS UINT64_C(0xfffffffffff) /* 11 digits: the year 2527 */
#define NOT_RUN                                                                                    \
    "Tasks are not run by this installation, which has no build workers. Build the image elsewhere " \
    "and push or import it."

const struct field registry_run_request[] = {
    REQUEST_ROWS(""),
    { 0 },
};

/* Later runs come first in a list: their names count down. */
static char *run_name(struct arena *a)
{
    uint64_t left = LAST_MS - (uint64_t)(clock_wall_us() / 1000);

    return arena_printf(a, "c%011" PRIx64 "%s", left, text_lower(a, random_text(a, 4)));
}

static int find_task(struct action_run *run, struct resource **ret, struct error *err)
{
    const char *id = json_text(run->body, "taskId"), *key;
    const char *prefix = arena_printf(run->arena, "%s/tasks/", run->resource->key);
    int found = 0;

    if (!id)
        return 0;
    /* The recorded request has the bare name. */
    key = text_lower(run->arena, strchr(id, '/') ? id : arena_printf(run->arena, "%s%s", prefix, id));
    if (text_starts(key, prefix))
        found = resource_lookup(run->control->db, run->arena, key, ret, err);
    if (found < 0)
        return -1;
    if (!found)
        return fail_at(err, &E_BAD_REQUEST, "taskId", "'%.300s' is no task of this registry.", id);
    return 0;
}

static void copy(struct json_object *to, const char *path, const struct json_object *from,
                 const char *member)
{
    struct json_object *value = json_at(from, member);

    if (value)
        json_put_at(to, path, json_copy(value));
}

static struct json_object *record_of(struct action_run *run, const char *name,
                                     const struct resource *task)
{
    const char *now = clock_arm(run->arena, clock_wall_us());
    const char *times[] = { "createTime", "finishTime", "lastUpdatedTime" };
    const struct json_object *what = run->body, *work = task ? task->body : run->body;
    bool is_build = text_eq(json_text(what, "type"), task_request_types[0]);
    struct json_object *out = json_own(run->arena, json_new_object());

    json_put_at(out, "properties.runId", json_new_text(name));
    json_put_at(out, "properties.status", json_new_text("Failed"));
    json_put_at(out, "properties.runErrorMessage", json_new_text(NOT_RUN));
    json_put_at(out, "properties.runType", json_new_text(is_build ? "QuickBuild" : "QuickRun"));
    for (size_t i = 0; i < ARRAY_LEN(times); i++)
        json_put_at(out, arena_printf(run->arena, "properties.%s", times[i]), json_new_text(now));
    if (task)
        json_put_at(out, "properties.task", json_new_text(task->name));
    copy(out, "properties.platform", work, task ? "properties.platform" : "platform");
    copy(out, "properties.agentConfiguration", work,
         task ? "properties.agentConfiguration" : "agentConfiguration");
    copy(out, "properties.agentPoolName", work,
         task ? "properties.agentPoolName" : "agentPoolName");
    return out;
}

static struct json_object *made_by(struct action_run *run)
{
    static const char *const who[] = { "createdBy", "lastModifiedBy" };
    const char *now = clock_arm(run->arena, clock_wall_us());
    struct json_object *out = json_own(run->arena, json_new_object());

    for (size_t i = 0; i < ARRAY_LEN(who); i++) {
        json_set_text(out, who[i], run->caller->name);
        json_set_text(out, arena_printf(run->arena, "%sType", who[i]), run->caller->kind);
    }
    json_set_text(out, "createdAt", now);
    json_set_text(out, "lastModifiedAt", now);
    return out;
}

int registry_schedule_run(struct action_run *run, struct error *err)
{
    char uid[UUID_TEXT_LEN + 1];
    struct resource *task = NULL;
    struct json_object *body = json_own(run->arena, json_new_object());
    struct resource row = { .uid = uid, .body = body, .type_key = type_key(run->arena, &run_type),
                            .system_data = made_by(run), .generation = 1,
                            .state = STATE_SUCCEEDED };
    const struct made made = { .parent = run->resource, .row = &row };

    if (task_kind_check(run->arena, task_request_kinds, run->body, "", err) ||
        find_task(run, &task, err))
        return -1;
    uuid_new(uid);
    row.name = run_name(run->arena);
    row.id = arena_printf(run->arena, "%s/runs/%s", run->resource->id, row.name);
    row.status = record_of(run, row.name, task);
    json_put_at(body, "properties.isArchiveEnabled",
                json_new_bool(json_bool(run->body, "isArchiveEnabled", false)));
    if (resource_make(run->control->db, run->arena, &made, err))
        return -1;
    run->resource = &row;
    answer_details(run, &run_type);
    return 0;
}

int registry_source_url(struct action_run *run, struct error *err)
{
    const struct link link = { .container = run->resource->uid,
                               .blob = source_path_new(run->arena),
                               .right = LINK_WRITE };

    (void)err;
    json_set_text(run->answer, "uploadUrl", link_url(run->arena, run->control, &link));
    json_set_text(run->answer, "relativePath", link.blob);
    return 0;
}

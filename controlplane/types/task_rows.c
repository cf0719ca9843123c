/* Kinds of work a task or a run is made of: see the header. */
#include "controlplane/types/task_rows.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/json.h"

#include "controlplane/api/body.h"
#include "controlplane/api/errors.h"

const char *const task_request_types[] = { "DockerBuildRequest", "FileTaskRunRequest",
                                           "EncodedTaskRunRequest", "TaskRunRequest", NULL };
const char *const task_systems[] = { "Linux", "Windows", NULL };
const char *const task_architectures[] = { "amd64", "x86", "386", "arm", "arm64", NULL };
const char *const task_variants[] = { "v6", "v7", "v8", NULL };
const char *const task_login_modes[] = { "None", "Default", NULL };

const struct field task_arguments[] = {
    { ROW("name", FIELD_TEXT), RW_REQUIRED, .min = 1, .max = 256 },
    { ROW("value", FIELD_TEXT), RW_REQUIRED, .max = 65536 },
    { ROW("isSecret", FIELD_BOOL), RW, .def = "false" },
    { 0 },
};

#define DOCKER_MEMBERS                                                                             \
    { "imageNames", "isPushEnabled", "noCache", "dockerFilePath", "target", "arguments", NULL }
#define FILE_MEMBERS { "taskFilePath", "valuesFilePath", "values", NULL }
#define ENCODED_MEMBERS { "encodedTaskContent", "encodedValuesContent", "values", NULL }

const struct task_kind task_step_kinds[] = {
    { "Docker", "dockerFilePath", DOCKER_MEMBERS },
    { "FileTask", "taskFilePath", FILE_MEMBERS },
    { "EncodedTask", "encodedTaskContent", ENCODED_MEMBERS },
    { 0 },
};

const struct task_kind task_request_kinds[] = {
    { "DockerBuildRequest", "dockerFilePath", DOCKER_MEMBERS },
    { "FileTaskRunRequest", "taskFilePath", FILE_MEMBERS },
    { "EncodedTaskRunRequest", "encodedTaskContent", ENCODED_MEMBERS },
    { "TaskRunRequest", "taskId", { "taskId", "overrideTaskStepProperties", NULL } },
    { 0 },
};

static const struct task_kind *find_kind(const struct task_kind *kinds, const char *name)
{
    for (; kinds->name; kinds++) {
        if (text_eq_nocase(kinds->name, name))
            return kinds;
    }
    return NULL;
}

/* Below path; "" is the body itself. */
static char *member_of(struct arena *a, const char *path, const char *member)
{
    return arena_printf(a, "%s%s%s", path, path[0] ? "." : "", member);
}

static const struct task_kind *kind_at(struct arena *a, const struct task_kind *kinds,
                                       const struct json_object *body, const char *path)
{
    return find_kind(kinds, json_text(body, member_of(a, path, "type")));
}

int task_kind_check(struct arena *a, const struct task_kind *kinds, const struct json_object *body,
                    const char *path, struct error *err)
{
    const struct task_kind *kind = kind_at(a, kinds, body, path);
    const char *needed;

    if (!kind)
        return fail_at(err, &E_INVALID_PARAMETER, path[0] ? path : "type",
                       "'%s' is missing or unknown.", member_of(a, path, "type"));
    needed = member_of(a, path, kind->needs);
    if (!json_at(body, needed))
        return fail_at(err, &E_INVALID_PARAMETER, needed, "The property '%s' of a %s is required.",
                       needed, kind->name);
    return 0;
}

static bool has_member(const struct task_kind *kind, const char *member)
{
    for (const char *const *m = kind->members; *m; m++) {
        if (text_eq(*m, member))
            return true;
    }
    return false;
}

static void put_absent(struct arena *a, struct json_object *body, const char *path,
                       const char *member, struct json_object *value)
{
    const char *at = member_of(a, path, member);

    if (json_at(body, at))
        json_put(value);
    else
        json_put_at(body, at, value);
}

void task_kind_settle(struct arena *a, const struct task_kind *kinds, struct json_object *body,
                      const char *path)
{
    const struct task_kind *mine = kind_at(a, kinds, body, path);

    if (!mine)
        return;
    for (const struct task_kind *k = kinds; k->name; k++) {
        for (const char *const *m = k->members; *m; m++) {
            if (!has_member(mine, *m))
                body_unset(a, body, member_of(a, path, *m));
        }
    }
    json_put_at(body, member_of(a, path, "type"), json_new_text(mine->name));
    if (has_member(mine, "isPushEnabled")) {
        put_absent(a, body, path, "isPushEnabled", json_new_bool(true));
        put_absent(a, body, path, "noCache", json_new_bool(false));
        put_absent(a, body, path, "arguments", json_new_array());
    } else if (has_member(mine, "values")) {
        put_absent(a, body, path, "values", json_new_array());
    }
}

void task_arguments_hide(struct arena *a, struct json_object *shown, const char *path)
{
    static const char *const lists[] = { "arguments", "values" };

    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        const struct json_object *list = json_at(shown, member_of(a, path, lists[i]));

        for (size_t k = 0; k < json_count(list); k++) {
            if (json_bool(json_item(list, k), "isSecret", false))
                json_unset(json_item(list, k), "value");
        }
    }
}

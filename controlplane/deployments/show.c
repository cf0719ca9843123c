/* Deployments and their operations as the API shows them. */
#include "controlplane/deployments/show.h"

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/json/json.h"

#include "controlplane/store/deployments.h"

char *show_duration(struct arena *a, int64_t from_us, int64_t to_us)
{
    int64_t us = to_us > from_us ? to_us - from_us : 0;
    int64_t hours = us / 3600000000, minutes = us / 60000000 % 60;
    char *seconds = arena_printf(a, "%lld.%07lldS", (long long)(us / 1000000 % 60),
                                 (long long)(us % 1000000 * 10));

    if (hours)
        return arena_printf(a, "PT%lldH%lldM%s", (long long)hours, (long long)minutes, seconds);
    if (minutes)
        return arena_printf(a, "PT%lldM%s", (long long)minutes, seconds);
    return arena_printf(a, "PT%s", seconds);
}

struct json_object *show_deployment(struct arena *a, const struct deployment *d)
{
    struct json_object *out = json_own(a, json_new_object());
    struct json_object *properties = json_copy(d->shown);
    int64_t until = d->ended_us ? d->ended_us : clock_wall_us();

    json_set_text(out, "id", d->id);
    json_set_text(out, "name", d->name);
    json_set_text(out, "type", "Microsoft.Resources/deployments");
    if (d->location)
        json_set_text(out, "location", d->location);
    if (d->tags)
        json_set(out, "tags", json_get(d->tags));
    json_set_text(properties, "provisioningState", d->state);
    json_set_text(properties, "timestamp", clock_arm(a, until));
    json_set_text(properties, "duration", show_duration(a, d->accepted_us, until));
    json_set_text(properties, "correlationId", d->correlation_id);
    if (d->outputs)
        json_set(properties, "outputs", json_get(d->outputs));
    if (d->resources)
        json_set(properties, "outputResources", json_get(d->resources));
    if (d->error)
        json_set(properties, "error", json_get(d->error));
    json_set(out, "properties", properties);
    return out;
}

static void put_content(struct json_object *out, const char *name, struct json_object *content)
{
    struct json_object *message = json_new_object();

    json_set(message, "content", json_get(content));
    json_set(out, name, message);
}

struct json_object *show_operation(struct arena *a, const struct deployment *d,
                                   const struct deployment_operation *op)
{
    struct json_object *out = json_own(a, json_new_object());
    struct json_object *properties = json_new_object();
    int64_t until = op->ended_us ? op->ended_us : clock_wall_us();

    json_set_text(out, "id", arena_printf(a, "%s/operations/%s", d->id, op->uid));
    json_set_text(out, "operationId", op->uid);
    json_set_text(properties, "provisioningOperation", op->kind);
    json_set_text(properties, "provisioningState", op->state);
    json_set_text(properties, "timestamp", clock_arm(a, until));
    json_set_text(properties, "duration", show_duration(a, op->started_us, until));
    json_set_text(properties, "serviceRequestId", op->awaits ? op->awaits : op->uid);
    if (op->status_code)
        json_set_text(properties, "statusCode", op->status_code);
    if (op->status_message)
        json_set(properties, "statusMessage", json_get(op->status_message));
    if (op->target)
        json_set(properties, "targetResource", json_get(op->target));
    if (op->request)
        put_content(properties, "request", op->request);
    if (op->response)
        put_content(properties, "response", op->response);
    json_set(out, "properties", properties);
    return out;
}

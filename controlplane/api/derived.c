/* Derived resources: the type tells name and properties, the engine adds the envelope. */
#include "controlplane/api/derived.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/json.h"

#include "controlplane/api/body.h"
#include "controlplane/api/errors.h"

static int derive(struct call *c, struct json_object **ret, struct error *err)
{
    struct json_object *list = json_own(c->arena, json_new_array());
    struct action_run run = {
        .arena = c->arena,
        .control = c->control,
        .caller = &c->caller,
        .api_version = c->api_version,
        .subscription_id = c->subscription.id,
        .resource = c->parent,
    };
    const char *last = strrchr(c->type->name, '/') + 1;
    void *decoded = NULL;

    if (body_decode(c->arena, c->type->parent, c->parent->body, &decoded, err))
        return -1;
    run.decoded = decoded;
    if (c->type->derive(&run, list, err))
        return -1;
    for (size_t i = 0; i < json_count(list); i++) {
        struct json_object *item = json_item(list, i);

        if (json_text(item, "id"))
            continue;
        json_set_text(item, "id", arena_printf(c->arena, "%s/%s/%s", c->parent->id, last,
                                               json_text(item, "name")));
        json_set_text(item, "type", c->type->name);
    }
    *ret = list;
    return 0;
}

enum stage_result derived_item(struct call *c, struct error *err)
{
    const char *name = c->id.names[c->id.depth - 1];
    struct json_object *list = NULL;

    if (derive(c, &list, err))
        return STAGE_FAILED;
    for (size_t i = 0; i < json_count(list); i++) {
        if (text_eq_nocase(json_text(json_item(list, i), "name"), name)) {
            reply_json(c, 200, json_item(list, i));
            return STAGE_ANSWERED;
        }
    }
    return fail(err, &E_RESOURCE_NOT_FOUND, "The resource %s could not be found.", name);
}

enum stage_result derived_list(struct call *c, struct error *err)
{
    struct json_object *body = json_own(c->arena, json_new_object());
    struct json_object *list = NULL;

    if (derive(c, &list, err))
        return STAGE_FAILED;
    json_set(body, "value", json_get(list));
    reply_json(c, 200, body);
    return STAGE_ANSWERED;
}

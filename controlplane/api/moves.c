/* Resources from one group into another, all of them or none, in one transaction: see the header. */
#include "controlplane/api/moves.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/api/call.h"
#include "controlplane/api/endpoint.h"
#include "controlplane/api/errors.h"
#include "controlplane/api/extension.h"
#include "controlplane/reconcile/pass.h"
#include "controlplane/store/moves.h"
#include "controlplane/types/all.h"
#include "controlplane/types/versions.h"

#define GROUPS "Microsoft.Resources/subscriptions/resourceGroups/"
#define MOVES_MAX 800

static const struct error_code E_MOVE_INVALID = { "InvalidResourceMoveRequest", 400 };
static const struct error_code E_MOVE_STATE = { "ResourceMoveInvalidState", 409 };
static const struct error_code E_MOVE_TAKEN = { "ResourceMoveTargetExists", 409 };

struct moving {
    struct arm_id id;
    const struct resource_type *type;
    const char *key;
    struct resource *row; /* held, as it was */
};

struct work {
    struct call *call;
    const char *source, *target; /* ids of the groups */
    const char *target_name;
    struct moving *items;
    size_t count;
    bool is_check;
};

/* Nothing is left of what a check did. */
static const struct error_code E_CHECKED = { "Checked", 200 };

static int hold_target(struct pg_conn *conn, struct work *w, struct error *err)
{
    struct arena *a = w->call->arena;
    struct resource *group = NULL;
    int found = resource_share(conn, a, text_lower(a, w->target), &group, err);

    if (found < 0)
        return -1;
    if (!found)
        return fail(err, &E_GROUP_NOT_FOUND, "Resource group '%s' could not be found.",
                    w->target_name);
    if (group->state == STATE_DELETING)
        return fail(err, &E_GROUP_BEING_DELETED,
                    "The resource group '%s' is in deprovisioning state and cannot perform this "
                    "operation.",
                    group->name);
    w->target_name = group->name;
    w->target = group->id;
    return 0;
}

static int hold_item(struct pg_conn *conn, struct work *w, struct moving *item, struct error *err)
{
    int found = resource_by_key(conn, w->call->arena, item->key, true, &item->row, err);

    if (found < 0)
        return -1;
    if (!found)
        return fail(err, &E_RESOURCE_NOT_FOUND, "The resource %s could not be found.",
                    item->id.names[item->id.depth - 1]);
    if (item->row->state != STATE_SUCCEEDED)
        return fail(err, &E_MOVE_STATE,
                    "The resource '%s' cannot be moved while its state is %s.", item->row->name,
                    state_name(item->row->state));
    return 0;
}

/* What was made with another, as an interface with its private endpoint, goes where that goes. */
static int check_owner(const struct work *w, const struct moving *item, struct error *err)
{
    for (size_t i = 0; i < w->count; i++) {
        if (text_eq(w->items[i].row->uid, item->row->parent_uid))
            return 0;
    }
    return fail(err, &E_MOVE_INVALID,
                "The resource '%s' cannot be moved alone: it moves with the resource that it was "
                "made for.",
                item->row->name);
}

static int move_one(struct pg_conn *conn, struct work *w, struct moving *item, struct error *err)
{
    struct call *c = w->call;
    struct resource *row = item->row, moved = *row;
    struct resource_move move = { .resource = row,
                                  .group_key = text_lower(c->arena, w->target_name) };

    item->id.group = w->target_name;
    move.id = arm_id_text(c->arena, &item->id, item->type->name, item->id.depth);
    move.key = text_lower(c->arena, move.id);
    move.worked = pass_type_keys(c->arena);
    while (move.worked[move.worked_count])
        move.worked_count++;
    if (row->parent_uid ? check_owner(w, item, err) : resource_move(conn, c->arena, &move, err)) {
        if (err->code == &E_CONFLICT)
            return fail(err, &E_MOVE_TAKEN,
                        "The resource group '%s' already has a resource '%s' of this type.",
                        w->target_name, row->name);
        return -1;
    }
    moved.id = move.id;
    moved.key = move.key;
    moved.group_key = move.group_key;
    return endpoint_event(conn, c, &moved, err);
}

static int move_all(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;

    (void)a;
    if (hold_target(conn, w, err))
        return -1;
    for (size_t i = 0; i < w->count; i++) {
        if (hold_item(conn, w, &w->items[i], err))
            return -1;
    }
    for (size_t i = 0; i < w->count; i++) {
        if (move_one(conn, w, &w->items[i], err))
            return -1;
    }
    return w->is_check ? fail(err, &E_CHECKED, "It could be done.") : 0;
}

/* Of the source group, of a type that stands in groups by itself; and no lock is in the way. */
static int read_item(struct work *w, const char *text, struct moving *ret, struct error *err)
{
    struct call *c = w->call;
    struct arm_id *id = &ret->id;

    if (!text || arm_id_parse(c->arena, text, id, err))
        return fail(err, &E_MOVE_INVALID, "'%.200s' is not the id of a resource.",
                    text ? text : "");
    ret->type = id->provider ? type_find(arm_id_type(c->arena, id, id->depth)) : NULL;
    if (!ret->type || arm_id_is_collection(id) || ret->type->scope != SCOPE_GROUP)
        return fail(err, &E_MOVE_INVALID,
                    "'%.200s' is no resource that can be moved: what stands below another moves with "
                    "it.",
                    text);
    if (!text_eq_nocase(id->subscription, c->subscription.id) ||
        !text_eq_nocase(id->group, c->req->params[1]))
        return fail(err, &E_MOVE_INVALID, "'%.200s' is not in the resource group '%.90s'.", text,
                    c->req->params[1]);
    id->subscription = c->subscription.id;
    ret->key = text_lower(c->arena, arm_id_text(c->arena, id, ret->type->name, id->depth));
    return lock_guard(c, ret->key, arena_printf(c->arena, "%s/delete", type_rbac(ret->type)),
                      true, err);
}

static int read_target(struct work *w, const char *text, struct error *err)
{
    struct call *c = w->call;
    struct arm_id id;

    if (!text || arm_id_parse(c->arena, text, &id, err) || !id.is_group)
        return fail_at(err, &E_MOVE_INVALID, "targetResourceGroup",
                       "'%.200s' is not the id of a resource group.", text ? text : "");
    if (!text_eq_nocase(id.subscription, c->subscription.id))
        return fail_at(err, &E_MOVE_INVALID, "targetResourceGroup",
                       "Resources are moved between groups of one subscription.");
    if (text_eq_nocase(id.group, c->req->params[1]))
        return fail_at(err, &E_MOVE_INVALID, "targetResourceGroup",
                       "The target is the group where the resources are.");
    w->target_name = id.group;
    w->target = arena_printf(c->arena, "/subscriptions/%s/resourceGroups/%s", c->subscription.id,
                             id.group);
    return access_check(c->control, c->arena, &c->caller, GROUPS "write", w->target, err) ||
                   lock_guard(c, w->target, GROUPS "write", false, err)
               ? -1
               : 0;
}

static int read_request(struct work *w, struct error *err)
{
    struct call *c = w->call;
    struct json_object *body = NULL, *list;
    struct error reason;

    if (json_parse_object(c->req->body, c->req->body_len, ARM_BODY_MAX_BYTES, &body, &reason))
        return fail(err, &E_INVALID_CONTENT,
                    "The request content was invalid and could not be deserialized: '%.900s'.",
                    reason.message);
    json_own(c->arena, body);
    list = json_at(body, "resources");
    w->count = json_kind(list) == JSON_ARRAY ? json_count(list) : 0;
    if (w->count == 0 || w->count > MOVES_MAX)
        return fail_at(err, &E_MOVE_INVALID, "resources", "1 to %d resources are moved at once.",
                       MOVES_MAX);
    if (read_target(w, json_text(body, "targetResourceGroup"), err))
        return -1;
    w->items = arena_array(c->arena, w->count, sizeof(*w->items));
    for (size_t i = 0; i < w->count; i++) {
        if (read_item(w, json_text(json_item(list, i), ""), &w->items[i], err))
            return -1;
    }
    return 0;
}

static int run(struct call *c, bool is_check, struct error *err)
{
    struct work w = { .call = c, .is_check = is_check };

    w.source = arena_printf(c->arena, "/subscriptions/%s/resourceGroups/%s", c->subscription.id,
                            c->req->params[1]);
    if (access_check(c->control, c->arena, &c->caller, endpoint_right(c), w.source, err) ||
        read_request(&w, err))
        return -1;
    if (pg_transact(c->control->db, c->arena, move_all, &w, err) && err->code != &E_CHECKED)
        return -1;
    http_reply_empty(c->req, 204);
    return 0;
}

static int run_move(struct call *c, struct error *err)
{
    return run(c, false, err);
}

static int run_check(struct call *c, struct error *err)
{
    return run(c, true, err);
}

const struct endpoint resources_move = { .versions = resources_versions,
                                         .subscription = 1,
                                         .right = GROUPS "moveResources/action",
                                         .description = "Move resources into another group",
                                         .run = run_move };
const struct endpoint resources_move_check = { .versions = resources_versions,
                                               .subscription = 1,
                                               .right = GROUPS "validateMoveResources/action",
                                               .is_question = true,
                                               .description = "Whether resources could be moved",
                                               .run = run_check };

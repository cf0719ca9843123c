/* Deployment stacks that are there: shown, listed, exported, and the polls of what stack_change.c
 * began. */
#include "controlplane/deployments/stack.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/api/call.h"
#include "controlplane/api/errors.h"
#include "controlplane/deployments/answers.h"
#include "controlplane/deployments/endpoints.h"
#include "controlplane/deployments/place.h"
#include "controlplane/deployments/scope.h"
#include "controlplane/deployments/seal.h"
#include "controlplane/deployments/show.h"
#include "controlplane/store/stacks.h"

const struct error_code E_STACK_NOT_FOUND = { "DeploymentStackNotFound", 404 };
const struct error_code E_STACK_ACTIVE = { "DeploymentStackInNonTerminalState", 409 };
const struct error_code E_STACK_OUT_OF_SYNC = { "DeploymentStackOutOfSync", 409 };

const char *const stack_versions[] = { "2025-07-01", "2024-03-01", "2022-08-01-preview", NULL };

int stack_place(struct call *c, struct place *ret, struct error *err)
{
    char *scope = NULL, *name = NULL;
    struct deploy_scope known;

    if (!scope_split_at(c->arena, c->req->path, "deploymentStacks", &scope, &name))
        return fail(err, &E_NO_ROUTE, "There is nothing at the path of the request.");
    if (place_scope(c, scope, &known, err))
        return -1;
    *ret = (struct place){ .scope_id = known.id, .name = name };
    if (name) {
        ret->id = arena_printf(c->arena, "%s/providers/Microsoft.Resources/deploymentStacks/%s",
                               known.id, name);
        ret->key = text_lower(c->arena, ret->id);
    }
    return 0;
}

static bool is_in(const struct json_object *list, const char *id)
{
    for (size_t i = 0; i < json_count(list); i++)
        if (text_eq_nocase(json_text(json_item(list, i), "id"), id))
            return true;
    return false;
}

static struct json_object *resources_json(const struct stack *s)
{
    struct json_object *out = json_new_array();

    for (size_t i = 0; i < s->resource_count; i++) {
        struct json_object *one = json_new_object();
        const char *id = s->resources[i].id;

        json_set_text(one, "id", id);
        json_set_text(one, "status", is_in(s->failed, id) ? "deleteFailed" : "managed");
        json_set_text(one, "denyStatus", s->deny_mode);
        json_add(out, one);
    }
    return out;
}

struct json_object *show_stack(struct arena *a, const struct stack *s)
{
    struct json_object *out = json_own(a, json_new_object());
    struct json_object *properties = json_copy(s->shown);
    const struct {
        const char *name;
        struct json_object *value;
    } lists[] = {
        { "detachedResources", s->detached },
        { "deletedResources", s->deleted },
        { "failedResources", s->failed },
    };

    json_set_text(out, "id", s->id);
    json_set_text(out, "name", s->name);
    json_set_text(out, "type", "Microsoft.Resources/deploymentStacks");
    if (s->location)
        json_set_text(out, "location", s->location);
    if (s->tags)
        json_set(out, "tags", json_get(s->tags));
    json_set_text(properties, "provisioningState", s->state);
    json_set_text(properties, "correlationId", s->correlation_id);
    json_set_text(properties, "deploymentId", s->deployment_id);
    json_set_text(properties, "duration",
                  show_duration(a, s->started_us, s->ended_us ? s->ended_us : clock_wall_us()));
    json_set(properties, "resources", resources_json(s));
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        json_set(properties, lists[i].name,
                 lists[i].value ? json_get(lists[i].value) : json_new_array());
    if (s->outputs)
        json_set(properties, "outputs", json_get(s->outputs));
    if (s->error)
        json_set(properties, "error", json_get(s->error));
    json_set(out, "properties", properties);
    return out;
}

struct query {
    const char *key;
    struct stack *row;
    int found;
};

static int query(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct query *q = ctx;

    q->found = stack_get(conn, a, q->key, false, &q->row, err);
    return q->found < 0 ? -1 : 0;
}

static int find(struct call *c, struct place *place, struct query *q, struct error *err)
{
    if (stack_place(c, place, err) ||
        access_check(c->control, c->arena, &c->caller, endpoint_right(c), place->id, err))
        return -1;
    q->key = place->key;
    return pg_with(c->control->db, c->arena, query, q, err);
}

static int find_known(struct call *c, struct place *place, struct query *q, struct error *err)
{
    if (find(c, place, q, err))
        return -1;
    if (q->found)
        return 0;
    return fail(err, &E_STACK_NOT_FOUND, "The deployment stack '%.90s' could not be found.",
                place->name);
}

static int run_show(struct call *c, struct error *err)
{
    struct place place;
    struct query q = { 0 };

    if (find_known(c, &place, &q, err))
        return -1;
    reply_json(c, 200, show_stack(c->arena, q.row));
    return 0;
}

static int run_export(struct call *c, struct error *err)
{
    struct json_object *out = json_own(c->arena, json_new_object()), *template = NULL;
    struct place place;
    struct query q = { 0 };

    if (find_known(c, &place, &q, err) ||
        unseal_template(c->arena, c->control, q.row->uid, q.row->template_sealed, &template, err))
        return -1;
    json_set(out, "template", template);
    if (json_has(q.row->shown, "templateLink"))
        json_set(out, "templateLink", json_get(json_at(q.row->shown, "templateLink")));
    reply_json(c, 200, out);
    return 0;
}

/* Polls ---------------------------------------------------------------------------------------- */

static const char *status_of(const struct stack *s)
{
    if (!s->ended_us)
        return text_eq(s->goal, "delete") ? "Deleting" : "Deploying";
    return text_eq(s->state, "succeeded") ? "Succeeded"
           : text_eq(s->state, "failed")  ? "Failed"
                                          : "Canceled";
}

static int run_status(struct call *c, struct error *err)
{
    struct place place;
    struct query q = { 0 };

    if (find_known(c, &place, &q, err))
        return -1;
    return reply_progress(c, &(struct progress){ .operation_id = q.row->operation_id,
                                                 .state = status_of(q.row),
                                                 .began_us = q.row->started_us,
                                                 .ended_us = q.row->ended_us,
                                                 .error = q.row->error }, err);
}

/* Of a delete: 202 until it is over, then 204, or the error that stopped it. */
static int run_result(struct call *c, struct error *err)
{
    struct json_object *out;
    struct place place;
    struct query q = { 0 };

    if (find(c, &place, &q, err))
        return -1;
    if (!q.found || !text_eq_nocase(q.row->operation_id, last_segment(c))) {
        http_reply_empty(c->req, 204);
        return 0;
    }
    if (!q.row->ended_us) {
        http_reply_header(c->req, "Location", call_url(c, c->req->path));
        http_reply_header(c->req, "Retry-After", RETRY_AFTER);
        http_reply_empty(c->req, 202);
        return 0;
    }
    out = json_own(c->arena, json_new_object());
    if (q.row->error)
        json_set(out, "error", json_get(q.row->error));
    reply_json(c, 409, out);
    return 0;
}

/* Lists ---------------------------------------------------------------------------------------- */

struct page {
    const char *scope_key, *after;
    struct stack *rows;
    size_t count;
};

static int read_page(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct page *p = ctx;

    return stack_list(conn, a, p->scope_key, p->after, PAGE_MAX + 1, &p->rows, &p->count, err);
}

static int run_list(struct call *c, struct error *err)
{
    struct json_object *out = json_own(c->arena, json_new_object());
    struct json_object *value = json_new_array();
    struct place place;
    struct page p = { 0 };

    json_set(out, "value", value);
    if (stack_place(c, &place, err) ||
        access_check(c->control, c->arena, &c->caller, endpoint_right(c), place.scope_id, err) ||
        page_after(c, &p.after, err))
        return -1;
    p.scope_key = text_lower(c->arena, place.scope_id);
    if (pg_with(c->control->db, c->arena, read_page, &p, err))
        return -1;
    for (size_t i = 0; i < p.count && i < PAGE_MAX; i++)
        json_add(value, json_get(show_stack(c->arena, &p.rows[i])));
    if (p.count > PAGE_MAX)
        json_set_text(out, "nextLink",
                      arena_printf(c->arena, "%s&%s", call_url(c, c->req->path),
                                   page_token(c, p.rows[PAGE_MAX - 1].key)));
    reply_json(c, 200, out);
    return 0;
}

STACK_ENDPOINT(stack_show_one, run_show, "read", "A deployment stack", .is_item = true);
STACK_ENDPOINT(stack_export, run_export, "exportTemplate/action", "The template of a deployment stack",
               .is_question = true);
STACK_ENDPOINT(stack_status, run_status, "read", "The state of a deployment stack");
STACK_ENDPOINT(stack_result, run_result, "read", "Whether the delete of a deployment stack is over");
STACK_ENDPOINT(stack_list_all, run_list, "read", "Deployment stacks of a scope");

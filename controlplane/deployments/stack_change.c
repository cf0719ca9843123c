/* Asking for a deployment stack: PUT, validate, DELETE. Each of them, validate aside, begins the
 * stack's row and the deployment that carries it out in one transaction. A delete is carried out by
 * a deployment of nothing, so that all the stack manages is what its template no longer has. */
#include "controlplane/deployments/stack.h"

#include <ctype.h>
#include <string.h>
#include <time.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/api/call.h"
#include "controlplane/api/errors.h"
#include "controlplane/api/extension.h"
#include "controlplane/api/routes.h"
#include "controlplane/deployments/answers.h"
#include "controlplane/deployments/endpoints.h"
#include "controlplane/deployments/journal.h"
#include "controlplane/deployments/place.h"
#include "controlplane/deployments/seal.h"
#include "controlplane/deployments/submission.h"
#include "controlplane/store/deployments.h"
#include "controlplane/store/stacks.h"

#define NAME_MAX_LEN 90
#define PRINCIPALS_MAX 5
#define ACTIONS_MAX 200
#define DESCRIPTION_MAX 4096

struct stack_change {
    struct place place;
    struct stack *was; /* NULL: none */
    struct stack stack;
    struct submission s;
    struct caller caller; /* with the stack's own rights over what it denies */
    const struct json_object *properties; /* of the request */
    bool is_replaced;
};

static int check_name(const char *name, struct error *err)
{
    size_t len = strlen(name);
    bool is_good = len <= NAME_MAX_LEN;

    for (size_t i = 0; i < len && is_good; i++)
        is_good = isalnum((unsigned char)name[i]) || strchr("-_.()", name[i]);
    if (is_good)
        return 0;
    return fail(err, &E_INVALID_NAME,
                "The deployment stack name '%.100s' is invalid. The name may have 1 to 90 letters, "
                "digits, '-', '_', '(', ')' and '.'.",
                name);
}

/* Settings ------------------------------------------------------------------------------------- */

static const char *one_of(const char *value, const char *const *values)
{
    for (; *values; values++)
        if (text_eq_nocase(value, *values))
            return *values;
    return NULL;
}

static const char *const kinds[] = { "resources", "resourceGroups", "managementGroups", NULL };
static const char *const actions[] = { "delete", "detach", NULL };
static const char *const deny_modes[] = { "none", "denyDelete", "denyWriteAndDelete", NULL };

static int read_unmanage(struct stack_change *x, const struct json_object *given, struct error *err)
{
    x->stack.unmanage = json_own(x->s.arena, json_new_object());
    if (json_kind(given) != JSON_OBJECT || !json_text(given, "resources"))
        return fail_at(err, &E_INVALID_CONTENT, "properties.actionOnUnmanage",
                       "The member 'actionOnUnmanage.resources' must be 'delete' or 'detach'.");
    for (size_t i = 0; kinds[i]; i++) {
        const char *text = json_text(given, kinds[i]);
        const char *action = text ? one_of(text, actions) : "detach";

        if (!action)
            return fail_at(err, &E_INVALID_CONTENT,
                           arena_printf(x->s.arena, "properties.actionOnUnmanage.%s", kinds[i]),
                           "The member 'actionOnUnmanage.%s' must be 'delete' or 'detach'.",
                           kinds[i]);
        json_set_text(x->stack.unmanage, kinds[i], action);
    }
    return 0;
}

static int read_texts(struct stack_change *x, const struct json_object *list, const char *member,
                      size_t max, const char *const **ret, size_t *ret_count, struct error *err)
{
    const char **items = arena_array(x->s.arena, json_count(list) + 1, sizeof(*items));
    size_t count = json_kind(list) == JSON_ARRAY ? json_count(list) : 0;

    if (count > max)
        return fail_at(err, &E_INVALID_CONTENT, "properties.denySettings",
                       "The member 'denySettings.%s' may list at most %zu.", member, max);
    for (size_t i = 0; i < count; i++) {
        items[i] = json_text(json_item(list, i), "");
        if (!items[i])
            return fail_at(err, &E_INVALID_CONTENT, "properties.denySettings",
                           "The member 'denySettings.%s' must list texts.", member);
    }
    *ret = items;
    *ret_count = count;
    return 0;
}

static int read_denials(struct stack_change *x, const struct json_object *given, struct error *err)
{
    struct stack *s = &x->stack;
    const char *mode = json_text(given, "mode");

    s->deny_mode = mode ? one_of(mode, deny_modes) : NULL;
    if (!s->deny_mode)
        return fail_at(err, &E_INVALID_CONTENT, "properties.denySettings.mode",
                       "The member 'denySettings.mode' must be 'none', 'denyDelete' or "
                       "'denyWriteAndDelete'.");
    s->deny_children = json_bool(given, "applyToChildScopes", false);
    if (read_texts(x, json_at(given, "excludedPrincipals"), "excludedPrincipals", PRINCIPALS_MAX,
                   &s->deny_principals, &s->deny_principal_count, err))
        return -1;
    return read_texts(x, json_at(given, "excludedActions"), "excludedActions", ACTIONS_MAX,
                      &s->deny_actions, &s->deny_action_count, err);
}

static int read_settings(struct stack_change *x, struct error *err)
{
    const char *description = json_text(x->properties, "description");

    if (json_kind(x->properties) != JSON_OBJECT)
        return fail(err, &E_INVALID_CONTENT,
                    "The request content was invalid and could not be deserialized: 'Required "
                    "property 'properties' not found.'.");
    if (description && strlen(description) > DESCRIPTION_MAX)
        return fail_at(err, &E_INVALID_CONTENT, "properties.description",
                       "The description of a stack may have up to %d bytes.", DESCRIPTION_MAX);
    if (read_unmanage(x, json_at(x->properties, "actionOnUnmanage"), err))
        return -1;
    return read_denials(x, json_at(x->properties, "denySettings"), err);
}

/* Deleting by a list that may be wrong asks for a second word. */
static int check_sync(const struct stack_change *x, bool bypass, struct error *err)
{
    if (!x->was || !x->was->is_out_of_sync || bypass)
        return 0;
    for (size_t i = 0; kinds[i]; i++)
        if (text_eq(json_text(x->stack.unmanage, kinds[i]), "delete"))
            return fail(err, &E_STACK_OUT_OF_SYNC,
                        "The deployment stack '%.90s' may not have an accurate list of managed "
                        "resources. To prevent resources from being accidentally deleted, check "
                        "that the managed resource list does not have any additional values. To "
                        "bypass this warning, specify the 'bypassStackOutOfSyncError' flag.",
                        x->place.name);
    return 0;
}

/* Rows ----------------------------------------------------------------------------------------- */

static int read_was(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct stack_change *x = ctx;

    return stack_get(conn, a, x->place.key, false, &x->was, err) < 0 ? -1 : 0;
}

static int fail_active(const struct stack_change *x, struct error *err)
{
    return fail(err, &E_STACK_ACTIVE,
                "The deployment stack '%.90s' is in a non-terminal state; another operation on it "
                "is in progress.",
                x->place.name);
}

const char *stack_action(const struct stack *s)
{
    return text_eq(s->goal, "delete") ? stack_delete.right : stack_put_one.right;
}

static int begin(struct pg_conn *conn, struct arena *a, void *ctx, const struct deployment *row,
                 struct error *err)
{
    struct stack_change *x = ctx;
    int rc;

    x->stack.deployment_uid = row->uid;
    x->stack.deployment_id = row->id;
    rc = stack_begin(conn, a, &x->stack, &x->is_replaced, err);
    if (rc < 0)
        return -1;
    if (rc == 0)
        return fail_active(x, err);
    return journal_add(conn, a,
                       &(struct journal){ .caller = &x->caller,
                                          .id = x->stack.id,
                                          .subscription_id = x->stack.subscription_id,
                                          .action = stack_action(&x->stack),
                                          .status = "Accepted",
                                          .correlation_id = x->stack.correlation_id,
                                          .address = x->s.peer_text },
                       err);
}

/* "name-2026-11-21-03-04-05-1a2b" */
static char *deployment_name(struct arena *a, const char *stack)
{
    char uid[UUID_TEXT_LEN + 1];
    time_t now = (time_t)(clock_wall_us() / 1000000);
    struct tm tm;

    uuid_new(uid);
    (void)gmtime_r(&now, &tm);
    return arena_printf(a, "%.38s-%04d-%02d-%02d-%02d-%02d-%02d-%.4s", stack, tm.tm_year + 1900,
                        tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, uid);
}

/* What both begin with: the place, rights, and what is there. */
static int start(struct call *c, struct stack_change *x, struct error *err)
{
    struct http_app *app = ARENA_NEW(c->arena, struct http_app);
    char uid[UUID_TEXT_LEN + 1], operation[UUID_TEXT_LEN + 1];

    *x = (struct stack_change){ 0 };
    if (stack_place(c, &x->place, err) || check_name(x->place.name, err) ||
        access_check(c->control, c->arena, &c->caller, endpoint_right(c), x->place.id, err) ||
        pg_with(c->control->db, c->arena, read_was, x, err))
        return -1;
    uuid_new(uid);
    uuid_new(operation);
    x->stack = (struct stack){
        .uid = x->was ? x->was->uid : arena_strdup(c->arena, uid),
        .key = x->place.key,
        .id = x->place.id,
        .name = x->place.name,
        .scope_key = text_lower(c->arena, x->place.scope_id),
        .tenant_id = c->caller.tenant_id,
        .operation_id = arena_strdup(c->arena, operation),
        .correlation_id = c->correlation_id,
    };
    x->caller = c->caller;
    x->caller.stack_uid = x->stack.uid;
    *app = (struct http_app){ .routes = arm_routes, .ctx = c->arm };
    x->s = (struct submission){
        .arena = c->arena,
        .control = c->control,
        .app = app,
        .caller = &x->caller,
        .correlation_id = c->correlation_id,
        .peer_text = c->req->peer_text,
        .scope_id = x->place.scope_id,
        .name = deployment_name(c->arena, x->place.name),
        .stack_uid = x->stack.uid,
        .beside = begin,
        .beside_ctx = x,
    };
    return 0;
}

/* A stack lives in its own scope, wherever its deployment goes. */
static int take_scope(struct call *c, struct stack_change *x, struct error *err)
{
    struct deploy_scope own;

    if (scope_load(c->control, c->arena, c->caller.tenant_id, x->place.scope_id, &own, err))
        return -1;
    x->stack.subscription_id = own.subscription_id;
    x->stack.group_uid = own.group_uid;
    return 0;
}

static void copy(const struct json_object *from, const char *name, struct json_object *to)
{
    if (json_has(from, name) && json_at(from, name))
        json_set(to, name, json_copy(json_at(from, name)));
}

static struct json_object *request_of(struct arena *a, const struct json_object *body)
{
    static const char *const taken[] = { "template", "templateLink", "parameters",
                                         "parametersLink", "debugSetting", "validationLevel" };
    struct json_object *out = json_own(a, json_new_object());
    struct json_object *properties = json_new_object();

    json_set(out, "properties", properties);
    json_set_text(properties, "mode", "Incremental");
    for (size_t i = 0; i < ARRAY_LEN(taken); i++)
        copy(json_at(body, "properties"), taken[i], properties);
    copy(body, "location", out);
    return out;
}

static struct json_object *shown_of(struct stack_change *x)
{
    static const char *const echoed[] = { "description", "deploymentScope", "parametersLink",
                                          "debugSetting", "bypassStackOutOfSyncError" };
    struct json_object *plan = submission_shown(&x->s);
    struct json_object *out = json_own(x->s.arena, json_new_object());
    struct json_object *denials = json_copy(json_at(x->properties, "denySettings"));

    json_set_text(denials, "mode", x->stack.deny_mode);
    for (size_t i = 0; i < ARRAY_LEN(echoed); i++)
        copy(x->properties, echoed[i], out);
    copy(plan, "templateLink", out);
    copy(plan, "parameters", out);
    json_set(out, "actionOnUnmanage", json_get(x->stack.unmanage));
    json_set(out, "denySettings", denials);
    return out;
}

/* A stack deploys to its own scope or below; any subscription is below a management group. */
static bool is_allowed(const char *own, const char *scope)
{
    size_t len = strlen(own);

    if (text_starts_nocase(own, "/providers/") && text_starts_nocase(scope, "/subscriptions/"))
        return true;
    return text_starts_nocase(scope, own) && (scope[len] == '/' || scope[len] == '\0');
}

/* Plans the stack that a body asks for. Returns 1 when a refusal has been sent. */
static int plan(struct call *c, struct stack_change *x, struct error *err)
{
    struct json_object *body = NULL;
    const char *scope;

    if (request_body(c, &body, err))
        return -1;
    x->properties = json_at(body, "properties");
    if (read_settings(x, err) ||
        check_sync(x, json_bool(x->properties, "bypassStackOutOfSyncError", false), err))
        return -1;
    scope = json_text(x->properties, "deploymentScope");
    if (scope && scope[0] && !is_allowed(x->place.scope_id, scope))
        return fail_at(err, &E_INVALID_CONTENT, "properties.deploymentScope",
                       "The deployment scope '%.300s' is not below the scope of the stack.", scope);
    if (scope && scope[0])
        x->s.scope_id = scope;
    x->s.request = request_of(c->arena, body);
    x->s.request_text = c->req->body;
    x->s.request_len = c->req->body_len;
    x->stack.tags = json_at(body, "tags");
    if (submission_plan(&x->s, err) || submission_preflight(&x->s, err))
        return reply_refusal(c, &x->s, err) ? -1 : 1;
    x->stack.location = x->s.location;
    x->stack.shown = shown_of(x);
    x->stack.goal = "deploy";
    x->stack.state = x->was ? "deploying" : "creating";
    x->stack.template_sealed = seal_text(c->arena, c->control, x->stack.uid, SEAL_TEMPLATE,
                                         x->s.template_text);
    return take_scope(c, x, err);
}

static int accept_stack(struct stack_change *x, struct error *err)
{
    struct deployment *made = NULL;
    bool is_replaced = false;

    if (submission_accept(&x->s, &made, &is_replaced, err) == 0)
        return 0;
    if (err->code == &E_CONFLICT)
        return fail_active(x, err);
    return -1;
}

static int run_put(struct call *c, struct error *err)
{
    struct stack_change x;
    int rc;

    if (start(c, &x, err) ||
        lock_guard(c, x.place.id, endpoint_right(c), endpoint_deletes(c), err))
        return -1;
    rc = plan(c, &x, err);
    if (rc)
        return rc < 0 ? -1 : 0;
    if (accept_stack(&x, err))
        return -1;
    if (x.was) {
        x.stack.resources = x.was->resources;
        x.stack.resource_count = x.was->resource_count;
    }
    x.stack.started_us = clock_wall_us();
    http_reply_header(c->req, "Azure-AsyncOperation",
                      call_url(c, arena_printf(c->arena, "%s/operationStatuses/%s", x.place.id,
                                               x.stack.operation_id)));
    http_reply_header(c->req, "Retry-After", RETRY_AFTER);
    reply_json(c, x.is_replaced ? 200 : 201, show_stack(c->arena, &x.stack));
    return 0;
}

static int run_validate(struct call *c, struct error *err)
{
    struct json_object *out, *properties;
    struct stack_change x;
    int rc;

    if (start(c, &x, err))
        return -1;
    rc = plan(c, &x, err);
    if (rc)
        return rc < 0 ? -1 : 0;
    properties = json_copy(x.stack.shown);
    json_set_text(properties, "correlationId", c->correlation_id);
    json_set(properties, "validatedResources", json_get(submission_resources(&x.s)));
    out = json_own(c->arena, json_new_object());
    json_set_text(out, "id", x.place.id);
    json_set_text(out, "name", x.place.name);
    json_set_text(out, "type", "Microsoft.Resources/deploymentStacks");
    json_set(out, "properties", properties);
    reply_json(c, 200, out);
    return 0;
}

/* Delete --------------------------------------------------------------------------------------- */

/* What the query says; what it does not is detached. */
static int read_query(struct call *c, struct stack_change *x, struct error *err)
{
    static const char *const names[] = { "unmanageAction.Resources", "unmanageAction.ResourceGroups",
                                         "unmanageAction.ManagementGroups" };

    x->stack.unmanage = json_own(c->arena, json_new_object());
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *text = http_query_nocase(c->req, names[i]);
        const char *action = text && text[0] ? one_of(text, actions) : "detach";

        if (!action)
            return fail(err, &E_INVALID_PARAMETER, "The query parameter '%s' is 'delete' or "
                                                   "'detach'.", names[i]);
        json_set_text(x->stack.unmanage, kinds[i], action);
    }
    return check_sync(x, text_eq_nocase(http_query_nocase(c->req, "bypassStackOutOfSyncError"),
                                        "true"), err);
}

/* A template of nothing for the scope the stack deploys to. */
static struct json_object *empty_request(struct stack_change *x)
{
    const char *scope = json_text(x->was->shown, "deploymentScope");
    const char *at = scope && scope[0] ? scope : x->place.scope_id;
    const char *schema = "2019-04-01/deploymentTemplate.json#";
    struct json_object *out = json_own(x->s.arena, json_new_object());
    struct json_object *properties = json_new_object(), *template = json_new_object();

    if (!at[0])
        schema = "2019-08-01/tenantDeploymentTemplate.json#";
    else if (text_starts_nocase(at, "/providers/"))
        schema = "2019-08-01/managementGroupDeploymentTemplate.json#";
    else if (!strcasestr(at, "/resourceGroups/"))
        schema = "2018-05-01/subscriptionDeploymentTemplate.json#";
    json_set_text(template, "$schema",
                  arena_printf(x->s.arena, "https://schema.management.azure.com/schemas/%s",
                               schema));
    json_set_text(template, "contentVersion", "1.0.0.0");
    json_set(template, "resources", json_new_array());
    json_set_text(properties, "mode", "Incremental");
    json_set(properties, "template", template);
    json_set(out, "properties", properties);
    if (x->was->location)
        json_set_text(out, "location", x->was->location);
    x->s.scope_id = at;
    return out;
}

/* All but the goal stays as it was, for the case that the delete fails. */
static void take_over(struct stack_change *x)
{
    const struct stack *was = x->was;
    struct stack *s = &x->stack;

    s->location = was->location;
    s->tags = was->tags;
    s->shown = was->shown;
    s->template_sealed = was->template_sealed;
    s->deny_mode = was->deny_mode;
    s->deny_principals = was->deny_principals;
    s->deny_principal_count = was->deny_principal_count;
    s->deny_actions = was->deny_actions;
    s->deny_action_count = was->deny_action_count;
    s->deny_children = was->deny_children;
    s->goal = "delete";
    s->state = "deleting";
}

static int run_delete(struct call *c, struct error *err)
{
    struct stack_change x;

    if (start(c, &x, err) ||
        lock_guard(c, x.place.id, endpoint_right(c), endpoint_deletes(c), err))
        return -1;
    if (!x.was) {
        http_reply_empty(c->req, 204);
        return 0;
    }
    if (read_query(c, &x, err))
        return -1;
    x.s.request = empty_request(&x);
    take_over(&x);
    if (submission_plan(&x.s, err) || submission_preflight(&x.s, err))
        return reply_refusal(c, &x.s, err);
    if (take_scope(c, &x, err) || accept_stack(&x, err))
        return -1;
    http_reply_header(c->req, "Location",
                      call_url(c, arena_printf(c->arena, "%s/operationResults/%s", x.place.id,
                                               x.stack.operation_id)));
    http_reply_header(c->req, "Retry-After", RETRY_AFTER);
    http_reply_empty(c->req, 202);
    return 0;
}

STACK_ENDPOINT(stack_put_one, run_put, "write", "Deploys a template as a stack");
STACK_ENDPOINT(stack_validate, run_validate, "validate/action",
               "Checks a stack's template against the installation", .is_question = true);
STACK_ENDPOINT(stack_delete, run_delete, "delete",
               "Deletes a stack, and what it manages when asked to");

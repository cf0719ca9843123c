/* A template of what is in a resource group: every resource as a PUT would take it, names as
 * literals, children after their parents. */
#include "controlplane/deployments/endpoints.h"

#include <string.h>
#include <strings.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/api/call.h"
#include "controlplane/api/errors.h"
#include "controlplane/api/local.h"
#include "controlplane/api/routes.h"
#include "controlplane/deployments/place.h"
#include "controlplane/deployments/scope.h"
#include "controlplane/store/deployments.h"

#define SCHEMA "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
#define RIGHT "Microsoft.Resources/subscriptions/resourceGroups/write"

struct rows {
    const char *subscription_id, *group_key;
    const char *const *types;
    size_t type_count;
    struct deployment_leftover *items;
    size_t count;
};

static int read_rows(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct rows *x = ctx;

    return deployment_group_rows(conn, a, x->subscription_id, x->group_key, x->types,
                                 x->type_count, &x->items, &x->count, err);
}

struct exported {
    struct json_object *resources, *problems; /* arrays */
};

/* "a/b" of ".../providers/NS/t1/a/t2/b". */
static char *full_name(struct arena *a, const char *id)
{
    const char *at = strcasestr(id, "/providers/");
    char **parts = NULL;
    size_t count = at ? text_split(a, at, '/', &parts) : 0;
    char *name = NULL;

    for (size_t i = 4; i < count; i += 2)
        name = name ? arena_printf(a, "%s/%s", name, parts[i]) : parts[i];
    return name ? name : arena_strdup(a, "");
}

/* resourceId('NS/t1', 'a') of the parent of a child: of the nearest that a template can name. */
static char *parent_expression(struct arena *a, const char *type, const char *name)
{
    const char *type_end = strrchr(type, '/'), *name_end = strrchr(name, '/');
    char *out;
    char **parts = NULL;
    size_t count;

    if (!name_end)
        return NULL;
    out = arena_strndup(a, type, (size_t)(type_end - type));
    if (!arm_type_find(out).name)
        return parent_expression(a, out, arena_strndup(a, name, (size_t)(name_end - name)));
    out = arena_printf(a, "[resourceId('%.*s'", (int)(type_end - type), type);
    count = text_split(a, arena_strndup(a, name, (size_t)(name_end - name)), '/', &parts);
    for (size_t i = 0; i < count; i++)
        out = arena_printf(a, "%s, '%s'", out, parts[i]);
    return arena_printf(a, "%s)]", out);
}

/* 1 asked for, 0 not. */
static bool is_wanted(const struct json_object *wanted, const char *id)
{
    for (size_t i = 0; i < json_count(wanted); i++) {
        const char *one = json_text(json_item(wanted, i), "");

        if (text_eq(one, "*") || text_eq_nocase(one, id))
            return true;
    }
    return false;
}

/* What is refused as it is shown lacks something secret: the caller is told why it is left out. */
static void add_problem(struct json_object *problems, const char *id,
                        const struct json_object *failure)
{
    struct json_object *detail = json_new_object();

    json_set_text(detail, "code", "ExportTemplateProviderError");
    json_set_text(detail, "target", id);
    json_set_text(detail, "message", json_text(failure, "message"));
    json_add(problems, detail);
}

static int add_resource(struct call *c, const struct http_app *app, const char *id,
                        const char *type_key, struct exported *to, struct error *err)
{
    struct arm_type type = arm_type_find(type_key);
    struct arm_call call = { .arena = c->arena, .app = app, .caller = &c->caller,
                             .method = "GET", .path = id, .api_version = type.newest_version };
    char *name = full_name(c->arena, id), *parent = parent_expression(c->arena, type.name, name);
    struct json_object *out, *body;

    if (arm_call(&call, err))
        return -1;
    if (!arm_call_is_good(&call))
        return 0; /* gone meanwhile, or not for the caller's eyes */
    call.method = "PUT";
    call.body = call.answer;
    call.depth = ARM_CHECK;
    if (arm_call(&call, err))
        return -1;
    body = arm_call_is_good(&call) ? json_at(call.answer, "before") : NULL;
    if (!body) {
        if (call.status == E_BAD_REQUEST.status)
            add_problem(to->problems, id, call.answer);
        return 0; /* or it is never written, as an interface of an endpoint */
    }
    out = json_new_object();
    json_set_text(out, "type", type.name);
    json_set_text(out, "apiVersion", type.newest_version);
    json_set_text(out, "name", name);
    json_unset(body, "id");
    json_unset(body, "type");
    json_unset(body, "name");
    if (parent) {
        struct json_object *on = json_new_array();

        json_add_text(on, parent);
        json_set(out, "dependsOn", on);
    }
    json_merge_patch(out, body);
    json_add(to->resources, out);
    return 0;
}

static int read_wanted(struct call *c, struct json_object **ret, struct error *err)
{
    struct json_object *body = NULL;
    struct error reason;

    if (json_parse_object(c->req->body, c->req->body_len, ARM_BODY_MAX_BYTES, &body, &reason))
        return fail(err, &E_INVALID_CONTENT,
                    "The request content was invalid and could not be deserialized: '%.900s'.",
                    reason.message);
    *ret = json_at(json_own(c->arena, body), "resources");
    if (json_kind(*ret) != JSON_ARRAY)
        return fail_at(err, &E_INVALID_CONTENT, "resources",
                       "The member 'resources' must list ids, or '*'.");
    return 0;
}

static struct json_object *export_failure(struct json_object *problems)
{
    struct json_object *out = json_new_object();

    json_set_text(out, "code", "ExportTemplateCompletedWithErrors");
    json_set_text(out, "message",
                  "Export template operation completed with errors. Some resources were not "
                  "exported. Please see details for more information.");
    json_set(out, "details", json_get(problems));
    return out;
}

static int run(struct call *c, struct error *err)
{
    const struct http_app app = { .routes = arm_routes, .ctx = c->arm };
    struct json_object *out = json_own(c->arena, json_new_object()), *template;
    struct exported to = { .problems = json_own(c->arena, json_new_array()) };
    struct json_object *wanted = NULL;
    struct deploy_scope scope;
    struct rows rows = { 0 };
    const char *id = arena_printf(c->arena, "/subscriptions/%s/resourceGroups/%s",
                                  c->req->params[0], c->req->params[1]);

    if (scope_load(c->control, c->arena, c->caller.tenant_id, id, &scope, err) ||
        access_check(c->control, c->arena, &c->caller, endpoint_right(c), scope.id, err) ||
        read_wanted(c, &wanted, err))
        return -1;
    rows.types = arm_types(c->arena, false, &rows.type_count);
    rows.subscription_id = scope.subscription_id;
    rows.group_key = text_lower(c->arena, scope.group);
    if (pg_with(c->control->db, c->arena, read_rows, &rows, err))
        return -1;
    template = json_new_object();
    json_set(out, "template", template);
    json_set_text(template, "$schema", SCHEMA);
    json_set_text(template, "contentVersion", "1.0.0.0");
    json_set(template, "parameters", json_new_object());
    json_set(template, "variables", json_new_object());
    to.resources = json_new_array();
    json_set(template, "resources", to.resources);
    for (size_t i = 0; i < rows.count; i++)
        if (!rows.items[i].is_system && is_wanted(wanted, rows.items[i].id) &&
            add_resource(c, &app, rows.items[i].id, rows.items[i].type_key, &to, err))
            return -1;
    if (json_count(to.problems))
        json_set(out, "error", export_failure(to.problems));
    reply_json(c, 200, out);
    return 0;
}

const struct endpoint group_export = {
    .versions = deployment_versions,
    .right = RIGHT,
    .is_question = true,
    .description = "A template of what is in a resource group",
    .run = run,
};

/* Role assignments at any scope. Each change wakes the registries it touches in the same moment, so
 * that their data planes hear of it. */
#include "controlplane/api/role_assignments.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/api/call.h"
#include "controlplane/api/errors.h"
#include "controlplane/api/extension.h"
#include "controlplane/identity/condition.h"
#include "controlplane/identity/roles.h"
#include "controlplane/provision/publish_grants.h"
#include "controlplane/store/authorization.h"
#include "controlplane/store/identity.h"

#define PAGE_MAX 500
#define DESCRIPTION_MAX_BYTES 1024

static const struct error_code E_EXISTS = { "RoleAssignmentExists", 409 };
static const struct error_code E_ID_TAKEN = { "RoleAssignmentUpdateNotPermitted", 400 };
static const struct error_code E_NOT_THERE = { "RoleAssignmentNotFound", 404 };
static const struct error_code E_NO_ROLE = { "RoleDefinitionDoesNotExist", 404 };
static const struct error_code E_NO_PRINCIPAL = { "PrincipalNotFound", 400 };
static const struct error_code E_WRONG_TYPE = { "UnmatchedPrincipalType", 400 };
static const struct error_code E_BAD_ID = { "InvalidRoleAssignmentId", 400 };
static const struct error_code E_BAD_PRINCIPAL = { "InvalidPrincipalId", 400 };
static const struct error_code E_BAD_CONDITION = { "InvalidRoleAssignmentCondition", 400 };

const char *const role_versions[] = {
    "2022-04-01",         "2018-07-01",         "2015-07-01",         "2022-05-01-preview",
    "2022-01-01-preview", "2021-04-01-preview", "2020-10-01-preview", "2020-08-01-preview",
    "2020-04-01-preview", "2020-03-01-preview", "2018-09-01-preview", "2018-01-01-preview",
    "2017-10-01-preview", NULL,
};

struct work {
    struct call *call;
    struct extension at;
    struct grant_row row;
    struct grant_filter filter;
    struct grant_row *rows;
    size_t count;
    bool is_new;
    int found;
};

/* What the directory calls a principal of a kind. */
static const char *type_of(const char *kind)
{
    return text_eq(kind, "ManagedIdentity") ? "ServicePrincipal" : kind;
}

static struct json_object *show(struct call *c, const struct grant_row *row)
{
    struct json_object *out = json_new_object(), *p = json_new_object();
    const char *scope = row->scope[0] ? row->scope : "/";
    const char *subscription = text_starts_nocase(scope, "/subscriptions/")
                                   ? arena_strndup(c->arena, scope, strlen("/subscriptions/") + 36)
                                   : "";

    json_set_text(p, "roleDefinitionId",
                  arena_printf(c->arena, "%s/providers/%s/roleDefinitions/%s", subscription,
                               AUTHORIZATION, row->role_definition_id));
    json_set_text(p, "principalId", row->principal_id);
    json_set_text(p, "principalType", row->principal_type);
    json_set_text(p, "scope", scope);
    json_set_text(p, "condition", row->condition);
    json_set_text(p, "conditionVersion", row->condition_version);
    json_set_text(p, "createdOn", row->created_at);
    json_set_text(p, "updatedOn", row->updated_at);
    json_set_text(p, "createdBy", row->created_by);
    json_set_text(p, "updatedBy", row->updated_by);
    json_set_text(p, "delegatedManagedIdentityResourceId", NULL);
    json_set_text(p, "description", row->description);
    json_set(out, "properties", p);
    json_set_text(out, "id", extension_id(c, scope, "roleAssignments", row->id));
    json_set_text(out, "type", AUTHORIZATION "/roleAssignments");
    json_set_text(out, "name", row->id);
    return json_own(c->arena, out);
}

/* The guid at the end of a role definition's id, which clients also give alone. */
static const char *role_guid(struct arena *a, const char *id)
{
    const char *slash = id ? strrchr(id, '/') : NULL;
    const char *guid = slash ? slash + 1 : id;

    return guid && uuid_is_valid(guid) ? text_lower(a, guid) : NULL;
}

static int read_request(struct work *w, struct error *err)
{
    struct call *c = w->call;
    struct json_object *body = NULL;
    struct condition *condition = NULL;
    struct error reason;
    const char *role;

    if (!w->at.name || !uuid_is_valid(w->at.name))
        return fail(err, &E_BAD_ID, "The role assignment ID '%.100s' is not valid. The role "
                                    "assignment ID must be a GUID.",
                    w->at.name ? w->at.name : "");
    if (extension_body(c, &body, err))
        return -1;
    role = json_text(body, "properties.roleDefinitionId");
    w->row = (struct grant_row){
        .id = text_lower(c->arena, w->at.name),
        .scope = w->at.scope,
        .scope_key = w->at.key,
        .role_definition_id = role_guid(c->arena, role),
        .principal_id = json_text(body, "properties.principalId"),
        .principal_type = json_text(body, "properties.principalType"),
        .condition = json_text(body, "properties.condition"),
        .condition_version = json_text(body, "properties.conditionVersion"),
        .description = json_text(body, "properties.description"),
        .updated_by = c->caller.object_id,
        .created_by = c->caller.object_id,
    };
    if (!role || !w->row.role_definition_id)
        return fail_at(err, &E_INVALID_CONTENT, "properties.roleDefinitionId",
                       "The role definition id is missing or invalid.");
    if (!w->row.principal_id || !uuid_is_valid(w->row.principal_id))
        return fail_at(err, &E_BAD_PRINCIPAL, "properties.principalId",
                       "A valid principal ID must be provided for role assignment.");
    w->row.principal_id = text_lower(c->arena, w->row.principal_id);
    if (w->row.description && strlen(w->row.description) > DESCRIPTION_MAX_BYTES)
        return fail_at(err, &E_INVALID_CONTENT, "properties.description",
                       "The description may have up to %d bytes.", DESCRIPTION_MAX_BYTES);
    if (w->row.condition && w->row.condition[0] == '\0')
        w->row.condition = NULL;
    if (!w->row.condition) {
        w->row.condition_version = NULL;
        return 0;
    }
    if (w->row.condition_version && !text_eq(w->row.condition_version, "2.0"))
        return fail_at(err, &E_BAD_CONDITION, "properties.conditionVersion",
                       "Conditions are of version '2.0'.");
    w->row.condition_version = "2.0";
    if (condition_parse(c->arena, w->row.condition, &condition, &reason))
        return fail_at(err, &E_BAD_CONDITION, "properties.condition", "%s", reason.message);
    return 0;
}

/* A role of the tenant's own holds in its assignable scopes. */
static bool is_assignable(const struct role_row *role, const char *scope_key)
{
    for (size_t i = 0; i < role->scopes.count; i++) {
        size_t len = strlen(role->scopes.items[i]);

        if (strncasecmp(role->scopes.items[i], scope_key, len) == 0 &&
            (scope_key[len] == '\0' || scope_key[len] == '/'))
            return true;
    }
    return false;
}

/* Role and principal are of this tenant. */
static int check_names(struct pg_conn *conn, struct work *w, struct error *err)
{
    struct call *c = w->call;
    struct principal_row principal;
    struct role_row role;
    int found;

    if (!role_find(w->row.role_definition_id)) {
        found = role_row_get(conn, c->arena, c->caller.tenant_id, w->row.role_definition_id, &role,
                             err);
        if (found < 0)
            return -1;
        if (!found || !is_assignable(&role, w->at.key))
            return fail(err, &E_NO_ROLE,
                        "The specified role definition with ID '%s' does not exist.",
                        w->row.role_definition_id);
    }
    found = identity_principal(conn, c->arena, w->row.principal_id, &principal, err);
    if (found < 0)
        return -1;
    if (!found || !text_eq_nocase(principal.tenant_id, c->caller.tenant_id))
        return fail(err, &E_NO_PRINCIPAL,
                    "Principal %s does not exist in the directory %s. Check that you have the "
                    "correct principal ID.",
                    w->row.principal_id, c->caller.tenant_id);
    if (w->row.principal_type && !text_eq_nocase(w->row.principal_type, type_of(principal.kind)))
        return fail(err, &E_WRONG_TYPE,
                    "The PrincipalId '%s' has type '%s', which is different from specified "
                    "PrinciaplType '%.40s'.",
                    w->row.principal_id, type_of(principal.kind), w->row.principal_type);
    w->row.principal_type = type_of(principal.kind);
    return 0;
}

static int put(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;
    struct call *c = w->call;
    const char *tenant = c->caller.tenant_id;
    const char *id = extension_id(c, w->at.scope, "roleAssignments", w->row.id);
    struct grant_row was;
    int found;

    if (extension_hold(conn, c, &w->at, err) || check_names(conn, w, err))
        return -1;
    found = grant_row_get(conn, a, tenant, w->at.key, w->row.id, &was, err);
    if (found < 0)
        return -1;
    w->is_new = !found;
    if (found && (!text_eq(was.role_definition_id, w->row.role_definition_id) ||
                  !text_eq(was.principal_id, w->row.principal_id)))
        return fail(err, &E_ID_TAKEN, "Tenant ID, application ID, principal ID, and scope are not "
                                      "allowed to be updated.");
    if (found ? grant_row_update(conn, a, tenant, &w->row, err)
              : grant_row_insert(conn, a, tenant, &w->row, err))
        return -1;
    if (grant_row_get(conn, a, tenant, w->at.key, w->row.id, &w->row, err) < 0)
        return -1;
    return extension_event(conn, c, &w->at, id, err);
}

static int run_put(struct call *c, struct error *err)
{
    struct work w = { .call = c };

    if (extension_open(c, false, &w.at, err) || read_request(&w, err))
        return -1;
    if (pg_transact(c->control->db, c->arena, put, &w, err)) {
        if (err->code == &E_CONFLICT)
            return fail(err, &E_EXISTS, "The role assignment already exists.");
        return -1;
    }
    if (publish_grants_changed(c->control, c->arena, w.at.key, err))
        return -1;
    reply_json(c, w.is_new ? 201 : 200, show(c, &w.row));
    return 0;
}

static int get(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;

    w->found = grant_row_get(conn, a, w->call->caller.tenant_id, w->at.key,
                             text_lower(a, w->at.name), &w->row, err);
    return w->found < 0 ? -1 : 0;
}

static int run_get(struct call *c, struct error *err)
{
    struct work w = { .call = c };

    if (extension_open(c, false, &w.at, err))
        return -1;
    if (uuid_is_valid(w.at.name) && pg_with(c->control->db, c->arena, get, &w, err))
        return -1;
    if (!w.found)
        return fail(err, &E_NOT_THERE, "The role assignment '%.100s' is not found.", w.at.name);
    reply_json(c, 200, show(c, &w.row));
    return 0;
}

static int drop(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;
    struct call *c = w->call;
    int found;

    if (get(conn, a, w, err))
        return -1;
    if (!w->found)
        return 0;
    found = grant_row_delete(conn, a, c->caller.tenant_id, w->at.key, w->row.id, err);
    if (found < 0)
        return -1;
    return extension_event(conn, c, &w->at,
                           extension_id(c, w->at.scope, "roleAssignments", w->row.id), err);
}

static int run_delete(struct call *c, struct error *err)
{
    struct work w = { .call = c };

    if (extension_open(c, false, &w.at, err))
        return -1;
    if (uuid_is_valid(w.at.name) && pg_transact(c->control->db, c->arena, drop, &w, err))
        return -1;
    if (!w.found) {
        http_reply_empty(c->req, 204);
        return 0;
    }
    if (publish_grants_changed(c->control, c->arena, w.at.key, err))
        return -1;
    reply_json(c, 200, show(c, &w.row));
    return 0;
}

static int read_filter(struct work *w, struct error *err)
{
    struct call *c = w->call;
    const char *filter = http_query_nocase(c->req, "$filter"), *value = NULL;

    w->filter = (struct grant_filter){ .tenant_id = c->caller.tenant_id,
                                       .scope_key = w->at.key,
                                       .is_below = !extension_filter(c, "atScope()", NULL),
                                       .limit = PAGE_MAX + 1 };
    if (extension_filter(c, "assignedTo(", &value))
        w->filter.is_with_groups = true;
    else if (!extension_filter(c, "principalId eq", &value) && filter && filter[0] &&
             w->filter.is_below)
        return fail(err, &E_INVALID_FILTER,
                    "The filter may hold atScope(), assignedTo('{objectId}') and principalId eq "
                    "'{objectId}'.");
    if (value && !uuid_is_valid(value))
        return fail(err, &E_INVALID_FILTER, "'%.60s' is not the id of a principal.", value);
    w->filter.principal_id = value;
    if (extension_after(c, &w->filter.after_scope, &w->filter.after_id, err))
        return -1;
    if (w->filter.after_id && !uuid_is_valid(w->filter.after_id))
        return fail(err, &E_INVALID_SKIP_TOKEN, "The $skipToken is not one of this service's.");
    return 0;
}

static int list(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;

    return grant_row_list(conn, a, &w->filter, &w->rows, &w->count, err);
}

static int run_list(struct call *c, struct error *err)
{
    struct work w = { .call = c };
    struct json_object *body, *value;

    if (extension_open(c, false, &w.at, err) || read_filter(&w, err) ||
        pg_with(c->control->db, c->arena, list, &w, err))
        return -1;
    body = json_own(c->arena, json_new_object());
    value = json_new_array();
    for (size_t i = 0; i < w.count && i < PAGE_MAX; i++)
        json_add(value, json_get(show(c, &w.rows[i])));
    json_set(body, "value", value);
    if (w.count > PAGE_MAX)
        extension_next(c, w.rows[PAGE_MAX - 1].scope_key, w.rows[PAGE_MAX - 1].id, body);
    reply_json(c, 200, body);
    return 0;
}

const struct endpoint role_assignment_put = { .versions = role_versions,
                                              .right = AUTHORIZATION "/roleAssignments/write",
                                              .description = "Assign a role",
                                              .run = run_put };
const struct endpoint role_assignment_show = { .versions = role_versions,
                                               .right = AUTHORIZATION "/roleAssignments/read",
                                               .is_item = true,
                                               .description = "A role assignment",
                                               .run = run_get };
const struct endpoint role_assignment_remove = { .versions = role_versions,
                                                 .right = AUTHORIZATION "/roleAssignments/delete",
                                                 .description = "Take a role away",
                                                 .run = run_delete };
const struct endpoint role_assignments_list = {
    .versions = role_versions,
    .right = AUTHORIZATION "/roleAssignments/read",
    .description = "Role assignments at a scope, above and below it",
    .run = run_list,
};

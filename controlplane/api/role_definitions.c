/* Role definitions: the built-in ones, which nobody changes, and the tenant's own. */
#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/api/call.h"
#include "controlplane/api/errors.h"
#include "controlplane/api/extension.h"
#include "controlplane/api/role_assignments.h"
#include "controlplane/identity/roles.h"
#include "controlplane/provision/publish_grants.h"
#include "controlplane/store/authorization.h"

#define PATTERNS_MAX 500
#define SCOPES_MAX 100
#define TEXT_MAX_BYTES 2048

static const struct error_code E_NO_ROLE = { "RoleDefinitionDoesNotExist", 404 };
static const struct error_code E_BUILT_IN = { "RoleDefinitionUpdateNotPermitted", 400 };
static const struct error_code E_NAME_TAKEN = { "RoleDefinitionWithSameNameExists", 409 };
static const struct error_code E_USED = { "RoleDefinitionHasAssignments", 400 };
static const struct error_code E_BAD_ID = { "InvalidRoleDefinitionId", 400 };

struct work {
    struct call *call;
    struct extension at;
    struct role_row row;
    struct role_row *rows;
    size_t count;
    struct text_rows touched; /* where assignments of it are */
    const char *name;         /* filter */
    int found;
    bool is_used;
};

static struct json_object *texts(const char *const *items, size_t count)
{
    struct json_object *list = json_new_array();

    for (size_t i = 0; i < count; i++)
        json_add_text(list, items[i]);
    return list;
}

static size_t count_of(const char *const *items)
{
    size_t n = 0;

    while (items[n])
        n++;
    return n;
}

static struct json_object *show_row(struct call *c, const struct extension *at,
                                    const struct role_row *row, bool is_builtin)
{
    struct json_object *out = json_new_object(), *p = json_new_object();
    struct json_object *permissions = json_new_array(), *permission = json_new_object();
    const char *subscription =
        at->is_tenant ? "" : arena_strndup(c->arena, at->scope, strlen("/subscriptions/") + 36);

    json_set_text(p, "roleName", row->name);
    json_set_text(p, "type", is_builtin ? "BuiltInRole" : "CustomRole");
    json_set_text(p, "description", row->description);
    json_set(p, "assignableScopes", texts(row->scopes.items, row->scopes.count));
    json_set(permission, "actions", texts(row->actions.items, row->actions.count));
    json_set(permission, "notActions", texts(row->not_actions.items, row->not_actions.count));
    json_set(permission, "dataActions", texts(row->data_actions.items, row->data_actions.count));
    json_set(permission, "notDataActions",
             texts(row->not_data_actions.items, row->not_data_actions.count));
    json_add(permissions, permission);
    json_set(p, "permissions", permissions);
    json_set_text(p, "createdOn", row->created_at);
    json_set_text(p, "updatedOn", row->updated_at);
    json_set_text(p, "createdBy", row->created_by);
    json_set_text(p, "updatedBy", row->updated_by);
    json_set(out, "properties", p);
    json_set_text(out, "id", arena_printf(c->arena, "%s/providers/%s/roleDefinitions/%s",
                                          subscription, AUTHORIZATION, row->id));
    json_set_text(out, "type", AUTHORIZATION "/roleDefinitions");
    json_set_text(out, "name", row->id);
    return out;
}

static struct text_rows rows_of(const char *const *items)
{
    return (struct text_rows){ .items = (const char **)(uintptr_t)items,
                               .count = count_of(items) };
}

static struct json_object *show_builtin(struct call *c, const struct extension *at,
                                        const struct role *role)
{
    static const char *const root[] = { "/", NULL };
    const struct role_row row = {
        .id = role->id,
        .name = role->name,
        .description = role->description,
        .actions = rows_of(role->actions),
        .not_actions = rows_of(role->not_actions),
        .data_actions = rows_of(role->data_actions),
        .not_data_actions = rows_of(role->not_data_actions),
        .scopes = rows_of(root),
        .created_at = "2015-02-02T21:55:09.8806423Z",
        .updated_at = "2015-02-02T21:55:09.8806423Z",
    };

    return show_row(c, at, &row, true);
}

/* x is y or in it, or the other way round. */
static bool is_related(const char *x, const char *y)
{
    size_t len = strlen(x) < strlen(y) ? strlen(x) : strlen(y);
    const char *longer = strlen(x) < strlen(y) ? y : x;

    return strncasecmp(x, y, len) == 0 && (longer[len] == '\0' || longer[len] == '/' || len == 0);
}

/* A role of the tenant's own is shown where it can be assigned. */
static bool is_seen(const struct extension *at, const struct role_row *row)
{
    for (size_t i = 0; i < row->scopes.count; i++) {
        const char *scope = row->scopes.items[i];

        if (is_related(at->key, text_eq(scope, "/") ? "" : scope))
            return true;
    }
    return false;
}

static int list(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;

    return role_row_list(conn, a, w->call->caller.tenant_id, w->name, &w->rows, &w->count, err);
}

static int run_list(struct call *c, struct error *err)
{
    struct work w = { .call = c };
    struct json_object *body, *value;
    const char *type = NULL;

    if (extension_open(c, false, &w.at, err))
        return -1;
    (void)extension_filter(c, "roleName eq", &w.name);
    (void)extension_filter(c, "type eq", &type);
    if (pg_with(c->control->db, c->arena, list, &w, err))
        return -1;
    body = json_own(c->arena, json_new_object());
    value = json_new_array();
    for (const struct role *r = builtin_roles; r->id; r++) {
        if ((!w.name || text_eq_nocase(r->name, w.name)) &&
            (!type || text_eq_nocase(type, "BuiltInRole")))
            json_add(value, show_builtin(c, &w.at, r));
    }
    for (size_t i = 0; i < w.count; i++) {
        if (is_seen(&w.at, &w.rows[i]) && (!type || text_eq_nocase(type, "CustomRole")))
            json_add(value, show_row(c, &w.at, &w.rows[i], false));
    }
    json_set(body, "value", value);
    reply_json(c, 200, body);
    return 0;
}

static int get(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;

    w->found = role_row_get(conn, a, w->call->caller.tenant_id, w->at.name, &w->row, err);
    return w->found < 0 ? -1 : 0;
}

static int fail_unknown(const char *name, struct error *err)
{
    return fail(err, &E_NO_ROLE, "The specified role definition with ID '%.100s' does not exist.",
                name);
}

static int run_get(struct call *c, struct error *err)
{
    struct work w = { .call = c };
    const struct role *builtin;

    if (extension_open(c, false, &w.at, err))
        return -1;
    builtin = role_find(w.at.name);
    if (builtin) {
        reply_json(c, 200, json_own(c->arena, show_builtin(c, &w.at, builtin)));
        return 0;
    }
    if (uuid_is_valid(w.at.name) && pg_with(c->control->db, c->arena, get, &w, err))
        return -1;
    if (!w.found)
        return fail_unknown(w.at.name, err);
    reply_json(c, 200, json_own(c->arena, show_row(c, &w.at, &w.row, false)));
    return 0;
}

/* A list of texts at path; absent is empty. */
static int read_texts(struct call *c, const struct json_object *body, const char *path, size_t max,
                      struct text_rows *ret, struct error *err)
{
    const struct json_object *list = json_at(body, path);
    size_t count = json_count(list);

    if ((list && json_kind(list) != JSON_ARRAY) || count > max)
        return fail_at(err, &E_INVALID_CONTENT, path, "'%s' is a list of at most %zu texts.", path,
                       max);
    ret->items = arena_array(c->arena, count + 1, sizeof(char *));
    ret->count = count;
    for (size_t i = 0; i < count; i++) {
        ret->items[i] = json_text(json_item(list, i), "");
        if (!ret->items[i] || !ret->items[i][0] || strlen(ret->items[i]) > TEXT_MAX_BYTES)
            return fail_at(err, &E_INVALID_CONTENT, path, "'%s' holds texts.", path);
    }
    return 0;
}

static int read_permissions(struct work *w, const struct json_object *body, struct error *err)
{
    struct call *c = w->call;
    const struct json_object *list = json_at(body, "properties.permissions");
    const struct json_object *one = json_item(list, 0);

    if (json_count(list) != 1 || json_kind(one) != JSON_OBJECT)
        return fail_at(err, &E_INVALID_CONTENT, "properties.permissions",
                       "A role definition has one entry of permissions.");
    return read_texts(c, one, "actions", PATTERNS_MAX, &w->row.actions, err) ||
                   read_texts(c, one, "notActions", PATTERNS_MAX, &w->row.not_actions, err) ||
                   read_texts(c, one, "dataActions", PATTERNS_MAX, &w->row.data_actions, err) ||
                   read_texts(c, one, "notDataActions", PATTERNS_MAX, &w->row.not_data_actions, err)
               ? -1
               : 0;
}

/* Whoever makes a role assignable somewhere needs the right to make roles there. */
static int check_scopes(struct work *w, struct error *err)
{
    struct call *c = w->call;

    if (w->row.scopes.count == 0)
        return fail_at(err, &E_INVALID_CONTENT, "properties.assignableScopes",
                       "A role definition needs at least one assignable scope.");
    for (size_t i = 0; i < w->row.scopes.count; i++) {
        const char *scope = w->row.scopes.items[i];

        if (!text_starts_nocase(scope, "/subscriptions/") || strlen(scope) > TEXT_MAX_BYTES / 2)
            return fail_at(err, &E_INVALID_CONTENT, "properties.assignableScopes",
                           "'%.200s' is not an assignable scope.", scope);
        if (access_check(c->control, c->arena, &c->caller, AUTHORIZATION "/roleDefinitions/write",
                         scope, err))
            return -1;
    }
    return 0;
}

static int read_request(struct work *w, struct error *err)
{
    struct call *c = w->call;
    struct json_object *body = NULL;

    if (!w->at.name || !uuid_is_valid(w->at.name))
        return fail(err, &E_BAD_ID, "The role definition ID '%.100s' is not a GUID.",
                    w->at.name ? w->at.name : "");
    if (role_find(w->at.name))
        return fail(err, &E_BUILT_IN, "The role '%s' is built in and cannot be changed.",
                    role_find(w->at.name)->name);
    if (extension_body(c, &body, err))
        return -1;
    w->row = (struct role_row){ .id = text_lower(c->arena, w->at.name),
                                .name = json_text(body, "properties.roleName"),
                                .description = json_text(body, "properties.description"),
                                .updated_by = c->caller.object_id };
    if (!w->row.description)
        w->row.description = "";
    if (!w->row.name || !w->row.name[0] || strlen(w->row.name) > 512 ||
        strlen(w->row.description) > TEXT_MAX_BYTES)
        return fail_at(err, &E_INVALID_CONTENT, "properties.roleName",
                       "A role definition has a name of 1 to 512 bytes and a description of at "
                       "most %d.",
                       TEXT_MAX_BYTES);
    if (role_find_name(w->row.name))
        return fail(err, &E_NAME_TAKEN, "A role definition with the name '%s' exists.",
                    w->row.name);
    if (read_permissions(w, body, err) ||
        read_texts(c, body, "properties.assignableScopes", SCOPES_MAX, &w->row.scopes, err))
        return -1;
    return check_scopes(w, err);
}

static int put(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;
    const char *tenant = w->call->caller.tenant_id;

    if (extension_hold(conn, w->call, &w->at, err) ||
        role_row_put(conn, a, tenant, &w->row, err) < 0)
        return -1;
    if (role_row_scopes(conn, a, tenant, w->row.id, &w->touched, err) ||
        role_row_get(conn, a, tenant, w->row.id, &w->row, err) < 0)
        return -1;
    return extension_event(conn, w->call, &w->at,
                           extension_id(w->call, w->at.scope, "roleDefinitions", w->row.id), err);
}

static int run_put(struct call *c, struct error *err)
{
    struct work w = { .call = c };

    if (extension_open(c, false, &w.at, err) || read_request(&w, err))
        return -1;
    if (pg_transact(c->control->db, c->arena, put, &w, err)) {
        if (err->code == &E_CONFLICT)
            return fail(err, &E_NAME_TAKEN, "A role definition with this name or id exists.");
        return -1;
    }
    for (size_t i = 0; i < w.touched.count; i++) {
        if (publish_grants_changed(c->control, c->arena, w.touched.items[i], err))
            return -1;
    }
    /* Also where there was one: the published libraries know no other answer. */
    reply_json(c, 201, json_own(c->arena, show_row(c, &w.at, &w.row, false)));
    return 0;
}

static int drop(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;
    const char *tenant = w->call->caller.tenant_id;
    int used;

    if (get(conn, a, w, err))
        return -1;
    if (!w->found)
        return 0;
    used = role_row_is_used(conn, a, tenant, w->row.id, err);
    w->is_used = used > 0;
    if (used != 0)
        return used < 0 ? -1 : 0;
    if (role_row_delete(conn, a, tenant, w->row.id, err) < 0)
        return -1;
    return extension_event(conn, w->call, &w->at,
                           extension_id(w->call, w->at.scope, "roleDefinitions", w->row.id), err);
}

static int run_delete(struct call *c, struct error *err)
{
    struct work w = { .call = c };

    if (extension_open(c, false, &w.at, err))
        return -1;
    if (role_find(w.at.name))
        return fail(err, &E_BUILT_IN, "The role '%s' is built in and cannot be deleted.",
                    role_find(w.at.name)->name);
    if (uuid_is_valid(w.at.name) && pg_transact(c->control->db, c->arena, drop, &w, err))
        return -1;
    if (w.is_used)
        return fail(err, &E_USED, "There are existing role assignments referencing the role.");
    if (!w.found)
        http_reply_empty(c->req, 204);
    else
        reply_json(c, 200, json_own(c->arena, show_row(c, &w.at, &w.row, false)));
    return 0;
}

const struct endpoint role_definition_put = { .versions = role_versions,
                                              .right = AUTHORIZATION "/roleDefinitions/write",
                                              .description = "Create or change a custom role",
                                              .run = run_put };
const struct endpoint role_definition_show = { .versions = role_versions,
                                               .right = AUTHORIZATION "/roleDefinitions/read",
                                               .is_item = true,
                                               .description = "A role definition",
                                               .run = run_get };
const struct endpoint role_definition_remove = { .versions = role_versions,
                                                 .right = AUTHORIZATION "/roleDefinitions/delete",
                                                 .description = "Delete a custom role",
                                                 .run = run_delete };
const struct endpoint role_definitions_list = { .versions = role_versions,
                                                .right = AUTHORIZATION "/roleDefinitions/read",
                                                .description = "Role definitions at a scope",
                                                .run = run_list };

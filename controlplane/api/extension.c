/* Scopes, bodies and filters of extension resources: see the header. */
#include "controlplane/api/extension.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/api/call.h"
#include "controlplane/api/endpoint.h"
#include "controlplane/api/errors.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/all.h"

/* Where the last "/providers/" of the path starts. */
static size_t scope_len(const char *path)
{
    size_t found = 0;

    for (size_t i = 0; path[i]; i++) {
        if (text_starts_nocase(path + i, "/providers/"))
            found = i;
    }
    return found;
}

/* The id as tables spell it: types and fixed segments canonical, names as written. */
static int read_scope(struct call *c, const char *text, struct extension *ret, struct error *err)
{
    const struct resource_type *type;
    struct arm_id *id = &c->id;

    if (text[0] == '\0') {
        ret->scope = "/";
        ret->key = "";
        ret->is_tenant = true;
        return 0;
    }
    if (arm_id_parse(c->arena, text, id, err))
        return -1;
    if (!id->subscription || id->scope || id->tail)
        return fail(err, &E_NO_ROUTE, "'%.200s' is not a scope.", text);
    if (call_subscription(c, id->subscription, err))
        return -1;
    id->subscription = c->subscription.id;
    if (!id->provider) {
        if (id->group)
            return fail(err, &E_NO_ROUTE, "'%.200s' is not a scope.", text);
        ret->scope = arm_id_subscription(c->arena, id);
        ret->is_subscription = true;
    } else {
        type = type_find(arm_id_type(c->arena, id, id->depth));
        if (!type || arm_id_is_collection(id))
            return fail(err, &E_NO_ROUTE, "'%.200s' is not a scope.", text);
        ret->scope = arm_id_text(c->arena, id, type->name, id->depth);
    }
    ret->key = text_lower(c->arena, ret->scope);
    return 0;
}

int extension_open(struct call *c, bool is_lock, struct extension *ret, struct error *err)
{
    char *path = arena_strdup(c->arena, c->req->path), *name;
    const char *right = endpoint_right(c);
    bool is_read = text_ends(right, "/read");
    size_t len = scope_len(path);

    *ret = (struct extension){ 0 };
    /* "/providers/<namespace>/<type>[/<name>]" */
    name = strchr(path + len + strlen("/providers/"), '/');
    name = name ? strchr(name + 1, '/') : NULL;
    ret->name = name && name[1] ? name + 1 : NULL;
    path[len] = '\0';
    if (read_scope(c, path, ret, err) ||
        access_check(c->control, c->arena, &c->caller, right, ret->scope, err))
        return -1;
    if (is_read || is_lock)
        return 0;
    return lock_guard_at(c, ret->is_tenant ? "" : ret->scope, c->req->path + len, right,
                         endpoint_deletes(c), err);
}

int extension_hold(struct pg_conn *conn, struct call *c, const struct extension *x,
                   struct error *err)
{
    struct resource *row = NULL;
    int found;

    if (x->is_tenant || x->is_subscription)
        return 0;
    found = resource_share(conn, c->arena, x->key, &row, err);
    if (found < 0)
        return -1;
    if (found == 0 && c->id.is_group)
        return fail(err, &E_GROUP_NOT_FOUND, "Resource group '%s' could not be found.",
                    c->id.group);
    if (found == 0)
        return fail(err, &E_RESOURCE_NOT_FOUND, "The resource %s could not be found.",
                    c->id.names[c->id.depth - 1]);
    if (row->state == STATE_DELETING)
        return fail(err, &E_BEING_DELETED, "The resource '%s' is being deleted.", row->name);
    return 0;
}

int extension_body(struct call *c, struct json_object **ret, struct error *err)
{
    struct json_object *body = NULL;
    struct error reason;

    if (json_parse_object(c->req->body, c->req->body_len, ARM_BODY_MAX_BYTES, &body, &reason))
        return fail(err, reason.code == &E_TOO_LARGE ? &E_BODY_TOO_LARGE : &E_INVALID_CONTENT,
                    "The request content was invalid and could not be deserialized: '%.900s'.",
                    reason.message);
    *ret = json_own(c->arena, body);
    if (json_kind(json_at(body, "properties")) != JSON_OBJECT)
        return fail_at(err, &E_INVALID_CONTENT, "properties",
                       "The request content has no 'properties'.");
    return 0;
}

int extension_event(struct pg_conn *conn, struct call *c, const struct extension *x,
                    const char *id, struct error *err)
{
    const struct resource about = {
        .id = id,
        .key = text_lower(c->arena, id),
        .subscription_id = x->is_tenant ? NULL : c->subscription.id,
        .group_key = x->is_tenant || !c->id.group ? NULL : text_lower(c->arena, c->id.group),
    };

    return endpoint_event(conn, c, &about, err);
}

char *extension_id(struct call *c, const char *scope, const char *type, const char *name)
{
    return arena_printf(c->arena, "%s/providers/%s/%s/%s", text_eq(scope, "/") ? "" : scope,
                        AUTHORIZATION, type, name);
}

/* The text between the quotes after `at`. */
static const char *quoted(struct call *c, const char *at)
{
    const char *open = strchr(at, '\''), *close = open ? strchr(open + 1, '\'') : NULL;

    return close ? arena_strndup(c->arena, open + 1, (size_t)(close - open - 1)) : NULL;
}

bool extension_filter(struct call *c, const char *term, const char **ret_value)
{
    const char *filter = http_query_nocase(c->req, "$filter");
    const char *at = filter ? strcasestr(filter, term) : NULL;

    if (ret_value)
        *ret_value = at ? quoted(c, at + strlen(term)) : NULL;
    return at != NULL;
}

int extension_after(struct call *c, const char **ret_scope, const char **ret_name, struct error *err)
{
    const char *token = NULL;
    char **parts = NULL;

    if (call_skip_token(c, &token, err))
        return -1;
    if (!token)
        return 0;
    if (text_split(c->arena, token, '\n', &parts) != 2)
        return fail(err, &E_INVALID_SKIP_TOKEN, "The $skipToken is not one of this service's.");
    *ret_scope = parts[0];
    *ret_name = parts[1];
    return 0;
}

void extension_next(struct call *c, const char *scope, const char *name, struct json_object *body)
{
    const char *filter = http_query_nocase(c->req, "$filter");
    const char *token = arena_printf(c->arena, "%s\n%s", scope, name);

    json_set_text(body, "nextLink",
                  arena_printf(c->arena, "%s%s%s&$skipToken=%s", call_url(c, c->req->path),
                               filter ? "&$filter=" : "",
                               filter ? text_percent_encode(c->arena, filter) : "",
                               text_base64url(c->arena, token, strlen(token))));
}

/* Scopes of deployments: see the header. */
#include "controlplane/deployments/scope.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/api/errors.h"
#include "controlplane/control.h"
#include "controlplane/store/resources.h"
#include "controlplane/store/subscriptions.h"

#define MANAGEMENT_GROUPS "/providers/Microsoft.Management/managementGroups/"

bool scope_split(struct arena *a, const char *path, char **ret_scope, char **ret_name)
{
    return scope_split_at(a, path, "deployments", ret_scope, ret_name);
}

bool scope_split_at(struct arena *a, const char *path, const char *type, char **ret_scope,
                    char **ret_name)
{
    const char *segment = arena_printf(a, "/providers/Microsoft.Resources/%s", type);
    size_t len = strlen(segment);
    const char *at = NULL;

    for (const char *p = path; (p = strcasestr(p, segment)) != NULL; p++) {
        if (p[len] == '/' || p[len] == '\0')
            at = p;
    }
    if (!at)
        return false;
    *ret_scope = arena_strndup(a, path, (size_t)(at - path));
    at += len;
    *ret_name = at[0] && at[1] ? arena_strndup(a, at + 1, strcspn(at + 1, "/")) : NULL;
    return true;
}

struct query {
    struct deploy_scope *scope;
    struct subscription subscription;
    struct resource *group;
    const char *group_key;
    int has_subscription, has_group;
};

static int query(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct query *q = ctx;

    q->has_subscription =
        subscription_get(conn, a, q->scope->subscription_id, &q->subscription, err);
    if (q->has_subscription < 0)
        return -1;
    if (q->has_subscription == 0 || !q->scope->group)
        return 0;
    q->has_group = resource_by_key(conn, a, q->group_key, false, &q->group, err);
    return q->has_group < 0 ? -1 : 0;
}

static int load_rows(struct control *control, struct arena *a, const char *tenant_id,
                     struct deploy_scope *s, struct error *err)
{
    struct query q = { .scope = s };

    if (!uuid_is_valid(s->subscription_id))
        return fail(err, &E_INVALID_SUBSCRIPTION,
                    "The provided subscription identifier '%.64s' is malformed or invalid.",
                    s->subscription_id);
    if (s->group)
        q.group_key = text_lower(a, arena_printf(a, "/subscriptions/%s/resourceGroups/%s",
                                                 s->subscription_id, s->group));
    if (pg_with(control->db, a, query, &q, err))
        return -1;
    if (!q.has_subscription || !text_eq_nocase(q.subscription.tenant_id, tenant_id))
        return fail(err, &E_SUBSCRIPTION_NOT_FOUND, "The subscription '%s' could not be found.",
                    s->subscription_id);
    s->subscription_id = q.subscription.id;
    s->subscription_name = q.subscription.display_name;
    s->id = arena_printf(a, "/subscriptions/%s", s->subscription_id);
    if (!s->group)
        return 0;
    if (!q.has_group)
        return fail(err, &E_GROUP_NOT_FOUND, "Resource group '%.100s' could not be found.",
                    s->group);
    s->group = q.group->name;
    s->group_uid = q.group->uid;
    s->group_location = q.group->location;
    s->group_tags = q.group->tags;
    s->group_managed_by = json_text(q.group->body, "managedBy");
    s->id = q.group->id;
    return 0;
}

int scope_load(struct control *control, struct arena *a, const char *tenant_id, const char *id,
               struct deploy_scope *ret, struct error *err)
{
    char **parts = NULL;
    size_t count = text_split(a, id, '/', &parts);

    *ret = (struct deploy_scope){ .level = LEVEL_TENANT, .id = "" };
    if (text_starts_nocase(id, MANAGEMENT_GROUPS) && count == 5 && parts[4][0]) {
        ret->level = LEVEL_MANAGEMENT_GROUP;
        ret->management_group = parts[4];
        ret->id = arena_printf(a, MANAGEMENT_GROUPS "%s", parts[4]);
        /* The one management group there is: the tenant's root. */
        if (!text_eq_nocase(parts[4], tenant_id))
            return fail(err, &E_RESOURCE_NOT_FOUND,
                        "The management group '%.90s' could not be found.", parts[4]);
    } else if (count >= 3 && text_eq_nocase(parts[1], "subscriptions")) {
        ret->level = LEVEL_SUBSCRIPTION;
        ret->subscription_id = parts[2];
        if (count == 5 && text_eq_nocase(parts[3], "resourceGroups")) {
            ret->level = LEVEL_GROUP;
            ret->group = parts[4];
        } else if (count != 3) {
            return fail(err, &E_NO_ROUTE, "There is nothing at the path of the request.");
        }
        if (load_rows(control, a, tenant_id, ret, err))
            return -1;
    } else if (id[0] && !text_eq(id, "/")) {
        return fail(err, &E_NO_ROUTE, "There is nothing at the path of the request.");
    }
    ret->key = text_lower(a, ret->id);
    return 0;
}

char *scope_deployment_id(struct arena *a, const struct deploy_scope *scope, const char *name)
{
    return arena_printf(a, "%s" DEPLOYMENTS_PATH "%s", scope->id, name);
}

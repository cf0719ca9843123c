/* Who may do what in a vault: see the header. */
#include "controlplane/keyvault/access.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/json/json.h"

#include "controlplane/identity/identity.h"
#include "controlplane/keyvault/call.h"

#define BODY "properties."

static const struct error_code E_BY_POLICY = { "AccessDenied", 403 };
static const struct error_code E_BY_RBAC = { "ForbiddenByRbac", 403 };
static const struct error_code E_BY_FIREWALL = { "ForbiddenByFirewall", 403 };

static const char *const kind_words[VAULT_KIND_MAX] = { [VAULT_KEY] = "keys",
                                                        [VAULT_SECRET] = "secrets" };

/* "all" is all but purging, which is granted by its own name only. */
static bool grants(const struct json_object *policy, enum vault_kind kind, const char *right)
{
    const struct json_object *list =
        json_at(json_at(policy, "permissions"), kind_words[kind]);

    for (size_t i = 0; i < json_count(list); i++) {
        const char *granted = json_text(json_item(list, i), "");

        if (text_eq_nocase(granted, right) ||
            (text_eq_nocase(granted, "all") && !text_eq(right, "purge")))
            return true;
    }
    return false;
}

static bool is_for(const struct json_object *policy, const struct caller *caller,
                   const char *const *principals, size_t count)
{
    const char *object = json_text(policy, "objectId");
    const char *application = json_text(policy, "applicationId");

    if (application && !text_eq_nocase(application, caller->app_id))
        return false;
    if (!text_eq_nocase(json_text(policy, "tenantId"), caller->tenant_id))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (text_eq_nocase(object, principals[i]))
            return true;
    }
    return false;
}

struct members {
    const char *object_id;
    const char **ids;
    size_t count;
};

static int read_members(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct members *m = ctx;

    return vault_principals(conn, a, m->object_id, &m->ids, &m->count, err);
}

static bool policies_allow(const struct vault_call *v, const struct vault_endpoint *e,
                           const char *const *principals, size_t count)
{
    const struct json_object *policies = json_at(v->vault->body, BODY "accessPolicies");

    for (size_t i = 0; i < json_count(policies); i++) {
        const struct json_object *policy = json_item(policies, i);

        if (is_for(policy, &v->caller, principals, count) && grants(policy, e->kind, e->right))
            return true;
    }
    return false;
}

/* Most policies name the caller itself: only where they do not are groups looked up. */
static int check_policies(struct vault_call *v, const struct vault_endpoint *e, struct error *err)
{
    struct members m = { .object_id = v->caller.object_id };

    if (policies_allow(v, e, &v->caller.object_id, 1))
        return 0;
    if (pg_with(v->control->db, v->arena, read_members, &m, err))
        return -1;
    if (policies_allow(v, e, m.ids, m.count))
        return 0;
    return fail(err, &E_BY_POLICY,
                "The user, group or application 'appid=%s;oid=%s' does not have %s %s permission on "
                "key vault '%s;location=%s'. For help resolving this issue, please see "
                "https://go.microsoft.com/fwlink/?linkid=2125287",
                v->caller.app_id ? v->caller.app_id : "", v->caller.object_id,
                kind_words[e->kind], e->right, v->vault->name, v->vault->location);
}

/* Below the vault, so that a role may be given for one secret alone. */
static int check_roles(struct vault_call *v, const struct vault_endpoint *e, struct error *err)
{
    const char *scope = v->vault->id;
    const char *action = arena_printf(v->arena, "Microsoft.KeyVault/vaults/%s", e->action);
    int rc;

    if (v->name)
        scope = arena_printf(v->arena, "%s/%s/%s", scope, kind_words[e->kind], v->name);
    rc = access_check_data(v->control, v->arena, &v->caller, action, scope, err);
    if (rc == 0 || err->code != &E_AUTHORIZATION_FAILED)
        return rc;
    return fail(err, &E_BY_RBAC,
                "Caller is not authorized to perform action on resource.\r\nIf role assignments, "
                "deny assignments or role definitions were changed recently, please observe "
                "propagation time.\r\nCaller: appid=%s;oid=%s\r\nAction: '%s'\r\nResource: '%s'\r\n"
                "Assignment: (not found)\r\nVault: %s;location=%s",
                v->caller.app_id ? v->caller.app_id : "", v->caller.object_id, action, scope,
                v->vault->name, v->vault->location);
}

/* The members that common/network/rules.h reads. */
static struct json_object *network_settings(const struct json_object *body)
{
    const struct json_object *acls = json_at(body, BODY "networkAcls");
    struct json_object *out = json_new_object(), *rules = json_new_object();
    const char *access = json_text(body, BODY "publicNetworkAccess");
    const char *bypass = json_text(acls, "bypass"), *def = json_text(acls, "defaultAction");

    json_set_text(out, "publicNetworkAccess", access ? access : "Enabled");
    json_set_text(out, "networkRuleBypassOptions", bypass ? bypass : "AzureServices");
    json_set_text(rules, "defaultAction", def ? def : "Allow");
    if (json_at(acls, "ipRules"))
        json_set(rules, "ipRules", json_get(json_at(acls, "ipRules")));
    if (json_at(acls, "virtualNetworkRules"))
        json_set(rules, "virtualNetworkRules", json_get(json_at(acls, "virtualNetworkRules")));
    json_set(out, "networkRuleSet", rules);
    return out;
}

bool vault_admits(struct arena *a, const struct resource *vault,
                  const struct network_origin *origin)
{
    const struct json_object *settings = json_own(a, network_settings(vault->body));
    _cleanup_(network_rules_freep) struct network_rules *rules = network_rules_new(settings);

    return network_decide(rules, origin).is_allowed;
}

int vault_authorise(struct vault_call *v, const struct vault_endpoint *e, struct error *err)
{
    struct network_origin origin = {
        .address = (const struct sockaddr *)&v->req->peer,
        .link = v->req->link_id,
    };

    if (!vault_admits(v->arena, v->vault, &origin))
        return fail(err, &E_BY_FIREWALL,
                    "Client address is not authorized and caller is not a trusted service.\r\n"
                    "Client address: %s\r\nVault: %s;location=%s",
                    v->req->peer_text, v->vault->name, v->vault->location);
    if (json_bool(v->vault->body, BODY "enableRbacAuthorization", false))
        return check_roles(v, e, err);
    return check_policies(v, e, err);
}

/* /providers and what is below it: see the header. */
#include "controlplane/api/providers.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/api/activity_log.h"
#include "controlplane/api/call.h"
#include "controlplane/api/errors.h"
#include "controlplane/api/extension.h"
#include "controlplane/api/locks.h"
#include "controlplane/api/role_assignments.h"
#include "controlplane/api/subscription_cache.h"
#include "controlplane/deployments/place.h"
#include "controlplane/deployments/stack.h"
#include "controlplane/provision/region.h"
#include "controlplane/types/all.h"
#include "controlplane/types/network.h"
#include "controlplane/types/vault.h"
#include "controlplane/types/versions.h"

/* Types without a resource table, which clients look up versions of all the same. */
static const struct plain_type {
    const char *provider, *type;
    const char *const *versions;
} plain_types[] = {
    { "Microsoft.Resources", "tenants", resources_versions },
    { "Microsoft.Resources", "providers", resources_versions },
    { "Microsoft.Resources", "subscriptions", resources_versions },
    { "Microsoft.Resources", "subscriptions/resourceGroups", resources_versions },
    { "Microsoft.Resources", "subscriptions/locations", resources_versions },
    { "Microsoft.Resources", "subscriptions/providers", resources_versions },
    { "Microsoft.Resources", "resources", resources_versions },
    { "Microsoft.Resources", "tags", resources_versions },
    { "Microsoft.Resources", "deployments", deployment_versions },
    { "Microsoft.Resources", "deploymentStacks", stack_versions },
    { "Microsoft.KeyVault", "operations", vault_versions },
    { "Microsoft.KeyVault", "deletedVaults", vault_versions },
    { "Microsoft.KeyVault", "locations", vault_versions },
    { "Microsoft.KeyVault", "locations/deletedVaults", vault_versions },
    { "Microsoft.KeyVault", "vaults/accessPolicies", vault_versions },
    { "Microsoft.Network", "locations", network_versions },
    { "Microsoft.Network", "locations/virtualNetworkAvailableEndpointServices", network_versions },
    { "Microsoft.Network", "locations/availablePrivateEndpointTypes", network_versions },
    { "Microsoft.Network", "locations/availableDelegations", network_versions },
    { "Microsoft.ContainerRegistry", "operations", registry_versions },
    { "Microsoft.ContainerRegistry", "locations", registry_versions },
    { "Microsoft.ContainerRegistry", "locations/operationResults", registry_versions },
    { "Microsoft.Authorization", "locks", lock_versions },
    { "Microsoft.Authorization", "roleAssignments", role_versions },
    { "Microsoft.Authorization", "roleDefinitions", role_versions },
    { "Microsoft.Insights", "diagnosticSettings", diagnostic_versions },
    { "Microsoft.Insights", "diagnosticSettingsCategories", diagnostic_versions },
    { "Microsoft.Insights", "eventtypes", activity_log_versions },
};

const char *provider_of(struct arena *a, const struct resource_type *t)
{
    return arena_strndup(a, t->name, strcspn(t->name, "/"));
}

/* The namespace of the i-th type of both tables; NULL past the last. */
static const char *provider_of_any(struct arena *a, size_t i)
{
    size_t n = 0;

    while (all_types[n])
        n++;
    if (i < n)
        return provider_of(a, all_types[i]);
    return i - n < ARRAY_LEN(plain_types) ? plain_types[i - n].provider : NULL;
}

const char *provider_at(struct arena *a, size_t n)
{
    const char *name;

    for (size_t i = 0; (name = provider_of_any(a, i)) != NULL; i++) {
        bool is_first = true;

        for (size_t j = 0; j < i; j++)
            is_first = is_first && !text_eq(name, provider_of_any(a, j));
        if (is_first && n-- == 0)
            return name;
    }
    return NULL;
}

/* Nothing is made in these, or what everything else needs: there is nothing to register. */
static bool is_registration_free(const char *provider)
{
    static const char *const names[] = { "Microsoft.Resources", "Microsoft.Authorization",
                                         "Microsoft.Insights" };

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (text_eq(names[i], provider))
            return true;
    return false;
}

const char *provider_find(struct call *c, const char *name, struct error *err)
{
    const char *known;

    for (size_t i = 0; (known = provider_at(c->arena, i)) != NULL; i++) {
        if (text_eq_nocase(known, name))
            return known;
    }
    (void)fail(err, &E_INVALID_NAMESPACE, "The resource namespace '%.100s' is invalid.", name);
    return NULL;
}

/* Where resources of a type can be. */
enum places { PLACES_NONE, PLACES_REGIONS, PLACES_GLOBAL };

static enum places places_of(const struct resource_type *t)
{
    if (!t->is_tracked)
        return PLACES_NONE;
    return t->is_global ? PLACES_GLOBAL : PLACES_REGIONS;
}

static void add_type(const struct control *control, struct json_object *list, const char *name,
                     const char *const *versions, enum places places)
{
    struct json_object *entry = json_new_object();
    struct json_object *locations = json_new_array();
    struct json_object *list_of_versions = json_new_array();

    for (const struct region *r = control->regions; places == PLACES_REGIONS && r && r->name; r++)
        json_add_text(locations, r->display_name);
    if (places == PLACES_GLOBAL)
        json_add_text(locations, "global");
    for (; *versions; versions++)
        json_add_text(list_of_versions, *versions);
    json_set_text(entry, "resourceType", name);
    json_set(entry, "locations", locations);
    json_set(entry, "apiVersions", list_of_versions);
    json_set_text(entry, "capabilities", places ? "SupportsTags, SupportsLocation" : "None");
    json_add(list, entry);
}

static struct json_object *types_of(struct arena *a, const struct control *control,
                                    const char *provider)
{
    struct json_object *list = json_new_array();

    for (const struct resource_type *const *t = all_types; *t; t++) {
        const char *name = strchr((*t)->name, '/') + 1;

        if (!text_eq(provider_of(a, *t), provider))
            continue;
        add_type(control, list, name, (*t)->api_versions, places_of(*t));
        for (const struct action *x = (*t)->actions; x && x->name; x++)
            add_type(control, list,
                     x->is_on_subscription ? x->name : arena_printf(a, "%s/%s", name, x->name),
                     x->api_versions ? x->api_versions : (*t)->api_versions, PLACES_NONE);
    }
    for (size_t i = 0; i < ARRAY_LEN(plain_types); i++) {
        if (text_eq(plain_types[i].provider, provider))
            add_type(control, list, plain_types[i].type, plain_types[i].versions, PLACES_NONE);
    }
    return list;
}

struct json_object *providers_catalogue(struct arena *a, const struct control *control)
{
    struct json_object *list = json_new_array();
    const char *provider;

    for (size_t i = 0; (provider = provider_at(a, i)) != NULL; i++) {
        struct json_object *one = json_new_object();

        json_set_text(one, "namespace", provider);
        json_set(one, "resourceTypes", types_of(a, control, provider));
        json_add(list, one);
    }
    return list;
}

static struct json_object *show(struct call *c, const char *provider)
{
    struct json_object *out = json_new_object();
    bool is_registered = !c->has_subscription || is_registration_free(provider) ||
                         subscription_is_registered(&c->subscription, provider);

    if (c->has_subscription)
        json_set_text(out, "id", arena_printf(c->arena, "/subscriptions/%s/providers/%s",
                                              c->subscription.id, provider));
    else
        json_set_text(out, "id", arena_printf(c->arena, "/providers/%s", provider));
    json_set_text(out, "namespace", provider);
    json_set_text(out, "registrationPolicy",
                  is_registration_free(provider) ? "RegistrationFree" : "RegistrationRequired");
    if (c->has_subscription)
        json_set_text(out, "registrationState", is_registered ? "Registered" : "Unregistered");
    json_set(out, "resourceTypes", types_of(c->arena, c->control, provider));
    return out;
}

static int run_list(struct call *c, struct error *err)
{
    struct json_object *body = json_own(c->arena, json_new_object());
    struct json_object *value = json_new_array();
    const char *provider;

    (void)err;
    for (size_t i = 0; (provider = provider_at(c->arena, i)) != NULL; i++)
        json_add(value, show(c, provider));
    json_set(body, "value", value);
    reply_json(c, 200, body);
    return 0;
}

static int reply_provider(struct call *c, const char *name, struct error *err)
{
    const char *provider = provider_find(c, name, err);

    if (!provider)
        return -1;
    reply_json(c, 200, json_own(c->arena, show(c, provider)));
    return 0;
}

static int run_show(struct call *c, struct error *err)
{
    return reply_provider(c, c->req->params[1], err);
}

static int run_tenant_show(struct call *c, struct error *err)
{
    return reply_provider(c, c->req->params[0], err);
}

struct registration {
    struct call *call;
    const char *id;
    const char *subscription_id;
    const char *provider_key;
    bool is_registered;
};

static int query_set(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    const struct registration *r = ctx;
    const struct extension at = { .is_subscription = true };

    return provider_set(conn, a, r->subscription_id, r->provider_key, r->is_registered, err) ||
                   extension_event(conn, r->call, &at, r->id, err)
               ? -1
               : 0;
}

static int set_registration(struct call *c, bool is_registered, struct error *err)
{
    const char *provider = provider_find(c, c->req->params[1], err);
    const char *scope = arena_printf(c->arena, "/subscriptions/%s", c->subscription.id);
    struct registration r = { .call = c,
                              .subscription_id = c->subscription.id,
                              .is_registered = is_registered };

    if (!provider)
        return -1;
    r.id = arena_printf(c->arena, "%s/providers/%s", scope, provider);
    c->provider = provider;
    if (access_check(c->control, c->arena, &c->caller, endpoint_right(c), scope, err) ||
        lock_guard(c, scope, endpoint_right(c), false, err))
        return -1;
    if (!is_registered && is_registration_free(provider))
        return fail(err, &E_BAD_REQUEST, "The namespace '%s' cannot be unregistered.", provider);
    r.provider_key = text_lower(c->arena, provider);
    if (pg_transact(c->control->db, c->arena, query_set, &r, err) ||
        subscription_cache_get(c->arm->subscriptions, c->control->db, c->arena, r.subscription_id,
                               true, &c->subscription, err) < 0)
        return -1;
    reply_json(c, 200, json_own(c->arena, show(c, provider)));
    return 0;
}

static int run_register(struct call *c, struct error *err)
{
    return set_registration(c, true, err);
}

static int run_unregister(struct call *c, struct error *err)
{
    return set_registration(c, false, err);
}

/* Of applications that act for a provider, and the roles they have for it: the providers here act as
 * nobody. */
static int run_permissions(struct call *c, struct error *err)
{
    struct json_object *body;

    if (!provider_find(c, c->req->params[1], err))
        return -1;
    body = json_own(c->arena, json_new_object());
    json_set(body, "value", json_new_array());
    reply_json(c, 200, body);
    return 0;
}

#define MAY_READ                                                                                   \
    .subscription = 1, .action = "Microsoft.Resources/subscriptions/providers/read",               \
    .is_for_any = true, .versions = resources_versions

const struct endpoint tenant_providers_list = {
    .versions = resources_versions,
    .description = "Provider namespaces",
    .run = run_list,
};
const struct endpoint tenant_provider_show = {
    .versions = resources_versions,
    .description = "A provider namespace",
    .run = run_tenant_show,
};
const struct endpoint providers_list = {
    MAY_READ,
    .description = "Provider namespaces as a subscription uses them",
    .run = run_list,
};
const struct endpoint provider_show = {
    MAY_READ,
    .description = "A provider namespace as a subscription uses it",
    .run = run_show,
};
const struct endpoint provider_permissions = {
    MAY_READ,
    .description = "Roles of a provider's own applications: none",
    .run = run_permissions,
};
const struct endpoint provider_register = {
    .versions = resources_versions,
    .subscription = 1,
    .right = "{provider}/register/action",
    .description = "Registers a provider namespace",
    .run = run_register,
};
const struct endpoint provider_unregister = {
    .versions = resources_versions,
    .subscription = 1,
    .right = "{provider}/unregister/action",
    .description = "Unregisters a provider namespace",
    .run = run_unregister,
};

/* /tenants, /subscriptions, /subscriptions/{s}, /subscriptions/{s}/locations. */
#include "controlplane/api/subscriptions.h"

#include "common/base/arena.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/api/call.h"
#include "controlplane/provision/region.h"
#include "controlplane/types/versions.h"

struct query {
    const char *tenant_id;
    struct tenant tenant;
    struct subscription *items;
    size_t count;
    int found;
};

static int query_tenant(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct query *q = ctx;

    q->found = tenant_get(conn, a, q->tenant_id, &q->tenant, err);
    return q->found < 0 ? -1 : 0;
}

static int query_subscriptions(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct query *q = ctx;

    return subscription_list(conn, a, q->tenant_id, &q->items, &q->count, err);
}

static void reply_list(struct call *c, struct json_object *value)
{
    struct json_object *body = json_own(c->arena, json_new_object());

    json_set(body, "value", value);
    reply_json(c, 200, body);
}

static int run_tenants(struct call *c, struct error *err)
{
    struct query q = { .tenant_id = c->caller.tenant_id };
    struct json_object *value, *tenant, *domains;

    if (pg_with(c->control->db, c->arena, query_tenant, &q, err))
        return -1;
    value = json_new_array();
    if (q.found) {
        tenant = json_new_object();
        domains = json_new_array();
        json_set_text(tenant, "id", arena_printf(c->arena, "/tenants/%s", q.tenant.id));
        json_set_text(tenant, "tenantId", q.tenant.id);
        json_set_text(tenant, "displayName", q.tenant.display_name);
        json_set_text(tenant, "defaultDomain", q.tenant.default_domain);
        json_add_text(domains, q.tenant.default_domain);
        json_set(tenant, "domains", domains);
        json_set_text(tenant, "tenantCategory", "Home");
        json_add(value, tenant);
    }
    reply_list(c, value);
    return 0;
}

static struct json_object *show(struct call *c, const struct subscription *s)
{
    struct json_object *out = json_new_object();

    json_set_text(out, "id", arena_printf(c->arena, "/subscriptions/%s", s->id));
    json_set_text(out, "authorizationSource", "RoleBased");
    json_set(out, "managedByTenants", json_new_array());
    json_set_text(out, "subscriptionId", s->id);
    json_set_text(out, "tenantId", s->tenant_id);
    json_set_text(out, "displayName", s->display_name);
    json_set_text(out, "state", s->state);
    return out;
}

static int run_subscriptions(struct call *c, struct error *err)
{
    struct query q = { .tenant_id = c->caller.tenant_id };
    struct json_object *value;

    if (pg_with(c->control->db, c->arena, query_subscriptions, &q, err))
        return -1;
    value = json_own(c->arena, json_new_array());
    for (size_t i = 0; i < q.count; i++) {
        int seen = access_any(c->control, c->arena, &c->caller,
                              arena_printf(c->arena, "/subscriptions/%s", q.items[i].id), err);

        if (seen < 0)
            return -1;
        if (seen)
            json_add(value, show(c, &q.items[i]));
    }
    reply_list(c, json_get(value));
    return 0;
}

static int run_subscription(struct call *c, struct error *err)
{
    (void)err;
    reply_json(c, 200, json_own(c->arena, show(c, &c->subscription)));
    return 0;
}

static int run_locations(struct call *c, struct error *err)
{
    struct json_object *value = json_new_array();

    (void)err;
    for (const struct region *r = c->control->regions; r && r->name; r++) {
        struct json_object *location = json_new_object();
        struct json_object *metadata = json_new_object();

        json_set_text(location, "id", arena_printf(c->arena, "/subscriptions/%s/locations/%s",
                                                   c->subscription.id, r->name));
        json_set_text(location, "name", r->name);
        json_set_text(location, "type", "Region");
        json_set_text(location, "displayName", r->display_name);
        json_set_text(location, "regionalDisplayName", r->display_name);
        json_set_text(metadata, "regionType", "Physical");
        json_set_text(metadata, "regionCategory", "Recommended");
        json_set(metadata, "pairedRegion", json_new_array());
        json_set(location, "metadata", metadata);
        json_add(value, location);
    }
    reply_list(c, value);
    return 0;
}

const struct endpoint tenants_list = {
    .versions = resources_versions,
    .description = "Tenants of the caller",
    .run = run_tenants,
};

const struct endpoint subscriptions_list = {
    .versions = resources_versions,
    .description = "Subscriptions the caller may see something of",
    .run = run_subscriptions,
};

const struct endpoint subscription_show = {
    .versions = resources_versions,
    .subscription = 1,
    .action = "Microsoft.Resources/subscriptions/read",
    .is_for_any = true,
    .description = "A subscription",
    .run = run_subscription,
};

const struct endpoint locations_list = {
    .versions = resources_versions,
    .subscription = 1,
    .action = "Microsoft.Resources/subscriptions/locations/read",
    .is_for_any = true,
    .description = "Regions of this installation",
    .run = run_locations,
};

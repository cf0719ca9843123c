/* Which private links and subnets a registry admits, by the identities that an attached network's
 * ingress tells the edge. */
#include "controlplane/provision/publish_network.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/pg.h"
#include "controlplane/control.h"
#include "controlplane/provision/ingress.h"
#include "controlplane/provision/region.h"
#include "controlplane/store/network_rules.h"
#include "controlplane/store/published.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/type.h"

#define SUBNET_RULES "networkRuleSet.virtualNetworkRules"

struct origins {
    const char *registry_uid;
    const char **subnets; /* that rules name, lower case */
    size_t subnet_count;
    struct rule_origin *links, *found;
    size_t link_count, found_count;
};

static int load(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct origins *o = ctx;

    if (rules_links(conn, a, o->registry_uid, &o->links, &o->link_count, err))
        return wrap(err, "private links");
    if (o->subnet_count > 0 &&
        rules_subnets(conn, a, o->subnets, o->subnet_count, &o->found, &o->found_count, err))
        return wrap(err, "subnets of rules");
    return 0;
}

/* Both spellings of the member. */
static const char *subnet_of(const struct json_object *rule)
{
    const char *id = json_text(rule, "virtualNetworkSubnetResourceId");

    return id ? id : json_text(rule, "id");
}

static void name_subnets(struct arena *a, const struct json_object *settings, struct origins *o)
{
    const struct json_object *rules = json_at(settings, SUBNET_RULES);

    o->subnets = arena_array(a, json_count(rules) + 1, sizeof(*o->subnets));
    for (size_t i = 0; i < json_count(rules); i++) {
        const char *id = subnet_of(json_item(rules, i));

        if (id)
            o->subnets[o->subnet_count++] = text_lower(a, id);
    }
}

static struct json_object *origin_list(struct arena *a, const struct rule_origin *items,
                                       size_t count, const char *prefix)
{
    struct json_object *list = json_new_array();

    for (size_t i = 0; i < count; i++) {
        struct json_object *one = json_new_object();

        json_set_text(one, "id", items[i].id);
        json_set_text(one, "identity", arena_printf(a, "%s%s", prefix, items[i].uid));
        json_add(list, one);
    }
    return list;
}

int publish_network(struct control *control, struct arena *a, const char *registry_uid,
                    struct json_object *settings, struct error *err)
{
    struct origins o = { .registry_uid = registry_uid };

    name_subnets(a, settings, &o);
    if (pg_with(control->db, a, load, &o, err))
        return -1;
    json_set(settings, "privateLinks", origin_list(a, o.links, o.link_count, ""));
    if (o.subnet_count > 0)
        json_put_at(settings, SUBNET_RULES,
                    origin_list(a, o.found, o.found_count, INGRESS_SUBNET));
    return 0;
}

/* Services ------------------------------------------------------------------------------------- */

#define TASK_KEY "microsoft.containerregistry/registries/tasks"

struct services {
    const char **principals;
    size_t count;
    struct rule_origin *found;
    size_t found_count;
};

static void add_principal(void *ctx, const char *principal, struct json_object *permissions)
{
    struct services *s = ctx;

    (void)permissions;
    s->principals[s->count++] = principal;
}

static int load_services(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct services *s = ctx;

    return rules_services(conn, a, s->principals, s->count, &s->found, &s->found_count, err);
}

int publish_services(struct control *control, struct arena *a, const struct json_object *grants,
                     struct json_object *settings, struct error *err)
{
    struct services s = { .principals = arena_array(a, json_count(grants) + 1,
                                                    sizeof(*s.principals)) };
    struct json_object *services = json_new_object();

    json_set(settings, "networkServices", services);
    json_each(grants, add_principal, &s);
    if (s.count == 0)
        return 0;
    if (pg_with(control->db, a, load_services, &s, err))
        return wrap(err, "services");
    for (size_t i = 0; i < s.found_count; i++)
        json_set_text(services, s.found[i].id,
                      text_starts(s.found[i].uid, TASK_KEY) ? "Task" : "TrustedService");
    return 0;
}

/* Origins alone -------------------------------------------------------------------------------- */

struct origin_change {
    const char *registry_uid;
    struct resource *registry; /* as it stands after the change */
    struct json_object *links;
    struct json_object *subnets; /* NULL: no rules for subnets */
};

static int find_registry(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct origin_change *c = ctx;

    return resource_by_uid(conn, a, c->registry_uid, false, &c->registry, err) < 0 ? -1 : 0;
}

static bool is_published(const struct origin_change *c, const struct json_object *settings)
{
    return json_equal(json_at(settings, "privateLinks"), c->links) &&
           (!c->subnets || json_equal(json_at(settings, SUBNET_RULES), c->subnets));
}

/* The projection's generation of the registry moves along, so that a pass under way, which may have
 * read the origins before, does not write them over these. */
static int write_origins(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    const struct origin_change *c = ctx;
    struct published_registry now;
    int found = published_lock(conn, a, c->registry_uid, &now, err);

    if (found <= 0)
        return found;
    if (now.resource_generation > c->registry->generation || is_published(c, now.settings))
        return 0;
    json_set(now.settings, "privateLinks", json_copy(c->links));
    if (c->subnets)
        json_put_at(now.settings, SUBNET_RULES, json_copy(c->subnets));
    now.resource_generation = c->registry->generation;
    if (published_update(conn, a, &now, err))
        return wrap(err, "update origins");
    return published_bump(conn, a, &c->registry_uid, 1, err);
}

int publish_origins_of(struct control *control, struct arena *a, const char *registry_uid,
                       struct error *err)
{
    struct origin_change c = { .registry_uid = registry_uid };
    struct origins o = { .registry_uid = registry_uid };
    const struct region *region;

    if (pg_with(control->db, a, find_registry, &c, err))
        return wrap(err, "registry of an origin");
    region = c.registry ? region_find(control->regions, c.registry->location) : NULL;
    if (!region)
        return 0;
    name_subnets(a, json_at(c.registry->body, "properties"), &o);
    /* After the registry: what is read now belongs to this generation or a later one. */
    if (pg_with(control->db, a, load, &o, err))
        return -1;
    c.links = json_own(a, origin_list(a, o.links, o.link_count, ""));
    if (o.subnet_count > 0)
        c.subnets = json_own(a, origin_list(a, o.found, o.found_count, INGRESS_SUBNET));
    return pg_transact(region->db, a, write_origins, &c, err);
}

int publish_links(struct step_run *run, struct error *err)
{
    return publish_origins_of(run->control, run->arena, run->resource->parent_uid, err);
}

/* Subnets -------------------------------------------------------------------------------------- */

struct subnet_change {
    const char *key; /* of the network or subnet */
    const char **registries;
    size_t count;
};

static int find_registries(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct subnet_change *s = ctx;

    return rules_naming(conn, a, s->key, PUBLISH_AT_ONCE_MAX, &s->registries, &s->count, err);
}

int publish_subnets(struct step_run *run, struct error *err)
{
    struct subnet_change s = { .key = text_lower(run->arena, run->resource->id) };
    struct error next;
    int rc = 0;

    if (pg_with(run->control->db, run->arena, find_registries, &s, err))
        return wrap(err, "registries with rules for a subnet");
    for (size_t i = 0; i < s.count; i++) {
        if (publish_origins_of(run->control, run->arena, s.registries[i], rc ? &next : err))
            rc = -1;
    }
    return rc;
}

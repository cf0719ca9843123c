/* Which private links and subnets a registry admits, by the identities that an attached network's
 * ingress tells the edge. */
#include "controlplane/provision/publish_network.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/pg.h"
#include "controlplane/control.h"
#include "controlplane/provision/ingress.h"
#include "controlplane/provision/publish_many.h"
#include "controlplane/provision/region.h"
#include "controlplane/store/network_rules.h"
#include "controlplane/store/published.h"
#include "controlplane/store/published_many.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/registry_rules.h"

#define SUBNET_RULES "networkRuleSet.virtualNetworkRules"

/* Of one registry, as it stands in the resource. */
struct origins {
    const struct resource *registry; /* uid, generation, body */
    const char **named;              /* subnets that rules name: lower case, in order */
    size_t named_count;
    struct json_object *links;
    struct json_object *subnets; /* NULL: no rules for subnets */
};

/* What the registries of a batch rest on. */
struct ground {
    const char *const *uids;
    size_t uid_count;
    const char **named; /* of all */
    size_t named_count;
    struct rule_origin *links, *subnets;
    size_t link_count, subnet_count;
};

static int load_ground(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct ground *g = ctx;

    if (rules_links(conn, a, g->uids, g->uid_count, &g->links, &g->link_count, err))
        return wrap(err, "private links");
    if (g->named_count > 0 &&
        rules_subnets(conn, a, g->named, g->named_count, &g->subnets, &g->subnet_count, err))
        return wrap(err, "subnets of rules");
    return 0;
}

static int by_text(const void *x, const void *y)
{
    return strcmp(*(const char *const *)x, *(const char *const *)y);
}

static void name_subnets(struct arena *a, struct origins *o)
{
    o->named = registry_named_subnets(a, o->registry->body, &o->named_count);
}

static void add_origin(struct json_object *list, const char *id, const char *identity)
{
    struct json_object *one = json_new_object();

    json_set_text(one, "id", id);
    json_set_text(one, "identity", identity);
    json_add(list, one);
}

static void choose(struct arena *a, const struct ground *g, struct origins *o)
{
    o->links = json_own(a, json_new_array());
    for (size_t i = 0; i < g->link_count; i++) {
        if (text_eq(g->links[i].registry_uid, o->registry->uid))
            add_origin(o->links, g->links[i].id, g->links[i].uid);
    }
    if (o->named_count == 0)
        return;
    o->subnets = json_own(a, json_new_array());
    for (size_t i = 0; i < g->subnet_count; i++) {
        const struct rule_origin *s = &g->subnets[i];

        if (bsearch(&s->id, o->named, o->named_count, sizeof(*o->named), by_text))
            add_origin(o->subnets, s->id, arena_printf(a, "%s%s", INGRESS_SUBNET, s->uid));
    }
}

/* Fills links and subnets of each. */
static int find_origins(struct control *control, struct arena *a, struct origins *items,
                        size_t count, struct error *err)
{
    const char **uids = arena_array(a, count + 1, sizeof(*uids));
    struct ground g = { .uids = uids, .uid_count = count };
    size_t named = 0;

    for (size_t i = 0; i < count; i++) {
        uids[i] = items[i].registry->uid;
        name_subnets(a, &items[i]);
        named += items[i].named_count;
    }
    g.named = arena_array(a, named + 1, sizeof(*g.named));
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < items[i].named_count; j++)
            g.named[g.named_count++] = items[i].named[j];
    }
    if (pg_with(control->db, a, load_ground, &g, err))
        return -1;
    for (size_t i = 0; i < count; i++)
        choose(a, &g, &items[i]);
    return 0;
}

int publish_network(struct control *control, struct arena *a, const struct resource *registry,
                    struct json_object *settings, struct error *err)
{
    struct origins o = { .registry = registry };

    if (find_origins(control, a, &o, 1, err))
        return -1;
    json_set(settings, "privateLinks", json_copy(o.links));
    if (o.subnets)
        json_put_at(settings, SUBNET_RULES, json_copy(o.subnets));
    return 0;
}

/* Rules alone ---------------------------------------------------------------------------------- */

/* Members of the settings, and of a registry's properties, that say who may reach it and nothing else. */
static const char *const rule_members[] = { "networkRuleSet", "publicNetworkAccess",
                                            "networkRuleBypassOptions",
                                            "networkRuleBypassAllowedForTasks" };

static struct json_object *without_rules(const struct json_object *body)
{
    struct json_object *ret = json_copy(body);

    for (size_t i = 0; i < ARRAY_LEN(rule_members); i++)
        json_unset(json_at(ret, "properties"), rule_members[i]);
    return ret;
}

bool publish_is_rules(const struct json_object *was, const struct json_object *now)
{
    _cleanup_(json_putp) struct json_object *old = without_rules(was), *new = without_rules(now);

    return json_at(now, "properties.networkRuleSet") && json_equal(old, new);
}

struct rules {
    struct control *control;
    struct origins origins;
    struct json_object *members;
    int is_done;
};

static int write_rules(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct rules *r = ctx;
    const struct resource *registry = r->origins.registry;
    struct published_holder *holders;
    size_t count;

    if (r->origins.named_count > 0) {
        if (published_many_lock(conn, a, &registry->uid, 1, &holders, &count, err) ||
            find_origins(r->control, a, &r->origins, 1, err))
            return -1;
        json_put_at(r->members, SUBNET_RULES, json_copy(r->origins.subnets));
    }
    r->is_done = published_rules_put(conn, a, registry->uid, registry->generation, r->members, err);
    return r->is_done < 0 ? -1 : 0;
}

int publish_rules(struct control *control, struct arena *a, const struct region *region,
                  const struct resource *registry, const struct json_object *settings,
                  struct error *err)
{
    struct rules r = { .control = control, .origins = { .registry = registry },
                       .members = json_own(a, json_new_object()) };

    for (size_t i = 0; i < ARRAY_LEN(rule_members); i++)
        json_set(r.members, rule_members[i], json_copy(json_at(settings, rule_members[i])));
    name_subnets(a, &r.origins);
    if (r.origins.named_count > 0 ? pg_transact(region->db, a, write_rules, &r, err)
                                  : pg_with(region->db, a, write_rules, &r, err))
        return wrap(err, "publish rules");
    return r.is_done;
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

struct written {
    const struct publish_batch *batch;
    struct resource *items;
    size_t count;
};

static int find_written(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct written *w = ctx;

    return rules_written(conn, a, w->batch->uids, w->batch->count, &w->items, &w->count, err);
}

/* The projection's generation of the registry moves along, so that a pass under way with older rules does
 * not write them over these. */
static int write_origins(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct written written = { .batch = ctx };
    struct published_holder *holders;
    struct published_origins *rows;
    struct origins *items;
    const char **changed;
    size_t count;

    if (published_many_lock(conn, a, written.batch->uids, written.batch->count, &holders, &count,
                            err))
        return -1;
    if (pg_with(written.batch->control->db, a, find_written, &written, err))
        return wrap(err, "registries of an origin");
    items = arena_array(a, written.count + 1, sizeof(*items));
    rows = arena_array(a, written.count + 1, sizeof(*rows));
    for (size_t i = 0; i < written.count; i++)
        items[i] = (struct origins){ .registry = &written.items[i] };
    if (find_origins(written.batch->control, a, items, written.count, err))
        return -1;
    for (size_t i = 0; i < written.count; i++)
        rows[i] = (struct published_origins){
            .registry_id = written.items[i].uid,
            .generation = arena_printf(a, "%" PRId64, written.items[i].generation),
            .links = json_print(a, items[i].links),
            .subnets = items[i].subnets ? json_print(a, items[i].subnets) : NULL,
        };
    if (published_origins_put(conn, a, rows, written.count, &changed, &count, err))
        return -1;
    return count > 0 ? published_bump(conn, a, changed, count, err) : 0;
}

struct wanted {
    const char *uid;
    struct resource *registry;
};

static int find_registry(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct wanted *w = ctx;

    return resource_by_uid(conn, a, w->uid, false, &w->registry, err) < 0 ? -1 : 0;
}

int publish_origins_of(struct control *control, struct arena *a, const char *registry_uid,
                       struct error *err)
{
    struct wanted w = { .uid = registry_uid };
    struct publish_batch b = { .control = control, .uids = &w.uid, .count = 1 };

    if (pg_with(control->db, a, find_registry, &w, err))
        return wrap(err, "registry of an origin");
    b.region = w.registry ? region_find(control->regions, w.registry->location) : NULL;
    return b.region ? pg_transact(b.region->db, a, write_origins, &b, err) : 0;
}

int publish_links(struct step_run *run, struct error *err)
{
    return publish_origins_of(run->control, run->arena, run->resource->parent_uid, err);
}

static int next_naming(struct pg_conn *conn, struct arena *a, const void *ctx,
                       const char *after_key, int64_t limit, struct resource **ret,
                       size_t *ret_count, struct error *err)
{
    return rules_naming(conn, a, ctx, after_key, limit, ret, ret_count, err);
}

int publish_subnets(struct step_run *run, struct error *err)
{
    const struct publish_many many = { "publish-origins", next_naming,
                                       text_lower(run->arena, run->resource->id), write_origins };

    return publish_many(run->control, &many, err);
}

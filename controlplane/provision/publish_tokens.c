/* Publishers of one token take turns, and each reads the control database after its turn has come:
 * whoever writes last has read at least what those before it had, so an older state never replaces a
 * newer one. Scope maps need no turns: they carry the generation they were made from. */
#include "controlplane/provision/publish_tokens.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/crypto/secret.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/control.h"
#include "controlplane/provision/region.h"
#include "controlplane/store/published.h"
#include "controlplane/store/published_tokens.h"
#include "controlplane/store/related.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/registry.h"
#include "controlplane/types/token.h"

struct publishing {
    struct control *control;
    const struct resource *token; /* as somebody knew it: names only */
    const struct region *region;
    struct published_password passwords[TOKEN_PASSWORDS];
    size_t count;
    const struct resource *map; /* NULL: none */
    int is_done;
};

/* Permissions ---------------------------------------------------------------------------------- */

static const struct {
    const char *ending, *action;
} rights[] = {
    { "/content/read", "pull" },           { "/content/write", "push" },
    { "/content/delete", "delete" },       { "/metadata/read", "metadata_read" },
    { "/metadata/write", "metadata_write" },
};

/* The row of a repository, made on first use. */
static struct json_object *row_of(struct json_object *list, const char *name)
{
    struct json_object *row;

    for (size_t i = 0; i < json_count(list); i++) {
        if (text_eq(json_text(json_item(list, i), "name"), name))
            return json_item(list, i);
    }
    row = json_new_object();
    json_set_text(row, "type", "repository");
    json_set_text(row, "name", name);
    json_set(row, "actions", json_new_array());
    json_add(list, row);
    return row;
}

static void add_action(struct json_object *row, const char *action)
{
    struct json_object *actions = json_at(row, "actions");

    for (size_t i = 0; i < json_count(actions); i++) {
        if (text_eq(json_text(json_item(actions, i), ""), action))
            return;
    }
    json_add_text(actions, action);
}

/* Whoever may read the metadata of every repository may list them. */
static void add_catalog(struct json_object *list)
{
    struct json_object *row = json_new_object(), *actions = json_new_array();

    json_add_text(actions, "*");
    json_set_text(row, "type", "registry");
    json_set_text(row, "name", "catalog");
    json_set(row, "actions", actions);
    json_add(list, row);
}

struct json_object *permissions_of_actions(struct arena *a, const struct json_object *actions)
{
    static const char prefix[] = "repositories/";
    struct json_object *list = json_own(a, json_new_array());
    bool has_catalog = false;

    for (size_t i = 0; i < json_count(actions); i++) {
        const char *text = json_text(json_item(actions, i), "");

        has_catalog |= text_eq(text, "repositories/*/metadata/read");
        for (size_t k = 0; text && text_starts(text, prefix) && k < ARRAY_LEN(rights); k++) {
            const char *name = text + sizeof(prefix) - 1;

            if (text_ends(name, rights[k].ending))
                add_action(row_of(list, arena_strndup(a, name, strlen(name) -
                                                               strlen(rights[k].ending))),
                           rights[k].action);
        }
    }
    if (has_catalog)
        add_catalog(list);
    return list;
}

/* What is wanted ------------------------------------------------------------------------------- */

static int read_password(struct pg_conn *conn, struct arena *a, struct publishing *p,
                         const struct json_object *entry, struct error *err)
{
    const char *name = json_text(entry, "name");
    const char *expiry = json_text(entry, "expiry");
    const char *wrapped = NULL;
    struct published_password *out = &p->passwords[p->count];
    uint8_t *hash = NULL;
    size_t len = 0;
    int found = resource_secret_get(conn, a, p->token->uid, name, &wrapped, err);

    if (found <= 0)
        return found;
    if (secret_unwrap(a, &p->control->service_key, resource_secret_context(a, p->token->uid, name),
                      wrapped, &hash, &len, err))
        return wrap(err, "%s of token %s", name, p->token->uid);
    *out = (struct published_password){
        /* The admin user has names of its own. */
        .name = arena_printf(a, "token/%s", name),
        .hash = arena_strndup(a, (const char *)hash, len),
        .scope_map_id = p->map ? p->map->uid : NULL,
    };
    if (expiry && !clock_parse(expiry, &out->expires_us))
        return fail_cause(err, &E_INTERNAL, "expiry of %s of token %s", name, p->token->uid);
    if (expiry)
        out->expires_at = clock_arm(a, out->expires_us);
    p->count++;
    return 0;
}

static int read_wanted(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct publishing *p = ctx;
    struct resource *token = NULL;
    const struct json_object *list;
    const char *map_id;
    struct resource *map = NULL;
    int found = resource_by_uid(conn, a, p->token->uid, false, &token, err);

    p->count = 0;
    p->map = NULL;
    if (found <= 0 || token->state == STATE_DELETING ||
        text_eq(json_text(token->body, "properties.status"), "disabled"))
        return found < 0 ? -1 : 0;
    map_id = json_text(token->body, "properties.scopeMapId");
    if (map_id && resource_by_key(conn, a, text_lower(a, map_id), false, &map, err) < 0)
        return -1;
    p->map = map;
    list = json_at(token->body, "properties.credentials.passwords");
    for (size_t i = 0; i < json_count(list) && p->count < TOKEN_PASSWORDS; i++) {
        if (read_password(conn, a, p, json_item(list, i), err))
            return -1;
    }
    return 0;
}

/* One row by its uid. */
struct reading {
    const char *uid;
    struct resource *row;
    bool found;
};

static int read_one(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct reading *r = ctx;
    int found = resource_by_uid(conn, a, r->uid, false, &r->row, err);

    r->found = found > 0;
    return found < 0 ? -1 : 0;
}

/* What is published, and which of it the control database has newer or not at all. */
struct outdated {
    const char **uids;
    int64_t *generations;
    size_t count;
    const char **found;
    size_t found_count;
};

static int find_outdated(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct outdated *o = ctx;

    return resource_outdated(conn, a, o->uids, o->generations, o->count, &o->found,
                             &o->found_count, err);
}

/* Writing -------------------------------------------------------------------------------------- */

static int put_map(struct pg_conn *conn, struct arena *a, const struct resource *map,
                   struct error *err)
{
    const struct published_map row = { map->uid, map->generation };

    return published_map_put(
        conn, a, map->parent_uid, &row,
        permissions_of_actions(a, json_at(map->body, "properties.actions")), err);
}

/* Most tokens come to a map that is there. */
static int ensure_map(struct pg_conn *conn, struct arena *a, const struct resource *map,
                      struct error *err)
{
    struct published_map *now;
    size_t count;

    if (published_maps(conn, a, map->parent_uid, map->uid, &now, &count, err))
        return -1;
    if (count > 0 && now[0].resource_generation >= map->generation)
        return 0;
    return put_map(conn, a, map, err);
}

static int sync_token(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct publishing *p = ctx;
    int map = 0, changed;

    p->is_done = published_hold(conn, a, p->token->parent_uid, err);
    if (p->is_done <= 0)
        return p->is_done;
    if (published_turn(conn, a, p->token->uid, err) ||
        pg_with(p->control->db, a, read_wanted, p, err))
        return wrap(err, "read token %s", p->token->uid);
    if (p->map && p->count > 0)
        map = ensure_map(conn, a, p->map, err);
    if (map < 0)
        return -1;
    changed = published_token_sync(conn, a, p->token->parent_uid, p->token->name, p->passwords,
                                   p->count, err);
    if (changed < 0 || (changed == 0 && map == 0))
        return changed;
    return published_accounts_bump(conn, a, p->token->parent_uid, err);
}

/* Whether a region has the map at all: most changes are of maps that no password of a token uses. */
static int look_for_map(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct publishing *p = ctx;
    struct published_map *now;

    return published_maps(conn, a, p->map->parent_uid, p->map->uid, &now, &p->count, err);
}

static int sync_map(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct publishing *p = ctx;
    struct published_map *now;
    size_t count;
    int changed;

    p->is_done = published_hold(conn, a, p->map->parent_uid, err);
    if (p->is_done <= 0)
        return p->is_done;
    if (published_maps(conn, a, p->map->parent_uid, p->map->uid, &now, &count, err))
        return -1;
    changed = count > 0 ? put_map(conn, a, p->map, err) : 0;
    if (changed <= 0)
        return changed;
    return published_accounts_bump(conn, a, p->map->parent_uid, err);
}

static int refresh_map(struct pg_conn *conn, struct arena *a, struct control *control,
                       const char *registry_uid, const struct published_map *published,
                       struct error *err)
{
    struct reading reading = { .uid = published->id };

    if (pg_with(control->db, a, read_one, &reading, err))
        return wrap(err, "read scope map %s", published->id);
    if (!reading.found || reading.row->state == STATE_DELETING)
        return published_map_remove(conn, a, registry_uid, published->id, err);
    return put_map(conn, a, reading.row, err) < 0 ? -1 : 0;
}

int publish_scope_maps(struct pg_conn *conn, struct arena *a, struct control *control,
                       const char *registry_uid, struct error *err)
{
    struct published_map *now;
    struct outdated outdated = { 0 };
    size_t count;

    if (published_maps(conn, a, registry_uid, NULL, &now, &count, err))
        return -1;
    if (count == 0)
        return 0;
    outdated.uids = arena_array(a, count, sizeof(char *));
    outdated.generations = arena_array(a, count, sizeof(int64_t));
    for (size_t i = 0; i < count; i++) {
        outdated.uids[i] = now[i].id;
        outdated.generations[i] = now[i].resource_generation;
    }
    outdated.count = count;
    if (pg_with(control->db, a, find_outdated, &outdated, err))
        return wrap(err, "compare scope maps");
    for (size_t i = 0; i < outdated.found_count; i++) {
        const struct published_map one = { outdated.found[i], 0 };
        if (refresh_map(conn, a, control, registry_uid, &one, err))
            return -1;
    }
    return outdated.found_count > 0 ? published_accounts_bump(conn, a, registry_uid, err) : 0;
}

static int find_region(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct publishing *p = ctx;
    struct resource *registry = NULL;
    int found = resource_by_uid(conn, a, p->token->parent_uid, false, &registry, err);

    if (found > 0)
        p->region = region_find(p->control->regions, registry->location);
    return found < 0 ? -1 : 0;
}

static int run(struct publishing *p, struct arena *a, pg_work *sync, const char *uid,
               struct error *err)
{
    if (!p->region && pg_with(p->control->db, a, find_region, p, err))
        return wrap(err, "region of %s", uid);
    if (!p->region)
        return 0;
    if (pg_transact(p->region->db, a, sync, p, err))
        return wrap(err, "publish %s", uid);
    return p->is_done;
}

int publish_token(struct control *control, struct arena *a, const struct resource *token,
                  struct error *err)
{
    struct publishing p = { .control = control, .token = token };

    return run(&p, a, sync_token, token->uid, err);
}

int publish_scope_map(struct control *control, struct arena *a, const struct resource *map,
                      const struct resource *registry, struct error *err)
{
    struct publishing p = { .control = control, .map = map };

    p.region = region_find(control->regions, registry->location);
    if (p.region && pg_with(p.region->db, a, look_for_map, &p, err))
        return wrap(err, "look for scope map %s", map->uid);
    return p.count > 0 ? run(&p, a, sync_map, map->uid, err) : 0;
}

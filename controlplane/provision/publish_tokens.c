/* Publishers of one registry take turns by the lock on its published row, and each reads the
 * control database after it has that lock: whoever writes last has read at least what those before it had,
 * so an older state never replaces a newer one. */
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
#include "controlplane/store/resources.h"
#include "controlplane/types/registry.h"
#include "controlplane/types/token.h"

struct publishing {
    struct control *control;
    const struct resource *token; /* as somebody knew it: names only */
    const struct region *region;
    struct published_password passwords[TOKEN_PASSWORDS];
    size_t count;
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
                         const struct json_object *entry, struct json_object *permissions,
                         struct error *err)
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
        .permissions = permissions,
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
    struct resource *token = NULL, *map = NULL;
    const struct json_object *list;
    struct json_object *permissions;
    const char *map_id;
    int found = resource_by_uid(conn, a, p->token->uid, false, &token, err);

    p->count = 0;
    if (found <= 0 || token->state == STATE_DELETING ||
        text_eq(json_text(token->body, "properties.status"), "disabled"))
        return found < 0 ? -1 : 0;
    map_id = json_text(token->body, "properties.scopeMapId");
    found = map_id ? resource_by_key(conn, a, text_lower(a, map_id), false, &map, err) : 0;
    if (found < 0)
        return -1;
    permissions =
        permissions_of_actions(a, found ? json_at(map->body, "properties.actions") : NULL);
    list = json_at(token->body, "properties.credentials.passwords");
    for (size_t i = 0; i < json_count(list) && p->count < TOKEN_PASSWORDS; i++) {
        if (read_password(conn, a, p, json_item(list, i), permissions, err))
            return -1;
    }
    return 0;
}

/* Writing -------------------------------------------------------------------------------------- */

static int sync_token(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct publishing *p = ctx;
    struct published_registry registry;
    int changed;

    p->is_done = published_lock(conn, a, p->token->parent_uid, &registry, err);
    if (p->is_done <= 0)
        return p->is_done;
    if (pg_with(p->control->db, a, read_wanted, p, err))
        return wrap(err, "read token %s", p->token->uid);
    changed = published_token_sync(conn, a, p->token->parent_uid, p->token->name, p->passwords,
                                   p->count, err);
    if (changed <= 0)
        return changed;
    return published_bump(conn, a, p->token->parent_uid, err);
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

int publish_token(struct control *control, struct arena *a, const struct resource *token,
                  struct error *err)
{
    struct publishing p = { .control = control, .token = token };

    if (pg_with(control->db, a, find_region, &p, err))
        return wrap(err, "region of token %s", token->uid);
    if (!p.region)
        return 0;
    if (pg_transact(p.region->db, a, sync_token, &p, err))
        return wrap(err, "publish token %s", token->uid);
    return p.is_done;
}

/* Role-based access: a principal may do what some role says that is assigned to it, or to a group
 * it is in, at the scope or above. An assignment with a condition grants here what the condition
 * lets through whatever the repository is; one that cannot be read must not open anything. */
#include "controlplane/identity/access.h"

#include <pthread.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/control.h"
#include "controlplane/identity/condition.h"
#include "controlplane/identity/directory.h"
#include "controlplane/identity/identity.h"
#include "controlplane/identity/roles.h"

#define SLOTS 256

const struct error_code E_AUTHORIZATION_FAILED = { "AuthorizationFailed", 403 };

struct access_cache {
    pthread_mutex_t lock;
    struct principal_view *slots[SLOTS]; /* each holds one reference */
};

struct access_cache *access_cache_new(void)
{
    struct access_cache *cache = calloc(1, sizeof(*cache));
    if (!cache || pthread_mutex_init(&cache->lock, NULL) != 0)
        abort();
    return cache;
}

static void view_put(void *p)
{
    struct principal_view *view = p;
    if (view && __atomic_sub_fetch(&view->holders, 1, __ATOMIC_ACQ_REL) == 0)
        arena_free(view->arena); /* the view lives in it */
}

void access_cache_free(struct access_cache *cache)
{
    if (!cache)
        return;
    for (size_t i = 0; i < SLOTS; i++)
        view_put(cache->slots[i]);
    (void)pthread_mutex_destroy(&cache->lock);
    free(cache);
}

static void read_conditions(struct principal_view *view)
{
    view->conditions = arena_array(view->arena, view->assignment_count + 1, sizeof(void *));
    for (size_t i = 0; i < view->assignment_count; i++) {
        const char *text = view->assignments[i].condition;
        struct error ignored;
        if (text && condition_parse(view->arena, text, &view->conditions[i], &ignored) != 0)
            view->conditions[i] = NULL;
    }
}

static int load(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct principal_view *view = ctx;
    (void)a; /* what is read lives as long as the view */
    int found = identity_principal(conn, view->arena, view->object_id, &view->principal, err);
    if (found < 0)
        return -1;
    view->exists = found == 1;
    if (!view->exists)
        return 0;
    struct assignment_row *rows = NULL;
    size_t count = 0;
    if (identity_assignments_of(conn, view->arena, view->object_id, &rows, &count, err) != 0)
        return -1;
    bool has_root = false;
    view->assignments = rows;
    view->assignment_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (!text_eq(rows[i].tenant_id, view->principal.tenant_id))
            continue;
        has_root = has_root || rows[i].scope_key[0] == '\0';
        rows[view->assignment_count++] = rows[i];
    }
    read_conditions(view);
    if (!has_root)
        return 0;
    return identity_subscriptions(conn, view->arena, view->principal.tenant_id,
                                  &view->subscriptions, &view->subscription_count, err);
}

static size_t slot_of(const char *object_id)
{
    size_t h = 5381;
    for (; *object_id; object_id++)
        h = h * 33 + (unsigned char)*object_id;
    return h % SLOTS;
}

/* A live view with one more holder; NULL for who is to read it. */
static struct principal_view *find(struct access_cache *cache, const char *object_id)
{
    struct principal_view *view = cache->slots[slot_of(object_id)];
    if (!view || !text_eq(view->object_id, object_id) ||
        refresh_is_due(&view->refresh, clock_mono_ms(), ACCESS_FRESH_MS))
        return NULL;
    (void)__atomic_add_fetch(&view->holders, 1, __ATOMIC_RELAXED);
    return view;
}

int access_view(struct control *control, struct arena *a, const char *object_id,
                const struct principal_view **ret, struct error *err)
{
    struct access_cache *cache = control->directory->access;
    const char *id = text_lower(a, object_id);
    (void)pthread_mutex_lock(&cache->lock);
    struct principal_view *view = find(cache, id);
    (void)pthread_mutex_unlock(&cache->lock);
    if (!view) {
        struct arena *own = arena_new();
        view = ARENA_NEW(own, struct principal_view);
        view->arena = own;
        view->holders = 1;
        refresh_done(&view->refresh, clock_mono_ms()); /* before reading: freshness is not overstated */
        (void)snprintf(view->object_id, sizeof(view->object_id), "%s", id);
        if (pg_with(control->db, a, load, view, err) != 0) {
            view_put(view);
            return -1;
        }
        (void)__atomic_add_fetch(&view->holders, 1, __ATOMIC_RELAXED); /* the slot's */
        (void)pthread_mutex_lock(&cache->lock);
        struct principal_view **slot = &cache->slots[slot_of(id)], *old = *slot;
        *slot = view;
        (void)pthread_mutex_unlock(&cache->lock);
        view_put(old);
    }
    arena_defer(a, view_put, view);
    *ret = view;
    return 0;
}

char *access_scope_key(struct arena *a, const char *scope)
{
    char *key = text_lower(a, scope);
    size_t len = strlen(key);
    while (len > 0 && key[len - 1] == '/')
        key[--len] = '\0';
    return key;
}

/* inner is outer or something in it. */
static bool is_within(const char *inner, const char *outer)
{
    size_t len = strlen(outer);
    return strncmp(inner, outer, len) == 0 && (inner[len] == '\0' || inner[len] == '/');
}

/* An assignment at the root is good for its tenant's subscriptions, not for another's. */
static bool is_of_tenant(const struct principal_view *view, const char *scope_key)
{
    static const char prefix[] = "/subscriptions/";
    if (!text_starts(scope_key, prefix))
        return true;
    const char *id = scope_key + strlen(prefix);
    size_t len = strcspn(id, "/");
    for (size_t i = 0; i < view->subscription_count; i++) {
        if (strlen(view->subscriptions[i]) == len && strncmp(view->subscriptions[i], id, len) == 0)
            return true;
    }
    return false;
}

static bool applies_at(const struct principal_view *view, const struct assignment_row *row,
                       const char *scope_key)
{
    if (row->scope_key[0] == '\0')
        return is_of_tenant(view, scope_key);
    return is_within(scope_key, row->scope_key);
}

/* false: no such role (any more). */
static bool role_of(const struct assignment_row *row, struct role *ret)
{
    const struct role *builtin = row->is_custom ? NULL : role_find(row->role_definition_id);
    if (builtin)
        *ret = *builtin;
    else if (row->is_custom)
        *ret = (struct role){ .id = row->role_definition_id,
                              .actions = row->patterns[0],
                              .not_actions = row->patterns[1],
                              .data_actions = row->patterns[2],
                              .not_data_actions = row->patterns[3] };
    return builtin || row->is_custom;
}

/* Whatever repository it is about. */
static bool condition_holds(const struct condition *condition, const char *action)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct condition_names names;
    if (!condition)
        return false;
    condition_allows(a, condition, action, &names);
    return names.count > 0 && text_eq(names.items[0], "*");
}

typedef bool allows_fn(const struct role *role, const char *action);

static bool some_role_allows(const struct principal_view *view, allows_fn *allows,
                             const char *action, const char *scope_key)
{
    if (!view->exists || !view->principal.is_enabled)
        return false;
    for (size_t i = 0; i < view->assignment_count; i++) {
        const struct assignment_row *row = &view->assignments[i];
        struct role role;
        if (role_of(row, &role) && applies_at(view, row, scope_key) && allows(&role, action) &&
            (!row->condition || condition_holds(view->conditions[i], action)))
            return true;
    }
    return false;
}

static bool is_same_tenant(const struct principal_view *view, const struct caller *caller)
{
    return view->exists && text_eq_nocase(view->principal.tenant_id, caller->tenant_id);
}

static int check(struct control *control, struct arena *a, const struct caller *caller,
                 allows_fn *allows, const char *action, const char *scope, struct error *err)
{
    const struct principal_view *view = NULL;
    if (access_view(control, a, caller->object_id, &view, err) != 0)
        return -1;
    if (is_same_tenant(view, caller) &&
        some_role_allows(view, allows, action, access_scope_key(a, scope)))
        return 0;
    return fail(err, &E_AUTHORIZATION_FAILED,
                "The client '%s' with object id '%s' does not have authorization to perform action "
                "'%s' over scope '%s' or the scope is invalid. If access was recently granted, "
                "please refresh your credentials.",
                caller->app_id ? caller->app_id : caller->name, caller->object_id, action, scope);
}

int access_check(struct control *control, struct arena *a, const struct caller *caller,
                 const char *action, const char *scope, struct error *err)
{
    return check(control, a, caller, role_allows, action, scope, err);
}

int access_check_data(struct control *control, struct arena *a, const struct caller *caller,
                      const char *action, const char *scope, struct error *err)
{
    return check(control, a, caller, role_allows_data, action, scope, err);
}

int access_any(struct control *control, struct arena *a, const struct caller *caller,
               const char *scope, struct error *err)
{
    const struct principal_view *view = NULL;
    if (access_view(control, a, caller->object_id, &view, err) != 0)
        return -1;
    if (!is_same_tenant(view, caller) || !view->principal.is_enabled)
        return 0;
    const char *scope_key = access_scope_key(a, scope);
    for (size_t i = 0; i < view->assignment_count; i++) {
        const struct assignment_row *row = &view->assignments[i];
        struct role role;
        if (role_of(row, &role) &&
            (applies_at(view, row, scope_key) || is_within(row->scope_key, scope_key)))
            return 1;
    }
    return 0;
}

static struct json_object *texts(const char *const *items)
{
    struct json_object *list = json_new_array();
    for (; *items; items++)
        json_add_text(list, *items);
    return list;
}

/* Registries of one subscription, and every assignment that is good for any of them. */
struct grants_query {
    const char *subscription_id;
    char **keys; /* of the registries */
    size_t count;
    const char **scope_keys;
    size_t scope_count;
    struct assignment_row *rows;
    size_t row_count;
};

static int read_grants(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct grants_query *q = ctx;
    return identity_assignments_at(conn, a, q->scope_keys, q->scope_count, q->subscription_id,
                                   &q->rows, &q->row_count, err);
}

/* Every scope at or above the key: "", "/subscriptions/s", …, the key itself; but for those that are
 * above the one before, too. */
static void add_scopes(struct arena *a, struct grants_query *q, const char *key, const char *before)
{
    for (size_t i = 0, len = strlen(key); i <= len; i++) {
        bool is_end = key[i] == '/' || key[i] == '\0';
        if (is_end && !(before && strncmp(before, key, i) == 0 &&
                        (before[i] == '/' || before[i] == '\0')))
            q->scope_keys[q->scope_count++] = arena_strndup(a, key, i);
    }
}

static int scopes_of(struct arena *a, const char *const *ids, size_t count, struct grants_query *q,
                     struct error *err)
{
    size_t depth = 0;
    q->keys = arena_array(a, count + 1, sizeof(char *));
    for (size_t i = 0; i < count; i++) {
        char **parts = NULL;
        q->keys[i] = access_scope_key(a, ids[i]);
        size_t part_count = text_split(a, q->keys[i], '/', &parts);
        if (part_count < 3 || !text_eq(parts[1], "subscriptions") || !uuid_is_valid(parts[2]) ||
            (q->subscription_id && !text_eq(parts[2], q->subscription_id)))
            return fail_cause(err, &E_INTERNAL, "'%s' is not the id of a registry", ids[i]);
        q->subscription_id = parts[2];
        depth += part_count;
    }
    q->count = count;
    q->scope_keys = arena_array(a, depth + 1, sizeof(char *));
    for (size_t i = 0; i < count; i++)
        add_scopes(a, q, q->keys[i], i > 0 ? q->keys[i - 1] : NULL);
    return 0;
}

static struct json_object *grant_json(const struct assignment_row *row, const struct role *role)
{
    struct json_object *grant = json_new_object();
    json_set_text(grant, "principal_id", row->principal_id);
    json_set_text(grant, "role", role->name ? role->name : role->id);
    json_set_text(grant, "scope", row->scope_key[0] ? row->scope_key : "/");
    json_set(grant, "actions", texts(role->actions));
    json_set(grant, "notActions", texts(role->not_actions));
    json_set(grant, "dataActions", texts(role->data_actions));
    json_set(grant, "notDataActions", texts(role->not_data_actions));
    if (row->condition)
        json_set_text(grant, "condition", row->condition);
    return grant;
}

/* What holds for the registry as a list; the one before's where the same does. */
static struct json_object *grants_at(struct arena *a, const struct grants_query *q, size_t at,
                                     struct json_object *before)
{
    bool is_same = before != NULL;
    for (size_t i = 0; is_same && i < q->row_count; i++)
        is_same = is_within(q->keys[at], q->rows[i].scope_key) ==
                  is_within(q->keys[at - 1], q->rows[i].scope_key);
    if (is_same)
        return before;
    struct json_object *grants = json_own(a, json_new_array());
    for (size_t i = 0; i < q->row_count; i++) {
        struct role role;
        if (is_within(q->keys[at], q->rows[i].scope_key) && role_of(&q->rows[i], &role))
            json_add(grants, grant_json(&q->rows[i], &role));
    }
    return grants;
}

int access_grants(struct control *control, struct arena *a, const char *const *registry_ids,
                  size_t count, struct json_object **ret, struct error *err)
{
    struct grants_query q = { 0 };
    if (count == 0)
        return 0;
    if (scopes_of(a, registry_ids, count, &q, err) != 0 ||
        pg_with(control->db, a, read_grants, &q, err) != 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        ret[i] = grants_at(a, &q, i, i > 0 ? ret[i - 1] : NULL);
    return 0;
}

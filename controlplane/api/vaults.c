/* Deleted key vaults and single access policies: see the header. */
#include "controlplane/api/vaults.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/json/fields.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/api/call.h"
#include "controlplane/api/endpoint.h"
#include "controlplane/api/errors.h"
#include "controlplane/api/extension.h"
#include "controlplane/provision/region.h"
#include "controlplane/store/vaults.h"
#include "controlplane/types/rows.h"
#include "controlplane/types/vault.h"

#define PAGE_MAX 100

static const struct error_code E_DELETED_MISSING = { "DeletedVaultNotFound", 404 };
static const struct error_code E_PROTECTED = { "DeletedVaultPurge", 403 };

struct work {
    struct call *call;
    const char *after;
    struct deleted_vault one;
    struct deleted_vault *many;
    size_t count;
    const char *key;  /* of a vault */
    const char *kind; /* add, replace, remove */
    const struct json_object *policies;
    struct resource *row;
};

static char *deleted_id(struct call *c, const struct deleted_vault *v)
{
    return arena_printf(c->arena,
                        "/subscriptions/%s/providers/Microsoft.KeyVault/locations/%s/"
                        "deletedVaults/%s",
                        c->subscription.id, v->location, v->name);
}

static struct json_object *show(struct call *c, const struct deleted_vault *v)
{
    struct json_object *out = json_new_object(), *properties = json_new_object();

    json_set_text(out, "id", deleted_id(c, v));
    json_set_text(out, "type", "Microsoft.KeyVault/deletedVaults");
    json_set_text(out, "name", v->name);
    json_set_text(properties, "vaultId", v->id);
    json_set_text(properties, "location", v->location);
    json_set(properties, "tags", json_get(v->tags));
    json_set_text(properties, "deletionDate", clock_rfc3339(c->arena, v->deleted_us));
    json_set_text(properties, "scheduledPurgeDate", clock_rfc3339(c->arena, v->purge_us));
    if (v->is_protected)
        json_set_bool(properties, "purgeProtectionEnabled", true);
    json_set(out, "properties", properties);
    return out;
}

static int list(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;

    return deleted_vault_list(conn, a, w->call->subscription.id, w->after, PAGE_MAX + 1, &w->many,
                              &w->count, err);
}

static int run_list(struct call *c, struct error *err)
{
    struct work w = { .call = c, .after = http_query_nocase(c->req, "$skiptoken") };
    struct json_object *body = json_own(c->arena, json_new_object()), *value = json_new_array();

    if (pg_with(c->control->db, c->arena, list, &w, err))
        return -1;
    for (size_t i = 0; i < w.count && i < PAGE_MAX; i++)
        json_add(value, show(c, &w.many[i]));
    json_set(body, "value", value);
    if (w.count > PAGE_MAX)
        json_set_text(body, "nextLink",
                      arena_printf(c->arena, "%s&$skiptoken=%s", call_url(c, c->req->path),
                                   w.many[PAGE_MAX - 1].name_key));
    reply_json(c, 200, body);
    return 0;
}

/* A vault of another subscription is as good as none. */
static int find(struct pg_conn *conn, struct work *w, struct error *err)
{
    struct call *c = w->call;
    const struct region *region = region_find(c->control->regions, c->req->params[1]);
    const char *name = c->req->params[2];
    int found = deleted_vault_get(conn, c->arena, text_lower(c->arena, name), &w->one, err);

    if (found < 0)
        return -1;
    if (found && text_eq(w->one.subscription_id, c->subscription.id) && region &&
        text_eq(region->name, w->one.location))
        return 0;
    return fail(err, &E_DELETED_MISSING,
                "The specified deleted vault '%.100s' does not exist.", name);
}

static int get(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    (void)a;
    return find(conn, ctx, err);
}

static int run_show(struct call *c, struct error *err)
{
    struct work w = { .call = c };

    if (pg_with(c->control->db, c->arena, get, &w, err))
        return -1;
    reply_json(c, 200, json_own(c->arena, show(c, &w.one)));
    return 0;
}

static int purge(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;
    struct call *c = w->call;
    const char *id;

    if (find(conn, w, err))
        return -1;
    if (w->one.is_protected)
        return fail(err, &E_PROTECTED,
                    "The vault '%s' has purge protection: it is purged at %s and not before.",
                    w->one.name, clock_rfc3339(a, w->one.purge_us));
    id = deleted_id(c, &w->one);
    const struct resource what = { .id = id,
                                   .key = text_lower(a, id),
                                   .subscription_id = c->subscription.id };
    return deleted_vault_purge(conn, a, w->one.uid, err) ||
                   endpoint_event(conn, c, &what, err)
               ? -1
               : 0;
}

static int run_purge(struct call *c, struct error *err)
{
    struct work w = { .call = c };

    if (lock_guard(c, arena_printf(c->arena, "/subscriptions/%s", c->subscription.id),
                   endpoint_right(c), false, err) ||
        pg_transact(c->control->db, c->arena, purge, &w, err))
        return -1;
    http_reply_empty(c->req, 200);
    return 0;
}

/* Clients that list vaults ask for these as well. */
static int run_no_hsm(struct call *c, struct error *err)
{
    struct json_object *body = json_own(c->arena, json_new_object());

    (void)err;
    json_set(body, "value", json_new_array());
    reply_json(c, 200, body);
    return 0;
}

/* Access policies -------------------------------------------------------------------------------- */

static const struct field policies_request[] = {
    { ROW("properties.accessPolicies", FIELD_LIST), RW_REQUIRED, .of = vault_policy_fields,
      .of_size = 1, .max = VAULT_POLICIES_MAX },
    { 0 },
};
static const char *const right_kinds[] = { "keys", "secrets", "certificates", "storage" };

static bool is_same_principal(const struct json_object *x, const struct json_object *y)
{
    return text_eq_nocase(json_text(x, "objectId"), json_text(y, "objectId")) &&
           text_eq_nocase(json_text(x, "tenantId"), json_text(y, "tenantId")) &&
           text_eq_nocase(json_text(x, "applicationId"), json_text(y, "applicationId"));
}

static bool has_text(const struct json_object *list, const char *text)
{
    for (size_t i = 0; i < json_count(list); i++) {
        if (text_eq_nocase(json_text(json_item(list, i), ""), text))
            return true;
    }
    return false;
}

/* The rights of `had` with those of `more` added or taken away. */
static struct json_object *combine(const struct json_object *had, const struct json_object *more,
                                   bool is_remove)
{
    struct json_object *out = json_new_array();

    for (size_t i = 0; i < json_count(had); i++) {
        const char *right = json_text(json_item(had, i), "");

        if (!is_remove || !has_text(more, right))
            json_add_text(out, right);
    }
    for (size_t i = 0; !is_remove && i < json_count(more); i++) {
        const char *right = json_text(json_item(more, i), "");

        if (!has_text(out, right))
            json_add_text(out, right);
    }
    return out;
}

/* True when no right is left. */
static bool change_policy(struct json_object *policy, const struct json_object *asked,
                          bool is_remove)
{
    struct json_object *had = json_at(policy, "permissions");
    struct json_object *more = json_at(asked, "permissions"), *now = json_new_object();
    size_t left = 0;

    for (size_t i = 0; i < ARRAY_LEN(right_kinds); i++) {
        struct json_object *rights =
            combine(json_at(had, right_kinds[i]), json_at(more, right_kinds[i]), is_remove);

        left += json_count(rights);
        json_set(now, right_kinds[i], rights);
    }
    json_set(policy, "permissions", now);
    return left == 0;
}

/* What the stored policies become; each asked one is for a principal. */
static struct json_object *change_policies(const struct json_object *stored,
                                           const struct json_object *asked, const char *kind)
{
    struct json_object *out = json_new_array();
    bool is_remove = text_eq_nocase(kind, "remove");

    if (text_eq_nocase(kind, "replace")) {
        json_put(out);
        return json_copy(asked);
    }
    for (size_t i = 0; i < json_count(stored); i++) {
        struct json_object *policy = json_copy(json_item(stored, i));
        bool is_empty = false;

        for (size_t j = 0; j < json_count(asked); j++) {
            if (is_same_principal(policy, json_item(asked, j)))
                is_empty = change_policy(policy, json_item(asked, j), is_remove);
        }
        if (is_remove && is_empty)
            json_put(policy);
        else
            json_add(out, policy);
    }
    for (size_t j = 0; !is_remove && j < json_count(asked); j++) {
        bool is_known = false;

        for (size_t i = 0; i < json_count(out); i++)
            is_known = is_known || is_same_principal(json_item(out, i), json_item(asked, j));
        if (!is_known)
            json_add(out, json_copy(json_item(asked, j)));
    }
    return out;
}

static int write_policies(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;
    struct json_object *now;
    int found = resource_by_key(conn, a, w->key, true, &w->row, err);

    if (found < 0)
        return -1;
    if (!found)
        return fail(err, &E_RESOURCE_NOT_FOUND, "The resource %s could not be found.",
                    w->call->req->params[2]);
    now = change_policies(json_at(w->row->body, "properties.accessPolicies"), w->policies, w->kind);
    json_put_at(w->row->body, "properties.accessPolicies", now);
    if (json_count(now) > VAULT_POLICIES_MAX)
        return fail_at(err, &E_INVALID_PARAMETER, "properties.accessPolicies",
                       "A vault has at most %d access policies.", VAULT_POLICIES_MAX);
    return resource_update(conn, a, w->row, false, err) ||
                   endpoint_event(conn, w->call, w->row, err)
               ? -1
               : 0;
}

static int read_policies(struct call *c, struct work *w, struct error *err)
{
    struct json_object *body = NULL;

    if (extension_body(c, &body, err) ||
        fields_check(c->arena, policies_request, body, true, &E_INVALID_PARAMETER, err))
        return -1;
    w->policies = json_at(body, "properties.accessPolicies");
    return 0;
}

static int run_policies(struct call *c, struct error *err)
{
    struct work w = { .call = c, .kind = c->req->params[3] };
    const char *id = arena_printf(c->arena,
                                  "/subscriptions/%s/resourceGroups/%s/providers/"
                                  "Microsoft.KeyVault/vaults/%s",
                                  c->subscription.id, c->req->params[1], c->req->params[2]);
    struct json_object *out, *properties;

    w.key = text_lower(c->arena, id);
    if (!text_eq_nocase(w.kind, "add") && !text_eq_nocase(w.kind, "replace") &&
        !text_eq_nocase(w.kind, "remove"))
        return fail(err, &E_NO_ROUTE, "A change of access policies is add, replace or remove.");
    if (access_check(c->control, c->arena, &c->caller, endpoint_right(c), id, err) ||
        lock_guard(c, id, endpoint_right(c), false, err) || read_policies(c, &w, err) ||
        pg_transact(c->control->db, c->arena, write_policies, &w, err))
        return -1;
    out = json_own(c->arena, json_new_object());
    properties = json_new_object();
    json_set_text(out, "id", arena_printf(c->arena, "%s/accessPolicies/", w.row->id));
    json_set_text(out, "type", "Microsoft.KeyVault/vaults/accessPolicies");
    json_set_text(out, "name", "");
    json_set_text(out, "location", w.row->location);
    json_set(properties, "accessPolicies",
             json_get(json_at(w.row->body, "properties.accessPolicies")));
    json_set(out, "properties", properties);
    reply_json(c, 200, out);
    return 0;
}

const struct endpoint deleted_vaults_list = { .versions = vault_versions,
                                              .subscription = 1,
                                              .action = "Microsoft.KeyVault/deletedVaults/read",
                                              .description = "Deleted key vaults",
                                              .run = run_list };
const struct endpoint deleted_vault_show = {
    .versions = vault_versions,
    .subscription = 1,
    .action = "Microsoft.KeyVault/locations/deletedVaults/read",
    .description = "A deleted key vault",
    .run = run_show
};
const struct endpoint deleted_vault_remove = {
    .versions = vault_versions,
    .subscription = 1,
    .action = "Microsoft.KeyVault/locations/deletedVaults/purge/action",
    .description = "Purge a deleted key vault",
    .run = run_purge
};
const struct endpoint hsm_list = { .versions = vault_versions,
                                   .subscription = 1,
                                   .action = "Microsoft.KeyVault/managedHSMs/read",
                                   .description = "Managed HSMs, deleted ones as well: none",
                                   .run = run_no_hsm };
const struct endpoint vault_policies_put = { .versions = vault_versions,
                                             .subscription = 1,
                                             .right = "Microsoft.KeyVault/vaults/"
                                                      "accessPolicies/write",
                                             .description = "Add, replace or remove access policies",
                                             .run = run_policies };

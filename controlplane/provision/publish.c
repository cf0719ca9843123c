/* Publishing a registry. What is stored is read first and compared in the clear (hashes and wrapped
 * keys differ at every making), so a pass that finds nothing to do writes nothing and no data plane
 * reloads for it. */
#include "controlplane/provision/publish.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/crypto/secret.h"
#include "common/json/json.h"
#include "common/pg/pg.h"
#include "controlplane/control.h"
#include "controlplane/identity/directory.h"
#include "controlplane/identity/identity.h"
#include "controlplane/provision/grants.h"
#include "controlplane/provision/publish_network.h"
#include "controlplane/provision/publish_tokens.h"
#include "controlplane/provision/region.h"
#include "controlplane/store/published.h"
#include "controlplane/store/published_many.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/registry.h"
#include "controlplane/types/tiers.h"

enum { SECRET_PASSWORD, SECRET_PASSWORD2, SECRET_SIGNING_KEY, SECRET_DATA_KEY, SECRET_COUNT };

static const char *const secret_names[SECRET_COUNT] = {
    [SECRET_PASSWORD] = REGISTRY_PASSWORD,
    [SECRET_PASSWORD2] = REGISTRY_PASSWORD2,
    [SECRET_SIGNING_KEY] = REGISTRY_SIGNING_KEY,
    [SECRET_DATA_KEY] = REGISTRY_DATA_KEY,
};

/* In the clear, with a NUL behind; cleansed when the arena is reset. The data key is bytes. */
struct clear {
    char *bytes;
    size_t len;
};

struct publication {
    struct step_run *run;
    const struct registry *desired;
    struct published_registry row; /* keys are wrapped when needed */
    struct clear secrets[SECRET_COUNT];
    struct json_object *grants;
    struct published_key *keys;
    size_t key_count;
};

/* What the registry has to be ------------------------------------------------------------------ */

static void cleanse(void *secret)
{
    struct clear *c = secret;

    secret_cleanse(c->bytes, c->len);
}

/* Takes over what was unwrapped. */
static int keep_secret(struct publication *p, size_t secret, uint8_t *bytes, size_t len,
                       struct error *err)
{
    struct arena *a = p->run->arena;
    struct clear *c = ARENA_NEW(a, struct clear);

    if (secret == SECRET_DATA_KEY) {
        c->bytes = (char *)text_unbase64(a, (const char *)bytes, len, &c->len);
        if (!c->bytes)
            return fail_cause(err, &E_INTERNAL, "the data key is not base64");
    } else {
        c->bytes = arena_strndup(a, (const char *)bytes, len);
        c->len = len;
    }
    secret_cleanse(bytes, len);
    arena_defer(a, cleanse, c);
    p->secrets[secret] = *c;
    return 0;
}

static int load_secrets(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct publication *p = ctx;
    const char *uid = p->run->resource->uid, *wrapped;

    for (size_t i = 0; i < SECRET_COUNT; i++) {
        int found = resource_secret_get(conn, a, uid, secret_names[i], &wrapped, err);
        uint8_t *bytes;
        size_t len;

        if (found < 0)
            return -1;
        if (!found)
            return fail_cause(err, &E_INTERNAL, "secret %s of %s is missing", secret_names[i],
                              uid);
        if (secret_unwrap(a, &p->run->control->service_key,
                          resource_secret_context(a, uid, secret_names[i]), wrapped, &bytes, &len,
                          err))
            return wrap(err, "secret %s of %s", secret_names[i], uid);
        if (keep_secret(p, i, bytes, len, err))
            return -1;
    }
    return 0;
}

static void add_texts(struct json_object *list, const char *const *items)
{
    for (; *items; items++)
        json_add_text(list, *items);
}

/* Whose directory tokens /oauth2/exchange takes. The policy azureADAuthenticationAsArm, disabled,
 * refuses tokens made for the resource manager. */
static void set_directory(struct json_object *settings, struct control *control, struct arena *a,
                          const struct registry *desired)
{
    struct json_object *issuers = json_new_array(), *audiences = json_new_array();

    json_add_text(issuers, directory_issuer(a, control, control->tenant_id));
    add_texts(audiences, directory_audience_names(a, control, AUDIENCE_REGISTRY));
    if (!text_eq(desired->arm_audience_status, "disabled"))
        add_texts(audiences, directory_audience_names(a, control, AUDIENCE_MANAGEMENT));
    json_set_text(settings, "tenantId", control->tenant_id);
    json_set(settings, "issuers", issuers);
    json_set(settings, "audiences", audiences);
}

static void copy_member(struct json_object *to, const char *key, const struct json_object *body,
                        const char *path)
{
    struct json_object *value = json_at(body, path);

    if (value)
        json_set(to, key, json_copy(value));
}

/* The request rates of the tier, as data planes read them. */
static void set_rates(struct json_object *settings, enum sku sku)
{
    static const struct {
        const char *class;
        enum tier_limit registry, one;
    } rows[] = {
        { "read", TIER_READS, TIER_READS_OF_ONE },
        { "write", TIER_WRITES, TIER_WRITES_OF_ONE },
        { "delete", TIER_DELETES, TIER_DELETES_OF_ONE },
        { "referrers", TIER_REFERRERS, TIER_REFERRERS_OF_ONE },
        { "oauth", TIER_SIGN_INS, TIER_NO_LIMIT },
    };
    struct json_object *rates = json_new_object();

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct json_object *one = json_new_object();

        json_set_int(one, "registry", tier_limit(rows[i].registry, sku));
        json_set_int(one, "identity", tier_limit(rows[i].one, sku));
        json_set(rates, rows[i].class, one);
    }
    json_set(settings, "requestRates", rates);
}

struct json_object *publish_settings(struct control *control, struct arena *a,
                                     const struct resource *r, const struct registry *desired,
                                     const struct region *region)
{
    struct json_object *s = json_own(a, json_new_object());

    json_set_text(s, "name", r->name);
    json_set_text(s, "resourceId", r->id);
    json_set_text(s, "location", r->location);
    json_set_text(s, "region", region->name);
    json_set_text(s, "loginServer", registry_login_server(a, control, r));
    json_set_text(s, "sku", desired->sku_name);
    json_set_int(s, "storageLimitBytes",
                 tier_limit(TIER_STORAGE_BYTES, registry_type.sku(r->body)));
    if (control->settings->tier_rates)
        set_rates(s, registry_type.sku(r->body));
    json_set_bool(s, "adminUserEnabled", desired->is_admin_enabled);
    json_set_bool(s, "anonymousPullEnabled", desired->is_anonymous_pull);
    json_set_text(s, "publicNetworkAccess", desired->public_network_access);
    json_set_text(s, "networkRuleBypassOptions", desired->network_bypass);
    json_set_bool(s, "networkRuleBypassAllowedForTasks", desired->may_tasks_bypass);
    json_set_text(s, "roleAssignmentMode", desired->role_assignment_mode);
    json_set_bool(s, "dataEndpointEnabled", desired->has_data_endpoint);
    if (desired->has_data_endpoint)
        json_set_text(s, "dataEndpointHost",
                      registry_data_host(a, control, r, region->name));
    copy_member(s, "networkRuleSet", r->body, "properties.networkRuleSet");
    copy_member(s, "policies", r->body, "properties.policies");
    set_directory(s, control, a, desired);
    return s;
}

static int load_directory(struct publication *p, struct error *err)
{
    struct control *control = p->run->control;
    struct arena *a = p->run->arena;
    struct directory_key_row *rows;
    struct json_object *kids = json_new_array();

    json_set(p->row.settings, "directoryKeys", kids);
    if (directory_public_keys(control, a, &rows, &p->key_count, err))
        return wrap(err, "directory keys");
    p->keys = arena_array(a, p->key_count + 1, sizeof(*p->keys));
    for (size_t i = 0; i < p->key_count; i++) {
        p->keys[i] = (struct published_key){ rows[i].kid, rows[i].public_pem,
                                             rows[i].verifies_until };
        json_add_text(kids, rows[i].kid);
    }
    return 0;
}

/* With the registry's row locked: nobody who read these earlier writes after this. */
static int load_rights(struct publication *p, struct error *err)
{
    struct control *control = p->run->control;
    struct arena *a = p->run->arena;
    struct json_object *entries = NULL;

    if (access_grants(control, a, &p->run->resource->id, 1, &entries, err))
        return wrap(err, "grants");
    p->grants = grants_reduce(a, entries,
                              text_eq(p->desired->role_assignment_mode,
                                      "AbacRepositoryPermissions"));
    if (publish_services(control, a, p->grants, p->row.settings, err))
        return -1;
    return publish_network(control, a, p->run->resource, p->row.settings, err);
}

/* What the region has -------------------------------------------------------------------------- */

static char *key_context(struct arena *a, const struct publication *p, size_t secret)
{
    return arena_printf(a, "registry/%s/%s", p->row.id, secret_names[secret]);
}

/* The signing key as PEM, the data key as bytes. */
static char *wrap_key(struct arena *a, const struct publication *p, size_t secret)
{
    return secret_wrap(a, &p->run->control->service_key, key_context(a, p, secret),
                       p->secrets[secret].bytes, p->secrets[secret].len);
}

/* True when what is wrapped there is our key; anything unreadable is to be replaced. */
static bool is_same_key(struct arena *a, const struct publication *p, size_t secret,
                        const char *wrapped)
{
    const struct clear *ours = &p->secrets[secret];
    struct error ignored;
    uint8_t *theirs;
    bool is_same;
    size_t len;

    if (secret_unwrap(a, &p->run->control->service_key, key_context(a, p, secret), wrapped,
                      &theirs, &len, &ignored))
        return false;
    is_same = len == ours->len && secret_equal(theirs, ours->bytes, len);
    secret_cleanse(theirs, len);
    return is_same;
}

static int insert_row(struct pg_conn *conn, struct arena *a, struct publication *p,
                      struct error *err)
{
    p->row.wrapped_signing_key = wrap_key(a, p, SECRET_SIGNING_KEY);
    p->row.wrapped_data_key = wrap_key(a, p, SECRET_DATA_KEY);
    if (published_insert(conn, a, &p->row, err) < 0)
        return wrap(err, "insert projection");
    return 0;
}

/* Brings the row up to date; 1 when data planes have to know. */
static int update_row(struct pg_conn *conn, struct arena *a, struct publication *p,
                      const struct published_registry *now, struct error *err)
{
    bool has_keys = is_same_key(a, p, SECRET_SIGNING_KEY, now->wrapped_signing_key) &&
                    is_same_key(a, p, SECRET_DATA_KEY, now->wrapped_data_key);
    bool is_changed = !has_keys || !text_eq(now->name, p->row.name) ||
                      !text_eq(now->login_server, p->row.login_server) ||
                      !json_equal(now->settings, p->row.settings);

    if (!is_changed && now->resource_generation == p->row.resource_generation)
        return 0;
    p->row.wrapped_signing_key = has_keys ? now->wrapped_signing_key
                                          : wrap_key(a, p, SECRET_SIGNING_KEY);
    p->row.wrapped_data_key = has_keys ? now->wrapped_data_key : wrap_key(a, p, SECRET_DATA_KEY);
    if (published_update(conn, a, &p->row, err))
        return wrap(err, "update projection");
    return is_changed;
}

/* The admin user signs in with either password while it is enabled. 1 when anything changed. */
static int sync_admin(struct pg_conn *conn, struct arena *a, struct publication *p,
                      struct error *err)
{
    struct json_object *all = grants_all(a);
    bool is_there[2] = { false, false };
    struct published_credential *now;
    size_t count;
    int changed = 0;

    if (published_credentials(conn, a, p->row.id, "admin", &now, &count, err))
        return wrap(err, "read credentials");
    for (size_t i = 0; i < count; i++) {
        size_t s = text_eq(now[i].password_name, REGISTRY_PASSWORD) ? SECRET_PASSWORD
                                                                     : SECRET_PASSWORD2;

        if (p->desired->is_admin_enabled && text_eq(now[i].username, p->row.name) &&
            text_eq(now[i].password_name, secret_names[s]) &&
            secret_verify(now[i].hash, p->secrets[s].bytes) &&
            json_equal(now[i].permissions, all)) {
            is_there[s] = true;
            continue;
        }
        changed = 1;
        if (published_credential_remove(conn, a, p->row.id, now[i].username,
                                        now[i].password_name, err))
            return wrap(err, "remove credential");
    }
    for (size_t s = 0; p->desired->is_admin_enabled && s < ARRAY_LEN(is_there); s++) {
        struct published_credential c = { p->row.name, secret_names[s], NULL, all };

        if (is_there[s])
            continue;
        changed = 1;
        c.hash = secret_hash_generated(a, p->secrets[s].bytes);
        if (published_credential_put(conn, a, p->row.id, "admin", &c, err))
            return wrap(err, "write credential");
    }
    return changed;
}

static int sync_grants(struct pg_conn *conn, struct arena *a, struct publication *p,
                       struct error *err)
{
    const char *text = json_print(a, p->grants), **changed = NULL;
    size_t count = 0;

    if (published_grants_put(conn, a, &p->row.id, &text, 1, &changed, &count, err))
        return -1;
    return count > 0;
}

static int write_projection(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct publication *p = ctx;
    struct published_registry now;
    int found = published_lock(conn, a, p->row.id, &now, err);
    bool is_new = found == 0;
    int row, admin, grants;
    int64_t keys;

    if (is_new) {
        if (insert_row(conn, a, p, err))
            return -1;
        found = published_lock(conn, a, p->row.id, &now, err);
    }
    if (found < 0)
        return wrap(err, "lock projection");
    if (found == 0)
        return fail_cause(err, &E_UNAVAILABLE, "the projection of %s is being removed",
                          p->row.id);
    if (now.resource_generation > p->row.resource_generation)
        return 0;
    if (load_rights(p, err))
        return -1;
    if ((row = update_row(conn, a, p, &now, err)) < 0 ||
        (admin = sync_admin(conn, a, p, err)) < 0 || (grants = sync_grants(conn, a, p, err)) < 0)
        return -1;
    if (published_keys_replace(conn, a, p->keys, p->key_count, &keys, err))
        return wrap(err, "directory keys");
    if (publish_scope_maps(conn, a, p->run->control, p->row.id, err))
        return wrap(err, "scope maps");
    if (!is_new && (row || admin || grants || keys > 0))
        return published_bump(conn, a, &p->row.id, 1, err);
    return 0;
}

int publish_registry(struct step_run *run, const struct region *region, struct error *err)
{
    const struct resource *r = run->resource;
    struct publication p = {
        .run = run,
        .desired = run->decoded,
        .row = {
            .id = r->uid,
            .name = r->name,
            .login_server = registry_login_server(run->arena, run->control, r),
            .resource_generation = r->generation,
        },
    };

    p.row.settings = publish_settings(run->control, run->arena, r, p.desired, region);
    if (pg_with(run->control->db, run->arena, load_secrets, &p, err) ||
        load_directory(&p, err))
        return -1;
    if (!run->still_ours(run))
        return fail_cause(err, &E_UNAVAILABLE, "lease lost before publishing");
    return pg_transact(region->db, run->arena, write_projection, &p, err);
}

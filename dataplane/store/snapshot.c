/* Loading, comparing and handing out the published projection. */
#include "dataplane/store/snapshot.h"

#include <pthread.h>
#include <stdatomic.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/json/json.h"
#include "common/network/rules.h"
#include "common/pg/pg.h"
#include "dataplane/store/accounts.h"
#include "dataplane/store/content.h"

#define SETTINGS_MAX  ((size_t)1024 * 1024)
/* In an outage, how long one failed look at the database counts. */
#define AWAY_TRUST_MS 5000
#define ACR_AUDIENCE  "https://containerregistry.azure.net"
#define LINK_PURPOSE  "portolan data link 1"
#define POLICY_DAYS   7

enum { VERSION, ONE_VIEW, REGISTRY, GRANTS, KEYS };

const struct pg_stmt projection_statements[] = {
    /* Keys of the directory are not the registry's, so its generation does not move with them. */
    [VERSION] = { "projection_version",
                  "select r.generation || ' ' || coalesce((select string_agg(kid || ' ' || "
                  "extract(epoch from verifies_until), ' ' order by kid) from directory_keys), ''), "
                  "coalesce((select sum(count) from account_changes where registry_id = $1), "
                  "0)::int8 from registries r where r.id = $1",
                  "uuid" },
    [ONE_VIEW] = { "projection_view", "set transaction isolation level repeatable read, read only",
                   "" },
    [REGISTRY] = { "projection_registry",
                   "select login_server, settings, wrapped_signing_key, wrapped_data_key, "
                   "data_key_epoch from registries where id = $1",
                   "uuid" },
    [GRANTS] = { "projection_grants",
                 "select principal_id, permissions from grants where registry_id = $1 "
                 "order by principal_id::text collate \"C\"",
                 "uuid" },
    [KEYS] = { "projection_keys",
               "select public_pem, verifies_until from directory_keys "
               "where verifies_until > now() order by kid",
               "" },
    { 0 },
};

/* The public struct with what readers need not see. */
struct counted {
    struct snapshot snapshot; /* first */
    _Atomic int refs;
};

struct snapshots {
    struct snapshots_config config;
    pthread_mutex_t lock;    /* of current */
    pthread_mutex_t refresh; /* one refresh at a time */
    struct snapshot *current;
    _Atomic uint64_t serial;
    int64_t account_changes; /* as of the last comparison of accounts; under refresh */
    _Atomic int64_t checked_ms; /* last comparison that succeeded; 0: none */
    _Atomic int64_t tried_ms;
    _Atomic bool is_away, is_gone;
};

/* What the database says has moved or not. */
struct version {
    const char *text; /* NULL: the registry is not published */
    int64_t account_changes;
};

struct load {
    struct snapshots *owner;
    struct snapshot *snapshot;
    struct version version;
    bool is_found;
};

struct snapshot *snapshot_ref(struct snapshot *snapshot)
{
    atomic_fetch_add(&((struct counted *)snapshot)->refs, 1);
    return snapshot;
}

void snapshot_unref(struct snapshot *snapshot)
{
    if (!snapshot || atomic_fetch_sub(&((struct counted *)snapshot)->refs, 1) != 1)
        return;
    token_key_free(snapshot->key);
    for (size_t i = 0; i < snapshot->directory_key_count; i++)
        token_key_free(snapshot->directory_keys[i]);
    secret_cleanse(snapshot->data_key, sizeof(snapshot->data_key));
    secret_cleanse(snapshot->link_key, sizeof(snapshot->link_key));
    network_rules_free(snapshot->network);
    arena_free(snapshot->arena);
    free(snapshot);
}

struct snapshot *snapshot_new(uint64_t serial)
{
    struct counted *c = calloc(1, sizeof(*c));
    if (!c)
        abort();
    atomic_init(&c->refs, 1);
    c->snapshot.arena = arena_new();
    c->snapshot.serial = serial;
    return &c->snapshot;
}

/* --- reading rows ------------------------------------------------------------------------------
 */

static const char *const *read_list(struct arena *a, const struct json_object *settings,
                                    const char *list_name, const char *single_name,
                                    const char *always)
{
    const struct json_object *list = json_at(settings, list_name);
    size_t count = json_kind(list) == JSON_ARRAY ? json_count(list) : 0, n = 0;
    const char **texts = arena_array(a, count + 3, sizeof(*texts));

    for (size_t i = 0; i < count; i++) {
        const char *text = json_text(json_item(list, i), "");
        if (text)
            texts[n++] = arena_strdup(a, text);
    }
    if (single_name && json_text(settings, single_name))
        texts[n++] = arena_strdup(a, json_text(settings, single_name));
    if (always)
        texts[n++] = always;
    return texts;
}

static int read_json(const struct pg_result *r, size_t row, size_t col, struct json_object **ret,
                     struct error *err)
{
    const char *text = pg_get_text(r, row, col);
    if (json_parse(text, strlen(text), SETTINGS_MAX, JSON_STRICT, ret, err) != 0)
        return wrap(err, "published projection");
    return 0;
}

static int read_keys(struct load *load, const struct pg_result *r, struct error *err)
{
    struct snapshot *s = load->snapshot;
    const struct snapshots_config *config = &load->owner->config;
    _cleanup_(arena_freep) struct arena *scratch = arena_new();
    uint8_t *secret = NULL;
    size_t len = 0;
    const char *context = arena_printf(scratch, "registry/%s/signing-key", config->registry_id);

    if (secret_unwrap(scratch, &config->service_key, context, pg_get_text(r, 0, 2), &secret, &len,
                      err) != 0)
        return wrap(err, "signing key");
    char *pem = arena_strndup(scratch, (const char *)secret, len);
    int status = token_key_parse(pem, &s->key, err);
    hmac_sha256(pem, len, LINK_PURPOSE, strlen(LINK_PURPOSE), s->link_key);
    secret_cleanse(pem, len);
    secret_cleanse(secret, len);
    if (status != 0)
        return wrap(err, "signing key");
    context = arena_printf(scratch, "registry/%s/data-key", config->registry_id);
    if (secret_unwrap(scratch, &config->service_key, context, pg_get_text(r, 0, 3), &secret, &len,
                      err) != 0)
        return wrap(err, "data key");
    if (len != SEAL_KEY_BYTES) {
        secret_cleanse(secret, len);
        return fail_cause(err, &E_INTERNAL, "the data key has %zu bytes", len);
    }
    memcpy(s->data_key, secret, SEAL_KEY_BYTES);
    secret_cleanse(secret, len);
    s->data_key_epoch = (uint32_t)pg_get_int(r, 0, 4);
    return 0;
}

static bool is_on(const struct json_object *settings, const char *path)
{
    const char *status = json_text(settings, path);

    return status && text_eq_nocase(status, "enabled");
}

static void read_policies(const struct json_object *settings, struct policies *ret)
{
    *ret = (struct policies){
        .is_soft_delete_on = is_on(settings, "policies.softDeletePolicy.status"),
        .is_quarantine_on = is_on(settings, "policies.quarantinePolicy.status"),
        .has_retention = is_on(settings, "policies.retentionPolicy.status"),
        .soft_delete_days =
            json_int(settings, "policies.softDeletePolicy.retentionDays", POLICY_DAYS),
        .retention_days = json_int(settings, "policies.retentionPolicy.days", POLICY_DAYS),
    };
}

static int read_registry(struct load *load, const struct pg_result *r, struct error *err)
{
    struct snapshot *s = load->snapshot;
    _cleanup_(json_putp) struct json_object *settings = NULL;

    if (read_json(r, 0, 1, &settings, err) != 0)
        return -1;
    s->login_server = arena_strdup(s->arena, pg_get_text(r, 0, 0));
    s->is_admin_enabled = json_bool(settings, "adminUserEnabled", false);
    s->is_anonymous_enabled = json_bool(settings, "anonymousPullEnabled", false);
    s->is_abac = text_eq(json_text(settings, "roleAssignmentMode"), "AbacRepositoryPermissions");
    s->storage_limit = json_int(settings, "storageLimitBytes", 0);
    read_policies(settings, &s->policies);
    rates_read(settings, &s->rates);
    s->tenant = arena_strdup(s->arena, json_text(settings, "tenantId"));
    s->issuers = read_list(s->arena, settings, "issuers", "issuer", NULL);
    s->audiences = read_list(s->arena, settings, "audiences", "audience", ACR_AUDIENCE);
    s->network = network_rules_new(settings);
    if (json_bool(settings, "dataEndpointEnabled", false))
        s->data_host = arena_strdup(s->arena, json_text(settings, "dataEndpointHost"));
    return read_keys(load, r, err);
}

static int read_grants(struct snapshot *s, const struct pg_result *r, struct error *err)
{
    s->grants = arena_array(s->arena, pg_rows(r) + 1, sizeof(*s->grants));
    s->grant_count = pg_rows(r);
    for (size_t i = 0; i < s->grant_count; i++) {
        _cleanup_(json_putp) struct json_object *permissions = NULL;
        if (read_json(r, i, 1, &permissions, err) != 0)
            return -1;
        s->grants[i].principal = arena_strdup(s->arena, pg_get_text(r, i, 0));
        scopes_read(s->arena, permissions, &s->grants[i].permissions);
    }
    return 0;
}

static int read_directory_keys(struct snapshot *s, const struct pg_result *r, struct error *err)
{
    s->directory_keys = arena_array(s->arena, pg_rows(r) + 1, sizeof(struct token_key *));
    s->directory_until_us = arena_array(s->arena, pg_rows(r) + 1, sizeof(int64_t));
    for (size_t i = 0; i < pg_rows(r); i++) {
        if (token_key_parse(pg_get_text(r, i, 0), &s->directory_keys[i], err) != 0)
            return wrap(err, "directory key");
        s->directory_until_us[i] = pg_get_time_us(r, i, 1);
        s->directory_key_count++;
    }
    return 0;
}

static int read_version(struct pg_conn *conn, struct arena *a, const char *registry_id,
                        struct version *ret, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &projection_statements[VERSION], &r, err, pg_text(registry_id)) != 0)
        return -1;
    *ret = (struct version){ 0 };
    if (pg_rows(r) == 1)
        *ret = (struct version){ pg_get_text(r, 0, 0), pg_get_int(r, 0, 1) };
    return 0;
}

static int load_rows(struct pg_conn *conn, struct arena *a, struct load *load, struct error *err)
{
    const char *id = load->owner->config.registry_id;
    struct snapshot *s = load->snapshot;
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &projection_statements[REGISTRY], &r, err, pg_text(id)) != 0)
        return -1;
    if (pg_rows(r) == 0)
        return 0;
    if (read_registry(load, r, err) != 0)
        return -1;
    load->is_found = true;
    if (PG_RUN(conn, a, &projection_statements[GRANTS], &r, err, pg_text(id)) != 0 ||
        read_grants(s, r, err) != 0 || PG_RUN0(conn, a, &projection_statements[KEYS], &r, err) != 0)
        return -1;
    return read_directory_keys(s, r, err);
}

/* All as of one moment, however fast it changes meanwhile. */
static int load_all(struct pg_conn *conn, struct arena *a, struct load *load, struct error *err)
{
    const char *id = load->owner->config.registry_id;
    _cleanup_(pg_tx_end) struct pg_tx tx = { 0 };
    struct version version;

    load->is_found = false;
    load->snapshot = snapshot_new(load->owner->serial + 1);
    if (pg_begin(conn, &tx, err) != 0 ||
        PG_QUEUE0(conn, a, &projection_statements[ONE_VIEW], NULL, err) != 0 ||
        read_version(conn, a, id, &version, err) != 0 || load_rows(conn, a, load, err) != 0)
        return -1;
    if (load->is_found)
        load->snapshot->version = arena_strdup(load->snapshot->arena, version.text);
    return pg_commit(&tx, err);
}

/* Compares versions, and loads on a difference. load->snapshot stays NULL when nothing moved. Accounts are
 * compared after the load: with them what the version of the snapshot says has been seen. */
static int load_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct load *load = ctx;
    const struct snapshots *owner = load->owner;

    snapshot_unref(take(load->snapshot)); /* of a run that is repeated */
    if (read_version(conn, a, owner->config.registry_id, &load->version, err) != 0)
        return -1;
    load->is_found = load->version.text != NULL;
    if (!load->is_found)
        return 0;
    bool is_same = owner->current && text_eq(owner->current->version, load->version.text);
    if (is_same && owner->account_changes == load->version.account_changes)
        return 0;
    if (!is_same && load_all(conn, a, load, err) != 0)
        return -1;
    return accounts_compare(owner->config.accounts, conn, a, err);
}

/* --- the holder --------------------------------------------------------------------------------
 */

struct snapshots *snapshots_new(const struct snapshots_config *config)
{
    struct snapshots *s = calloc(1, sizeof(*s));
    if (!s)
        abort();
    s->config = *config;
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_mutex_init(&s->refresh, NULL);
    return s;
}

void snapshots_free(struct snapshots *s)
{
    if (!s)
        return;
    snapshot_unref(s->current);
    (void)pthread_mutex_destroy(&s->lock);
    (void)pthread_mutex_destroy(&s->refresh);
    secret_cleanse(&s->config.service_key, sizeof(s->config.service_key));
    free(s);
}

struct snapshot *snapshots_get(struct snapshots *s, bool *ret_is_fresh)
{
    int64_t now = clock_mono_ms();
    bool is_trusted = atomic_load(&s->is_away) && now - atomic_load(&s->tried_ms) < AWAY_TRUST_MS &&
                      now - atomic_load(&s->checked_ms) < s->config.grace_ms;
    struct snapshot *current = NULL;

    *ret_is_fresh = is_trusted || now - atomic_load(&s->checked_ms) < SNAPSHOT_FRESH_MS;
    (void)pthread_mutex_lock(&s->lock);
    if (s->current && !atomic_load(&s->is_gone))
        current = snapshot_ref(s->current);
    (void)pthread_mutex_unlock(&s->lock);
    return current;
}

uint64_t snapshots_serial(const struct snapshots *s)
{
    return atomic_load(&s->serial);
}

static void swap(struct snapshots *s, struct snapshot *next)
{
    (void)pthread_mutex_lock(&s->lock);
    struct snapshot *old = s->current;
    s->current = next;
    atomic_store(&s->serial, next->serial);
    (void)pthread_mutex_unlock(&s->lock);
    snapshot_unref(old);
}

/* The database could not be asked: go on with what there is for the grace time. One that answers what
 * cannot be read is not away: nobody goes on with what it replaced. */
static int tolerate(struct snapshots *s, const struct error *failure)
{
    int64_t now = clock_mono_ms();
    bool is_away = failure->code == &E_UNAVAILABLE;
    bool is_tolerable = is_away && s->current && !atomic_load(&s->is_gone) &&
                        now - atomic_load(&s->checked_ms) < s->config.grace_ms;

    if (!atomic_exchange(&s->is_away, is_away) && is_away)
        log_failure(LOG_WARN, "projection_away", failure);
    return is_tolerable ? 0 : -1;
}

static int refresh_locked(struct snapshots *s, struct error *err)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct load load = { .owner = s };
    struct error failure = { 0 };
    int64_t started = clock_mono_ms();
    int status = pg_with(s->config.db, a, load_work, &load, &failure);

    atomic_store(&s->tried_ms, clock_mono_ms());
    if (status != 0) {
        snapshot_unref(load.snapshot);
        if (tolerate(s, &failure) == 0)
            return 0;
        *err = failure;
        return -1;
    }
    if (!load.is_found) {
        snapshot_unref(load.snapshot);
        atomic_store(&s->is_gone, true);
        atomic_store(&s->checked_ms, started);
        return fail(err, &E_NOT_FOUND, "The registry is not published in this region.");
    }
    if (load.snapshot)
        swap(s, load.snapshot);
    s->account_changes = load.version.account_changes;
    atomic_store(&s->is_gone, false);
    atomic_store(&s->checked_ms, started);
    if (atomic_exchange(&s->is_away, false))
        log_note(LOG_INFO, "projection_back", "the regional database answers again");
    return 0;
}

int snapshots_refresh(struct snapshots *s, struct error *err)
{
    int64_t asked = clock_mono_ms();
    int status = 0;

    (void)pthread_mutex_lock(&s->refresh);
    /* Somebody else compared while we waited. */
    if (atomic_load(&s->checked_ms) < asked || atomic_load(&s->is_gone))
        status = refresh_locked(s, err);
    (void)pthread_mutex_unlock(&s->refresh);
    return status;
}

/* --- look-ups ----------------------------------------------------------------------------------
 */

const struct grant *snapshot_grant(const struct snapshot *s, const char *principal)
{
    size_t low = 0, high = s->grant_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(s->grants[middle].principal, principal);
        if (order == 0)
            return &s->grants[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

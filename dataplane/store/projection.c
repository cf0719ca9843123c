/* Rows of the region's database made into a snapshot. */
#include "dataplane/store/projection.h"

#include <stdatomic.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/json/json.h"
#include "common/network/rules.h"
#include "common/pg/pg.h"
#include "dataplane/store/content.h"
#include "dataplane/store/snapshot.h"

#define SETTINGS_MAX  ((size_t)1024 * 1024)
#define ACR_AUDIENCE  "https://containerregistry.azure.net"
#define LINK_PURPOSE  "portolan data link 1"
#define POLICY_DAYS   7
#define NO_GENERATION (-1)

enum { LOOK, ONE_VIEW, GRANTS, DIRECTORY };

/* Columns of LOOK. */
enum { GENERATION, GRANTS_VERSION, KEYS, CHANGES, MOVED, SERVER, SETTINGS, SIGNING_KEY, DATA_KEY, EPOCH };

#define IF_MOVED(column) "case when m.moved then r." column " end"

const struct pg_stmt projection_statements[] = {
    /* Keys of the directory are not the registry's, so its generation does not move with them. */
    [LOOK] = { "projection_look",
               "select r.generation, r.grants_version::text, k.keys, coalesce((select sum(count) from "
               "account_changes where registry_id = $1), 0)::int8, m.moved, "
               IF_MOVED("login_server") ", " IF_MOVED("settings") ", "
               IF_MOVED("wrapped_signing_key") ", " IF_MOVED("wrapped_data_key") ", "
               IF_MOVED("data_key_epoch") " from registries r cross join (select coalesce("
               "string_agg(kid || ' ' || extract(epoch from verifies_until), ' ' order by kid), '') "
               "as keys from directory_keys) k cross join lateral (select r.generation <> $2 or "
               "k.keys <> $3 as moved) m where r.id = $1",
               "uuid int8 text" },
    [ONE_VIEW] = { "projection_view", "set transaction isolation level repeatable read, read only",
                   "" },
    [GRANTS] = { "projection_grants",
                 "select principal_id, permissions from grants where registry_id = $1 "
                 "order by principal_id::text collate \"C\"",
                 "uuid" },
    [DIRECTORY] = { "projection_directory",
                    "select public_pem, verifies_until from directory_keys "
                    "where verifies_until > now() order by kid",
                    "" },
    { 0 },
};

/* --- parts -------------------------------------------------------------------------------------
 */

struct snapshot_part {
    _Atomic int refs;
    struct arena *arena; /* owns what hangs on it */
    const char *version; /* the same as long as nothing of it changes */
};

static struct snapshot_part *part_new(const char *version)
{
    struct snapshot_part *part = calloc(1, sizeof(*part));
    if (!part)
        abort();
    atomic_init(&part->refs, 1);
    part->arena = arena_new();
    part->version = arena_strdup(part->arena, version);
    return part;
}

void part_unref(struct snapshot_part *part)
{
    if (!part || atomic_fetch_sub(&part->refs, 1) != 1)
        return;
    arena_free(part->arena);
    free(part);
}

static bool is_same(const struct snapshot *known, size_t part, const char *version)
{
    return known && text_eq(known->parts[part]->version, version);
}

static void share(struct snapshot *s, const struct snapshot *known, size_t part)
{
    s->parts[part] = known->parts[part];
    atomic_fetch_add(&s->parts[part]->refs, 1);
}

static void free_key(void *key)
{
    token_key_free(key);
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

static int unwrap(struct arena *scratch, const struct snapshots_config *config, const char *name,
                  const char *wrapped, uint8_t **ret, size_t *ret_len, struct error *err)
{
    const char *context = arena_printf(scratch, "registry/%s/%s", config->registry_id, name);

    if (secret_unwrap(scratch, &config->service_key, context, wrapped, ret, ret_len, err) != 0)
        return wrap(err, "%s", name);
    return 0;
}

static int open_keys(struct snapshot *s, const struct snapshots_config *config, const struct pg_result *r,
                     struct error *err)
{
    _cleanup_(arena_freep) struct arena *scratch = arena_new();
    uint8_t *secret = NULL;
    size_t len = 0;

    if (unwrap(scratch, config, "signing-key", pg_get_text(r, 0, SIGNING_KEY), &secret, &len, err) != 0)
        return -1;
    char *pem = arena_strndup(scratch, (const char *)secret, len);
    int status = token_key_parse(pem, &s->key, err);
    if (status == 0)
        arena_defer(s->parts[PART_KEYS]->arena, free_key, s->key);
    hmac_sha256(pem, len, LINK_PURPOSE, strlen(LINK_PURPOSE), s->link_key);
    secret_cleanse(pem, len);
    secret_cleanse(secret, len);
    if (status != 0)
        return wrap(err, "signing key");
    if (unwrap(scratch, config, "data-key", pg_get_text(r, 0, DATA_KEY), &secret, &len, err) != 0)
        return -1;
    if (len != SEAL_KEY_BYTES) {
        secret_cleanse(secret, len);
        return fail_cause(err, &E_INTERNAL, "the data key has %zu bytes", len);
    }
    memcpy(s->data_key, secret, SEAL_KEY_BYTES);
    secret_cleanse(secret, len);
    return 0;
}

static int read_keys(struct snapshot *s, const struct projection *p, const struct pg_result *r,
                     struct error *err)
{
    const char *version = arena_printf(s->arena, "%s %s", pg_get_text(r, 0, SIGNING_KEY),
                                       pg_get_text(r, 0, DATA_KEY));

    s->data_key_epoch = (uint32_t)pg_get_int(r, 0, EPOCH);
    if (!is_same(p->known, PART_KEYS, version)) {
        s->parts[PART_KEYS] = part_new(version);
        return open_keys(s, p->config, r, err);
    }
    share(s, p->known, PART_KEYS);
    s->key = p->known->key;
    memcpy(s->link_key, p->known->link_key, sizeof(s->link_key));
    memcpy(s->data_key, p->known->data_key, sizeof(s->data_key));
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

static int read_settings(struct snapshot *s, const struct pg_result *r, struct error *err)
{
    _cleanup_(json_putp) struct json_object *settings = NULL;

    if (read_json(r, 0, SETTINGS, &settings, err) != 0)
        return -1;
    s->login_server = arena_strdup(s->arena, pg_get_text(r, 0, SERVER));
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
    return 0;
}

static int read_grants(struct snapshot *s, const struct pg_result *r, struct error *err)
{
    struct arena *a = s->parts[PART_GRANTS]->arena;

    s->grants = arena_array(a, pg_rows(r) + 1, sizeof(*s->grants));
    s->grant_count = pg_rows(r);
    for (size_t i = 0; i < s->grant_count; i++) {
        _cleanup_(json_putp) struct json_object *permissions = NULL;
        if (read_json(r, i, 1, &permissions, err) != 0)
            return -1;
        s->grants[i].principal = arena_strdup(a, pg_get_text(r, i, 0));
        scopes_read(a, permissions, &s->grants[i].permissions);
    }
    return 0;
}

static int read_directory(struct snapshot *s, const struct pg_result *r, struct error *err)
{
    struct arena *a = s->parts[PART_DIRECTORY]->arena;

    s->directory_keys = arena_array(a, pg_rows(r) + 1, sizeof(struct token_key *));
    s->directory_until_us = arena_array(a, pg_rows(r) + 1, sizeof(int64_t));
    for (size_t i = 0; i < pg_rows(r); i++) {
        if (token_key_parse(pg_get_text(r, i, 0), &s->directory_keys[i], err) != 0)
            return wrap(err, "directory key");
        arena_defer(a, free_key, s->directory_keys[i]);
        s->directory_until_us[i] = pg_get_time_us(r, i, 1);
        s->directory_key_count++;
    }
    return 0;
}

/* --- looking -----------------------------------------------------------------------------------
 */

/* The answers of one moment; grants and directory are NULL where they are known. */
struct answers {
    struct pg_result *look, *grants, *directory;
};

static int make(struct projection *p, const struct answers *got, struct error *err)
{
    struct snapshot *s = p->next = snapshot_new(p->serial);

    s->generation = pg_get_int(got->look, 0, GENERATION);
    if (got->grants)
        s->parts[PART_GRANTS] = part_new(pg_get_text(got->look, 0, GRANTS_VERSION));
    else
        share(s, p->known, PART_GRANTS);
    if (got->directory)
        s->parts[PART_DIRECTORY] = part_new(pg_get_text(got->look, 0, KEYS));
    else
        share(s, p->known, PART_DIRECTORY);
    if (read_settings(s, got->look, err) != 0 || read_keys(s, p, got->look, err) != 0)
        return -1;
    if (!got->grants) {
        s->grants = p->known->grants;
        s->grant_count = p->known->grant_count;
    } else if (read_grants(s, got->grants, err) != 0) {
        return -1;
    }
    if (got->directory)
        return read_directory(s, got->directory, err);
    s->directory_keys = p->known->directory_keys;
    s->directory_until_us = p->known->directory_until_us;
    s->directory_key_count = p->known->directory_key_count;
    return 0;
}

static void see(struct projection *p, const struct pg_result *look)
{
    p->is_found = pg_rows(look) == 1;
    if (p->is_found)
        p->account_changes = pg_get_int(look, 0, CHANGES);
}

/* All as of one moment, however fast it changes meanwhile; one round trip. */
static int look_at_all(struct pg_conn *conn, struct arena *a, struct projection *p, struct error *err)
{
    const struct pg_stmt *statements = projection_statements;
    struct pg_arg id = pg_text(p->config->registry_id);
    _cleanup_(pg_tx_end) struct pg_tx tx = { 0 };
    struct answers got = { 0 };

    if (pg_begin(conn, &tx, err) != 0 ||
        PG_QUEUE0(conn, a, &statements[ONE_VIEW], NULL, err) != 0 ||
        PG_QUEUE(conn, a, &statements[LOOK], &got.look, err, id, pg_int(NO_GENERATION), pg_text("")) != 0 ||
        PG_QUEUE(conn, a, &statements[GRANTS], &got.grants, err, id) != 0 ||
        PG_QUEUE0(conn, a, &statements[DIRECTORY], &got.directory, err) != 0 || pg_commit(&tx, err) != 0)
        return -1;
    see(p, got.look);
    return p->is_found ? make(p, &got, err) : 0;
}

int projection_look(struct pg_conn *conn, struct arena *a, struct projection *p, struct error *err)
{
    const struct snapshot *known = p->known;
    struct answers got = { 0 };

    p->next = NULL;
    if (PG_RUN(conn, a, &projection_statements[LOOK], &got.look, err, pg_text(p->config->registry_id),
               pg_int(known ? known->generation : NO_GENERATION),
               pg_text(known ? known->parts[PART_DIRECTORY]->version : "")) != 0)
        return -1;
    see(p, got.look);
    if (!p->is_found || !pg_get_bool(got.look, 0, MOVED))
        return 0;
    if (is_same(known, PART_GRANTS, pg_get_text(got.look, 0, GRANTS_VERSION)) &&
        is_same(known, PART_DIRECTORY, pg_get_text(got.look, 0, KEYS)))
        return make(p, &got, err);
    return look_at_all(conn, a, p, err);
}

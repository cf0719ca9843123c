/* What follows in the database from a row's coming, changing and going, also for rows that were there before
 * one trigger stood for all of it; and that rows which nothing follows from do not pay for the others. */
/* links: portolan_pg portolan_test_support */
#include "common/pg/migrate.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/pg/pg.h"
#include "tests/support/postgres.h"

/* Last: it defines a macro named fail. */
#include <cmocka.h>

#define MIGRATIONS SOURCE_DIR "/migrations/control"
#define ONE_TRIGGER "0022_" /* the first migration that the older database does not have */

static struct test_postgres *server;
static struct arena *arena;
static struct pg_pool *pool;
static struct pg_conn *conn;

/* `run` happens, then `ask` answers `want`; either may be NULL. */
struct fact {
    const char *run, *ask, *want;
};

/* put(), change(), drop() name rows by one letter or word: its uid is made of it. */
static const char *const helpers[] = {
    "insert into tenants values ('10000000-0000-4000-8000-000000000001', 't', 'd', now())",
    "insert into subscriptions (id, tenant_id, display_name) values "
    "('20000000-0000-4000-8000-000000000001', '10000000-0000-4000-8000-000000000001', 's')",
    "create function u(name text) returns uuid language sql immutable as $$ select md5(name)::uuid $$",
    "create function put(type text, name text, parent text, body jsonb) returns void language sql as $$ "
    "insert into resources (uid, key, id, type_key, name, subscription_id, group_key, parent_uid, location, "
    "global_name, body, state) values (u(name), '/' || name, '/' || name, type, name, "
    "'20000000-0000-4000-8000-000000000001', 'g', u(parent), 'eastus', name, body, 'Succeeded') $$",
    "create function used(parent text, kind text) returns text language sql as $$ "
    "select sum(used)::text from usage_counters c where owner_uid = u($1) and c.kind = $2 $$",
    "create function shown(name text, path text) returns text language sql as $$ "
    "select projected #>> ('{properties,' || path || '}')::text[] from resources where uid = u($1) $$",
    "create function principals_of(name text) returns text language sql as $$ "
    "select count(*)::text from principals where object_id = u($1) $$",
    /* What stands at and below a row. */
    "create function stand_on(name text) returns void language sql as $$ "
    "insert into locks select '/' || $1 || x, 'l', '', 'l', '10000000-0000-4000-8000-000000000001', "
    "'ReadOnly', null from unnest(array['', '/below', '0beside']) x; "
    "insert into role_assignments (id, scope, scope_key, tenant_id, role_definition_id, principal_id, "
    "principal_type, created_by, updated_by) select u(x), '', '/' || $1 || x, "
    "'10000000-0000-4000-8000-000000000001', u('role'), u('who'), 'User', '', '' "
    "from unnest(array['', '/below', '0beside']) x; "
    "insert into diagnostic_settings values ('/' || $1, 'd', '', 'd', "
    "'10000000-0000-4000-8000-000000000001', '{}') $$",
    "create function standing_on(name text) returns text language sql as $$ "
    "select (select count(*) from locks where starts_with(scope_key, '/' || $1)) || ' ' || "
    "(select count(*) from role_assignments where starts_with(scope_key, '/' || $1)) || ' ' || "
    "(select count(*) from diagnostic_settings where starts_with(scope_key, '/' || $1)) $$",
};

#define REGISTRY "microsoft.containerregistry/registries"
#define MAPS REGISTRY "/scopemaps"
#define CONNECTIONS REGISTRY "/privateendpointconnections"
#define NETWORKS "microsoft.network/virtualnetworks"
#define PEERINGS NETWORKS "/virtualnetworkpeerings"
#define ZONES "microsoft.network/privatednszones"
#define IDENTITIES "microsoft.managedidentity/userassignedidentities"
#define CREDENTIALS IDENTITIES "/federatedidentitycredentials"
#define SUBJECT(x) "'{\"properties\": {\"issuer\": \"i\", \"subject\": \"" x "\", \"audiences\": [\"a\"]}}'"
#define SYSTEM "'{\"identity\": {\"type\": \"SystemAssigned\"}}'"
#define USER "'{\"identity\": {\"type\": \"UserAssigned\"}}'"
#define TO(network)                                                                                \
    "'{\"properties\": {\"remoteVirtualNetwork\": {\"id\": \"/" network "\"}}}'"
#define PUT(type, name, parent, body) "select put('" type "', '" name "', " parent ", " body ")"
#define DROP(name) "delete from resources where uid = u('" name "')"
#define CONNECTION_IS(state)                                                                       \
    "update resources set body = '{\"properties\": {\"privateLinkServiceConnectionState\": "       \
    "{\"status\": \"" state "\"}}}' where uid = u('connection')"

static const struct fact before[] = {
    { PUT(REGISTRY, "registry", "null", SYSTEM), "select principals_of('registry')", "1" },
    { PUT(MAPS, "oldmap", "'registry'", "'{}'"), "select used('registry', '" MAPS "')", "1" },
    { PUT(IDENTITIES, "oldidentity", "null", "'{}'"), "select principals_of('oldidentity')", "1" },
    { PUT("microsoft.keyvault/vaults", "oldvault", "null", "'{}'"), NULL, NULL },
    { PUT(NETWORKS, "oldnet", "null", "'{}'"), NULL, NULL },
    { PUT(PEERINGS, "oldpeering", "'oldnet'", TO("newnet")), "select shown('oldpeering', 'peeringState')",
      "Initiated" },
    { "select stand_on('oldmap')", "select standing_on('oldmap')", "3 3 1" },
    { 0 },
};

static const struct fact after[] = {
    /* Counters. */
    { NULL, "select used('registry', '" MAPS "')", "1" },
    { PUT(MAPS, "newmap", "'registry'", "'{}'"), "select used('registry', '" MAPS "')", "2" },
    { "update resources set is_system = true where uid = u('newmap')", NULL, NULL },
    { DROP("newmap"), "select used('registry', '" MAPS "')", "2" },
    { DROP("oldmap"), "select used('registry', '" MAPS "')", "1" },
    { NULL, "select standing_on('oldmap')", "1 1 0" },
    /* Identities. */
    { "update resources set body = " USER " where uid = u('registry')", "select principals_of('registry')",
      "0" },
    { "update resources set body = " SYSTEM " where uid = u('registry')",
      "select principals_of('registry')", "1" },
    { "insert into role_assignments (id, scope, scope_key, tenant_id, role_definition_id, principal_id, "
      "principal_type, created_by, updated_by) values (u('x'), '', '/elsewhere', "
      "'10000000-0000-4000-8000-000000000001', u('role'), u('registry'), 'ServicePrincipal', '', '')",
      NULL, NULL },
    { "update resources set tags = '{\"a\": \"b\"}' where uid = u('registry')",
      "select count(*)::text from role_assignments where principal_id = u('registry')", "1" },
    { "update resources set body = '{}' where uid = u('registry')",
      "select count(*)::text from role_assignments where principal_id = u('registry')", "0" },
    { NULL, "select principals_of('registry')", "0" },
    { DROP("oldidentity"), "select principals_of('oldidentity')", "0" },
    { PUT(IDENTITIES, "identity", "null", "'{}'"), "select principals_of('identity')", "1" },
    { PUT(CREDENTIALS, "credential", "'identity'", SUBJECT("old")),
      "select subject from federated_credentials where owner_id = u('identity')", "old" },
    { "update resources set body = " SUBJECT("new") " where uid = u('credential')",
      "select subject from federated_credentials where id = u('credential')", "new" },
    { DROP("credential"), "select count(*)::text from federated_credentials", "0" },
    { DROP("identity"), "select principals_of('identity')", "0" },
    { PUT("some/sites", "site", "null", SYSTEM), "select principals_of('site')", "1" },
    { DROP("site"), "select principals_of('site')", "0" },
    { PUT("some/sites", "site", "null", USER), "select principals_of('site')", "0" },
    /* Vaults. */
    { DROP("oldvault"), "select id from deleted_vaults where uid = u('oldvault')", "/oldvault" },
    /* Archives show their registry's label. */
    { PUT(REGISTRY "/packages", "package", "'registry'", "'{}'"), NULL, NULL },
    { PUT(REGISTRY "/packages/archives", "archive", "'package'", "'{}'"),
      "select shown('archive', 'registryLabel')", "registry" },
    /* Networks, with what stands below them. */
    { PUT(NETWORKS, "newnet", "null", "'{}'"), NULL, NULL },
    { PUT(PEERINGS, "newpeering", "'newnet'", TO("oldnet")), "select shown('newpeering', 'peeringState')",
      "Connected" },
    { NULL, "select shown('oldpeering', 'peeringState')", "Connected" },
    { NULL, "select shown('oldnet', 'virtualNetworkPeerings,0,properties,peeringState')", "Connected" },
    { "update resources set body = " TO("nowhere") " where uid = u('newpeering')",
      "select shown('newpeering', 'peeringState')", "Initiated" },
    { "update resources set body = " TO("oldnet") " where uid = u('newpeering')",
      "select shown('newpeering', 'peeringState')", "Connected" },
    { DROP("newpeering"), "select shown('oldpeering', 'peeringState')", "Disconnected" },
    { PUT(NETWORKS "/subnets", "subnet", "'oldnet'", "'{}'"), "select shown('oldnet', 'subnets,0,name')",
      "subnet" },
    { "update resources set projected = '{\"properties\": {\"a\": \"b\"}}' where uid = u('subnet')",
      "select shown('oldnet', 'subnets,0,properties,a')", "b" },
    { "update resources set state = 'Deleting' where uid = u('subnet')",
      "select shown('oldnet', 'subnets')", "[]" },
    { "update resources set state = 'Succeeded' where uid = u('subnet')",
      "select shown('oldnet', 'subnets,0,name')", "subnet" },
    { DROP("subnet"), "select shown('oldnet', 'subnets')", "[]" },
    { PUT(ZONES, "zone", "null", "'{}'"), NULL, NULL },
    { PUT(ZONES "/a", "record", "'zone'", "'{}'"), "select shown('zone', 'numberOfRecordSets')", "1" },
    { PUT(ZONES "/virtualnetworklinks", "link", "'zone'", "'{}'"),
      "select shown('zone', 'numberOfVirtualNetworkLinksWithRegistration')", "0" },
    { "update resources set body = '{\"properties\": {\"registrationEnabled\": true}}' "
      "where uid = u('link')",
      "select shown('zone', 'numberOfVirtualNetworkLinksWithRegistration')", "1" },
    { DROP("record"), "select shown('zone', 'numberOfRecordSets')", "0" },
    /* Both sides of a private endpoint. */
    { PUT("microsoft.network/privateendpoints", "endpoint", "null", "'{}'"), NULL, NULL },
    { "insert into private_links (link, endpoint_uid, registry_uid, state) values "
      "(u('connection'), u('endpoint'), u('registry'), 'Pending')",
      "select shown('endpoint', 'connectionState,status')", "Pending" },
    { PUT(CONNECTIONS, "connection", "'registry'",
          "'{\"properties\": {\"privateLinkServiceConnectionState\": {\"status\": \"Pending\"}}}'"),
      "select shown('registry', 'privateEndpointConnections,0,name')", "connection" },
    { CONNECTION_IS("Approved"), "select state from private_links where link = u('connection')",
      "Approved" },
    { "update resources set generation = 7 where uid = u('registry')", NULL, NULL },
    { CONNECTION_IS("Rejected"), "select generation::text from resources where uid = u('registry')", "8" },
    { "update resources set status = '{\"a\": 1}' where uid = u('connection')",
      "select generation::text from resources where uid = u('registry')", "8" },
    { "update resources set state = 'Deleting' where uid = u('connection')",
      "select state from private_links where link = u('connection')", "Disconnected" },
    { "update resources set state = 'Deleting' where uid = u('endpoint')",
      "select count(*)::text from private_links", "0" },
    { NULL, "select count(*)::text from resources where uid = u('connection')", "0" },
    { 0 },
};

/* Row triggers that a statement of a PUT makes the server look at, and how many of them have a condition. */
#define LOOKED_AT(event)                                                                           \
    "select count(*) || ' ' || count(tgqual) from pg_trigger t where tgrelid = 'resources'::regclass " \
    "and not tgisinternal and tgtype::int & 1 = 1 and tgtype::int & " event " > 0 "               \
    "and (tgattr = '' or exists (select 1 from pg_attribute c where c.attrelid = t.tgrelid "       \
    "and c.attnum = any (tgattr) and c.attname in ('tags', 'body', 'system_data', 'state', "       \
    "'generation', 'observed_generation', 'not_before', 'attempts', 'step', 'updated_at')))"
#define CHECKS_OF(table)                                                                           \
    "select count(*)::text from pg_constraint where contype = 'c' and conrelid = '" table "'::regclass"

static const struct fact shape[] = {
    { NULL, LOOKED_AT("4 /* insert */"), "1 0" },
    { NULL, LOOKED_AT("16 /* update */"), "1 1" },
    { NULL, LOOKED_AT("8 /* delete */"), "1 0" },
    { NULL, CHECKS_OF("resources"), "1" },
    { NULL, CHECKS_OF("operations"), "1" },
    { NULL, CHECKS_OF("events"), "0" },
    { NULL, CHECKS_OF("usage_counters"), "0" },
    { 0 },
};

static struct pg_result *run(const char *text)
{
    static int number;
    struct pg_stmt stmt = { arena_printf(arena, "t%d", ++number), text, "" };
    struct pg_result *r = NULL;
    struct error err;

    if (PG_RUN0(conn, arena, &stmt, &r, &err))
        fail_msg("%s: %s", text, err.cause);
    return r;
}

static void hold_true(const struct fact *facts)
{
    for (const struct fact *x = facts; x->run || x->ask; x++) {
        const char *got;

        if (x->run)
            (void)run(x->run);
        if (!x->ask)
            continue;
        got = pg_get_text(run(x->ask), 0, 0);
        if (!got || strcmp(got, x->want) != 0)
            fail_msg("%s%s%s: %s instead of %s", x->run ? x->run : "", x->run ? "; " : "", x->ask,
                     got ? got : "nothing", x->want);
    }
}

static void migrate(const char *conninfo, const char *dir)
{
    struct error err;
    int applied;

    if (pg_migrate(conninfo, dir, &applied, &err))
        fail_msg("%s: %s", dir, err.cause);
    assert_true(applied > 0);
}

/* The migrations as they were before: links to the files. */
static void make_older(const char *dir)
{
    DIR *all = opendir(MIGRATIONS);
    const struct dirent *e;

    assert_non_null(all);
    while ((e = readdir(all))) {
        if (e->d_name[0] != '.' && strcmp(e->d_name, ONE_TRIGGER) < 0)
            assert_int_equal(symlink(arena_printf(arena, "%s/%s", MIGRATIONS, e->d_name),
                                     arena_printf(arena, "%s/%s", dir, e->d_name)),
                             0);
    }
    (void)closedir(all);
}

static int start(void **state)
{
    char dir[] = "/tmp/portolan-older-XXXXXX";
    struct pg_pool_config config = { 0 };
    struct error err;

    (void)state;
    arena = arena_new();
    server = test_postgres_new(NULL);
    config.conninfo = arena_strdup(arena, test_postgres_conninfo(server, "control"));
    if (!mkdtemp(dir))
        return -1;
    make_older(dir);
    migrate(config.conninfo, dir);
    if (file_remove_tree(dir, &err))
        return -1;
    pool = pg_pool_new(&config);
    if (pg_acquire(pool, &conn, &err))
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(helpers); i++)
        (void)run(helpers[i]);
    hold_true(before);
    migrate(config.conninfo, MIGRATIONS);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    pg_release(conn);
    pg_pool_free(pool);
    test_postgres_free(server);
    arena_free(arena);
    return 0;
}

static void test_follow_ups(void **state)
{
    (void)state;
    hold_true(after);
}

static void test_shape(void **state)
{
    (void)state;
    hold_true(shape);
}

static void test_states_are_known(void **state)
{
    static const struct pg_stmt odd = { "odd", "update resources set state = 'Succeeded or so'", "" };
    static const struct pg_stmt open_odd = {
        "open_odd", "insert into operations (id, tenant_id, subscription_id, resource_uid, resource_id, "
                    "resource_key, type_key, verb, generation, status) values (u('o'), u('t'), u('s'), "
                    "u('r'), '', '', '', 'PUT', 1, 'NotCreating')", ""
    };
    struct error err;

    (void)state;
    assert_int_equal(PG_RUN0(conn, arena, &odd, NULL, &err), -1);
    assert_string_equal(err.target, "resources_state_check");
    assert_int_equal(PG_RUN0(conn, arena, &open_odd, NULL, &err), -1);
    assert_string_equal(err.target, "operations_status_check");
}

/* What the server says it ran for a statement: a line for each trigger that fired. */
static size_t fired(const char *statement)
{
    struct pg_result *r = run(arena_printf(arena, "explain (analyze, costs off) %s", statement));
    size_t n = 0;

    for (size_t i = 0; i < pg_rows(r); i++)
        n += strncmp(pg_get_text(r, i, 0), "Trigger ", 8) == 0;
    return n;
}

/* A plain row: its counter, and its two references, when it comes; nothing when it changes. */
static void test_plain_rows_run_nothing(void **state)
{
    (void)state;
    assert_int_equal(fired("insert into resources (uid, key, id, type_key, name, subscription_id, "
                           "parent_uid, state) values (u('plain'), '/plain', '/plain', '" MAPS "', 'plain', "
                           "'20000000-0000-4000-8000-000000000001', u('registry'), 'Succeeded')"),
                     3);
    assert_int_equal(fired("update resources set body = '{\"a\": 1}', state = 'Succeeded' "
                           "where uid = u('plain')"),
                     0);
    assert_int_equal(fired("update resources set body = '{\"a\": 1}', state = 'Succeeded' "
                           "where uid = u('zone')"),
                     1);
}

static void test_networks_are_told(void **state)
{
    struct pg_listener *l = NULL;
    const char *payload = NULL;
    const char *const heard[] = {
        PUT(NETWORKS, "told", "null", "'{}'"),
        "update resources set body = '{\"a\": 1}' where uid = u('told')",
        DROP("told"),
    };
    struct error err;

    (void)state;
    assert_int_equal(pg_listener_new(test_postgres_conninfo(server, "control"), "portolan_network", &l, &err),
                     0);
    assert_int_equal(pg_listener_wait(l, arena, -1, 0, &payload, &err), 0);
    for (size_t i = 0; i < ARRAY_LEN(heard); i++) {
        (void)run(heard[i]);
        assert_int_equal(pg_listener_wait(l, arena, -1, 5000, &payload, &err), 1);
    }
    pg_listener_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_follow_ups),
        cmocka_unit_test(test_shape),
        cmocka_unit_test(test_states_are_known),
        cmocka_unit_test(test_plain_rows_run_nothing),
        cmocka_unit_test(test_networks_are_told),
    };

    return cmocka_run_group_tests(tests, start, stop);
}

/* Every statement of every control store table is prepared by a real server against the fully
 * migrated database: columns exist, parameter types are as declared. */
/* links: portolan_control portolan_test_support */
#include "controlplane/store/statements.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/pg/migrate.h"
#include "common/pg/pg.h"
#include "tests/support/postgres.h"

#include "controlplane/store/identity.h"

#include <cmocka.h>

static const struct {
    const char *name;
    const struct pg_stmt *statements;
} tables[] = {
    { "state", state_statements },
    { "resources", resources_statements },
    { "resources_write", resources_write_statements },
    { "resource pages", resource_pages_statements },
    { "related", related_statements },
    { "webhook_events", webhook_events_statements },
    { "secrets", secrets_statements },
    { "operations", operations_statements },
    { "subscriptions", subscriptions_statements },
    { "leases", lease_statements },
    { "placements", placement_statements },
    { "regions", region_statements },
    { "attached", attached_statements },
    { "network_rules", network_rules_statements },
    { "identity", identity_statements },
    { "deployments", deployment_statements },
    { "deployment_runs", deployment_run_statements },
    { "stacks", stack_statements },
    { "authorization", authorization_statements },
    { "directory", directory_statements },
    { "credentials", credential_statements },
    { "providers", provider_statements },
    { "vaults", vault_statements },
    { "vault_rotation", vault_rotation_statements },
    { "insights", insights_statements },
    { "moves", move_statements },
    { "network", network_statements },
};

static struct test_postgres *server;
static char *conninfo;

static int start(void **state)
{
    int applied = 0;
    struct error err;

    (void)state;
    server = test_postgres_new(NULL);
    conninfo = strdup(test_postgres_conninfo(server, "control"));
    if (pg_migrate(conninfo, SOURCE_DIR "/migrations/control", &applied, &err))
        fail_msg("%s (%s)", err.message, err.cause);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    free(conninfo);
    test_postgres_free(server);
    return 0;
}

static void test_statements(void **state)
{
    const struct pg_pool_config config = { .conninfo = conninfo };
    struct pg_pool *pool = pg_pool_new(&config);
    struct pg_conn *conn = NULL;
    struct error err;

    (void)state;
    assert_int_equal(pg_acquire(pool, &conn, &err), 0);
    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        for (const struct pg_stmt *s = tables[i].statements; s->name; s++) {
            if (pg_describe(conn, s, &err))
                fail_msg("%s: %s: %s (%s)", tables[i].name, s->name, err.message, err.cause);
        }
    }
    pg_release(conn);
    pg_pool_free(pool);
}

/* Names are the prepared statements' names: two with one name would run each other's text. */
static void test_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        for (const struct pg_stmt *s = tables[i].statements; s->name; s++) {
            size_t same = 0;

            for (size_t j = 0; j < ARRAY_LEN(tables); j++) {
                for (const struct pg_stmt *t = tables[j].statements; t->name; t++)
                    same += strcmp(s->name, t->name) == 0;
            }
            if (same != 1)
                fail_msg("statement '%s' occurs %zu times", s->name, same);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statements),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, start, stop);
}

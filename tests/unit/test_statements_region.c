/* Every statement of every regional store table is prepared by a real server against the fully
 * migrated database; a registry with content can be deleted in one statement. */
/* links: portolan_data portolan_test_support */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/pg/migrate.h"
#include "common/pg/pg.h"
#include "dataplane/store/content.h"
#include "tests/support/postgres.h"

#include <cmocka.h>

static struct test_postgres *server;
static struct pg_pool *pool;

static int start(void **state)
{
    int applied = 0;
    struct error err = { 0 };

    (void)state;
    server = test_postgres_new(NULL);
    if (pg_migrate(test_postgres_conninfo(server, "region"), SOURCE_DIR "/migrations/region",
                   &applied, &err) != 0)
        fail_msg("%s (%s)", err.message, err.cause);
    const struct pg_pool_config config = { .conninfo = test_postgres_conninfo(server, "region") };
    pool = pg_pool_new(&config);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    pg_pool_free(pool);
    test_postgres_free(server);
    return 0;
}

static void test_statements(void **state)
{
    struct pg_conn *conn = NULL;
    struct error err = { 0 };
    size_t count = 0;

    (void)state;
    assert_int_equal(pg_acquire(pool, &conn, &err), 0);
    for (size_t i = 0; region_statements[i]; i++) {
        for (const struct pg_stmt *s = region_statements[i]; s->name; s++, count++) {
            if (pg_describe(conn, s, &err) != 0)
                fail_msg("%s: %s", s->name, err.cause);
        }
    }
    assert_true(count > 50);
    pg_release(conn);
}

#define REGISTRY "'6f1c7a52-0d3c-4a3a-9a59-0b1f4f0f8a11'"

static void test_registry_deletion(void **state)
{
    static const struct pg_stmt steps[] = {
        { "t1",
          "insert into registries (id, name, login_server, resource_generation, settings, "
          "wrapped_signing_key, wrapped_data_key) values (" REGISTRY ", 'a', 'a', 1, '{}', "
          "'', '')",
          "" },
        { "t2", "insert into repositories (registry_id, name) values (" REGISTRY ", 'r')", "" },
        { "t3", "insert into blobs (registry_id, digest, size) values (" REGISTRY ", '\\x01', 1)",
          "" },
        { "t4",
          "insert into repository_blobs (repository_id, blob_id) select r.id, b.id from "
          "repositories r, blobs b",
          "" },
        { "t5",
          "insert into manifests (repository_id, digest, media_type, payload, image_size, "
          "clock, origin) select id, '\\x01', 'a', 'b', 1, 1, '' from repositories",
          "" },
        { "t6", "insert into manifest_blobs select m.id, b.id from manifests m, blobs b", "" },
        { "t7", "insert into manifest_children select m.id, m.id from manifests m", "" },
        { "t8",
          "insert into tags (repository_id, name, manifest_id, clock, origin) "
          "select repository_id, 't', id, 1, '' from manifests",
          "" },
        { "t9", "delete from registries", "" },
    };
    static const struct pg_stmt count = { "t10", "select count(*) from blobs", "" };
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct pg_conn *conn = NULL;
    struct pg_result *r = NULL;
    struct error err = { 0 };

    (void)state;
    assert_int_equal(pg_acquire(pool, &conn, &err), 0);
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        if (PG_RUN0(conn, a, &steps[i], NULL, &err) != 0)
            fail_msg("%s: %s", steps[i].name, err.cause);
    }
    assert_int_equal(PG_RUN0(conn, a, &count, &r, &err), 0);
    assert_int_equal(pg_get_int(r, 0, 0), 0);
    pg_release(conn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statements),
        cmocka_unit_test(test_registry_deletion),
    };
    return cmocka_run_group_tests(tests, start, stop);
}

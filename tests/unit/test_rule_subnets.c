/* Which registries name a subnet, or any of a network: found by an index, however many there are. */
/* links: portolan_control portolan_test_support */
#include "controlplane/store/network_rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/pg/migrate.h"
#include "common/pg/pg.h"
#include "controlplane/store/resources.h"
#include "controlplane/store/statements.h"
#include "tests/support/postgres.h"

/* Last: it defines a macro named fail. */
#include <cmocka.h>

#define REGISTRIES 3000

static struct test_postgres *server;
static struct arena *arena;
static struct pg_pool *pool;
static struct pg_conn *conn;

enum { TENANT, SUBSCRIPTION, MANY, OTHERS, ANALYZE, UID, REMOVE };

static const struct pg_stmt statements[] = {
    [TENANT] = { "t_tenant",
                 "insert into tenants (id, display_name, default_domain)"
                 " values (md5('t')::uuid, 't', 'd')",
                 "" },
    [SUBSCRIPTION] = { "t_subscription",
                       "insert into subscriptions (id, tenant_id, display_name)"
                       " values (md5('s')::uuid, md5('t')::uuid, 's')",
                       "" },
    [MANY] = { "t_many",
               "insert into resources (uid, key, id, type_key, name, subscription_id, group_key,"
               " location, global_name, body, state) select md5(i::text)::uuid,"
               " '/r' || lpad(i::text, 4, '0'), '/r' || i,"
               " 'microsoft.containerregistry/registries', 'r' || i, md5('s')::uuid, 'g',"
               " 'eastus', 'r' || i, '{}', 'Succeeded' from generate_series(1, $1) i",
               "int8" },
    [OTHERS] = { "t_others",
                 "insert into rule_subnets select '/nets/n' || i || '/subnets/x', md5(i::text)::uuid"
                 " from generate_series(1, $1) i",
                 "int8" },
    [ANALYZE] = { "t_analyze", "analyze resources, rule_subnets", "" },
    [UID] = { "t_uid", "select md5($1)::uuid", "text" },
    [REMOVE] = { "t_remove", "delete from resources where key = $1", "text" },
    { 0 },
};

static void must(int rc, const struct error *err)
{
    if (rc < 0)
        fail_msg("%s (%s)", err->message, err->cause);
}

static void run(size_t statement, const struct pg_arg *args, size_t count)
{
    struct error err;

    must(pg_run(conn, arena, &statements[statement], args, count, NULL, &err), &err);
}
#define RUN(statement, ...)                                                                        \
    run((statement), (const struct pg_arg[]){ __VA_ARGS__ },                                       \
        sizeof((const struct pg_arg[]){ __VA_ARGS__ }) / sizeof(struct pg_arg))

static int start(void **state)
{
    static const struct pg_pool_config none = { 0 };
    struct pg_pool_config config = none;
    int applied = 0;
    struct error err;

    (void)state;
    arena = arena_new();
    server = test_postgres_new(NULL);
    config.conninfo = arena_strdup(arena, test_postgres_conninfo(server, "control"));
    must(pg_migrate(config.conninfo, SOURCE_DIR "/migrations/control", &applied, &err), &err);
    pool = pg_pool_new(&config);
    must(pg_acquire(pool, &conn, &err), &err);
    run(TENANT, NULL, 0);
    run(SUBSCRIPTION, NULL, 0);
    RUN(MANY, pg_int(REGISTRIES));
    RUN(OTHERS, pg_int(REGISTRIES));
    run(ANALYZE, NULL, 0);
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

struct naming {
    const char *registry;
    const char *const *ids;
    size_t count;
};

static int put(struct pg_conn *c, struct arena *a, void *ctx, struct error *err)
{
    const struct naming *n = ctx;

    return rules_named_put(c, a, n->registry, n->ids, n->count, err);
}

/* Registry number `name` names these. */
static void name(const char *number, const char *one, const char *two)
{
    const char *ids[] = { one, two };
    struct pg_result *r;
    struct error err;

    must(PG_RUN(conn, arena, &statements[UID], &r, &err, pg_text(number)), &err);
    struct naming n = { pg_get_text(r, 0, 0), ids, (size_t)(one != NULL) + (two != NULL) };
    must(pg_transact(pool, arena, put, &n, &err), &err);
}

/* Keys of those that name it, joined. */
static const char *naming(const char *key, const char *after, int64_t limit)
{
    const char *ret = "";
    struct resource *found;
    struct error err;
    size_t count;

    must(rules_naming(conn, arena, key, after, limit, &found, &count, &err), &err);
    for (size_t i = 0; i < count; i++)
        ret = arena_printf(arena, "%s%s", ret, found[i].key);
    return ret;
}

static void test_who_names_it(void **state)
{
    (void)state;
    name("1", "/nets/a/subnets/one", "/nets/a/subnets/two");
    name("2", "/nets/a/subnets/two", NULL);
    name("3", "/nets/a0/subnets/one", "/nets/a-b/subnets/one");
    name("4", "/nets/b/subnets/one", NULL);
    assert_string_equal(naming("/nets/a/subnets/two", "", 9), "/r0001/r0002");
    assert_string_equal(naming("/nets/a/subnets/one", "", 9), "/r0001");
    assert_string_equal(naming("/nets/a", "", 9), "/r0001/r0002"); /* once each */
    assert_string_equal(naming("/nets/a/subnets/tw", "", 9), "");
    assert_string_equal(naming("/nets/a", "", 1), "/r0001");
    assert_string_equal(naming("/nets/a", "/r0001", 9), "/r0002");
    name("1", "/nets/b/subnets/one", NULL);
    assert_string_equal(naming("/nets/a", "", 9), "/r0002");
    assert_string_equal(naming("/nets/b", "", 9), "/r0001/r0004");
    name("4", NULL, NULL);
    RUN(REMOVE, pg_text("/r0001"));
    assert_string_equal(naming("/nets/b", "", 9), "");
}

static const struct pg_stmt *statement_of(const char *wanted)
{
    const struct pg_stmt *s = network_rules_statements;

    while (s->name && strcmp(s->name, wanted) != 0)
        s++;
    assert_non_null(s->name);
    return s;
}

static void test_by_index(void **state)
{
    const struct pg_stmt *asked = statement_of("rules_naming");
    struct pg_stmt plan = { "t_plan", arena_printf(arena, "explain %s", asked->text), asked->types };
    struct pg_result *r;
    struct error err;

    (void)state;
    for (int round = 0; round < 8; round++) { /* also of the plan that is kept */
        must(PG_RUN(conn, arena, &plan, &r, &err, pg_text("/nets/n17"), pg_text(""), pg_int(50)), &err);
        assert_true(pg_rows(r) > 3);
        for (size_t i = 0; i < pg_rows(r); i++)
            assert_null(strstr(pg_get_text(r, i, 0), "Seq Scan"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_names_it),
        cmocka_unit_test(test_by_index),
    };

    return cmocka_run_group_tests(tests, start, stop);
}

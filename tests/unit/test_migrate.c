/* The migrator against a real server: what is applied, what is refused, and two copies at once. */
/* links: portolan_pg portolan_test_support */
#include "common/pg/migrate.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/pg/pg.h"
#include "tests/support/postgres.h"

/* Last: it defines a macro named fail. */
#include <cmocka.h>

static struct test_postgres *server;

struct fixture {
    struct arena *a;
    char dir[64];
    const char *conninfo;
    struct error err;
};

static int setup(void **state)
{
    static int number;
    struct fixture *f = calloc(1, sizeof(*f));

    f->a = arena_new();
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/portolan-migrate-XXXXXX");
    if (!mkdtemp(f->dir))
        return -1;
    f->conninfo = arena_strdup(
        f->a, test_postgres_conninfo(server, arena_printf(f->a, "'Odd \"name\" %d'", ++number)));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    int rc = file_remove_tree(f->dir, &f->err);

    arena_free(f->a);
    free(f);
    return rc;
}

static void put(struct fixture *f, const char *name, const char *text)
{
    const char *path = arena_printf(f->a, "%s/%s", f->dir, name);

    assert_int_equal(file_replace(path, text, strlen(text), 0600, &f->err), 0);
}

static void drop_file(struct fixture *f, const char *name)
{
    assert_int_equal(unlink(arena_printf(f->a, "%s/%s", f->dir, name)), 0);
}

/* The number of files applied, or -1. */
static int migrate(struct fixture *f)
{
    int applied;

    if (pg_migrate(f->conninfo, f->dir, &applied, &f->err)) {
        assert_ptr_equal(f->err.code, &E_INTERNAL);
        return -1;
    }
    return applied;
}

static void expect_migrated(struct fixture *f, int applied)
{
    int got = migrate(f);

    if (got < 0)
        print_error("%s\n", f->err.cause);
    assert_int_equal(got, applied);
}

static void expect_refused(struct fixture *f, const char *word)
{
    assert_int_equal(migrate(f), -1);
    if (!strstr(f->err.cause, word))
        fail_msg("'%s' does not say '%s'", f->err.cause, word);
}

static int64_t query(struct fixture *f, const char *text)
{
    struct pg_pool_config config = { .conninfo = f->conninfo };
    struct pg_pool *pool = pg_pool_new(&config);
    struct pg_stmt stmt = { "query", text, "" };
    struct pg_conn *conn;
    struct pg_result *r;
    int64_t n;

    assert_int_equal(pg_acquire(pool, &conn, &f->err), 0);
    assert_int_equal(PG_RUN0(conn, f->a, &stmt, &r, &f->err), 0);
    n = pg_get_int(r, 0, 0);
    pg_release(conn);
    pg_pool_free(pool);
    return n;
}

static void test_applies_in_order_and_once(void **state)
{
    struct fixture *f = *state;

    put(f, "0010_third.sql", "INSERT INTO t VALUES (3); INSERT INTO t VALUES (4);");
    put(f, "0002_second.sql", "INSERT INTO t VALUES (2);");
    put(f, "0001_first.sql", "CREATE TABLE t (n int PRIMARY KEY);\n-- a comment\n");
    put(f, "README", "not a migration");
    expect_migrated(f, 3);
    expect_migrated(f, 0);
    assert_int_equal(query(f, "SELECT count(*) FROM t"), 3);
    put(f, "0011_more.sql", "INSERT INTO t VALUES (5)");
    expect_migrated(f, 1);
    assert_int_equal(query(f, "SELECT count(*) FROM t"), 4);
    assert_int_equal(query(f, "SELECT max(version) FROM schema_migrations"), 11);
    assert_int_equal(query(f, "SELECT count(*) FROM schema_migrations WHERE length(sha256) = 64"
                              " AND applied_at > now() - interval '1 minute'"),
                     4);
    assert_int_equal(query(f, "SELECT count(*) FROM pg_database WHERE datname LIKE 'Odd%'"
                              " AND pg_encoding_to_char(encoding) = 'UTF8'"),
                     1);
}

static void test_nothing_to_do(void **state)
{
    struct fixture *f = *state;

    expect_migrated(f, 0);
    put(f, "0001_empty.sql", "");
    expect_migrated(f, 1);
}

static void test_changed_file_is_refused(void **state)
{
    struct fixture *f = *state;

    put(f, "0001_first.sql", "CREATE TABLE t (n int);");
    expect_migrated(f, 1);
    put(f, "0001_first.sql", "CREATE TABLE t (n int); ");
    put(f, "0002_second.sql", "CREATE TABLE u (n int);");
    expect_refused(f, "0001_first.sql was changed");
    assert_int_equal(query(f, "SELECT count(*) FROM schema_migrations"), 1);
}

static void test_late_file_is_refused(void **state)
{
    struct fixture *f = *state;

    put(f, "0005_five.sql", "SELECT 1;");
    expect_migrated(f, 1);
    put(f, "0004_four.sql", "SELECT 1;");
    expect_refused(f, "0004_four.sql comes before");
}

/* A copy of an older version starts against a newer schema: expand comes before contract. */
static void test_newer_schema_is_accepted(void **state)
{
    struct fixture *f = *state;

    put(f, "0001_first.sql", "SELECT 1;");
    put(f, "0002_second.sql", "SELECT 1;");
    expect_migrated(f, 2);
    drop_file(f, "0002_second.sql");
    expect_migrated(f, 0);
}

static void test_failed_file_leaves_nothing(void **state)
{
    struct fixture *f = *state;

    put(f, "0001_good.sql", "CREATE TABLE good (n int);");
    put(f, "0002_bad.sql", "CREATE TABLE half (n int); SELECT nonsense;");
    put(f, "0003_later.sql", "CREATE TABLE later (n int);");
    expect_refused(f, "0002_bad.sql");
    assert_int_equal(query(f, "SELECT count(*) FROM pg_tables WHERE tablename IN ('half',"
                              "'later')"),
                     0);
    assert_int_equal(query(f, "SELECT count(*) FROM schema_migrations"), 1);
    put(f, "0002_bad.sql", "CREATE TABLE half (n int);");
    expect_migrated(f, 2);
}

static void test_own_transaction_is_refused(void **state)
{
    struct fixture *f = *state;

    put(f, "0001_commit.sql", "CREATE TABLE t (n int); COMMIT;");
    expect_refused(f, "ended its transaction");
}

static void test_bad_names(void **state)
{
    static const char *const names[] = { "1_x.sql",    "00001_x.sql", "0001-x.sql",
                                         "000a_x.sql", "0001_.sql",   "x.sql" };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        put(f, names[i], "SELECT 1;");
        expect_refused(f, names[i]);
        drop_file(f, names[i]);
    }
    put(f, "0001_x.sql", "SELECT 1;");
    put(f, "0001_y.sql", "SELECT 1;");
    expect_refused(f, "same number");
    assert_int_equal(file_remove_tree(f->dir, &f->err), 0);
    expect_refused(f, "open migrations");
}

struct copy {
    struct fixture *f;
    pthread_barrier_t *start;
    int applied;
    int rc;
    struct error err;
};

static void *copy_thread(void *ctx)
{
    struct copy *c = ctx;

    (void)pthread_barrier_wait(c->start);
    c->rc = pg_migrate(c->f->conninfo, c->f->dir, &c->applied, &c->err);
    return NULL;
}

/* The database is missing as well: both try to create it. */
static void test_copies_take_turns(void **state)
{
    enum { COPIES = 4 };
    struct fixture *f = *state;
    pthread_barrier_t start;
    struct copy copies[COPIES];
    pthread_t threads[COPIES];
    int applied = 0;

    put(f, "0001_first.sql", "CREATE TABLE t (n int); SELECT pg_sleep(0.3);");
    put(f, "0002_second.sql", "INSERT INTO t VALUES (1); SELECT pg_sleep(0.3);");
    assert_int_equal(pthread_barrier_init(&start, NULL, COPIES), 0);
    for (size_t i = 0; i < COPIES; i++) {
        copies[i] = (struct copy){ .f = f, .start = &start };
        assert_int_equal(pthread_create(&threads[i], NULL, copy_thread, &copies[i]), 0);
    }
    for (size_t i = 0; i < COPIES; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        if (copies[i].rc)
            print_error("%s\n", copies[i].err.cause);
        assert_int_equal(copies[i].rc, 0);
        applied += copies[i].applied;
    }
    pthread_barrier_destroy(&start);
    assert_int_equal(applied, 2);
    assert_int_equal(query(f, "SELECT count(*) FROM t"), 1);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        T(test_applies_in_order_and_once),  T(test_nothing_to_do),
        T(test_changed_file_is_refused),    T(test_late_file_is_refused),
        T(test_newer_schema_is_accepted),   T(test_failed_file_leaves_nothing),
        T(test_own_transaction_is_refused), T(test_bad_names),
        T(test_copies_take_turns),
    };
    int failed;

    server = test_postgres_new(NULL);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_postgres_free(server);
    return failed;
}

/* A pool over a server of the test's own, and a small table: what test_pg.c and test_pg_queue.c stand on. */
#ifndef PORTOLAN_UNIT_TEST_PG_KIT_H
#define PORTOLAN_UNIT_TEST_PG_KIT_H

#include "common/pg/pg.h"

#include <setjmp.h>
#include <stdarg.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "tests/support/postgres.h"

/* Last: it defines a macro named fail. */
#include <cmocka.h>

static struct test_postgres *server;

struct fixture {
    struct pg_pool *pool;
    struct arena *a;
    struct error err;
};

static struct pg_pool *new_pool(unsigned max, unsigned idle_close_ms, unsigned acquire_timeout_ms)
{
    struct pg_pool_config config = { .conninfo = test_postgres_conninfo(server, "postgres"),
                                     .application = "test_pg",
                                     .max = max,
                                     .idle_close_ms = idle_close_ms,
                                     .acquire_timeout_ms = acquire_timeout_ms };

    return pg_pool_new(&config);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    f->pool = new_pool(4, 0, 0);
    f->a = arena_new();
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    arena_free(f->a);
    pg_pool_free(f->pool);
    free(f);
    return 0;
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#define ok(f, call)                                                                                \
    do {                                                                                           \
        if ((call) != 0) {                                                                         \
            print_error("%s: %s\n", #call, (f)->err.cause);                                        \
            fail();                                                                                \
        }                                                                                          \
    } while (0)

static struct pg_conn *acquire(struct fixture *f)
{
    struct pg_conn *conn;

    ok(f, pg_acquire(f->pool, &conn, &f->err));
    return conn;
}

static const struct pg_stmt tx_make = {
    "tx_make", "CREATE TABLE IF NOT EXISTS tx (id int PRIMARY KEY, n int8 NOT NULL)", ""
};
static const struct pg_stmt tx_add = { "tx_add", "INSERT INTO tx VALUES ($1, $2)", "int4 int8" };
static const struct pg_stmt tx_sum = { "tx_sum", "SELECT coalesce(sum(n), 0)::int8 FROM tx", "" };
static const struct pg_stmt tx_wipe = { "tx_wipe", "DELETE FROM tx", "" };
static const struct pg_stmt tx_break = { "tx_break", "SELECT 1 / $1::int4", "int4" };

static int64_t sum_of(struct fixture *f, struct pg_conn *conn)
{
    struct pg_result *r;

    ok(f, PG_RUN0(conn, f->a, &tx_sum, &r, &f->err));
    return pg_get_int(r, 0, 0);
}

#endif

/* common/pg: who gets a connection of the pool when there are not enough, against a real server. */
/* links: portolan_pg portolan_test_support */
#include "common/pg/pg.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/thread.h"
#include "tests/support/postgres.h"

/* Last: it defines a macro named fail. */
#include <cmocka.h>

#define FOR_EVER_MS 60000
#define A_WHILE_MS  200 /* for what must not happen: too short only hides it */

static struct test_postgres *server;

static const struct pg_stmt backend = { "backend", "SELECT pg_backend_pid()::int8", "" };

static struct pg_pool *new_pool(unsigned max, unsigned green_ms)
{
    struct pg_pool_config config = { .conninfo = test_postgres_conninfo(server, "postgres"),
                                     .max = max,
                                     .acquire_timeout_ms = FOR_EVER_MS,
                                     .green_ms = green_ms };

    return pg_pool_new(&config);
}

static struct pg_conn *acquire(struct pg_pool *pool, bool is_patient)
{
    struct pg_conn *conn;
    struct error err;

    thread_set_patient(is_patient);
    assert_int_equal(pg_acquire(pool, &conn, &err), 0);
    thread_set_patient(false);
    return conn;
}

static int64_t pid_of(struct pg_conn *conn)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct pg_result *r;
    struct error err;

    assert_int_equal(PG_RUN0(conn, a, &backend, &r, &err), 0);
    return pg_get_int(r, 0, 0);
}

/* A patient thread that wants one connection. */
struct waiter {
    struct pg_pool *pool;
    pthread_t thread;
    atomic_bool has_it;
    struct pg_conn *conn;
};

static void *wait_patiently(void *arg)
{
    struct waiter *w = arg;
    struct error err;

    thread_set_patient(true);
    if (pg_acquire(w->pool, &w->conn, &err) == 0)
        atomic_store(&w->has_it, true);
    return NULL;
}

static void begin(struct waiter *w, struct pg_pool *pool)
{
    *w = (struct waiter){ .pool = pool };
    assert_int_equal(pthread_create(&w->thread, NULL, wait_patiently, w), 0);
}

static void end(struct waiter *w)
{
    assert_int_equal(pthread_join(w->thread, NULL), 0);
    assert_true(atomic_load(&w->has_it));
    pg_release(w->conn);
}

/* Whoever is not patient finds the one that was there. */
static void test_the_last_one_is_left_alone(void **state)
{
    struct pg_pool *pool = new_pool(2, 0);
    struct pg_conn *conn = acquire(pool, false), *other;
    int64_t pid = pid_of(conn);
    struct waiter w;

    (void)state;
    pg_release(conn);
    other = acquire(pool, true);
    assert_int_not_equal(pid_of(other), pid);
    begin(&w, pool);
    for (int i = 0; i < 20; i++) { /* however often it comes back, the patient thread waits */
        conn = acquire(pool, false);
        assert_int_equal(pid_of(conn), pid);
        assert_false(atomic_load(&w.has_it));
        pg_release(conn);
        clock_sleep_ms(A_WHILE_MS / 20);
    }
    pg_release(other);
    end(&w);
    pg_pool_free(pool);
}

/* With one connection there is none to spare. */
static void test_a_pool_of_one(void **state)
{
    struct pg_pool *pool = new_pool(1, 0);

    (void)state;
    for (int i = 0; i < 2; i++)
        pg_release(acquire(pool, true));
    pg_release(acquire(pool, false));
    pg_pool_free(pool);
}

/* While one is new, no second is opened for a patient thread, though there is room; for others it is. */
static void test_they_open_in_turn(void **state)
{
    struct pg_pool *pool = new_pool(8, FOR_EVER_MS);
    struct pg_conn *green = acquire(pool, true), *hurried;
    struct waiter w;

    (void)state;
    begin(&w, pool);
    hurried = acquire(pool, false);
    clock_sleep_ms(A_WHILE_MS);
    assert_false(atomic_load(&w.has_it));
    pg_release(green);
    end(&w);
    pg_release(hurried);
    pg_pool_free(pool);
}

/* A new one that is kept long does not keep others from work. */
static void test_nobody_waits_for_ever(void **state)
{
    struct pg_pool *pool = new_pool(8, 20);
    struct pg_conn *green = acquire(pool, true);
    struct waiter w[3];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(w); i++)
        begin(&w[i], pool);
    for (size_t i = 0; i < ARRAY_LEN(w); i++)
        end(&w[i]);
    pg_release(green);
    pg_pool_free(pool);
}

/* What cannot be opened, and what breaks, takes up no place. */
static void test_failures_take_no_place(void **state)
{
    struct pg_pool_config config = { .conninfo = "host=/nowhere", .max = 2, .green_ms = FOR_EVER_MS };
    struct pg_pool *pool = pg_pool_new(&config);
    struct pg_conn *conn;
    struct error err;

    (void)state;
    thread_set_patient(true);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(pg_acquire(pool, &conn, &err), -1);
        assert_ptr_equal(err.code, &E_UNAVAILABLE);
        assert_non_null(strstr(err.cause, "connect"));
    }
    thread_set_patient(false);
    pg_pool_free(pool);
    pool = new_pool(2, FOR_EVER_MS);
    for (int i = 0; i < 5; i++) {
        struct pg_tx tx;

        conn = acquire(pool, true);
        assert_int_equal(pg_begin(conn, &tx, &err), 0);
        (void)pid_of(conn);
        pg_release(conn); /* in a transaction: it is closed */
    }
    pg_pool_free(pool);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_last_one_is_left_alone),
        cmocka_unit_test(test_a_pool_of_one),
        cmocka_unit_test(test_they_open_in_turn),
        cmocka_unit_test(test_nobody_waits_for_ever),
        cmocka_unit_test(test_failures_take_no_place),
    };
    int failed;

    server = test_postgres_new(NULL);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_postgres_free(server);
    return failed;
}

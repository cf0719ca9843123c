/* common/pg: statements that share a round trip, against a real server. */
/* links: portolan_pg portolan_test_support */
#include "tests/unit/test_pg_kit.h"

static const struct pg_stmt queue_after = { "queue_after", "SELECT 2", "" };
static const struct pg_stmt queue_misspelt = { "queue_misspelt", "SELECT nothing FROM nowhere", "" };

static void test_queue(void **state)
{
    struct fixture *f = *state;
    struct pg_conn *conn = acquire(f);
    struct pg_result *first = NULL, *second = NULL;
    struct pg_tx tx = { 0 };

    ok(f, PG_RUN0(conn, f->a, &tx_make, NULL, &f->err));
    ok(f, PG_RUN0(conn, f->a, &tx_wipe, NULL, &f->err));
    /* Answers come with the statement that is run; each to its own. */
    ok(f, pg_begin(conn, &tx, &f->err));
    ok(f, PG_QUEUE(conn, f->a, &tx_add, NULL, &f->err, pg_int(1), pg_int(10)));
    ok(f, PG_QUEUE0(conn, f->a, &tx_sum, &first, &f->err));
    ok(f, PG_QUEUE(conn, f->a, &tx_add, NULL, &f->err, pg_int(2), pg_int(5)));
    assert_null(first);
    ok(f, PG_RUN0(conn, f->a, &tx_sum, &second, &f->err));
    assert_int_equal(pg_get_int(first, 0, 0), 10);
    assert_int_equal(pg_get_int(second, 0, 0), 15);
    /* The commit takes along what is left. */
    ok(f, PG_QUEUE(conn, f->a, &tx_add, NULL, &f->err, pg_int(3), pg_int(1)));
    ok(f, pg_commit(&tx, &f->err));
    assert_int_equal(sum_of(f, conn), 16);
    /* What was queued before a roll-back goes with it. */
    ok(f, pg_begin(conn, &tx, &f->err));
    ok(f, PG_QUEUE(conn, f->a, &tx_add, NULL, &f->err, pg_int(4), pg_int(1)));
    pg_tx_end(&tx);
    assert_int_equal(sum_of(f, conn), 16);
    /* And nobody is told of it: who queued it may be gone. */
    first = second;
    ok(f, pg_begin(conn, &tx, &f->err));
    ok(f, PG_QUEUE0(conn, f->a, &tx_sum, &first, &f->err));
    pg_tx_end(&tx);
    assert_ptr_equal(first, second);
    /* A transaction in which nothing was said. */
    ok(f, pg_begin(conn, &tx, &f->err));
    pg_tx_end(&tx);
    ok(f, pg_begin(conn, &tx, &f->err));
    ok(f, pg_commit(&tx, &f->err));
    /* More than a flight has legs for. */
    ok(f, pg_begin(conn, &tx, &f->err));
    for (int i = 100; i < 200; i++)
        ok(f, PG_QUEUE(conn, f->a, &tx_add, NULL, &f->err, pg_int(i), pg_int(1)));
    ok(f, pg_commit(&tx, &f->err));
    assert_int_equal(sum_of(f, conn), 116);
    pg_release(conn);
}

static void test_queue_failures(void **state)
{
    struct fixture *f = *state;
    struct pg_conn *conn = acquire(f);
    struct pg_result *after = NULL;
    struct pg_tx tx = { 0 };

    ok(f, PG_RUN0(conn, f->a, &tx_make, NULL, &f->err));
    ok(f, PG_RUN0(conn, f->a, &tx_wipe, NULL, &f->err));
    ok(f, PG_RUN(conn, f->a, &tx_add, NULL, &f->err, pg_int(1), pg_int(10)));
    /* The first failure is told, under its own name; what comes after it is not done. */
    ok(f, pg_begin(conn, &tx, &f->err));
    ok(f, PG_QUEUE(conn, f->a, &tx_add, NULL, &f->err, pg_int(2), pg_int(10)));
    ok(f, PG_QUEUE(conn, f->a, &tx_add, NULL, &f->err, pg_int(1), pg_int(10)));
    ok(f, PG_QUEUE(conn, f->a, &tx_break, NULL, &f->err, pg_int(0)));
    assert_int_equal(PG_RUN0(conn, f->a, &tx_sum, &after, &f->err), -1);
    assert_ptr_equal(f->err.code, &E_CONFLICT);
    assert_non_null(strstr(f->err.cause, tx_add.name));
    assert_null(after);
    assert_int_equal(pg_commit(&tx, &f->err), -1);
    assert_int_equal(sum_of(f, conn), 10);
    /* A failure that comes with the commit. */
    ok(f, pg_begin(conn, &tx, &f->err));
    ok(f, PG_QUEUE(conn, f->a, &tx_add, NULL, &f->err, pg_int(2), pg_int(10)));
    ok(f, PG_QUEUE(conn, f->a, &tx_add, NULL, &f->err, pg_int(1), pg_int(10)));
    assert_int_equal(pg_commit(&tx, &f->err), -1);
    assert_ptr_equal(f->err.code, &E_CONFLICT);
    pg_tx_end(&tx);
    assert_int_equal(sum_of(f, conn), 10);
    /* What could not be prepared is prepared again, and what was skipped as well. */
    for (int i = 0; i < 2; i++) {
        ok(f, PG_QUEUE0(conn, f->a, &queue_misspelt, NULL, &f->err));
        assert_int_equal(PG_RUN0(conn, f->a, &queue_after, NULL, &f->err), -1);
        assert_ptr_equal(f->err.code, &E_INTERNAL);
        assert_non_null(strstr(f->err.cause, queue_misspelt.name));
    }
    ok(f, PG_RUN0(conn, f->a, &queue_after, NULL, &f->err));
    pg_release(conn);
    /* Nobody else gets a connection on which something still waits. */
    conn = acquire(f);
    ok(f, PG_QUEUE(conn, f->a, &tx_add, NULL, &f->err, pg_int(2), pg_int(10)));
    pg_release(conn);
    conn = acquire(f);
    assert_int_equal(sum_of(f, conn), 10);
    pg_release(conn);
}

static int queue_one(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    return PG_QUEUE(conn, a, &tx_add, NULL, err, pg_int(*(int *)ctx), pg_int(1));
}

static void test_queue_lands(void **state)
{
    struct fixture *f = *state;
    int key = 500;

    ok(f, pg_transact(f->pool, f->a, queue_one, &key, &f->err));
    assert_int_equal(pg_transact(f->pool, f->a, queue_one, &key, &f->err), -1);
    assert_ptr_equal(f->err.code, &E_CONFLICT);
    key = 501;
    ok(f, pg_with(f->pool, f->a, queue_one, &key, &f->err));
    assert_int_equal(pg_with(f->pool, f->a, queue_one, &key, &f->err), -1);
    assert_ptr_equal(f->err.code, &E_CONFLICT);
}

static const struct pg_stmt end_others = {
    "end_others",
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
    " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'",
    ""
};

/* All sessions but one of its own; waits until they are gone. */
static void end_sessions(struct fixture *f)
{
    struct pg_pool_config config = { .conninfo = test_postgres_conninfo(server, "postgres") };
    struct pg_pool *other = pg_pool_new(&config);
    struct pg_conn *conn;
    struct pg_result *r;

    ok(f, pg_acquire(other, &conn, &f->err));
    ok(f, PG_RUN0(conn, f->a, &end_others, &r, &f->err));
    assert_int_equal(pg_rows(r), 1);
    assert_true(pg_get_bool(r, 0, 0));
    pg_release(conn);
    pg_pool_free(other);
}

struct breaking {
    struct fixture *fixture;
    int runs;
};

/* Between BEGIN and the first statement of the first run. */
static int break_then_add(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct breaking *b = ctx;

    if (++b->runs == 1)
        end_sessions(b->fixture);
    return PG_RUN(conn, a, &tx_add, NULL, err, pg_int(78), pg_int(1));
}

/* After it: how far it came is not asked. */
static int add_then_break(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct breaking *b = ctx;

    ++b->runs;
    if (PG_RUN(conn, a, &tx_add, NULL, err, pg_int(79), pg_int(1)))
        return -1;
    end_sessions(b->fixture);
    return PG_RUN0(conn, a, &tx_sum, NULL, err);
}

/* And here everything goes with the COMMIT. */
static int queue_then_break(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct breaking *b = ctx;

    ++b->runs;
    if (PG_QUEUE(conn, a, &tx_add, NULL, err, pg_int(80), pg_int(1)))
        return -1;
    end_sessions(b->fixture);
    return 0;
}

static void test_connection_breaks(void **state)
{
    static pg_work *const final[] = { add_then_break, queue_then_break };
    struct fixture *f = *state;
    struct breaking b = { .fixture = f };
    struct pg_conn *conn = acquire(f);

    ok(f, PG_RUN0(conn, f->a, &tx_make, NULL, &f->err));
    ok(f, PG_RUN0(conn, f->a, &tx_wipe, NULL, &f->err));
    pg_release(conn);
    /* What was lost with its BEGIN is done again. */
    ok(f, pg_transact(f->pool, f->a, break_then_add, &b, &f->err));
    assert_int_equal(b.runs, 2);
    for (size_t i = 0; i < ARRAY_LEN(final); i++) {
        b.runs = 0;
        assert_int_equal(pg_transact(f->pool, f->a, final[i], &b, &f->err), -1);
        assert_ptr_equal(f->err.code, &E_UNAVAILABLE);
        assert_int_equal(b.runs, 1);
    }
    conn = acquire(f);
    assert_int_equal(sum_of(f, conn), 1);
    pg_release(conn);
}

int main(void)
{
    static const char *const settings[] = { "shared_buffers=8MB", NULL };
    static const struct CMUnitTest tests[] = {
        T(test_queue),
        T(test_queue_failures),
        T(test_queue_lands),
        T(test_connection_breaks),
    };
    int failed;

    server = test_postgres_new(settings);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_postgres_free(server);
    return failed;
}

/* common/pg against a real server: types both ways, failures and their codes, transactions, and
 * what happens when the server goes away. */
/* links: portolan_pg portolan_test_support */
#include "tests/unit/test_pg_kit.h"

#include <pthread.h>
#include <semaphore.h>

#include "common/base/clock.h"

#define MAX_CONNECTIONS 12

static const struct pg_stmt select_one = { "one", "SELECT 1", "" };
static const struct pg_stmt terminate_others = {
    "terminate",
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE pid <> pg_backend_pid() AND application_name = $1",
    "text"
};
static const struct pg_stmt count_sessions = {
    "sessions", "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1", "text"
};

static void test_read_types(void **state)
{
    static const struct {
        const char *expression, *text;
    } cases[] = {
        { "true", "true" },
        { "false", "false" },
        { "(-32768)::int2", "-32768" },
        { "(-2147483648)::int4", "-2147483648" },
        { "(-9223372036854775808)::int8", "-9223372036854775808" },
        { "4294967295::oid", "4294967295" },
        { "'18446744073709551615'::xid8", "18446744073709551615" },
        { "0.1::float8", "0.10000000000000001" },
        { "'h\u00e9llo'::text", "h\u00e9llo" },
        { "''::text", "" },
        { "'x'::varchar(3)", "x" },
        { "'x'::char(3)", "x  " },
        { "'x'::name", "x" },
        { "'{\"a\": 1}'::jsonb", "{\"a\": 1}" },
        { "'{\"a\":1}'::json", "{\"a\":1}" },
        { "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11" },
        { "'2026-11-20T22:52:13.000001Z'::timestamptz", "2026-11-20T22:52:13.000001Z" },
        { "'2026-11-20T22:52:13+02'::timestamptz", "2026-11-20T20:52:13.000000Z" },
        { "'1969-12-31T23:59:59.5Z'::timestamptz", "1969-12-31T23:59:59.500000Z" },
        { "'infinity'::timestamptz", "infinity" },
        { "'-infinity'::timestamptz", "-infinity" },
        { "'2026-02-28'::date", "2026-02-28" },
        { "'1969-12-31'::date", "1969-12-31" },
        { "'192.0.2.7'::inet", "192.0.2.7" },
        { "'192.0.2.7/24'::inet", "192.0.2.7/24" },
        { "'192.0.2.0/24'::cidr", "192.0.2.0/24" },
        { "'192.0.2.7'::cidr", "192.0.2.7/32" },
        { "'2001:db8::1'::inet", "2001:db8::1" },
        { "'2001:db8::/32'::cidr", "2001:db8::/32" },
        { "NULL::text", NULL },
        { "NULL::uuid", NULL },
        { "pg_notify('none', '')", "" },
    };
    struct fixture *f = *state;
    struct pg_conn *conn = acquire(f);

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct pg_stmt stmt = { arena_printf(f->a, "read_%zu", i),
                                arena_printf(f->a, "SELECT %s", cases[i].expression), "" };
        struct pg_result *r;

        ok(f, PG_RUN0(conn, f->a, &stmt, &r, &f->err));
        assert_int_equal(pg_rows(r), 1);
        assert_int_equal(pg_is_null(r, 0, 0), cases[i].text == NULL);
        if (cases[i].text)
            assert_string_equal(pg_get_text(r, 0, 0), cases[i].text);
        else
            assert_null(pg_get_text(r, 0, 0));
    }
    pg_release(conn);
}

static void test_pass_types(void **state)
{
    static const struct pg_stmt stmt = {
        "pass",
        "SELECT $1::bool, $2::int2, $3::int4, $4::int8, $5::text, $6::uuid, $7::bytea, $8::jsonb,"
        " $9::timestamptz, $10::inet, $11::xid8, $12::float8, $13::text",
        "bool int2 int4 int8 text uuid bytea jsonb timestamptz inet xid8 float8 text"
    };
    static const uint8_t bytes[] = { 0, 1, 0xff, 0, '\\' };
    struct fixture *f = *state;
    struct pg_conn *conn = acquire(f);
    struct pg_result *r;
    const void *got;
    size_t len;

    ok(f, PG_RUN(conn, f->a, &stmt, &r, &f->err, pg_bool(true), pg_int(-7), pg_int(70000),
                 pg_int(INT64_MIN), pg_text("quo'te \"\\"),
                 pg_text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), pg_bytes(bytes, sizeof(bytes)),
                 pg_text("{\"k\":[1,null]}"), pg_text("2026-11-20T22:52:13.123456Z"),
                 pg_text("::1"), pg_int(42), pg_text("2.5"), pg_text(NULL)));
    assert_true(pg_get_bool(r, 0, 0));
    assert_int_equal(pg_get_int(r, 0, 1), -7);
    assert_int_equal(pg_get_int(r, 0, 2), 70000);
    assert_true(pg_get_int(r, 0, 3) == INT64_MIN);
    assert_string_equal(pg_get_text(r, 0, 4), "quo'te \"\\");
    assert_string_equal(pg_get_text(r, 0, 5), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11");
    got = pg_get_bytes(r, 0, 6, &len);
    assert_int_equal(len, sizeof(bytes));
    assert_memory_equal(got, bytes, len);
    assert_string_equal(pg_get_text(r, 0, 7), "{\"k\": [1, null]}");
    assert_int_equal(pg_get_time_us(r, 0, 8), INT64_C(1795215133123456));
    assert_string_equal(pg_get_text(r, 0, 9), "::1");
    assert_int_equal(pg_get_int(r, 0, 10), 42);
    assert_string_equal(pg_get_text(r, 0, 11), "2.5");
    assert_true(pg_is_null(r, 0, 12));
    assert_int_equal(pg_get_int(r, 0, 12), 0);
    pg_release(conn);
}

static void test_arrays(void **state)
{
    static const struct pg_stmt stmt = { "arrays",
                                         "SELECT $1::text[], $2::uuid[], $3::int8[], $4::text[],"
                                         " $5::text[]",
                                         "text[] uuid[] int8[] text[] text[]" };
    static const char *const texts[] = { "plain",       "",   "NULL",    "a,b",   "{\"}",
                                         "back\\slash", NULL, " space ", "\u00fc" };
    static const char *const uuids[] = { "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11" };
    static const char *const numbers[] = { "-1", "9223372036854775807" };
    struct fixture *f = *state;
    struct pg_conn *conn = acquire(f);
    struct pg_result *r;
    const char **got;

    ok(f, PG_RUN(conn, f->a, &stmt, &r, &f->err, pg_texts(texts, ARRAY_LEN(texts)),
                 pg_texts(uuids, 1), pg_texts(numbers, 2), pg_texts(NULL, 0), pg_null()));
    assert_int_equal(pg_get_texts(r, 0, 0, &got), ARRAY_LEN(texts));
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (texts[i])
            assert_string_equal(got[i], texts[i]);
        else
            assert_null(got[i]);
    }
    assert_int_equal(pg_get_texts(r, 0, 1, &got), 1);
    assert_string_equal(got[0], uuids[0]);
    assert_int_equal(pg_get_texts(r, 0, 2, &got), 2);
    assert_string_equal(got[1], numbers[1]);
    assert_int_equal(pg_get_texts(r, 0, 3, &got), 0);
    assert_false(pg_is_null(r, 0, 3));
    assert_int_equal(pg_get_texts(r, 0, 4, &got), 0);
    assert_true(pg_is_null(r, 0, 4));
    pg_release(conn);
}

static void test_large_values(void **state)
{
    static const struct pg_stmt stmt = { "large", "SELECT $1::bytea, length($1)", "bytea" };
    struct fixture *f = *state;
    struct pg_conn *conn = acquire(f);
    size_t size = 20u << 20, len;
    char *bytes = malloc(size);
    struct pg_result *r;

    memset(bytes, 'x', size);
    ok(f, PG_RUN(conn, f->a, &stmt, &r, &f->err, pg_bytes(bytes, size)));
    assert_int_equal(pg_get_int(r, 0, 1), size);
    assert_memory_equal(pg_get_bytes(r, 0, 0, &len), bytes, size);
    assert_int_equal(len, size);
    free(bytes);
    pg_release(conn);
}

static void test_codes(void **state)
{
    static const struct {
        const char *text;
        const struct error_code *code;
        const char *target;
    } cases[] = {
        { "INSERT INTO codes VALUES (1, 1)", &E_CONFLICT, "codes_key" },
        { "INSERT INTO codes VALUES (2, -1)", &E_INTERNAL, "codes_positive" },
        { "INSERT INTO codes VALUES (NULL, 1)", &E_INTERNAL, "" },
        { "SELECT nonsense FROM codes", &E_INTERNAL, "" },
        { "SELECT 1::numeric", &E_INTERNAL, "" },
        { "COPY codes TO STDOUT", &E_UNAVAILABLE, "" },
    };
    static const struct pg_stmt make = {
        "codes_make",
        "CREATE TABLE codes (k int NOT NULL CONSTRAINT codes_key UNIQUE,"
        " v int CONSTRAINT codes_positive CHECK (v > 0))",
        ""
    };
    static const struct pg_stmt fill = { "codes_fill", "INSERT INTO codes VALUES (1, 1), (9, 9)",
                                         "" };
    struct fixture *f = *state;
    struct pg_conn *conn = acquire(f);
    struct pg_result *r;

    ok(f, PG_RUN0(conn, f->a, &make, NULL, &f->err));
    ok(f, PG_RUN0(conn, f->a, &fill, &r, &f->err));
    assert_int_equal(pg_affected(r), 2);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct pg_stmt stmt = { arena_printf(f->a, "codes_%zu", i), cases[i].text, "" };
        struct error err = { 0 };

        assert_int_equal(PG_RUN0(conn, f->a, &stmt, &r, &err), -1);
        assert_ptr_equal(err.code, cases[i].code);
        assert_string_equal(err.target, cases[i].target);
        /* Nothing of the server's words reaches the client. */
        assert_null(strstr(err.message, "codes"));
        assert_true(strlen(err.cause) > 0);
    }
    pg_release(conn);
}

static void test_misdeclared(void **state)
{
    static const struct pg_stmt good = { "d0", "SELECT $1::text, now(), 1::int8", "text" };
    static const struct pg_stmt bad[] = {
        { "d1", "SELECT $1::text, $2::text", "text" },
        { "d2", "SELECT $1::text", "text int8" },
        { "d3", "SELECT 1.5", "" },
        { "d4", "SELECT $1", "no_such_type" },
        { "d5", "SELECT FROM nowhere", "" },
        { "d6_a_name_that_is_longer_than_what_the_server_keeps_of_the_names_of_statements",
          "SELECT 1", "" },
    };
    struct fixture *f = *state;
    struct pg_conn *conn = acquire(f);

    ok(f, pg_describe(conn, &good, &f->err));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(pg_describe(conn, &bad[i], &f->err), -1);
    /* The number of arguments is checked before anything is sent. */
    assert_int_equal(PG_RUN0(conn, f->a, &good, NULL, &f->err), -1);
    assert_ptr_equal(f->err.code, &E_INTERNAL);
    ok(f, PG_RUN(conn, f->a, &good, NULL, &f->err, pg_text("x")));
    pg_release(conn);
}

static const struct pg_stmt tx_inc = { "tx_inc", "UPDATE tx SET n = n + 1 WHERE id = $1", "int4" };

static void test_transaction(void **state)
{
    struct fixture *f = *state;
    struct pg_conn *conn = acquire(f);
    struct pg_tx tx = { 0 };

    ok(f, PG_RUN0(conn, f->a, &tx_make, NULL, &f->err));
    ok(f, PG_RUN0(conn, f->a, &tx_wipe, NULL, &f->err));
    ok(f, pg_begin(conn, &tx, &f->err));
    ok(f, PG_RUN(conn, f->a, &tx_add, NULL, &f->err, pg_int(1), pg_int(10)));
    pg_tx_end(&tx);
    assert_int_equal(sum_of(f, conn), 0);
    ok(f, pg_begin(conn, &tx, &f->err));
    ok(f, PG_RUN(conn, f->a, &tx_add, NULL, &f->err, pg_int(1), pg_int(10)));
    ok(f, pg_commit(&tx, &f->err));
    pg_tx_end(&tx);
    assert_int_equal(sum_of(f, conn), 10);
    /* A failure that the caller swallowed does not look like a commit. */
    ok(f, pg_begin(conn, &tx, &f->err));
    ok(f, PG_RUN(conn, f->a, &tx_add, NULL, &f->err, pg_int(2), pg_int(10)));
    assert_int_equal(PG_RUN(conn, f->a, &tx_break, NULL, &f->err, pg_int(0)), -1);
    assert_int_equal(pg_commit(&tx, &f->err), -1);
    assert_int_equal(sum_of(f, conn), 10);
    /* A connection given back inside a transaction is not handed to anyone else. */
    ok(f, pg_begin(conn, &tx, &f->err));
    ok(f, PG_RUN(conn, f->a, &tx_add, NULL, &f->err, pg_int(3), pg_int(10)));
    pg_release(conn);
    conn = acquire(f);
    assert_int_equal(sum_of(f, conn), 10);
    pg_release(conn);
}

struct deadlock {
    struct fixture *f;
    struct deadlock *other;
    pthread_barrier_t *both_hold_one;
    sem_t done;
    int first, second;
    int runs;
    int rc;
};

/* The one that is repeated waits for the other to be done: it might take the other's second row before the
 * other does, and then both stand as they stood. */
static int lock_two(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct deadlock *d = ctx;

    if (d->runs++ == 1)
        (void)sem_wait(&d->other->done);
    if (PG_RUN(conn, a, &tx_inc, NULL, err, pg_int(d->first)))
        return -1;
    if (d->runs == 1)
        (void)pthread_barrier_wait(d->both_hold_one);
    return PG_RUN(conn, a, &tx_inc, NULL, err, pg_int(d->second));
}

static void *deadlock_thread(void *ctx)
{
    struct deadlock *d = ctx;
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct error err = { 0 };

    d->rc = pg_transact(d->f->pool, a, lock_two, d, &err);
    (void)sem_post(&d->done);
    return NULL;
}

static void test_deadlock_is_repeated(void **state)
{
    struct fixture *f = *state;
    struct pg_conn *conn = acquire(f);
    pthread_barrier_t held;
    struct deadlock sides[] = { { .f = f, .both_hold_one = &held, .first = 1, .second = 2 },
                                { .f = f, .both_hold_one = &held, .first = 2, .second = 1 } };
    pthread_t threads[2];

    ok(f, PG_RUN0(conn, f->a, &tx_make, NULL, &f->err));
    ok(f, PG_RUN0(conn, f->a, &tx_wipe, NULL, &f->err));
    ok(f, PG_RUN(conn, f->a, &tx_add, NULL, &f->err, pg_int(1), pg_int(0)));
    ok(f, PG_RUN(conn, f->a, &tx_add, NULL, &f->err, pg_int(2), pg_int(0)));
    assert_int_equal(pthread_barrier_init(&held, NULL, 2), 0);
    for (size_t i = 0; i < 2; i++) {
        sides[i].other = &sides[1 - i];
        assert_int_equal(sem_init(&sides[i].done, 0, 0), 0);
    }
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, deadlock_thread, &sides[i]), 0);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(sides[0].rc, 0);
    assert_int_equal(sides[1].rc, 0);
    assert_int_equal(sides[0].runs + sides[1].runs, 3);
    assert_int_equal(sum_of(f, conn), 4);
    for (size_t i = 0; i < 2; i++)
        sem_destroy(&sides[i].done);
    pthread_barrier_destroy(&held);
    pg_release(conn);
}

static int add_then_refuse(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    int *runs = ctx;

    ++*runs;
    if (PG_RUN(conn, a, &tx_add, NULL, err, pg_int(77), pg_int(1000)))
        return -1;
    return fail_at(err, &E_PRECONDITION, "x", "No.");
}

static void test_refusal_is_final(void **state)
{
    struct fixture *f = *state;
    struct pg_conn *conn = acquire(f);
    int64_t before;
    int runs = 0;

    ok(f, PG_RUN0(conn, f->a, &tx_make, NULL, &f->err));
    before = sum_of(f, conn);
    assert_int_equal(pg_transact(f->pool, f->a, add_then_refuse, &runs, &f->err), -1);
    assert_ptr_equal(f->err.code, &E_PRECONDITION);
    assert_int_equal(runs, 1);
    assert_int_equal(sum_of(f, conn), before);
    pg_release(conn);
}

static int run_select_one(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    int *runs = ctx;

    ++*runs;
    return PG_RUN0(conn, a, &select_one, NULL, err);
}

/* Both ways of work see nothing of an outage that is over, with all pooled sessions dead. */
static void expect_recovery(struct fixture *f, void (*outage)(struct fixture *f))
{
    struct pg_conn *conns[3];
    int runs = 0;

    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < 3; i++)
            conns[i] = acquire(f);
        for (size_t i = 0; i < 3; i++) {
            ok(f, PG_RUN0(conns[i], f->a, &select_one, NULL, &f->err));
            pg_release(conns[i]);
        }
        outage(f);
        if (round == 0)
            ok(f, pg_with(f->pool, f->a, run_select_one, &runs, &f->err));
        else
            ok(f, pg_transact(f->pool, f->a, run_select_one, &runs, &f->err));
    }
    assert_int_equal(runs, 2);
}

static void restart(struct fixture *f)
{
    (void)f;
    test_postgres_stop(server);
    test_postgres_start(server);
}

static void crash(struct fixture *f)
{
    (void)f;
    test_postgres_kill(server);
    test_postgres_start(server);
}

static void terminate(struct fixture *f)
{
    struct pg_pool *other = NULL;
    struct pg_pool_config config = { .conninfo = test_postgres_conninfo(server, "postgres"),
                                     .application = "test_pg_other" };
    struct pg_conn *conn;
    struct pg_result *r;

    other = pg_pool_new(&config);
    ok(f, pg_acquire(other, &conn, &f->err));
    ok(f, PG_RUN(conn, f->a, &terminate_others, &r, &f->err, pg_text("test_pg")));
    assert_int_equal(pg_get_int(r, 0, 0), 3);
    for (int64_t left = -1; left != 0;) {
        ok(f, PG_RUN(conn, f->a, &count_sessions, &r, &f->err, pg_text("test_pg")));
        left = pg_get_int(r, 0, 0);
    }
    pg_release(conn);
    pg_pool_free(other);
}

static void test_recovers(void **state)
{
    expect_recovery(*state, terminate);
    expect_recovery(*state, restart);
    expect_recovery(*state, crash);
}

static void test_breaks_in_use(void **state)
{
    struct fixture *f = *state;
    struct pg_conn *conn = acquire(f);
    struct pg_tx tx = { 0 };

    ok(f, pg_begin(conn, &tx, &f->err));
    ok(f, PG_RUN0(conn, f->a, &select_one, NULL, &f->err));
    restart(f);
    assert_int_equal(PG_RUN0(conn, f->a, &select_one, NULL, &f->err), -1);
    assert_ptr_equal(f->err.code, &E_UNAVAILABLE);
    assert_int_equal(PG_RUN0(conn, f->a, &select_one, NULL, &f->err), -1);
    assert_ptr_equal(f->err.code, &E_UNAVAILABLE);
    assert_int_equal(pg_commit(&tx, &f->err), -1);
    assert_ptr_equal(f->err.code, &E_UNAVAILABLE);
    pg_release(conn);
    conn = acquire(f);
    ok(f, PG_RUN0(conn, f->a, &select_one, NULL, &f->err));
    pg_release(conn);
}

static void test_stopped_server(void **state)
{
    struct fixture *f = *state;
    int64_t began;
    int runs = 0;

    ok(f, pg_with(f->pool, f->a, run_select_one, &runs, &f->err));
    test_postgres_stop(server);
    began = clock_mono_ms();
    assert_int_equal(pg_with(f->pool, f->a, run_select_one, &runs, &f->err), -1);
    assert_ptr_equal(f->err.code, &E_UNAVAILABLE);
    assert_int_equal(pg_transact(f->pool, f->a, run_select_one, &runs, &f->err), -1);
    assert_ptr_equal(f->err.code, &E_UNAVAILABLE);
    assert_true(clock_mono_ms() - began < 2000);
    assert_int_equal(runs, 1);
    test_postgres_start(server);
    ok(f, pg_with(f->pool, f->a, run_select_one, &runs, &f->err));
}

static void test_frozen_server(void **state)
{
    struct fixture *f = *state;
    int64_t began;
    int runs = 0;

    ok(f, pg_with(f->pool, f->a, run_select_one, &runs, &f->err));
    clock_sleep_ms(1100);
    test_postgres_freeze(server);
    began = clock_mono_ms();
    assert_int_equal(pg_with(f->pool, f->a, run_select_one, &runs, &f->err), -1);
    test_postgres_thaw(server);
    assert_ptr_equal(f->err.code, &E_UNAVAILABLE);
    assert_true(clock_mono_ms() - began < 8000);
    assert_int_equal(runs, 1);
    ok(f, pg_with(f->pool, f->a, run_select_one, &runs, &f->err));
}

static void test_statement_timeout(void **state)
{
    static const struct pg_stmt nap = { "nap", "SELECT pg_sleep(20)", "" };
    struct fixture *f = *state;
    struct pg_pool_config config = { .conninfo =
                                         arena_printf(f->a, "%s options='-c statement_timeout=100'",
                                                      test_postgres_conninfo(server, "postgres")) };
    struct pg_pool *pool = pg_pool_new(&config);
    struct pg_conn *conn;

    ok(f, pg_acquire(pool, &conn, &f->err));
    assert_int_equal(PG_RUN0(conn, f->a, &nap, NULL, &f->err), -1);
    assert_ptr_equal(f->err.code, &E_UNAVAILABLE);
    ok(f, PG_RUN0(conn, f->a, &select_one, NULL, &f->err));
    pg_release(conn);
    pg_pool_free(pool);
}

static void test_default_limits(void **state)
{
    static const struct pg_stmt show = {
        "show",
        "SELECT current_setting('statement_timeout'), current_setting('lock_timeout'),"
        " current_setting('application_name')",
        ""
    };
    struct fixture *f = *state;
    struct pg_conn *conn = acquire(f);
    struct pg_result *r;

    ok(f, PG_RUN0(conn, f->a, &show, &r, &f->err));
    assert_string_equal(pg_get_text(r, 0, 0), "30s");
    assert_string_equal(pg_get_text(r, 0, 1), "10s");
    assert_string_equal(pg_get_text(r, 0, 2), "test_pg");
    pg_release(conn);
}

static void *release_later(void *conn)
{
    clock_sleep_ms(300);
    pg_release(conn);
    return NULL;
}

static void test_busy_pool(void **state)
{
    struct fixture *f = *state;
    struct pg_pool *small = new_pool(1, 0, 400);
    struct pg_conn *conn, *second;
    pthread_t thread;

    ok(f, pg_acquire(small, &conn, &f->err));
    assert_int_equal(pg_acquire(small, &second, &f->err), -1);
    assert_ptr_equal(f->err.code, &E_UNAVAILABLE);
    assert_int_equal(pthread_create(&thread, NULL, release_later, conn), 0);
    ok(f, pg_acquire(small, &second, &f->err));
    assert_int_equal(pthread_join(thread, NULL), 0);
    pg_release(second);
    pg_pool_free(small);
}

static void *free_later(void *pool)
{
    clock_sleep_ms(500);
    pg_pool_free(pool);
    return NULL;
}

static void test_full_server(void **state)
{
    struct fixture *f = *state;
    struct pg_pool *hog = new_pool(MAX_CONNECTIONS, 0, 3000);
    struct pg_pool *patient = new_pool(1, 0, 5000), *hasty = new_pool(1, 0, 300);
    struct pg_conn *conns[MAX_CONNECTIONS], *conn;
    pthread_t thread;

    for (size_t i = 0; i < MAX_CONNECTIONS; i++)
        ok(f, pg_acquire(hog, &conns[i], &f->err));
    assert_int_equal(pg_acquire(hasty, &conn, &f->err), -1);
    assert_ptr_equal(f->err.code, &E_UNAVAILABLE);
    for (size_t i = 0; i < MAX_CONNECTIONS; i++)
        pg_release(conns[i]);
    assert_int_equal(pthread_create(&thread, NULL, free_later, hog), 0);
    ok(f, pg_acquire(patient, &conn, &f->err));
    assert_int_equal(pthread_join(thread, NULL), 0);
    pg_release(conn);
    pg_pool_free(patient);
    pg_pool_free(hasty);
}

static void test_idle_close(void **state)
{
    struct fixture *f = *state;
    struct pg_pool_config config = { .conninfo = test_postgres_conninfo(server, "postgres"),
                                     .application = "test_idle",
                                     .idle_close_ms = 200 };
    struct pg_pool *pool = pg_pool_new(&config);
    struct pg_conn *conns[3], *observer = acquire(f);
    struct pg_result *r;
    int64_t left = 3;

    for (size_t i = 0; i < 3; i++)
        ok(f, pg_acquire(pool, &conns[i], &f->err));
    for (size_t i = 0; i < 3; i++)
        pg_release(conns[i]);
    pg_pool_tidy(pool);
    ok(f, PG_RUN(observer, f->a, &count_sessions, &r, &f->err, pg_text("test_idle")));
    assert_int_equal(pg_get_int(r, 0, 0), 3);
    clock_sleep_ms(250);
    /* Fresh use keeps one of them. */
    ok(f, pg_acquire(pool, &conns[0], &f->err));
    pg_release(conns[0]);
    pg_pool_tidy(pool);
    for (int i = 0; i < 100 && left != 1; i++, clock_sleep_ms(20)) {
        ok(f, PG_RUN(observer, f->a, &count_sessions, &r, &f->err, pg_text("test_idle")));
        left = pg_get_int(r, 0, 0);
    }
    assert_int_equal(left, 1);
    pg_release(observer);
    pg_pool_free(pool);
}

static void test_counts_statements(void **state)
{
    struct fixture *f = *state;
    int runs = 0;

    assert_int_equal(pg_pool_statements(f->pool), 0);
    ok(f, pg_with(f->pool, f->a, run_select_one, &runs, &f->err));
    assert_int_equal(pg_pool_statements(f->pool), 1);
    ok(f, pg_transact(f->pool, f->a, run_select_one, &runs, &f->err));
    assert_int_equal(pg_pool_statements(f->pool), 4);
}

static void notify(struct fixture *f, const char *payload)
{
    static const struct pg_stmt stmt = { "notify", "SELECT pg_notify('news \"x\"', $1)", "text" };
    struct pg_conn *conn = acquire(f);

    ok(f, PG_RUN(conn, f->a, &stmt, NULL, &f->err, pg_text(payload)));
    pg_release(conn);
}

static void test_listener(void **state)
{
    struct fixture *f = *state;
    struct pg_listener *l;
    const char *payload;
    int wake[2];

    assert_int_equal(pg_listener_new("=", "x", &l, &f->err), -1);
    ok(f, pg_listener_new(test_postgres_conninfo(server, "postgres"), "news \"x\"", &l, &f->err));
    assert_int_equal(pg_listener_wait(l, f->a, -1, 50, &payload, &f->err), 0);
    notify(f, "one");
    notify(f, "two");
    assert_int_equal(pg_listener_wait(l, f->a, -1, 5000, &payload, &f->err), 1);
    assert_string_equal(payload, "one");
    assert_int_equal(pg_listener_wait(l, f->a, -1, 5000, &payload, &f->err), 1);
    assert_string_equal(payload, "two");
    assert_int_equal(pipe(wake), 0);
    assert_int_equal(write(wake[1], "x", 1), 1);
    assert_int_equal(pg_listener_wait(l, f->a, wake[0], 60000, &payload, &f->err), 0);
    close(wake[0]);
    close(wake[1]);
    /* A gap is told as one, and what comes after it is heard. */
    test_postgres_stop(server);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pg_listener_wait(l, f->a, -1, 1000, &payload, &f->err), -1);
        assert_ptr_equal(f->err.code, &E_UNAVAILABLE);
    }
    test_postgres_start(server);
    assert_int_equal(pg_listener_wait(l, f->a, -1, 5000, &payload, &f->err), 1);
    assert_string_equal(payload, "");
    notify(f, "three");
    assert_int_equal(pg_listener_wait(l, f->a, -1, 5000, &payload, &f->err), 1);
    assert_string_equal(payload, "three");
    pg_listener_free(l);
    pg_listener_free(NULL);
}

int main(void)
{
    static const char *const settings[] = { "max_connections=12",
                                            "superuser_reserved_connections=0",
                                            "deadlock_timeout=100ms", "shared_buffers=8MB", NULL };
    static const struct CMUnitTest tests[] = {
        T(test_read_types),
        T(test_pass_types),
        T(test_arrays),
        T(test_large_values),
        T(test_codes),
        T(test_misdeclared),
        T(test_transaction),
        T(test_deadlock_is_repeated),
        T(test_refusal_is_final),
        T(test_recovers),
        T(test_breaks_in_use),
        T(test_stopped_server),
        T(test_frozen_server),
        T(test_statement_timeout),
        T(test_default_limits),
        T(test_busy_pool),
        T(test_full_server),
        T(test_idle_close),
        T(test_counts_statements),
        T(test_listener),
    };
    int failed;

    server = test_postgres_new(settings);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_postgres_free(server);
    return failed;
}

/* Transactions, and the only loop that repeats database work: on serialization failures and
 * deadlocks, and once when the connection turned out dead before any work was done on it. */
#include "common/pg/pg.h"

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/pg/conn.h"
#include "common/pg/pool.h"

#define REPEATS_MAX  10
#define PAUSE_MIN_MS 4
#define PAUSE_MAX_MS 250

/* What a failed attempt allows. */
enum verdict { FINAL, REPEAT_CONTENTION, REPEAT_FRESH };

static const struct pg_stmt commit = { "tx_commit", "COMMIT", "" };

typedef int attempt_fn(struct pg_pool *pool, struct arena *a, pg_work *fn, void *ctx,
                       enum verdict *ret_verdict, struct error *err);

int pg_begin(struct pg_conn *conn, struct pg_tx *tx, struct error *err)
{
    if (conn->is_broken)
        return fail_cause(err, &E_UNAVAILABLE, "BEGIN: the connection broke before");
    conn->sqlstate[0] = '\0';
    conn->is_begin_due = true;
    tx->conn = conn;
    return 0;
}

int pg_commit(struct pg_tx *tx, struct error *err)
{
    struct pg_conn *conn = tx->conn;
    bool is_committed = false;
    const struct flight_leg leg = { .stmt = &commit, .ret_is_committed = &is_committed };

    if (conn->is_broken) {
        tx->conn = NULL;
        return fail_cause(err, &E_UNAVAILABLE, "COMMIT: the connection broke before");
    }
    /* A failure of what was queued leaves a transaction to be rolled back. */
    if (flight_add(conn, &leg, NULL, err) || flight_land(conn, err))
        return -1;
    tx->conn = NULL;
    /* A transaction in which a statement failed answers COMMIT with success and "ROLLBACK". */
    if (!is_committed)
        return fail_cause(err,
                          sqlstate_is_contention(conn->sqlstate) ? &E_UNAVAILABLE : &E_INTERNAL,
                          "COMMIT: the transaction had failed with %s", conn->sqlstate);
    return 0;
}

void pg_tx_end(struct pg_tx *tx)
{
    struct pg_conn *conn = tx->conn;
    struct error ignored;
    PGresult *res;

    tx->conn = NULL;
    if (!conn || conn->is_broken)
        return;
    if (conn->is_begin_due) {
        conn->is_begin_due = false;
        return;
    }
    /* What was queued goes first, but the frames that asked for it may be gone. */
    flight_forget(conn);
    if (flight_land(conn, &ignored) && conn->is_broken)
        return;
    res = conn_exec(conn, "ROLLBACK", &ignored);
    if (!res)
        conn->is_broken = true;
    PQclear(res);
}

static int run_in_transaction(struct pg_conn *conn, struct arena *a, pg_work *fn, void *ctx,
                              struct error *err)
{
    _cleanup_(pg_tx_end) struct pg_tx tx = { 0 };

    if (pg_begin(conn, &tx, err) || fn(conn, a, ctx, err))
        return -1;
    return pg_commit(&tx, err);
}

static int attempt_transaction(struct pg_pool *pool, struct arena *a, pg_work *fn, void *ctx,
                               enum verdict *ret_verdict, struct error *err)
{
    _cleanup_(pg_releasep) struct pg_conn *conn = NULL;

    *ret_verdict = FINAL;
    if (pg_acquire(pool, &conn, err))
        return -1;
    if (run_in_transaction(conn, a, fn, ctx, err) == 0)
        return 0;
    if (conn->is_broken && !conn->has_executed)
        *ret_verdict = REPEAT_FRESH;
    else if (!conn->is_broken && sqlstate_is_contention(conn->sqlstate))
        *ret_verdict = REPEAT_CONTENTION;
    return -1;
}

/* Without a transaction a statement may have taken effect although the connection broke, so only
 * one that was never sent is repeated. */
static int attempt_single(struct pg_pool *pool, struct arena *a, pg_work *fn, void *ctx,
                          enum verdict *ret_verdict, struct error *err)
{
    _cleanup_(pg_releasep) struct pg_conn *conn = NULL;

    *ret_verdict = FINAL;
    if (pg_acquire(pool, &conn, err))
        return -1;
    if (fn(conn, a, ctx, err) == 0 && flight_land(conn, err) == 0)
        return 0;
    if (conn->is_broken && !conn->has_executed)
        *ret_verdict = REPEAT_FRESH;
    return -1;
}

static int repeat(attempt_fn *attempt, struct pg_pool *pool, struct arena *a, pg_work *fn,
                  void *ctx, struct error *err)
{
    int64_t pause = PAUSE_MIN_MS;
    bool was_refreshed = false;
    enum verdict verdict;

    for (int repeats = 0;;) {
        if (attempt(pool, a, fn, ctx, &verdict, err) == 0)
            return 0;
        if (verdict == REPEAT_FRESH && !was_refreshed) {
            was_refreshed = true;
            pool_forget_idle(pool);
        } else if (verdict == REPEAT_CONTENTION && repeats < REPEATS_MAX) {
            repeats++;
            clock_sleep_ms(conn_jitter(pause));
            pause = pause * 2 < PAUSE_MAX_MS ? pause * 2 : PAUSE_MAX_MS;
        } else {
            return -1;
        }
    }
}

int pg_transact(struct pg_pool *pool, struct arena *a, pg_work *fn, void *ctx, struct error *err)
{
    return repeat(attempt_transaction, pool, a, fn, ctx, err);
}

int pg_with(struct pg_pool *pool, struct arena *a, pg_work *fn, void *ctx, struct error *err)
{
    return repeat(attempt_single, pool, a, fn, ctx, err);
}

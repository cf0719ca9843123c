/* Statements that share a round trip (libpq's pipeline mode). What is queued waits in libpq's buffer until
 * the flight lands: then the server works through it in order, and the first failure makes it skip the
 * rest. */
#include "common/pg/conn.h"

#include "common/base/error.h"
#include "common/pg/pg.h"
#include "common/pg/result.h"

static const struct pg_stmt begin = { "tx_begin", "BEGIN", "" };

static int note(struct pg_conn *conn, int is_sent, const struct flight_leg *leg, struct error *err)
{
    if (!is_sent)
        return conn_fail_broken(conn, leg->stmt->name, PQerrorMessage(conn->pq), err);
    conn->legs[conn->leg_count++] = *leg;
    return 0;
}

/* Queues it, and before it its own preparation. */
static int add(struct pg_conn *conn, const struct flight_leg *leg, const struct stmt_params *params,
               struct error *err)
{
    const struct pg_stmt *stmt = leg->stmt;
    struct flight_leg preparing = { .stmt = stmt, .is_preparing = true };

    if (!conn_has_prepared(conn, stmt->name)) {
        int is_sent = stmt_send_prepare(conn, stmt, err);

        if (is_sent < 0 || note(conn, is_sent, &preparing, err))
            return -1;
        conn_add_prepared(conn, stmt->name);
    }
    conn_count(conn);
    return note(conn, stmt_send(conn, stmt, params), leg, err);
}

static int open_flight(struct pg_conn *conn, const char *what, struct error *err)
{
    if (conn->leg_count > 0)
        return 0;
    if (!PQenterPipelineMode(conn->pq))
        return conn_fail_broken(conn, what, PQerrorMessage(conn->pq), err);
    conn->has_begin_leg = conn->is_begin_due;
    conn->is_begin_due = false;
    return conn->has_begin_leg ? add(conn, &(struct flight_leg){ .stmt = &begin }, NULL, err) : 0;
}

int flight_add(struct pg_conn *conn, const struct flight_leg *leg, const struct stmt_params *params,
               struct error *err)
{
    if (conn->leg_count + 2 > FLIGHT_LEGS_MAX && flight_land(conn, err))
        return -1;
    return open_flight(conn, leg->stmt->name, err) || add(conn, leg, params, err) ? -1 : 0;
}

void flight_forget(struct pg_conn *conn)
{
    for (size_t i = 0; i < conn->leg_count; i++)
        conn->legs[i].ret = NULL;
}

/* The answer to one leg; aborted ones have told their reason with an earlier one. */
static int take_answer(struct pg_conn *conn, struct flight_leg *leg, PGresult *res,
                       bool is_failed, struct error *err)
{
    ExecStatusType status = PQresultStatus(res);
    bool is_good = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;

    if (!is_good) {
        if (leg->is_preparing)
            conn_drop_prepared(conn, leg->stmt->name);
        if (!is_failed)
            (void)conn_fail_result(conn, res, leg->stmt->name, err);
        PQclear(res);
        return -1;
    }
    if (leg->ret_is_committed)
        *leg->ret_is_committed = strcmp(PQcmdStatus(res), "COMMIT") == 0;
    if (leg->is_preparing || is_failed) {
        PQclear(res);
        return 0;
    }
    return result_new(leg->arena, res, leg->stmt->name, leg->ret, err);
}

/* Reads until the end of the flight, which the server marks also after a failure. */
static int take_answers(struct pg_conn *conn, size_t count, struct error *err)
{
    bool is_failed = false, was_gap = false;
    size_t at = 0;

    for (;;) {
        PGresult *res = NULL;

        if (conn_next_result(conn, conn_deadline(conn), "pipeline", &res, err))
            return -1;
        if (res && PQresultStatus(res) == PGRES_PIPELINE_SYNC) {
            PQclear(res);
            return is_failed ? -1 : 0;
        }
        if (!res && !was_gap && at < count) {
            was_gap = true; /* between the answers to two legs */
            at++;
            continue;
        }
        if (!res || at >= count) {
            PQclear(res);
            return is_failed ? -1
                             : conn_fail_broken(conn, "pipeline", PQerrorMessage(conn->pq), err);
        }
        was_gap = false;
        if (take_answer(conn, &conn->legs[at], res, is_failed, err))
            is_failed = true;
        if (conn->is_broken)
            return -1;
    }
}

int flight_land(struct pg_conn *conn, struct error *err)
{
    size_t count = conn->leg_count;
    bool is_decisive = !conn->has_begin_leg;
    int rc;

    if (count == 0)
        return 0;
    for (size_t i = 0; i < count; i++)
        is_decisive |= conn->legs[i].ret_is_committed != NULL;
    /* What is lost with the connection before any COMMIT was sent never happened. */
    conn->has_executed |= is_decisive;
    conn->leg_count = 0;
    if (conn->is_broken)
        return fail_cause(err, &E_UNAVAILABLE, "pipeline: the connection broke before");
    if (!PQpipelineSync(conn->pq))
        return conn_fail_broken(conn, "pipeline", PQerrorMessage(conn->pq), err);
    if (conn_flush(conn, conn_deadline(conn), "pipeline", err))
        return -1;
    rc = take_answers(conn, count, err);
    if (!conn->is_broken && !PQexitPipelineMode(conn->pq))
        return conn_fail_broken(conn, "pipeline", PQerrorMessage(conn->pq), err);
    conn->has_executed |= rc == 0;
    return rc;
}

/* The check of one statement against the server and its schema, for tests that walk all statement
 * tables. */
#include "common/pg/pg.h"

#include <ctype.h>

#include "common/base/error.h"
#include "common/pg/conn.h"

static bool uses_param(const char *text, int number)
{
    for (const char *p = strchr(text, '$'); p; p = strchr(p + 1, '$')) {
        if (isdigit((unsigned char)p[1]) && strtol(p + 1, NULL, 10) == number)
            return true;
    }
    return false;
}

static int check(const PGresult *res, const struct pg_stmt *stmt, struct error *err)
{
    int declared = (int)stmt_param_count(stmt);

    if (PQnparams(res) != declared)
        return fail_cause(err, &E_INTERNAL, "%s: %d parameters, %d declared", stmt->name,
                          PQnparams(res), declared);
    for (int i = 1; i <= declared; i++) {
        if (!uses_param(stmt->text, i))
            return fail_cause(err, &E_INTERNAL, "%s: parameter $%d is not used", stmt->name, i);
    }
    for (int i = 0; i < PQnfields(res); i++) {
        if (!result_can_read(PQftype(res, i)))
            return fail_cause(err, &E_INTERNAL, "%s: column '%s' has type %u: cast it", stmt->name,
                              PQfname(res, i), PQftype(res, i));
    }
    return 0;
}

int pg_describe(struct pg_conn *conn, const struct pg_stmt *stmt, struct error *err)
{
    PGresult *res;
    int rc;

    if (conn_prepare(conn, stmt, err))
        return -1;
    res = conn_await(conn, PQsendDescribePrepared(conn->pq, stmt->name), stmt->name, err);
    if (!res)
        return -1;
    rc = check(res, stmt, err);
    PQclear(res);
    return rc;
}

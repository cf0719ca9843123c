/* Running statements: prepared lazily per connection under their own name, parameters sent in text
 * form with their declared type (bytea in binary), results always in binary. */
#include "common/pg/pg.h"

#include <inttypes.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/pg/conn.h"
#include "common/pg/result.h"

#define ARGS_MAX     64
#define NAME_MAX_LEN 63 /* the server's hash key: NAMEDATALEN - 1 */
#define INT_TEXT_LEN 21

/* pg_type.dat: Oids below 10000 never change. */
static const struct {
    const char *name;
    Oid oid;
} types[] = {
    { "bool", 16 },     { "bytea", 17 },     { "int8", 20 },
    { "int2", 21 },     { "int4", 23 },      { "text", 25 },
    { "json", 114 },    { "cidr", 650 },     { "float8", 701 },
    { "inet", 869 },    { "date", 1082 },    { "timestamptz", 1184 },
    { "uuid", 2950 },   { "jsonb", 3802 },   { "xid8", 5069 },
    { "bool[]", 1000 }, { "bytea[]", 1001 }, { "int4[]", 1007 },
    { "text[]", 1009 }, { "int8[]", 1016 },  { "timestamptz[]", 1185 },
    { "uuid[]", 2951 }, { "jsonb[]", 3807 },
};

/* Storage of one call's parameters in the shape libpq wants. */
struct stmt_params {
    size_t count;
    const char *values[ARGS_MAX];
    int lengths[ARGS_MAX];
    int formats[ARGS_MAX];
    char numbers[ARGS_MAX][INT_TEXT_LEN];
};

static bool type_oid(const char *name, size_t len, Oid *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (strlen(types[i].name) == len && memcmp(types[i].name, name, len) == 0) {
            *ret = types[i].oid;
            return true;
        }
    }
    return false;
}

/* Declared types to Oids; the number of them, or -1. */
static int stmt_types(const struct pg_stmt *stmt, Oid ret[ARGS_MAX], struct error *err)
{
    int count = 0;

    for (const char *p = stmt->types + strspn(stmt->types, " "); *p; p += strspn(p, " ")) {
        size_t len = strcspn(p, " ");

        if (count == ARGS_MAX)
            return fail_cause(err, &E_INTERNAL, "%s: over %d parameters", stmt->name, ARGS_MAX);
        if (!type_oid(p, len, &ret[count]))
            return fail_cause(err, &E_INTERNAL, "%s: unknown type '%.*s'", stmt->name, (int)len, p);
        count++;
        p += len;
    }
    return count;
}

size_t stmt_param_count(const struct pg_stmt *stmt)
{
    size_t count = 0;

    for (const char *p = stmt->types + strspn(stmt->types, " "); *p; p += strspn(p, " ")) {
        p += strcspn(p, " ");
        count++;
    }
    return count;
}

int stmt_send_prepare(struct pg_conn *conn, const struct pg_stmt *stmt, struct error *err)
{
    Oid oids[ARGS_MAX];
    int count;

    if (strlen(stmt->name) > NAME_MAX_LEN)
        return fail_cause(err, &E_INTERNAL, "statement name '%s' is too long", stmt->name);
    count = stmt_types(stmt, oids, err);
    if (count < 0)
        return -1;
    return PQsendPrepare(conn->pq, stmt->name, stmt->text, count, oids);
}

int stmt_send(struct pg_conn *conn, const struct pg_stmt *stmt, const struct stmt_params *params)
{
    if (!params)
        return PQsendQueryPrepared(conn->pq, stmt->name, 0, NULL, NULL, NULL, 1);
    return PQsendQueryPrepared(conn->pq, stmt->name, (int)params->count, params->values,
                               params->lengths, params->formats, 1);
}

int conn_prepare(struct pg_conn *conn, const struct pg_stmt *stmt, struct error *err)
{
    PGresult *res;
    int is_sent;

    if (conn_has_prepared(conn, stmt->name))
        return 0;
    is_sent = stmt_send_prepare(conn, stmt, err);
    if (is_sent < 0)
        return -1;
    res = conn_await(conn, is_sent, stmt->name, err);
    if (!res)
        return -1;
    PQclear(res);
    conn_add_prepared(conn, stmt->name);
    return 0;
}

/* An array literal: {"a","b \"c\"",NULL}. Every element is quoted, so any element type reads it. */
static char *array_text(struct arena *a, const char *const *items, size_t count)
{
    size_t size = 3;
    char *out, *p;

    for (size_t i = 0; i < count; i++)
        size += items[i] ? 2 * strlen(items[i]) + 3 : 5;
    p = out = arena_alloc(a, size);
    *p++ = '{';
    for (size_t i = 0; i < count; i++) {
        if (i)
            *p++ = ',';
        if (!items[i]) {
            memcpy(p, "NULL", 4);
            p += 4;
            continue;
        }
        *p++ = '"';
        for (const char *s = items[i]; *s; s++) {
            if (*s == '"' || *s == '\\')
                *p++ = '\\';
            *p++ = *s;
        }
        *p++ = '"';
    }
    *p++ = '}';
    *p = '\0';
    return out;
}

static int set_param(struct arena *a, struct stmt_params *params, size_t i, const struct pg_arg *arg,
                     struct error *err)
{
    switch (arg->kind) {
    case PG_NULL:
        return 0;
    case PG_TEXT:
        params->values[i] = arg->v.text;
        return 0;
    case PG_INT:
        (void)snprintf(params->numbers[i], INT_TEXT_LEN, "%" PRId64, arg->v.integer);
        params->values[i] = params->numbers[i];
        return 0;
    case PG_BOOL:
        params->values[i] = arg->v.boolean ? "t" : "f";
        return 0;
    case PG_BYTES:
        if (arg->v.bytes.len > INT32_MAX)
            return fail(err, &E_TOO_LARGE, "The value is too large to store.");
        params->values[i] = arg->v.bytes.data;
        params->lengths[i] = (int)arg->v.bytes.len;
        params->formats[i] = 1;
        return 0;
    case PG_TEXTS:
        params->values[i] = array_text(a, arg->v.texts.items, arg->v.texts.count);
        return 0;
    case PG_KIND_MAX:
        break;
    }
    return fail_cause(err, &E_INTERNAL, "parameter %zu has no kind", i + 1);
}

static int set_params(struct arena *a, const struct pg_stmt *stmt, const struct pg_arg *args,
                      size_t nargs, struct stmt_params *params, struct error *err)
{
    if (nargs != stmt_param_count(stmt) || nargs > ARGS_MAX)
        return fail_cause(err, &E_INTERNAL, "%s: %zu arguments for types '%s'", stmt->name, nargs,
                          stmt->types);
    params->count = nargs;
    memset(params->values, 0, sizeof(params->values[0]) * nargs);
    memset(params->formats, 0, sizeof(params->formats[0]) * nargs);
    for (size_t i = 0; i < nargs; i++) {
        if (set_param(a, params, i, &args[i], err))
            return -1;
    }
    return 0;
}

int pg_queue(struct pg_conn *conn, struct arena *a, const struct pg_stmt *stmt,
             const struct pg_arg *args, size_t nargs, struct pg_result **ret, struct error *err)
{
    const struct flight_leg leg = { .stmt = stmt, .arena = a, .ret = ret };
    struct stmt_params params;

    if (conn->is_broken)
        return fail_cause(err, &E_UNAVAILABLE, "%s: the connection broke before", stmt->name);
    if (set_params(a, stmt, args, nargs, &params, err))
        return -1;
    return flight_add(conn, &leg, &params, err);
}

int pg_land(struct pg_conn *conn, struct error *err)
{
    return flight_land(conn, err);
}

int pg_run(struct pg_conn *conn, struct arena *a, const struct pg_stmt *stmt,
           const struct pg_arg *args, size_t nargs, struct pg_result **ret, struct error *err)
{
    struct stmt_params params;
    PGresult *res;

    if (conn->is_begin_due || conn->leg_count > 0)
        return pg_queue(conn, a, stmt, args, nargs, ret, err) || flight_land(conn, err) ? -1 : 0;
    if (conn->is_broken)
        return fail_cause(err, &E_UNAVAILABLE, "%s: the connection broke before", stmt->name);
    if (set_params(a, stmt, args, nargs, &params, err) || conn_prepare(conn, stmt, err))
        return -1;
    conn->has_executed = true;
    conn_count(conn);
    res = conn_await(conn, stmt_send(conn, stmt, &params), stmt->name, err);
    if (!res)
        return -1;
    return result_new(a, res, stmt->name, ret, err);
}

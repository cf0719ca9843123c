/* Opening a PostgreSQL connection with defaults that fail fast, talking over it with a deadline of
 * our own (a frozen server answers nothing, so its statement_timeout does not help), and mapping
 * SQLSTATEs to error codes: the only table that does. */
#include "common/pg/conn.h"

#include <errno.h>
#include <poll.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/crypto/digest.h"

#define STATEMENT_MAX_MS 30000
#define ANSWER_MAX_MS    (STATEMENT_MAX_MS + 5000)
#define TIME_LIMITS                                                                                \
    "-c statement_timeout=30000 -c lock_timeout=10000"                                             \
    " -c idle_in_transaction_session_timeout=60000"
#define NO_TIME_LIMITS   "-c statement_timeout=0 -c lock_timeout=0"
#define QUICK_REFUSAL_MS 1000
#define PING_AFTER_MS    1000
#define PING_MAX_MS      2000

/* PostgreSQL appendix A. The first row whose text begins the SQLSTATE decides. */
static const struct {
    const char *prefix;
    const struct error_code *code;
    bool is_fatal; /* the connection is of no more use */
} states[] = {
    { "23505", &E_CONFLICT, false },    /* unique_violation */
    { "23P01", &E_CONFLICT, false },    /* exclusion_violation */
    { "40001", &E_UNAVAILABLE, false }, /* serialization_failure */
    { "40P01", &E_UNAVAILABLE, false }, /* deadlock_detected */
    { "55P03", &E_UNAVAILABLE, false }, /* lock_not_available */
    { "57014", &E_UNAVAILABLE, false }, /* query_canceled: statement_timeout */
    { "57P", &E_UNAVAILABLE, true },    /* shut down, crashed, starting, idle too long */
    { "25P03", &E_UNAVAILABLE, true },  /* idle_in_transaction_session_timeout */
    { "25006", &E_UNAVAILABLE, true },  /* read_only_sql_transaction: a former primary */
    { "08P01", &E_INTERNAL, true },     /* protocol_violation */
    { "08", &E_UNAVAILABLE, true },     { "53100", &E_NO_SPACE, false }, /* disk_full */
    { "53300", &E_UNAVAILABLE, true },  { "53", &E_UNAVAILABLE, false },
    { "0A000", &E_INTERNAL, true }, /* also: a cached plan that a migration made stale */
};

void *must_have(void *p)
{
    if (!p) {
        log_note(LOG_ERROR, "out-of-memory", "common/pg");
        abort();
    }
    return p;
}

bool sqlstate_is_contention(const char *sqlstate)
{
    return strcmp(sqlstate, "40001") == 0 || strcmp(sqlstate, "40P01") == 0;
}

int64_t conn_jitter(int64_t ms)
{
    uint32_t noise;

    random_bytes(&noise, sizeof(noise));
    return ms / 2 + (int64_t)(noise % (uint32_t)(ms / 2 + 1));
}

static void ignore_notice(void *ctx, const PGresult *res)
{
    (void)ctx;
    (void)res;
}

/* Finds the SQLSTATE in a verbose message: "FATAL:  53300: sorry, too many clients already". The
 * words around it depend on the server's language. */
static bool find_sqlstate(const char *message, char ret[SQLSTATE_LEN + 1])
{
    for (const char *p = strstr(message, ":  "); p; p = strstr(p + 1, ":  ")) {
        size_t len = strspn(p + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ");

        if (len == SQLSTATE_LEN && p[3 + len] == ':') {
            memcpy(ret, p + 3, SQLSTATE_LEN);
            ret[SQLSTATE_LEN] = '\0';
            return true;
        }
    }
    return false;
}

/* What comes before the conninfo is a default that the conninfo overrides. */
static PGconn *start(const struct conn_options *o)
{
    const char *app = o->application ? o->application : "portolan";
    const char *limits = o->is_unbounded ? NO_TIME_LIMITS : TIME_LIMITS;
    const struct {
        const char *key, *value;
    } params[] = {
        { "connect_timeout", "2" },     { "tcp_user_timeout", "5000" },
        { "keepalives", "1" },          { "keepalives_idle", "10" },
        { "keepalives_interval", "2" }, { "keepalives_count", "3" },
        { "gssencmode", "disable" },    { "application_name", app },
        { "options", limits },          { "dbname", o->conninfo },
        { "client_encoding", "UTF8" },  { o->dbname ? "dbname" : NULL, o->dbname },
    };
    const char *keys[ARRAY_LEN(params) + 1] = { NULL };
    const char *values[ARRAY_LEN(params) + 1] = { NULL };

    for (size_t i = 0; i < ARRAY_LEN(params); i++) {
        keys[i] = params[i].key;
        values[i] = params[i].value;
    }
    return must_have(PQconnectdbParams(keys, values, 1));
}

static bool has_own_options(const char *conninfo)
{
    PQconninfoOption *all = PQconninfoParse(conninfo, NULL);
    bool has = false;

    for (PQconninfoOption *o = all; o && o->keyword; o++)
        has = has || (strcmp(o->keyword, "options") == 0 && o->val);
    PQconninfoFree(all);
    return has;
}

/* libpq tells the SQLSTATE of a refusal only in its verbose message, and verbosity belongs to the
 * connection object: a first quick failure is therefore tried again on that object. */
static void settle(PGconn *pq, int64_t deadline_ms, char ret_sqlstate[SQLSTATE_LEN + 1])
{
    int64_t began = clock_mono_ms();
    int64_t pause = 20;

    ret_sqlstate[0] = '\0';
    PQsetErrorVerbosity(pq, PQERRORS_VERBOSE);
    for (;;) {
        PQreset(pq);
        if (PQstatus(pq) == CONNECTION_OK)
            break;
        if (!find_sqlstate(PQerrorMessage(pq), ret_sqlstate))
            break;
        if (strcmp(ret_sqlstate, "53300") != 0 && strcmp(ret_sqlstate, "57P03") != 0)
            break;
        began = clock_mono_ms();
        if (began + pause >= deadline_ms)
            break;
        clock_sleep_ms(conn_jitter(pause));
        pause = pause < 250 ? pause * 2 : 500;
    }
    PQsetErrorVerbosity(pq, PQERRORS_DEFAULT);
}

int conn_open(const struct conn_options *options, int64_t deadline_ms, struct pg_conn **ret,
              struct conn_refusal *ret_refusal, struct error *err)
{
    int64_t began = clock_mono_ms();
    struct conn_refusal refusal = { 0 };
    PGconn *pq = start(options);
    struct pg_conn *conn;

    if (PQstatus(pq) != CONNECTION_OK && clock_mono_ms() - began < QUICK_REFUSAL_MS)
        settle(pq, deadline_ms, refusal.sqlstate);
    if (PQstatus(pq) != CONNECTION_OK) {
        (void)snprintf(refusal.dbname, sizeof(refusal.dbname), "%s", PQdb(pq) ? PQdb(pq) : "");
        if (ret_refusal)
            *ret_refusal = refusal;
        (void)fail_cause(err, &E_UNAVAILABLE, "connect: %s", PQerrorMessage(pq));
        PQfinish(pq);
        return -1;
    }
    (void)PQsetNoticeReceiver(pq, ignore_notice, NULL);
    if (PQsetnonblocking(pq, 1) != 0) {
        PQfinish(pq);
        return fail_cause(err, &E_UNAVAILABLE, "connect: cannot switch to non-blocking");
    }
    conn = must_have(calloc(1, sizeof(*conn)));
    conn->pq = pq;
    conn->answer_max_ms =
        options->is_unbounded || has_own_options(options->conninfo) ? 0 : ANSWER_MAX_MS;
    *ret = conn;
    return 0;
}

void conn_close(struct pg_conn *conn)
{
    if (!conn)
        return;
    PQfinish(conn->pq);
    free(conn->prepared);
    free(conn);
}

void conn_closep(struct pg_conn **conn)
{
    conn_close(*conn);
}

int conn_fail_broken(struct pg_conn *conn, const char *what, const char *why, struct error *err)
{
    conn->is_broken = true;
    return fail_cause(err, &E_UNAVAILABLE, "%s: %s", what, why);
}

int conn_fail_result(struct pg_conn *conn, const PGresult *res, const char *what,
                     struct error *err)
{
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    const char *constraint = PQresultErrorField(res, PG_DIAG_CONSTRAINT_NAME);
    const struct error_code *code = &E_INTERNAL;

    if (PQstatus(conn->pq) == CONNECTION_BAD)
        conn->is_broken = true;
    if (!state || PQstatus(conn->pq) == CONNECTION_BAD)
        code = &E_UNAVAILABLE;
    if (!state) {
        conn->is_broken = true;
        return fail_cause(err, code, "%s: %s", what, PQresultErrorMessage(res));
    }
    for (size_t i = 0; i < ARRAY_LEN(states); i++) {
        if (strncmp(state, states[i].prefix, strlen(states[i].prefix)) == 0) {
            code = states[i].code;
            conn->is_broken = conn->is_broken || states[i].is_fatal;
            break;
        }
    }
    if (conn->sqlstate[0] == '\0')
        (void)snprintf(conn->sqlstate, sizeof(conn->sqlstate), "%s", state);
    (void)fail_cause(err, code, "%s: %s: %s", what, state, PQresultErrorMessage(res));
    if (constraint && strncmp(state, "23", 2) == 0)
        (void)snprintf(err->target, sizeof(err->target), "%s", constraint);
    return -1;
}

/* Waits for the socket; 0 ready, -1 broken or too late. */
static int wait_socket(struct pg_conn *conn, short events, int64_t deadline_ms, const char *what,
                       struct error *err)
{
    for (;;) {
        struct pollfd fd = { .fd = PQsocket(conn->pq), .events = events };
        int64_t left = deadline_ms ? deadline_ms - clock_mono_ms() : -1;
        int rc;

        if (fd.fd < 0)
            return conn_fail_broken(conn, what, "the connection is closed", err);
        if (deadline_ms && left <= 0)
            return conn_fail_broken(conn, what, "no answer from the server", err);
        rc = poll(&fd, 1, (int)left);
        if (rc > 0)
            return 0;
        if (rc < 0 && errno != EINTR)
            return conn_fail_broken(conn, what, strerror(errno), err);
    }
}

int64_t conn_deadline(const struct pg_conn *conn)
{
    return conn->answer_max_ms ? clock_mono_ms() + conn->answer_max_ms : 0;
}

int conn_flush(struct pg_conn *conn, int64_t deadline_ms, const char *what, struct error *err)
{
    int rc;

    while ((rc = PQflush(conn->pq)) == 1) {
        if (wait_socket(conn, POLLIN | POLLOUT, deadline_ms, what, err))
            return -1;
        /* A server that is itself blocked in sending must be drained. */
        if (!PQconsumeInput(conn->pq))
            return conn_fail_broken(conn, what, PQerrorMessage(conn->pq), err);
    }
    /* A failed flush leaves the server's last words to be read. */
    return 0;
}

int conn_next_result(struct pg_conn *conn, int64_t deadline_ms, const char *what, PGresult **ret,
                     struct error *err)
{
    while (PQisBusy(conn->pq)) {
        if (wait_socket(conn, POLLIN, deadline_ms, what, err))
            return -1;
        if (!PQconsumeInput(conn->pq))
            break; /* PQgetResult makes a failed result of it */
    }
    *ret = PQgetResult(conn->pq);
    return 0;
}

static bool is_failed(const PGresult *res)
{
    ExecStatusType status = PQresultStatus(res);

    return status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_EMPTY_QUERY;
}

static bool is_copy(const PGresult *res)
{
    ExecStatusType status = PQresultStatus(res);

    return status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH;
}

PGresult *conn_await(struct pg_conn *conn, int is_sent, const char *what, struct error *err)
{
    int64_t deadline = conn_deadline(conn);
    PGresult *kept = NULL, *res = NULL;

    if (!is_sent) {
        (void)conn_fail_broken(conn, what, PQerrorMessage(conn->pq), err);
        return NULL;
    }
    if (conn_flush(conn, deadline, what, err))
        return NULL;
    for (;;) {
        if (conn_next_result(conn, deadline, what, &res, err)) {
            PQclear(kept);
            return NULL;
        }
        if (!res)
            break;
        if (is_copy(res)) {
            PQclear(res);
            PQclear(kept);
            (void)conn_fail_broken(conn, what, "COPY is not supported", err);
            return NULL;
        }
        if (kept && is_failed(kept)) {
            PQclear(res);
        } else {
            PQclear(kept);
            kept = res;
        }
    }
    if (!kept) {
        (void)conn_fail_broken(conn, what, PQerrorMessage(conn->pq), err);
        return NULL;
    }
    if (is_failed(kept)) {
        (void)conn_fail_result(conn, kept, what, err);
        PQclear(kept);
        return NULL;
    }
    return kept;
}

void conn_count(struct pg_conn *conn)
{
    if (conn->statements)
        atomic_fetch_add_explicit(conn->statements, 1, memory_order_relaxed);
}

PGresult *conn_exec(struct pg_conn *conn, const char *text, struct error *err)
{
    conn_count(conn);
    return conn_await(conn, PQsendQuery(conn->pq, text), text, err);
}

bool conn_is_alive(struct pg_conn *conn)
{
    struct pollfd fd = { .fd = PQsocket(conn->pq), .events = POLLIN };
    int64_t max_ms = conn->answer_max_ms;
    struct error ignored;
    PGresult *res;

    /* An idle server has nothing to say but farewells (or a changed setting: rare, and a new
     * connection is cheap). */
    if (fd.fd < 0 || poll(&fd, 1, 0) != 0)
        return false;
    if (clock_mono_ms() - conn->idle_since_ms < PING_AFTER_MS)
        return true;
    conn->answer_max_ms = PING_MAX_MS;
    res = conn_await(conn, PQsendQuery(conn->pq, ""), "ping", &ignored);
    conn->answer_max_ms = max_ms;
    PQclear(res);
    return res != NULL;
}

/* FNV-1a. Names are ours and few: 64 bits tell them apart. */
static uint64_t name_hash(const char *name)
{
    uint64_t hash = 0xcbf29ce484222325u;

    for (const char *p = name; *p; p++)
        hash = (hash ^ (uint8_t)*p) * 0x100000001b3u;
    return hash;
}

bool conn_has_prepared(const struct pg_conn *conn, const char *name)
{
    uint64_t hash = name_hash(name);

    for (size_t i = 0; i < conn->nprepared; i++) {
        if (conn->prepared[i] == hash)
            return true;
    }
    return false;
}

void conn_add_prepared(struct pg_conn *conn, const char *name)
{
    if (conn->nprepared == conn->prepared_cap) {
        conn->prepared_cap = conn->prepared_cap ? conn->prepared_cap * 2 : 8;
        conn->prepared =
            must_have(realloc(conn->prepared, conn->prepared_cap * sizeof(*conn->prepared)));
    }
    conn->prepared[conn->nprepared++] = name_hash(name);
}

void conn_drop_prepared(struct pg_conn *conn, const char *name)
{
    uint64_t hash = name_hash(name);

    for (size_t i = 0; i < conn->nprepared; i++) {
        if (conn->prepared[i] == hash) {
            conn->prepared[i] = conn->prepared[--conn->nprepared];
            return;
        }
    }
}

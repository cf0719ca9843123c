/* The migrator. One session lock makes copies that start together take turns; each file and its
 * row in schema_migrations are one transaction, so a kill at any moment leaves whole files. */
#include "common/pg/migrate.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/crypto/digest.h"
#include "common/pg/conn.h"
#include "common/pg/pg.h"

#define FILE_MAX_BYTES (4u << 20)
#define FILES_MAX      10000
#define CONNECT_MAX_MS 10000
#define VERSION_DIGITS 4

/* The key is the word "portolan" in ASCII. The lock goes with the session. */
#define LOCK_SQL  "SELECT pg_advisory_lock(8101820099073958254)"
#define BEGIN_SQL "BEGIN; SET LOCAL lock_timeout = '10s'"
#define TABLE_SQL                                                                                  \
    "CREATE TABLE IF NOT EXISTS schema_migrations (version int PRIMARY KEY, name text NOT NULL,"   \
    " sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"

static const struct pg_stmt list_stmt = {
    "migrate_list", "SELECT version, sha256 FROM schema_migrations ORDER BY version", ""
};
static const struct pg_stmt add_stmt = {
    "migrate_add", "INSERT INTO schema_migrations (version, name, sha256) VALUES ($1, $2, $3)",
    "int4 text text"
};

struct migration {
    int version;
    const char *name; /* file name */
};

/* "NNNN_what.sql" */
static bool parse_name(const char *name, int *ret_version)
{
    size_t len = strlen(name);
    int version = 0;

    if (len < VERSION_DIGITS + 6 || name[VERSION_DIGITS] != '_' ||
        strcmp(name + len - 4, ".sql") != 0)
        return false;
    for (int i = 0; i < VERSION_DIGITS; i++) {
        if (!isdigit((unsigned char)name[i]))
            return false;
        version = version * 10 + (name[i] - '0');
    }
    *ret_version = version;
    return true;
}

static int by_version(const void *x, const void *y)
{
    const struct migration *a = x, *b = y;

    return a->version < b->version ? -1 : a->version > b->version;
}

static bool is_sql(const char *name)
{
    size_t len = strlen(name);

    return name[0] != '.' && len > 4 && strcmp(name + len - 4, ".sql") == 0;
}

static int list_files(struct arena *a, const char *dir, struct migration **ret, size_t *ret_count,
                      struct error *err)
{
    _cleanup_(closedirp) DIR *d = opendir(dir);
    struct migration *list = NULL;
    size_t count = 0, cap = 0;
    struct dirent *e;

    if (!d)
        return fail_errno(err, "open migrations %s", dir);
    while ((e = readdir(d))) {
        if (!is_sql(e->d_name))
            continue;
        if (count == cap) {
            struct migration *more = arena_array(a, cap ? 2 * cap : 32, sizeof(*more));

            if (count)
                memcpy(more, list, count * sizeof(*list));
            cap = cap ? 2 * cap : 32;
            list = more;
        }
        if (count == FILES_MAX || !parse_name(e->d_name, &list[count].version))
            return fail_cause(err, &E_INTERNAL, "%s/%s is not NNNN_what.sql", dir, e->d_name);
        list[count++].name = arena_strdup(a, e->d_name);
    }
    if (count)
        qsort(list, count, sizeof(*list), by_version);
    for (size_t i = 1; i < count; i++) {
        if (list[i].version == list[i - 1].version)
            return fail_cause(err, &E_INTERNAL, "%s and %s have the same number", list[i - 1].name,
                              list[i].name);
    }
    *ret = list;
    *ret_count = count;
    return 0;
}

static int exec(struct pg_conn *conn, const char *text, struct error *err)
{
    PGresult *res = conn_exec(conn, text, err);

    if (!res)
        return -1;
    PQclear(res);
    return 0;
}

static int create_database(const char *conninfo, const char *dbname, struct error *err)
{
    struct conn_options options = { .conninfo = conninfo,
                                    .dbname = "postgres",
                                    .is_unbounded = true };
    _cleanup_(conn_closep) struct pg_conn *conn = NULL;
    char *name, *text;
    int rc;

    if (conn_open(&options, clock_mono_ms() + CONNECT_MAX_MS, &conn, NULL, err))
        return wrap(err, "create database %s", dbname);
    name = must_have(PQescapeIdentifier(conn->pq, dbname, strlen(dbname)));
    /* template0: nobody can be connected to it, and it takes any encoding. */
    if (asprintf(&text, "CREATE DATABASE %s TEMPLATE template0 ENCODING 'UTF8'", name) < 0)
        abort();
    PQfreemem(name);
    rc = exec(conn, text, err);
    free(text);
    /* duplicate_database, or the same noticed by its unique index: another copy was faster. */
    if (rc && (strcmp(conn->sqlstate, "42P04") == 0 || strcmp(conn->sqlstate, "23505") == 0))
        return 0;
    return rc;
}

static int connect_or_create(const char *conninfo, struct pg_conn **ret, struct error *err)
{
    struct conn_options options = { .conninfo = conninfo, .is_unbounded = true };
    int64_t deadline = clock_mono_ms() + CONNECT_MAX_MS;
    struct conn_refusal refusal;

    if (conn_open(&options, deadline, ret, &refusal, err) == 0)
        return 0;
    if (strcmp(refusal.sqlstate, "3D000") != 0) /* invalid_catalog_name */
        return -1;
    if (create_database(conninfo, refusal.dbname, err))
        return -1;
    return conn_open(&options, deadline, ret, NULL, err);
}

/* The row of `version` among the applied ones, or -1. */
static int64_t find_applied(const struct pg_result *applied, int version)
{
    for (size_t i = 0; i < pg_rows(applied); i++) {
        if (pg_get_int(applied, i, 0) == version)
            return (int64_t)i;
    }
    return -1;
}

static int apply(struct pg_conn *conn, struct arena *a, const struct migration *m, const char *text,
                 const char *sha256, struct error *err)
{
    _cleanup_(pg_tx_end) struct pg_tx tx = { 0 };

    if (exec(conn, BEGIN_SQL, err))
        return -1;
    tx.conn = conn;
    if (exec(conn, text, err))
        return wrap(err, "migration %s", m->name);
    if (PQtransactionStatus(conn->pq) != PQTRANS_INTRANS)
        return fail_cause(err, &E_INTERNAL, "migration %s ended its transaction", m->name);
    if (PG_RUN(conn, a, &add_stmt, NULL, err, pg_int(m->version), pg_text(m->name),
               pg_text(sha256)))
        return -1;
    return pg_commit(&tx, err);
}

/* Adds 1 to *applied_count if the file had to be applied. */
static int migrate_file(struct pg_conn *conn, const char *dir, const struct migration *m,
                        const struct pg_result *applied, int *applied_count, struct error *err)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    const char *path = arena_printf(a, "%s/%s", dir, m->name);
    int64_t row = find_applied(applied, m->version);
    size_t rows = pg_rows(applied);
    char hex[2 * SHA512_LEN + 1];
    struct digest digest;
    char *text;
    size_t len;

    if (file_read(a, path, FILE_MAX_BYTES, &text, &len, err))
        return -1;
    digest_of(DIGEST_SHA256, text, len, &digest);
    digest_hex(&digest, hex);
    if (row >= 0 && strcmp(pg_get_text(applied, (size_t)row, 1), hex) != 0)
        return fail_cause(err, &E_INTERNAL, "migration %s was changed after it was applied",
                          m->name);
    if (row >= 0)
        return 0;
    if (rows && pg_get_int(applied, rows - 1, 0) > m->version)
        return fail_cause(err, &E_INTERNAL, "migration %s comes before one already applied",
                          m->name);
    if (strlen(text) != len)
        return fail_cause(err, &E_INTERNAL, "migration %s holds a NUL byte", m->name);
    if (apply(conn, a, m, text, hex, err))
        return -1;
    ++*applied_count;
    return 0;
}

int pg_migrate(const char *conninfo, const char *dir, int *ret_applied, struct error *err)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    _cleanup_(conn_closep) struct pg_conn *conn = NULL;
    struct migration *files = NULL;
    struct pg_result *applied;
    size_t count = 0;
    int done = 0;

    if (list_files(a, dir, &files, &count, err) || connect_or_create(conninfo, &conn, err) ||
        exec(conn, LOCK_SQL, err) || exec(conn, TABLE_SQL, err) ||
        PG_RUN0(conn, a, &list_stmt, &applied, err))
        return wrap(err, "migrate");
    for (size_t i = 0; i < count; i++) {
        if (migrate_file(conn, dir, &files[i], applied, &done, err))
            return wrap(err, "migrate");
    }
    *ret_applied = done;
    return 0;
}

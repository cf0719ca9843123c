/* PostgreSQL through libpq: a pool whose connections open on demand and close when idle, statements
 * from const tables prepared once per connection, typed arguments and readers, transactions that
 * roll back unless committed.
 *
 * Failures: E_UNAVAILABLE when the server cannot be reached or the connection broke (safe to say
 * 503; a broken COMMIT has an unknown outcome), when it was too busy (lock or statement time-out,
 * no connection free, contention that outlasted the repeats) or has become a standby; E_CONFLICT on
 * unique and exclusion violations, E_NO_SPACE when its disk is full, E_INTERNAL for the rest. The
 * name of a violated constraint is err->target. Server texts go to err->cause. */
#ifndef PORTOLAN_PG_PG_H
#define PORTOLAN_PG_PG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;
struct error;
struct pg_conn;
struct pg_pool;
struct pg_result;

struct pg_pool_config {
    const char *conninfo; /* URL or keyword form; several hosts allowed */
    const char *application; /* application_name */
    unsigned max;         /* connections; 0: 8 */
    unsigned idle_close_ms; /* 0: 5,000 */
    unsigned acquire_timeout_ms; /* waiting for a free connection; 0: 5,000 */
    unsigned green_ms; /* how long one that a patient thread opened keeps others from opening; 0: 50 */
};

/* Does not connect yet. Patient threads (common/base/thread.h) come after others, open connections one
 * after the other, and leave the last one alone. */
struct pg_pool *pg_pool_new(const struct pg_pool_config *config);
void pg_pool_free(struct pg_pool *pool); /* all connections must be back */
/* Closes connections idle for longer than idle_close_ms; cheap; call it now and then. */
void pg_pool_tidy(struct pg_pool *pool);
/* Statements executed through the pool since start (BEGIN and COMMIT count; preparing and
 * liveness checks do not). */
uint64_t pg_pool_statements(const struct pg_pool *pool);

MUST_CHECK int pg_acquire(struct pg_pool *pool, struct pg_conn **ret, struct error *err);
void pg_release(struct pg_conn *conn); /* broken ones are dropped; NULL is accepted */
void pg_releasep(struct pg_conn **conn);

/* One row of a statement table; a table ends with a zeroed row. Parameter types are PostgreSQL
 * type names, space-separated, checked against the server by a test: "uuid text jsonb". */
struct pg_stmt {
    const char *name; /* unique in the program */
    const char *text;
    const char *types; /* "" for no parameters */
};

enum pg_kind { PG_NULL, PG_TEXT, PG_INT, PG_BOOL, PG_BYTES, PG_TEXTS, PG_KIND_MAX };

struct pg_arg {
    enum pg_kind kind;
    union {
        const char *text; /* text, uuid, jsonb, timestamptz, inet … in text form */
        int64_t integer;  /* int2, int4, int8 */
        bool boolean;
        struct { const void *data; size_t len; } bytes;
        struct { const char *const *items; size_t count; } texts; /* text[] or uuid[] */
    } v;
};

static inline struct pg_arg pg_null(void)
{
    return (struct pg_arg){ .kind = PG_NULL };
}
/* NULL text is SQL NULL. */
static inline struct pg_arg pg_text(const char *s)
{
    return (struct pg_arg){ .kind = s ? PG_TEXT : PG_NULL, .v.text = s };
}
static inline struct pg_arg pg_int(int64_t n)
{
    return (struct pg_arg){ .kind = PG_INT, .v.integer = n };
}
static inline struct pg_arg pg_bool(bool b)
{
    return (struct pg_arg){ .kind = PG_BOOL, .v.boolean = b };
}
static inline struct pg_arg pg_bytes(const void *data, size_t len)
{
    return (struct pg_arg){ .kind = data ? PG_BYTES : PG_NULL, .v.bytes = { data, len } };
}
static inline struct pg_arg pg_texts(const char *const *items, size_t count)
{
    return (struct pg_arg){ .kind = PG_TEXTS, .v.texts = { items, count } };
}

/* Runs one statement. The result lives in the arena. ret may be NULL. */
MUST_CHECK int pg_run(struct pg_conn *conn, struct arena *a, const struct pg_stmt *stmt,
                      const struct pg_arg *args, size_t nargs, struct pg_result **ret,
                      struct error *err);
#define PG_RUN(conn, a, stmt, ret, err, ...)                                                       \
    pg_run((conn), (a), (stmt), (const struct pg_arg[]){ __VA_ARGS__ },                            \
           sizeof((const struct pg_arg[]){ __VA_ARGS__ }) / sizeof(struct pg_arg), (ret), (err))
/* Leaves the statement to the next pg_run or pg_commit, or to the end of pg_with, which takes it
 * along without a round trip of its own, in the order of the calls. Until then *ret is not set, and
 * its failure is that call's. What is queued outside a transaction stands or falls together. */
MUST_CHECK int pg_queue(struct pg_conn *conn, struct arena *a, const struct pg_stmt *stmt,
                        const struct pg_arg *args, size_t nargs, struct pg_result **ret,
                        struct error *err);
#define PG_QUEUE(conn, a, stmt, ret, err, ...)                                                     \
    pg_queue((conn), (a), (stmt), (const struct pg_arg[]){ __VA_ARGS__ },                          \
             sizeof((const struct pg_arg[]){ __VA_ARGS__ }) / sizeof(struct pg_arg), (ret), (err))
/* Sends what is queued and waits for the answers. */
MUST_CHECK int pg_land(struct pg_conn *conn, struct error *err);
#define PG_QUEUE0(conn, a, stmt, ret, err) pg_queue((conn), (a), (stmt), NULL, 0, (ret), (err))
/* Prepares the statement and checks that the server finds the declared number of parameters, that
 * each is used, and that every result column is of a type the readers read (tests call this for
 * every statement of every table). */
MUST_CHECK int pg_describe(struct pg_conn *conn, const struct pg_stmt *stmt, struct error *err);
/* For statements without parameters. */
#define PG_RUN0(conn, a, stmt, ret, err) pg_run((conn), (a), (stmt), NULL, 0, (ret), (err))

size_t pg_rows(const struct pg_result *r);
int64_t pg_affected(const struct pg_result *r); /* rows changed by INSERT, UPDATE, DELETE */
/* Column readers, by position; texts and bytes live in the result's arena. uuid, timestamptz
 * (RFC 3339 UTC with microseconds), jsonb, inet, numbers and the like read as text. SQL NULL reads
 * as NULL, 0, false. A cell that does not exist or is of another type aborts; a result with a
 * column that no reader reads (numeric, interval: cast it) already fails in pg_run. */
bool pg_is_null(const struct pg_result *r, size_t row, size_t col);
const char *pg_get_text(const struct pg_result *r, size_t row, size_t col);
int64_t pg_get_int(const struct pg_result *r, size_t row, size_t col);
bool pg_get_bool(const struct pg_result *r, size_t row, size_t col);
const void *pg_get_bytes(const struct pg_result *r, size_t row, size_t col, size_t *ret_len);
int64_t pg_get_time_us(const struct pg_result *r, size_t row, size_t col); /* since 1970 */
size_t pg_get_texts(const struct pg_result *r, size_t row, size_t col, const char ***ret);

/* A transaction; its BEGIN travels with the first statement. Use:
 * `_cleanup_(pg_tx_end) struct pg_tx tx = {0}; if (pg_begin(conn, &tx, err) … pg_commit(&tx, err)`.
 * pg_tx_end rolls back what was not committed. */
struct pg_tx { struct pg_conn *conn; };
MUST_CHECK int pg_begin(struct pg_conn *conn, struct pg_tx *tx, struct error *err);
MUST_CHECK int pg_commit(struct pg_tx *tx, struct error *err);
void pg_tx_end(struct pg_tx *tx);

/* Acquires a connection, runs fn in a transaction, commits; repeats up to 10 times with jitter on
 * serialization failures and deadlocks (40001, 40P01), once more on a connection that was broken
 * before fn ran its first statement. The only retry loop. fn may run several times and must only
 * change the database and arena memory. */
typedef int pg_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err);
MUST_CHECK int pg_transact(struct pg_pool *pool, struct arena *a, pg_work *fn, void *ctx,
                           struct error *err);
/* Acquires a connection and runs fn outside a transaction (single statements). */
MUST_CHECK int pg_with(struct pg_pool *pool, struct arena *a, pg_work *fn, void *ctx,
                       struct error *err);

/* A connection of its own that listens. pg_listener_new fails only on a malformed conninfo: without
 * a server, the first wait connects. A wait that had to connect returns 1 with the payload "" at
 * once, because notifications may have been missed; failing waits slow down by themselves, so a
 * loop around them does not spin. pg_listener_wait returns 1 when a notification came
 * (payload in a), 0 on time-out, -1 on failure (it reconnects at the next call; treat that as
 * "something may have happened"). wake_fd (or -1) readable also ends the wait with 0. */
struct pg_listener;
MUST_CHECK int pg_listener_new(const char *conninfo, const char *channel, struct pg_listener **ret,
                               struct error *err);
void pg_listener_free(struct pg_listener *l);
MUST_CHECK int pg_listener_wait(struct pg_listener *l, struct arena *a, int wake_fd,
                                int64_t timeout_ms, const char **ret_payload, struct error *err);

#endif

/* One connection, for the files of common/pg only: opening with our defaults, sending with a
 * deadline, telling what a failure means. A connection belongs to one thread at a time. */
#ifndef PORTOLAN_PG_CONN_H
#define PORTOLAN_PG_CONN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "common/base/cleanup.h"

struct arena;
struct error;
struct pg_pool;
struct pg_result;
struct pg_stmt;
struct stmt_params; /* of one call, as libpq wants them (run.c) */

#define SQLSTATE_LEN    5
#define FLIGHT_LEGS_MAX 48

/* A statement on its way: see flight_add(). */
struct flight_leg {
    const struct pg_stmt *stmt;
    struct arena *arena;
    struct pg_result **ret; /* NULL: nobody reads it */
    bool *ret_is_committed; /* of a COMMIT */
    bool is_preparing;
};

struct pg_conn {
    PGconn *pq;
    struct pg_pool *pool;         /* NULL outside a pool */
    struct pg_conn *next;         /* in the pool's idle list, newest first */
    _Atomic uint64_t *statements; /* counter of the pool, or NULL */
    bool is_patients; /* a patient thread has it */
    bool is_green;    /* opened for the one who has it */
    int64_t idle_since_ms;
    int64_t answer_max_ms; /* how long one answer may take; 0: for ever */
    bool is_broken;
    bool has_executed; /* a caller's statement may have taken effect since acquire */
    bool is_begin_due; /* the next statement takes a BEGIN along */
    bool has_begin_leg;
    size_t leg_count;
    struct flight_leg legs[FLIGHT_LEGS_MAX]; /* queued, not sent yet */
    char sqlstate[SQLSTATE_LEN + 1]; /* of the first failure since acquire or BEGIN */
    uint64_t *prepared;              /* hashes of the names of prepared statements */
    size_t nprepared;
    size_t prepared_cap;
};

struct conn_options {
    const char *conninfo;
    const char *application; /* NULL: "portolan" */
    const char *dbname;      /* NULL: as in conninfo */
    bool is_unbounded;       /* no time limits: migrations */
};

/* Why a connection was refused, where the server said so. */
struct conn_refusal {
    char sqlstate[SQLSTATE_LEN + 1];
    char dbname[64];
};

/* Connects; as long as the server says that it is starting or full, tries again until deadline_ms
 * (monotonic). ret_refusal may be NULL; it is filled on failure. */
MUST_CHECK int conn_open(const struct conn_options *options, int64_t deadline_ms,
                         struct pg_conn **ret, struct conn_refusal *ret_refusal, struct error *err);
void conn_close(struct pg_conn *conn);
void conn_closep(struct pg_conn **conn);

/* Nothing unexpected came in while the connection was idle; after a second of idling the server is
 * asked as well, so a statement is never the first to find out. */
bool conn_is_alive(struct pg_conn *conn);

/* Runs text (several statements allowed, no parameters). The last result, or NULL with err. */
PGresult *conn_exec(struct pg_conn *conn, const char *text, struct error *err);
/* What was just sent is flushed and answered: the result (the first failed one, else the last), or
 * NULL with err when it failed. `is_sent` is what PQsend… returned. */
PGresult *conn_await(struct pg_conn *conn, int is_sent, const char *what, struct error *err);

/* The pieces of it. A failed result or a broken connection fills err; the pieces return -1 then. */
int64_t conn_deadline(const struct pg_conn *conn); /* of an answer; 0: none */
MUST_CHECK int conn_flush(struct pg_conn *conn, int64_t deadline_ms, const char *what,
                          struct error *err);
MUST_CHECK int conn_next_result(struct pg_conn *conn, int64_t deadline_ms, const char *what,
                                PGresult **ret, struct error *err);
int conn_fail_broken(struct pg_conn *conn, const char *what, const char *why, struct error *err);
int conn_fail_result(struct pg_conn *conn, const PGresult *res, const char *what,
                     struct error *err);

/* Queues a statement, and before it the BEGIN that is due and its own preparation; a full flight lands
 * first. params may be NULL. */
MUST_CHECK int flight_add(struct pg_conn *conn, const struct flight_leg *leg,
                          const struct stmt_params *params, struct error *err);
/* Nobody reads the answers to what is queued any more. */
void flight_forget(struct pg_conn *conn);
/* Sends what is queued and reads all answers. */
MUST_CHECK int flight_land(struct pg_conn *conn, struct error *err);

void conn_count(struct pg_conn *conn); /* one more statement for the pool's counter */

bool conn_has_prepared(const struct pg_conn *conn, const char *name);
void conn_add_prepared(struct pg_conn *conn, const char *name);
void conn_drop_prepared(struct pg_conn *conn, const char *name);
/* PQprepare unless done before on this connection (run.c). */
MUST_CHECK int conn_prepare(struct pg_conn *conn, const struct pg_stmt *stmt, struct error *err);

/* What PQsend… returned; -1 for a statement that is declared wrongly (run.c). */
int stmt_send_prepare(struct pg_conn *conn, const struct pg_stmt *stmt, struct error *err);
int stmt_send(struct pg_conn *conn, const struct pg_stmt *stmt, const struct stmt_params *params);

/* SQLSTATEs that a repeated transaction may escape: serialization failure, deadlock. */
bool sqlstate_is_contention(const char *sqlstate);
size_t stmt_param_count(const struct pg_stmt *stmt); /* as declared (run.c) */
/* Random, from half of ms to ms. */
int64_t conn_jitter(int64_t ms);
/* The column types that result.c reads. */
bool result_can_read(Oid type);
void *must_have(void *p); /* aborts on NULL */

#endif

/* The connection pool: connections open on demand, wait newest first, and close when idle, so that
 * a process without traffic holds none. A connection is looked at before it is handed out, so a
 * restarted server is noticed before a statement is spent on it. */
#include "common/pg/pool.h"

#include <errno.h>
#include <pthread.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/thread.h"
#include "common/pg/conn.h"
#include "common/pg/pg.h"

#define DEFAULT_MAX                8
#define DEFAULT_IDLE_CLOSE_MS      5000
#define DEFAULT_ACQUIRE_TIMEOUT_MS 5000

struct pg_pool {
    pthread_mutex_t lock;
    pthread_cond_t freed; /* a connection came back or its place became free */
    struct pg_conn *idle; /* newest first */
    unsigned open;        /* idle, in use and being opened */
    unsigned max;
    unsigned idle_close_ms;
    unsigned acquire_timeout_ms;
    char *conninfo;
    char *application;
    _Atomic uint64_t statements;
};

struct pg_pool *pg_pool_new(const struct pg_pool_config *config)
{
    struct pg_pool *pool = must_have(calloc(1, sizeof(*pool)));

    pool->max = config->max ? config->max : DEFAULT_MAX;
    pool->idle_close_ms = config->idle_close_ms ? config->idle_close_ms : DEFAULT_IDLE_CLOSE_MS;
    pool->acquire_timeout_ms =
        config->acquire_timeout_ms ? config->acquire_timeout_ms : DEFAULT_ACQUIRE_TIMEOUT_MS;
    pool->conninfo = must_have(strdup(config->conninfo));
    pool->application = config->application ? must_have(strdup(config->application)) : NULL;
    if (pthread_mutex_init(&pool->lock, NULL) || pthread_cond_init(&pool->freed, NULL))
        abort();
    return pool;
}

static void close_list(struct pg_conn *list)
{
    while (list) {
        struct pg_conn *next = list->next;

        conn_close(list);
        list = next;
    }
}

/* Gives `count` places back. */
static void free_places(struct pg_pool *pool, unsigned count)
{
    pthread_mutex_lock(&pool->lock);
    pool->open -= count;
    pthread_cond_broadcast(&pool->freed);
    pthread_mutex_unlock(&pool->lock);
}

static unsigned list_length(const struct pg_conn *list)
{
    unsigned count = 0;

    for (; list; list = list->next)
        count++;
    return count;
}

void pool_forget_idle(struct pg_pool *pool)
{
    struct pg_conn *list;
    unsigned count;

    pthread_mutex_lock(&pool->lock);
    list = take(pool->idle);
    pthread_mutex_unlock(&pool->lock);
    count = list_length(list);
    close_list(list);
    if (count)
        free_places(pool, count);
}

void pg_pool_free(struct pg_pool *pool)
{
    if (!pool)
        return;
    pool_forget_idle(pool);
    pthread_cond_destroy(&pool->freed);
    pthread_mutex_destroy(&pool->lock);
    free(pool->conninfo);
    free(pool->application);
    free(pool);
}

void pg_pool_tidy(struct pg_pool *pool)
{
    int64_t oldest = clock_mono_ms() - (int64_t)pool->idle_close_ms;
    struct pg_conn **link, *list;
    unsigned count;

    pthread_mutex_lock(&pool->lock);
    /* Newest first: behind the first one that is too old, all are. */
    for (link = &pool->idle; *link && (*link)->idle_since_ms > oldest; link = &(*link)->next)
        ;
    list = take(*link);
    pthread_mutex_unlock(&pool->lock);
    count = list_length(list);
    close_list(list);
    if (count)
        free_places(pool, count);
}

uint64_t pg_pool_statements(const struct pg_pool *pool)
{
    return atomic_load_explicit(&pool->statements, memory_order_relaxed);
}

/* An idle connection, or NULL and the right to open one; -1 when neither came in time. */
static int claim(struct pg_pool *pool, int64_t deadline_ms, struct pg_conn **ret)
{
    bool is_in_time = true;
    int rc = -1;

    pthread_mutex_lock(&pool->lock);
    while (!pool->idle && pool->open >= pool->max && is_in_time)
        is_in_time = thread_wait(&pool->freed, &pool->lock, deadline_ms);
    *ret = NULL;
    if (pool->idle) {
        *ret = pool->idle;
        pool->idle = (*ret)->next;
        (*ret)->next = NULL;
        rc = 0;
    } else if (pool->open < pool->max) {
        pool->open++;
        rc = 0;
    }
    pthread_mutex_unlock(&pool->lock);
    return rc;
}

static int open_claimed(struct pg_pool *pool, int64_t deadline_ms, struct pg_conn **ret,
                        struct error *err)
{
    struct conn_options options = { .conninfo = pool->conninfo, .application = pool->application };

    if (conn_open(&options, deadline_ms, ret, NULL, err)) {
        free_places(pool, 1);
        return -1;
    }
    (*ret)->pool = pool;
    (*ret)->statements = &pool->statements;
    return 0;
}

int pg_acquire(struct pg_pool *pool, struct pg_conn **ret, struct error *err)
{
    int64_t deadline = clock_mono_ms() + (int64_t)pool->acquire_timeout_ms;
    struct pg_conn *conn;

    for (;;) {
        if (claim(pool, deadline, &conn))
            return fail_cause(err, &E_UNAVAILABLE, "all %u connections of the pool stayed busy",
                              pool->max);
        if (!conn && open_claimed(pool, deadline, &conn, err))
            return -1;
        if (conn->idle_since_ms == 0 || conn_is_alive(conn))
            break;
        conn_close(conn);
        free_places(pool, 1);
        pool_forget_idle(pool);
    }
    conn->sqlstate[0] = '\0';
    conn->has_executed = false;
    *ret = conn;
    return 0;
}

void pg_release(struct pg_conn *conn)
{
    struct pg_pool *pool;

    if (!conn)
        return;
    pool = conn->pool;
    conn->is_begin_due = false;
    if (conn->is_broken || conn->leg_count > 0 || PQstatus(conn->pq) != CONNECTION_OK ||
        PQtransactionStatus(conn->pq) != PQTRANS_IDLE) {
        conn_close(conn);
        free_places(pool, 1);
        return;
    }
    conn->idle_since_ms = clock_mono_ms();
    pthread_mutex_lock(&pool->lock);
    conn->next = pool->idle;
    pool->idle = conn;
    pthread_cond_signal(&pool->freed);
    pthread_mutex_unlock(&pool->lock);
}

void pg_releasep(struct pg_conn **conn)
{
    pg_release(*conn);
}

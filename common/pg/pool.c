/* The connection pool: connections open on demand, wait newest first, and close when idle, so that
 * a process without traffic holds none. A connection is looked at before it is handed out, so a
 * restarted server is noticed before a statement is spent on it.
 *
 * A new connection costs the server 5 to 10 ms of a processor until it knows the tables and statements
 * that its first user needs. Were twenty opened at once whenever twenty writes came after a rest, nothing
 * else would be answered meanwhile. So patient threads (common/base/thread.h) open one after the other, and
 * share what is open until then; they leave the last connection to those who are not, which come first. */
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
#define DEFAULT_GREEN_MS           50 /* who takes longer waits for something else, and holds nobody up */

struct pg_pool {
    pthread_mutex_t lock;
    pthread_cond_t freed;  /* a connection came back or its place became free */
    pthread_cond_t spared; /* the same for patient threads, when no other waits; or they may open one */
    struct pg_conn *idle;  /* newest first */
    unsigned open;         /* idle, in use and being opened */
    unsigned hurried;      /* threads that wait, and are not patient */
    unsigned patient;      /* of those open: patient threads have them */
    unsigned green;        /* of those: opened for who has them */
    int64_t green_at_ms;   /* when the last one was begun */
    unsigned max;
    unsigned idle_close_ms;
    unsigned acquire_timeout_ms;
    unsigned green_ms;
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
    pool->green_ms = config->green_ms ? config->green_ms : DEFAULT_GREEN_MS;
    pool->conninfo = must_have(strdup(config->conninfo));
    pool->application = config->application ? must_have(strdup(config->application)) : NULL;
    if (pthread_mutex_init(&pool->lock, NULL) || pthread_cond_init(&pool->freed, NULL) ||
        pthread_cond_init(&pool->spared, NULL))
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

/* Gives the places of `count` idle connections back. */
static void free_places(struct pg_pool *pool, unsigned count)
{
    pthread_mutex_lock(&pool->lock);
    pool->open -= count;
    pthread_cond_broadcast(&pool->freed);
    pthread_cond_broadcast(&pool->spared);
    pthread_mutex_unlock(&pool->lock);
}

/* Somebody is done with his connection, which is idle now, or (NULL) gone. */
static void give_back(struct pg_pool *pool, struct pg_conn *conn, bool was_patients, bool was_green)
{
    pthread_mutex_lock(&pool->lock);
    pool->patient -= was_patients;
    pool->green -= was_green;
    if (conn) {
        conn->next = pool->idle;
        pool->idle = conn;
    } else {
        pool->open--;
    }
    if (pool->hurried > 0)
        pthread_cond_signal(&pool->freed);
    else if (was_green || !conn)
        pthread_cond_broadcast(&pool->spared); /* one takes it, another opens the next */
    else
        pthread_cond_signal(&pool->spared);
    pthread_mutex_unlock(&pool->lock);
}

static void drop(struct pg_pool *pool, struct pg_conn *conn)
{
    bool was_patients = conn->is_patients, was_green = conn->is_green;

    conn_close(conn);
    give_back(pool, NULL, was_patients, was_green);
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
    pthread_cond_destroy(&pool->spared);
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

/* Connections that patient threads leave alone. */
static unsigned kept(const struct pg_pool *pool)
{
    return pool->max > 1 ? 1 : 0;
}

static bool may_take(const struct pg_pool *pool, bool is_patient)
{
    if (!pool->idle)
        return false;
    return !is_patient || (pool->hurried == 0 && pool->patient + kept(pool) < pool->open);
}

static bool may_open(const struct pg_pool *pool, bool is_patient)
{
    if (pool->open >= pool->max)
        return false;
    return !is_patient ||
           (pool->patient + kept(pool) < pool->max &&
            (pool->green == 0 || clock_mono_ms() - pool->green_at_ms >= (int64_t)pool->green_ms));
}

/* False once it is too late. The lock is held. */
static bool wait_turn(struct pg_pool *pool, bool is_patient, int64_t deadline_ms)
{
    int64_t now = clock_mono_ms(), look_again = now + (int64_t)pool->green_ms;

    if (now >= deadline_ms)
        return false;
    if (is_patient) {
        (void)thread_wait(&pool->spared, &pool->lock,
                          look_again < deadline_ms ? look_again : deadline_ms);
        return true;
    }
    pool->hurried++;
    (void)thread_wait(&pool->freed, &pool->lock, deadline_ms);
    pool->hurried--;
    return true;
}

/* An idle connection, or NULL and the right to open one; -1 when neither came in time. */
static int claim(struct pg_pool *pool, bool is_patient, int64_t deadline_ms, struct pg_conn **ret)
{
    bool is_in_time = true;
    int rc = 0;

    *ret = NULL;
    pthread_mutex_lock(&pool->lock);
    while (!may_take(pool, is_patient) && !may_open(pool, is_patient) && is_in_time)
        is_in_time = wait_turn(pool, is_patient, deadline_ms);
    if (may_take(pool, is_patient)) {
        *ret = pool->idle;
        pool->idle = (*ret)->next;
        (*ret)->next = NULL;
        (*ret)->is_patients = is_patient;
        (*ret)->is_green = false;
        pool->patient += is_patient;
    } else if (may_open(pool, is_patient)) {
        pool->open++;
        pool->patient += is_patient;
        pool->green += is_patient;
        if (is_patient)
            pool->green_at_ms = clock_mono_ms();
    } else {
        rc = -1;
    }
    pthread_mutex_unlock(&pool->lock);
    return rc;
}

static int open_claimed(struct pg_pool *pool, bool is_patient, int64_t deadline_ms,
                        struct pg_conn **ret, struct error *err)
{
    struct conn_options options = { .conninfo = pool->conninfo, .application = pool->application };

    if (conn_open(&options, deadline_ms, ret, NULL, err)) {
        give_back(pool, NULL, is_patient, is_patient);
        return -1;
    }
    (*ret)->pool = pool;
    (*ret)->is_patients = (*ret)->is_green = is_patient;
    (*ret)->statements = &pool->statements;
    return 0;
}

int pg_acquire(struct pg_pool *pool, struct pg_conn **ret, struct error *err)
{
    int64_t deadline = clock_mono_ms() + (int64_t)pool->acquire_timeout_ms;
    bool is_patient = thread_is_patient();
    struct pg_conn *conn;

    for (;;) {
        if (claim(pool, is_patient, deadline, &conn))
            return fail_cause(err, &E_UNAVAILABLE, "all %u connections of the pool stayed busy",
                              pool->max);
        if (!conn && open_claimed(pool, is_patient, deadline, &conn, err))
            return -1;
        if (conn->idle_since_ms == 0 || conn_is_alive(conn))
            break;
        drop(pool, conn);
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
        drop(pool, conn);
        return;
    }
    conn->idle_since_ms = clock_mono_ms();
    give_back(pool, conn, conn->is_patients, conn->is_green);
}

void pg_releasep(struct pg_conn **conn)
{
    pg_release(*conn);
}

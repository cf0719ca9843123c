/* The threads around the passes. A notification only shortens a worker's sleep; the sweep by
 * lease_next_due() is what makes sure that nothing is forgotten. Of the workers without work one
 * watches the clock and the others stand by, so a row that falls due wakes one, not all. */
#include "controlplane/reconcile/loop.h"

#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/thread.h"
#include "common/pg/pg.h"
#include "controlplane/control.h"
#include "controlplane/keyvault/keyvault.h"
#include "controlplane/provision/region.h"
#include "controlplane/provision/sweep.h"
#include "controlplane/reconcile/pass.h"
#include "controlplane/reconcile/settle.h"
#include "controlplane/reconcile/watch.h"
#include "controlplane/store/leases.h"
#include "controlplane/store/operations.h"
#include "controlplane/store/vaults.h"

#define SLEEP_MAX_MS 1000 /* what nobody told of is found that late: updates that a request was to settle */
#define STAND_BY_MS 60000 /* only a safety net: whoever finds work calls one */
#define RETRY_MS 1000 /* after the database failed */
#define HEARTBEAT_MS (LEASE_MS / 4)
#define TIDY_MS 2000
#define PRUNE_MS 600000
#define LISTEN_MS 30000
#define HELPER_GRACE_MS 1000
#define CHANNEL "portolan_work"

struct worker {
    struct reconcile *loop;
    pthread_t thread;
    struct watch watch;
};

enum { HELPER_LISTEN, HELPER_HEARTBEAT, HELPER_HOUSEKEEPING, HELPER_COUNT };

struct reconcile {
    struct control *control;
    struct arena *arena; /* constants only */
    const char *const *type_keys;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    size_t calls;     /* workers to be woken: each notification asks for one */
    bool has_watcher; /* a worker watches the clock */
    bool is_outdated; /* what it knows of it */
    bool is_stopping;
    bool is_quiet;       /* the workers have ended, or are given up on */
    int stop_fd;         /* readable when stopping */
    struct pg_listener *listener;
    size_t worker_count;
    struct worker *workers;
    pthread_t helpers[HELPER_COUNT];
    size_t helper_count;
};

struct due {
    const char *const *type_keys;
    int64_t ms;
};

static bool is_stopping(struct reconcile *r)
{
    bool ret;

    (void)pthread_mutex_lock(&r->lock);
    ret = r->is_stopping;
    (void)pthread_mutex_unlock(&r->lock);
    return ret;
}

/* Wakes one worker. One is enough: whoever finds work wakes the next before doing it, so that as
 * many are up as there is work for, and one more always knows when the next is due. */
static void kick(struct reconcile *r)
{
    (void)pthread_mutex_lock(&r->lock);
    if (r->calls < r->worker_count)
        r->calls++;
    (void)pthread_cond_broadcast(&r->wake);
    (void)pthread_mutex_unlock(&r->lock);
}

/* Sleeps until the loop stops, ms have passed or, for workers, it is called. */
static void doze(struct reconcile *r, bool is_worker, int64_t ms)
{
    int64_t until = clock_mono_ms() + ms;

    (void)pthread_mutex_lock(&r->lock);
    while (!r->is_stopping && (!is_worker || r->calls == 0))
        if (!thread_wait(&r->wake, &r->lock, until))
            break;
    if (is_worker && r->calls > 0)
        r->calls--;
    (void)pthread_mutex_unlock(&r->lock);
}

/* Whether the watch is this worker's now. One that was called and found nothing makes the watcher
 * look anew: what it was called for may be due later, and sooner than the watcher knows. */
static bool take_watch(struct reconcile *r)
{
    bool is_ours;

    (void)pthread_mutex_lock(&r->lock);
    is_ours = !r->has_watcher;
    r->has_watcher = true;
    if (!is_ours) {
        r->is_outdated = true;
        (void)pthread_cond_broadcast(&r->wake);
    }
    (void)pthread_mutex_unlock(&r->lock);
    return is_ours;
}

/* Sleeps until ms have passed or there is news, and leaves the watch. */
static void watch_clock(struct reconcile *r, int64_t ms)
{
    int64_t until = clock_mono_ms() + ms;

    (void)pthread_mutex_lock(&r->lock);
    while (!r->is_stopping && r->calls == 0 && !r->is_outdated)
        if (!thread_wait(&r->wake, &r->lock, until))
            break;
    if (r->calls > 0)
        r->calls--;
    r->has_watcher = r->is_outdated = false;
    (void)pthread_mutex_unlock(&r->lock);
}

/* Sleeps for ms; false at once when the workers are quiet. */
static bool rest(struct reconcile *r, int64_t ms)
{
    int64_t until = clock_mono_ms() + ms;
    bool goes_on;

    (void)pthread_mutex_lock(&r->lock);
    while (!r->is_quiet)
        if (!thread_wait(&r->wake, &r->lock, until))
            break;
    goes_on = !r->is_quiet;
    (void)pthread_mutex_unlock(&r->lock);
    return goes_on;
}

/* Workers -------------------------------------------------------------------------------------- */

static int next_due(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct due *due = ctx;

    return lease_next_due(conn, a, due->type_keys, SLEEP_MAX_MS, &due->ms, err);
}

static void found_work(void *ctx)
{
    kick(ctx);
}

/* One turn; false when the database failed. */
static bool turn(struct worker *w, struct arena *a, struct error *err)
{
    struct reconcile *r = w->loop;
    struct due due = { .type_keys = r->type_keys };
    int rc = pass_once(r->control, a, &w->watch, r->type_keys, found_work, r, err);

    /* This worker may be busy when it is due again: a sleeper looks at the clock anew. */
    if (rc == PASS_PUT_OFF)
        kick(r);
    if (rc != 0)
        return rc > 0;
    if (!take_watch(r)) {
        doze(r, true, STAND_BY_MS);
        return true;
    }
    rc = pg_with(r->control->db, a, next_due, &due, err);
    watch_clock(r, rc ? 0 : due.ms > 0 ? due.ms : 1);
    return rc == 0;
}

static void *work(void *ctx)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct worker *w = ctx;
    bool is_failing = false;
    struct error err;

    thread_set_patient(true);
    while (!is_stopping(w->loop)) {
        if (turn(w, a, &err)) {
            is_failing = false;
        } else {
            log_failure(is_failing ? LOG_DEBUG : LOG_WARN, "reconcile-failed", &err);
            is_failing = true;
            doze(w->loop, false, RETRY_MS);
        }
        arena_reset(a);
    }
    return NULL;
}

/* Helpers -------------------------------------------------------------------------------------- */

static void *hear(void *ctx)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct reconcile *r = ctx;
    bool is_failing = false;
    const char *payload;
    struct error err;

    while (!is_stopping(r)) {
        int rc = pg_listener_wait(r->listener, a, r->stop_fd, LISTEN_MS, &payload, &err);

        if (rc != 0)
            kick(r); /* a broken connection may have swallowed a notification */
        if (rc < 0) {
            log_failure(is_failing ? LOG_DEBUG : LOG_WARN, "listen-failed", &err);
            doze(r, false, RETRY_MS);
        }
        is_failing = rc < 0;
        arena_reset(a);
    }
    return NULL;
}

/* Runs until the workers have ended, so that a pass that outlives the stop keeps its lease. */
static void *beat(void *ctx)
{
    struct reconcile *r = ctx;

    while (rest(r, HEARTBEAT_MS)) {
        for (size_t i = 0; i < r->worker_count; i++)
            (void)watch_extend(&r->workers[i].watch, r->control, HEARTBEAT_MS / 2);
    }
    return NULL;
}

static void tidy(struct control *control)
{
    pg_pool_tidy(control->db);
    for (struct region *region = control->regions; region->name; region++)
        pg_pool_tidy(region->db);
}

static int wake_due(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    (void)ctx;
    return lease_wake_due(conn, a, err);
}

static int prune(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    int is_ours = lease_chore(conn, a, "operation_prune", err);

    (void)ctx;
    if (is_ours <= 0)
        return is_ours;
    return operation_prune(conn, a, err) || vaults_prune(conn, a, err) ? -1 : 0;
}

static void rotate_keys(struct reconcile *r, struct arena *a)
{
    struct error err;
    int rotated;

    do
        rotated = keyvault_rotate_due(r->control, a, &err);
    while (rotated > 0 && !is_stopping(r));
    if (rotated < 0)
        log_failure(LOG_WARN, "rotation-failed", &err);
}

/* Failures here are logged and tried again at the next round: the work is never urgent. */
static void *keep_house(void *ctx)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct reconcile *r = ctx;
    int64_t sweep_at = 0, prune_at = 0;
    struct error err;

    thread_set_patient(true);
    while (!is_stopping(r)) {
        int64_t now = clock_mono_ms();

        tidy(r->control);
        if (pg_transact(r->control->db, a, wake_due, NULL, &err))
            log_failure(LOG_WARN, "wake-failed", &err);
        if (settle_actions(r->control, a, &err))
            log_failure(LOG_WARN, "settle-failed", &err);
        if (now >= sweep_at) {
            if (sweep_orphans(r->control, a, &err))
                log_failure(LOG_WARN, "sweep-failed", &err);
            sweep_at = now + DRIFT_MS;
        }
        if (now >= prune_at) {
            if (pg_transact(r->control->db, a, prune, NULL, &err))
                log_failure(LOG_WARN, "prune-failed", &err);
            rotate_keys(r, a);
            prune_at = now + PRUNE_MS;
        }
        arena_reset(a);
        doze(r, false, TIDY_MS);
    }
    return NULL;
}

/* Start and stop ------------------------------------------------------------------------------- */

static void free_loop(struct reconcile *r)
{
    for (size_t i = 0; i < r->worker_count; i++)
        watch_done(&r->workers[i].watch);
    pg_listener_free(r->listener);
    if (r->stop_fd >= 0)
        (void)close(r->stop_fd);
    (void)pthread_cond_destroy(&r->wake);
    (void)pthread_mutex_destroy(&r->lock);
    arena_free(r->arena);
    free(r);
}

static struct reconcile *new_loop(struct control *control)
{
    struct reconcile *r = calloc(1, sizeof(*r));

    if (!r)
        abort();
    r->control = control;
    r->arena = arena_new();
    r->type_keys = pass_type_keys(r->arena);
    r->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    r->workers = arena_array(r->arena, (size_t)control->settings->reconcilers,
                             sizeof(*r->workers));
    (void)pthread_mutex_init(&r->lock, NULL);
    (void)pthread_cond_init(&r->wake, NULL);
    return r;
}

static int start_threads(struct reconcile *r, struct error *err)
{
    static void *(*const helpers[HELPER_COUNT])(void *) = {
        [HELPER_LISTEN] = hear, [HELPER_HEARTBEAT] = beat, [HELPER_HOUSEKEEPING] = keep_house
    };
    size_t count = (size_t)r->control->settings->reconcilers;

    /* All watches exist before the heartbeat looks at them. */
    for (; r->worker_count < count; r->worker_count++) {
        r->workers[r->worker_count].loop = r;
        watch_init(&r->workers[r->worker_count].watch);
    }
    for (; r->helper_count < HELPER_COUNT; r->helper_count++)
        if ((errno = pthread_create(&r->helpers[r->helper_count], NULL, helpers[r->helper_count],
                                    r)) != 0)
            return fail_errno(err, "start thread");
    for (size_t i = 0; i < count; i++)
        if ((errno = pthread_create(&r->workers[i].thread, NULL, work, &r->workers[i])) != 0)
            return fail_errno(err, "start worker");
    return 0;
}

/* A start that fails half-way leaves threads behind: the program ends then anyway. */
int reconcile_start(struct control *control, struct reconcile **ret, struct error *err)
{
    struct reconcile *r = new_loop(control);

    if (r->stop_fd < 0) {
        (void)fail_errno(err, "eventfd");
        free_loop(r);
        return -1;
    }
    if (pg_listener_new(control->settings->control_db, CHANNEL, &r->listener, err)) {
        free_loop(r);
        return wrap(err, "listen");
    }
    if (start_threads(r, err))
        return -1;
    *ret = r;
    return 0;
}

static void raise_flag(struct reconcile *r, bool *flag)
{
    (void)pthread_mutex_lock(&r->lock);
    *flag = true;
    (void)pthread_cond_broadcast(&r->wake);
    (void)pthread_mutex_unlock(&r->lock);
}

bool reconcile_stop(struct reconcile *r, int64_t grace_ms)
{
    int64_t end = clock_mono_ms() + grace_ms;
    uint64_t one = 1;
    bool is_all = true;

    raise_flag(r, &r->is_stopping);
    (void)!write(r->stop_fd, &one, sizeof(one));
    for (size_t i = 0; i < r->worker_count; i++)
        is_all &= thread_join(r->workers[i].thread, end);
    raise_flag(r, &r->is_quiet);
    for (size_t i = 0; i < r->helper_count; i++)
        is_all &= thread_join(r->helpers[i], end + HELPER_GRACE_MS);
    if (is_all)
        free_loop(r);
    return is_all;
}

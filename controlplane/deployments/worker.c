/* Claiming deployments and taking their runs step by step: see the header. Notifications only
 * shorten the sleep between claims; the sweep is the truth. */
#include "controlplane/deployments/worker.h"

#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/base/thread.h"
#include "common/pg/pg.h"

#include "controlplane/control.h"
#include "controlplane/deployments/run.h"
#include "controlplane/store/deployments.h"

#define CHANNEL "portolan_deployments"
#define WORKERS 4
#define HELPERS 2
#define RUNS_MAX 128  /* claimed at once; nested ones beyond it, so that their parents can end */
#define SWEEP_MS 2000 /* between looks for work nobody told of */
#define HEARTBEAT_MS (DEPLOYMENT_LEASE_MS / 4)
#define RETRY_MS 1000
#define RETRIES_MAX 60 /* a run that cannot take a step for so long is left to its lease */

struct slot {
    struct run *run;
    char owner[UUID_TEXT_LEN + 1];
    int64_t due_ms; /* monotonic */
    int failures;
    bool is_busy, is_lost;
    struct slot *next;
};

struct deployer {
    struct control *control;
    const struct http_app *app;
    pthread_mutex_t lock; /* of all that follows */
    pthread_cond_t wake;
    struct slot *slots;
    size_t count;
    int64_t claim_at_ms; /* when to look for work again */
    bool is_claiming, is_stopping, is_quiet;
    int stop_fd;
    struct pg_listener *listener;
    pthread_t workers[WORKERS], helpers[HELPERS];
    size_t worker_count, helper_count;
};

/* Claims --------------------------------------------------------------------------------------- */

struct claim {
    char owner[UUID_TEXT_LEN + 1];
    bool is_nested_only;
    struct deployment *row;
    int found;
};

static int claim(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct claim *c = ctx;

    c->found = deployment_claim(conn, a, c->owner, c->is_nested_only, &c->row, err);
    return c->found < 0 ? -1 : 0;
}

static void add_slot(struct deployer *d, struct run *run, const char *owner)
{
    struct slot *s = calloc(1, sizeof(*s));

    if (!s)
        abort();
    s->run = run;
    (void)snprintf(s->owner, sizeof(s->owner), "%s", owner);
    (void)pthread_mutex_lock(&d->lock);
    s->next = d->slots;
    d->slots = s;
    d->count++;
    (void)pthread_cond_broadcast(&d->wake);
    (void)pthread_mutex_unlock(&d->lock);
}

/* Whether there may be more. */
static bool claim_one(struct deployer *d, bool is_nested_only)
{
    struct arena *a = arena_new();
    struct claim c = { .is_nested_only = is_nested_only };
    struct error err;

    uuid_new(c.owner);
    if (pg_with(d->control->db, a, claim, &c, &err)) {
        log_failure(LOG_DEBUG, "claim-failed", &err);
        c.found = 0;
    }
    if (c.found)
        add_slot(d, run_new(d->control, d->app, a, c.row, c.owner), c.owner);
    else
        arena_free(a);
    return c.found;
}

/* Runs ----------------------------------------------------------------------------------------- */

static void drop_slot(struct deployer *d, struct slot *s)
{
    struct slot **at = &d->slots;

    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    d->count--;
    run_free(s->run);
    free(s);
}

/* The run that has waited longest for its turn; *ret_due: when the next one is due. */
static struct slot *pick(struct deployer *d, int64_t *ret_due)
{
    int64_t now = clock_mono_ms();
    struct slot *best = NULL;

    for (struct slot *s = d->slots; s; s = s->next) {
        if (s->is_busy)
            continue;
        if (s->due_ms <= now && (!best || s->due_ms < best->due_ms))
            best = s;
        if (s->due_ms < *ret_due)
            *ret_due = s->due_ms;
    }
    return best;
}

/* Called with the lock held, which is let go meanwhile. */
static void take_turn(struct deployer *d, struct slot *s)
{
    enum run_verdict verdict = RUN_OVER;
    int64_t delay_ms = RETRY_MS;
    struct error err;

    s->is_busy = true;
    if (!s->is_lost) {
        (void)pthread_mutex_unlock(&d->lock);
        verdict = run_step(s->run, &delay_ms, &err);
        if (verdict == RUN_FAILED)
            log_failure(s->failures ? LOG_DEBUG : LOG_WARN, "deployment-step-failed", &err);
        (void)pthread_mutex_lock(&d->lock);
    }
    s->is_busy = false;
    s->failures = verdict == RUN_FAILED ? s->failures + 1 : 0;
    if (verdict == RUN_OVER || s->failures > RETRIES_MAX) {
        drop_slot(d, s);
        return;
    }
    s->due_ms = clock_mono_ms() + (verdict == RUN_FAILED ? RETRY_MS : delay_ms);
}

/* Called with the lock held. True when it did something. */
static bool look_for_work(struct deployer *d)
{
    bool is_full = d->count >= RUNS_MAX;
    bool is_more;

    if (d->is_claiming || clock_mono_ms() < d->claim_at_ms)
        return false;
    d->is_claiming = true;
    d->claim_at_ms = clock_mono_ms() + SWEEP_MS;
    (void)pthread_mutex_unlock(&d->lock);
    is_more = claim_one(d, is_full);
    (void)pthread_mutex_lock(&d->lock);
    d->is_claiming = false;
    if (is_more)
        d->claim_at_ms = 0;
    return is_more;
}

static void *work(void *ctx)
{
    struct deployer *d = ctx;

    thread_set_patient(true);
    (void)pthread_mutex_lock(&d->lock);
    while (!d->is_stopping) {
        int64_t due = d->claim_at_ms;
        struct slot *s;

        if (look_for_work(d))
            continue;
        if (due < clock_mono_ms())
            due = clock_mono_ms() + SWEEP_MS;
        s = pick(d, &due);
        if (s) {
            take_turn(d, s);
            continue;
        }
        (void)thread_wait(&d->wake, &d->lock, due);
    }
    (void)pthread_mutex_unlock(&d->lock);
    return NULL;
}

/* Helpers -------------------------------------------------------------------------------------- */

static bool is_stopping(struct deployer *d)
{
    bool ret;

    (void)pthread_mutex_lock(&d->lock);
    ret = d->is_stopping;
    (void)pthread_mutex_unlock(&d->lock);
    return ret;
}

static void *hear(void *ctx)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct deployer *d = ctx;
    const char *payload;
    struct error err;

    while (!is_stopping(d)) {
        int rc = pg_listener_wait(d->listener, a, d->stop_fd, 30000, &payload, &err);

        if (rc < 0)
            log_failure(LOG_DEBUG, "listen-failed", &err);
        (void)pthread_mutex_lock(&d->lock);
        if (rc != 0)
            d->claim_at_ms = 0;
        (void)pthread_cond_broadcast(&d->wake);
        (void)pthread_mutex_unlock(&d->lock);
        arena_reset(a);
    }
    return NULL;
}

struct extend {
    const char **owners;
    size_t count;
    const char **held;
    size_t held_count;
};

static int extend(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct extend *x = ctx;

    return deployment_extend(conn, a, x->owners, x->count, &x->held, &x->held_count, err);
}

static bool is_held(const struct extend *x, const char *owner)
{
    for (size_t i = 0; i < x->held_count; i++)
        if (text_eq(x->held[i], owner))
            return true;
    return false;
}

static void beat_once(struct deployer *d, struct arena *a)
{
    struct extend x = { 0 };
    struct error err;

    (void)pthread_mutex_lock(&d->lock);
    x.owners = arena_array(a, d->count + 1, sizeof(*x.owners));
    for (struct slot *s = d->slots; s; s = s->next)
        x.owners[x.count++] = arena_strdup(a, s->owner);
    (void)pthread_mutex_unlock(&d->lock);
    if (x.count == 0)
        return;
    if (pg_with(d->control->db, a, extend, &x, &err)) {
        log_failure(LOG_DEBUG, "heartbeat-failed", &err);
        return;
    }
    (void)pthread_mutex_lock(&d->lock);
    for (size_t i = 0; i < x.count; i++)
        for (struct slot *s = d->slots; s; s = s->next)
            if (text_eq(s->owner, x.owners[i]) && !is_held(&x, s->owner)) {
                s->is_lost = true; /* canceled, deleted, or somebody else's by now */
                s->due_ms = 0;
            }
    (void)pthread_cond_broadcast(&d->wake);
    (void)pthread_mutex_unlock(&d->lock);
}

/* Runs until the workers have ended, so that a step that outlives the stop keeps its lease. */
static void *beat(void *ctx)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct deployer *d = ctx;
    int64_t at = clock_mono_ms() + HEARTBEAT_MS;

    (void)pthread_mutex_lock(&d->lock);
    while (!d->is_quiet) {
        if (thread_wait(&d->wake, &d->lock, at))
            continue;
        at = clock_mono_ms() + HEARTBEAT_MS;
        (void)pthread_mutex_unlock(&d->lock);
        beat_once(d, a);
        arena_reset(a);
        (void)pthread_mutex_lock(&d->lock);
    }
    (void)pthread_mutex_unlock(&d->lock);
    return NULL;
}

/* Start and stop ------------------------------------------------------------------------------- */

static struct deployer *new_deployer(struct control *control, const struct http_app *app)
{
    struct deployer *d = calloc(1, sizeof(*d));

    if (!d)
        abort();
    d->control = control;
    d->app = app;
    d->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    (void)pthread_mutex_init(&d->lock, NULL);
    (void)pthread_cond_init(&d->wake, NULL);
    return d;
}

static void free_deployer(struct deployer *d)
{
    pg_listener_free(d->listener);
    if (d->stop_fd >= 0)
        (void)close(d->stop_fd);
    (void)pthread_cond_destroy(&d->wake);
    (void)pthread_mutex_destroy(&d->lock);
    free(d);
}

/* A start that fails half-way leaves threads behind: the program ends then anyway. */
int deployer_start(struct control *control, const struct http_app *app, struct deployer **ret,
                   struct error *err)
{
    static void *(*const helpers[HELPERS])(void *) = { hear, beat };
    struct deployer *d = new_deployer(control, app);

    if (d->stop_fd < 0 ||
        pg_listener_new(control->settings->control_db, CHANNEL, &d->listener, err)) {
        int rc = d->stop_fd < 0 ? fail_errno(err, "eventfd") : wrap(err, "listen");

        free_deployer(d);
        return rc;
    }
    for (; d->helper_count < HELPERS; d->helper_count++)
        if ((errno = pthread_create(&d->helpers[d->helper_count], NULL, helpers[d->helper_count],
                                    d)) != 0)
            return fail_errno(err, "start thread");
    for (; d->worker_count < WORKERS; d->worker_count++)
        if ((errno = pthread_create(&d->workers[d->worker_count], NULL, work, d)) != 0)
            return fail_errno(err, "start thread");
    *ret = d;
    return 0;
}

static void raise_flag(struct deployer *d, bool *flag)
{
    (void)pthread_mutex_lock(&d->lock);
    *flag = true;
    (void)pthread_cond_broadcast(&d->wake);
    (void)pthread_mutex_unlock(&d->lock);
}

static int release(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    return deployment_release(conn, a, ctx, err);
}

static void release_all(struct deployer *d)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct error err;

    while (d->slots) {
        if (pg_with(d->control->db, a, release, d->slots->owner, &err))
            log_failure(LOG_DEBUG, "release-failed", &err);
        drop_slot(d, d->slots);
    }
}

bool deployer_stop(struct deployer *d, int64_t grace_ms)
{
    int64_t end = clock_mono_ms() + grace_ms;
    uint64_t one = 1;
    bool is_all = true;

    raise_flag(d, &d->is_stopping);
    (void)!write(d->stop_fd, &one, sizeof(one));
    for (size_t i = 0; i < d->worker_count; i++)
        is_all &= thread_join(d->workers[i], end);
    raise_flag(d, &d->is_quiet);
    for (size_t i = 0; i < d->helper_count; i++)
        is_all &= thread_join(d->helpers[i], end + 1000);
    if (is_all) {
        release_all(d);
        free_deployer(d);
    }
    return is_all;
}

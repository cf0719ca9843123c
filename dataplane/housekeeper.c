/* The background thread. While requests come it compares the projection a few times a second; when
 * they stop it gives back what it can and sleeps until a request wakes it or the next duty is due.
 * A request costs it one store, and one wake-up after a pause. */
#include "dataplane/plane.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/thread.h"
#include "dataplane/auth/bearer.h"
#include "dataplane/auth/transfer.h"
#include "dataplane/imports/importer.h"
#include "dataplane/oci/upload.h"
#include "dataplane/rules/collect.h"
#include "dataplane/rules/expire.h"
#include "dataplane/rules/suspects.h"
#include "dataplane/rules/upkeep.h"
#include "dataplane/store/accounts.h"
#include "dataplane/store/cache.h"
#include "dataplane/store/snapshot.h"

#define COMPARE_MS  400
#define QUIET_MS    5000 /* without work: give back; longer than idle connections live */
#define STACK_BYTES ((size_t)256 * 1024)
#define IDLE_CACHE  ((size_t)256 * 1024)
#define HOUR_MS     ((int64_t)3600 * 1000)
#define DAY_MS      (24 * HOUR_MS)
#define NEVER       INT64_MAX

struct housekeeper {
    struct data_plane *plane;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    _Atomic int64_t request_ms; /* of the latest request */
    _Atomic int64_t collect_ms; /* when collection is due; NEVER: nothing known to collect */
    _Atomic bool is_asleep, is_stopping;
    _Atomic int64_t expire_ms; /* when the policies over time are looked at; NEVER: nothing waits */
    int64_t sweep_ms;          /* when idle uploads are looked for */
    uint64_t serial;           /* of the projection that was seen last */
    struct upkeep *upkeep;
    int64_t upkeep_ms; /* when it wants to be called */
    int64_t worked_ms; /* last use of the database by a duty */
    bool is_tidy;
};

/* An earlier appointment stands. True when this one is made. */
static bool expect_by(_Atomic int64_t *due_ms, int64_t by_ms)
{
    int64_t seen = atomic_load(due_ms);

    while (by_ms < seen) {
        if (atomic_compare_exchange_weak(due_ms, &seen, by_ms))
            return true;
    }
    return false;
}

static int64_t collect_pause_ms(const struct housekeeper *h)
{
    int64_t delay_ms = h->plane->settings->collect_delay_s * 1000;
    int64_t pause_ms = delay_ms < HOUR_MS ? delay_ms : HOUR_MS;

    return pause_ms > 500 ? pause_ms : 500;
}

static void compare(struct housekeeper *h)
{
    struct error err = { 0 };

    /* In an outage the snapshot's holder has said so; anything else is said here. */
    if (snapshots_refresh(h->plane->snapshots, &err) != 0 && err.code != &E_UNAVAILABLE &&
        err.code != &E_NOT_FOUND)
        log_failure(LOG_ERROR, "projection", &err);
}

/* Whoever asks for an import moves the generation. */
static void look_for_imports(struct housekeeper *h)
{
    uint64_t serial = snapshots_serial(h->plane->snapshots);
    struct error err = { 0 };

    if (serial == h->serial)
        return;
    if (importer_look(h->plane->importer, &err) == 0)
        h->serial = serial;
    else if (err.code != &E_UNAVAILABLE)
        log_failure(LOG_ERROR, "imports", &err);
}

static void collect(struct housekeeper *h, int64_t now)
{
    const struct data_plane *plane = h->plane;
    struct error err = { 0 };
    bool is_waiting = true;

    if (now < atomic_load(&h->collect_ms))
        return;
    atomic_store(&h->collect_ms, NEVER);
    if (collect_run(&plane->store, plane->cache, plane->settings->collect_delay_s, &is_waiting,
                    &err) != 0)
        log_failure(LOG_WARN, "collect", &err);
    if (is_waiting)
        atomic_store(&h->collect_ms, clock_mono_ms() + collect_pause_ms(h));
    h->worked_ms = clock_mono_ms();
}

static void expire(struct housekeeper *h, int64_t now)
{
    const struct data_plane *plane = h->plane;
    struct error err = { 0 };
    int64_t next_s = -1;
    bool is_fresh = false;

    if (now < atomic_load(&h->expire_ms))
        return;
    compare(h); /* nobody may have asked for days */
    struct snapshot *snapshot = snapshots_get(plane->snapshots, &is_fresh);
    atomic_store(&h->expire_ms, NEVER);
    if (snapshot &&
        expire_run(&plane->store, plane->cache, &snapshot->policies, &next_s, &err) != 0) {
        log_failure(LOG_WARN, "expire", &err);
        next_s = collect_pause_ms(h) / 1000 + 1;
    }
    snapshot_unref(snapshot);
    h->worked_ms = clock_mono_ms();
    if (next_s < 0)
        return;
    /* Once a day in any case: the policies may have changed since. */
    int64_t wait_ms = next_s < DAY_MS / 1000 ? next_s * 1000 : DAY_MS;
    (void)expect_by(&h->expire_ms, h->worked_ms + (wait_ms > 500 ? wait_ms : 500));
}

static void look_after(struct housekeeper *h, int64_t now)
{
    if (now < h->upkeep_ms)
        return;
    h->upkeep_ms = upkeep_step(h->upkeep, now);
    h->worked_ms = clock_mono_ms();
}

/* A request has just been here, so this is never slept through. */
static void examine(struct housekeeper *h)
{
    struct digest digest;

    while (suspects_take(h->plane->suspects, &digest)) {
        upkeep_examine(h->upkeep, &digest);
        h->worked_ms = clock_mono_ms();
    }
}

static void sweep(struct housekeeper *h, int64_t now)
{
    if (now < h->sweep_ms)
        return;
    h->sweep_ms = uploads_sweep(h->plane->uploads) > 0 ? now + HOUR_MS : NEVER;
}

/* Memory follows load: nobody asks now, so little is kept. */
static void tidy(struct housekeeper *h)
{
    if (h->is_tidy)
        return;
    bearer_cache_clear(h->plane->bearers);
    accounts_trim(h->plane->accounts);
    content_cache_trim(h->plane->cache, IDLE_CACHE);
    pg_pool_tidy(h->plane->db);
    (void)malloc_trim(0);
    h->is_tidy = true;
}

static void sleep_until(struct housekeeper *h, int64_t until_ms)
{
    (void)pthread_mutex_lock(&h->lock);
    if (!atomic_load(&h->is_stopping)) {
        if (until_ms == NEVER)
            (void)pthread_cond_wait(&h->wake, &h->lock);
        else
            (void)thread_wait(&h->wake, &h->lock, until_ms);
    }
    (void)pthread_mutex_unlock(&h->lock);
}

/* Sleeps without a request in sight. The flag is set before the last look, and a request is noted
 * before the flag is read, so none is missed. */
static void sleep_idle(struct housekeeper *h, int64_t seen_ms)
{
    int64_t due = atomic_load(&h->collect_ms), expiry = atomic_load(&h->expire_ms);

    (void)pthread_mutex_lock(&h->lock);
    atomic_store(&h->is_asleep, true);
    bool is_news = atomic_load(&h->request_ms) != seen_ms || atomic_load(&h->collect_ms) != due ||
                   atomic_load(&h->expire_ms) != expiry;
    (void)pthread_mutex_unlock(&h->lock);
    due = due < h->sweep_ms ? due : h->sweep_ms;
    due = due < expiry ? due : expiry;
    if (!is_news)
        sleep_until(h, due < h->upkeep_ms ? due : h->upkeep_ms);
    atomic_store(&h->is_asleep, false);
}

static void *housekeep(void *arg)
{
    struct housekeeper *h = arg;
    int64_t compared_for = 0;

    while (!atomic_load(&h->is_stopping)) {
        int64_t now = clock_mono_ms(), seen = atomic_load(&h->request_ms);
        collect(h, now);
        expire(h, now);
        sweep(h, now);
        look_after(h, now);
        examine(h);
        if (importer_is_busy(h->plane->importer))
            h->worked_ms = now;
        int64_t busy = seen > h->worked_ms ? seen : h->worked_ms;
        if (now - busy < QUIET_MS) {
            h->is_tidy = false;
            if (h->sweep_ms == NEVER)
                h->sweep_ms = now + HOUR_MS;
            h->plane->blobs->driver->rest(h->plane->blobs);
            if (seen != compared_for) {
                compare(h);
                look_for_imports(h);
            }
            compared_for = seen;
            transfers_review(h->plane->transfers);
            sleep_until(h, now + COMPARE_MS);
            continue;
        }
        tidy(h);
        sleep_idle(h, seen);
    }
    return NULL;
}

static void wake(struct housekeeper *h)
{
    (void)pthread_mutex_lock(&h->lock);
    (void)pthread_cond_signal(&h->wake);
    (void)pthread_mutex_unlock(&h->lock);
}

static struct upkeep *new_upkeep(const struct data_plane *plane)
{
    const struct data_settings *settings = plane->settings;
    struct upkeep_config config = { .store = &plane->store,
                                    .cache = plane->cache,
                                    .walk_delay_ms = settings->walk_delay_s * 1000,
                                    .walk_interval_ms = settings->walk_interval_s * 1000,
                                    .scrub_interval_ms = settings->scrub_interval_s * 1000,
                                    .scrub_rate = settings->scrub_rate,
                                    .aside_s = settings->aside_keep_s,
                                    .tombstone_s = settings->tombstone_keep_s };

    return upkeep_new(&config);
}

struct housekeeper *housekeeper_start(struct data_plane *plane)
{
    struct housekeeper *h = calloc(1, sizeof(*h));
    pthread_attr_t attr;
    if (!h)
        abort();
    h->plane = plane;
    (void)pthread_mutex_init(&h->lock, NULL);
    (void)pthread_cond_init(&h->wake, NULL);
    atomic_init(&h->request_ms, clock_mono_ms());
    /* What an earlier process left in the queue. */
    atomic_init(&h->collect_ms, clock_mono_ms() + collect_pause_ms(h));
    atomic_init(&h->expire_ms, clock_mono_ms() + collect_pause_ms(h));
    h->sweep_ms = NEVER;
    h->upkeep = new_upkeep(plane);
    (void)pthread_attr_init(&attr);
    (void)pthread_attr_setstacksize(&attr, STACK_BYTES);
    if (pthread_create(&h->thread, &attr, housekeep, h) != 0)
        abort();
    (void)pthread_attr_destroy(&attr);
    return h;
}

void housekeeper_stop(struct housekeeper *h)
{
    if (!h)
        return;
    (void)pthread_mutex_lock(&h->lock);
    atomic_store(&h->is_stopping, true);
    (void)pthread_cond_signal(&h->wake);
    (void)pthread_mutex_unlock(&h->lock);
    (void)pthread_join(h->thread, NULL);
    (void)pthread_cond_destroy(&h->wake);
    (void)pthread_mutex_destroy(&h->lock);
    upkeep_free(h->upkeep);
    free(h);
}

void housekeeper_note_request(struct housekeeper *h)
{
    atomic_store(&h->request_ms, clock_mono_ms());
    if (atomic_load(&h->is_asleep))
        wake(h);
}

void housekeeper_note_garbage(struct housekeeper *h)
{
    /* When it is kept, another is made while reviews remain. */
    if (expect_by(&h->collect_ms, clock_mono_ms() + collect_pause_ms(h)) &&
        atomic_load(&h->is_asleep))
        wake(h);
}

void housekeeper_note_expiry(struct housekeeper *h)
{
    if (expect_by(&h->expire_ms, clock_mono_ms() + collect_pause_ms(h)) &&
        atomic_load(&h->is_asleep))
        wake(h);
}

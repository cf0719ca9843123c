/* Handing out the published projection: one snapshot at a time, compared with the database when asked. */
#include "dataplane/store/snapshot.h"

#include <pthread.h>
#include <stdatomic.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/network/rules.h"
#include "common/pg/pg.h"
#include "dataplane/store/accounts.h"
#include "dataplane/store/projection.h"

/* In an outage, how long one failed look at the database counts. */
#define AWAY_TRUST_MS 5000

/* The public struct with what readers need not see. */
struct counted {
    struct snapshot snapshot; /* first */
    _Atomic int refs;
};

struct snapshots {
    struct snapshots_config config;
    pthread_mutex_t lock;    /* of current */
    pthread_mutex_t refresh; /* one refresh at a time */
    struct snapshot *current;
    _Atomic uint64_t serial;
    int64_t account_changes; /* as of the last comparison of accounts; under refresh */
    _Atomic int64_t checked_ms; /* last comparison that succeeded; 0: none */
    _Atomic int64_t tried_ms;
    _Atomic bool is_away, is_gone;
};

struct load {
    struct snapshots *owner;
    struct projection seen;
};

struct snapshot *snapshot_ref(struct snapshot *snapshot)
{
    atomic_fetch_add(&((struct counted *)snapshot)->refs, 1);
    return snapshot;
}

void snapshot_unref(struct snapshot *snapshot)
{
    if (!snapshot || atomic_fetch_sub(&((struct counted *)snapshot)->refs, 1) != 1)
        return;
    for (size_t i = 0; i < PART_MAX; i++)
        part_unref(snapshot->parts[i]);
    secret_cleanse(snapshot->data_key, sizeof(snapshot->data_key));
    secret_cleanse(snapshot->link_key, sizeof(snapshot->link_key));
    network_rules_free(snapshot->network);
    arena_free(snapshot->arena);
    free(snapshot);
}

struct snapshot *snapshot_new(uint64_t serial)
{
    struct counted *c = calloc(1, sizeof(*c));
    if (!c)
        abort();
    atomic_init(&c->refs, 1);
    c->snapshot.arena = arena_new();
    c->snapshot.serial = serial;
    return &c->snapshot;
}

/* --- the holder --------------------------------------------------------------------------------
 */

/* Accounts are compared after the load: with them what the snapshot stands for has been seen. */
static int load_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct load *load = ctx;
    const struct snapshots *owner = load->owner;

    snapshot_unref(take(load->seen.next)); /* of a run that is repeated */
    load->seen = (struct projection){ .config = &owner->config,
                                      .known = owner->current,
                                      .serial = owner->serial + 1 };
    if (projection_look(conn, a, &load->seen, err) != 0)
        return -1;
    if (!load->seen.is_found ||
        (!load->seen.next && owner->account_changes == load->seen.account_changes))
        return 0;
    return accounts_compare(owner->config.accounts, conn, a, err);
}

struct snapshots *snapshots_new(const struct snapshots_config *config)
{
    struct snapshots *s = calloc(1, sizeof(*s));
    if (!s)
        abort();
    s->config = *config;
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_mutex_init(&s->refresh, NULL);
    return s;
}

void snapshots_free(struct snapshots *s)
{
    if (!s)
        return;
    snapshot_unref(s->current);
    (void)pthread_mutex_destroy(&s->lock);
    (void)pthread_mutex_destroy(&s->refresh);
    secret_cleanse(&s->config.service_key, sizeof(s->config.service_key));
    free(s);
}

struct snapshot *snapshots_get(struct snapshots *s, bool *ret_is_fresh)
{
    int64_t now = clock_mono_ms();
    bool is_trusted = atomic_load(&s->is_away) && now - atomic_load(&s->tried_ms) < AWAY_TRUST_MS &&
                      now - atomic_load(&s->checked_ms) < s->config.grace_ms;
    struct snapshot *current = NULL;

    *ret_is_fresh = is_trusted || now - atomic_load(&s->checked_ms) < SNAPSHOT_FRESH_MS;
    (void)pthread_mutex_lock(&s->lock);
    if (s->current && !atomic_load(&s->is_gone))
        current = snapshot_ref(s->current);
    (void)pthread_mutex_unlock(&s->lock);
    return current;
}

uint64_t snapshots_serial(const struct snapshots *s)
{
    return atomic_load(&s->serial);
}

static void swap(struct snapshots *s, struct snapshot *next)
{
    (void)pthread_mutex_lock(&s->lock);
    struct snapshot *old = s->current;
    s->current = next;
    atomic_store(&s->serial, next->serial);
    (void)pthread_mutex_unlock(&s->lock);
    snapshot_unref(old);
}

/* The database could not be asked: go on with what there is for the grace time. One that answers what
 * cannot be read is not away: nobody goes on with what it replaced. */
static int tolerate(struct snapshots *s, const struct error *failure)
{
    int64_t now = clock_mono_ms();
    bool is_away = failure->code == &E_UNAVAILABLE;
    bool is_tolerable = is_away && s->current && !atomic_load(&s->is_gone) &&
                        now - atomic_load(&s->checked_ms) < s->config.grace_ms;

    if (!atomic_exchange(&s->is_away, is_away) && is_away)
        log_failure(LOG_WARN, "projection_away", failure);
    return is_tolerable ? 0 : -1;
}

static int refresh_locked(struct snapshots *s, struct error *err)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct load load = { .owner = s };
    struct error failure = { 0 };
    int64_t started = clock_mono_ms();
    int status = pg_with(s->config.db, a, load_work, &load, &failure);

    atomic_store(&s->tried_ms, clock_mono_ms());
    if (status != 0) {
        snapshot_unref(load.seen.next);
        if (tolerate(s, &failure) == 0)
            return 0;
        *err = failure;
        return -1;
    }
    if (!load.seen.is_found) {
        atomic_store(&s->is_gone, true);
        atomic_store(&s->checked_ms, started);
        return fail(err, &E_NOT_FOUND, "The registry is not published in this region.");
    }
    if (load.seen.next)
        swap(s, load.seen.next);
    s->account_changes = load.seen.account_changes;
    atomic_store(&s->is_gone, false);
    atomic_store(&s->checked_ms, started);
    if (atomic_exchange(&s->is_away, false))
        log_note(LOG_INFO, "projection_back", "the regional database answers again");
    return 0;
}

int snapshots_refresh(struct snapshots *s, struct error *err)
{
    int64_t asked = clock_mono_ms();
    int status = 0;

    (void)pthread_mutex_lock(&s->refresh);
    /* Somebody else compared while we waited. */
    if (atomic_load(&s->checked_ms) < asked || atomic_load(&s->is_gone))
        status = refresh_locked(s, err);
    (void)pthread_mutex_unlock(&s->refresh);
    return status;
}

/* --- look-ups ----------------------------------------------------------------------------------
 */

const struct grant *snapshot_grant(const struct snapshot *s, const char *principal)
{
    size_t low = 0, high = s->grant_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(s->grants[middle].principal, principal);
        if (order == 0)
            return &s->grants[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

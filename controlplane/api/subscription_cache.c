/* A small table of recently read subscriptions: see the header. Entries share one arena that is
 * thrown away as a whole when an entry's turn is over, so nothing is freed one by one. */
#include "controlplane/api/subscription_cache.h"

#include <pthread.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/refresh.h"
#include "common/base/text.h"
#include "common/pg/pg.h"

#include "controlplane/store/subscriptions.h"

#define ENTRIES 64
#define LIFE_MS 1000

struct entry {
    struct arena *arena; /* NULL: never used */
    struct subscription value;
    struct refresh refresh;
};

struct subscription_cache {
    pthread_mutex_t lock;
    struct entry entries[ENTRIES];
    size_t turn;
};

struct query {
    const char *id;
    struct subscription value;
    int found;
};

struct subscription_cache *subscription_cache_new(void)
{
    struct subscription_cache *cache = calloc(1, sizeof(*cache));

    if (!cache)
        abort();
    (void)pthread_mutex_init(&cache->lock, NULL);
    return cache;
}

void subscription_cache_free(struct subscription_cache *cache)
{
    if (!cache)
        return;
    for (size_t i = 0; i < ENTRIES; i++)
        arena_free(cache->entries[i].arena);
    (void)pthread_mutex_destroy(&cache->lock);
    free(cache);
}

static void copy(struct arena *a, const struct subscription *from, struct subscription *ret)
{
    *ret = (struct subscription){
        .id = arena_strdup(a, from->id),
        .tenant_id = arena_strdup(a, from->tenant_id),
        .display_name = arena_strdup(a, from->display_name),
        .state = arena_strdup(a, from->state),
        .unregistered = arena_array(a, from->unregistered_count + 1, sizeof(char *)),
        .unregistered_count = from->unregistered_count,
    };
    for (size_t i = 0; i < from->unregistered_count; i++)
        ret->unregistered[i] = arena_strdup(a, from->unregistered[i]);
}

static struct entry *find(struct subscription_cache *cache, const char *id)
{
    for (size_t i = 0; i < ENTRIES; i++) {
        struct entry *e = &cache->entries[i];

        if (e->arena && text_eq_nocase(e->value.id, id))
            return e;
    }
    return NULL;
}

static void keep(struct subscription_cache *cache, const struct subscription *value, int64_t read_ms)
{
    struct entry *e = find(cache, value->id);

    if (!e)
        e = &cache->entries[cache->turn++ % ENTRIES];
    if (e->arena)
        arena_reset(e->arena);
    else
        e->arena = arena_new();
    copy(e->arena, value, &e->value);
    refresh_done(&e->refresh, read_ms);
}

static int query(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct query *q = ctx;

    q->found = subscription_get(conn, a, q->id, &q->value, err);
    return q->found < 0 ? -1 : 0;
}

int subscription_cache_get(struct subscription_cache *cache, struct pg_pool *db, struct arena *a,
                           const char *id, bool is_fresh, struct subscription *ret,
                           struct error *err)
{
    struct query q = { .id = id };
    int64_t read_ms = clock_mono_ms();
    struct entry *e;
    bool is_found = false;

    if (!is_fresh) {
        (void)pthread_mutex_lock(&cache->lock);
        e = find(cache, id);
        is_found = e && !refresh_is_due(&e->refresh, read_ms, LIFE_MS);
        if (is_found)
            copy(a, &e->value, ret);
        (void)pthread_mutex_unlock(&cache->lock);
        if (is_found)
            return 1;
    }
    if (pg_with(db, a, query, &q, err))
        return -1;
    if (!q.found)
        return 0;
    *ret = q.value;
    (void)pthread_mutex_lock(&cache->lock);
    keep(cache, ret, read_ms);
    (void)pthread_mutex_unlock(&cache->lock);
    return 1;
}

/* A fixed table of buckets with one lock; a bucket holds the newest few tokens that fall into it.
 */
#include "dataplane/auth/bearer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/crypto/digest.h"
#include "common/crypto/token.h"
#include "dataplane/store/accounts.h"
#include "dataplane/store/snapshot.h"

#define BUCKETS      256u
#define BUCKET_SLOTS 4

struct entry {
    struct bearer bearer; /* first */
    _Atomic int refs;
    struct arena *arena;
    char *token;
    size_t len;
    uint64_t hash;
};

struct bearer_cache {
    pthread_mutex_t lock;
    uint64_t seed; /* so that nobody can aim tokens at one bucket */
    struct entry *slots[BUCKETS][BUCKET_SLOTS];
};

struct bearer_cache *bearer_cache_new(void)
{
    struct bearer_cache *cache = calloc(1, sizeof(*cache));
    if (!cache)
        abort();
    (void)pthread_mutex_init(&cache->lock, NULL);
    random_bytes(&cache->seed, sizeof(cache->seed));
    return cache;
}

void bearer_unref(struct bearer *bearer)
{
    struct entry *e = (struct entry *)bearer;

    if (!e || atomic_fetch_sub(&e->refs, 1) != 1)
        return;
    snapshot_unref(e->bearer.snapshot);
    secret_cleanse(e->token, e->len);
    arena_free(e->arena);
    free(e);
}

void bearer_cache_clear(struct bearer_cache *cache)
{
    for (size_t i = 0; i < BUCKETS * BUCKET_SLOTS; i++) {
        (void)pthread_mutex_lock(&cache->lock);
        struct entry *e = take(cache->slots[i / BUCKET_SLOTS][i % BUCKET_SLOTS]);
        (void)pthread_mutex_unlock(&cache->lock);
        if (e)
            bearer_unref(&e->bearer);
    }
}

void bearer_cache_free(struct bearer_cache *cache)
{
    if (!cache)
        return;
    bearer_cache_clear(cache);
    (void)pthread_mutex_destroy(&cache->lock);
    free(cache);
}

/* Eight bytes a step: multiply and fold. Only finds the bucket; the text decides. */
static uint64_t hash_of(uint64_t seed, const char *s, size_t len)
{
    uint64_t h = seed ^ (len * 0x9e3779b97f4a7c15u);

    for (; len >= 8; s += 8, len -= 8) {
        uint64_t word;
        memcpy(&word, s, 8);
        h = (h ^ word) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
    }
    for (; len > 0; s++, len--)
        h = (h ^ (unsigned char)*s) * 0xc4ceb9fe1a85ec53u;
    return h ^ (h >> 29);
}

static bool is_same(const struct entry *e, uint64_t hash, const char *token, size_t len)
{
    return e && e->hash == hash && e->len == len && secret_equal(e->token, token, len);
}

static bool is_good(const struct bearer *b, const struct snapshot *snapshot)
{
    return b->snapshot->serial == snapshot->serial && b->facts.expires_s > clock_wall_s() &&
           (!b->account || account_is_current(b->account));
}

struct bearer *bearer_find(struct bearer_cache *cache, const struct snapshot *snapshot,
                           const char *token)
{
    size_t len = strlen(token);
    uint64_t hash = hash_of(cache->seed, token, len);
    struct entry *found = NULL;

    (void)pthread_mutex_lock(&cache->lock);
    struct entry **bucket = cache->slots[hash % BUCKETS];
    for (size_t i = 0; i < BUCKET_SLOTS && !found; i++) {
        if (is_same(bucket[i], hash, token, len))
            found = bucket[i];
    }
    if (found && !is_good(&found->bearer, snapshot))
        found = NULL;
    if (found)
        atomic_fetch_add(&found->refs, 1);
    (void)pthread_mutex_unlock(&cache->lock);
    return found ? &found->bearer : NULL;
}

/* In place of an older check of the same token, else of the oldest in the bucket. */
static void remember(struct bearer_cache *cache, struct entry *e)
{
    (void)pthread_mutex_lock(&cache->lock);
    struct entry **bucket = cache->slots[e->hash % BUCKETS];
    size_t at = BUCKET_SLOTS - 1;
    for (size_t i = 0; i < BUCKET_SLOTS; i++) {
        if (!bucket[i] || is_same(bucket[i], e->hash, e->token, e->len)) {
            at = i;
            break;
        }
    }
    struct entry *old = bucket[at];
    memmove(&bucket[1], &bucket[0], at * sizeof(struct entry *));
    bucket[0] = e;
    atomic_fetch_add(&e->refs, 1);
    (void)pthread_mutex_unlock(&cache->lock);
    if (old)
        bearer_unref(&old->bearer);
}

static int allow(struct entry *e, const struct authority *who, struct error *err)
{
    struct permissions now;

    if (identity_permissions(who, e->arena, &e->bearer.facts.identity, &now, err) != 0)
        return -1;
    if (!now.scopes)
        return fail(err, &E_UNAUTHENTICATED, "The identity has no access any more.");
    e->bearer.allowed = now.scopes;
    e->bearer.account = now.account;
    if (now.until_s < e->bearer.facts.expires_s)
        e->bearer.facts.expires_s = now.until_s;
    return 0;
}

int bearer_check(struct bearer_cache *cache, const struct authority *who, const char *registry_id,
                 const char *token, struct bearer **ret, struct error *err)
{
    struct entry *e = calloc(1, sizeof(*e));
    if (!e)
        abort();
    atomic_init(&e->refs, 1);
    e->arena = arena_new();
    e->bearer.snapshot = snapshot_ref(who->snapshot);
    e->len = strnlen(token, TOKEN_MAX_BYTES);
    e->token = arena_strndup(e->arena, token, e->len);
    e->hash = hash_of(cache->seed, e->token, e->len);
    if (identity_token_read(who->snapshot, e->arena, registry_id, token, 0, &e->bearer.facts,
                            err) != 0 ||
        allow(e, who, err) != 0) {
        bearer_unref(&e->bearer);
        return -1;
    }
    remember(cache, e);
    *ret = &e->bearer;
    return 0;
}

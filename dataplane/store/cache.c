/* One chained hash table with a list in order of use, under one lock that is held for a look-up or
 * an insertion only. */
#include "dataplane/store/cache.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "common/http/server.h"
#include "dataplane/store/content.h"

#define BUCKETS_MIN 64u
#define STAMPS      256u
#define STOCKS      256u /* of some 4 KiB; beyond, the one made first goes */

enum kind { KIND_MANIFEST = 'm', KIND_BLOB = 'b' };

struct shared_manifest {
    struct cached_manifest manifest; /* first */
    _Atomic int refs;
    size_t bytes;
    char data[]; /* payload, then media type */
};

struct entry {
    struct entry *next; /* in the bucket */
    struct entry *older, *newer;
    uint64_t hash;
    size_t bytes;
    enum kind kind;
    struct shared_manifest *manifest;
    struct blob_ref blob;
    struct http_stock *stock; /* NULL: none; else stocked[stock_at] is this entry */
    size_t stock_at;
    size_t repository_len;
    char key[]; /* repository, NUL, reference, NUL */
};

struct content_cache {
    pthread_mutex_t lock;
    struct entry **buckets;
    size_t bucket_count, entry_count, bytes, max_bytes;
    struct entry *newest, *oldest;
    uint64_t seed;
    uint64_t stamps[STAMPS];
    struct entry *stocked[STOCKS];
    size_t stock_next;
};

static uint64_t hash_text(uint64_t h, const char *s)
{
    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 0x100000001b3u;
    return (h ^ 0xff) * 0x100000001b3u;
}

static uint64_t hash_key(const struct content_cache *c, enum kind kind, const char *repository,
                         const char *reference)
{
    uint64_t h = hash_text(hash_text(c->seed ^ (uint64_t)kind, repository), reference);

    return h ^ (h >> 32);
}

static uint64_t *stamp_of(struct content_cache *c, const char *repository)
{
    uint64_t h = hash_text(c->seed, repository);

    return &c->stamps[(h ^ (h >> 32)) % STAMPS];
}

struct content_cache *content_cache_new(size_t max_bytes)
{
    struct content_cache *c = calloc(1, sizeof(*c));
    if (!c)
        abort();
    (void)pthread_mutex_init(&c->lock, NULL);
    random_bytes(&c->seed, sizeof(c->seed));
    c->max_bytes = max_bytes;
    c->bucket_count = BUCKETS_MIN;
    c->buckets = calloc(c->bucket_count, sizeof(struct entry *));
    if (!c->buckets)
        abort();
    return c;
}

/* --- manifests, counted ------------------------------------------------------------------------
 */

struct cached_manifest *cached_manifest_new(const struct manifest_found *found)
{
    size_t type_len = strlen(found->media_type) + 1;
    struct shared_manifest *m = calloc(1, sizeof(*m) + found->payload_len + type_len);
    if (!m)
        abort();
    atomic_init(&m->refs, 1);
    m->bytes = sizeof(*m) + found->payload_len + type_len;
    memcpy(m->data, found->payload, found->payload_len);
    memcpy(m->data + found->payload_len, found->media_type, type_len);
    m->manifest = (struct cached_manifest){ .digest = found->digest,
                                            .media_type = m->data + found->payload_len,
                                            .payload = m->data,
                                            .payload_len = found->payload_len };
    return &m->manifest;
}

void cached_manifest_release(void *manifest)
{
    struct shared_manifest *m = manifest;

    if (m && atomic_fetch_sub(&m->refs, 1) == 1)
        free(m);
}

/* --- the table; the lock is held ---------------------------------------------------------------
 */

static void unlink_use(struct content_cache *c, struct entry *e)
{
    *(e->newer ? &e->newer->older : &c->newest) = e->older;
    *(e->older ? &e->older->newer : &c->oldest) = e->newer;
    e->newer = e->older = NULL;
}

static void link_newest(struct content_cache *c, struct entry *e)
{
    e->older = c->newest;
    e->newer = NULL;
    *(c->newest ? &c->newest->newer : &c->oldest) = e;
    c->newest = e;
}

static struct entry *find(struct content_cache *c, enum kind kind, const char *repository,
                          const char *reference)
{
    uint64_t hash = hash_key(c, kind, repository, reference);

    for (struct entry *e = c->buckets[hash % c->bucket_count]; e; e = e->next) {
        if (e->hash == hash && e->kind == kind && strcmp(e->key, repository) == 0 &&
            strcmp(e->key + e->repository_len + 1, reference) == 0)
            return e;
    }
    return NULL;
}

/* Replies under way still have theirs. */
static void drop_stock(struct content_cache *c, struct entry *e)
{
    if (!e || !e->stock)
        return;
    c->stocked[e->stock_at] = NULL;
    http_stock_unref(take(e->stock));
}

static void drop(struct content_cache *c, struct entry *e)
{
    struct entry **at = &c->buckets[e->hash % c->bucket_count];

    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    unlink_use(c, e);
    c->entry_count--;
    c->bytes -= e->bytes;
    drop_stock(c, e);
    cached_manifest_release(e->manifest);
    free(e);
}

static void resize(struct content_cache *c, size_t bucket_count)
{
    struct entry **buckets = calloc(bucket_count, sizeof(struct entry *));
    if (!buckets)
        abort();
    for (struct entry *e = c->newest; e; e = e->older) {
        struct entry **at = &buckets[e->hash % bucket_count];
        e->next = *at;
        *at = e;
    }
    free(c->buckets);
    c->buckets = buckets;
    c->bucket_count = bucket_count;
}

static void shrink_to(struct content_cache *c, size_t max_bytes)
{
    while (c->oldest && c->bytes > max_bytes)
        drop(c, c->oldest);
}

static struct entry *insert(struct content_cache *c, enum kind kind, const char *repository,
                            const char *reference, size_t extra_bytes)
{
    size_t repository_len = strlen(repository), reference_len = strlen(reference);
    struct entry *old = find(c, kind, repository, reference);
    struct entry *e = calloc(1, sizeof(*e) + repository_len + reference_len + 2);
    if (!e)
        abort();
    if (old)
        drop(c, old);
    e->kind = kind;
    e->hash = hash_key(c, kind, repository, reference);
    e->repository_len = repository_len;
    memcpy(e->key, repository, repository_len + 1);
    memcpy(e->key + repository_len + 1, reference, reference_len + 1);
    e->bytes = sizeof(*e) + repository_len + reference_len + 2 + extra_bytes;
    if (c->entry_count >= c->bucket_count)
        resize(c, c->bucket_count * 2);
    e->next = c->buckets[e->hash % c->bucket_count];
    c->buckets[e->hash % c->bucket_count] = e;
    link_newest(c, e);
    c->entry_count++;
    c->bytes += e->bytes;
    shrink_to(c, c->max_bytes);
    return e;
}

static void use(struct content_cache *c, struct entry *e)
{
    if (c->newest == e)
        return;
    unlink_use(c, e);
    link_newest(c, e);
}

/* --- public ------------------------------------------------------------------------------------
 */

void content_cache_free(struct content_cache *c)
{
    if (!c)
        return;
    shrink_to(c, 0);
    free(c->buckets);
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
}

uint64_t content_cache_stamp(struct content_cache *c, const char *repository)
{
    (void)pthread_mutex_lock(&c->lock);
    uint64_t stamp = *stamp_of(c, repository);
    (void)pthread_mutex_unlock(&c->lock);
    return stamp;
}

struct cached_manifest *content_cache_manifest(struct content_cache *c, const char *repository,
                                               const char *reference)
{
    struct shared_manifest *found = NULL;

    (void)pthread_mutex_lock(&c->lock);
    struct entry *e = find(c, KIND_MANIFEST, repository, reference);
    if (e) {
        use(c, e);
        found = e->manifest;
        atomic_fetch_add(&found->refs, 1);
    }
    (void)pthread_mutex_unlock(&c->lock);
    return found ? &found->manifest : NULL;
}

void content_cache_put_manifest(struct content_cache *c, uint64_t stamp, const char *repository,
                                const char *reference, struct cached_manifest *manifest)
{
    struct shared_manifest *shared = (struct shared_manifest *)manifest;
    char own[DIGEST_TEXT_MAX];

    if (manifest->payload_len > CACHED_MANIFEST_MAX)
        return;
    digest_text(&manifest->digest, own);
    (void)pthread_mutex_lock(&c->lock);
    if (stamp == *stamp_of(c, repository)) {
        /* A tag shares the bytes of its digest's entry. Each counts them in full: either may stay
         * when the other goes. */
        const struct entry *by_digest = find(c, KIND_MANIFEST, repository, own);
        if (by_digest && strcmp(own, reference) != 0)
            shared = by_digest->manifest;
        atomic_fetch_add(&shared->refs, 1);
        insert(c, KIND_MANIFEST, repository, reference, shared->bytes)->manifest = shared;
    }
    (void)pthread_mutex_unlock(&c->lock);
}

static struct http_stock *stock_of(struct content_cache *c, enum kind kind, const char *repository,
                                   const char *reference)
{
    struct http_stock *stock = NULL;

    (void)pthread_mutex_lock(&c->lock);
    struct entry *e = find(c, kind, repository, reference);
    if (e) {
        use(c, e);
        if (!e->stock) {
            e->stock_at = c->stock_next++ % STOCKS;
            drop_stock(c, c->stocked[e->stock_at]);
            e->stock = http_stock_new();
            c->stocked[e->stock_at] = e;
        }
        stock = http_stock_ref(e->stock);
    }
    (void)pthread_mutex_unlock(&c->lock);
    return stock;
}

struct http_stock *content_cache_manifest_stock(struct content_cache *c, const char *repository,
                                                const char *reference)
{
    return stock_of(c, KIND_MANIFEST, repository, reference);
}

struct http_stock *content_cache_blob_stock(struct content_cache *c, const char *repository,
                                            const char *digest)
{
    return stock_of(c, KIND_BLOB, repository, digest);
}

bool content_cache_blob(struct content_cache *c, const char *repository, const char *digest,
                        struct blob_ref *ret)
{
    (void)pthread_mutex_lock(&c->lock);
    struct entry *e = find(c, KIND_BLOB, repository, digest);
    if (e) {
        use(c, e);
        *ret = e->blob;
    }
    (void)pthread_mutex_unlock(&c->lock);
    return e != NULL;
}

void content_cache_put_blob(struct content_cache *c, uint64_t stamp, const char *repository,
                            const char *digest, const struct blob_ref *ref)
{
    (void)pthread_mutex_lock(&c->lock);
    if (stamp == *stamp_of(c, repository))
        insert(c, KIND_BLOB, repository, digest, 0)->blob = *ref;
    (void)pthread_mutex_unlock(&c->lock);
}

void content_cache_forget(struct content_cache *c, const char *repository)
{
    (void)pthread_mutex_lock(&c->lock);
    ++*stamp_of(c, repository);
    for (struct entry *e = c->newest, *older = NULL; e; e = older) {
        older = e->older;
        if (strcmp(e->key, repository) == 0)
            drop(c, e);
    }
    (void)pthread_mutex_unlock(&c->lock);
}

void content_cache_forget_one(struct content_cache *c, const char *repository,
                              const char *reference)
{
    (void)pthread_mutex_lock(&c->lock);
    ++*stamp_of(c, repository);
    struct entry *manifest = find(c, KIND_MANIFEST, repository, reference);
    if (manifest)
        drop(c, manifest);
    struct entry *blob = find(c, KIND_BLOB, repository, reference);
    if (blob)
        drop(c, blob);
    (void)pthread_mutex_unlock(&c->lock);
}

void content_cache_trim(struct content_cache *c, size_t max_bytes)
{
    (void)pthread_mutex_lock(&c->lock);
    shrink_to(c, max_bytes);
    for (size_t i = 0; i < STOCKS; i++)
        drop_stock(c, c->stocked[i]);
    if (c->bucket_count > BUCKETS_MIN && c->entry_count < c->bucket_count / 4)
        resize(c, BUCKETS_MIN);
    (void)pthread_mutex_unlock(&c->lock);
}

/* Token buckets of identities: see the header. A table of fixed size in sets of a few places; whose
 * bucket has to go is full again when it comes back, which only helps who was idle longest. */
#include "controlplane/api/rate_limit.h"

#include <ctype.h>
#include <pthread.h>
#include <stdlib.h>

#include "common/base/text.h"

#define SETS          1024
#define PLACES        8 /* of a set */
#define LOCKS         64
#define US_PER_MINUTE 60000000.0
#define RETRY_MAX_S   60

struct bucket {
    uint64_t key; /* 0: never used */
    double level;
    int64_t at_us; /* when the level was that */
};

struct rate_limiter {
    int64_t per_minute[RATE_KIND_MAX];
    pthread_mutex_t locks[LOCKS];
    struct bucket sets[SETS][PLACES];
};

static const char *const kind_texts[RATE_KIND_MAX] = {
    [RATE_READS] = "reads",
    [RATE_WRITES] = "writes",
    [RATE_DELETES] = "deletes",
};

struct rate_limiter *rate_limiter_new(const int64_t per_minute[RATE_KIND_MAX])
{
    struct rate_limiter *t = calloc(1, sizeof(*t));

    if (!t)
        abort();
    for (size_t i = 0; i < RATE_KIND_MAX; i++)
        t->per_minute[i] = per_minute[i];
    for (size_t i = 0; i < LOCKS; i++)
        (void)pthread_mutex_init(&t->locks[i], NULL);
    return t;
}

void rate_limiter_free(struct rate_limiter *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < LOCKS; i++)
        (void)pthread_mutex_destroy(&t->locks[i]);
    free(t);
}

enum rate_kind rate_kind_of(const char *method)
{
    if (text_eq(method, "GET") || text_eq(method, "HEAD"))
        return RATE_READS;
    return text_eq(method, "DELETE") ? RATE_DELETES : RATE_WRITES;
}

const char *rate_kind_text(enum rate_kind kind)
{
    return kind_texts[kind];
}

/* FNV-1a. Both ids are given out by this service, so nobody picks them to collide. */
static uint64_t mix(uint64_t h, const char *text)
{
    for (const char *c = text; *c; c++)
        h = (h ^ (uint64_t)tolower((unsigned char)*c)) * 0x100000001b3u;
    return h;
}

/* The identity's bucket, or the place of the one that was idle longest, made full. */
static struct bucket *find(struct bucket set[PLACES], uint64_t key, double full, int64_t now_us)
{
    struct bucket *oldest = &set[0];

    for (size_t i = 0; i < PLACES; i++) {
        if (set[i].key == key)
            return &set[i];
        if (!set[i].key || (oldest->key && set[i].at_us < oldest->at_us))
            oldest = &set[i];
    }
    *oldest = (struct bucket){ .key = key, .level = full, .at_us = now_us };
    return oldest;
}

int rate_limiter_take(struct rate_limiter *t, const char *subscription_id, const char *identity,
                      enum rate_kind kind, int64_t now_us, int64_t *ret_left)
{
    double full = (double)t->per_minute[kind];
    uint64_t key = mix(mix(0xcbf29ce484222325u + kind, subscription_id), identity) | 1;
    uint64_t place = (key >> 20) % SETS;
    pthread_mutex_t *lock = &t->locks[place % LOCKS];
    struct bucket *b;
    int retry_s = 0;

    *ret_left = -1;
    if (t->per_minute[kind] <= 0)
        return 0;
    (void)pthread_mutex_lock(lock);
    b = find(t->sets[place], key, full, now_us);
    if (now_us > b->at_us) {
        b->level += full * (double)(now_us - b->at_us) / US_PER_MINUTE;
        b->at_us = now_us;
    }
    if (b->level > full)
        b->level = full;
    if (b->level >= 1)
        b->level -= 1;
    else
        retry_s = 1 + (int)((1 - b->level) * (US_PER_MINUTE / 1e6) / full);
    *ret_left = (int64_t)b->level;
    (void)pthread_mutex_unlock(lock);
    return retry_s > RETRY_MAX_S ? RETRY_MAX_S : retry_s;
}

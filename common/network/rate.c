/* The buckets: sets of a few places, each under one of many locks. */
#include "common/network/rate.h"

#include <ctype.h>
#include <pthread.h>
#include <stdlib.h>

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

struct rate_buckets {
    pthread_mutex_t locks[LOCKS];
    struct bucket sets[SETS][PLACES];
};

struct rate_buckets *rate_buckets_new(void)
{
    struct rate_buckets *t = calloc(1, sizeof(*t));

    if (!t)
        abort();
    for (size_t i = 0; i < LOCKS; i++)
        (void)pthread_mutex_init(&t->locks[i], NULL);
    return t;
}

void rate_buckets_free(struct rate_buckets *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < LOCKS; i++)
        (void)pthread_mutex_destroy(&t->locks[i]);
    free(t);
}

/* FNV-1a. */
uint64_t rate_key(uint64_t key, const char *text)
{
    for (const char *c = text; *c; c++)
        key = (key ^ (uint64_t)tolower((unsigned char)*c)) * 0x100000001b3u;
    return key;
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

int rate_take(struct rate_buckets *t, uint64_t key, int64_t per_minute, int64_t now_us,
              int64_t *ret_left)
{
    double full = (double)per_minute;
    uint64_t place = (key >> 20) % SETS;
    pthread_mutex_t *lock = &t->locks[place % LOCKS];
    struct bucket *b;
    int retry_s = 0;

    *ret_left = -1;
    if (per_minute <= 0)
        return 0;
    (void)pthread_mutex_lock(lock);
    b = find(t->sets[place], key | 1, full, now_us);
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

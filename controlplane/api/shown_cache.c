/* A table of texts in sets of a few places, under one lock: see the header. In a full set whoever was put
 * first has to go. */
#include "controlplane/api/shown_cache.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"

#include "controlplane/store/resources.h"

#define SETS 1024
#define PLACES 4 /* of a set */
#define KEY_MAX 96 /* uuid, transaction id, api-version */
#define TEXT_MAX_BYTES 16384
#define LIFE_MS 10000

struct entry {
    char key[KEY_MAX];
    char *text; /* NULL: free */
    size_t len;
    int64_t expires_ms;
};

struct shown_cache {
    pthread_mutex_t lock;
    struct entry sets[SETS][PLACES];
};

struct shown_cache *shown_cache_new(void)
{
    struct shown_cache *cache = calloc(1, sizeof(*cache));

    if (!cache)
        abort();
    (void)pthread_mutex_init(&cache->lock, NULL);
    return cache;
}

void shown_cache_free(struct shown_cache *cache)
{
    if (!cache)
        return;
    for (size_t i = 0; i < SETS * PLACES; i++)
        free(cache->sets[i / PLACES][i % PLACES].text);
    (void)pthread_mutex_destroy(&cache->lock);
    free(cache);
}

/* FNV-1a; keys are not the client's to choose. */
static struct entry *set_of(struct shown_cache *cache, const char *key)
{
    uint64_t hash = 14695981039346656037u;

    for (; *key; key++)
        hash = (hash ^ (unsigned char)*key) * 1099511628211u;
    return cache->sets[(hash >> 20) % SETS];
}

static struct entry *find(struct entry set[PLACES], const char *key)
{
    for (size_t i = 0; i < PLACES; i++) {
        if (set[i].text && strcmp(set[i].key, key) == 0)
            return &set[i];
    }
    return NULL;
}

static struct entry *oldest(struct entry set[PLACES])
{
    struct entry *old = &set[0];

    for (size_t i = 1; i < PLACES; i++) {
        if (set[i].expires_ms < old->expires_ms)
            old = &set[i];
    }
    return old;
}

static bool add_part(char key[KEY_MAX], size_t *len, const char *part)
{
    size_t n = strlen(part);

    if (*len + n + 1 >= KEY_MAX)
        return false;
    memcpy(key + *len, part, n);
    *len += n;
    key[(*len)++] = ' ';
    return true;
}

static bool make_key(char key[KEY_MAX], const struct resource *r, const char *api_version)
{
    size_t len = 0;

    if (!add_part(key, &len, r->uid) || !add_part(key, &len, r->revision) ||
        !add_part(key, &len, api_version))
        return false;
    key[len] = '\0';
    return true;
}

const char *shown_cache_get(struct shown_cache *cache, struct arena *a, const struct resource *r,
                            const char *api_version, size_t *ret_len)
{
    const char *copy = NULL;
    char key[KEY_MAX];
    struct entry *e;

    if (!make_key(key, r, api_version))
        return NULL;
    (void)pthread_mutex_lock(&cache->lock);
    e = find(set_of(cache, key), key);
    if (e && e->expires_ms > clock_mono_ms()) {
        copy = arena_memdup(a, e->text, e->len);
        *ret_len = e->len;
    }
    (void)pthread_mutex_unlock(&cache->lock);
    return copy;
}

void shown_cache_put(struct shown_cache *cache, const struct resource *r, const char *api_version,
                     const char *text, size_t len)
{
    char key[KEY_MAX];
    struct entry *set, *e;
    char *copy;

    if (len > TEXT_MAX_BYTES || !make_key(key, r, api_version))
        return;
    copy = malloc(len + 1);
    if (!copy)
        abort();
    memcpy(copy, text, len);
    (void)pthread_mutex_lock(&cache->lock);
    set = set_of(cache, key);
    e = find(set, key);
    if (!e)
        e = oldest(set);
    free(e->text);
    (void)snprintf(e->key, sizeof(e->key), "%s", key);
    e->text = copy;
    e->len = len;
    e->expires_ms = clock_mono_ms() + LIFE_MS;
    (void)pthread_mutex_unlock(&cache->lock);
}

/* Counters of wrong secrets in a fixed table of sets, under a keyed hash so that nobody can choose
 * which pairs share a set. See the header for the rule. */
#include "common/network/throttle.h"

#include <netinet/in.h>
#include <pthread.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"

#define SETS 1024
#define WAYS 4
#define NAME_MAX_BYTES 64
#define ADDRESS_BYTES 8

struct counter {
    uint64_t pair; /* 0: empty */
    int64_t since_ms;
    int failures;
};

struct throttle {
    pthread_mutex_t lock;
    uint8_t key[32];
    struct counter sets[SETS][WAYS];
};

struct throttle *throttle_new(void)
{
    struct throttle *t = calloc(1, sizeof(*t));
    if (!t || pthread_mutex_init(&t->lock, NULL) != 0)
        abort();
    random_bytes(t->key, sizeof(t->key));
    return t;
}

void throttle_free(struct throttle *t)
{
    if (!t)
        return;
    (void)pthread_mutex_destroy(&t->lock);
    free(t);
}

static uint64_t pair_of(const struct throttle *t, const char *name,
                        const struct sockaddr_storage *peer)
{
    uint8_t text[NAME_MAX_BYTES + 1 + ADDRESS_BYTES] = { 0 }, mac[SHA256_LEN];
    uint8_t *family = text + NAME_MAX_BYTES;

    for (size_t i = 0; i < NAME_MAX_BYTES && name[i]; i++)
        text[i] = (uint8_t)(name[i] | 0x20); /* where case counts, names that share are rare */
    *family = (uint8_t)peer->ss_family;
    if (peer->ss_family == AF_INET)
        memcpy(family + 1, &((const struct sockaddr_in *)peer)->sin_addr, 4);
    else if (peer->ss_family == AF_INET6)
        memcpy(family + 1, &((const struct sockaddr_in6 *)peer)->sin6_addr, ADDRESS_BYTES);
    hmac_sha256(t->key, sizeof(t->key), text, sizeof(text), mac);
    uint64_t pair;
    memcpy(&pair, mac, sizeof(pair));
    return pair ? pair : 1;
}

/* The pair's counter or NULL; *ret_spare is where a new one would go. */
static struct counter *find(struct throttle *t, uint64_t pair, struct counter **ret_spare)
{
    struct counter *set = t->sets[pair % SETS];
    *ret_spare = &set[0];
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].pair == pair)
            return &set[i];
        if (set[i].pair == 0 ||
            ((*ret_spare)->pair != 0 && set[i].since_ms < (*ret_spare)->since_ms))
            *ret_spare = &set[i];
    }
    return NULL;
}

/* The pair's counter in its current window; a new one takes the place of the oldest. */
static struct counter *counter_of(struct throttle *t, const char *name,
                                  const struct sockaddr_storage *peer, int64_t now_ms)
{
    uint64_t pair = pair_of(t, name, peer);
    struct counter *spare = NULL, *c = find(t, pair, &spare);

    if (!c || now_ms - c->since_ms >= THROTTLE_WINDOW_MS) {
        c = c ? c : spare;
        *c = (struct counter){ .pair = pair, .since_ms = now_ms };
    }
    return c;
}

bool throttle_try(struct throttle *t, const char *name, const struct sockaddr_storage *peer,
                  int64_t now_ms, int64_t *ret_retry_ms)
{
    (void)pthread_mutex_lock(&t->lock);
    struct counter *c = counter_of(t, name, peer, now_ms);
    bool is_allowed = c->failures < THROTTLE_FAILURES;
    if (is_allowed)
        c->failures++;
    else
        *ret_retry_ms = c->since_ms + THROTTLE_WINDOW_MS - now_ms;
    (void)pthread_mutex_unlock(&t->lock);
    return is_allowed;
}

bool throttle_allows(struct throttle *t, const char *name, const struct sockaddr_storage *peer,
                     int64_t now_ms, int64_t *ret_retry_ms)
{
    uint64_t pair = pair_of(t, name, peer);
    struct counter *spare = NULL;

    (void)pthread_mutex_lock(&t->lock);
    const struct counter *c = find(t, pair, &spare);
    bool is_allowed = !c || c->failures < THROTTLE_FAILURES ||
                      now_ms - c->since_ms >= THROTTLE_WINDOW_MS;
    if (!is_allowed)
        *ret_retry_ms = c->since_ms + THROTTLE_WINDOW_MS - now_ms;
    (void)pthread_mutex_unlock(&t->lock);
    return is_allowed;
}

void throttle_note(struct throttle *t, const char *name, const struct sockaddr_storage *peer,
                   int64_t now_ms)
{
    (void)pthread_mutex_lock(&t->lock);
    counter_of(t, name, peer, now_ms)->failures++;
    (void)pthread_mutex_unlock(&t->lock);
}

void throttle_return(struct throttle *t, const char *name, const struct sockaddr_storage *peer)
{
    uint64_t pair = pair_of(t, name, peer);
    struct counter *spare = NULL;
    (void)pthread_mutex_lock(&t->lock);
    struct counter *c = find(t, pair, &spare);
    if (c && c->failures > 0)
        c->failures--;
    (void)pthread_mutex_unlock(&t->lock);
}

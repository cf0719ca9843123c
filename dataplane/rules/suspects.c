/* A short list under a lock, each digest once. */
#include "dataplane/rules/suspects.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define SUSPECTS_MAX 64

struct suspects {
    pthread_mutex_t lock;
    struct digest list[SUSPECTS_MAX];
    _Atomic unsigned count; /* written under the lock */
};

struct suspects *suspects_new(void)
{
    struct suspects *s = calloc(1, sizeof(*s));
    if (!s)
        abort();
    (void)pthread_mutex_init(&s->lock, NULL);
    return s;
}

void suspects_free(struct suspects *s)
{
    if (!s)
        return;
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
}

void suspects_note(struct suspects *s, const struct digest *digest)
{
    unsigned i = 0;

    (void)pthread_mutex_lock(&s->lock);
    while (i < s->count && !digest_equal(&s->list[i], digest))
        i++;
    if (i == s->count && i < SUSPECTS_MAX) {
        s->list[i] = *digest;
        s->count++;
    }
    (void)pthread_mutex_unlock(&s->lock);
}

bool suspects_take(struct suspects *s, struct digest *ret)
{
    bool is_there = false;

    if (atomic_load(&s->count) == 0)
        return false;
    (void)pthread_mutex_lock(&s->lock);
    if (s->count > 0) {
        *ret = s->list[--s->count];
        is_there = true;
    }
    (void)pthread_mutex_unlock(&s->lock);
    return is_there;
}

/* A fixed number of locks, chosen by the hash. */
#include "dataplane/store/guard.h"

#include <stddef.h>

#define STRIPES 1024

static pthread_mutex_t stripes[STRIPES];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_stripes(void)
{
    for (size_t i = 0; i < STRIPES; i++)
        (void)pthread_mutex_init(&stripes[i], NULL);
}

static pthread_mutex_t *stripe_of(const struct digest *digest)
{
    (void)pthread_once(&once, make_stripes);
    return &stripes[(digest->bytes[0] << 8 | digest->bytes[1]) % STRIPES];
}

pthread_mutex_t *guard_lock(const struct digest *digest)
{
    pthread_mutex_t *stripe = stripe_of(digest);

    (void)pthread_mutex_lock(stripe);
    return stripe;
}

pthread_mutex_t *guard_try(const struct digest *digest)
{
    pthread_mutex_t *stripe = stripe_of(digest);

    return pthread_mutex_trylock(stripe) == 0 ? stripe : NULL;
}

void guard_unlock(pthread_mutex_t **guard)
{
    if (*guard)
        (void)pthread_mutex_unlock(*guard);
    *guard = NULL;
}

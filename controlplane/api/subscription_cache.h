/* Subscriptions by id for at most a second, so that a GET costs one statement: its resource's. */
#ifndef PORTOLAN_API_SUBSCRIPTION_CACHE_H
#define PORTOLAN_API_SUBSCRIPTION_CACHE_H

#include <stdbool.h>

#include "common/base/cleanup.h"

struct arena;
struct error;
struct pg_pool;
struct subscription;
struct subscription_cache;

struct subscription_cache *subscription_cache_new(void);
void subscription_cache_free(struct subscription_cache *cache);
/* 1/0/-1; *ret lives in a. is_fresh asks the database in any case. id is a uuid. */
MUST_CHECK int subscription_cache_get(struct subscription_cache *cache, struct pg_pool *db,
                                      struct arena *a, const char *id, bool is_fresh,
                                      struct subscription *ret, struct error *err);

#endif

/* Token buckets: what is taken comes back with time, each key for itself. The table has a fixed size,
 * kept in memory, so each process counts for itself; whose bucket has to go is full again when it comes
 * back, which only helps who was idle longest. */
#ifndef PORTOLAN_NETWORK_RATE_H
#define PORTOLAN_NETWORK_RATE_H

#include <stdint.h>

#include "common/base/cleanup.h"

struct rate_buckets;
struct rate_buckets *rate_buckets_new(void);
void rate_buckets_free(struct rate_buckets *t); /* NULL is accepted */

/* A key goes on with each text, compared without case; it begins with RATE_KEY plus a small number. The
 * texts are given out by this service, so nobody picks them to collide. */
#define RATE_KEY UINT64_C(0xcbf29ce484222325)
uint64_t rate_key(uint64_t key, const char *text);

/* Takes one of per_minute, which a bucket holds (0 or less: no limit). *ret_left: what it still holds,
 * -1 without a limit. 0, or the whole seconds after which there is one again (1 to 60) when there is
 * none. now_us: monotonic clock. */
MUST_CHECK int rate_take(struct rate_buckets *t, uint64_t key, int64_t per_minute, int64_t now_us,
                         int64_t *ret_left);

#endif

/* How many requests one identity may make in one subscription: token buckets, one for each of reads,
 * writes and deletes, as ARM has them. Kept in memory, so each control plane counts for itself. */
#ifndef PORTOLAN_API_RATE_LIMIT_H
#define PORTOLAN_API_RATE_LIMIT_H

#include <stdint.h>

#include "common/base/cleanup.h"

enum rate_kind { RATE_READS, RATE_WRITES, RATE_DELETES, RATE_KIND_MAX };

struct rate_limiter;

/* Requests a minute of each kind; a bucket holds a minute's worth. 0: no limit. */
struct rate_limiter *rate_limiter_new(const int64_t per_minute[RATE_KIND_MAX]);
void rate_limiter_free(struct rate_limiter *t); /* NULL is accepted */

/* Of GET and HEAD reads, of DELETE deletes, of all others writes. */
enum rate_kind rate_kind_of(const char *method);
const char *rate_kind_text(enum rate_kind kind); /* "reads" */

/* Takes one of what an identity has, or with NULL of what all have together. *ret_left: what the bucket
 * still holds, -1 without a limit. 0, or the whole seconds after which there is one again (1 to 60) when
 * there is none. Both ids are compared without case. now_us: monotonic clock. */
MUST_CHECK int rate_limiter_take(struct rate_limiter *t, const char *subscription_id, const char *identity,
                             enum rate_kind kind, int64_t now_us, int64_t *ret_left);

#endif

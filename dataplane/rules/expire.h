/* The registry's policies over time: what lies in the bin is purged after the soft delete policy's
 * days, and manifests that lost their last tag while the retention policy was on are removed after
 * its days. Days are those of now, not those of when something was deleted. */
#ifndef PORTOLAN_RULES_EXPIRE_H
#define PORTOLAN_RULES_EXPIRE_H

#include <stdint.h>

#include "common/base/cleanup.h"

struct content_cache;
struct error;
struct policies;
struct store;

/* Does what is due. *ret_next_s: seconds until more is, -1 when nothing waits. Several may run at
 * once, also in several processes. */
MUST_CHECK int expire_run(const struct store *s, struct content_cache *cache,
                          const struct policies *policies, int64_t *ret_next_s, struct error *err);

#endif

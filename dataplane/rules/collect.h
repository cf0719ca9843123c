/* Online garbage collection: the review of blobs that may have lost their last user. */
#ifndef PORTOLAN_RULES_COLLECT_H
#define PORTOLAN_RULES_COLLECT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct content_cache;
struct error;
struct store;

/* Reviews what is due: links to repositories that no manifest there has used for delay_s are taken
 * away, and content without any user is removed. *ret_is_waiting: reviews remain for later. Several
 * may run at once, also in several processes. */
MUST_CHECK int collect_run(const struct store *s, struct content_cache *cache, int64_t delay_s,
                           bool *ret_is_waiting, struct error *err);

#endif

/* Drives reviews until none is due. What a review changed is forgotten at once: the cache knows no
 * link that is gone. */
#include "dataplane/rules/collect.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "dataplane/store/cache.h"
#include "dataplane/store/collection.h"

#define REVIEWS_MAX 10000 /* of one run: the housekeeper has other work */

int collect_run(const struct store *s, struct content_cache *cache, int64_t delay_s,
                bool *ret_is_waiting, struct error *err)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    int64_t reviewed = 0, removed = 0, unlinked = 0;
    int waiting = 0;

    for (; reviewed < REVIEWS_MAX; reviewed++) {
        struct review review;
        arena_reset(a);
        if (collection_review(s, a, delay_s, &review, err) != 0)
            return -1;
        if (!review.is_found)
            break;
        for (size_t i = 0; i < review.repository_count; i++)
            content_cache_forget(cache, review.repositories[i]);
        removed += review.is_removed;
        unlinked += (int64_t)review.repository_count;
    }
    if (unlinked + removed > 0) {
        struct log_line line;
        log_start(&line, LOG_INFO, "collected");
        log_int(&line, "reviewed", reviewed);
        log_int(&line, "unlinked", unlinked);
        log_int(&line, "removed", removed);
        log_end(&line);
    }
    waiting = collection_is_waiting(s, a, err);
    if (waiting < 0)
        return -1;
    *ret_is_waiting = waiting == 1;
    return 0;
}

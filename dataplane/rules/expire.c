/* Drives the statements of store/expiry.h until nothing is due. */
#include "dataplane/rules/expire.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "dataplane/store/cache.h"
#include "dataplane/store/expiry.h"
#include "dataplane/store/snapshot.h"

#define BATCHES_MAX 100 /* of one run: the housekeeper has other work */

static void say(const char *event, int64_t count)
{
    struct log_line line;

    if (count == 0)
        return;
    log_start(&line, LOG_INFO, event);
    log_int(&line, "manifests", count);
    log_end(&line);
}

static int purge(const struct store *s, int64_t days, struct error *err)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    int64_t total = 0, count = 1;

    for (int i = 0; i < BATCHES_MAX && count > 0; i++) {
        arena_reset(a);
        if (expiry_purge(s, a, days, &count, err) != 0)
            return -1;
        total += count;
    }
    say("purged", total);
    return 0;
}

static int retire(const struct store *s, struct content_cache *cache, int64_t days,
                  struct error *err)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    int64_t total = 0;
    size_t count = 1;

    for (int i = 0; i < BATCHES_MAX && count > 0; i++) {
        struct untagged *items = NULL;
        arena_reset(a);
        if (expiry_untagged(s, a, days, &items, &count, err) != 0)
            return -1;
        for (size_t k = 0; k < count; k++) {
            int status = manifest_retire(s, a, items[k].repository, &items[k].digest, days, err);
            /* Also when the outcome is unknown: then nothing may be remembered. */
            content_cache_forget(cache, items[k].repository);
            if (status < 0)
                return -1;
            total += status;
        }
    }
    say("retired", total);
    return 0;
}

int expire_run(const struct store *s, struct content_cache *cache, const struct policies *policies,
               int64_t *ret_next_s, struct error *err)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    int64_t days = policies->has_retention ? policies->retention_days : -1;

    if (purge(s, policies->soft_delete_days, err) != 0)
        return -1;
    if (days < 0 ? expiry_forget_untagged(s, a, err) != 0 : retire(s, cache, days, err) != 0)
        return -1;
    return expiry_next(s, a, policies->soft_delete_days, days, ret_next_s, err);
}

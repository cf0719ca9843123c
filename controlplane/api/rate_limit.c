/* Requests of identities in subscriptions: see the header. */
#include "controlplane/api/rate_limit.h"

#include <stdint.h>
#include <stdlib.h>

#include "common/base/text.h"
#include "common/network/rate.h"

/* So many times as much as one identity may all of them together, as ARM has it. */
#define ALL_TOGETHER 15

struct rate_limiter {
    int64_t per_minute[RATE_KIND_MAX];
    struct rate_buckets *buckets;
};

static const char *const kind_texts[RATE_KIND_MAX] = {
    [RATE_READS] = "reads",
    [RATE_WRITES] = "writes",
    [RATE_DELETES] = "deletes",
};

struct rate_limiter *rate_limiter_new(const int64_t per_minute[RATE_KIND_MAX])
{
    struct rate_limiter *t = calloc(1, sizeof(*t));

    if (!t)
        abort();
    for (size_t i = 0; i < RATE_KIND_MAX; i++)
        t->per_minute[i] = per_minute[i];
    t->buckets = rate_buckets_new();
    return t;
}

void rate_limiter_free(struct rate_limiter *t)
{
    if (!t)
        return;
    rate_buckets_free(t->buckets);
    free(t);
}

enum rate_kind rate_kind_of(const char *method)
{
    if (text_eq(method, "GET") || text_eq(method, "HEAD"))
        return RATE_READS;
    return text_eq(method, "DELETE") ? RATE_DELETES : RATE_WRITES;
}

const char *rate_kind_text(enum rate_kind kind)
{
    return kind_texts[kind];
}

int rate_limiter_take(struct rate_limiter *t, const char *subscription_id, const char *identity,
                      enum rate_kind kind, int64_t now_us, int64_t *ret_left)
{
    uint64_t key = rate_key(RATE_KEY + kind, subscription_id);
    int64_t per_minute = t->per_minute[kind];

    if (identity)
        key = rate_key(key, identity);
    else if (per_minute > 0)
        per_minute = per_minute < INT64_MAX / ALL_TOGETHER ? per_minute * ALL_TOGETHER : INT64_MAX;
    return rate_take(t->buckets, key, per_minute, now_us, ret_left);
}

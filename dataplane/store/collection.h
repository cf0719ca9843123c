/* The review queue in SQL; what it means stands in rules/collect.h. */
#ifndef PORTOLAN_STORE_COLLECTION_H
#define PORTOLAN_STORE_COLLECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;
struct error;
struct store;

struct review {
    bool is_found;             /* a review was due */
    const char **repositories; /* that lost their link */
    size_t repository_count;
    bool is_removed; /* the content is gone */
};
/* Reviews one blob in one transaction. */
MUST_CHECK int collection_review(const struct store *s, struct arena *a, int64_t delay_s,
                                 struct review *ret, struct error *err);
/* 1 when any review is queued, due or not. */
MUST_CHECK int collection_is_waiting(const struct store *s, struct arena *a, struct error *err);

#endif

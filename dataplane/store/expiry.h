/* Retention and the end of what lies in the bin, in SQL; what it means stands in rules/expire.h. */
#ifndef PORTOLAN_STORE_EXPIRY_H
#define PORTOLAN_STORE_EXPIRY_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"
#include "common/crypto/digest.h"

struct arena;
struct error;
struct store;

/* Purges some of what was deleted more than days ago; *ret_count 0: nothing is left to purge now.
 */
MUST_CHECK int expiry_purge(const struct store *s, struct arena *a, int64_t days,
                            int64_t *ret_count, struct error *err);

struct untagged {
    const char *repository;
    struct digest digest;
};
/* Some of the manifests whose time without a tag may be up. */
MUST_CHECK int expiry_untagged(const struct store *s, struct arena *a, int64_t days,
                               struct untagged **ret, size_t *ret_count, struct error *err);
/* Removes the manifest if its time is still up and nothing uses it: 1 removed, 0 not. In either
 * case it is not due any more. */
MUST_CHECK int manifest_retire(const struct store *s, struct arena *a, const char *repository,
                               const struct digest *digest, int64_t days, struct error *err);
/* The policy is off: whoever lost a tag while it was on is not watched any more. */
MUST_CHECK int expiry_forget_untagged(const struct store *s, struct arena *a, struct error *err);

/* Seconds until something is due; -1: nothing is. retention_days negative: no such policy. */
MUST_CHECK int expiry_next(const struct store *s, struct arena *a, int64_t bin_days,
                           int64_t retention_days, int64_t *ret_s, struct error *err);

#endif

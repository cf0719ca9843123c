/* Key-values that clients attach to a repository, a tag or a manifest. They go with what they are
 * attached to. */
#ifndef PORTOLAN_STORE_METADATA_H
#define PORTOLAN_STORE_METADATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"
#include "common/crypto/digest.h"

struct arena;
struct error;
struct store;

#define METADATA_MAX 100 /* keys of one thing */

/* What they are attached to: with a tag, the tag; with a digest, the manifest; else the repository.
 */
struct metadata_owner {
    const char *repository;
    const char *tag;
    const struct digest *digest;
};

struct metadata_value {
    const char *key, *media_type;
    const void *bytes;
    size_t len;
    int64_t created_us, updated_us;
};
struct metadata_list {
    struct metadata_value *items;
    size_t count;
};

/* All of them, by key; key NULL, or that one. 0 when there is no such repository, tag or manifest.
 */
MUST_CHECK int metadata_get(const struct store *s, struct arena *a,
                            const struct metadata_owner *owner, const char *key,
                            struct metadata_list *ret, struct error *err);
/* 1 set, 0 when there is nothing to attach it to. E_METADATA_FULL beyond METADATA_MAX keys. */
MUST_CHECK int metadata_set(const struct store *s, struct arena *a,
                            const struct metadata_owner *owner, const struct metadata_value *value,
                            struct error *err);
/* 1 removed, 0 when there is no such key. */
MUST_CHECK int metadata_remove(const struct store *s, struct arena *a,
                               const struct metadata_owner *owner, const char *key,
                               struct error *err);

#endif
